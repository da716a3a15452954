from collections.abc import Callable
from typing import Any

import pytest

from pipeline.algos.benchmarks import BPS_STEPS, cost_bps, cost_bps_of_notional, vwap_px
from pipeline.algos.volume_curve import build_curve
from pipeline.algos.vwap import slice_quantities, target_qty

MINUTE = 60_000_000_000
OPEN = 34_200_000_000_000
CURVE = (100_000_000, 300_000_000, 200_000_000, 400_000_000)
VOLUMES = [100, 300, 200, 400]
PRICES = [10_000_000_000, 10_200_000_000, 10_100_000_000, 10_400_000_000]


@pytest.mark.parametrize(
    ("minutes", "lot", "expected", "why"),
    [
        (0, 1, 0, "the start"),
        (1, 1, 100, "a bin"),
        (1.5, 1, 250, "linear inside a bin"),
        (1.5, 100, 200, "whole lots"),
        (3.999, 100, 900, "the last lot waits for the end"),
        (4, 100, 1_000, "the end"),
    ],
)
def test_target(minutes: float, lot: int, expected: int, why: str) -> None:
    now = OPEN + int(minutes * MINUTE)
    end = OPEN + 4 * MINUTE
    assert target_qty(1_000, CURVE, MINUTE, OPEN, OPEN, end, now, lot) == expected, why


def test_the_target_at_bin_ends_is_the_slices_added_up() -> None:
    slices = slice_quantities(997, VOLUMES)
    curve = build_curve([VOLUMES], 4, 100_000)
    end = OPEN + 4 * MINUTE
    for k in range(1, 5):
        at_k = target_qty(997, curve, MINUTE, OPEN, OPEN, end, OPEN + k * MINUTE)
        assert at_k == sum(slices[:k])


def test_trading_the_realised_curve_costs_nothing_against_vwap() -> None:
    market = vwap_px(list(zip(PRICES, VOLUMES, strict=True)))
    slices = slice_quantities(100, VOLUMES)
    assert slices == [10, 30, 20, 40]
    assert market == 10_240_000_000
    assert vwap_px(list(zip(PRICES, slices, strict=True))) == market


def test_equal_slices_cost_what_was_published(paper: Callable[[str], Any]) -> None:
    example = paper("schedules")["vwap"]["numeric_example"]
    prices = [round(px * 10**9) for px in example["bin_vwap"]]
    market = vwap_px(list(zip(prices, example["bin_volume"], strict=True)))
    equal = slice_quantities(100, [1, 1, 1, 1])
    own = vwap_px(list(zip(prices, equal, strict=True)))
    assert equal == example["child_qty_equal_split"]
    assert market == round(example["market_vwap"] * 10**9)
    assert own == round(example["exec_vwap"] * 10**9)
    assert own is not None and market is not None
    # Published as exec / market - 1: negative because a buyer did better than the market.
    assert cost_bps(1, own, market) == round(example["slippage_bp"] * BPS_STEPS)
    notional = sum(px * qty for px, qty in zip(prices, equal, strict=True))
    assert cost_bps_of_notional(1, notional, 100, market) == -63_477


def test_the_odd_lot_comes_with_the_last_volume() -> None:
    assert slice_quantities(150, [1, 1, 0], lot_qty=100) == [0, 150, 0]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="total"):
        target_qty(-1, CURVE, 1, 0, 0, 4, 1)
    with pytest.raises(ValueError, match="lot"):
        target_qty(1, CURVE, 1, 0, 0, 4, 1, 0)
    with pytest.raises(ValueError, match="weights"):
        slice_quantities(1, [0, 0])
