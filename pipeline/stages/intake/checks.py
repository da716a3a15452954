"""The checks of a new order: columns of guards, each with the one reason that it refuses for.

The first guard that fails gives the reason. The order of the functions is the order of precedence: what the request is
in itself; who may send it and for what (law before the desk's kill); then time; then limits, the costliest to compute
last. Nothing is ever rounded, clamped or guessed to make an order fit. ``refusal_texts.py`` has the texts for people.

Decisions, first form:

- Symbols, accounts, sources and venues are compared exactly as sent: ``amzn`` is not ``AMZN``.
- DAY is accepted; GTD only when it expires within today's session; GTC, IOC and FOK are refused by name, auction orders
  with a reason of their own. ``expire_ns`` belongs to GTD and is refused with any other time in force.
- An order says whether it is MARKET or LIMIT. An order type that is not said, or not known, is not guessed from the
  limit.
- ``end_ns`` may not be after the session's close. ``start_ns`` may lie before the open or in the past. No time lies
  before 1970, and ``transact_ns`` not after the broker had the request (but for what clocks differ by).
- Without a limit for the firm and a credit lease for the account nothing is accepted: unset is not unlimited.
- A reference price is needed for the collar of a limit, and for the value of an order without limit when value or
  credit is bound. It is the last quote of today, refused when older than the tightest ``max_reference_age_ns``; before
  today's first quote it is the instrument's last close.
- A buy is valued at its limit, a sale at the higher of limit and reference (it may well trade above its limit), an
  order without limit at the reference.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.domain.controls import CreditLease
from pipeline.domain.int64 import LONG_MAX
from pipeline.domain.orders import (
    Capacity,
    Completion,
    OrderRequest,
    OrdType,
    SettlementType,
    Side,
    Strategy,
    TimeInForce,
    Urgency,
)
from pipeline.domain.reference import Account, Instrument, Limit
from pipeline.domain.rejections import RejectReason as R
from pipeline.domain.units import MILLI_BPS_ONE, PPM_ONE
from pipeline.stages.intake.parameters import IntakeParameters

_TYPES: Final = frozenset({OrdType.MARKET, OrdType.LIMIT})
_AUCTIONS: Final = frozenset({TimeInForce.AT_THE_OPENING, TimeInForce.AT_THE_CLOSE})
_TIMES_IN_FORCE: Final = frozenset({TimeInForce.DAY, TimeInForce.GTD})
_STRATEGIES: Final = frozenset({Strategy.VWAP, Strategy.TWAP})
_SHORTS: Final = frozenset({Side.SELL_SHORT, Side.SELL_SHORT_EXEMPT})


TIMES: Final = ("start_ns", "end_ns", "expire_ns", "transact_ns")
TEXTS: Final = (
    *(
        "orig_cl_ord_id",
        "list_id",
        "account",
        "instrument",
        "locate_id",
        "allowed_venues",
        "directed_broker",
        "mandate",
    ),
)
"""Fields with texts. Source and cl_ord_id are the request's name, and are checked first of all."""


class Facts(msgspec.Struct):
    """What the guards look at besides the request, gathered once per order. Neither a message nor state."""

    now_ns: int
    append_ns: int
    """The broker's append time of the request."""
    parameters: IntakeParameters
    account: Account | None
    instrument: Instrument | None
    killed: bool = False
    unknown_venue: str | None = None
    limits: tuple[Limit, ...] = ()
    """Those in force for firm, source, account and instrument; empty when the firm has none."""
    over_rate: Limit | None = None
    """The limit whose rate (orders per second) this order exceeds."""
    quote_px: int | None = None
    """The last midpoint of today in 1e-9 currency units, None when there was none."""
    quote_age_ns: int = 0
    """How old that midpoint is."""
    lease: CreditLease | None = None
    reserved: int = 0
    """Value of the orders open on this side of the account, in this partition, in 1e-9 currency units."""

    @property
    def reference_px(self) -> int | None:
        """Today's last midpoint, else the last close; None when there is neither."""
        if self.quote_px is not None:
            return self.quote_px
        return self.instrument.reference_px if self.instrument and self.instrument.reference_px > 0 else None


def refusal(r: OrderRequest, f: Facts) -> R | None:
    """Why the new order ``r`` is refused, or None."""
    return check_request(r, f) or check_standing(r, f) or check_time(r, f) or check_limits(r, f)


