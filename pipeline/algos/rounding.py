"""The one place where a number is rounded, each time with its remainder in sight.

Prices are integers in 1e-9 currency units, quantities integers, money is price times
quantity in the same 1e-9 units. Sources: ISO 80000-1 (2009), annex B, rule A: of two
nearest numbers the even one; SEC Rule 612 of Regulation NMS: a displayed price is a whole
number of ticks. That rounding to a tick knows the side: docs/design-rules.md, Slicing;
what becomes of an average price's residual: docs/design-rules.md, Allocation.
"""

from dataclasses import dataclass

BUY = 1
SELL = -1


@dataclass(frozen=True, slots=True)
class AveragePx:
    """A rounded average price and the money the rounding left over.

    `avg_px * qty + residual == notional` exactly, and `2 * abs(residual) <= qty`.
    `residual` is 1e-9 currency units, owed to the named rounding account.
    """

    avg_px: int
    residual: int


def require_side(side: int) -> None:
    """Raise ValueError unless `side` is +1 (buy) or -1 (sell)."""
    if side not in (BUY, SELL):
        raise ValueError(f"side must be +1 or -1, not {side}")


def divide_half_even(numerator: int, denominator: int) -> int:
    """Nearest integer to numerator / denominator, halves to the even neighbour.

    Symmetric in the sign of the numerator, so a cost and its performance are exact
    opposites. Raises ValueError unless denominator > 0.
    """
    if denominator <= 0:
        raise ValueError(f"denominator must be positive, not {denominator}")
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2 == 1):
        quotient += 1
    return quotient


def average_px(notional: int, qty: int) -> AveragePx:
    """Average price of `qty` units that cost `notional`, with the residual named.

    Halves go to the even price, so over many allocations the residual has mean zero.
    Raises ValueError unless qty > 0.
    """
    if qty <= 0:
        raise ValueError(f"an average price needs a positive quantity, not {qty}")
    avg_px = divide_half_even(notional, qty)
    return AveragePx(avg_px=avg_px, residual=notional - avg_px * qty)


def is_on_tick(px: int, tick_px: int) -> bool:
    """True when `px` is a whole number of ticks. Raises ValueError unless tick_px > 0."""
    if tick_px <= 0:
        raise ValueError(f"tick must be positive, not {tick_px}")
    return px % tick_px == 0


def tick_within_limit(px: int, tick_px: int, side: int) -> int:
    """The tick nearest to `px` that is no worse for us: buys down, sells up.

    For a limit this never pays more (or takes less) than was allowed, and for a
    posted price it never locks or crosses what an exact price would not. Raises
    ValueError for a side other than +1, -1 or a tick that is not positive.
    """
    require_side(side)
    below = px - px % tick_px if not is_on_tick(px, tick_px) else px
    return below if side == BUY or below == px else below + tick_px


def tick_reaching(px: int, tick_px: int, side: int) -> int:
    """The tick nearest to `px` that reaches it: buys up, sells down.

    For taking a quote whose price is off the tick grid; the caller checks the result
    against the order's limit. Raises ValueError as `tick_within_limit` does.
    """
    return tick_within_limit(px, tick_px, -side)
