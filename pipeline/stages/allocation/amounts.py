"""Amounts of money that no 64-bit field holds, told in several records that add up to them.

A cross of 9.8 billion won does not fit, nor does what a venue's wrong report adds up to. Nothing is cut off for that:
state keeps the amount whole, in two fields.
"""

from __future__ import annotations

from pipeline.domain.int64 import LONG_MAX


def quantities_that_fit(qty: int, px: int) -> list[int]:
    """``qty`` in as few parts as there must be for each one's money, part times ``px``, to fit; none for no quantity.

    ``px`` is in 1e-9 currency units, not negative, and fits itself.
    """
    if qty * px <= LONG_MAX:
        return [qty] if qty else []
    most = LONG_MAX // px
    return spread(qty, -(-qty // most))


def spread(amount: int, parts: int) -> list[int]:
    """``amount``, of either sign, in ``parts`` numbers that differ by one at the most and add up to it."""
    each, more = divmod(amount, parts)
    return [each + 1] * more + [each] * (parts - more)


def parts_that_fit(*amounts: int) -> int:
    """The least number of parts into which :func:`spread` divides the sum of the ``amounts``, each by itself, so that
    one part of each adds up to a sum that fits."""
    size = sum(map(abs, amounts))
    # Each amount's part may be one more than its exact share.
    return max(1, -(-size // (LONG_MAX - len(amounts))))
