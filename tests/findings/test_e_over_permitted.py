"""E: whatever changes live, filled or permitted, live + filled is brought back to what is permitted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.domain.controls import Alert, AlertKind, ControlKind, ControlScope
from pipeline.domain.executions import ChildOrder, FillKind, ReportKind
from pipeline.domain.orders import OrdStatus, Side
from pipeline.domain.parents import SliceKind
from pipeline.domain.record import Owned
from tests.unit.stages.routing.routing_bench import BID, OFFER, RoutingBench

PARTIAL, NEW, CANCELED = OrdStatus.PARTIALLY_FILLED, OrdStatus.NEW, OrdStatus.CANCELED


def px_of(side: Side) -> int:
    return BID if side is Side.BUY else OFFER


def two(side: Side) -> tuple[RoutingBench, ChildOrder, ChildOrder]:
    """Permitted 100: the first child of 100 has executed 60 and was cancelled, a second one rests with 40."""
    bench = RoutingBench()
    first = bench.one_child(bench.slice(100, side=side, permitted_qty=100))
    bench.trade(first, 60, exec_id="E1")
    second = bench.one_child(bench.canceled(first, cum_qty=60))
    bench.feed(bench.report(second, NEW_KIND, NEW, leaves_qty=40))
    parent = bench.state.ledger.parents["P0-1"]
    assert (parent.cum_qty, parent.live_qty, parent.permitted_qty) == (60, 40, 100)
    return bench, first, second


NEW_KIND = ReportKind.NEW

Event = Callable[[RoutingBench, ChildOrder, ChildOrder], list[Owned]]


def correct(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    px = px_of(first.side)
    return bench.feed(
        bench.report(first, ReportKind.CORRECT, CANCELED, exec_ref_id="E1", last_qty=100, last_px=px, cum_qty=100)
    )


def late_fill(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    return bench.trade(first, 40)


def repeat_with_a_new_id(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    return bench.trade(first, 60, exec_id="E1-AGAIN")


def status_owes(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    return bench.feed(bench.report(first, ReportKind.ORDER_STATUS, CANCELED, cum_qty=100))


def canceled_owes(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    return bench.feed(bench.report(first, ReportKind.CANCELED, CANCELED, cum_qty=90))


def found_alive(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    bench.after(1)
    return bench.feed(bench.report(first, ReportKind.ORDER_STATUS, PARTIAL, cum_qty=60, leaves_qty=40))


def restated(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    return bench.feed(bench.report(second, ReportKind.REPLACED, NEW, leaves_qty=70))


def more_open_than_sent(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    return bench.feed(bench.report(second, ReportKind.ORDER_STATUS, NEW, leaves_qty=55))


def over_fill(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    return bench.trade(first, 10)


def lower_slice(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    return bench.slice(10, side=first.side, permitted_qty=70)


def lower_other_kind(bench: RoutingBench, first: ChildOrder, second: ChildOrder) -> list[Owned]:
    return bench.slice(side=first.side, kind=SliceKind.SET_ASIDE, permitted_qty=70)


EVENTS: list[Event] = [
    correct, late_fill, repeat_with_a_new_id, status_owes, canceled_owes, found_alive, restated, more_open_than_sent,
    over_fill, lower_slice, lower_other_kind,
]  # fmt: skip


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize("event", EVENTS, ids=[event.__name__ for event in EVENTS])
def test_whatever_exceeds_what_is_permitted_takes_the_resting_child_back(event: Event, side: Side) -> None:
    bench, first, second = two(side)
    out = event(bench, first, second)
    parent = bench.state.ledger.parents["P0-1"]
    assert parent.cum_qty + parent.live_qty > parent.permitted_qty
    taken = {cancel.child_id: cancel for cancel in bench.cancels(out)}
    assert set(taken) == ({first.child_id} if event is found_alive else {second.child_id})
    if event is found_alive:
        return
    assert not bench.cancels(bench.slice(10, side=side, permitted_qty=parent.permitted_qty)), "it is on its way back"
    done = bench.canceled(second, taken[second.child_id])
    assert [f.reason for f in bench.fills(FillKind.RETURNED, done)] == ["OVER_PERMITTED"]


def test_a_bust_that_is_declared_and_reported_changes_nothing_twice() -> None:
    bench, first, _ = two(Side.BUY)
    out = bench.feed(bench.report(first, ReportKind.BUST, CANCELED, exec_ref_id="E1", exec_id="B1"))
    parent = bench.state.ledger.parents["P0-1"]
    assert (parent.cum_qty, parent.live_qty) == (0, 40) and not bench.cancels(out)


def test_only_as_many_children_are_taken_back_as_exceed_what_is_permitted_the_newest_first() -> None:
    bench = RoutingBench()
    one, _two, three = (bench.one_child(bench.slice(100, permitted_qty=300)) for _ in range(3))
    out = bench.slice(kind=SliceKind.SET_ASIDE, permitted_qty=260)
    assert [c.child_id for c in bench.cancels(out)] == [three.child_id]
    out = bench.slice(kind=SliceKind.SET_ASIDE, permitted_qty=150)
    assert [c.child_id for c in bench.cancels(out)] == [_two.child_id]
    bench.canceled(three)
    out = bench.canceled(_two)
    assert not bench.cancels(out), "100 of 150: the first works on"
    assert bench.state.ledger.children[one.child_id].life.live_qty == 100


def test_what_an_unknown_child_may_still_do_is_not_counted_as_taken_back() -> None:
    bench = RoutingBench()
    unknown = bench.one_child(bench.slice(100, permitted_qty=200, lasts_s=600))
    bench.after(5)
    resting = bench.one_child(bench.slice(100, permitted_qty=200, lasts_s=600))
    bench.ack(resting)
    out = bench.slice(kind=SliceKind.SET_ASIDE, permitted_qty=100)
    assert [c.child_id for c in bench.cancels(out)] == [resting.child_id]
    assert bench.state.ledger.children[unknown.child_id].life.live_qty == 100


def test_a_declared_fill_beyond_what_is_permitted_takes_back_too() -> None:
    bench = RoutingBench()
    unknown = bench.one_child(bench.slice(100, permitted_qty=100, lasts_s=600))
    bench.after(5)
    bench.slice(kind=SliceKind.SET_ASIDE, permitted_qty=160)
    resting = bench.one_child(bench.slice(60, permitted_qty=160, lasts_s=600))
    bench.slice(kind=SliceKind.SET_ASIDE, permitted_qty=160)
    bench.ack(resting)
    bench.slice(kind=SliceKind.SET_ASIDE, permitted_qty=130)
    out = bench.control(ControlKind.DECLARE_FILLED, ControlScope.CHILD, unknown.child_id, new="100@100.00")
    assert [f.last_qty for f in bench.fills(FillKind.TRADE, out)] == [100]
    assert [c.child_id for c in bench.cancels()][-1] == resting.child_id


@pytest.mark.parametrize(("side", "px"), [(Side.BUY, OFFER * 2), (Side.SELL, BID // 2)])
def test_a_correction_is_flagged_as_its_execution_would_have_been(side: Side, px: int) -> None:
    bench, first, _ = two(side)
    out = bench.feed(
        bench.report(first, ReportKind.CORRECT, CANCELED, exec_ref_id="E1", last_qty=130, last_px=px, cum_qty=130)
    )
    told = [(a.kind, a.reason) for a in bench.all(Alert, out)]
    assert told == [(AlertKind.OVERFILL, "PARENT"), (AlertKind.DONT_KNOW, "PRICE_EXCEEDS_LIMIT")]
    (fill,) = bench.fills(FillKind.CORRECT, out)
    assert (fill.prior_qty, fill.last_qty, fill.overfill_qty, fill.parent_cum_qty) == (60, 130, 30, 130)
