"""Implementation shortfall: paper return less real return, in Perold's parts (Perold 1988), in money.

All in 1e-9 currency units, positive when it hurt, side already applied. The parts add up exactly:

    delay        (release - arrival) x executed        the price of waiting in our own window
    trading      (paid - release) x executed           the price of the trading itself
    opportunity  (last - arrival) x not executed       the price of what was not done
    explicit     fees
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.algos.rounding import require_side


class Shortfall(NamedTuple):
    """The parts."""

    delay: int
    trading: int
    opportunity: int
    explicit: int

    @property
    def total(self) -> int:
        return self.delay + self.trading + self.opportunity + self.explicit


def shortfall(
    side: int,
    order_qty: int,
    executed_qty: int,
    executed_money: int,
    fees: int,
    arrival_px: int,
    last_px: int,
    release_px: int | None = None,
) -> Shortfall:
    """What an order cost against having all of it at the arrival price, for nothing, at once.

    ``release_px`` None: it did not wait. Raises ValueError for a side other than +1, -1 or more executed than ordered.
    """
    require_side(side)
    if not 0 <= executed_qty <= order_qty:
        raise ValueError(f"{executed_qty} executed of {order_qty}")
    release_px = arrival_px if release_px is None else release_px
    return Shortfall(
        delay=side * (release_px - arrival_px) * executed_qty,
        trading=side * (executed_money - release_px * executed_qty),
        opportunity=side * (last_px - arrival_px) * (order_qty - executed_qty),
        explicit=fees,
    )
