from collections.abc import Callable
from typing import Any

import pytest

from pipeline.algos.participation import (
    OwnVolume,
    allowance_qty,
    others_qty,
    own_qty_max,
    share_allowance,
)

INCLUDED, EXCLUDED = OwnVolume.INCLUDED, OwnVolume.EXCLUDED


@pytest.mark.parametrize(
    ("others", "cap_ppm", "own_volume", "expected", "why"),
    [
        (9_000, 100_000, INCLUDED, 1_000, "10 % of 10,000"),
        (9_000, 100_000, EXCLUDED, 900, "10 % of 9,000"),
        (0, 100_000, INCLUDED, 0, "nobody else trades"),
        (9_999, 100_000, EXCLUDED, 999, "floor"),
        (5, 1_000_000, INCLUDED, None, "all of a volume that is ours is no bound"),
        (5, 1_000_000, EXCLUDED, 5, "as much as others"),
        (5, 0, INCLUDED, 0, "a cap of nothing"),
        (5, None, EXCLUDED, None, "no cap"),
    ],
)
def test_most(others: int, cap_ppm: int | None, own_volume: OwnVolume, expected: int | None, why: str) -> None:
    assert own_qty_max(others, cap_ppm, own_volume) == expected, why


def test_most_as_published(paper: Callable[[str], Any]) -> None:
    for case in paper("schedules")["pov"]["cases"]:
        cap_ppm = round(case["p"] * 1_000_000)
        assert own_qty_max(case["others"], cap_ppm, INCLUDED) == case["own_incl"]
        assert own_qty_max(case["others"], cap_ppm, EXCLUDED) == case["own_excl"]


@pytest.mark.parametrize(
    ("executed", "live", "expected", "why"),
    [
        (0, 0, 1_000, "all of it"),
        (300, 200, 500, "live counts as if it had traded"),
        (900, 100, 0, "used up"),
        (1_200, 50, 0, "an over-fill never turns it negative"),
    ],
)
def test_allowance(executed: int, live: int, expected: int, why: str) -> None:
    assert allowance_qty(9_000, executed, live, 100_000, INCLUDED) == expected, why
    assert allowance_qty(9_000, executed, live, None, INCLUDED) is None


def test_own_prints_come_off_the_tape() -> None:
    assert others_qty(10_000, 1_000) == 9_000
    assert others_qty(500, 600) == 0, "a late print"


def test_siblings_share_one_allowance() -> None:
    assert share_allowance(100, [300, 100]) == [75, 25]
    assert share_allowance(100, [10, 20]) == [10, 20]
    assert share_allowance(1, [5, 5], [9, 3]) == [0, 1]
    assert share_allowance(None, [10, 20]) == [10, 20]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="participation cap"):
        own_qty_max(1, 1_000_001, EXCLUDED)
    with pytest.raises(ValueError, match="volume"):
        own_qty_max(-1, 1, EXCLUDED)
    with pytest.raises(ValueError, match="quantity 1"):
        allowance_qty(1, 0, -1, 1, EXCLUDED)
    with pytest.raises(ValueError, match="wanted"):
        share_allowance(None, [-1])
