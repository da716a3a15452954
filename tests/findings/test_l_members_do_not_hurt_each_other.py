"""Kind L: what happens to one member of a parent (cancel, kill, an unknown child) never delays the rest of it."""

from __future__ import annotations

import pytest

from pipeline.domain.controls import AlertKind, ControlKind, ControlScope
from pipeline.domain.executions import ChildKind, ChildOrder, FillKind
from pipeline.domain.orders import Completion, OrderEventKind, OrdStatus, Side, Strategy
from pipeline.domain.parents import ParentKind, Slice, SliceKind
from tests.scripted_desk import OPEN_NS, Desk, S, fills, is_silent, rests

SIDES = pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
STRATEGIES = pytest.mark.parametrize("strategy", [Strategy.TWAP, Strategy.VWAP])


def first_is_lost(desk: Desk, child: ChildOrder) -> None:
    """The venue never answers the first child, nor any cancel; all later children are filled at once."""
    if child.kind is ChildKind.NEW and child.child_id != desk.children()[0].child_id:
        fills(desk, child)


def two_members(desk: Desk, side: Side = Side.BUY, strategy: Strategy = Strategy.TWAP) -> None:
    """x1 and y1 with 500 each in one parent, ten minutes to the end, a minute at work."""
    for name, account in (("X", "x1"), ("Y", "y1")):
        desk.order(name, account, 500, side, end_s=600, strategy=strategy)
    desk.run(60)
    assert [parent.order_qty for parent in desk.parents()] == [1000]


@SIDES
@STRATEGIES
def test_a_cancel_with_an_unknown_child_does_not_freeze_the_other_members(side: Side, strategy: Strategy) -> None:
    desk = Desk(first_is_lost)
    two_members(desk, side, strategy)
    lost_qty = desk.children()[0].order_qty
    desk.cancel("X", "x1")
    gone = desk.last("X")
    assert (gone.kind, gone.ord_status, gone.leaves_qty, gone.at_ns) == (
        OrderEventKind.CANCELED, OrdStatus.CANCELED, 0, desk.now,
    )  # fmt: skip
    at_cancel = desk.now
    desk.run(60)
    assert desk.children(since_ns=at_cancel + 1), "the other member is worked on"
    assert {child.epoch_no for child in desk.children(since_ns=at_cancel + 1)} == {2}
    desk.run(490)
    desk.end_day()
    # What the lost child may still execute stays reserved for it; all the rest of Y's order is done.
    assert desk.last("Y").cum_qty == 500 - lost_qty
    assert (desk.last("Y").kind, desk.last("Y").leaves_qty, desk.last("Y").final) == (OrderEventKind.EXPIRED, 0, True)
    assert desk.last("X").cum_qty + desk.last("Y").cum_qty == sum(fill.last_qty for fill in desk.fills())
    assert desk.off() == []


def test_a_reduction_lowers_what_is_permitted_at_once() -> None:
    desk = Desk(rests)
    two_members(desk)
    before = [each for each in desk.all(Slice) if each.kind is SliceKind.SLICE][-1]
    assert before.permitted_qty == 1000
    desk.cancel("X", "x1")
    after = desk.all(Slice)[-1]
    assert (after.kind, after.permitted_qty, after.at_ns) == (SliceKind.PERMIT, 500, desk.now)


def test_only_as_many_children_as_exceed_what_is_permitted_are_taken_back() -> None:
    """Live children that the others have room for go on: the leaver is out at once, nobody loses his place in line."""
    desk = Desk(rests)
    two_members(desk)
    (resting,) = [child for child in desk.children() if child.child_id.startswith(desk.parents()[0].parent_id)][-1:]
    cancels = len([each for each in desk.all(ChildOrder) if each.kind is ChildKind.CANCEL])
    desk.cancel("X", "x1")
    assert len([each for each in desk.all(ChildOrder) if each.kind is ChildKind.CANCEL]) == cancels
    desk.trade(resting, resting.order_qty)
    assert (desk.last("X").cum_qty, desk.last("X").ord_status) == (0, OrdStatus.CANCELED)
    assert desk.last("Y").cum_qty == resting.order_qty, "executed in the epoch before, for who is still there"
    assert desk.off() == []


