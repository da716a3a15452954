from collections.abc import Callable
from typing import Any

import pytest

from pipeline.algos.pro_rata import (
    BALANCE_SCALE,
    largest_remainder,
    monotone_floor,
    share_more,
    share_with_caps,
)

HALF = BALANCE_SCALE // 2


@pytest.mark.parametrize(
    ("weights", "total", "expected", "why"),
    [
        ([47000, 16000, 15900, 12000, 6000, 3100], 10, [5, 2, 1, 1, 1, 0], "textbook vote"),
        ([1, 1, 1], 10, [4, 3, 3], "ties to the lower index"),
        ([5000, 3000, 2000], 7777, [3889, 2333, 1555], "plain"),
        ([1, 999999], 1, [0, 1], "the small one waits"),
        ([0, 5, 5], 3, [0, 2, 1], "no weight, no units"),
        ([1, 3, 3], 3, [1, 1, 1], "docs/design-rules.md, Allocation"),
        ([1, 3, 3], 4, [0, 2, 2], "docs/design-rules.md: not monotone"),
        ([0, 0], 0, [0, 0], "nothing among nobody"),
        ([], 0, [], "nobody"),
    ],
)
def test_largest_remainder(weights: list[int], total: int, expected: list[int], why: str) -> None:
    assert largest_remainder(weights, total) == expected, why
    zero_balance = share_with_caps(weights, None, total)
    assert list(zero_balance.shares) == expected, "without balances the same rule"


def test_largest_remainder_as_published(paper: Callable[[str], Any]) -> None:
    cases = paper("pro_rata_allocation")["largest_remainder"]["cases"]
    assert len(cases) >= 9
    for case in cases:
        assert largest_remainder(case["weights"], case["total"]) == case["expected"]


def test_pro_rata_step_as_published_by_cme(paper: Callable[[str], Any]) -> None:
    case = paper("pro_rata_allocation")["cases"][0]
    floors = monotone_floor(case["resting_in_time_order"], case["aggressor"])
    kept = [qty if qty >= case["pro_rata_min"] else 0 for qty in floors]
    assert kept == case["published_pro_rata_step"]


def test_ties_go_to_the_lower_hash() -> None:
    assert largest_remainder([1, 1, 1], 4, tie_breaks=[9, 5, 7]) == [1, 2, 1]
    assert share_with_caps([1, 1, 1], None, 5, None, [9, 5, 7]).shares == (1, 2, 2)


@pytest.mark.parametrize(
    ("weights", "caps", "total", "shares", "unplaced", "why"),
    [
        ([1, 1], [10, 10], 6, (3, 3), 0, "no cap in the way"),
        ([1, 1], [1, 10], 6, (1, 5), 0, "the excess goes round again"),
        ([4, 2, 1], [3, 3, 9], 10, (3, 3, 4), 0, "twice round"),
        ([5, 5], [5, 5], 12, (5, 5), 2, "an over-fill is returned"),
        ([0, 5], [9, 5], 7, (0, 5), 2, "no weight, no units, however much is left"),
        ([3, 1], [0, 4], 2, (0, 2), 0, "a cap of nothing"),
        ([0], [5], 3, (0,), 3, "nobody to place it with"),
    ],
)
def test_caps(
    weights: list[int],
    caps: list[int],
    total: int,
    shares: tuple[int, ...],
    unplaced: int,
    why: str,
) -> None:
    result = share_with_caps(weights, caps, total)
    assert (result.shares, result.unplaced) == (shares, unplaced), why


def test_the_carried_balance_comes_first() -> None:
    first = share_with_caps([1, 1], None, 1)
    assert (first.shares, first.carried) == ((1, 0), (-HALF, HALF))
    second = share_with_caps([1, 1], None, 1, first.carried)
    assert (second.shares, second.carried) == ((0, 1), (0, 0))


def test_a_balance_counts_together_with_this_sharings_fraction() -> None:
    """0.5 + 0.1 owed against 0.4 + 0.9: the unit goes to the larger debt."""
    tenth = BALANCE_SCALE // 10
    result = share_with_caps([1, 9], None, 1, [5 * tenth, 4 * tenth])
    assert (result.shares, result.carried) == ((0, 1), (6 * tenth, 3 * tenth))


