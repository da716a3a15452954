"""The text of a refusal: what was wrong, where, and what to send instead. Made only when an order is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pipeline.domain.int64 import LONG_MAX
from pipeline.domain.orders import OrderRequest, OrdType
from pipeline.domain.reference import Limit
from pipeline.domain.rejections import RejectReason as R
from pipeline.domain.units import PX_ONE
from pipeline.stages.intake.checks import (
    TIMES,
    Facts,
    bad_value,
    bad_window,
    end_ns,
    limit_below_age,
    limit_below_qty,
    limit_below_value,
    limit_of_collar,
    long_text,
    order_value,
)


def decimal(amount: int, places: int = 0) -> str:
    """A price or money in 1e-9 currency units as an exact decimal of at least ``places`` places.

    100005000000 is ``100.005``.
    """
    whole, fraction = divmod(abs(amount), PX_ONE)
    digits = f"{fraction:09d}".rstrip("0").ljust(places, "0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' if digits else ''}{digits}"


def milli_bps(amount: int) -> str:
    """Thousandths of a basis point as an exact decimal of basis points: 100500 is ``100.5``."""
    return decimal(amount * (PX_ONE // 1000))


def whose(limit: Limit) -> str:
    """The limit's scope: ``ACCOUNT A1``."""
    return f"{limit.scope} {limit.scope_id}".rstrip()


def text_of(reason: R, r: OrderRequest, f: Facts) -> str:
    """The text for ``reason``, which :func:`~pipeline.stages.intake.checks.refusal` gave for ``r`` and ``f``.

    Raises KeyError for a reason that is not in :data:`REASONS`.
    """
    return _TEXTS[reason](r, f)


def _off_tick(r: OrderRequest, f: Facts) -> str:
    px, tick = r.limit_px or 0, f.instrument.tick_px if f.instrument else 1
    below = px - px % tick
    places = len(decimal(tick).partition(".")[2])
    choices = [decimal(choice, places) for choice in (below, below + tick) if choice > 0]
    return f"limit_px {decimal(px, places)} is not on the tick {decimal(tick)}: send {' or '.join(choices)}"


def _off_lot(r: OrderRequest, f: Facts) -> str:
    qty, lot = r.order_qty or 0, f.instrument.lot_qty if f.instrument else 1
    below = qty - qty % lot
    choices = [str(choice) for choice in (below, below + lot) if choice > 0]
    return f"order_qty {qty} is not a multiple of the lot {lot}: send {' or '.join(choices)}"


def _too_large(r: OrderRequest, f: Facts) -> str:
    limit = limit_below_qty(r, f)
    if limit is None:
        return f"order_qty {r.order_qty} is above {f.parameters.largest_order_qty}, the largest that is taken at all"
    return f"order_qty {r.order_qty} is above the {limit.max_order_qty} of {whose(limit)}: send smaller orders"


def _value_too_large(r: OrderRequest, f: Facts) -> str:
    value = order_value(r, f)
    limit = limit_below_value(value, f)
    if limit is None:
        return f"the value {decimal(value)} is above {decimal(LONG_MAX)}, the largest amount a message can carry"
    return f"the value {decimal(value)} is above the {decimal(limit.max_order_value or 0)} of {whose(limit)}"


def _outside_collar(r: OrderRequest, f: Facts) -> str:
    limit = _found(limit_of_collar(r, f))
    return (
        f"limit_px {decimal(r.limit_px or 0)} is beyond the reference {decimal(f.reference_px or 0)} by more than the "
        f"{milli_bps(limit.collar or 0)} bps of {whose(limit)}"
    )


def _stale(r: OrderRequest, f: Facts) -> str:
    limit = _found(limit_below_age(f))
    return (
        f"the last quote of {r.instrument} is {f.quote_age_ns} ns old, more than the "
        f"{limit.max_reference_age_ns} of {whose(limit)}: send again when there are quotes"
    )


def _found(limit: Limit | None) -> Limit:
    assert limit is not None, "the guard found a limit that refuses"
    return limit


def _bad_value(r: OrderRequest, f: Facts) -> str:
    name = bad_value(r, f)
    if name is not None and name == long_text(r, f.parameters.longest_text):
        return f"{name} is longer than {f.parameters.longest_text}, the most that is taken"
    if name == "allowed_venues":
        return "allowed_venues names a venue twice"
    if name in TIMES and (getattr(r, name) or 0) >= 0:
        return f"{name} {getattr(r, name)} lies after the time at which the request came, {f.append_ns}"
    return f"{name} has a value that means nothing here: {getattr(r, name or '', None)}"


def _no_limit(r: OrderRequest, f: Facts) -> str:
    missing = f"account {r.account} has no credit limit" if f.limits else "the firm has no limit"
    return f"{missing}: nothing is taken until one is set on the topic limits"


