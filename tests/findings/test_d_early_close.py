"""D, early closes: a half day was a full day, unless somebody thought of typing another close.

The exchange's calendar writes the record of the day (`pipeline reference sessions`), and `pipeline reference check`
refuses one that says otherwise; what stages make of a close is theirs (intake here; slicing and netting have tests of
their own).
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pipeline.domain.reference import Instrument
from pipeline.domain.rejections import RejectReason
from pipeline.gateways.reference_file import examine, line_of
from tests.unit.stages.intake.intake_bench import S, accepted, bench, expect, instrument, new, tick

OPEN = 1_795_789_800 * S
"""Friday 2026-11-27, 14:30 UTC: 09:30 in New York, the day after Thanksgiving."""
EARLY, LATE = OPEN + 12_600 * S, OPEN + 23_400 * S
"""13:00 and 16:00 in New York."""


def half_day(**changes: object) -> Instrument:
    record = instrument(
        session_open_ns=OPEN, session_close_ns=EARLY, effective_ns=OPEN - 34_200 * S, trade_date=20261127,
        cash_settlement_date=20261127, next_day_settlement_date=20261130, regular_settlement_date=20261130,
    )  # fmt: skip
    return replace(record, **changes)


def test_the_calendar_makes_this_very_record_and_finds_any_other_close_wrong() -> None:
    pytest.importorskip("exchange_calendars")
    from pipeline.gateways.calendars import applied, day_of

    session = day_of("XNYS", 20261127)
    assert session is not None and session.early_close
    assert applied(half_day(session_close_ns=LATE), session) == half_day(calendar="XNYS")
    (fault,) = examine([line_of(half_day(calendar="XNYS", session_close_ns=LATE))]).faults
    assert fault.text.startswith("session_close_ns: ") and fault.text.endswith("(18:00:00.000 UTC, an early close)")
    assert examine([line_of(half_day(calendar="XNYS"))]).faults == []


def test_an_order_of_a_half_day_ends_at_its_close() -> None:
    made = bench()
    made.feed(half_day(), tick(OPEN + S, trade_date=20261127))
    order = accepted(made, new("no end"))
    assert (order.end_ns, order.settlement_date) == (EARLY, 20261130)
    expect(made, new("the usual end", end_ns=LATE), RejectReason.BAD_TIME_WINDOW)
    made.feed(tick(EARLY, trade_date=20261127))
    expect(made, new("late"), RejectReason.MARKET_CLOSED)


def test_a_close_that_is_told_in_the_day_binds_orders_from_its_moment_on() -> None:
    noon = OPEN + 9_000 * S
    made = bench()
    made.feed(half_day(session_close_ns=LATE), half_day(effective_ns=noon), tick(noon - S, trade_date=20261127))
    assert accepted(made, new("before")).end_ns == LATE
    made.feed(tick(noon, trade_date=20261127))
    assert accepted(made, new("after")).end_ns == EARLY