def check_request(r: OrderRequest, f: Facts) -> R | None:
    """What the request is in itself."""
    if r.side is Side.UNKNOWN:
        return R.MISSING_SIDE
    if r.cash_order_qty is not None:
        return R.CASH_QUANTITY
    if r.fractional_qty:
        return R.FRACTIONAL_QUANTITY
    if r.order_qty is None:
        return R.MISSING_QUANTITY
    if r.order_qty <= 0:
        return R.QUANTITY_NOT_POSITIVE
    if r.min_qty is not None and r.min_qty > r.order_qty:
        return R.MIN_QUANTITY_TOO_LARGE
    if r.ord_type not in _TYPES:
        return R.UNSUPPORTED_ORDER_TYPE
    if r.ord_type is OrdType.LIMIT and r.limit_px is None:
        return R.MISSING_LIMIT_PRICE
    if r.ord_type is OrdType.MARKET and r.limit_px is not None:
        return R.UNEXPECTED_LIMIT_PRICE
    if r.limit_px is not None and r.limit_px <= 0:
        return R.PRICE_NOT_POSITIVE
    if r.time_in_force in _AUCTIONS:
        return R.AUCTION_NOT_SUPPORTED
    if r.time_in_force not in _TIMES_IN_FORCE:
        return R.UNSUPPORTED_TIME_IN_FORCE
    if r.strategy not in _STRATEGIES:
        return R.UNSUPPORTED_STRATEGY
    if r.participation_cap is not None and not 0 < r.participation_cap <= PPM_ONE:
        return R.BAD_PARTICIPATION_CAP
    if bad_value(r, f) is not None:
        return R.BAD_VALUE
    return None


def bad_value(r: OrderRequest, f: Facts) -> str | None:
    """The name of a field whose value this version does not understand or allow, if there is one."""
    if r.capacity is Capacity.UNKNOWN:
        return "capacity"
    if r.settlement_type is SettlementType.UNKNOWN:
        return "settlement_type"
    if r.urgency is Urgency.UNKNOWN:
        return "urgency"
    if r.completion is Completion.UNKNOWN:
        return "completion"
    if r.min_qty is not None and r.min_qty < 0:
        return "min_qty"
    if r.risk_aversion is not None and r.risk_aversion < 0:
        return "risk_aversion"
    for name in TIMES:
        if (getattr(r, name) or 0) < 0:
            return name
    if r.transact_ns is not None and r.transact_ns > f.append_ns + f.parameters.transact_ahead_ns:
        return "transact_ns"
    if r.allowed_venues and len(set(r.allowed_venues)) < len(r.allowed_venues):
        return "allowed_venues"
    return long_text(r, f.parameters.longest_text)


def long_text(r: OrderRequest, longest: int) -> str | None:
    """The name of a field with more than ``longest`` characters, or venues, if there is one; cl_ord_id apart."""
    for name in TEXTS:
        text = getattr(r, name)
        if text and len(text) > longest:
            return name
    return None


def check_standing(r: OrderRequest, f: Facts) -> R | None:
    """Who sends it, for which account and instrument."""
    if f.account is None:
        return R.UNKNOWN_ACCOUNT
    if f.account.source != r.source:
        return R.ACCOUNT_NOT_OF_SOURCE
    if f.instrument is None:
        return R.UNKNOWN_INSTRUMENT
    if f.instrument.restricted:
        return R.RESTRICTED_INSTRUMENT
    if f.instrument.hard_to_borrow and r.side in _SHORTS and not r.locate_id:
        return R.LOCATE_REQUIRED
    if f.killed:
        return R.KILLED
    if (r.order_qty or 0) % f.instrument.lot_qty:
        return R.QUANTITY_NOT_IN_LOTS
    if r.limit_px is not None and r.limit_px % f.instrument.tick_px:
        return R.PRICE_NOT_ON_TICK
    if f.unknown_venue is not None:
        return R.UNKNOWN_VENUE
    return None


def check_time(r: OrderRequest, f: Facts) -> R | None:
    """Whether there is time left to work it today."""
    assert f.instrument is not None, "check_standing comes first"
    if f.now_ns >= f.instrument.session_close_ns:
        return R.MARKET_CLOSED
    if r.time_in_force is TimeInForce.GTD and (r.expire_ns or 0) > f.instrument.session_close_ns:
        return R.UNSUPPORTED_TIME_IN_FORCE
    if bad_window(r, f.instrument) is not None:
        return R.BAD_TIME_WINDOW
    if end_ns(r, f.instrument) <= f.now_ns:
        return R.ALREADY_ENDED
    return None


