"""B: a reference price stamped in the future is none. It neither freezes the collar nor stands in a true one's way."""

from __future__ import annotations

from typing import Final

import pytest

from pipeline.domain.market import ReferencePrice
from pipeline.domain.reference import LimitScope
from pipeline.domain.rejections import RejectReason as R
from pipeline.stages.intake.parameters import IntakeParameters
from pipeline.stages.intake.stage import IntakeStage
from pipeline.stages.intake.state import LastMidpoint
from tests.findings import test_i_reference_prices as analytics
from tests.stage_bench import Bench
from tests.unit.stages.intake.intake_bench import (
    NOW,
    REFERENCE,
    S,
    bench,
    expect,
    instrument,
    limit,
    new,
    px,
    quote,
    tick,
)

COLLAR: Final = limit(LimitScope.FIRM, collar=100_000, max_reference_age_ns=5 * S)  # 100 bps
AHEAD: Final = IntakeParameters().reference_ahead_ns
HOUR: Final = 3_600 * S


def test_a_price_stamped_an_hour_ahead_does_not_freeze_the_collar() -> None:
    made = bench(COLLAR, quote(100), quote(500, NOW + HOUR), quote(200, NOW))
    expect(made, new("1", limit_px=px(202)), None, "200 is the reference")
    expect(made, new("2", limit_px=px(202, 1)), R.OUTSIDE_COLLAR)
    for n in range(3, 8):
        made.feed(tick(NOW + n * S), quote(200 + n, NOW + n * S))
        event = expect(made, new(str(n), limit_px=px(400)), R.OUTSIDE_COLLAR)
        assert f"the reference {200 + n} by more" in (event.text or ""), "each later price is taken"


def test_a_price_stamped_ahead_is_not_young_for_ever() -> None:
    made = bench(COLLAR, quote(100), quote(500, NOW + HOUR), tick(NOW + 6 * S))
    expect(made, new(limit_px=px(100)), R.STALE_REFERENCE_PRICE)


def test_a_price_stamped_ahead_is_no_price_even_when_there_is_no_other() -> None:
    made = bench(COLLAR, instrument("ONLY", reference_px=0), quote(500, NOW + HOUR, "ONLY"))
    expect(made, new(instrument="ONLY", limit_px=px(500)), R.NO_REFERENCE_PRICE)


@pytest.mark.parametrize(("ahead_ns", "reason"), [(AHEAD, R.OUTSIDE_COLLAR), (AHEAD + 1, None)])
def test_what_happened_since_the_last_tick_is_believed_and_nothing_later(ahead_ns: int, reason: R | None) -> None:
    made = bench(COLLAR, quote(100), quote(50, NOW + ahead_ns))
    expect(made, new(limit_px=px(100)), reason)


def test_what_was_kept_with_a_time_ahead_by_older_code_is_not_believed_and_gives_way() -> None:
    made = bench(COLLAR)
    made.state.quotes.put("AMZN", LastMidpoint(px(500), NOW + HOUR, 20260105))
    expect(made, new("1", limit_px=px(400)), R.OUTSIDE_COLLAR, "the last close, 100, is the reference")
    made.feed(quote(200, NOW - S))
    expect(made, new("2", limit_px=px(202)), None)


@pytest.mark.parametrize("bad_px", [0, -1, -(2**63)])
def test_no_price_at_all_is_none(bad_px: int) -> None:
    made = bench(COLLAR, quote(200), ReferencePrice(instrument="AMZN", px=bad_px, quote_ns=NOW))
    expect(made, new("1", limit_px=px(202)), None)
    expect(made, new("2", limit_px=px(203)), R.OUTSIDE_COLLAR)


def test_a_still_market_is_not_stale_while_its_price_is_told_again() -> None:
    made = bench(COLLAR, quote(100))
    for n in range(1, 120):
        made.feed(tick(NOW + n * S), *([quote(100, NOW + n * S)] if n % 4 == 0 else []))
        expect(made, new(str(n), limit_px=px(100)), None)
    made.feed(tick(NOW + 122 * S))
    expect(made, new("late", limit_px=px(100)), R.STALE_REFERENCE_PRICE)


def test_before_the_first_tick_a_price_is_taken_and_judged_when_the_clock_has_started() -> None:
    made = Bench(IntakeStage(), swap_every=1)
    made.feed(*(record for record in REFERENCE if type(record).__name__ != "Tick"), COLLAR, quote(500, NOW + HOUR))
    made.feed(tick(NOW), quote(200, NOW))
    expect(made, new(limit_px=px(202)), None)


def test_a_price_that_comes_after_the_last_was_told_again_is_told_with_no_earlier_time() -> None:
    """What stands is told with the time of a tick. A new quote may be stamped before that tick and come after it."""
    b = analytics.bench()
    b.feed(analytics.status(), analytics.instrument(), analytics.quote(1), analytics.tick(1))
    another_venue = analytics.status(second=7, venue="W")
    assert analytics.told(b, another_venue, analytics.tick(8)) == [(100, 8)], "it stands, since the feed lives"
    late = analytics.quote(7, 109 * analytics.PX, 111 * analytics.PX)
    assert analytics.told(b, late, analytics.tick(9)) == [(110, 8)], "intake takes it: it is not older than the last"
