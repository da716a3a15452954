"""The benchmark: how its figures are computed from what it has sampled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import million, report
from bench.cases import CASES
from bench.cases.latency import latencies
from bench.results import Line, Results, latest, load, spread
from bench.stand import Failed, drained
from bench.watch import _at
from bench.world import World, even
from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.executions import ChildKind, ChildOrder
from pipeline.domain.orders import Order, OrderKind, OrdType, Side, TimeInForce
from pipeline.domain.parents import Lineage, LineageKind, Member, ParentKind, ParentOrder
from pipeline.domain.partitioning import partition_of


def test_a_rate_leaves_out_the_warm_up_and_the_batch_it_ended_in() -> None:
    times = [0.0] * 100 + [1.0] * 100 + [2.0] * 100 + [3.0] * 100
    found = drained(times, warm=150)
    assert (found.records, found.begin_s, found.end_s, found.rate) == (200, 1.0, 3.0, 100.0)
    with pytest.raises(Failed):
        drained(times, warm=399)


def test_processor_time_between_two_moments_is_by_proportion() -> None:
    samples = [(10.0, 1.0), (12.0, 2.0), (14.0, 4.0)]
    assert [_at(samples, when) for when in (10.0, 11.0, 13.0, 14.0, 99.0)] == [1.0, 1.5, 3.0, 4.0, 4.0]


@pytest.mark.parametrize("partitions", [1, 2, 12])
def test_names_are_spread_evenly(partitions: int) -> None:
    names = even("I", 24, partitions)
    counts = [sum(partition_of(name, partitions) == p for name in names) for p in range(partitions)]
    assert len(set(names)) == 24 and set(counts) == {24 // partitions}


def test_latency_leaves_out_the_wait_for_a_tick_and_nothing_else() -> None:
    ms = 1_000_000
    request = World(1, base_ns=1).order(held=True, transact_ns=1_000 * ms)
    order = Order(
        kind=OrderKind.NEW, order_id="O1", instrument="I", trade_date=1, append_ns=0, received_ns=0, accepted_ns=0,
        request=request,
    )  # fmt: skip
    joined = Lineage(
        kind=LineageKind.JOINED, instrument="I", bucket_id="B",
        members=(Member(order_id="O1", source="s", account="a", contributed_qty=1),), at_ns=0,
    )  # fmt: skip
    parent = ParentOrder(
        kind=ParentKind.NEW, parent_id="P1", instrument="I", bucket_id="B", trade_date=1, epoch_no=1, side=Side.BUY,
        order_qty=1, at_ns=0,
    )  # fmt: skip
    child = ChildOrder(
        kind=ChildKind.NEW, child_id="C", wire_id="W", parent_id="P1", slice_no=1, epoch_no=1, venue="V",
        instrument="I", side=Side.BUY, order_qty=1, ord_type=OrdType.LIMIT, time_in_force=TimeInForce.DAY,
        sent_ns=7,
    )  # fmt: skip
    tick = Tick(kind=TickKind.TICK, now_ns=7, wall_ns=1_200 * ms, trade_date=1)
    seen = [(1_010 * ms, order), (1_020 * ms, joined), (1_021 * ms, parent), (1_205 * ms, tick), (1_230 * ms, child)]
    assert latencies(seen, 0) == ([20.0], [51.0], [230.0])
    early = [(1_000 * ms, Tick(kind=TickKind.TICK, now_ns=7, wall_ns=900 * ms, trade_date=1)), *seen]
    assert latencies(early, 0)[1] == [230.0], "a tick older than the parent was not waited for"
    assert latencies(seen, 1_001 * ms) == ([], [], []), "orders before the beginning do not count"


def test_results_are_kept_and_rows_measured_again_take_the_place_of_the_old(tmp_path: Path) -> None:
    for session, command, rows in (("a", "all", ("x", "y")), ("b", "all", ("x", "y")), ("c", "all --row y", ("y",))):
        results = Results(tmp_path, session, {"commit": session}, command, quick=False)
        for row in rows:
            results.add("intake", row, {"orders/s": 10 if session == "a" else 20})
            results.add("intake", row, {"orders/s": 30})
    Results(tmp_path, "d", {}, "quick", quick=True).add("intake", "x", {"orders/s": 1})
    lines = latest(load(tmp_path))["intake"]
    assert [(line.row, line.session) for line in lines] == [("x", "b"), ("x", "b"), ("y", "c"), ("y", "c")]
    assert spread([line for line in lines if line.row == "x"], "orders/s") == "25 (20–30)"
    text = report.page({"intake": lines})
    assert "| x | 25 (20–30) | 2 |" in text and "`all --row y`" in text and "Not measured yet: same-work" in text
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 11


def test_the_million_is_computed_from_what_was_measured() -> None:
    life = Line(
        case="whole-life", row="r", at="2026-01-01T00:00:00Z",
        figures={"sustained": "yes", "orders/s offered": 1000, "orders/s joined": 1000, "log bytes an order": 2000,
                 "intake CPU": "10%", "engine CPU": "30%", "venues CPU": "10%", "reporting CPU": "10%",
                 "broker CPU": "60%"},
    )  # fmt: skip
    stage = Line(case="stages", row="slicing (engine)", figures={"µs an order": 300})
    cost = million.cost_of({"whole-life": [life], "stages": [stage]})
    assert cost is not None
    assert (round(cost.worker_us), round(cost.broker_us), cost.slowest_stage_us) == (600, 600, 300)
    text = "\n".join(million.table(cost))
    assert "| worker cores | 1,000 |" in text and "| broker cores | 3,000 |" in text and "| partitions | 500 |" in text
    assert million.cost_of({"stages": [stage]}) is None


def test_the_pages_markers_are_there_and_every_case_has_its_words() -> None:
    text = million.PAGE.read_text(encoding="utf-8")
    assert "Not computed yet" in million.rendered(text, {})
    for case in CASES.values():
        assert case.title and case.asked and case.how
    assert json.dumps(list(CASES))
