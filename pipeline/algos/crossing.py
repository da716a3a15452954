"""Crossing clients' orders with each other: whether the midpoint may be used, and who meets whom.

Source of the price checks: docs/design-rules.md, Crossing. Locked and crossed quotations
are those of SEC Rule 610(d) of Regulation NMS (2005); the bands are those of the National
Market System Plan to Address Extraordinary Market Volatility (2012), limit up - limit
down. Who may meet whom is the caller's table (`crossing-rules`), given here as a matrix.

Matching is a maximum flow: Ford and Fulkerson (1956), Maximal flow through a network,
Canadian J. Mathematics 8; by shortest augmenting paths: Edmonds and Karp (1972),
Theoretical improvements in algorithmic efficiency for network flow problems, J. ACM
19(2); started from proportional quantities.

First form: the midpoint is that of one quote, not yet averaged over the last moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.algos.pro_rata import require_non_negative

PPM = 1_000_000


class NoCross(StrEnum):
    """Why nothing crosses at the midpoint, in the order of the checks."""

    MISSING = "MISSING"
    HALTED = "HALTED"
    STALE = "STALE"
    CROSSED = "CROSSED"
    LOCKED = "LOCKED"
    OFF_GRID = "OFF_GRID"
    TOO_WIDE = "TOO_WIDE"
    TOO_SMALL = "TOO_SMALL"
    TOO_FAR_FROM_MEDIAN = "TOO_FAR_FROM_MEDIAN"
    OUTSIDE_BANDS = "OUTSIDE_BANDS"
    TOO_FAR_FROM_REFERENCE = "TOO_FAR_FROM_REFERENCE"


@dataclass(frozen=True, slots=True)
class Quote:
    """The NBBO and its surroundings. Prices 1e-9 currency, quantities units, times ns.

    A side that is not there is None. `recent_median_px` is the median midpoint of the last
    moments, None when there is none; bands are None where none apply. `reference_px` is a
    price that is no quote (the last eligible sale, or the last close before any), and
    `reference_distance_ppm_max` how far the midpoint may be from it; None when there is none.
    """

    bid_px: int | None
    bid_qty: int
    offer_px: int | None
    offer_qty: int
    quote_ns: int
    halted: bool
    recent_median_px: int | None
    lower_band_px: int | None = None
    upper_band_px: int | None = None
    reference_px: int | None = None
    reference_distance_ppm_max: int = 0


@dataclass(frozen=True, slots=True)
class CrossLimits:
    """Configuration: the worst quote that still gives a fair midpoint.

    age_ns_max; spread_ppm_max and median_distance_ppm_max, of the midpoint;
    quote_qty_min, displayed on each side (one share must not set the price of thousands).
    """

    age_ns_max: int
    spread_ppm_max: int
    quote_qty_min: int
    median_distance_ppm_max: int


def midpoint_px(bid_px: int, offer_px: int) -> int:
    """(bid + offer) / 2, exact: ticks are even in 1e-9 units, so half a tick is an integer.

    Raises ValueError where it is not: a price on no grid, never to be rounded away.
    """
    half, odd = divmod(bid_px + offer_px, 2)
    if odd:
        raise ValueError(f"midpoint of {bid_px} and {offer_px} is no whole 1e-9 unit")
    return half


def midpoint_check(quote: Quote, now_ns: int, limits: CrossLimits) -> NoCross | None:
    """The first reason not to cross at the midpoint, or None when it is safe.

    OFF_GRID: half of bid plus offer is no whole 1e-9 unit, so a price is on no tick.
    A quote from after `now_ns` is STALE: its clock and ours disagree, its age is unknown.
    Limits include their own value: an age of exactly `age_ns_max` passes.
    """
    bid_px, offer_px = quote.bid_px, quote.offer_px
    if bid_px is None or offer_px is None:
        return NoCross.MISSING
    if bid_px <= 0 or min(quote.bid_qty, quote.offer_qty) <= 0:
        return NoCross.MISSING
    if quote.halted:
        return NoCross.HALTED
    if not 0 <= now_ns - quote.quote_ns <= limits.age_ns_max:
        return NoCross.STALE
    if bid_px > offer_px:
        return NoCross.CROSSED
    if bid_px == offer_px:
        return NoCross.LOCKED
    if (bid_px + offer_px) % 2:
        return NoCross.OFF_GRID
    mid_px = midpoint_px(bid_px, offer_px)
    if (offer_px - bid_px) * PPM > limits.spread_ppm_max * mid_px:
        return NoCross.TOO_WIDE
    if min(quote.bid_qty, quote.offer_qty) < limits.quote_qty_min:
        return NoCross.TOO_SMALL
    if quote.recent_median_px is None:
        return NoCross.MISSING
    distance_px = abs(mid_px - quote.recent_median_px)
    if distance_px * PPM > limits.median_distance_ppm_max * quote.recent_median_px:
        return NoCross.TOO_FAR_FROM_MEDIAN
    if quote.lower_band_px is not None and mid_px < quote.lower_band_px:
        return NoCross.OUTSIDE_BANDS
    if quote.upper_band_px is not None and mid_px > quote.upper_band_px:
        return NoCross.OUTSIDE_BANDS
    reference_px = quote.reference_px
    # A quote that stands alone for long is its own median: something else must confirm it.
    if reference_px is not None and (
        abs(mid_px - reference_px) * PPM > quote.reference_distance_ppm_max * reference_px
    ):
        return NoCross.TOO_FAR_FROM_REFERENCE
    return None


def match_parties(buy: Sequence[int], sell: Sequence[int], allowed: Sequence[Sequence[bool]]) -> list[list[int]]:
    """Quantity each buying party crosses with each selling party: as much as can be.

    buy, sell  quantity of each party (units)
    allowed    allowed[i][j]: may buyer i meet seller j

    Returns crossed[i][j]. No party crosses more than it has, nothing crosses where it may
    not, and no other answer crosses more in all. The bulk is proportional (with all
    allowed: each party of the longer side to its size, within rounding); the rest goes by
    shortest augmenting paths, which never take from a party's total. Same input, same
    answer; buyers and sellers swapped gives the mirror image, unless the problem is its own
    mirror image. Raises ValueError for negative quantities or a matrix of another shape.

    Parties, not single orders: work grows with buyers x sellers, so group orders first.
    """
    require_non_negative("buy", buy)
    require_non_negative("sell", sell)
    if len(allowed) != len(buy) or any(len(row) != len(sell) for row in allowed):
        raise ValueError(f"allowed must be {len(buy)} rows of {len(sell)}")
    rights = tuple(tuple(bool(cell) for cell in row) for row in allowed)
    mirrored = tuple(tuple(row[j] for row in rights) for j in range(len(sell)))
    # One orientation for a problem and its mirror image, so neither side is preferred.
    if (tuple(sell), tuple(buy), mirrored) < (tuple(buy), tuple(sell), rights):
        crossed = _match(sell, buy, mirrored)
        return [[row[i] for row in crossed] for i in range(len(buy))]
    return _match(buy, sell, rights)


_Rights = tuple[tuple[bool, ...], ...]


def _match(buy: Sequence[int], sell: Sequence[int], rights: _Rights) -> list[list[int]]:
    partners = [[j for j in range(len(sell)) if row[j]] for row in rights]
    crossed = [[0] * len(sell) for _ in buy]
    buy_left, sell_left = list(buy), list(sell)
    while _add_proportional(buy_left, sell_left, partners, crossed):
        pass
    while _augment(buy_left, sell_left, partners, crossed):
        pass
    return crossed


def _add_proportional(
    buy_left: list[int], sell_left: list[int], partners: list[list[int]], crossed: list[list[int]]
) -> bool:
    """Add floor(b x s / max(S, B)) to each allowed pair; True when anything was added.

    S is what the buyer's partners have left, B what the seller's partners have left, so
    no row and no column can overflow, and buyers and sellers are treated alike.
    """
    supply = [sum(sell_left[j] for j in row) for row in partners]
    demand = [0] * len(sell_left)
    for i, row in enumerate(partners):
        for j in row:
            demand[j] += buy_left[i]
    added = [
        (i, j, buy_left[i] * sell_left[j] // max(supply[i], demand[j]))
        for i, row in enumerate(partners)
        for j in row
        if buy_left[i] and sell_left[j]
    ]
    for i, j, qty in added:
        crossed[i][j] += qty
        buy_left[i] -= qty
        sell_left[j] -= qty
    return any(qty for _, _, qty in added)


def _augment(buy_left: list[int], sell_left: list[int], partners: list[list[int]], crossed: list[list[int]]) -> bool:
    """Send what fits along one shortest path from a buyer with something left to a seller
    with something left, re-pairing others on the way; False when there is no path."""
    buyer_of: list[int | None] = [None] * len(sell_left)
    seller_before: list[int | None] = [None] * len(buy_left)
    seen = [left > 0 for left in buy_left]
    frontier = [i for i, left in enumerate(buy_left) if left > 0]
    while frontier:
        reached: list[int] = []
        for i in frontier:
            for j in partners[i]:
                if buyer_of[j] is not None:
                    continue
                buyer_of[j] = i
                if sell_left[j] > 0:
                    _send(j, buyer_of, seller_before, buy_left, sell_left, crossed)
                    return True
                for other in range(len(buy_left)):
                    if crossed[other][j] and not seen[other]:
                        seen[other] = True
                        seller_before[other] = j
                        reached.append(other)
        frontier = reached
    return False


def _send(
    last_seller: int,
    buyer_of: list[int | None],
    seller_before: list[int | None],
    buy_left: list[int],
    sell_left: list[int],
    crossed: list[list[int]],
) -> None:
    path: list[tuple[int, int]] = []
    qty = sell_left[last_seller]
    seller: int | None = last_seller
    first_buyer = 0
    while seller is not None:
        buyer = buyer_of[seller]
        assert buyer is not None, "every seller on a path was reached from a buyer"
        path.append((buyer, seller))
        first_buyer = buyer
        seller = seller_before[buyer]
        if seller is not None:
            qty = min(qty, crossed[buyer][seller])
    qty = min(qty, buy_left[first_buyer])
    for k, (buyer, to_seller) in enumerate(path):
        crossed[buyer][to_seller] += qty
        if k + 1 < len(path):
            crossed[buyer][path[k + 1][1]] -= qty
    buy_left[first_buyer] -= qty
    sell_left[last_seller] -= qty
