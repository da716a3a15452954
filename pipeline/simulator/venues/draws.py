"""Seeded random numbers that are a pure function of a seed and of labels saying what is drawn.

BLAKE2b (RFC 7693) of the seed and the labels, as a 64-bit number. The same labels always give the same draw, in any
order, in any process: a venue's behaviour does not depend on how its inputs were batched. The bias of the modulus is
below 2**-32 for every range used here.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from pipeline.domain.units import PPM_ONE


def draw(seed: int, *labels: str | int) -> int:
    """A number in [0, 2**64) that depends on the seed and on every label."""
    text = "\x1f".join(str(label) for label in (seed, *labels))
    return int.from_bytes(blake2b(text.encode(), digest_size=8, person=b"venue-draw").digest(), "big")


def below(bound: int, seed: int, *labels: str | int) -> int:
    """A draw in [0, bound). Raises ZeroDivisionError for a bound of 0."""
    return draw(seed, *labels) % bound


def happens(rate_ppm: int, seed: int, *labels: str | int) -> bool:
    """True with a probability of ``rate_ppm`` parts per million, drawn for what the labels name."""
    return rate_ppm > 0 and draw(seed, *labels) % PPM_ONE < rate_ppm


# The quantiles of the exponential distribution with mean 1 at (i + 1/2) / 32, in thousandths: -1000 ln(1 - u), rounded.
# A table, not a logarithm: integers only, the same on every processor. Its mean is 989 thousandths.
_EXPONENTIAL: Final = (
    16, 48, 81, 116, 152, 189, 227, 267, 309, 352, 398, 445, 495, 548, 604, 662,
    725, 792, 863, 940, 1023, 1114, 1214, 1326, 1451, 1594, 1761, 1962, 2213, 2549, 3060, 4159,
)  # fmt: skip


def exponential(mean: int, seed: int, *labels: str | int) -> int:
    """A whole number, at least 1, from an exponential distribution with about this mean (32 steps)."""
    return max(1, mean * _EXPONENTIAL[draw(seed, *labels) % 32] // 1000)


class Draws:
    """A sequence of draws: each follows from the seed, the labels and how many were drawn before it."""

    __slots__ = ("_count", "_labels", "_seed")

    def __init__(self, seed: int, *labels: str | int) -> None:
        self._seed = seed
        self._labels = labels
        self._count = 0

    def below(self, bound: int) -> int:
        """The next draw, in [0, bound); ZeroDivisionError for a bound of 0."""
        self._count += 1
        return below(bound, self._seed, *self._labels, self._count)

    def between(self, least: int, most: int) -> int:
        """The next draw, in [least, most]."""
        return least + self.below(most - least + 1)

    def exponential(self, mean: int) -> int:
        """The next draw: exponential with about this mean, at least 1."""
        self._count += 1
        return exponential(mean, self._seed, *self._labels, self._count)
