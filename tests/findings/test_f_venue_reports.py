"""F and C: what a venue says that is unknown or cannot be is set aside by name: nothing defaulted, nothing raised."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import ChildOrder, Fill, FillKind, Liquidity, ReportKind, VenueReport
from pipeline.domain.orders import OrdStatus, Side
from pipeline.domain.parents import SliceKind
from pipeline.stage import Meta
from tests.unit.stages.routing.routing_bench import BID, RoutingBench

BIG = (0, -1, 1, 2**31, 10**8, 10**12, 10**17, 2**63 - 1, 2**63, -(2**63), 2**70)


def one() -> tuple[RoutingBench, ChildOrder]:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    bench.ack(child)
    return bench, child


def trade(bench: RoutingBench, child: ChildOrder, **more: Any) -> VenueReport:
    values: dict[str, Any] = {
        "last_qty": 40, "last_px": BID, "cum_qty": 40, "leaves_qty": 60, "last_liquidity_ind": Liquidity.ADDED,
    }  # fmt: skip
    return bench.report(child, ReportKind.TRADE, OrdStatus.PARTIALLY_FILLED, **(values | more))


def told(bench: RoutingBench, report: VenueReport) -> list[tuple[AlertKind, str]]:
    return [(a.kind, a.reason) for a in bench.all(Alert, bench.feed(report))]


SET_ASIDE = AlertKind.SET_ASIDE


@pytest.mark.parametrize("kind", list(ReportKind))
def test_a_status_of_tomorrow_never_becomes_another_one(kind: ReportKind) -> None:
    bench, child = one()
    (before,) = (bench.state.ledger.children[child.child_id].life,)
    state, live_qty = before.state, before.live_qty
    report = bench.report(child, kind, OrdStatus.UNKNOWN, leaves_qty=100)
    alerts = told(bench, report)
    after = bench.state.ledger.children[child.child_id].life
    if kind in (ReportKind.UNKNOWN, ReportKind.REJECTED, ReportKind.CANCEL_REJECT, ReportKind.ORDER_STATUS):
        assert alerts == [(SET_ASIDE, "UNKNOWN_KIND")]
        assert (after.state, after.live_qty) == (state, live_qty), "it keeps its exposure"
    elif kind is not ReportKind.NOT_SENT:
        assert alerts[0][0] is SET_ASIDE, "named, whatever is done with the rest of it"


def test_an_execution_with_a_status_of_tomorrow_is_booked_and_ends_nothing() -> None:
    bench, child = one()
    out = bench.feed(replace(trade(bench, child), ord_status=OrdStatus.UNKNOWN))
    assert [(a.kind, a.reason) for a in bench.all(Alert, out)] == [(SET_ASIDE, "UNKNOWN_KIND")]
    (fill,) = bench.fills(FillKind.TRADE, out)
    assert (fill.last_qty, fill.parent_cum_qty, fill.parent_live_qty) == (40, 40, 60)


def test_an_unknown_liquidity_stays_unknown_and_is_named() -> None:
    bench, child = one()
    out = bench.feed(trade(bench, child, last_liquidity_ind=Liquidity.UNKNOWN))
    assert [(a.kind, a.reason) for a in bench.all(Alert, out)] == [(SET_ASIDE, "UNKNOWN_KIND")]
    assert [f.last_liquidity_ind for f in bench.all(Fill, out)] == [Liquidity.UNKNOWN]


@pytest.mark.parametrize("kind", [k for k in ReportKind if k is not ReportKind.UNKNOWN])
def test_a_report_about_an_order_that_is_not_ours_is_answered_with_dont_know(kind: ReportKind) -> None:
    bench, child = one()
    more = {"last_qty": 5, "last_px": BID, "exec_ref_id": "NOBODYS", "last_liquidity_ind": Liquidity.ADDED}
    report = bench.report(child, kind, OrdStatus.NEW, wire_id="NOBODYS", **more)
    ((said, reason),) = told(bench, report)
    assert said is AlertKind.DONT_KNOW
    assert reason in ("NO_MATCHING_ORDER", "EXECUTION_NOT_SEEN_YET")
    assert bench.state.ledger.parents["P0-1"].live_qty == 100


@pytest.mark.parametrize(
    ("more", "kind", "reason", "booked"),
    [
        ({"last_qty": 100_000_000}, SET_ASIDE, "OUT_OF_RANGE", 0),  # at 100: beyond 64 bits
        ({"last_qty": 100_000_000, "last_px": 10**9, "cum_qty": 0}, AlertKind.DONT_KNOW, "QUANTITY_EXCEEDS_ORDER", 0),
        ({"last_px": 10**16, "cum_qty": 0}, AlertKind.DONT_KNOW, "PRICE_NOT_BELIEVABLE", 0),
        ({"fee": 10**18}, AlertKind.DONT_KNOW, "FEE_NOT_BELIEVABLE", 0),
        ({"fee": -(10**18)}, AlertKind.DONT_KNOW, "FEE_NOT_BELIEVABLE", 0),
        ({"cum_qty": 10**11}, AlertKind.DONT_KNOW, "COUNT_NOT_BELIEVABLE", 40),
        ({"last_px": -1}, SET_ASIDE, "PRICE_NOT_POSITIVE", 0),
        ({"last_qty": 0}, SET_ASIDE, "QUANTITY_NOT_POSITIVE", 0),
        ({"cum_qty": 2**63}, SET_ASIDE, "OUT_OF_RANGE", 40),
        ({"leaves_qty": -1}, SET_ASIDE, "QUANTITY_NEGATIVE", 40),
        ({"side": Side.SELL}, AlertKind.DONT_KNOW, "WRONG_SIDE", 0),
    ],
)
def test_a_fat_or_impossible_execution_is_named_and_harms_nobody(
    more: dict[str, Any], kind: AlertKind, reason: str, booked: int
) -> None:
    bench, child = one()
    assert (kind, reason) in told(bench, trade(bench, child, **more))
    assert bench.state.ledger.parents["P0-1"].cum_qty == booked
    assert bench.state.gate_book.open_value("A") == (100 - booked) * BID
    bench.feed(trade(bench, child, last_qty=10, cum_qty=booked + 10, leaves_qty=90 - booked))
    assert bench.state.ledger.parents["P0-1"].cum_qty == booked + 10, "the next one is booked as ever"


def test_an_over_fill_is_booked_whole_and_flagged_up_to_what_can_be_believed() -> None:
    bench, child = one()
    out = bench.feed(trade(bench, child, last_qty=400_000, cum_qty=400_000, leaves_qty=0))
    (fill,) = bench.fills(FillKind.TRADE, out)
    assert (fill.last_qty, fill.overfill_qty) == (400_000, 399_000)
    assert (AlertKind.OVERFILL, "PARENT") in [(a.kind, a.reason) for a in bench.all(Alert, out)]


@pytest.mark.parametrize("door", [True, False])
@pytest.mark.parametrize("kind", list(ReportKind))
def test_no_report_whatever_stands_in_it_raises_or_breaks_the_books(kind: ReportKind, door: bool) -> None:
    bench = RoutingBench(swap_every=50)
    child = bench.one_child(bench.slice(100))
    bench.feed(trade(bench, child, exec_id="E1"))
    fields = ("last_qty", "last_px", "cum_qty", "leaves_qty", "fee", "venue_ns", "received_ns", "trade_date")
    number = itertools.count()
    for status in OrdStatus:
        base = bench.report(child, kind, status, last_qty=10, last_px=BID, exec_ref_id="E1")
        for field, value in itertools.product(fields, BIG):
            report = replace(base, exec_id=f"Z{next(number)}", **{field: value})
            if door:
                bench.feed(report)
            else:
                list(bench.stage.step(bench.state, report, Meta(0)))
        parent = bench.state.ledger.parents["P0-1"]
        booked = [bench.state.executions[key].qty for key in bench.state.executions.keys()]
        assert parent.cum_qty == sum(booked)
    if door:
        bench.after(1)
        bench.slice(kind=SliceKind.FINISH)
