import re
from dataclasses import replace
from typing import Any

import pytest

from pipeline.algos import trilemma
from pipeline.algos.participation import OwnVolume
from pipeline.algos.trilemma import (
    TABLE,
    Situation,
    TrilemmaParameters,
    completion_at_risk,
    decide,
    obtainable_qty,
    remaining_risk,
)
from pipeline.domain.orders import Completion
from pipeline.domain.parents import Style

NUMBERS = TrilemmaParameters()
MUST, BEST = Completion.MUST, Completion.BEST_EFFORT
CALM = Situation(
    leaves_qty=10_000,
    behind_qty=400,
    cap_qty=None,
    time_left_ppm=500_000,
    remaining_risk=10,
    risk_budget=100,
    spread_px=10,
    median_spread_px=10,
    depth_inside_limit_qty=4_000,
    obtainable_qty=None,
    completion=BEST,
    first_slice=False,
)


@pytest.mark.parametrize(
    ("change", "row", "style", "size"),
    [
        ({"behind_qty": 0}, "NOTHING_DUE", Style.PASSIVE, 0),
        ({"behind_qty": -500, "completion": MUST}, "NOTHING_DUE", Style.PASSIVE, 0),
        ({"cap_qty": 0}, "CAP_REACHED", Style.PASSIVE, 0),
        ({"cap_qty": 0, "completion": MUST, "time_left_ppm": 0}, "CAP_REACHED", Style.PASSIVE, 0),
        ({"depth_inside_limit_qty": 0}, "OUT_OF_LIMIT", Style.PASSIVE, 0),
        ({"depth_inside_limit_qty": 0, "limit_in_spread": True}, "RESTS", Style.PASSIVE, 400),
        ({"depth_inside_limit_qty": 0, "limit_in_spread": True, "behind_qty": 499}, "RESTS", Style.PASSIVE, 499),
        (
            {"depth_inside_limit_qty": 0, "limit_in_spread": True, "behind_qty": 500},
            "RESTS_BEHIND",
            Style.MIDPOINT,
            500,
        ),
        ({"depth_inside_limit_qty": 0, "limit_in_spread": True, "cap_qty": 70}, "RESTS", Style.PASSIVE, 70),
        (
            {"completion": MUST, "time_left_ppm": 20_000, "behind_qty": 9_000},
            "MUST_LAST_MOMENT",
            Style.SWEEP,
            4_000,
        ),
        ({"first_slice": True, "behind_qty": 9_000}, "FIRST_SLICE", Style.PASSIVE, 200),
        (
            {"completion": MUST, "obtainable_qty": 19_999, "behind_qty": 9_000},
            "MUST_VOLUME_SHORT",
            Style.CROSS,
            2_000,
        ),
        ({"time_left_ppm": 0, "spread_px": 21}, "LAST_MOMENT_WIDE", Style.MIDPOINT, 400),
        ({"time_left_ppm": 0, "spread_px": 20}, "LAST_MOMENT", Style.CROSS, 400),
        (
            {"remaining_risk": 101, "spread_px": 21},
            "RISK_OVER_BUDGET_WIDE",
            Style.MIDPOINT,
            400,
        ),
        ({"remaining_risk": 101}, "RISK_OVER_BUDGET", Style.CROSS, 400),
        ({"behind_qty": 2_000, "spread_px": 21}, "FAR_BEHIND_WIDE", Style.MIDPOINT, 1_000),
        ({"behind_qty": 2_000}, "FAR_BEHIND", Style.CROSS, 1_000),
        ({"behind_qty": 500}, "BEHIND", Style.MIDPOINT, 500),
        ({}, "ON_SCHEDULE", Style.PASSIVE, 400),
    ],
)
def test_table(change: dict[str, Any], row: str, style: Style, size: int) -> None:
    decision = decide(replace(CALM, **change), NUMBERS)
    assert (decision.row, decision.style, decision.size_qty) == (row, style, size)


