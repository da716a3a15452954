"""The last gate before `child-orders`: a pure function with limits of its own, independent of the algorithms.

It does not judge whether a child is clever, only whether it may be sent. It compares prices with the quote and with
what the market was before it (`second_opinion.py`), and counts rates and repeats itself (`gate_counters.py`). Each
refusal has one named reason, the first in the column; the quantity goes back to the parent once.

First form: open value and own resting orders come from the exposure ledger, so a wrong ledger misleads the gate too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from pipeline.domain.executions import ChildKind, ChildOrder
from pipeline.domain.market import NBBO, SessionState
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.domain.record import Kind
from pipeline.domain.reference import Limit
from pipeline.domain.times import age_ns
from pipeline.domain.units import MILLI_BPS_ONE, PPM_ONE
from pipeline.stages.routing.parameters import GateParameters
from pipeline.stages.routing.second_opinion import beyond


class GateReason(Kind):
    """Why a child was not sent. In `fills` and `alerts` it is written as ``GATE_<reason>``."""

    UNKNOWN = "UNKNOWN"
    KILLED = "KILLED"
    PAUSED = "PAUSED"
    STALE_HOLD = "STALE_HOLD"
    VENUE_BLOCKED = "VENUE_BLOCKED"
    NOT_A_NEW_ORDER = "NOT_A_NEW_ORDER"
    QUANTITY_NOT_POSITIVE = "QUANTITY_NOT_POSITIVE"
    UNPRICED = "UNPRICED"
    MARKET_NOT_OPEN = "MARKET_NOT_OPEN"
    NO_QUOTE = "NO_QUOTE"
    STALE_QUOTE = "STALE_QUOTE"
    CHILD_TOO_LARGE = "CHILD_TOO_LARGE"
    CHILD_VALUE_TOO_LARGE = "CHILD_VALUE_TOO_LARGE"
    CHILD_TO_PARENT_RATIO = "CHILD_TO_PARENT_RATIO"
    OUTSIDE_COLLAR = "OUTSIDE_COLLAR"
    OFF_REFERENCE = "OFF_REFERENCE"
    OUTSIDE_BANDS = "OUTSIDE_BANDS"
    SHORT_RESTRICTED = "SHORT_RESTRICTED"
    LOCKS_OR_CROSSES = "LOCKS_OR_CROSSES"
    TRADE_THROUGH = "TRADE_THROUGH"
    SELF_TRADE = "SELF_TRADE"
    PARENT_RATE = "PARENT_RATE"
    INSTRUMENT_RATE = "INSTRUMENT_RATE"
    VENUE_RATE = "VENUE_RATE"
    REPEATED_EXECUTION = "REPEATED_EXECUTION"
    OPEN_EXPOSURE = "OPEN_EXPOSURE"


def tightened(own: GateParameters, *limits: Limit | None) -> GateParameters:
    """``own`` tightened by the limits of scope GATE: of each number the smaller one. Nulls do not bind."""
    bound = [limit for limit in limits if limit is not None]
    if not bound:
        return own
    rate = _least(own.instrument_rate, *(limit.max_rate for limit in bound))
    ages = [own.max_quote_age_ns, *(limit.max_reference_age_ns for limit in bound)]
    known_ages = [age for age in ages if age is not None]
    return msgspec.structs.replace(
        own,
        max_child_qty=_least(own.max_child_qty, *(limit.max_order_qty for limit in bound)),
        max_child_value=_least(own.max_child_value, *(limit.max_order_value for limit in bound)),
        collar=_least(own.collar, *(limit.collar for limit in bound)),
        max_quote_age_ns=min(known_ages) if known_ages else None,
        max_exposure=_least(own.max_exposure, *(limit.max_exposure for limit in bound)),
        parent_rate=min(own.parent_rate, rate),
        instrument_rate=rate,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayedPrice:
    """A price displayed at a venue on the side a child would take from."""

    venue: str
    px: int


class Resting(NamedTuple):
    """An own child on the other side that may still execute; ``limit_px`` None: at any price."""

    venue: str
    limit_px: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateView:
    """What the gate knows when it judges a child."""

    now_ns: int
    quote: NBBO | None
    quote_age_ns: int | None = None
    """How old the quote is, where more is known of that than its own time; None: by that."""
    reference_px: int | None = None
    """What prices are held against beside the quote (`second_opinion.py`); None: nothing is known."""
    state: SessionState = SessionState.UNKNOWN
    lower_band_px: int | None = None
    upper_band_px: int | None = None
    short_restricted: bool = False
    killed: bool = False
    paused: bool = False
    held: bool = False
    blocked: bool = False
    parent_order_qty: int = 0
    """0 is unknown, and refused."""
    sent_by_parent: int = 0
    sent_by_instrument: int = 0
    sent_by_venue: int = 0
    """Children sent within the last second."""
    open_value: int = 0
    """1e-9 currency open in the instrument, this child not included."""
    repeats: int = 0
    """Executed children of this parent that were the same as this one, in a row."""
    shown: tuple[DisplayedPrice, ...] = ()
    """Best displayed prices a child of this side could take, by venue."""
    swept: tuple[str, ...] = ()
    """Venues whose displayed price this slice has already sent an order to (as intermarket sweeps do)."""
    resting: tuple[Resting, ...] = ()
    """Own children of the other side in this instrument."""


def refuse(child: ChildOrder, limits: GateParameters, view: GateView) -> GateReason | None:
    """Why `child` may not be sent, or None. Law and halts first, then kill, then the gate's limits."""
    R = GateReason
    quote, px = view.quote, child.limit_px
    pegged = child.ord_type is OrdType.PEGGED_MIDPOINT
    if child.kind is not ChildKind.NEW:
        return R.NOT_A_NEW_ORDER
    if view.state is not SessionState.OPEN:
        return R.MARKET_NOT_OPEN
    if view.killed:
        return R.KILLED
    if view.paused:
        return R.PAUSED
    if view.held:
        return R.STALE_HOLD
    if view.blocked:
        return R.VENUE_BLOCKED
    if child.order_qty <= 0:
        return R.QUANTITY_NOT_POSITIVE
    if not pegged and (child.ord_type is not OrdType.LIMIT or px is None):
        return R.UNPRICED
    if px is not None and px <= 0:
        return R.UNPRICED
    if quote is None or quote.bid_px is None or quote.offer_px is None:
        return R.NO_QUOTE
    if _is_stale(quote, limits, view):
        return R.STALE_QUOTE
    if child.order_qty > limits.max_child_qty:
        return R.CHILD_TOO_LARGE
    if child_value(child, quote) > limits.max_child_value:
        return R.CHILD_VALUE_TOO_LARGE
    if child.order_qty * PPM_ONE > limits.child_to_parent_ppm * view.parent_order_qty:
        return R.CHILD_TO_PARENT_RATIO
    if px is not None and not pegged and _beyond_collar(child.side, px, quote.bid_px, quote.offer_px, limits.collar):
        return R.OUTSIDE_COLLAR
    if _off_reference(child, quote.bid_px, quote.offer_px, limits, view):
        return R.OFF_REFERENCE
    reached_px = (quote.bid_px + quote.offer_px) // 2 if pegged else px
    if reached_px is not None and _outside_bands(child.side, reached_px, view):
        return R.OUTSIDE_BANDS
    if _breaks_short_rule(child, px, pegged, quote.bid_px, view):
        return R.SHORT_RESTRICTED
    if not pegged and child.time_in_force is not TimeInForce.IOC and _locks(child.side, px, quote):
        return R.LOCKS_OR_CROSSES
    if not pegged and _trades_through(child, px, view):
        return R.TRADE_THROUGH
    if meets_own(child.side, child.venue, px, view.resting):
        return R.SELF_TRADE
    if view.sent_by_parent >= limits.parent_rate:
        return R.PARENT_RATE
    if view.sent_by_instrument >= limits.instrument_rate:
        return R.INSTRUMENT_RATE
    if view.sent_by_venue >= limits.venue_rate:
        return R.VENUE_RATE
    if view.repeats >= limits.max_repeats:
        return R.REPEATED_EXECUTION
    if view.open_value + child_value(child, quote) > limits.max_exposure:
        return R.OPEN_EXPOSURE
    return None