def test_the_leaver_of_all_there_is_waits_for_its_own_children_only() -> None:
    """Alone in its parent with a child out: the child is cancelled, and the order ends as that is confirmed."""
    desk = Desk(is_silent)
    desk.order("X", "x1", 500, end_s=600)
    desk.run(30)
    (child,) = desk.children()
    desk.cancel("X", "x1")
    assert desk.last("X").kind is OrderEventKind.PENDING_CANCEL
    (cancel,) = [each for each in desk.all(ChildOrder) if each.kind is ChildKind.CANCEL]
    desk.trade(child, 3)
    desk.canceled(cancel)
    last = desk.last("X")
    assert (last.kind, last.cum_qty, last.leaves_qty, last.at_ns) == (OrderEventKind.CANCELED, 3, 0, desk.now)
    assert [each.kind for each in desk.parents(ParentKind.DONE)] == [ParentKind.DONE]
    assert desk.off() == []


@pytest.mark.parametrize("cancelled", [True, False])
def test_everything_ends_by_day_end_with_unknown_children(cancelled: bool) -> None:
    desk = Desk(is_silent)
    desk.order("X", "x1", 500, end_s=100)
    desk.order("Y", "y1", 5, end_s=100)
    desk.run(50)
    if cancelled:
        desk.cancel("X", "x1")
    desk.run(80)
    desk.end_day()
    assert [(desk.last(name).final, desk.last(name).cum_qty, desk.last(name).at_ns) for name in "XY"] == [
        (True, 0, desk.now), (True, 0, desk.now),
    ]  # fmt: skip
    assert ("BREAK", "CHILD_OPEN_AT_DAY_END") in desk.alerts()
    assert desk.off() == []
    child = desk.children()[0]
    desk.now += S
    desk.trade(child, child.order_qty)  # the venue wakes up: booked, flagged, with an owner
    assert ("OVERFILL", "BOOKED_TO_ERROR_ACCOUNT") in desk.alerts()
    assert desk.off() == []


STOPS = pytest.mark.parametrize("kind", [ControlKind.KILL, ControlKind.PAUSE])
SCOPES = pytest.mark.parametrize(("scope", "name"), [(ControlScope.SOURCE, "x"), (ControlScope.ACCOUNT, "x1")])


@STOPS
@SCOPES
@SIDES
def test_a_stop_of_source_or_account_stops_its_share_at_once_and_the_others_go_on(
    kind: ControlKind, scope: ControlScope, name: str, side: Side
) -> None:
    desk = Desk(fills)
    two_members(desk, side)
    before = {each: desk.last(each).cum_qty for each in "XY"}
    desk.control(kind, scope, name)
    stopped = desk.last("X").cum_qty
    assert stopped - before["X"] <= before["X"] + 1, "what it had of the epoch, no more"
    desk.run(560)
    desk.end_day()
    assert desk.last("X").cum_qty == stopped
    assert (desk.last("X").kind, desk.last("X").final) == (OrderEventKind.EXPIRED, True), "held, and ended at its end"
    assert (desk.last("Y").kind, desk.last("Y").cum_qty) == (OrderEventKind.FILLED, 500)
    assert desk.off() == []


@STOPS
@SCOPES
def test_a_stop_of_all_there_is_in_a_parent_sends_no_child_later_than_a_second(
    kind: ControlKind, scope: ControlScope, name: str
) -> None:
    desk = Desk(rests)
    desk.order("X", "x1", 1000, end_s=600)
    desk.run(60)
    at_stop = desk.now
    desk.control(kind, scope, name)
    desk.run(120)
    assert desk.children(since_ns=at_stop + S) == []
    assert desk.fills(FillKind.TRADE) == []
    live = {child.child_id for child in desk.children()} - {fill.child_id for fill in desk.fills(FillKind.RETURNED)}
    assert live == set(), "what rested is cancelled"
    desk.control(ControlKind.RESUME, scope, name)
    desk.venues = fills
    desk.run(430)
    assert (desk.last("X").kind, desk.last("X").cum_qty) == (OrderEventKind.FILLED, 1000), "undone by a resume"
    desk.end_day()
    assert desk.off() == []