def test_each_row_of_the_code_is_a_row_of_the_documented_table() -> None:
    documented = re.findall(r"^\| ([A-Z_]+) *\|.*\| ([A-Z]+) +\| +(\d+|none)", trilemma.__doc__ or "", re.M)
    coded = [
        (row.name, row.style.value, str(row.depth_ppm(NUMBERS) // 10_000) if row.depth_ppm else "none") for row in TABLE
    ]
    assert documented == coded


@pytest.mark.parametrize(
    ("change", "size", "held_back", "why"),
    [
        ({"cap_qty": 150}, 150, None, "the cap is above the schedule"),
        ({"cap_qty": 150, "lot_qty": 100}, 100, None, "whole lots"),
        ({"cap_qty": 50, "lot_qty": 100}, 0, "BELOW_LOT", "less than a lot waits"),
        ({"min_slice_qty": 500}, 0, "BELOW_MINIMUM_SLICE", "small slices accumulate"),
        (
            {"min_slice_qty": 500, "leaves_qty": 400, "completion": BEST, "remaining_risk": 999},
            400,
            None,
            "all that is left may be small",
        ),
        ({"min_slice_qty": 500, "time_left_ppm": 0}, 400, None, "no time to accumulate"),
        ({"leaves_qty": 37, "behind_qty": 37, "lot_qty": 100}, 37, None, "the last odd lot"),
        ({"depth_inside_limit_qty": 2}, 1, None, "a thin book does not stop us"),
        ({"cap_qty": 0}, 0, "CAP_REACHED", "due, but not allowed"),
        ({"behind_qty": 0}, 0, None, "nothing due is nothing held back"),
    ],
)
def test_size(change: dict[str, Any], size: int, held_back: str | None, why: str) -> None:
    decision = decide(replace(CALM, **change), NUMBERS)
    assert (decision.size_qty, decision.held_back) == (size, held_back), why


def test_an_unknown_median_is_not_a_wide_spread() -> None:
    assert decide(replace(CALM, median_spread_px=0, time_left_ppm=0), NUMBERS).row == "LAST_MOMENT"


def test_risk_grows_with_the_root_of_time() -> None:
    second = 1_000_000_000
    assert remaining_risk(100, 5_000, second) == 500_000
    assert remaining_risk(100, 5_000, 4 * second) == 1_000_000
    assert remaining_risk(100, 5_000, 0) == 0
    with pytest.raises(ValueError, match="negative"):
        remaining_risk(-1, 1, 1)


@pytest.mark.parametrize(
    ("completion", "unexecuted", "obtainable", "time_left_ns", "expected", "why"),
    [
        (MUST, 1_000, 1_000, 5, False, "just feasible"),
        (MUST, 1_001, 1_000, 5, True, "one unit too many"),
        (BEST, 1_001, 1_000, 5, False, "best effort may stay unfinished"),
        (MUST, 1, None, 5, False, "no cap"),
        (MUST, 1, None, 0, True, "time is up"),
        (MUST, 0, 0, 0, False, "done"),
    ],
)
def test_completion_at_risk(
    completion: Completion,
    unexecuted: int,
    obtainable: int | None,
    time_left_ns: int,
    expected: bool,
    why: str,
) -> None:
    assert completion_at_risk(completion, unexecuted, obtainable, time_left_ns) is expected, why


def test_what_the_cap_will_still_give() -> None:
    assert obtainable_qty(4_000, 5_000, 300, 100_000, OwnVolume.INCLUDED) == 700
    assert obtainable_qty(0, 0, 300, 100_000, OwnVolume.INCLUDED) == 0
    assert obtainable_qty(4_000, 5_000, 300, None, OwnVolume.INCLUDED) is None


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="out of range"):
        decide(replace(CALM, lot_qty=0), NUMBERS)


def test_a_completion_of_a_later_version_is_not_a_must() -> None:
    assert decide(replace(CALM, completion=Completion.UNKNOWN, time_left_ppm=0), NUMBERS).row == "LAST_MOMENT"
    assert not completion_at_risk(Completion.UNKNOWN, 1, 0, 0)
