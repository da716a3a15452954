"""When a trade settles: the regular cycle by market and date, the two shorter ones, counted over settlement days.

Sources: SEC Rule 15c6-1 (three days from 1995-06-07, two from 2017-09-05, one from 2024-05-28; five before, by custom);
the London market's change to two days on 2014-10-06, ahead of the EU's CSDR (2014). FIX SettlType (63): 0 regular, 1
cash, 2 next day.

A settlement day is one on which the exchange trades *and* banks pay: in the United States Columbus Day and Veterans Day
are trading days on which nothing settles (NASD Notice to Members 95-77). Which days those are is the calendar's
knowledge; `gateways/calendars.py` writes the dates into the instrument's record of the day.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from pipeline.domain.dates import as_trade_date, date_of
from pipeline.domain.orders import SettlementType
from pipeline.domain.reference import Instrument

_US: Final = ((0, 5), (19950607, 3), (20170905, 2), (20240528, 1))
_LONDON: Final = ((0, 3), (20141006, 2))
CYCLES: Final[dict[str, tuple[tuple[int, int], ...]]] = {"XNYS": _US, "XLON": _LONDON}
"""By calendar: (first trade date of the rule, yyyymmdd; settlement days from trade to regular settlement), by date.
What is said of London is meant for trades from 2005 on. A calendar belongs here once it is known on which of the
exchange's days nothing settles (`gateways/calendars.py`): for these two it is."""
ASSUMED_CALENDAR: Final = "XNYS"
ASSUMED_CURRENCY: Final = "USD"
"""Whose cycle is assumed, and for which instruments, where no record says when trades settle."""


class SettlementDates(NamedTuple):
    """When trades of one date settle, yyyymmdd, by type."""

    cash: int
    next_day: int
    regular: int


def regular_days(trade_date: int, calendar: str = ASSUMED_CALENDAR) -> int:
    """Settlement days from a trade of ``trade_date`` (yyyymmdd) to its regular settlement, 1 or more.

    Raises KeyError for a calendar whose cycle is not in :data:`CYCLES`.
    """
    return [days for first, days in CYCLES[calendar] if first <= trade_date][-1]


def settlement_dates(trade_date: int, days: int, settles: Callable[[date], bool]) -> SettlementDates:
    """The dates for trades of ``trade_date``: ``days`` is the regular cycle, ``settles`` says whether a day settles.

    A cash trade of a day that is none (a bank holiday on which the exchange trades) settles on the next one.
    """
    traded = day = date_of(trade_date)
    after: list[date] = []
    while len(after) < max(days, 1):
        day += timedelta(days=1)
        if settles(day):
            after.append(day)
    cash = traded if settles(traded) else after[0]
    return SettlementDates(as_trade_date(cash), as_trade_date(after[0]), as_trade_date(after[days - 1]))


@lru_cache(maxsize=64)
def weekday_dates(trade_date: int) -> SettlementDates:
    """The dates where no calendar is known: weekdays by the cycle of :data:`ASSUMED_CALENDAR`, holidays not skipped.

    Zeros for a number that is no date.
    """
    try:
        return settlement_dates(trade_date, regular_days(trade_date), lambda day: day.weekday() < 5)
    except (ValueError, OverflowError):
        return SettlementDates(0, 0, 0)


def assumed_date(currency: str, settlement_type: SettlementType, trade_date: int) -> int:
    """When a trade settles of which no record says it (yyyymmdd): over weekdays, or 0, not known, where even the cycle
    is not: outside of :data:`ASSUMED_CURRENCY`."""
    if currency != ASSUMED_CURRENCY:
        return 0
    return of_type(weekday_dates(trade_date), settlement_type)


def knows_settlement(instrument: Instrument, trade_date: int) -> bool:
    """Whether the instrument's record is that of ``trade_date`` and says when its trades settle."""
    return instrument.trade_date == trade_date and instrument.regular_settlement_date > 0


def settlement_date(instrument: Instrument, settlement_type: SettlementType, trade_date: int) -> int:
    """When a trade of ``trade_date`` settles (yyyymmdd): by the instrument's record of the day, else as assumed.

    What is assumed is told to the desk: see :func:`knows_settlement`.
    """
    if not knows_settlement(instrument, trade_date):
        return assumed_date(instrument.currency, settlement_type, trade_date)
    dates = SettlementDates(
        instrument.cash_settlement_date, instrument.next_day_settlement_date, instrument.regular_settlement_date
    )
    return of_type(dates, settlement_type)


def of_type(dates: SettlementDates, settlement_type: SettlementType) -> int:
    """The date of one type. UNKNOWN, which intake refuses, counts as regular."""
    match settlement_type:
        case SettlementType.CASH:
            return dates.cash
        case SettlementType.NEXT_DAY:
            return dates.next_day
        case SettlementType.REGULAR | SettlementType.UNKNOWN:
            return dates.regular
