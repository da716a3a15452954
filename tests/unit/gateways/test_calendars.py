"""Exchange calendars: sessions, holidays, half days and zones; settlement dates as the authorities published them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.errors import WrongUse
from pipeline.gateways.calendars import applied, day_of, differences

pytest.importorskip("exchange_calendars")


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


INSTRUMENT = Instrument(
    kind=ReferenceKind.SET, instrument="X", effective_ns=1, tick_px=2, session_open_ns=1, session_close_ns=2,
    reference_px=1, daily_volume_qty=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "day", "opens", "closes", "early"),
    [
        ("XNYS", 20120621, "2012-06-21T13:30", "2012-06-21T20:00", False),
        ("XNYS", 20121121, "2012-11-21T14:30", "2012-11-21T21:00", False),
        ("XNYS", 20121123, "2012-11-23T14:30", "2012-11-23T18:00", True),
        ("XNYS", 20241224, "2024-12-24T14:30", "2024-12-24T18:00", True),
        ("XNAS", 20240308, "2024-03-08T14:30", "2024-03-08T21:00", False),
        ("XNAS", 20240311, "2024-03-11T13:30", "2024-03-11T20:00", False),
        ("XLON", 20240328, "2024-03-28T08:00", "2024-03-28T16:30", False),
        ("XLON", 20240402, "2024-04-02T07:00", "2024-04-02T15:30", False),
        ("XASX", 20260105, "2026-01-04T23:00", "2026-01-05T05:00", False),
    ],
)
def test_a_session_in_utc_follows_the_exchanges_zone_and_its_half_days(
    name: str, day: int, opens: str, closes: str, early: bool
) -> None:
    session = day_of(name, day)
    assert session is not None
    assert (session.open_ns, session.close_ns, session.early_close) == (ns(opens), ns(closes), early)
    assert session.trade_date == day and session.from_ns <= session.open_ns


@pytest.mark.parametrize("day", [20121122, 20121225, 20240527, 20240622, 20250109])
def test_a_holiday_has_no_session(day: int) -> None:
    assert day_of("XNYS", day) is None


@pytest.mark.parametrize(
    ("day", "dates", "source"),
    [
        # The columns: trade date; cash, next day, regular.
        (19881103, (19881103, 19881104, 19881110), "NASD Notice 88-82: Veterans Day, T+5"),
        (19881104, (19881104, 19881107, 19881114), "NASD Notice 88-82"),
        (19881110, (19881110, 19881114, 19881118), "NASD Notice 88-82"),
        (19881111, (19881114, 19881114, 19881118), "NASD Notice 88-82: combined with the day before"),
        (19951003, (19951003, 19951004, 19951006), "NASD Notice 95-77: Columbus Day"),
        (19951006, (19951006, 19951010, 19951012), "NASD Notice 95-77"),
        (19951009, (19951010, 19951010, 19951012), "NASD Notice 95-77: combined with the day before"),
        (19980408, (19980408, 19980409, 19980414), "NASD Notice 97-93: Good Friday"),
        (19980409, (19980409, 19980413, 19980415), "NASD Notice 97-93"),
        (20001222, (20001222, 20001226, 20001228), "NASD Notice 00-82: Christmas on a Monday"),
        (20001229, (20001229, 20010102, 20010104), "NASD Notice 00-82: New Year"),
        (20120621, (20120621, 20120622, 20120626), "T+3"),
        (20121121, (20121121, 20121123, 20121127), "Thanksgiving"),
        (20121123, (20121123, 20121126, 20121128), "its half day"),
        (20170901, (20170901, 20170905, 20170907), "the last day of T+3, over Labor Day"),
        (20170905, (20170905, 20170906, 20170907), "the first day of T+2"),
        (20240524, (20240524, 20240528, 20240529), "the last day of T+2, over Memorial Day"),
        (20240528, (20240528, 20240529, 20240529), "the first day of T+1"),
        (20241011, (20241011, 20241015, 20241015), "Columbus Day"),
        (20241224, (20241224, 20241226, 20241226), "Christmas"),
        (20250108, (20250108, 20250109, 20250109), "the exchange closed for mourning, banks were open"),
    ],
)
def test_settlement_dates_are_those_that_were_published(day: int, dates: tuple[int, int, int], source: str) -> None:
    session = day_of("XNYS", day)
    assert session is not None and session.settlement == dates, source


def test_the_record_of_a_day_is_the_calendars_and_is_found_equal_to_it() -> None:
    session = day_of("XNAS", 20121123)
    assert session is not None
    record = applied(INSTRUMENT, session)
    assert record == replace(
        INSTRUMENT, effective_ns=ns("2012-11-23T05:00"), session_open_ns=ns("2012-11-23T14:30"),
        session_close_ns=ns("2012-11-23T18:00"), calendar="XNYS", trade_date=20121123, cash_settlement_date=20121123,
        next_day_settlement_date=20121126, regular_settlement_date=20121128,
    )  # fmt: skip
    assert differences(record) == []


def test_every_difference_from_the_calendar_is_told() -> None:
    session = day_of("XNYS", 20121123)
    assert session is not None
    wrong = replace(
        applied(INSTRUMENT, session), session_open_ns=ns("2012-11-23T13:30"), session_close_ns=ns("2012-11-23T21:00"),
        cash_settlement_date=20121126, next_day_settlement_date=20121127, regular_settlement_date=20121127,
    )  # fmt: skip
    said = differences(wrong)
    assert [text.partition(":")[0] for text in said] == [
        "session_open_ns", "session_close_ns", "cash_settlement_date", "next_day_settlement_date",
        "regular_settlement_date",
    ]  # fmt: skip
    assert "an early close" in said[1] and "an early close" not in said[0]
    assert differences(replace(wrong, trade_date=20121122)) == ["trade_date: 20121122 is no trading day of XNYS"]


def test_what_a_calendar_cannot_answer_is_said_with_what_to_do() -> None:
    with pytest.raises(WrongUse, match="no exchange calendar 'XXXX': give the MIC"):
        day_of("XXXX", 20240102)
    with pytest.raises(WrongUse, match=r"trade date 20240231.*yyyymmdd"):
        day_of("XNYS", 20240231)
    tokyo = day_of("XTKS", 20240606)
    assert tokyo is not None and tokyo.settlement is None
    with pytest.raises(WrongUse, match="XTKS: no settlement cycle is known"):
        applied(INSTRUMENT, tokyo)