def test_a_balance_does_not_lift_anybody_above_his_quota() -> None:
    result = share_with_caps([2, 1, 1], None, 2, [10 * BALANCE_SCALE, 0, 0])
    assert result.shares == (1, 1, 0), "his part is exactly 1"


def test_thirds_leave_no_crumb() -> None:
    result = share_with_caps([1, 1, 1], None, 1)
    assert sum(result.carried) == 0
    assert sorted(result.carried) == [-666_666_666, 333_333_333, 333_333_333]


def test_progress_is_floor_with_caps() -> None:
    assert monotone_floor([1, 3, 3], 3) == [0, 1, 1]
    assert monotone_floor([1, 3, 3], 4) == [0, 1, 1]
    assert monotone_floor([1, 3, 3], 7) == [1, 3, 3]
    assert monotone_floor([1, 1], 7, caps=[2, 9]) == [2, 5]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="weight 1"):
        largest_remainder([1, -1], 1)
    with pytest.raises(ValueError, match="nobody"):
        largest_remainder([0, 0], 1)
    with pytest.raises(ValueError, match="total"):
        largest_remainder([1], -1)
    with pytest.raises(ValueError, match="total"):
        share_with_caps([1], None, -1)
    with pytest.raises(ValueError, match="cap 0"):
        share_with_caps([1], [-1], 1)
    with pytest.raises(ValueError, match="1 caps"):
        share_with_caps([1, 1], [1], 1)
    with pytest.raises(ValueError, match="carried"):
        share_with_caps([1, 1], None, 1, [0])
    with pytest.raises(ValueError, match="tie-breaks"):
        largest_remainder([1, 1], 1, [1])


@pytest.mark.parametrize(
    ("weights", "had", "caps", "total", "expected", "why"),
    [
        ([1, 3, 3], [1, 1, 1], [9, 9, 9], 3, [1, 1, 1], "nothing to add"),
        ([1, 3, 3], [1, 1, 1], [9, 9, 9], 4, [1, 2, 1], "largest remainder would give (0, 2, 2)"),
        ([1, 3, 3], [1, 1, 1], [9, 9, 9], 5, [1, 2, 2], "and then the other"),
        ([1, 3, 3], [0, 0, 0], [9, 9, 9], 7, [1, 3, 3], "the weights themselves"),
        ([53, 24, 23], [0, 0, 0], [99, 99, 99], 7, [3, 2, 2], "Webster's; the largest remainder is (4, 2, 1)"),
        ([6, 2, 1], [0, 0, 0], [99, 99, 99], 4, [3, 1, 0], "2.67, 0.89, 0.44"),
        ([1, 1], [0, 4], [9, 9], 6, [2, 4], "who has more than his part waits"),
        ([1, 1], [0, 0], [1, 9], 6, [1, 5], "a cap, and the rest to the other"),
        ([1, 1], [0, 0], [2, 3], 9, [2, 3], "what no cap can hold is not shared"),
        ([0, 1], [2, 0], [5, 5], 4, [2, 2], "no weight: keeps what he has"),
        ([0, 0], [1, 0], [5, 5], 4, [1, 0], "nobody has a weight"),
        ([], [], [], 3, [], "nobody"),
        ([10**12, 1], [0, 0], [10**18, 10**18], 10**15, [10**15 - 1000, 1000], "far apart"),
    ],
)
def test_share_more(
    weights: list[int], had: list[int], caps: list[int], total: int, expected: list[int], why: str
) -> None:
    assert share_more(weights, had, caps, total) == expected, why


def test_share_more_gives_a_tie_to_the_lower_hash() -> None:
    assert share_more([1, 1, 1], [0, 0, 0], [9, 9, 9], 4, [9, 5, 7]) == [1, 2, 1]
    assert share_more([1, 1, 1], [0, 0, 0], [9, 9, 9], 5, [9, 5, 7]) == [1, 2, 2]


@pytest.mark.parametrize(
    ("had", "caps", "total"),
    [([2, 2], [9, 9], 3), ([2, 0], [1, 9], 5), ([-1, 0], [9, 9], 5), ([0], [9, 9], 5), ([0, 0], [9], 5)],
)
def test_share_more_refuses_what_cannot_be(had: list[int], caps: list[int], total: int) -> None:
    with pytest.raises(ValueError, match=r"already has|negative|2 weights"):
        share_more([1, 1], had, caps, total)
