from collections.abc import Callable
from typing import Any

import pytest

from pipeline.algos.twap import slice_quantities, target_qty


@pytest.mark.parametrize(
    ("total", "count", "lot", "expected"),
    [
        (10, 3, 1, [3, 3, 4]),
        (1000, 8, 100, [100, 100, 100, 200, 100, 100, 100, 200]),
        (5, 10, 1, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]),
        (250, 2, 100, [100, 150]),
        (0, 3, 1, [0, 0, 0]),
    ],
)
def test_slices(total: int, count: int, lot: int, expected: list[int]) -> None:
    assert slice_quantities(total, count, lot) == expected


def test_slices_as_published(paper: Callable[[str], Any]) -> None:
    cases = paper("schedules")["twap"]["cases"]
    assert len(cases) >= 5
    for case in cases:
        assert slice_quantities(case["total"], case["n"], case["lot"]) == case["expected"]


@pytest.mark.parametrize(
    ("now_ns", "expected", "why"),
    [
        (0, 0, "before the start"),
        (1_000, 0, "at the start"),
        (1_250, 200, "a quarter of 1,050 is 262: two lots"),
        (1_999, 1_000, "a moment before the end the odd lot waits"),
        (2_000, 1_050, "everything at the end"),
        (9_000, 1_050, "and after it"),
    ],
)
def test_target(now_ns: int, expected: int, why: str) -> None:
    assert target_qty(1_050, 1_000, 2_000, now_ns, lot_qty=100) == expected, why


def test_a_window_of_no_length_is_due_at_once() -> None:
    assert target_qty(10, 5, 5, 5) == 10
    assert target_qty(10, 5, 5, 4) == 0


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="total"):
        target_qty(-1, 0, 1, 0)
    with pytest.raises(ValueError, match="lot"):
        target_qty(1, 0, 1, 0, 0)
    with pytest.raises(ValueError, match="before start"):
        target_qty(1, 2, 1, 0)
    with pytest.raises(ValueError, match="count"):
        slice_quantities(1, 0)
