"""Amounts beyond 64 bits, told in as few parts as hold them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.int64 import LONG_MAX
from pipeline.stages.allocation.amounts import parts_that_fit, quantities_that_fit, spread

amounts = st.integers(-(2**80), 2**80)


@pytest.mark.parametrize(
    ("qty", "px", "parts"),
    [
        (0, 7, []),
        (0, 0, []),
        (5, 7, [5]),
        (1, LONG_MAX, [1]),
        (2, LONG_MAX, [1, 1]),
        (140_000, 70_000 * 10**9, [70_000, 70_000]),
        (131_762, 70_000 * 10**9, [131_762]),
        (131_763, 70_000 * 10**9, [65_882, 65_881]),
        (LONG_MAX, 1, [LONG_MAX]),
        (LONG_MAX, 2, [3074457345618258603, 3074457345618258602, 3074457345618258602]),
    ],
)
def test_a_quantity_in_parts_whose_money_fits(qty: int, px: int, parts: list[int]) -> None:
    assert quantities_that_fit(qty, px) == parts


@given(st.integers(1, 10**6), st.integers(1, LONG_MAX // 1_000))
def test_the_parts_of_a_quantity_fit_and_add_up(qty: int, px: int) -> None:
    if qty * px > 1_000 * LONG_MAX:
        qty = 1_000 * LONG_MAX // px
    parts = quantities_that_fit(qty, px)
    assert sum(parts) == qty and all(part > 0 and part * px <= LONG_MAX for part in parts)
    assert max(parts) - min(parts) <= 1
    assert len(parts) == 1 or (len(parts) - 1) * (LONG_MAX // px) < qty, "as few as there must be"


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
        ((LONG_MAX - 2, 0), 1),
        ((LONG_MAX - 1, 0), 2),
        ((LONG_MAX - 2, -1), 2),
        ((-LONG_MAX, 0), 2),
        ((10**19, 0), 2),
        ((3 * LONG_MAX,), 4),
    ],
)
def test_how_many_parts(sums: tuple[int, ...], parts: int) -> None:
    assert parts_that_fit(*sums) == parts


@given(amounts, amounts)
def test_one_part_of_each_adds_up_to_what_fits(one: int, other: int) -> None:
    count = parts_that_fit(one, other)
    pairs = list(zip(spread(one, count), spread(other, count), strict=True))
    assert all(abs(a + b) <= LONG_MAX for a, b in pairs)
    assert sum(a + b for a, b in pairs) == one + other
