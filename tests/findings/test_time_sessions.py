"""Time (point 2): volume was counted from midnight UTC, so a clock change moved every curve by an hour.

A session is what the instrument's record of the day says; a minute belongs to the session it lies in, and its bin is
counted from that session's own opening.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from pipeline.domain.analytics import Bar, VolumeCurve
from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.market import PrintKind, TradePrint
from pipeline.domain.record import Record
from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.domain.units import NS_PER_S, PPB_ONE
from pipeline.stage import Meta
from pipeline.stages.analytics.stage import AnalyticsStage, AnalyticsState
from pipeline.stages.tca.stage import TCAStage
from tests.stage_bench import Bench

MINUTE = 60 * NS_PER_S
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MARCH_8 = 1_709_908_200 * NS_PER_S
"""Friday 2024-03-08, 14:30 UTC: 09:30 in New York, in winter time."""
MARCH_11 = MARCH_8 + 3 * DAY - HOUR
"""Monday 2024-03-11, 13:30 UTC: 09:30 in New York, in summer time."""
SHAPE = (400, 100, 50, 100, 350)
FRACTIONS = tuple(part * PPB_ONE // 1000 for part in SHAPE)


def record(open_ns: int, trade_date: int = 0, minutes: int = 5, **changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "kind": ReferenceKind.SET, "instrument": "XYZ", "effective_ns": open_ns - 12 * HOUR, "tick_px": 10_000_000,
        "session_open_ns": open_ns, "session_close_ns": open_ns + minutes * MINUTE, "reference_px": 10**9,
        "daily_volume_qty": 777, "trade_date": trade_date,
    }  # fmt: skip
    return Instrument(**(fields | changes))


def trade(at_ns: int, qty: int) -> TradePrint:
    return TradePrint(
        kind=PrintKind.TRADE, instrument="XYZ", venue="V", print_id=str(at_ns), event_ns=at_ns, received_ns=at_ns,
        px=10**9, qty=qty,
    )  # fmt: skip


def session(open_ns: int, shape: tuple[int, ...] = SHAPE) -> list[TradePrint]:
    return [trade(open_ns + minute * MINUTE + 1, qty) for minute, qty in enumerate(shape)]


def tick(at_ns: int, trade_date: int) -> Tick:
    return Tick(kind=TickKind.TICK, now_ns=at_ns, wall_ns=at_ns, trade_date=trade_date)


def bench() -> Bench[AnalyticsState]:
    return Bench(AnalyticsStage())


def curves(*messages: Record) -> list[VolumeCurve]:
    made = bench()
    made.feed(*messages)
    return made.all(VolumeCurve)


@pytest.mark.parametrize(
    ("earlier_ns", "earlier_date", "today_ns", "today"),
    [
        (MARCH_8, 20240308, MARCH_11, 20240311),
        (MARCH_11, 20240311, MARCH_11 + DAY, 20240312),
        (1_730_467_800 * NS_PER_S, 20241101, 1_730_730_600 * NS_PER_S, 20241104),
    ],
    ids=["the clock went forward", "no change", "the clock went back"],
)
def test_a_curve_is_the_same_whether_or_not_the_clock_was_changed_in_between(
    earlier_ns: int, earlier_date: int, today_ns: int, today: int
) -> None:
    (curve,) = curves(
        record(earlier_ns, earlier_date), *session(earlier_ns), record(today_ns, today), tick(today_ns, today)
    )
    assert (curve.fractions, curve.day_count, curve.daily_volume_qty) == (FRACTIONS, 1, 1000)
    assert (curve.day_start_ns, curve.trade_date) == (today_ns, today)


SYDNEY = 1_767_567_600 * NS_PER_S
"""Monday 2026-01-05 at 10:00 in Sydney: 23:00 UTC on the 4th."""
ACROSS = tuple([10] * 60 + [30] * 60)
"""An hour before midnight UTC, an hour after it."""


def test_a_session_across_midnight_utc_is_one_day() -> None:
    made = bench()
    made.feed(record(SYDNEY, 20260105, 120), tick(SYDNEY, 20260105))
    made.feed(*session(SYDNEY, ACROSS), tick(SYDNEY + 3 * HOUR, 20260105))
    bars = {bar.start_ns: bar for bar in made.all(Bar)}
    assert len(bars) == 120 and {bar.trade_date for bar in bars.values()} == {20260105}
    made.feed(record(SYDNEY + DAY, 20260106, 120), tick(SYDNEY + DAY, 20260106))
    (curve,) = [each for each in made.all(VolumeCurve) if each.trade_date == 20260106]
    assert (curve.day_count, curve.daily_volume_qty) == (1, 2400)
    assert (sum(curve.fractions[:60]), sum(curve.fractions[60:])) == (PPB_ONE // 4, PPB_ONE * 3 // 4)


def test_prints_of_today_before_midnight_utc_are_kept_when_the_day_begins() -> None:
    """East of Greenwich the trading date is ahead of UTC's: its first hour was forgotten as the day before's."""
    made = bench()
    made.feed(record(SYDNEY, 20260105, 120), *session(SYDNEY, (7,)), tick(SYDNEY + MINUTE, 20260105))
    made.feed(trade(SYDNEY + 2, 5), tick(SYDNEY + 2 * MINUTE, 20260105))
    assert [(bar.revision, bar.volume_qty) for bar in made.all(Bar)] == [(1, 7), (2, 12)]


def test_costs_are_measured_with_todays_prints_before_midnight_utc_too() -> None:
    """Yesterday's session ended on the UTC day on which today's begins: that day is not final yet."""
    made = Bench(TCAStage())
    made.feed(tick(SYDNEY - DAY, 20260104), trade(SYDNEY - 20 * HOUR, 3), tick(SYDNEY - 5 * MINUTE, 20260105))
    made.feed(trade(SYDNEY + 1, 7))
    assert [kept.qty for kept in made.state.tape.minute("XYZ", SYDNEY)] == [7]
    assert [kept.qty for kept in made.state.tape.minute("XYZ", SYDNEY - 20 * HOUR)] == [3], "of that day, so kept"


def test_trades_after_hours_are_of_the_session_before_them() -> None:
    evening = MARCH_8 + 10 * HOUR + 30 * MINUTE
    """19:00 in New York is 01:00 UTC of the next day, when both are of winter time."""
    made = bench()
    made.feed(record(MARCH_8, 20240308, 390), tick(MARCH_8, 20240308), trade(evening, 9))
    made.feed(tick(evening + MINUTE, 20240308))
    assert [bar.trade_date for bar in made.all(Bar)] == [20240308]


def test_a_moment_near_no_known_session_has_its_utc_date() -> None:
    made = bench()
    made.feed(record(MARCH_11, 20240311), tick(MARCH_11, 20240311), trade(MARCH_11 - 3 * DAY, 9))
    made.feed(tick(MARCH_11 + MINUTE, 20240311))
    assert [bar.trade_date for bar in made.all(Bar)] == [20240308]


def test_a_day_whose_session_nobody_told_is_left_out_of_the_curve() -> None:
    (curve,) = curves(*session(MARCH_8), record(MARCH_11, 20240311), tick(MARCH_11, 20240311))
    assert (curve.day_count, curve.daily_volume_qty) == (0, 777)


def test_sessions_and_prints_of_a_history_may_come_in_any_order() -> None:
    parts: list[list[Record]] = [[record(MARCH_8, 20240308)], [record(MARCH_11, 20240311)], [*session(MARCH_8)]]
    for order in permutations(parts):
        (curve,) = curves(*(message for part in order for message in part), tick(MARCH_11, 20240311))
        assert (curve.fractions, curve.day_count) == (FRACTIONS, 1)


def test_a_half_day_is_no_part_of_a_full_days_curve_and_a_half_day_takes_the_full_days_beginning() -> None:
    half, full = record(MARCH_8, 20240308, 3), record(MARCH_11, 20240311, 5)
    (of_full,) = curves(half, *session(MARCH_8, (1, 1, 1)), full, tick(MARCH_11, 20240311))
    assert of_full.day_count == 0, "a bin of a half day is none of a full day"
    long, short = record(MARCH_8, 20240308, 5), record(MARCH_11, 20240311, 3)
    (of_half,) = curves(long, *session(MARCH_8), short, tick(MARCH_11, 20240311))
    assert of_half.fractions == (727_272_727, 181_818_182, 90_909_091), "400, 100, 50 of 550"
    assert (of_half.day_count, of_half.daily_volume_qty) == (1, 550)


def test_todays_curve_is_made_again_when_todays_session_is_told_or_changed() -> None:
    """The day began on yesterday's record: its curve had no volume in today's hours at all."""
    made = bench()
    made.feed(record(MARCH_8, 20240308), *session(MARCH_8), tick(MARCH_11 - 9 * HOUR, 20240311))
    made.feed(record(MARCH_11, 20240311, effective_ns=MARCH_11 - 5 * HOUR), tick(MARCH_11 - 4 * HOUR, 20240311))
    made.feed(tick(MARCH_11, 20240311))
    closes_early = record(MARCH_11, 20240311, 3, effective_ns=MARCH_11 + MINUTE)
    made.feed(closes_early, tick(MARCH_11 + MINUTE, 20240311), tick(MARCH_11 + 2 * MINUTE, 20240311))
    found = [(each.version, each.day_start_ns, len(each.fractions), each.day_count) for each in made.all(VolumeCurve)]
    assert found == [(1, MARCH_8, 5, 1), (2, MARCH_11, 5, 1), (3, MARCH_11, 3, 1)]


def test_of_two_records_of_a_day_the_later_one_holds_whichever_came_first() -> None:
    first, second = record(MARCH_8, 20240308), record(MARCH_8 + MINUTE, 20240308, effective_ns=MARCH_8 - 1)
    shifted = session(MARCH_8 + MINUTE)
    for pair in ((first, second), (second, first)):
        (curve,) = curves(*pair, *shifted, record(MARCH_11, 20240311), tick(MARCH_11, 20240311))
        assert (curve.fractions, curve.day_count) == (FRACTIONS, 1)


@pytest.mark.parametrize("length_ns", [0, -1, -DAY, 8 * DAY, 10**18])
def test_a_session_no_curve_can_be_made_of_stops_nothing(length_ns: int) -> None:
    """The door sets some of these aside; past the door, and for what it lets through, there is just no curve."""
    stage = AnalyticsStage()
    state = stage.new_state(bench().task)
    written: list[Record] = []
    for message in (record(MARCH_11, session_close_ns=MARCH_11 + length_ns), tick(MARCH_11, 20240311)):
        written.extend(stage.step(state, message, Meta(0)))
    assert written == []


def test_a_session_of_part_of_a_minute_more_has_a_bin_for_it() -> None:
    (curve,) = curves(record(MARCH_11, session_close_ns=MARCH_11 + 2 * MINUTE + 1), tick(MARCH_11, 20240311))
    assert len(curve.fractions) == 3
