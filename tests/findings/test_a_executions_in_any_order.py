"""A: executions, busts and corrections end in the same books in any order; an execution is booked once, for good."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.domain.controls import Alert, AlertKind, Tick, TickKind
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind, Liquidity, ReportKind, VenueReport
from pipeline.domain.orders import OrdStatus, Side
from pipeline.domain.parents import SliceKind
from pipeline.domain.record import Owned
from pipeline.stage import Meta
from tests.unit.stages.routing.routing_bench import BID, DATE, PX, RoutingBench, S, kinds

PARTIAL = OrdStatus.PARTIALLY_FILLED


def one(**more: Any) -> tuple[RoutingBench, ChildOrder]:
    bench = RoutingBench()
    return bench, bench.one_child(bench.slice(100, **more))


def trade(bench: RoutingBench, child: ChildOrder, qty: int = 40, **more: Any) -> VenueReport:
    values = {
        "exec_id": "E1",
        "last_qty": qty,
        "last_px": BID,
        "cum_qty": qty,
        "leaves_qty": 100 - qty,
        "fee": 40,
        "last_liquidity_ind": Liquidity.ADDED,
    }
    return bench.report(child, ReportKind.TRADE, PARTIAL, **(values | more))


def correct(bench: RoutingBench, child: ChildOrder, exec_id: str, ref: str, qty: int, px: int, at: int) -> VenueReport:
    report = bench.report(
        child, ReportKind.CORRECT, PARTIAL, exec_id=exec_id, exec_ref_id=ref, last_qty=qty, last_px=px, cum_qty=qty,
        leaves_qty=100 - qty, fee=qty,
    )  # fmt: skip
    return replace(report, venue_ns=report.venue_ns + at)


def bust(bench: RoutingBench, child: ChildOrder, ref: str, at: int = 9) -> VenueReport:
    report = bench.report(
        child, ReportKind.BUST, OrdStatus.NEW, exec_id="B1", exec_ref_id=ref, last_qty=40, last_px=BID, leaves_qty=100
    )
    return replace(report, venue_ns=report.venue_ns + at)


def booked(bench: RoutingBench) -> list[tuple[int, int, int, bool]]:
    """Quantity, price, fee and whether it is busted, of every execution."""
    rows = [bench.state.executions[key] for key in bench.state.executions.keys()]
    return [(row.qty, row.px, row.fee, row.busted) for row in rows]


def net_qty(bench: RoutingBench) -> int:
    """What the fills add up to."""
    signs = {FillKind.TRADE: 1, FillKind.CORRECT: 1, FillKind.BUST: -1}
    return sum(signs[f.kind] * f.last_qty - f.prior_qty for f in bench.all(Fill) if f.kind in signs)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_correction_of_a_correction_may_come_before_what_it_corrects(order: tuple[int, ...]) -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    reports = [
        trade(bench, child),
        correct(bench, child, "G1", "E1", 30, BID - PX, 1),
        correct(bench, child, "G2", "G1", 35, BID - 2 * PX, 2),
        correct(bench, child, "G3", "G2", 25, BID - 3 * PX, 3),
    ]
    bench.feed(*(reports[place] for place in order), *reports)
    assert booked(bench) == [(25, BID - 3 * PX, 25, False)]
    assert (bench.state.ledger.parents["P0-1"].cum_qty, net_qty(bench)) == (25, 25)
    assert not len(bench.state.early), "nothing waits any more"


@pytest.mark.parametrize("ref", ["E1", "G1"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_bust_of_a_correction_takes_the_whole_execution_back(order: tuple[int, ...], ref: str) -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    reports = [trade(bench, child), correct(bench, child, "G1", "E1", 30, BID - PX, 1), bust(bench, child, ref)]
    bench.feed(*(reports[place] for place in order), *reversed(reports))
    ((qty, _, fee, busted),) = booked(bench)
    assert (qty, fee, busted) == (0, 0, True)
    assert (bench.state.ledger.parents["P0-1"].cum_qty, net_qty(bench)) == (0, 0)
    assert AlertKind.CONFLICTING_EXECUTION not in [a.kind for a in bench.all(Alert)], "they tell one truth"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_two_corrections_that_name_the_execution_the_later_by_the_venues_time_holds(order: tuple[int, ...]) -> None:
    bench, child = one()
    reports = [
        trade(bench, child),
        correct(bench, child, "Z", "E1", 30, BID - PX, 1),
        correct(bench, child, "A", "E1", 20, BID - 2 * PX, 2),
    ]
    bench.feed(*(reports[place] for place in order))
    assert booked(bench) == [(20, BID - 2 * PX, 20, False)]


def test_a_correction_after_the_bust_is_an_alarm_and_changes_nothing() -> None:
    bench, child = one()
    bench.feed(trade(bench, child), bust(bench, child, "E1", at=1))
    out = bench.feed(correct(bench, child, "G1", "E1", 30, BID, 2))
    assert [a.kind for a in bench.all(Alert, out) if a.kind is not AlertKind.BREAK] == [AlertKind.CONFLICTING_EXECUTION]
    assert booked(bench)[0][0] == 0 and bench.state.ledger.parents["P0-1"].cum_qty == 0


def test_an_early_bust_with_other_data_under_its_id_is_an_alarm() -> None:
    bench, child = one()
    early = bust(bench, child, "E1")
    assert [a.reason for a in bench.all(Alert, bench.feed(early)) if a.kind is AlertKind.DONT_KNOW] == [
        "EXECUTION_NOT_SEEN_YET"
    ]
    out = bench.feed(replace(early, kind=ReportKind.CORRECT, last_qty=20))
    assert AlertKind.CONFLICTING_EXECUTION in [a.kind for a in bench.all(Alert, out)]
    bench.feed(trade(bench, child))
    assert booked(bench) == [(0, BID, 0, True)], "what was said first"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"exec_ref_id": None}, "NO_EXECUTION_NAMED"),
        ({"exec_ref_id": ""}, "NO_EXECUTION_NAMED"),
        ({"side": Side.SELL}, "WRONG_SIDE"),
        ({"last_px": -1}, "CALCULATION_DIFFERENCE"),
        ({"last_px": None}, "CALCULATION_DIFFERENCE"),
        ({"last_qty": 0}, "CALCULATION_DIFFERENCE"),
        ({"last_qty": 100_000_000}, "QUANTITY_EXCEEDS_ORDER"),
        ({"last_px": 10**17}, "PRICE_NOT_BELIEVABLE"),
    ],
)
def test_a_correction_that_cannot_be_is_not_booked(more: dict[str, Any], reason: str) -> None:
    bench, child = one()
    bench.feed(trade(bench, child))
    wrong = replace(correct(bench, child, "G1", "E1", 30, BID, 1), **more)
    out = list(bench.stage.step(bench.state, wrong, Meta(0)))  # the door would keep some of them out
    assert reason in [a.reason for a in bench.all(Alert, out)]
    assert booked(bench) == [(40, BID, 40, False)]


# ---------------------------------------------------------------------- one execution, one booking


def test_the_same_execution_under_another_trade_date_is_a_repeat() -> None:
    bench, child = one()
    report = trade(bench, child)
    assert kinds(bench.feed(report)) == ["Fill:TRADE"]
    assert bench.feed(replace(report, trade_date=DATE + 1)) == []
    assert bench.feed(replace(report, trade_date=DATE - 1)) == []
    assert bench.state.ledger.parents["P0-1"].cum_qty == 40


def test_its_bust_and_correction_under_another_trade_date_find_it() -> None:
    bench, child = one()
    bench.feed(trade(bench, child))
    out = bench.feed(replace(correct(bench, child, "G1", "E1", 30, BID, 1), trade_date=DATE + 1))
    assert kinds(out) == ["Fill:CORRECT"]
    out = bench.feed(replace(bust(bench, child, "G1"), trade_date=DATE + 1))
    assert kinds(out) == ["Fill:BUST"] and bench.state.ledger.parents["P0-1"].cum_qty == 0


def test_an_execution_is_remembered_across_midnight_and_as_long_as_its_child() -> None:
    bench, child = one(lasts_s=600)
    report = trade(bench, child)
    bench.feed(report)
    for day in range(3):
        now_ns = bench.state.now_ns + 86_400 * S
        for kind in (TickKind.DAY_START, TickKind.DAY_END):
            bench.feed(Tick(kind=kind, now_ns=now_ns, wall_ns=now_ns, trade_date=DATE + day))
        out = bench.feed(replace(report, trade_date=DATE + day, venue_ns=report.venue_ns))
        assert not bench.fills(FillKind.TRADE, out), f"day {day}"
    assert len(bench.fills(FillKind.TRADE)) == 1


def test_a_trade_date_that_is_far_off_does_not_keep_or_drop_an_execution() -> None:
    for date in (19700102, 20991231):
        bench, child = one(lasts_s=600)
        report = replace(trade(bench, child), trade_date=date)
        bench.feed(report)
        bench.tick(bench.state.now_ns + S, kind=TickKind.DAY_END)
        assert bench.feed(report) == [], "it is a repeat for a day more"
        for day in (1, 2):
            now_ns = bench.state.now_ns + day * 86_400 * S
            for kind in (TickKind.DAY_START, TickKind.DAY_END):
                bench.feed(Tick(kind=kind, now_ns=now_ns, wall_ns=now_ns, trade_date=DATE + day))
        assert not len(bench.state.executions) and not len(bench.state.exec_ids)


@pytest.mark.parametrize(
    "more", [{"fee": 41}, {"last_px": BID + PX}, {"last_qty": 41, "cum_qty": 41}, {"side": Side.SELL}]
)
def test_the_same_id_with_other_data_is_an_alarm_and_not_booked(more: dict[str, Any]) -> None:
    bench, child = one()
    report = trade(bench, child)
    bench.feed(report)
    assert kinds(bench.feed(replace(report, **more))) == ["Alert:CONFLICTING_EXECUTION"]


def test_the_same_execution_in_a_new_session_is_one_where_the_venues_count_says_so() -> None:
    bench, child = one()
    report = trade(bench, child)
    bench.feed(report)
    out = bench.feed(replace(report, session_id="S2"))
    assert kinds(out) == ["Alert:CONFLICTING_EXECUTION"] and bench.state.ledger.parents["P0-1"].cum_qty == 40
    assert bench.feed(replace(report, session_id="S2")) == [], "known by that name, too"
    # Its bust may name it as either session does.
    out = bench.feed(replace(bust(bench, child, "E1"), session_id="S2"))
    assert kinds(out) == ["Fill:BUST"] and bench.state.ledger.parents["P0-1"].cum_qty == 0


def test_the_same_execution_in_a_new_session_is_another_one_where_the_venues_count_says_so() -> None:
    bench, child = one()
    report = trade(bench, child)
    bench.feed(report)
    out = bench.feed(replace(report, session_id="S2", cum_qty=80, leaves_qty=20))
    assert kinds(out) == ["Fill:TRADE"] and bench.state.ledger.parents["P0-1"].cum_qty == 80


def test_the_same_execution_in_a_new_session_without_a_count_is_booked_and_told() -> None:
    bench, child = one()
    report = replace(trade(bench, child), cum_qty=0, leaves_qty=0)
    bench.feed(report)
    out = bench.feed(replace(report, session_id="S2"))
    assert kinds(out) == ["Fill:TRADE", "Alert:CONFLICTING_EXECUTION"]
    assert [a.reason for a in bench.all(Alert, out)] == ["SAME_IN_TWO_SESSIONS"]


def test_an_exec_id_of_a_correction_is_no_execution() -> None:
    bench, child = one()
    bench.feed(trade(bench, child), correct(bench, child, "G1", "E1", 30, BID, 1))
    out = bench.feed(trade(bench, child, exec_id="G1", cum_qty=70))
    assert AlertKind.CONFLICTING_EXECUTION in [a.kind for a in bench.all(Alert, out)]
    assert bench.state.ledger.parents["P0-1"].cum_qty == 30


def test_a_bust_for_an_ended_parent_still_finds_its_execution_the_next_day() -> None:
    bench, child = one(lasts_s=600)
    bench.feed(trade(bench, child, 100, leaves_qty=0))
    bench.slice(kind=SliceKind.FINISH)
    bench.tick(bench.state.now_ns + S, kind=TickKind.DAY_END)
    out: list[Owned] = bench.feed(bust(bench, child, "E1"))
    assert kinds(out) == ["Fill:BUST"]
    assert not [r for r in out if isinstance(r, ChildOrder) and r.kind is ChildKind.NEW]
