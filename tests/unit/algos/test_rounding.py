import pytest

from pipeline.algos.rounding import (
    BUY,
    SELL,
    average_px,
    divide_half_even,
    is_on_tick,
    tick_reaching,
    tick_within_limit,
)

TICK = 10_000_000


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected", "why"),
    [
        (5, 2, 2, "half to even, down"),
        (7, 2, 4, "half to even, up"),
        (-5, 2, -2, "the mirror image"),
        (-7, 2, -4, "the mirror image"),
        (8, 3, 3, "nearest above"),
        (7, 3, 2, "nearest below"),
        (0, 9, 0, "nothing"),
    ],
)
def test_division_goes_to_the_nearest(numerator: int, denominator: int, expected: int, why: str) -> None:
    assert divide_half_even(numerator, denominator) == expected, why


@pytest.mark.parametrize(
    ("px", "side", "within", "reaching"),
    [
        (100_014_000_000, BUY, 100_010_000_000, 100_020_000_000),
        (100_014_000_000, SELL, 100_020_000_000, 100_010_000_000),
        (100_010_000_000, BUY, 100_010_000_000, 100_010_000_000),
        (100_010_000_000, SELL, 100_010_000_000, 100_010_000_000),
        (100_019_999_999, BUY, 100_010_000_000, 100_020_000_000),
    ],
)
def test_ticks_round_by_side(px: int, side: int, within: int, reaching: int) -> None:
    assert tick_within_limit(px, TICK, side) == within
    assert tick_reaching(px, TICK, side) == reaching


def test_average_names_its_residual() -> None:
    average = average_px(notional=1_000, qty=3)
    assert (average.avg_px, average.residual) == (333, 1)
    assert average_px(notional=1_001, qty=2).residual == 1


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="positive quantity"):
        average_px(0, 0)
    with pytest.raises(ValueError, match="tick must be positive"):
        is_on_tick(1, 0)
    with pytest.raises(ValueError, match="side"):
        tick_within_limit(1, 1, 2)
    with pytest.raises(ValueError, match="denominator"):
        divide_half_even(1, 0)
