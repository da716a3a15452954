import pytest

from pipeline.algos.volume_curve import (
    CURVE_TOTAL,
    NoUsableDays,
    build_curve,
    curve_between,
    flat_curve,
    fraction_done,
    is_full_day,
    progress,
    volume_between,
)

MINUTE = 60_000_000_000
OPEN = 34_200_000_000_000
QUIET_TAIL_PPM = 100_000
CURVE = (100_000_000, 300_000_000, 200_000_000, 400_000_000)


def test_a_mean_of_fractions_not_of_volumes() -> None:
    huge = [900_000, 100_000]
    small = [1, 9]
    assert build_curve([huge, small], 2, QUIET_TAIL_PPM) == (500_000_000, 500_000_000)


def test_thirds_add_up() -> None:
    curve = build_curve([[1, 1, 1]], 3, QUIET_TAIL_PPM)
    assert sum(curve) == CURVE_TOTAL
    assert curve == (333_333_334, 333_333_333, 333_333_333)
    assert sum(flat_curve(390)) == CURVE_TOTAL


@pytest.mark.parametrize(
    ("bins", "expected", "why"),
    [
        ([1] * 390, True, "a full day"),
        ([1] * 210 + [0] * 180, False, "a half day: closed at 13:00"),
        ([1] * 210, False, "a half day: fewer bins"),
        ([0] * 390, False, "no volume"),
        ([1] * 351 + [0] * 39, True, "silent for exactly the last tenth"),
        ([1] * 350 + [0] * 40, False, "one more"),
        ([0] * 389 + [1], True, "silence before is only a quiet day"),
    ],
)
def test_half_days_stand_apart(bins: list[int], expected: bool, why: str) -> None:
    assert is_full_day(bins, 390, QUIET_TAIL_PPM) is expected, why


def test_a_half_day_among_the_days_changes_nothing() -> None:
    full = list(range(1, 391))
    half = [5] * 210 + [0] * 180
    assert build_curve([full, half], 390, QUIET_TAIL_PPM) == build_curve([full], 390, QUIET_TAIL_PPM)
    with pytest.raises(NoUsableDays):
        build_curve([half], 390, QUIET_TAIL_PPM)
    with pytest.raises(NoUsableDays):
        build_curve([], 390, QUIET_TAIL_PPM)


def test_a_window_is_a_curve_again() -> None:
    assert curve_between(CURVE, 1, 3) == (600_000_000, 400_000_000)
    with pytest.raises(ValueError, match="bins"):
        curve_between(CURVE, 3, 5)
    with pytest.raises(NoUsableDays):
        curve_between((0, CURVE_TOTAL), 0, 1)


@pytest.mark.parametrize(
    ("minutes", "expected", "why"),
    [
        (-1, 0, "before the opening"),
        (0, 0, "at the opening"),
        (0.5, 50_000_000, "linear inside a bin"),
        (1, 100_000_000, "a bin"),
        (2.25, 450_000_000, "two bins and a quarter"),
        (4, CURVE_TOTAL, "the end"),
        (9, CURVE_TOTAL, "after it"),
    ],
)
def test_fraction_of_the_day(minutes: float, expected: int, why: str) -> None:
    now = OPEN + int(minutes * MINUTE)
    assert fraction_done(CURVE, MINUTE, OPEN, OPEN, OPEN + 4 * MINUTE, now) == expected, why


def test_fraction_of_a_window_is_renormalised() -> None:
    start, end = OPEN + MINUTE, OPEN + 3 * MINUTE
    done = fraction_done(CURVE, MINUTE, OPEN, start, end, OPEN + 2 * MINUTE)
    assert done == 600_000_000


def test_where_the_curve_is_silent_time_takes_its_place() -> None:
    after = OPEN + 4 * MINUTE
    assert progress(CURVE, MINUTE, OPEN, after, after + 10, after + 3) == (3, 10)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="bin must last"):
        volume_between(CURVE, 0, 0, 0, 1)
    with pytest.raises(ValueError, match="before start"):
        progress(CURVE, 1, 0, 2, 1, 0)
