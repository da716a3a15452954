"""Members of parents come, leave, are stopped and resumed while venues answer, keep silent, are late or lie: no member
delays another, every quantity has an owner, and with the day all of it has ended.

The whole engine in memory, steered by a seed; books are kept from the records alone (`pipeline/audit/invariants.py`).
"""

from __future__ import annotations

from random import Random

import pytest

from pipeline.domain.controls import AlertKind, ControlKind, ControlScope
from pipeline.domain.executions import ChildKind, ChildOrder
from pipeline.domain.orders import OrderEventKind, Side, Strategy, TimeInForce
from pipeline.domain.parents import ParentKind, ParentOrder, Slice, SliceKind
from tests.scripted_desk import Desk

ACCOUNTS = ("x1", "x2", "y1", "y2", "z1")


class Moody:
    """Venues that do with a child what a seeded draw says, at once or some time later."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.later: list[tuple[str, ChildOrder]] = []

    def __call__(self, desk: Desk, child: ChildOrder) -> None:
        draw = self._random.random()
        if child.kind is ChildKind.CANCEL:
            if draw < 0.6:
                self.act(desk, "cancel", child)
            elif draw < 0.9:
                self.later.append(("cancel", child))
            return
        if draw < 0.15:
            self.later.append(("fill", child))  # silent for now, perhaps for ever
            return
        desk.acknowledge(child)
        if child.time_in_force is TimeInForce.IOC:
            self.act(desk, "fill" if draw < 0.7 else "end", child)
        else:
            self.later.append(("fill", child))

    def act(self, desk: Desk, what: str, child: ChildOrder) -> None:
        order = desk.child(child.child_id)
        left = order.order_qty - desk.done_qty(order)
        if desk.is_over(order) or left <= 0:
            return
        if what == "fill":
            desk.trade(order, left if self._random.random() < 0.5 else self._random.randint(1, left))
        else:
            desk.canceled(child)

    def wake(self, desk: Desk) -> None:
        """Something that waited happens now."""
        if self.later:
            self.act(desk, *self.later.pop(self._random.randrange(len(self.later))))


def play(seed: int, seconds: int = 240) -> Desk:
    random = Random(seed)
    venues = Moody(random)
    desk = Desk(venues, window_s=5)
    open_orders: list[tuple[str, str]] = []
    stopped: list[tuple[ControlScope, str]] = []
    sides = (Side.BUY,) if seed % 3 else (Side.BUY, Side.SELL)
    for second in range(seconds):
        draw = random.random()
        if draw < 0.12 and second < seconds - 30:
            account, name = random.choice(ACCOUNTS), f"O{second}"
            strategy = random.choice((Strategy.TWAP, Strategy.TWAP, Strategy.VWAP))
            desk.order(name, account, random.randint(1, 400), random.choice(sides), end_s=seconds, strategy=strategy)
            open_orders.append((name, account))
        elif draw < 0.2 and open_orders:
            desk.cancel(*open_orders.pop(random.randrange(len(open_orders))))
        elif draw < 0.26:
            scope, whom = random.choice(((ControlScope.ACCOUNT, random.choice(ACCOUNTS)), (ControlScope.SOURCE, "x")))
            desk.control(random.choice((ControlKind.KILL, ControlKind.PAUSE)), scope, whom)
            stopped.append((scope, whom))
        elif draw < 0.32 and stopped:
            desk.control(ControlKind.RESUME, *stopped.pop(random.randrange(len(stopped))))
        for _ in range(random.randrange(4)):
            venues.wake(desk)
        desk.run(1)
    desk.run(20)
    desk.end_day()
    for _ in range(10):
        venues.wake(desk)  # after the day's end: booked, with an owner
    return desk


@pytest.mark.parametrize("seed", range(10))
def test_every_quantity_has_an_owner_and_no_member_delays_another(seed: int) -> None:
    desk = play(seed)
    assert desk.off() == []
    reasons = [reason for _, reason in desk.alerts()]
    assert "LEFT_QUANTITY" not in reasons and "MEMBERS_UNTOLD" not in reasons
    _all_has_ended_with_the_day(desk)
    _epochs_follow_their_recalls_at_once(desk)
    # What venues execute of children we sent finds a member with room, until the orders have ended with the day.
    assert [a for a in desk.all_alerts() if a.kind is AlertKind.OVERFILL and a.at_ns < desk.now] == []


def _all_has_ended_with_the_day(desk: Desk) -> None:
    ends = (OrderEventKind.FILLED, OrderEventKind.CANCELED, OrderEventKind.EXPIRED)
    ended = {each.order_id: each.at_ns for each in desk.order_events() if each.kind in ends}
    accepted = {each.order_id for each in desk.order_events() if each.kind is OrderEventKind.ACCEPTED}
    assert set(ended) == accepted and max(ended.values(), default=0) <= desk.now


def _epochs_follow_their_recalls_at_once(desk: Desk) -> None:
    """No recall waits for a venue: the next epoch, or the parent's end, has the same moment."""
    begun: dict[str, int] = {}
    for each in desk.all(ParentOrder):
        if each.kind is ParentKind.RECALL:
            begun[each.parent_id] = each.at_ns
        elif each.kind in (ParentKind.EPOCH, ParentKind.DONE) and each.parent_id in begun:
            assert each.at_ns == begun.pop(each.parent_id)
    ending = {each.parent_id for each in desk.all(Slice) if each.kind is SliceKind.FINISH}
    assert set(begun) <= ending
