"""Benchmark prices (interval VWAP and TWAP), and what an execution cost against one.

Sources: Perold (1988), The implementation shortfall: paper versus reality, J. Portfolio
Management 14(3), for cost against the price of a paper trade; Berkowitz, Logue and Noser
(1988), The total cost of transactions on the NYSE, J. Finance 43(1), for the VWAP of an
interval as a benchmark. One sign per suffix, sides already applied (cost positive when
it hurt, perf positive when it helped), and the reference rows of the tests:
docs/design-rules.md, Cost (TCA). Prices are rounded to 1e-9 currency units and basis
points to 1e-3 (`BPS_STEPS` to the basis point), halves to even, once, from exact integers.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.algos.rounding import divide_half_even, require_side

BPS_STEPS = 1_000
"""Results of cost_bps and perf_bps are integers in 1/1000 of a basis point."""
_STEPS_IN_ONE = 10_000 * BPS_STEPS


class Print(NamedTuple):
    """One eligible trade of the tape: event time (ns), price (1e-9 currency units), quantity (units)."""

    event_ns: int
    px: int
    qty: int


class PxAt(NamedTuple):
    """A price (1e-9 currency units) that holds from `event_ns` on, until the next one."""

    event_ns: int
    px: int


def vwap_px(fills: Sequence[tuple[int, int]]) -> int | None:
    """Volume-weighted price of (px, qty) pairs, nearest 1e-9; None without volume."""
    qty = sum(fill_qty for _, fill_qty in fills)
    if qty <= 0:
        return None
    return divide_half_even(sum(px * fill_qty for px, fill_qty in fills), qty)


def interval_vwap_px(
    prints: Sequence[Print],
    start_ns: int,
    end_ns: int,
    own_notional: int = 0,
    own_qty: int = 0,
) -> int | None:
    """VWAP of the prints in [start, end), in any order; None without volume.

    Give the notional and quantity of own fills that are on the tape to leave them out.
    The caller chooses eligible prints: over all conditions it is off by up to 6 bp.
    """
    notional, qty = -own_notional, -own_qty
    for event_ns, px, print_qty in prints:
        if start_ns <= event_ns < end_ns:
            notional += px * print_qty
            qty += print_qty
    return divide_half_even(notional, qty) if qty > 0 else None


def interval_twap_px(prices: Sequence[PxAt], start_ns: int, end_ns: int) -> int | None:
    """Time-weighted price over [start, end) of a price that holds until the next one.

    `prices` in order of time; the last one at or before the start holds at the start.
    Where none does, the average begins with the first price inside. None when no price
    holds for any time. Raises ValueError when times go back.
    """
    area = duration = 0
    for index, (from_ns, px) in enumerate(prices):
        until_ns = prices[index + 1].event_ns if index + 1 < len(prices) else end_ns
        if index + 1 < len(prices) and until_ns < from_ns:
            raise ValueError(f"price {index + 1} is before price {index}")
        held_ns = min(until_ns, end_ns) - max(from_ns, start_ns)
        if held_ns > 0:
            area += px * held_ns
            duration += held_ns
    return divide_half_even(area, duration) if duration else None


def cost_bps(side: int, px: int, benchmark_px: int) -> int:
    """What `px` cost against the benchmark, positive when it hurt, in 1/1000 bp.

    Raises ValueError for a side other than +1, -1 or a benchmark that is not positive.
    """
    return cost_bps_of_notional(side, px, 1, benchmark_px)


def perf_bps(side: int, px: int, benchmark_px: int) -> int:
    """The exact opposite of `cost_bps`: positive when it helped."""
    return -cost_bps(side, px, benchmark_px)


def cost_bps_of_notional(side: int, notional: int, qty: int, benchmark_px: int) -> int:
    """`cost_bps` of `qty` units that cost `notional` (price x quantity): no rounded average on the way.

    Raises ValueError for a side other than +1, -1, and for a benchmark or a quantity that is not positive.
    """
    require_side(side)
    if benchmark_px <= 0 or qty <= 0:
        raise ValueError(f"benchmark {benchmark_px} and quantity {qty} must be positive")
    paper = benchmark_px * qty
    return divide_half_even(side * (notional - paper) * _STEPS_IN_ONE, paper)
