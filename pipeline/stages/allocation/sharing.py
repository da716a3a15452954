"""The arithmetic of sharing an epoch out: quantity, then fees; first when it is closed, then again when it is restated.

Built on ``algos/pro_rata``; pure functions of plain integers, in the order of the epoch's statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.algos.pro_rata import BALANCE_SCALE, share_with_caps


class Shared(NamedTuple):
    """``sum(shares) + unplaced == total``; ``sum(changes) == 0``, in 1 / BALANCE_SCALE units."""

    shares: list[int]
    unplaced: int
    changes: list[int]
    """What each carried balance changes by: what was due to the member minus what it received."""


def share_out(
    weights: Sequence[int],
    caps: Sequence[int],
    total: int,
    carried: Sequence[int],
    ties: Sequence[int],
    at_least: Sequence[int] | None = None,
) -> Shared:
    """Split ``total`` by ``weights`` within ``caps``, nobody below ``at_least`` (what has been reported as final).

    weights   what each member contributed, units of quantity; all sequences have one number per member
    carried   balances before, in 1 / BALANCE_SCALE units
    ties      tie-break numbers; lower wins

    Largest remainder is not monotone: weights (1, 3, 3) share 3 as (1, 1, 1) and 4 as (0, 2, 2). When an execution
    comes late, whoever would fall keeps what he has, and the rest is shared among the others; the difference goes into
    the balances. Raises ValueError when the ``at_least`` sum to more than ``total`` or one is above its cap.
    """
    ideal = share_with_caps(weights, caps, total, carried, ties)
    due = [
        after - before + share * BALANCE_SCALE
        for after, before, share in zip(ideal.carried, carried, ideal.shares, strict=True)
    ]
    shares, unplaced = list(ideal.shares), ideal.unplaced
    if at_least is not None:
        if sum(at_least) > total or any(low > cap for low, cap in zip(at_least, caps, strict=True)):
            raise ValueError(f"{total} cannot give everybody what he already has")
        shares, unplaced = _keeping(weights, caps, total, carried, ties, at_least, ideal.shares, ideal.unplaced)
    return Shared(shares, unplaced, [d - s * BALANCE_SCALE for d, s in zip(due, shares, strict=True)])


def _keeping(
    weights: Sequence[int],
    caps: Sequence[int],
    total: int,
    carried: Sequence[int],
    ties: Sequence[int],
    at_least: Sequence[int],
    shares: Sequence[int],
    unplaced: int,
) -> tuple[list[int], int]:
    kept = [False] * len(weights)
    result = list(shares)
    while True:
        fallen = [i for i, share in enumerate(result) if not kept[i] and share < at_least[i]]
        if not fallen:
            return result, unplaced
        for i in fallen:
            kept[i] = True
        free = [i for i in range(len(weights)) if not kept[i]]
        left = total - sum(at_least[i] for i in range(len(weights)) if kept[i])
        again = share_with_caps(
            [weights[i] for i in free],
            [caps[i] for i in free],
            left,
            [carried[i] for i in free],
            [ties[i] for i in free],
        )
        result, unplaced = list(at_least), again.unplaced
        for i, share in zip(free, again.shares, strict=True):
            result[i] = share


def share_fee(quantities: Sequence[int], fee: int, carried: Sequence[int], ties: Sequence[int]) -> Shared:
    """Split ``fee`` (1e-9 currency units; negative is a rebate) by ``quantities``: shares add up to it exactly.

    The carried balances are in 1 / BALANCE_SCALE of a 1e-9 currency unit. A rebate is split like a fee of its size,
    with the signs of shares and balances turned. ``unplaced`` is the whole fee when nobody has a quantity.
    """
    sign = -1 if fee < 0 else 1
    mirrored = share_with_caps(quantities, None, abs(fee), [sign * balance for balance in carried], ties)
    changes = [sign * after - before for after, before in zip(mirrored.carried, carried, strict=True)]
    return Shared([sign * share for share in mirrored.shares], sign * mirrored.unplaced, changes)
