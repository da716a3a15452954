"""Amounts beyond 64 bits: taken apart and put together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.int64 import LONG_MAX, low_and_high, whole

amounts = st.integers(-(2**80), 2**80)


def test_the_largest_amount_is_an_avro_longs() -> None:
    assert LONG_MAX == 9_223_372_036_854_775_807


@pytest.mark.parametrize(
    ("amount", "low", "high"),
    [
        (0, 0, 0),
        (LONG_MAX, LONG_MAX, 0),
        (LONG_MAX + 1, 0, 1),
        (10**19, 10**19 - 2**63, 1),
        (-(2**63), -(2**63), 0),
        (-(2**63) - 1, LONG_MAX, -2),
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
    assert -(2**63) <= low <= LONG_MAX and -(2**63) <= high <= LONG_MAX
