from collections.abc import Callable
from typing import Any

import pytest

from pipeline.algos.benchmarks import (
    BPS_STEPS,
    Print,
    PxAt,
    cost_bps,
    cost_bps_of_notional,
    interval_twap_px,
    interval_vwap_px,
    perf_bps,
    vwap_px,
)
from pipeline.algos.rounding import average_px

BUY, SELL = 1, -1
MILLS = 1_000_000
REFERENCE_ROWS = [
    # quantity, price and benchmark in 0.001, perf in 1/1000 bp to one decimal of a bp
    (5_000, 100_005, 100_010, 500),
    (10_000, 100_020, 100_022, 200),
    (7_500, 100_045, 100_050, 500),
    (12_500, 100_120, 100_115, -500),
    (15_000, 100_210, 100_211, 100),
]


@pytest.mark.parametrize(("qty", "px", "benchmark", "perf"), REFERENCE_ROWS)
def test_reference_rows(qty: int, px: int, benchmark: int, perf: int) -> None:
    exact = perf_bps(BUY, px * MILLS, benchmark * MILLS)
    assert round(exact, -2) == perf, "as printed, to a tenth of a basis point"
    assert cost_bps(BUY, px * MILLS, benchmark * MILLS) == -exact
    assert perf_bps(SELL, px * MILLS, benchmark * MILLS) == -exact


def test_reference_total_is_recomputed_not_copied() -> None:
    own = average_px(
        sum(qty * px * MILLS for qty, px, _, _ in REFERENCE_ROWS),
        sum(qty for qty, _, _, _ in REFERENCE_ROWS),
    )
    benchmark = vwap_px([(px * MILLS, qty) for qty, _, px, _ in REFERENCE_ROWS])
    assert (own.avg_px, own.residual) == (100_104_250_000, 0)
    assert benchmark == 100_104_950_000
    assert perf_bps(BUY, own.avg_px, benchmark) == 70, "+0.07 bp; the circulated +0.1 is wrong"


@pytest.mark.parametrize(
    ("side", "px", "cost", "why"),
    [
        (BUY, 101, 100 * BPS_STEPS, "paid more: hurt"),
        (BUY, 99, -100 * BPS_STEPS, "paid less: helped"),
        (SELL, 99, 100 * BPS_STEPS, "got less: hurt"),
        (SELL, 101, -100 * BPS_STEPS, "got more: helped"),
        (SELL, 100, 0, "the benchmark itself"),
    ],
)
def test_one_sign_per_suffix(side: int, px: int, cost: int, why: str) -> None:
    assert cost_bps(side, px, 100) == cost, why
    assert perf_bps(side, px, 100) == -cost, why


def test_delay_and_trading_cost_of_the_worked_example(paper: Callable[[str], Any]) -> None:
    """Perold's parts on the decision price: delay 0.07 %, trading 0.0175 % of the order."""
    case = paper("implementation_shortfall")["cases"][0]
    scale = 10**9
    decision = round(case["decision_px"] * scale)
    release = round(case["benchmark_px_at_release"] * scale)
    (qty, px), ordered = case["fills"][0], case["order_qty"]
    # The unfilled part stands at the decision price, so it costs nothing here.
    delay = qty * release + (ordered - qty) * decision
    both = qty * round(px * scale) + (ordered - qty) * decision
    assert cost_bps_of_notional(BUY, delay, ordered, decision) == 7 * BPS_STEPS
    assert cost_bps_of_notional(BUY, both, ordered, decision) == 8_750
    assert case["expected_pct"]["delay"] == 0.07
    assert case["expected_pct"]["realized"] == 0.0175


PRINTS = [Print(10, 100, 5), Print(20, 200, 5), Print(30, 400, 10), Print(40, 999, 1)]


@pytest.mark.parametrize(
    ("start", "end", "expected", "why"),
    [
        (10, 40, 275, "start in, end out"),
        (11, 30, 200, "one print"),
        (0, 10, None, "no print"),
        (50, 60, None, "no print"),
    ],
)
def test_interval_vwap(start: int, end: int, expected: int | None, why: str) -> None:
    assert interval_vwap_px(PRINTS, start, end) == expected, why
    assert interval_vwap_px(PRINTS[::-1], start, end) == expected, "in any order"


def test_interval_vwap_without_own_fills() -> None:
    assert interval_vwap_px(PRINTS, 10, 40, own_notional=4_000, own_qty=10) == 150
    assert interval_vwap_px(PRINTS, 30, 40, own_notional=4_000, own_qty=10) is None


@pytest.mark.parametrize(
    ("start", "end", "expected", "why"),
    [
        (10, 30, 150, "two prices, half the time each"),
        (15, 30, 167, "5 of 100 and 10 of 200 is 166.67"),
        (0, 20, 100, "nothing held before the first"),
        (25, 35, 300, "the last before the start holds at the start"),
        (100, 200, 400, "the last one holds on"),
        (0, 10, None, "no price yet"),
        (10, 10, None, "no time"),
    ],
)
def test_interval_twap(start: int, end: int, expected: int | None, why: str) -> None:
    prices = [PxAt(10, 100), PxAt(20, 200), PxAt(30, 400)]
    assert interval_twap_px(prices, start, end) == expected, why


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="before price"):
        interval_twap_px([PxAt(2, 1), PxAt(1, 1)], 0, 9)
    with pytest.raises(ValueError, match="must be positive"):
        cost_bps(BUY, 1, 0)
    with pytest.raises(ValueError, match="side"):
        cost_bps(0, 1, 1)
    assert vwap_px([]) is None
