"""Exchange calendars, from the library exchange_calendars: sessions with holidays and half days, settlement days.

Stages never see a calendar. What they need of it stands in the record of each instrument for the day (`instruments`):
:func:`day_of` makes that part, :func:`differences` compares a record with it. The library is the extra `calendars`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from pipeline.domain.dates import date_of
from pipeline.domain.reference import Instrument
from pipeline.domain.settlement import CYCLES, SettlementDates, regular_days, settlement_dates
from pipeline.domain.text import moment
from pipeline.domain.units import NS_PER_S
from pipeline.errors import WrongUse
from pipeline.runtime.extras import Extra, needs

_AROUND: Final = timedelta(days=40)
"""How far around a date a calendar is looked at: more than any row of holidays, and far less than its whole history."""
_US: Final = "XNYS"


class SessionOfDay(NamedTuple):
    """An exchange's session of one trading date, as its calendar has it."""

    calendar: str
    """The calendar's own name; aliases (XNAS) are resolved (XNYS)."""
    trade_date: int
    open_ns: int
    close_ns: int
    """Open and close, ns since 1970; a half day's close is the early one."""
    from_ns: int
    """Midnight of the trading date in the exchange's zone, or the opening if that is earlier."""
    early_close: bool
    settlement: SettlementDates | None
    """None where no settlement cycle is known for the calendar (`pipeline/domain/settlement.py`)."""


@lru_cache(maxsize=1_000)
def day_of(name: str, trade_date: int) -> SessionOfDay | None:
    """The session of ``trade_date`` (yyyymmdd) in the calendar called ``name`` (a MIC); None when there is none.

    Raises WrongUse for a calendar that is not known, for a number that is no date, and without the library.
    """
    try:
        day = date_of(trade_date)
    except ValueError as error:
        raise WrongUse(f"trade date {trade_date}: {error}; it is written yyyymmdd") from error
    calendar = _calendar(name, day)
    label = day.isoformat()
    if not calendar.is_session(label):
        return None
    open_ns, close_ns = _ns(calendar.session_open(label)), _ns(calendar.session_close(label))
    midnight = datetime(day.year, day.month, day.day, tzinfo=calendar.tz)
    known = str(calendar.name)
    dates = None
    if known in CYCLES:
        unscheduled = {stamp.date() for stamp in calendar.adhoc_holidays}

        def settles(each: date) -> bool:
            return _settles(known, each, calendar.is_session(each.isoformat()), each in unscheduled)

        dates = settlement_dates(trade_date, regular_days(trade_date, known), settles)
    return SessionOfDay(
        calendar=known,
        trade_date=trade_date,
        open_ns=open_ns,
        close_ns=close_ns,
        from_ns=min(open_ns, int(midnight.timestamp()) * NS_PER_S),
        early_close=any(stamp.date() == day for stamp in calendar.early_closes),
        settlement=dates,
    )


def applied(instrument: Instrument, session: SessionOfDay) -> Instrument:
    """The instrument's record for the session's day: its times, dates and moment of effect are the session's.

    Raises WrongUse where no settlement cycle is known for the calendar.
    """
    dates = session.settlement
    if dates is None:
        raise WrongUse(
            f"{session.calendar}: no settlement cycle is known for this calendar (known: {', '.join(CYCLES)}). Add its "
            "rule, with its dates, to CYCLES in pipeline/domain/settlement.py"
        )
    return replace(
        instrument,
        effective_ns=session.from_ns,
        session_open_ns=session.open_ns,
        session_close_ns=session.close_ns,
        calendar=session.calendar,
        trade_date=session.trade_date,
        cash_settlement_date=dates.cash,
        next_day_settlement_date=dates.next_day,
        regular_settlement_date=dates.regular,
    )


def differences(instrument: Instrument) -> list[str]:
    """In which fields a record that names a calendar differs from it, in words; empty when it agrees.

    Raises WrongUse as :func:`day_of` does.
    """
    session = day_of(instrument.calendar, instrument.trade_date)
    if session is None:
        return [f"trade_date: {instrument.trade_date} is no trading day of {instrument.calendar}"]
    found = [
        f"{field}: it is {said} ({moment(said)} UTC), on {session.trade_date} {session.calendar} has {known} "
        f"({moment(known)} UTC{', an early close' if early else ''})"
        for field, said, known, early in (
            ("session_open_ns", instrument.session_open_ns, session.open_ns, False),
            ("session_close_ns", instrument.session_close_ns, session.close_ns, session.early_close),
        )
        if said != known
    ]
    if session.settlement is not None:
        said_dates = SettlementDates(
            instrument.cash_settlement_date, instrument.next_day_settlement_date, instrument.regular_settlement_date
        )
        for kind, said, known in zip(said_dates._fields, said_dates, session.settlement, strict=True):
            if said != known:
                found.append(f"{kind}_settlement_date: it is {said}, by {session.calendar} it is {known}")
    return found


def _calendar(name: str, day: date) -> Any:
    with needs(Extra.CALENDARS):
        from exchange_calendars import get_calendar
        from exchange_calendars.errors import InvalidCalendarName
    try:
        return get_calendar(name, start=(day - _AROUND).isoformat(), end=(day + _AROUND).isoformat())
    except InvalidCalendarName as error:
        raise WrongUse(
            f"there is no exchange calendar {name!r}: give the MIC of the exchange, as XNYS, XNAS or XLON"
        ) from error
    except ValueError as error:
        raise WrongUse(f"calendar {name} does not reach {day}: {str(error).splitlines()[0]}") from error


def _ns(stamp: Any) -> int:
    # Sessions open and close on whole seconds; a float holds these exactly.
    return int(stamp.timestamp()) * NS_PER_S


def _settles(calendar: str, day: date, is_session: bool, unscheduled_closing: bool) -> bool:
    """Whether trades can settle on a day: the exchange has a session, and in the United States banks are open.

    A closing that no calendar knew a year before (a day of mourning) does not close the banks: what was to settle on
    it settled, as on 2025-01-09. A holiday of the exchange alone (Good Friday) is no settlement day.
    """
    if calendar != _US:
        return is_session
    return (is_session or unscheduled_closing) and day.weekday() < 5 and not _us_bank_holiday(day)


def _us_bank_holiday(day: date) -> bool:
    """The two federal bank holidays on which US exchanges trade: Columbus Day and Veterans Day.

    The Federal Reserve keeps one that falls on a Sunday on the Monday after, and one on a Saturday not at all.
    """
    if day.month == 10:
        return day.weekday() == 0 and 8 <= day.day <= 14
    return day.month == 11 and (day.day == 11 or (day.day == 12 and day.weekday() == 0))
