"""The 64-bit integers of contracts and of state, and sums that go beyond them.

Python's integers have no end; an Avro long and an entry of state do. Prices of 70,000 and a few hundred thousand units
are enough money in 1e-9 currency units to go beyond: sums of money are kept in two fields of the state, and what a
record cannot hold is told in several records (allocation) or left out by name.
"""

from __future__ import annotations

from typing import Final

LONG_MAX: Final = 2**63 - 1
"""The largest number that a field of a record can hold: an Avro long."""
LONG_MIN: Final = -(2**63)
_STEP: Final = LONG_MAX + 1


def fits(value: int) -> bool:
    """Whether a record can hold ``value``."""
    return LONG_MIN <= value <= LONG_MAX


def nearest(value: int) -> int:
    """``value``, or the nearest number that a record can hold: for counts that only absurd data drive so far."""
    return min(max(value, LONG_MIN), LONG_MAX)


def low_and_high(amount: int) -> tuple[int, int]:
    """``amount`` as two numbers of 64 bits, (``amount``, 0) whenever it fits one: the inverse of :func:`whole`."""
    if fits(amount):
        return amount, 0
    high, low = divmod(amount, _STEP)
    return low, high


def whole(low: int, high: int) -> int:
    """The amount that :func:`low_and_high` has taken apart."""
    return low + high * _STEP
