"""VWAP: quantity in step with the volume expected, by cumulative floor along a curve.

Source: Konishi (2002), Optimal slice of a VWAP trade, J. Financial Markets 5(2): with
volume and price independent, the static optimum is the expected relative volume. The
curve is `volume_curve.py`'s.
"""

from collections.abc import Sequence

from pipeline.algos.pro_rata import require_non_negative
from pipeline.algos.twap import floor_to_lot, require_part
from pipeline.algos.volume_curve import progress


def target_qty(
    total_qty: int,
    curve: Sequence[int],
    bin_ns: int,
    day_start_ns: int,
    start_ns: int,
    end_ns: int,
    now_ns: int,
    lot_qty: int = 1,
    due_at_start_qty: int = 0,
) -> int:
    """Cumulative quantity that should be done at `now_ns`, in whole lots.

    `due_at_start_qty` (of `total_qty`, and in it) until the start, `total_qty` from the end on, in
    between the rest times the share of the window's curve volume that has passed (linear inside a
    bin, exact integers). Never falls as time goes on. Raises ValueError for a negative total, a lot
    below 1, an end before the start or more due at the start than in total.
    """
    require_non_negative("total", (total_qty,))
    if lot_qty < 1:
        raise ValueError(f"lot must be at least 1, not {lot_qty}")
    require_part("due at the start", due_at_start_qty, total_qty)
    part, whole = progress(curve, bin_ns, day_start_ns, start_ns, end_ns, now_ns)
    if now_ns >= end_ns:
        return total_qty
    return floor_to_lot(due_at_start_qty * whole + (total_qty - due_at_start_qty) * part, whole, lot_qty)


def slice_quantities(total_qty: int, bin_weights: Sequence[int], lot_qty: int = 1) -> list[int]:
    """Quantity per bin by cumulative floor along `bin_weights`; adds up to `total_qty`.

    No bin is off its exact quantity by a lot or more. Raises ValueError for negative
    arguments, a lot below 1, or weights that are all zero.
    """
    require_non_negative("total", (total_qty,))
    require_non_negative("weight", bin_weights)
    whole = sum(bin_weights)
    if lot_qty < 1 or whole == 0:
        raise ValueError(f"lot {lot_qty} and sum of weights {whole} must be positive")
    last = max(index for index, weight in enumerate(bin_weights) if weight)
    quantities: list[int] = []
    done = passed = 0
    for index, weight in enumerate(bin_weights):
        passed += weight
        # The odd remainder is due with the last volume, not in an empty bin after it.
        due = total_qty if index >= last else floor_to_lot(total_qty * passed, whole, lot_qty)
        quantities.append(due - done)
        done = due
    return quantities
