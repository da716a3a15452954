"""The arithmetic of sharing an epoch out: quantity, then fees; first when it is closed, then again when it is restated.

Built on ``algos/pro_rata``; pure functions of plain integers, in the order of the epoch's statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.algos.pro_rata import BALANCE_SCALE, share_more, share_with_caps


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
    closed: Sequence[int] | None = None,
) -> Shared:
    """Split ``total`` by ``weights`` within ``caps``: by largest remainder up to the total at the close, then beyond.

    weights   what each member contributed, units of quantity; all sequences have one number per member
    carried   balances before, in 1 / BALANCE_SCALE units
    ties      tie-break numbers; lower wins
    closed    each member's share at the close; None: this is the close

    Largest remainder is not monotone: weights (1, 3, 3) share 3 as (1, 1, 1) and 4 as (0, 2, 2). What comes beyond the
    total at the close takes nothing from anybody (``share_more``); the difference goes into the balances. So the shares
    follow from the total, whatever busts, corrections and late executions it is made of, and in whatever order.
    """
    ideal = share_with_caps(weights, caps, total, carried, ties)
    due = [
        after - before + share * BALANCE_SCALE
        for after, before, share in zip(ideal.carried, carried, ideal.shares, strict=True)
    ]
    shares = list(ideal.shares)
    if closed is not None and total > sum(closed):
        had = [min(share, cap) for share, cap in zip(closed, caps, strict=True)]
        shares = share_more(weights, had, caps, total, ties)
    return Shared(shares, total - sum(shares), [d - s * BALANCE_SCALE for d, s in zip(due, shares, strict=True)])


def share_fee(quantities: Sequence[int], fee: int, carried: Sequence[int], ties: Sequence[int]) -> Shared:
    """Split ``fee`` (1e-9 currency units; negative is a rebate) by ``quantities``: shares add up to it exactly.

    The carried balances are in 1 / BALANCE_SCALE of a 1e-9 currency unit. A rebate is split like a fee of its size,
    with the signs of shares and balances turned. ``unplaced`` is the whole fee when nobody has a quantity.
    """
    sign = -1 if fee < 0 else 1
    mirrored = share_with_caps(quantities, None, abs(fee), [sign * balance for balance in carried], ties)
    changes = [sign * after - before for after, before in zip(mirrored.carried, carried, strict=True)]
    return Shared([sign * share for share in mirrored.shares], sign * mirrored.unplaced, changes)