def value_px(child: ChildOrder, quote: NBBO) -> int:
    """The price at which a child is valued, 1e-9 currency units: its limit; a peg at the offer, as no midpoint is
    above it."""
    peg = child.limit_px is None or child.ord_type is OrdType.PEGGED_MIDPOINT
    return (quote.offer_px or 0) if peg else (child.limit_px or 0)


def child_value(child: ChildOrder, quote: NBBO) -> int:
    """Quantity times :func:`value_px`, 1e-9 currency."""
    return child.order_qty * value_px(child, quote)


def _beyond_collar(side: Side, px: int, bid_px: int, offer_px: int, collar: int) -> bool:
    # Compared without division, so that nothing is rounded.
    if side is Side.BUY:
        return px * MILLI_BPS_ONE > offer_px * (MILLI_BPS_ONE + collar)
    return px * MILLI_BPS_ONE < bid_px * (MILLI_BPS_ONE - collar)


def _is_stale(quote: NBBO, limits: GateParameters, view: GateView) -> bool:
    by_its_time_ns = age_ns(quote.event_ns, view.now_ns, limits.quote_ahead_ns)
    if by_its_time_ns is None:
        return True  # a time to come is no age
    if limits.max_quote_age_ns is None:
        return False
    old_ns = by_its_time_ns if view.quote_age_ns is None else view.quote_age_ns
    return old_ns > limits.max_quote_age_ns


