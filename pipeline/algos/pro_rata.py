"""Sharing whole units in proportion, to the last unit and favouring nobody.

Sources: Hamilton's method, the largest remainder: Balinski and Young (1982), Fair
Representation, Yale University Press, who also show that it is not monotone (a larger
total can give a member less). What is shared by which weights (what each member had in
the parent at the epoch's start, on the epoch's *cumulative* total, never beyond an order's
leaves, the excess going round again, remainder units by carried balance and then by hash):
docs/design-rules.md, Allocation.

**How the carried balance is kept exactly.** A member's entitlement is a fraction; it is
expressed in whole 1e-9 units (`BALANCE_SCALE` to the unit) by largest remainder over
`total * BALANCE_SCALE`, so entitlements add up to the total exactly and what is below
1e-9 of a unit has gone to a named member instead of vanishing. Then

    new balance = old balance + entitlement - units received

and the balances of the members of one sharing add up to the same number before and
after. A positive balance is owed to the member.

**Cumulative use within an epoch.** Call with the epoch's cumulative total and the
balances *as of the epoch's start*; the returned balances replace those once, when the
epoch is closed. Calling it per fill with updated balances would share each fill alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

BALANCE_SCALE = 1_000_000_000
"""Balance units to one unit of quantity."""


@dataclass(frozen=True, slots=True)
class CappedShare:
    """The outcome of `share_with_caps`, member by member in the order given.

    `sum(shares) + unplaced == total`; `sum(carried)` is what it was before.
    `carried` is in 1 / BALANCE_SCALE units. An account that is two members of one parent
    adds up the two *changes* of its balance.
    """

    shares: tuple[int, ...]
    unplaced: int
    carried: tuple[int, ...]


def largest_remainder(weights: Sequence[int], total: int, tie_breaks: Sequence[int] | None = None) -> list[int]:
    """Split `total` in proportion to `weights`; each share is floor or ceiling of exact.

    Units left after the floors go to the largest remainders, ties to the lower
    `tie_breaks` entry and then to the lower index. A weight of zero gets zero. Exact
    integers throughout. Raises ValueError for a negative weight or total, for
    `tie_breaks` of another length, and for a positive total with no weight at all.
    """
    require_non_negative("weight", weights)
    ties = _ties(tie_breaks, len(weights))
    if total < 0:
        raise ValueError(f"total must not be negative: {total}")
    weight_sum = sum(weights)
    if weight_sum == 0:
        if total:
            raise ValueError(f"nobody has a weight to share {total} by")
        return [0] * len(weights)
    shares = [total * weight // weight_sum for weight in weights]
    remainders = [total * weight % weight_sum for weight in weights]
    left = total - sum(shares)
    by_claim = sorted(range(len(weights)), key=lambda i: (-remainders[i], ties[i], i))
    for index in by_claim[:left]:
        shares[index] += 1
    return shares


def share_with_caps(
    weights: Sequence[int],
    caps: Sequence[int] | None,
    total: int,
    carried: Sequence[int] | None = None,
    tie_breaks: Sequence[int] | None = None,
) -> CappedShare:
    """Split `total` by `weights`, nobody beyond his cap, the excess going round again.

    weights     what each member had at the epoch's start (units)
    caps        the most each may receive in all (units); None = no caps
    carried     balances before (1 / BALANCE_SCALE units); None = all zero
    tie_breaks  `tie_break(parent_id, order_id)` per member; lower wins

    Each share is the floor or the ceiling of the member's capped entitlement. Remainder
    units go to the greatest balance, this sharing's fraction included, then to the
    larger fraction, the lower tie-break, the lower index: with balances of zero that is
    `largest_remainder`. What no cap can hold (an over-fill) is returned as `unplaced`,
    never forced on a member and never dropped. Raises ValueError for negative weights,
    caps or total and for sequences of different lengths.
    """
    count = len(weights)
    require_non_negative("weight", weights)
    ties = _ties(tie_breaks, count)
    before = [0] * count if carried is None else list(carried)
    if len(before) != count:
        raise ValueError(f"{count} weights but {len(before)} carried balances")
    full, free, left, unplaced = _fill_to_caps(weights, caps, total)
    shares = full
    after = before[:]
    if free:
        free_weights = [weights[i] for i in free]
        free_ties = [ties[i] for i in free]
        entitled = largest_remainder(free_weights, left * BALANCE_SCALE, free_ties)
        floors = [amount // BALANCE_SCALE for amount in entitled]
        fractions = [amount % BALANCE_SCALE for amount in entitled]
        weight_sum = sum(free_weights)
        exact = [left * weight % weight_sum for weight in free_weights]
        # Only a member with a fraction may be rounded up: more would leave his quota.
        claims = sorted(
            (k for k in range(len(free)) if fractions[k]),
            key=lambda k: (
                -(before[free[k]] + fractions[k]),
                -exact[k],
                free_ties[k],
                free[k],
            ),
        )
        for k in claims[: left - sum(floors)]:
            floors[k] += 1
        for k, i in enumerate(free):
            shares[i] = floors[k]
            after[i] += entitled[k] - floors[k] * BALANCE_SCALE
    return CappedShare(tuple(shares), unplaced, tuple(after))


def monotone_floor(weights: Sequence[int], total: int, caps: Sequence[int] | None = None) -> list[int]:
    """What may be shown to clients as progress: the floor of each capped entitlement.

    Never falls while `total` grows and never exceeds the final share, because each exact
    entitlement only grows; the remainder units are held back until the epoch is closed.
    Largest remainder itself is not monotone: weights (1, 3, 3) share 3 as (1, 1, 1) and
    4 as (0, 2, 2). Weights and caps must be those of one epoch. Raises ValueError for
    negative weights, caps or total and for sequences of different lengths.
    """
    require_non_negative("weight", weights)
    shares, free, left, _ = _fill_to_caps(weights, caps, total)
    weight_sum = sum(weights[i] for i in free)
    for i in free:
        shares[i] = left * weights[i] // weight_sum
    return shares


def share_more(
    weights: Sequence[int],
    had: Sequence[int],
    caps: Sequence[int],
    total: int,
    tie_breaks: Sequence[int] | None = None,
) -> list[int]:
    """Split `total`, of which everybody has `had` for good, so that the order in which it came does not matter.

    weights     what each member had at the epoch's start (units); who has none keeps what he has
    caps        the most each may receive in all (units), never below what he has
    tie_breaks  as in `share_with_caps`

    Webster's divisor method (Balinski and Young, as above), within those bounds: each share is
    weight times one number, rounded to the nearest. That number grows with `total`, so no share
    falls while it grows, and 3 units and then 1 more end as 1 unit and then 3 more do. What no
    cap can hold is not shared. Raises ValueError for negative numbers, for sequences of
    different lengths, and when somebody has more than his cap or all have more than `total`.
    """
    require_non_negative("weight", weights)
    require_non_negative("share", had)
    ties = _ties(tie_breaks, len(weights))
    if not len(weights) == len(had) == len(caps):
        raise ValueError(f"{len(weights)} weights, {len(had)} shares and {len(caps)} caps")
    if sum(had) > total or any(low > cap for low, cap in zip(had, caps, strict=True)):
        raise ValueError(f"{total} cannot give everybody what he already has")
    most = [cap if weight else low for weight, low, cap in zip(weights, had, caps, strict=True)]
    if total >= sum(most):
        return most
    # In steps of 1 / scale no share rises by more than one unit.
    scale = max(weights) + 1

    def at(step: int) -> list[int]:
        return [
            min(high, max(low, (2 * weight * step + scale) // (2 * scale)))
            for weight, low, high in zip(weights, had, most, strict=True)
        ]

    below, above = 0, (max(most) + 1) * scale // min(weight for weight in weights if weight) + 1
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if sum(at(middle)) <= total else (below, middle)
    shares, next_shares = at(below), at(below + 1)
    rising = [i for i, share in enumerate(shares) if next_shares[i] > share]
    rising.sort(key=lambda i: (Fraction(2 * shares[i] + 1, weights[i]), ties[i], i))
    for i in rising[: total - sum(shares)]:
        shares[i] += 1
    return shares


def _fill_to_caps(
    weights: Sequence[int], caps: Sequence[int] | None, total: int
) -> tuple[list[int], list[int], int, int]:
    """Water-filling: (units of the capped, indices still free, left for them, unplaced).

    A member whose proportional part reaches his cap is set to it and drops out; what he
    leaves behind raises the others, so it is repeated until nobody reaches his cap.
    """
    if total < 0:
        raise ValueError(f"total must not be negative: {total}")
    count = len(weights)
    shares = [0] * count
    free = [i for i in range(count) if weights[i]]
    if caps is None:
        if total and not free:
            return shares, [], 0, total
        return shares, free, total, 0
    if len(caps) != count:
        raise ValueError(f"{count} weights but {len(caps)} caps")
    require_non_negative("cap", caps)
    left = min(total, sum(caps[i] for i in free))
    unplaced = total - left
    while free:
        weight_sum = sum(weights[i] for i in free)
        capped = [i for i in free if left * weights[i] >= caps[i] * weight_sum]
        if not capped:
            break
        for i in capped:
            shares[i] = caps[i]
        # Judged by the `left` of this round for everybody, before any cap is taken off.
        free = [i for i in free if left * weights[i] < caps[i] * weight_sum]
        left -= sum(caps[i] for i in capped)
    return shares, free, left, unplaced


def _ties(tie_breaks: Sequence[int] | None, count: int) -> Sequence[int]:
    if tie_breaks is None:
        return [0] * count
    if len(tie_breaks) != count:
        raise ValueError(f"{count} weights but {len(tie_breaks)} tie-breaks")
    return tie_breaks


def require_non_negative(name: str, values: Sequence[int]) -> None:
    """Raise ValueError naming the first negative value."""
    for index, value in enumerate(values):
        if value < 0:
            raise ValueError(f"{name} {index} must not be negative: {value}")
