"""Amounts beyond 64 bits: taken apart and put together again, told in as few parts as hold them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.units import AMOUNT_MAX
from pipeline.stages.allocation.amounts import low_and_high, parts_that_fit, quantities_that_fit, spread, whole

amounts = st.integers(-(2**80), 2**80)


def test_the_largest_amount_is_an_avro_longs() -> None:
    assert AMOUNT_MAX == 9_223_372_036_854_775_807


@pytest.mark.parametrize(
    ("amount", "low", "high"),
    [
        (0, 0, 0),
        (AMOUNT_MAX, AMOUNT_MAX, 0),
        (AMOUNT_MAX + 1, 0, 1),
        (10**19, 10**19 - 2**63, 1),
        (-(2**63), -(2**63), 0),
        (-(2**63) - 1, AMOUNT_MAX, -2),
        (2**65 + 7, 7, 4),
    ],
)
def test_an_amount_in_two_numbers(amount: int, low: int, high: int) -> None:
    assert low_and_high(amount) == (low, high)
    assert whole(low, high) == amount


@given(amounts)
def test_every_amount_comes_back_and_each_number_fits(amount: int) -> None:
    low, high = low_and_high(amount)
    assert whole(low, high) == amount
    assert -(2**63) <= low <= AMOUNT_MAX and -(2**63) <= high <= AMOUNT_MAX


@pytest.mark.parametrize(
    ("qty", "px", "parts"),
    [
        (0, 7, []),
        (0, 0, []),
        (5, 7, [5]),
        (1, AMOUNT_MAX, [1]),
        (2, AMOUNT_MAX, [1, 1]),
        (140_000, 70_000 * 10**9, [70_000, 70_000]),
        (131_762, 70_000 * 10**9, [131_762]),
        (131_763, 70_000 * 10**9, [65_882, 65_881]),
        (AMOUNT_MAX, 1, [AMOUNT_MAX]),
        (AMOUNT_MAX, 2, [3074457345618258603, 3074457345618258602, 3074457345618258602]),
    ],
)
def test_a_quantity_in_parts_whose_money_fits(qty: int, px: int, parts: list[int]) -> None:
    assert quantities_that_fit(qty, px) == parts


@given(st.integers(1, 10**6), st.integers(1, AMOUNT_MAX // 1_000))
def test_the_parts_of_a_quantity_fit_and_add_up(qty: int, px: int) -> None:
    if qty * px > 1_000 * AMOUNT_MAX:
        qty = 1_000 * AMOUNT_MAX // px
    parts = quantities_that_fit(qty, px)
    assert sum(parts) == qty and all(part > 0 and part * px <= AMOUNT_MAX for part in parts)
    assert max(parts) - min(parts) <= 1
    assert len(parts) == 1 or (len(parts) - 1) * (AMOUNT_MAX // px) < qty, "as few as there must be"


@pytest.mark.parametrize(
    ("amount", "parts", "each"),
    [(7, 1, [7]), (7, 2, [4, 3]), (7, 3, [3, 2, 2]), (-7, 2, [-3, -4]), (0, 3, [0, 0, 0]), (1, 3, [1, 0, 0])],
)
def test_spread(amount: int, parts: int, each: list[int]) -> None:
    assert spread(amount, parts) == each


@pytest.mark.parametrize(
    ("sums", "parts"),
    [
        ((0, 0), 1),
        ((AMOUNT_MAX - 2, 0), 1),
        ((AMOUNT_MAX - 1, 0), 2),
        ((AMOUNT_MAX - 2, -1), 2),
        ((-AMOUNT_MAX, 0), 2),
        ((10**19, 0), 2),
        ((3 * AMOUNT_MAX,), 4),
    ],
)
def test_how_many_parts(sums: tuple[int, ...], parts: int) -> None:
    assert parts_that_fit(*sums) == parts


@given(amounts, amounts)
def test_one_part_of_each_adds_up_to_what_fits(one: int, other: int) -> None:
    count = parts_that_fit(one, other)
    pairs = list(zip(spread(one, count), spread(other, count), strict=True))
    assert all(abs(a + b) <= AMOUNT_MAX for a, b in pairs)
    assert sum(a + b for a, b in pairs) == one + other