def _off_reference(child: ChildOrder, bid_px: int, offer_px: int, limits: GateParameters, view: GateView) -> bool:
    reference_px, collar = view.reference_px, limits.reference_collar
    if reference_px is None:
        return False
    if child.ord_type is not OrdType.PEGGED_MIDPOINT:
        # Far on our own side of the market it hurts nobody.
        return child.limit_px is not None and beyond(child.limit_px, reference_px, collar, child.side.sign)
    # A middle that is far from all recent ones is nobody's price, whomever it favours.
    middle_px = (bid_px + offer_px) // 2
    return (
        bid_px > offer_px or beyond(middle_px, reference_px, collar, 1) or beyond(middle_px, reference_px, collar, -1)
    )


def _outside_bands(side: Side, px: int, view: GateView) -> bool:
    # Only the side that could trade outside: a buy below the lower band just waits.
    if side is Side.BUY:
        return view.upper_band_px is not None and px > view.upper_band_px
    return view.lower_band_px is not None and px < view.lower_band_px


def _breaks_short_rule(child: ChildOrder, px: int | None, pegged: bool, bid_px: int, view: GateView) -> bool:
    # SEC Rule 201: under the restriction a short sale executes or is displayed only above the best bid. A midpoint
    # is above it, for the quote is not locked.
    if not view.short_restricted or child.side is not Side.SELL_SHORT or pegged:
        return False
    return px is None or px <= bid_px


def _locks(side: Side, px: int | None, quote: NBBO) -> bool:
    if px is None or quote.bid_px is None or quote.offer_px is None:
        return True
    return px >= quote.offer_px if side is Side.BUY else px <= quote.bid_px


def _trades_through(child: ChildOrder, px: int | None, view: GateView) -> bool:
    if px is None:
        return True
    for shown in view.shown:
        if shown.venue == child.venue or shown.venue in view.swept:
            continue
        if (shown.px < px) if child.side is Side.BUY else (shown.px > px):
            return True
    return False


def meets_own(side: Side, venue: str, limit_px: int | None, resting: tuple[Resting, ...]) -> bool:
    """Whether an order could execute against an own one of the other side; ``limit_px`` None: at any price."""
    for own in resting:
        if own.venue != venue:
            continue
        if limit_px is None or own.limit_px is None:
            return True
        if (limit_px >= own.limit_px) if side is Side.BUY else (limit_px <= own.limit_px):
            return True
    return False


def _least(own: int, *others: int | None) -> int:
    return min([own, *(other for other in others if other is not None)])
