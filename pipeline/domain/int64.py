"""The 64-bit integers of contracts and of state, and sums that go beyond them.

Python's integers have no end; an Avro long and an entry of state do. Prices of 70,000 and a few hundred thousand units
are enough money in 1e-9 currency units to go beyond: sums of money are kept in two parts, and what a record cannot
hold is left out by name.
"""

from __future__ import annotations

from typing import Final

MOST: Final = 2**63 - 1
LEAST: Final = -(2**63)
_LOW_BITS: Final = 62


def fits(value: int) -> bool:
    """Whether a record can hold ``value``."""
    return LEAST <= value <= MOST


def nearest(value: int) -> int:
    """``value``, or the nearest number that a record can hold: for counts that only absurd data drive so far."""
    return min(max(value, LEAST), MOST)


def parts(value: int) -> tuple[int, int]:
    """(high, low): what an entry of state keeps of a sum that may not fit; low is 0 or more and below 2^62.

    Exact up to 2^125, which no sum of prices times quantities comes near.
    """
    return nearest(value >> _LOW_BITS), value & ((1 << _LOW_BITS) - 1)


def whole(high: int, low: int) -> int:
    """The sum that :func:`parts` was given. With a ``high`` of 0 it is ``low``, whatever that is."""
    return (high << _LOW_BITS) + low