def end_ns(r: OrderRequest, instrument: Instrument) -> int:
    """When work on the order ends, in session ns: its own end, its expiry or the close, whichever is first."""
    end = instrument.session_close_ns if r.end_ns is None else r.end_ns
    return end if r.expire_ns is None else min(end, r.expire_ns)


def bad_window(r: OrderRequest, instrument: Instrument) -> str | None:
    """What is wrong with the order's times, in words, if anything is."""
    end = end_ns(r, instrument)
    if (r.expire_ns is None) is (r.time_in_force is TimeInForce.GTD):
        return "expire_ns and time_in_force GTD belong together"
    if r.start_ns is not None and r.start_ns >= end:
        return f"start_ns {r.start_ns} is not before the end {end}"
    if end <= instrument.session_open_ns:
        return f"the end {end} is not after the open {instrument.session_open_ns}"
    if (r.end_ns or 0) > instrument.session_close_ns:
        return f"end_ns {r.end_ns} is after the close {instrument.session_close_ns}"
    return None


def check_limits(r: OrderRequest, f: Facts) -> R | None:
    """Size, rate, value, collar, credit."""
    if not f.limits or f.lease is None:
        return R.NO_LIMIT_SET
    if f.over_rate is not None:
        return R.RATE_EXCEEDED
    if (r.order_qty or 0) > f.parameters.largest_order_qty or limit_below_qty(r, f) is not None:
        return R.ORDER_TOO_LARGE
    if needs_reference(r, f):
        if f.reference_px is None:
            return R.NO_REFERENCE_PRICE
        if limit_below_age(f) is not None:
            return R.STALE_REFERENCE_PRICE
    value = order_value(r, f)
    if value > LONG_MAX or limit_below_value(value, f) is not None:
        return R.ORDER_VALUE_TOO_LARGE
    if limit_of_collar(r, f) is not None:
        return R.OUTSIDE_COLLAR
    if f.reserved + value > (LONG_MAX if f.lease.leased is None else f.lease.leased):
        return R.CREDIT_EXCEEDED
    return None


def needs_reference(r: OrderRequest, f: Facts) -> bool:
    """Whether a limit that binds this order cannot be applied without a reference price."""
    if r.limit_px is None and f.lease is not None and f.lease.leased is not None:
        return True
    return any((limit.max_order_value if r.limit_px is None else limit.collar) is not None for limit in f.limits)


def order_value(r: OrderRequest, f: Facts) -> int:
    """What the order may cost or bring, in 1e-9 currency units; 0 where it has no price and none is needed."""
    limit_px, reference_px = r.limit_px, f.reference_px or 0
    if limit_px is None:
        px = reference_px
    elif r.side is Side.BUY:
        px = limit_px
    else:
        px = max(limit_px, reference_px)
    return (r.order_qty or 0) * px


# The first limit that refuses, for the guard and for its text. Plain loops: they run for every order.


def limit_below_qty(r: OrderRequest, f: Facts) -> Limit | None:
    """The first limit whose largest quantity the order exceeds."""
    for limit in f.limits:
        if limit.max_order_qty is not None and (r.order_qty or 0) > limit.max_order_qty:
            return limit
    return None


def limit_below_value(value: int, f: Facts) -> Limit | None:
    """The first limit whose largest value ``value`` (1e-9 currency units) exceeds."""
    for limit in f.limits:
        if limit.max_order_value is not None and value > limit.max_order_value:
            return limit
    return None


def limit_below_age(f: Facts) -> Limit | None:
    """The first limit that today's last quote is too old for. A last close has no age."""
    if f.quote_px is None:
        return None
    for limit in f.limits:
        if limit.max_reference_age_ns is not None and f.quote_age_ns > limit.max_reference_age_ns:
            return limit
    return None


def limit_of_collar(r: OrderRequest, f: Facts) -> Limit | None:
    """The first limit whose price collar ``limit_px`` is outside of: a buy above the reference, a sale below it."""
    reference_px = f.reference_px
    if r.limit_px is None or reference_px is None:
        return None
    beyond = (r.limit_px - reference_px) * r.side.sign * MILLI_BPS_ONE
    for limit in f.limits:
        if limit.collar is not None and beyond > limit.collar * reference_px:
            return limit
    return None
