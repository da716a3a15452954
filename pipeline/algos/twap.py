"""TWAP: equal quantity in equal time, by cumulative floor.

Source: Bertsimas and Lo (1998), Optimal control of execution costs, J. Financial Markets
1(1): where impact is linear and permanent and prices are a random walk, equal quantities
cost least. By cumulative floor no slice is off by more than one lot and the sum is exact.
The target is a function of the time alone, so a slice that was missed, cut or partly
filled is caught up by asking again: nothing is lost by rounding.
"""

from itertools import pairwise

from pipeline.algos.pro_rata import require_non_negative


def target_qty(
    total_qty: int, start_ns: int, end_ns: int, now_ns: int, lot_qty: int = 1, due_at_start_qty: int = 0
) -> int:
    """Cumulative quantity that should be done at `now_ns`, in whole lots.

    `due_at_start_qty` (of `total_qty`, and in it) until the start, `total_qty` from the end on (an
    odd remainder is due at the end). Never falls as time goes on. Raises ValueError for a negative
    total, a lot below 1, an end before the start or more due at the start than in total.
    """
    _require(total_qty, lot_qty)
    require_part("due at the start", due_at_start_qty, total_qty)
    if end_ns < start_ns:
        raise ValueError(f"end {end_ns} is before start {start_ns}")
    if now_ns >= end_ns:
        return total_qty
    part, whole = (now_ns - start_ns, end_ns - start_ns) if now_ns > start_ns else (0, 1)
    return floor_to_lot(due_at_start_qty * whole + (total_qty - due_at_start_qty) * part, whole, lot_qty)


def slice_quantities(total_qty: int, slice_count: int, lot_qty: int = 1) -> list[int]:
    """Quantity of each of `slice_count` equal intervals; adds up to `total_qty`.

    Raises ValueError for a negative total, a lot or a count below 1.
    """
    _require(total_qty, lot_qty)
    if slice_count < 1:
        raise ValueError(f"slice count must be at least 1, not {slice_count}")
    done = [target_qty(total_qty, 0, slice_count, k, lot_qty) for k in range(slice_count + 1)]
    return [after - before for before, after in pairwise(done)]


def floor_to_lot(numerator: int, denominator: int, lot_qty: int) -> int:
    """The most whole lots within numerator / denominator, in units; the denominator and `lot_qty` are above 0."""
    return numerator // (denominator * lot_qty) * lot_qty


def require_part(what: str, part_qty: int, total_qty: int) -> None:
    """Raises ValueError unless 0 <= part <= total (units)."""
    if not 0 <= part_qty <= total_qty:
        raise ValueError(f"{what}: {part_qty} is not within 0..{total_qty}")


def _require(total_qty: int, lot_qty: int) -> None:
    require_non_negative("total", (total_qty,))
    if lot_qty < 1:
        raise ValueError(f"lot must be at least 1, not {lot_qty}")
