"""Settlement dates: the regular cycle by date, the shorter types, days on which nothing settles."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from pipeline.domain.orders import SettlementType
from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.domain.settlement import (
    CYCLES,
    SettlementDates,
    assumed_date,
    knows_settlement,
    of_type,
    regular_days,
    settlement_date,
    settlement_dates,
    weekday_dates,
)


@pytest.mark.parametrize(
    ("trade_date", "days"),
    [
        (19950606, 5), (19950607, 3), (20120621, 3), (20170904, 3), (20170905, 2), (20240524, 2), (20240527, 2),
        (20240528, 1), (20261128, 1),
    ],
)  # fmt: skip
def test_the_regular_cycle_of_the_united_states_by_trade_date(trade_date: int, days: int) -> None:
    assert regular_days(trade_date) == days


def test_other_markets_have_cycles_of_their_own_and_an_unknown_one_has_none() -> None:
    assert [regular_days(20240528, name) for name in ("XNYS", "XLON")] == [1, 2]
    assert [regular_days(20141005, "XLON"), regular_days(20141006, "XLON")] == [3, 2]
    with pytest.raises(KeyError):
        regular_days(20240527, "XTKS")
    for rows in CYCLES.values():
        assert rows[0][0] == 0 and list(rows) == sorted(rows) and all(days >= 1 for _, days in rows)


@pytest.mark.parametrize(
    ("trade_date", "dates", "why"),
    [
        (20120621, (20120621, 20120622, 20120626), "T+3 over a weekend"),
        (20170901, (20170901, 20170904, 20170906), "the last day of T+3, its holiday not known"),
        (20170905, (20170905, 20170906, 20170907), "the first day of T+2"),
        (20240528, (20240528, 20240529, 20240529), "the first day of T+1"),
        (20260109, (20260109, 20260112, 20260112), "a Friday"),
        (20260110, (20260112, 20260112, 20260112), "a Saturday: nothing settles on it"),
        (20261231, (20261231, 20270101, 20270101), "over the year"),
        (0, (0, 0, 0), "no date"),
        (99_999_999, (0, 0, 0), "no date"),
        (99991231, (0, 0, 0), "no day after it"),
    ],
)
def test_without_a_calendar_weekdays_are_counted(trade_date: int, dates: tuple[int, int, int], why: str) -> None:
    assert weekday_dates(trade_date) == dates, why


def test_a_cash_trade_of_a_day_on_which_banks_rest_settles_on_the_next_day_they_do_not() -> None:
    def settles(day: date) -> bool:
        return day.weekday() < 5 and day != date(1995, 10, 9)

    assert settlement_dates(19951009, 3, settles) == (19951010, 19951010, 19951012)
    assert settlement_dates(19951006, 3, settles) == (19951006, 19951010, 19951012)


DATES = SettlementDates(20240524, 20240528, 20240529)


@pytest.mark.parametrize(
    ("kind", "settled"),
    [
        (SettlementType.CASH, 20240524),
        (SettlementType.NEXT_DAY, 20240528),
        (SettlementType.REGULAR, 20240529),
        (SettlementType.UNKNOWN, 20240529),
    ],
)
def test_the_type_chooses_among_the_dates_of_the_instruments_record(kind: SettlementType, settled: int) -> None:
    known = Instrument(
        kind=ReferenceKind.SET, instrument="X", effective_ns=1, tick_px=2, session_open_ns=1, session_close_ns=2,
        reference_px=1, daily_volume_qty=1, calendar="XNYS", trade_date=20240524, cash_settlement_date=DATES.cash,
        next_day_settlement_date=DATES.next_day, regular_settlement_date=DATES.regular,
    )  # fmt: skip
    assert of_type(DATES, kind) == settled
    assert knows_settlement(known, 20240524) and settlement_date(known, kind, 20240524) == settled
    # Outside of USD nothing is assumed, not even the cycle: 0 says so.
    assert assumed_date("USD", kind, 20240528) == of_type(weekday_dates(20240528), kind)
    assert assumed_date("JPY", kind, 20240528) == settlement_date(replace(known, currency="JPY"), kind, 20240527) == 0
    # A record of another day says nothing of this one: weekdays are counted (here over a holiday it cannot know).
    assert not knows_settlement(known, 20240527)
    assert settlement_date(known, kind, 20240527) == of_type(weekday_dates(20240527), kind)
