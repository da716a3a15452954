"""The static share of a limit that falls to one partition: tasks keep a common limit without asking each other."""

from __future__ import annotations


def partition_share(whole: int, partition: int, partitions: int) -> int:
    """The part of ``whole`` (any unit, not negative) that is ``partition``'s, of 0 to ``partitions`` - 1.

    Equal parts, the remainder going one each to the lowest partitions: the parts of all partitions sum to ``whole``.
    """
    each, remainder = divmod(whole, partitions)
    return each + (1 if partition < remainder else 0)
