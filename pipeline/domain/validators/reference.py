"""Validators of reference data: what could not be worked with is refused when it is loaded, and again at the door.

They give *every* fault of a record, not the first: whoever edits a file mends it in one go. A record with a fault is
not used and the version before it stays in force, with two exceptions, which only ever stop something: an instrument on
the restricted list whose record is wrong otherwise is removed (nothing is traded in it), and a crossing rule that
forbids holds whatever its other numbers. A removal needs its key and its time only.

Whatever divides by, multiplies with or counts by a number of these records relies on the ranges below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from pipeline.domain.dates import date_of, is_date
from pipeline.domain.int64 import LONG_MAX
from pipeline.domain.orders import AccountClass, Capacity
from pipeline.domain.reference import (
    Account,
    CrossingRule,
    Instrument,
    Limit,
    LimitScope,
    PriceRule,
    ReferenceKind,
    Venue,
    VenueKind,
)
from pipeline.domain.units import MILLI_BPS_ONE, NS_PER_S, PPM_ONE, PX_ONE
from pipeline.domain.validators.faults import NS_MAX, PX_MAX, QTY_MAX, Checked, Fault, R, SetAsideReason

SESSION_LEAST_NS: Final = 60 * NS_PER_S
"""The shortest session: volume is counted in its minutes."""
SESSION_MOST: Final = timedelta(days=7)
"""How long after its trading date a session may close: foreign exchange has sessions of a week."""
LATENCY_MOST_NS: Final = 60 * NS_PER_S
"""The longest way to a venue that is believed."""
FEE_MOST_PX: Final = 1_000 * PX_ONE
"""The largest fee or rebate for a unit that is believed."""
SETTLES_WITHIN: Final = timedelta(days=31)
"""The longest from trade to settlement that is believed."""
_NAME_MOST: Final = 200
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_SOURCE: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")

_BINDS: Final = {
    LimitScope.FIRM: frozenset({"max_backlog_ns"}),
    LimitScope.ACCOUNT: frozenset({"max_exposure"}),
    LimitScope.GATE: frozenset({"max_exposure"}),
}
"""Which of the two numbers that do not bind everywhere a scope is bound by."""


def is_source_name(name: str) -> bool:
    """Whether a source of this name can have a topic of its own: a Kafka topic name is at most 249 of these characters,
    and the prefix takes its part."""
    return _SOURCE.fullmatch(name) is not None


# ---------------------------------------------------------------------- one validator for each record


def check_instrument(record: Instrument) -> Checked[Instrument]:
    """Tick, lot, session, prices, dates. A restricted instrument with faults is removed: nothing is traded in it."""
    faults = tuple(_instrument_faults(record))
    if not faults:
        return Checked(record)
    return Checked(removed_if_restricted(record), faults)


def removed_if_restricted(record: Instrument) -> Instrument | None:
    """What is left of a record that is not believed: the removal of a restricted instrument, else nothing."""
    stops = record.kind is ReferenceKind.SET and record.restricted and bool(record.instrument)
    return replace(record, kind=ReferenceKind.REMOVE) if stops and 0 <= record.effective_ns <= NS_MAX else None


def check_account(record: Account) -> Checked[Account]:
    """Source, class. Empty owner or control group are allowed: such an account crosses with nobody, by name."""
    return _checked(record, _account_faults(record))


def check_venue(record: Venue) -> Checked[Venue]:
    """Kind, fees, latency, smallest order."""
    return _checked(record, _venue_faults(record))


def check_limit(record: Limit) -> Checked[Limit]:
    """Scope and numbers; a number that its scope is not bound by is a fault, since whoever wrote it relies on it."""
    return _checked(record, _limit_faults(record))


def check_crossing_rule(record: CrossingRule) -> Checked[CrossingRule]:
    """Classes, price rule, limits of the price, share of the spread. A rule that forbids holds in spite of faults."""
    faults = tuple(_rule_faults(record))
    forbids = forbids_crossing(record) and bool(record.rule_id) and 0 <= record.effective_ns <= NS_MAX
    return Checked(record if not faults or forbids else None, faults)


def forbids_crossing(record: CrossingRule) -> bool:
    """Whether a rule only ever stops something."""
    return record.kind is ReferenceKind.SET and not record.allowed


def removes(record: Instrument | Account | Venue) -> bool:
    """Whether a record only takes away: nothing is traded any more where it stood."""
    return record.kind is ReferenceKind.REMOVE


def _checked(record: R, faults: Iterator[Fault]) -> Checked[R]:
    found = tuple(faults)
    return Checked(None if found else record, found)


# ---------------------------------------------------------------------- faults


def _instrument_faults(r: Instrument) -> Iterator[Fault]:
    yield from _key_faults(r.kind, r.effective_ns, "instrument", r.instrument)
    if r.kind is not ReferenceKind.SET:
        return
    if _CURRENCY.fullmatch(r.currency) is None:
        yield _fault(SetAsideReason.BAD_NAME, f"currency is {r.currency!r}: three capital letters, as USD")
    yield from _range_faults("tick_px", r.tick_px, 2, PX_MAX)
    if r.tick_px > 0 and r.tick_px % 2:
        yield _fault(SetAsideReason.OUT_OF_RANGE, f"tick_px is {r.tick_px}: it must be even, for half a tick is exact")
    yield from _range_faults("lot_qty", r.lot_qty, 1, QTY_MAX)
    yield from _range_faults("round_lot_qty", r.round_lot_qty, 1, QTY_MAX)
    yield from _range_faults("reference_px", r.reference_px, 0, PX_MAX)
    yield from _range_faults("daily_volume_qty", r.daily_volume_qty, 0, QTY_MAX)
    px = max(r.tick_px, r.reference_px)
    if 0 < px <= PX_MAX and 0 < r.lot_qty <= QTY_MAX and px * r.lot_qty > LONG_MAX:
        text = f"lot_qty {r.lot_qty} at a price of {px} is worth more than 64 bits hold: no order could be taken"
        yield _fault(SetAsideReason.OUT_OF_RANGE, text)
    yield from _session_faults(r)
    yield from _date_faults(r)


def _session_faults(r: Instrument) -> Iterator[Fault]:
    for field, at_ns in (("session_open_ns", r.session_open_ns), ("session_close_ns", r.session_close_ns)):
        if not 0 <= at_ns <= NS_MAX:
            yield _fault(SetAsideReason.BAD_TIME, f"{field} is {at_ns}: nanoseconds since 1970, up to the year 2096")
    length_ns = r.session_close_ns - r.session_open_ns
    if length_ns <= 0:
        text = f"session_open_ns {r.session_open_ns} is not before session_close_ns {r.session_close_ns}"
        yield _fault(SetAsideReason.CONTRADICTION, text)
    elif length_ns < SESSION_LEAST_NS:
        text = f"the session lasts {length_ns} ns: a minute ({SESSION_LEAST_NS}) at the least"
        yield _fault(SetAsideReason.CONTRADICTION, text)


def _date_faults(r: Instrument) -> Iterator[Fault]:
    dates = {
        "trade_date": r.trade_date,
        "cash_settlement_date": r.cash_settlement_date,
        "next_day_settlement_date": r.next_day_settlement_date,
        "regular_settlement_date": r.regular_settlement_date,
    }
    bad = [field for field, number in dates.items() if number and not is_date(number)]
    for field in bad:
        yield _fault(SetAsideReason.BAD_TIME, f"{field} is {dates[field]}: no date as yyyymmdd")
    _, *settles = dates.values()
    if any(settles) and not all(dates.values()):
        missing = ", ".join(field for field, number in dates.items() if not number)
        yield _fault(
            SetAsideReason.CONTRADICTION, f"{missing} not given: trade_date and all three settlement dates, or none"
        )
        return
    if r.calendar and not any(settles):
        text = f"calendar is {r.calendar}: `pipeline reference sessions` fills in trade_date and settlement dates"
        yield _fault(SetAsideReason.CONTRADICTION, text)
    if bad or not r.trade_date:
        return
    day = date_of(r.trade_date)
    if 0 <= r.session_open_ns < r.session_close_ns <= NS_MAX:
        opens, closes = _utc_date(r.session_open_ns), _utc_date(r.session_close_ns)
        if abs((opens - day).days) > 1 or closes - day > SESSION_MOST:
            text = f"trade_date is {r.trade_date}, and the session is from {opens} to {closes} (dates in UTC)"
            yield _fault(SetAsideReason.CONTRADICTION, text)
    if any(settles):
        if not r.trade_date <= settles[0] <= settles[1] <= settles[2]:
            written = ", ".join(map(str, settles))
            text = f"settlement dates {written} of {r.trade_date} are not in order: cash, next day, regular"
            yield _fault(SetAsideReason.CONTRADICTION, text)
        elif date_of(settles[2]) - day > SETTLES_WITHIN:
            text = f"regular_settlement_date {settles[2]} is more than {SETTLES_WITHIN.days} days after {r.trade_date}"
            yield _fault(SetAsideReason.OUT_OF_RANGE, text)


def _account_faults(r: Account) -> Iterator[Fault]:
    yield from _key_faults(r.kind, r.effective_ns, "account", r.account)
    if r.kind is not ReferenceKind.SET:
        return
    if not is_source_name(r.source):
        text = f"source is {r.source!r}: 1 to 200 of A-Z, a-z, 0-9, `.`, `_`, `-`, for it is part of a topic's name"
        yield _fault(SetAsideReason.BAD_NAME if r.source else SetAsideReason.MISSING_NAME, text)
    if r.account_class is AccountClass.UNKNOWN:
        yield _fault(SetAsideReason.UNKNOWN_KIND, f"account_class is none of {_known(AccountClass)}")


def _venue_faults(r: Venue) -> Iterator[Fault]:
    yield from _key_faults(r.kind, r.effective_ns, "venue", r.venue)
    if r.kind is not ReferenceKind.SET:
        return
    if r.venue_kind is VenueKind.UNKNOWN:
        yield _fault(SetAsideReason.UNKNOWN_KIND, f"venue_kind is none of {_known(VenueKind)}")
    yield from _range_faults("maker_fee_px", r.maker_fee_px, -FEE_MOST_PX, FEE_MOST_PX)
    yield from _range_faults("taker_fee_px", r.taker_fee_px, -FEE_MOST_PX, FEE_MOST_PX)
    yield from _range_faults("latency_ns", r.latency_ns, 0, LATENCY_MOST_NS)
    yield from _range_faults("latency_jitter_ns", r.latency_jitter_ns, 0, LATENCY_MOST_NS)
    yield from _range_faults("min_qty", r.min_qty, 1, QTY_MAX)


def _limit_faults(r: Limit) -> Iterator[Fault]:
    yield from _key_faults(r.kind, r.effective_ns, "", "")
    match r.scope:
        case LimitScope.UNKNOWN:
            yield _fault(SetAsideReason.UNKNOWN_KIND, f"scope is none of {_known(LimitScope)}")
        case LimitScope.FIRM if r.scope_id:
            text = f"scope_id is {r.scope_id!r}: it is empty for FIRM, which is bound as a whole"
            yield _fault(SetAsideReason.CONTRADICTION, text)
        case LimitScope.SOURCE | LimitScope.ACCOUNT | LimitScope.INSTRUMENT:
            yield from _name_faults("scope_id", r.scope_id)
        case LimitScope.GATE if r.scope_id:
            yield from _name_faults("scope_id", r.scope_id)
        case _:
            pass
    if r.kind is not ReferenceKind.SET:
        return
    numbers = {
        "max_order_qty": r.max_order_qty,
        "max_order_value": r.max_order_value,
        "max_reference_age_ns": r.max_reference_age_ns,
        "max_exposure": r.max_exposure,
        "max_rate": r.max_rate,
        "max_backlog_ns": r.max_backlog_ns,
    }
    for field, number in numbers.items():
        if number is not None:
            yield from _range_faults(field, number, 0, LONG_MAX)
    if r.collar is not None:
        yield from _range_faults("collar", r.collar, 0, MILLI_BPS_ONE)
    if r.scope is not LimitScope.UNKNOWN:
        for field in ("max_exposure", "max_backlog_ns"):
            if numbers[field] is not None and field not in _BINDS.get(r.scope, ()):
                where = " and ".join(scope.value for scope, fields in _BINDS.items() if field in fields)
                yield _fault(
                    SetAsideReason.CONTRADICTION, f"{field} does not bind {r.scope}, only {where}: leave it out"
                )


def _rule_faults(r: CrossingRule) -> Iterator[Fault]:
    yield from _key_faults(r.kind, r.effective_ns, "rule_id", r.rule_id)
    if r.kind is not ReferenceKind.SET:
        return
    if AccountClass.UNKNOWN in (r.one_class, r.other_class):
        yield _fault(SetAsideReason.UNKNOWN_KIND, f"one_class or other_class is none of {_known(AccountClass)}")
    if r.capacity is Capacity.UNKNOWN:
        yield _fault(SetAsideReason.UNKNOWN_KIND, f"capacity is none of {_known(Capacity)}")
    if r.price_rule is PriceRule.UNKNOWN:
        yield _fault(SetAsideReason.UNKNOWN_KIND, f"price_rule is none of {_known(PriceRule)}")
    yield from _range_faults("max_quote_age_ns", r.max_quote_age_ns, 0, LONG_MAX)
    yield from _range_faults("max_spread", r.max_spread, 0, MILLI_BPS_ONE)
    yield from _range_faults("max_move", r.max_move, 0, MILLI_BPS_ONE)
    yield from _range_faults("min_quote_qty", r.min_quote_qty, 0, QTY_MAX)
    yield from _range_faults("price_improvement_share", r.price_improvement_share, 0, PPM_ONE)
    if r.allowed and not r.authority.strip():
        text = "authority is empty: a rule that allows crosses names the law or agreement it relies on"
        yield _fault(SetAsideReason.MISSING_NAME, text)


# ---------------------------------------------------------------------- parts


def _utc_date(at_ns: int) -> date:
    return datetime.fromtimestamp(at_ns // NS_PER_S, tz=UTC).date()


def _key_faults(kind: ReferenceKind, effective_ns: int, field: str, key: str) -> Iterator[Fault]:
    if kind is ReferenceKind.UNKNOWN:
        yield _fault(SetAsideReason.UNKNOWN_KIND, "kind is neither SET nor REMOVE")
    if field:
        yield from _name_faults(field, key)
    if not 0 <= effective_ns <= NS_MAX:
        yield _fault(
            SetAsideReason.BAD_TIME, f"effective_ns is {effective_ns}: nanoseconds since 1970, up to the year 2096"
        )


def _name_faults(field: str, name: str) -> Iterator[Fault]:
    if not name:
        yield _fault(SetAsideReason.MISSING_NAME, f"{field} is empty")
    elif name != name.strip() or not name.isprintable() or len(name) > _NAME_MOST:
        text = f"{field} is {name[:_NAME_MOST]!r}: names are compared as they stand, so without spaces around them"
        yield _fault(SetAsideReason.BAD_NAME, f"{text}, printable, at most {_NAME_MOST} characters")


def _range_faults(field: str, number: int, least: int, most: int) -> Iterator[Fault]:
    if not least <= number <= most:
        yield _fault(SetAsideReason.OUT_OF_RANGE, f"{field} is {number}: it must be from {least} to {most}")


def _known(kind: type[AccountClass] | type[VenueKind] | type[LimitScope] | type[Capacity] | type[PriceRule]) -> str:
    return ", ".join(symbol.value for symbol in kind if symbol.value != "UNKNOWN")


def _fault(reason: SetAsideReason, text: str) -> Fault:
    return Fault(reason, text)
