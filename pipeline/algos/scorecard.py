"""What a venue really costs: a first scorecard, from exact counts of our own reports.

Rule: docs/design-rules.md, Routing: effective cost with fees over the *whole* quantity asked,
also what did not fill and was finished elsewhere; pooled from venue to instrument.
Pooling is the conjugate mean: the prior counts as so many units (and fills) of
experience. All results are integers, halves to even.

First form: no conditioning on order kind or size, no fade, no leakage, no uncertainty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.algos.rounding import divide_half_even

PPM = 1_000_000
NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class VenueCounts:
    """Sums over closed children of one venue (and instrument). All are plain additions.

    sent_qty, filled_qty  units asked and executed
    touch_cost            sum of side x (last_px - touch_px) x qty, 1e-9 currency;
                          negative when a posted order earned the spread
    fees                  1e-9 currency, rebates negative
    finish_cost           what the unfilled quantity lost where it was finished, against
                          the same touch, fees included, 1e-9 currency
    finished_qty          units of it that have been finished
    fill_time_ns          sum of time from sending to fill; fill_count is its number
    """

    sent_qty: int = 0
    filled_qty: int = 0
    touch_cost: int = 0
    fees: int = 0
    finish_cost: int = 0
    finished_qty: int = 0
    fill_time_ns: int = 0
    fill_count: int = 0


@dataclass(frozen=True, slots=True)
class VenuePrior:
    """What is believed of a venue before own experience, and how firmly.

    cost_px (1e-9 currency a unit) and fill_rate_ppm weigh as `weight_qty` units asked,
    fill_time_ns as `weight_fills` fills. `unfilled_px` is the assumed cost a unit of
    unfilled quantity not yet finished elsewhere (say half-spread plus taking fee).
    Both weights must be positive: without experience the score is the prior.
    """

    cost_px: int
    fill_rate_ppm: int
    fill_time_ns: int
    unfilled_px: int
    weight_qty: int
    weight_fills: int


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """`score_px` (1e-9 currency a unit asked, lower is better) and its three parts."""

    venue: str
    score_px: int
    cost_px: int
    fill_rate_ppm: int
    fill_time_ns: int


def score_venue(venue: str, counts: VenueCounts, prior: VenuePrior, delay_px_per_second: int = 0) -> ScoreParts:
    """Pool the counts with the prior: score = effective cost + delay price x time to fill.

    `delay_px_per_second` is what a second's wait is worth, 1e-9 currency a unit. Raises
    ValueError for weights below 1 or counts that contradict each other.
    """
    if prior.weight_qty < 1 or prior.weight_fills < 1:
        raise ValueError(f"prior weights must be positive: {prior}")
    unfinished = counts.sent_qty - counts.filled_qty - counts.finished_qty
    if min(counts.filled_qty, counts.finished_qty, unfinished) < 0:
        raise ValueError(f"filled and finished exceed sent: {counts}")
    money = counts.touch_cost + counts.fees + counts.finish_cost
    money += unfinished * prior.unfilled_px
    asked = counts.sent_qty + prior.weight_qty
    fills = counts.fill_count + prior.weight_fills
    cost_px = divide_half_even(money + prior.cost_px * prior.weight_qty, asked)
    fill_rate_ppm = divide_half_even(counts.filled_qty * PPM + prior.fill_rate_ppm * prior.weight_qty, asked)
    fill_time_ns = divide_half_even(counts.fill_time_ns + prior.fill_time_ns * prior.weight_fills, fills)
    delay_px = divide_half_even(fill_time_ns * delay_px_per_second, NS_PER_SECOND)
    return ScoreParts(venue, cost_px + delay_px, cost_px, fill_rate_ppm, fill_time_ns)


def rank_venues(scores: Sequence[ScoreParts]) -> list[ScoreParts]:
    """Best first: lower score, then higher fill rate, shorter time, venue's name."""
    return sorted(scores, key=lambda s: (s.score_px, -s.fill_rate_ppm, s.fill_time_ns, s.venue))
