"""The last gate: a table of what must not be sent, and counts of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pipeline.domain.controls import Control, ControlKind, ControlScope
from pipeline.domain.executions import ChildKind, ChildOrder
from pipeline.domain.market import NBBO, QuoteKind, SessionState
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.domain.reference import Limit, LimitScope, ReferenceKind
from pipeline.domain.units import NS_PER_S
from pipeline.stages.routing.gate import (
    DisplayedPrice,
    GateReason,
    GateView,
    Resting,
    child_value,
    refuse,
    tightened,
)
from pipeline.stages.routing.gate_counters import GateBook
from pipeline.stages.routing.parameters import GateParameters
from pipeline.state import State, Task

PX = 10_000_000
BID, OFFER = 10_000 * PX, 10_002 * PX
NOW = 1_000 * NS_PER_S
R = GateReason

QUOTE = NBBO(
    kind=QuoteKind.NBBO,
    instrument="A",
    feed="f",
    event_ns=NOW - NS_PER_S,
    received_ns=NOW,
    quote_no=1,
    bid_px=BID,
    bid_qty=100,
    bid_venue="V",
    offer_px=OFFER,
    offer_qty=100,
    offer_venue="V",
)
CHILD = ChildOrder(
    kind=ChildKind.NEW,
    child_id="C",
    wire_id="",
    parent_id="P",
    slice_no=1,
    epoch_no=1,
    venue="V",
    instrument="A",
    side=Side.BUY,
    order_qty=100,
    ord_type=OrdType.LIMIT,
    limit_px=BID,
    time_in_force=TimeInForce.DAY,
    post_only=True,
    sent_ns=NOW,
)
CROSSED = msgspec.structs.replace(QUOTE, bid_px=OFFER, offer_px=BID)
FUTURE = msgspec.structs.replace(QUOTE, event_ns=NOW + 3_600 * NS_PER_S)
SOON = msgspec.structs.replace(QUOTE, event_ns=NOW + NS_PER_S)
VIEW = GateView(now_ns=NOW, quote=QUOTE, state=SessionState.OPEN, parent_order_qty=100)
LIMITS = GateParameters()
TAKE: dict[str, Any] = {"limit_px": OFFER, "time_in_force": TimeInForce.IOC, "post_only": False}
SELL_TAKE: dict[str, Any] = {**TAKE, "side": Side.SELL, "limit_px": BID}
PEG: dict[str, Any] = {"ord_type": OrdType.PEGGED_MIDPOINT, "limit_px": None, "post_only": False}


@pytest.mark.parametrize(
    ("child", "view", "limits", "reason"),
    [
        ({}, {}, {}, None),
        (TAKE, {}, {}, None),
        (PEG, {}, {}, None),
        ({"kind": ChildKind.REPLACE}, {}, {}, R.NOT_A_NEW_ORDER),
        ({}, {"killed": True}, {}, R.KILLED),
        ({}, {"paused": True}, {}, R.PAUSED),
        ({}, {"held": True}, {}, R.STALE_HOLD),
        ({}, {"blocked": True}, {}, R.VENUE_BLOCKED),
        ({}, {"state": SessionState.HALTED, "killed": True}, {}, R.MARKET_NOT_OPEN),  # halts before kill
        ({}, {"state": SessionState.UNKNOWN}, {}, R.MARKET_NOT_OPEN),  # no word of the venue is no permission
        ({"order_qty": 0}, {}, {}, R.QUANTITY_NOT_POSITIVE),
        ({"ord_type": OrdType.MARKET, "limit_px": None}, {}, {}, R.UNPRICED),
        ({"limit_px": None}, {}, {}, R.UNPRICED),
        ({"limit_px": 0}, {}, {}, R.UNPRICED),
        ({}, {"quote": None}, {}, R.NO_QUOTE),
        ({}, {"quote": msgspec.structs.replace(QUOTE, bid_px=None)}, {}, R.NO_QUOTE),
        (PEG, {"quote": msgspec.structs.replace(QUOTE, offer_px=None)}, {}, R.NO_QUOTE),
        ({}, {}, {"max_quote_age_ns": NS_PER_S}, None),
        ({}, {}, {"max_quote_age_ns": NS_PER_S - 1}, R.STALE_QUOTE),
        ({}, {}, {"max_child_qty": 100}, None),
        ({}, {}, {"max_child_qty": 99}, R.CHILD_TOO_LARGE),
        ({}, {}, {"max_child_value": 100 * BID}, None),
        ({}, {}, {"max_child_value": 100 * BID - 1}, R.CHILD_VALUE_TOO_LARGE),
        (PEG, {}, {"max_child_value": 100 * OFFER - 1}, R.CHILD_VALUE_TOO_LARGE),  # a peg counts at the offer
        ({}, {"parent_order_qty": 200}, {"child_to_parent_ppm": 500_000}, None),
        ({}, {"parent_order_qty": 199}, {"child_to_parent_ppm": 500_000}, R.CHILD_TO_PARENT_RATIO),
        ({}, {"parent_order_qty": 0}, {}, R.CHILD_TO_PARENT_RATIO),  # unknown is refused
        ({**TAKE, "limit_px": OFFER * 101 // 100}, {}, {"collar": 100_000}, None),  # 1 % beyond, exactly
        ({**TAKE, "limit_px": OFFER * 101 // 100 + 1}, {}, {"collar": 100_000}, R.OUTSIDE_COLLAR),
        ({**SELL_TAKE, "limit_px": BID * 99 // 100}, {}, {"collar": 100_000}, None),
        ({**SELL_TAKE, "limit_px": BID * 99 // 100 - 1}, {}, {"collar": 100_000}, R.OUTSIDE_COLLAR),
        ({"limit_px": BID // 2}, {}, {"collar": 100_000}, None),  # far behind the market hurts nobody
        (TAKE, {"reference_px": OFFER * 100 // 105 + 1}, {}, None),  # 5 % above, exactly
        (TAKE, {"reference_px": OFFER * 100 // 105}, {}, R.OFF_REFERENCE),
        (SELL_TAKE, {"reference_px": BID * 100 // 95}, {}, None),
        (SELL_TAKE, {"reference_px": BID * 100 // 95 + 1}, {}, R.OFF_REFERENCE),
        (SELL_TAKE, {"reference_px": BID // 2}, {}, None),  # too good for us is the venue's to bust, not ours to fear
        ({"limit_px": BID // 2}, {"reference_px": BID}, {}, None),
        (PEG, {"reference_px": (BID + OFFER) // 2}, {}, None),
        (PEG, {"reference_px": BID * 2}, {}, R.OFF_REFERENCE),
        (PEG, {"reference_px": BID // 2}, {}, R.OFF_REFERENCE),
        ({**PEG, "side": Side.SELL}, {"reference_px": BID * 2}, {}, R.OFF_REFERENCE),
        (PEG, {"reference_px": BID, "quote": CROSSED}, {}, R.OFF_REFERENCE),  # a crossed market has no middle
        (PEG, {"upper_band_px": BID}, {}, R.OUTSIDE_BANDS),
        ({**PEG, "side": Side.SELL}, {"lower_band_px": OFFER}, {}, R.OUTSIDE_BANDS),
        ({}, {"quote": FUTURE}, {}, R.STALE_QUOTE),  # a time to come is no age
        ({}, {"quote": FUTURE}, {"max_quote_age_ns": NS_PER_S}, R.STALE_QUOTE),
        ({}, {"quote": SOON}, {"max_quote_age_ns": NS_PER_S}, None),  # since the last tick
        ({}, {"quote_age_ns": NS_PER_S}, {"max_quote_age_ns": NS_PER_S}, None),
        ({}, {"quote_age_ns": NS_PER_S + 1}, {"max_quote_age_ns": NS_PER_S}, R.STALE_QUOTE),
        (TAKE, {"upper_band_px": OFFER}, {}, None),
        (TAKE, {"upper_band_px": OFFER - 1}, {}, R.OUTSIDE_BANDS),
        (SELL_TAKE, {"lower_band_px": BID + 1}, {}, R.OUTSIDE_BANDS),
        ({**SELL_TAKE, "side": Side.SELL_SHORT}, {"short_restricted": True}, {}, R.SHORT_RESTRICTED),
        ({**SELL_TAKE, "side": Side.SELL_SHORT}, {}, {}, None),
        (SELL_TAKE, {"short_restricted": True}, {}, None),  # a long sale
        ({**SELL_TAKE, "side": Side.SELL_SHORT_EXEMPT}, {"short_restricted": True}, {}, None),
        ({"side": Side.SELL_SHORT, "limit_px": OFFER}, {"short_restricted": True}, {}, None),  # above the bid
        ({"limit_px": OFFER - 1}, {}, {}, None),
        ({"limit_px": OFFER}, {}, {}, R.LOCKS_OR_CROSSES),
        ({"side": Side.SELL, "limit_px": BID}, {}, {}, R.LOCKS_OR_CROSSES),
        ({**TAKE, "limit_px": OFFER + 1}, {"shown": (DisplayedPrice(venue="V", px=OFFER),)}, {}, None),  # its own venue
        (TAKE, {"shown": (DisplayedPrice(venue="W", px=OFFER),)}, {}, None),  # not through it
        ({**TAKE, "limit_px": OFFER + 1}, {"shown": (DisplayedPrice(venue="W", px=OFFER),)}, {}, R.TRADE_THROUGH),
        ({**TAKE, "limit_px": OFFER + 1}, {"shown": (DisplayedPrice(venue="W", px=OFFER),), "swept": ("W",)}, {}, None),
        ({**SELL_TAKE, "limit_px": BID - 1}, {"shown": (DisplayedPrice(venue="W", px=BID),)}, {}, R.TRADE_THROUGH),
        (TAKE, {"resting": (Resting(venue="V", limit_px=OFFER),)}, {}, R.SELF_TRADE),
        (TAKE, {"resting": (Resting(venue="V", limit_px=OFFER + 1),)}, {}, None),  # would not meet
        (TAKE, {"resting": (Resting(venue="W", limit_px=OFFER),)}, {}, None),  # not there
        (SELL_TAKE, {"resting": (Resting(venue="V", limit_px=BID),)}, {}, R.SELF_TRADE),
        (PEG, {"resting": (Resting(venue="V", limit_px=OFFER * 2),)}, {}, R.SELF_TRADE),  # a peg meets any price
        (TAKE, {"resting": (Resting(venue="V", limit_px=None),)}, {}, R.SELF_TRADE),
        ({}, {"sent_by_parent": 4}, {"parent_rate": 5}, None),
        ({}, {"sent_by_parent": 5}, {"parent_rate": 5}, R.PARENT_RATE),
        ({}, {"sent_by_instrument": 5}, {"instrument_rate": 5}, R.INSTRUMENT_RATE),
        ({}, {"sent_by_venue": 5}, {"venue_rate": 5}, R.VENUE_RATE),
        ({}, {"repeats": 5}, {"max_repeats": 5}, R.REPEATED_EXECUTION),
        ({}, {"open_value": 1}, {"max_exposure": 100 * BID + 1}, None),
        ({}, {"open_value": 2}, {"max_exposure": 100 * BID + 1}, R.OPEN_EXPOSURE),
    ],
)
def test_what_may_not_leave(
    child: dict[str, Any], view: dict[str, Any], limits: dict[str, Any], reason: GateReason | None
) -> None:
    got = refuse(
        msgspec.structs.replace(CHILD, **child), msgspec.structs.replace(LIMITS, **limits), replace(VIEW, **view)
    )
    assert got is reason


def test_every_reason_is_tried() -> None:
    marks: Any = test_what_may_not_leave
    rows = marks.pytestmark[0].args[1]
    assert {row[3] for row in rows} == {None, *R} - {R.UNKNOWN}


def test_a_limit_can_only_make_the_gate_tighter() -> None:
    def limit(**more: Any) -> Limit:
        return Limit(kind=ReferenceKind.SET, scope=LimitScope.GATE, effective_ns=0, **more)

    assert tightened(LIMITS, None, None) == LIMITS
    assert tightened(LIMITS, limit()) == LIMITS
    loose = limit(max_order_qty=10**9, max_order_value=10**18, max_exposure=10**18, max_rate=10**6, collar=10**7)
    assert tightened(LIMITS, loose) == LIMITS
    got = tightened(
        LIMITS, limit(max_order_qty=50, max_rate=30, max_reference_age_ns=9), limit(max_order_qty=70, collar=1)
    )
    assert (got.max_child_qty, got.collar, got.max_quote_age_ns) == (50, 1, 9)
    assert (got.parent_rate, got.instrument_rate, got.venue_rate) == (30, 30, LIMITS.venue_rate)


class Some(State):
    def __init__(self) -> None:
        super().__init__(Task("some", 0, 1))
        self.book = GateBook(self, NS_PER_S)


def sent_at(now_ns: int, **more: Any) -> ChildOrder:
    return msgspec.structs.replace(CHILD, sent_ns=now_ns, **more)


def test_rates_count_the_last_second_only() -> None:
    state = Some()
    for at_ns in (NOW, NOW, NOW + NS_PER_S // 2):
        state.book.sent(sent_at(at_ns), at_ns)
    for key in ("parent/P", "instrument/A", "venue/V"):
        assert state.book.sent_within_a_second(key, NOW + NS_PER_S // 2) == 3
        assert state.book.sent_within_a_second(key, NOW + NS_PER_S) == 1
        assert state.book.sent_within_a_second(key, NOW + 2 * NS_PER_S) == 0
    assert state.book.sent_within_a_second("parent/Q", NOW) == 0


def test_open_value_follows_what_opens_and_ends() -> None:
    state = Some()
    state.book.opened("A", child_value(CHILD, QUOTE))
    state.book.opened("A", -40 * BID)
    assert state.book.open_value("A") == 60 * BID and state.book.open_value("B") == 0


def test_the_same_executed_child_again_and_again_is_counted_and_disabled_until_the_desk_looks() -> None:
    state = Some()
    for n in range(4):
        now_ns = NOW + n * 1_000
        assert state.book.repeats(sent_at(now_ns)) == n
        state.book.sent(sent_at(now_ns), now_ns)
        state.book.executed("P")
    other = sent_at(NOW + 4_000, order_qty=99)
    assert state.book.repeats(other) == 0
    assert state.book.repeats(sent_at(NOW + 10 * NS_PER_S)) == 0, "a second later it is not a runaway"
    state.book.disable("P")
    assert state.book.repeats(other) > 10**6 and state.book.repeats(sent_at(NOW + 10 * NS_PER_S)) > 10**6

    def resume(scope: ControlScope, scope_id: str) -> None:
        kind = ControlKind.RESUME
        state.book.on_control(
            Control(kind=kind, control_id="C", scope=scope, scope_id=scope_id, who="d", why="w", at_ns=0)
        )

    resume(ControlScope.PARENT, "Q")
    assert state.book.repeats(other) > 10**6
    resume(ControlScope.INSTRUMENT, "A")
    assert state.book.repeats(other) == 0


def test_children_that_did_not_execute_do_not_count_as_repeats() -> None:
    state = Some()
    for n in range(5):
        state.book.sent(sent_at(NOW + n), NOW + n)
    assert state.book.repeats(sent_at(NOW + 9)) == 0