def test_a_killed_clients_cancel_passes_and_ends_the_order() -> None:
    desk = Desk(fills)
    two_members(desk)
    desk.control(ControlKind.KILL, ControlScope.ACCOUNT, "x1")
    desk.cancel("X", "x1")
    assert (desk.last("X").kind, desk.last("X").at_ns) == (OrderEventKind.CANCELED, desk.now)
    desk.run(560)
    desk.end_day()
    assert (desk.last("Y").kind, desk.last("Y").cum_qty) == (OrderEventKind.FILLED, 500)
    assert desk.off() == []


def test_a_stop_and_its_end_in_the_midst_of_unknown_children_delay_nobody() -> None:
    desk = Desk(first_is_lost)
    two_members(desk)
    lost_qty = desk.children()[0].order_qty
    desk.control(ControlKind.KILL, ControlScope.SOURCE, "x")
    desk.run(100)
    assert desk.last("Y").cum_qty > 50
    desk.control(ControlKind.RESUME, ControlScope.SOURCE, "x")
    desk.run(460)
    desk.end_day()
    assert desk.last("X").cum_qty + desk.last("Y").cum_qty == 1000 - lost_qty
    assert desk.off() == []


def test_the_desks_cancel_of_a_parent_ends_its_members_though_a_child_is_unknown() -> None:
    desk = Desk(first_is_lost)
    two_members(desk)
    lost = desk.children()[0]
    desk.control(ControlKind.CANCEL_PARENT, ControlScope.PARENT, desk.parents()[0].parent_id)
    desk.run(10)
    assert desk.children(since_ns=OPEN_NS + 61 * S) == []
    desk.control(ControlKind.DECLARE_DEAD, ControlScope.CHILD, lost.child_id)
    assert [(desk.last(each).kind, desk.last(each).at_ns) for each in "XY"] == [
        (OrderEventKind.CANCELED, desk.now), (OrderEventKind.CANCELED, desk.now),
    ]  # fmt: skip
    desk.end_day()
    assert desk.off() == []


@STOPS
@SIDES
def test_what_must_be_done_and_is_held_is_told_at_once(kind: ControlKind, side: Side) -> None:
    desk = Desk(fills)
    for name, account in (("X", "x1"), ("Y", "y1")):
        desk.order(name, account, 500, side, end_s=600, completion=Completion.MUST)
    desk.run(60)
    desk.control(kind, ControlScope.ACCOUNT, "x1")
    (alert,) = [each for each in desk.all_alerts() if each.kind is AlertKind.COMPLETION_AT_RISK]
    assert (alert.reason, alert.subject_id, alert.at_ns) == ("HELD", desk.parents()[0].parent_id, desk.now)
    assert f"{desk.last('X').leaves_qty} of parent" in alert.text


@STOPS
def test_what_must_be_done_and_was_never_worked_is_told_as_it_expires(kind: ControlKind) -> None:
    desk = Desk(fills)
    desk.control(kind, ControlScope.ALL)
    desk.control(ControlKind.RESUME, ControlScope.ALL)
    desk.order("X", "x1", 500, end_s=100, completion=Completion.MUST)
    desk.control(kind, ControlScope.ACCOUNT, "x1")
    desk.run(100)
    (alert,) = [each for each in desk.all_alerts() if each.kind is AlertKind.COMPLETION_AT_RISK]
    assert (alert.reason, alert.at_ns) == ("NEVER_WORKED", desk.now)
    assert (desk.last("X").kind, desk.last("X").at_ns) == (OrderEventKind.EXPIRED, desk.now)


@STOPS
@pytest.mark.parametrize("alone", [True, False])
def test_what_was_held_is_spread_over_the_time_left_when_it_comes_back(kind: ControlKind, alone: bool) -> None:
    desk = Desk(fills)
    desk.order("X", "x1", 500, end_s=600)
    if not alone:
        desk.order("Y", "y1", 500, end_s=600)
    desk.run(60)
    desk.control(kind, ControlScope.ACCOUNT, "x1")
    desk.run(270)
    held = desk.last("X")
    desk.control(ControlKind.RESUME, ControlScope.ACCOUNT, "x1")
    desk.run(30)
    assert desk.last("X").cum_qty - held.cum_qty <= held.leaves_qty * 30 // 270 + 20, "no burst"
    desk.run(240)
    assert (desk.last("X").kind, desk.last("X").cum_qty) == (OrderEventKind.FILLED, 500)
    desk.end_day()
    assert desk.off() == []
