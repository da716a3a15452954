"""A cap on our part of the volume: how much may still be traded now.

Source: FIX 4.4 ParticipationRate, tag 849 (with a target strategy other than participation
it limits our share of the market's volume), which leaves open whether that volume contains
our own. To be a fraction p of the volume *including* our own, own / (own + others) = p, so
own = p / (1 - p) x others; to be p of what *others* trade, own = p x others. Which of the
two is meant is always named (`OwnVolume`). Crossed volume is on neither side: it is never
part of `others_qty`, `executed_qty` or `live_qty` (docs/design-rules.md, Slicing).
"""

from collections.abc import Sequence
from enum import StrEnum

from pipeline.algos.pro_rata import require_non_negative, share_with_caps

PPM = 1_000_000


class OwnVolume(StrEnum):
    """Whether the volume our part is measured against contains our own."""

    INCLUDED = "INCLUDED"
    EXCLUDED = "EXCLUDED"


def others_qty(market_qty: int, own_printed_qty: int) -> int:
    """Volume of everybody else (units): the tape less those of our executions that are on it.

    On a replayed record our fills are not on the tape: `own_printed_qty` is 0. While a
    print is late the difference can fall below 0; it is then 0, which holds us back.
    Raises ValueError for a negative quantity.
    """
    require_non_negative("quantity", (market_qty, own_printed_qty))
    return max(0, market_qty - own_printed_qty)


def own_qty_max(others: int, cap_ppm: int | None, own_volume: OwnVolume) -> int | None:
    """The most units we may have traded while others traded `others` units; None = no bound.

    There is none without a cap, and none at 100 % of a volume that includes our own.
    Raises ValueError for a cap outside 0..1,000,000 or a negative volume.
    """
    require_non_negative("volume", (others,))
    if cap_ppm is None:
        return None
    if not 0 <= cap_ppm <= PPM:
        raise ValueError(f"participation cap must be within 0..{PPM} ppm, not {cap_ppm}")
    if own_volume is OwnVolume.EXCLUDED:
        return others * cap_ppm // PPM
    if cap_ppm == PPM:
        return None
    return others * cap_ppm // (PPM - cap_ppm)


def allowance_qty(
    others: int,
    executed_qty: int,
    live_qty: int,
    cap_ppm: int | None,
    own_volume: OwnVolume,
) -> int | None:
    """Quantity that may be newly sent now without ever breaking the cap; None = no bound.

    others        volume of everybody else since the parent's start
    executed_qty  own executions since then, all siblings of instrument and side together
    live_qty      own quantity that may still execute (unknown children included), ditto

    Live quantity counts as if it had traded, so late fills cannot break the cap. Never
    below 0; what a venue over-fills only makes it 0 for longer. Raises ValueError for a
    cap outside 0..1,000,000 or a negative quantity.
    """
    require_non_negative("quantity", (executed_qty, live_qty))
    most = own_qty_max(others, cap_ppm, own_volume)
    return None if most is None else max(0, most - executed_qty - live_qty)


def share_allowance(allowance: int | None, wanted: Sequence[int], tie_breaks: Sequence[int] | None = None) -> list[int]:
    """Share one allowance (units) among sibling parents, by what each wants and never more than that.

    Adds up to min(allowance, sum(wanted)); an allowance of None is no bound. `tie_breaks`:
    lower wins a remainder unit. Raises ValueError for a negative quantity.
    """
    if allowance is None:
        require_non_negative("wanted", wanted)
        return list(wanted)
    return list(share_with_caps(wanted, wanted, allowance, None, tie_breaks).shares)
