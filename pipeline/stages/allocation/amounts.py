"""Amounts of money that no 64-bit field holds: kept in two fields of the state, told in several records.

A cross of 9.8 billion won does not fit, nor does what a venue's wrong report adds up to. Nothing is cut off for that:
state keeps the amount whole, and a record that would not fit is written as several that add up to it.
"""

from __future__ import annotations

from typing import Final

from pipeline.domain.units import AMOUNT_MAX

_STEP: Final = AMOUNT_MAX + 1


def low_and_high(amount: int) -> tuple[int, int]:
    """``amount`` as two numbers of 64 bits, (``amount``, 0) whenever it fits one: the inverse of :func:`whole`."""
    if -_STEP <= amount <= AMOUNT_MAX:
        return amount, 0
    high, low = divmod(amount, _STEP)
    return low, high


def whole(low: int, high: int) -> int:
    """The amount that :func:`low_and_high` has taken apart."""
    return low + high * _STEP


def quantities_that_fit(qty: int, px: int) -> list[int]:
    """``qty`` in as few parts as there must be for each one's money, part times ``px``, to fit; none for no quantity.

    ``px`` is in 1e-9 currency units, not negative, and fits itself.
    """
    if qty * px <= AMOUNT_MAX:
        return [qty] if qty else []
    most = AMOUNT_MAX // px
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
    return max(1, -(-size // (AMOUNT_MAX - len(amounts))))