def _credit(r: OrderRequest, f: Facts) -> str:
    leased = LONG_MAX if f.lease is None or f.lease.leased is None else f.lease.leased
    return (
        f"the value {decimal(order_value(r, f))} and the {decimal(f.reserved)} open on this side of account "
        f"{r.account} are above the {decimal(leased)} leased here"
    )


def _rate(r: OrderRequest, f: Facts) -> str:
    limit = f.over_rate
    return f"more than {limit.max_rate} orders in one second of {whose(limit)}: send slower" if limit else ""


_TEXTS: Final[dict[R, Callable[[OrderRequest, Facts], str]]] = {
    R.MISSING_SIDE: lambda r, f: "side is missing: send BUY, SELL, SELL_SHORT or SELL_SHORT_EXEMPT",
    R.CASH_QUANTITY: lambda r, f: "cash_order_qty is not supported: send order_qty",
    R.FRACTIONAL_QUANTITY: lambda r, f: "fractional_qty is not supported: send whole units in order_qty",
    R.MISSING_QUANTITY: lambda r, f: "order_qty is missing",
    R.QUANTITY_NOT_POSITIVE: lambda r, f: f"order_qty {r.order_qty} is not above 0",
    R.MIN_QUANTITY_TOO_LARGE: lambda r, f: f"min_qty {r.min_qty} is above order_qty {r.order_qty}",
    R.UNSUPPORTED_ORDER_TYPE: lambda r, f: (
        "ord_type is missing: send MARKET or LIMIT"
        if r.ord_type is OrdType.UNKNOWN
        else f"ord_type {r.ord_type} is not supported: send MARKET or LIMIT"
    ),
    R.MISSING_LIMIT_PRICE: lambda r, f: "ord_type LIMIT needs limit_px",
    R.UNEXPECTED_LIMIT_PRICE: lambda r, f: "ord_type MARKET has no limit_px: leave it out or send LIMIT",
    R.PRICE_NOT_POSITIVE: lambda r, f: f"limit_px {decimal(r.limit_px or 0)} is not above 0",
    R.AUCTION_NOT_SUPPORTED: lambda r, f: f"time_in_force {r.time_in_force} is an auction order: not supported yet",
    R.UNSUPPORTED_TIME_IN_FORCE: lambda r, f: (
        f"time_in_force {r.time_in_force} is not supported"
        f"{'' if r.expire_ns is None else f' to {r.expire_ns}, beyond today'}: send DAY, or GTD within today's session"
    ),
    R.UNSUPPORTED_STRATEGY: lambda r, f: f"strategy {r.strategy} is not supported yet: send VWAP or TWAP",
    R.BAD_PARTICIPATION_CAP: lambda r, f: (
        f"participation_cap {r.participation_cap} is not between 1 and 1000000 parts per million"
    ),
    R.BAD_VALUE: _bad_value,
    R.UNKNOWN_ACCOUNT: lambda r, f: f"account {r.account!r} is not known (names are compared exactly)",
    R.ACCOUNT_NOT_OF_SOURCE: lambda r, f: f"source {r.source} may not send for account {r.account}",
    R.UNKNOWN_INSTRUMENT: lambda r, f: f"instrument {r.instrument!r} is not known (symbols are compared exactly)",
    R.RESTRICTED_INSTRUMENT: lambda r, f: f"instrument {r.instrument} is on the restricted list",
    R.LOCATE_REQUIRED: lambda r, f: f"{r.instrument} is hard to borrow: a short sale needs locate_id",
    R.KILLED: lambda r, f: "the desk has stopped new orders here; cancels are taken",
    R.QUANTITY_NOT_IN_LOTS: _off_lot,
    R.PRICE_NOT_ON_TICK: _off_tick,
    R.UNKNOWN_VENUE: lambda r, f: f"allowed_venues names {f.unknown_venue!r}, which is not known",
    R.MARKET_CLOSED: lambda r, f: f"the session of {r.instrument} has closed",
    R.BAD_TIME_WINDOW: lambda r, f: (bad_window(r, f.instrument) or "") if f.instrument else "",
    R.ALREADY_ENDED: lambda r, f: (
        f"the end {end_ns(r, f.instrument) if f.instrument else 0} is not after now, {f.now_ns}"
    ),
    R.NO_LIMIT_SET: _no_limit,
    R.RATE_EXCEEDED: _rate,
    R.ORDER_TOO_LARGE: _too_large,
    R.NO_REFERENCE_PRICE: lambda r, f: f"{r.instrument} has neither a quote of today nor a last close: send a limit",
    R.STALE_REFERENCE_PRICE: _stale,
    R.ORDER_VALUE_TOO_LARGE: _value_too_large,
    R.OUTSIDE_COLLAR: _outside_collar,
    R.CREDIT_EXCEEDED: _credit,
}

REASONS: Final = frozenset(_TEXTS)
"""Every reason for which the guards refuse a new order."""
