"""Implementation shortfall: the return of a paper trade less the real return, in parts, in money.

Source: Perold (1988), The implementation shortfall: paper versus reality, J. Portfolio Management 14(3). All in 1e-9
currency units, positive when it hurt, side already applied. The parts add up exactly:

    delay        (release - arrival) x executed        the cost of waiting in our own netting window
    trading      (paid - release) x executed           the cost of the trading itself
    opportunity  (last - arrival) x not executed       the cost of what was not executed
    explicit     fees
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.algos.rounding import require_side


class Shortfall(NamedTuple):
    """The parts of an implementation shortfall, each in 1e-9 currency units, positive when it hurt."""

    delay: int
    trading: int
    opportunity: int
    explicit: int

    @property
    def total(self) -> int:
        """The sum of the parts."""
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
    """What an order cost against a paper trade of all of it at the arrival price, without fees or delay.

    Quantities in units, prices, money and fees in 1e-9 currency units; ``release_px`` None: no window delayed it.
    Raises ValueError for a side other than +1, -1 or more executed than ordered.
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
