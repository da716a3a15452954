from dataclasses import replace
from typing import Any

import pytest

from pipeline.algos.crossing import (
    CrossLimits,
    NoCross,
    Quote,
    match_parties,
    midpoint_check,
    midpoint_px,
)

CENT = 10_000_000
NOW = 1_000_000_000_000
LIMITS = CrossLimits(age_ns_max=1_000, spread_ppm_max=1_000, quote_qty_min=100, median_distance_ppm_max=2_000)
GOOD = Quote(
    bid_px=10_000 * CENT,
    bid_qty=100,
    offer_px=10_001 * CENT,
    offer_qty=200,
    quote_ns=NOW - 1_000,
    halted=False,
    recent_median_px=10_000 * CENT,
    lower_band_px=9_000 * CENT,
    upper_band_px=11_000 * CENT,
)


@pytest.mark.parametrize(
    ("change", "expected", "why"),
    [
        ({}, None, "all well, the age exactly at its limit"),
        ({"bid_px": None}, NoCross.MISSING, "no bid"),
        ({"offer_px": None}, NoCross.MISSING, "no offer"),
        ({"bid_qty": 0}, NoCross.MISSING, "a bid of nothing"),
        ({"recent_median_px": None}, NoCross.MISSING, "nothing to compare with"),
        ({"halted": True}, NoCross.HALTED, "halted"),
        ({"quote_ns": NOW - 1_001}, NoCross.STALE, "one ns too old"),
        ({"quote_ns": NOW + 1}, NoCross.STALE, "from the future: age unknown"),
        ({"offer_px": 9_999 * CENT}, NoCross.CROSSED, "crossed"),
        ({"offer_px": 10_000 * CENT}, NoCross.LOCKED, "locked"),
        ({"offer_px": 10_001 * CENT + 1}, NoCross.OFF_GRID, "on no tick"),
        ({"offer_px": 10_011 * CENT}, NoCross.TOO_WIDE, "more than 10 bp wide"),
        ({"bid_qty": 99}, NoCross.TOO_SMALL, "one share short"),
        ({"recent_median_px": 9_900 * CENT}, NoCross.TOO_FAR_FROM_MEDIAN, "jumped up"),
        ({"recent_median_px": 10_100 * CENT}, NoCross.TOO_FAR_FROM_MEDIAN, "jumped down"),
        ({"upper_band_px": 10_000 * CENT}, NoCross.OUTSIDE_BANDS, "above"),
        ({"lower_band_px": 10_001 * CENT}, NoCross.OUTSIDE_BANDS, "below"),
        ({"lower_band_px": None, "upper_band_px": None}, None, "no bands apply"),
    ],
)
def test_midpoint_conditions(change: dict[str, Any], expected: NoCross | None, why: str) -> None:
    assert midpoint_check(replace(GOOD, **change), NOW, LIMITS) is expected, why


def test_half_ticks_are_exact() -> None:
    assert midpoint_px(10_000 * CENT, 10_001 * CENT) == 100_005_000_000
    with pytest.raises(ValueError, match="no whole"):
        midpoint_px(1, 2)


ALL2 = [[True, True], [True, True]]


@pytest.mark.parametrize(
    ("buy", "sell", "allowed", "expected", "why"),
    [
        ([500], [200], [[True]], [[200]], "the worked example"),
        ([500], [200], [[False]], [[0]], "no right, no cross"),
        ([300, 100], [200], [[True], [True]], [[150], [50]], "the longer side pro rata"),
        ([100, 100], [100, 100], ALL2, [[50, 50], [50, 50]], "even"),
        (
            [10, 10],
            [10, 10],
            [[True, True], [True, False]],
            [[0, 10], [10, 0]],
            "the proportional start is re-paired so that all of it crosses",
        ),
        ([], [5], [], [], "no buyers"),
        ([5], [], [[]], [[]], "no sellers"),
    ],
)
def test_matching(
    buy: list[int],
    sell: list[int],
    allowed: list[list[bool]],
    expected: list[list[int]],
    why: str,
) -> None:
    assert match_parties(buy, sell, allowed) == expected, why


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="buy 0"):
        match_parties([-1], [1], [[True]])
    with pytest.raises(ValueError, match="sell 0"):
        match_parties([1], [-1], [[True]])
    with pytest.raises(ValueError, match="rows"):
        match_parties([1], [1], [[True, True]])
