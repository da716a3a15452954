"""Routing's own experience with venues: exact counts of its own children, by instrument, venue and kind of order.

The numbers are `algos/scorecard.py`'s. First form: conditioned on the kind of order only; the prior is a parameter, not
yet the pooled experience of analytics.
"""

from __future__ import annotations

from enum import StrEnum

from pipeline.algos.scorecard import ScoreParts, VenueCounts, VenuePrior, score_venue
from pipeline.domain.reference import Venue
from pipeline.domain.units import PPM_ONE
from pipeline.stages.routing.parameters import PriorsParameters
from pipeline.state import Entry, State


class PlacementKind(StrEnum):
    """What kind of order a venue was sent: kinds are not compared with each other."""

    POST = "POST"
    MIDPOINT = "MIDPOINT"
    TAKE = "TAKE"


class ScoreSums(Entry):
    """Sums over children that have ended, as in `algos.scorecard.VenueCounts`; or one child's part in them."""

    sent_qty: int = 0
    filled_qty: int = 0
    touch_cost: int = 0
    fees: int = 0
    finish_cost: int = 0
    finished_qty: int = 0
    fill_time_ns: int = 0
    fill_count: int = 0

    def executed(self, qty: int, cost: int, fee: int, waited_ns: int) -> None:
        """Count an execution; `cost` is against the far touch, 1e-9 currency, positive when it hurt."""
        self.filled_qty += qty
        self.touch_cost += cost
        self.fees += fee
        self.fill_time_ns += max(0, waited_ns)
        self.fill_count += 1


class Unfilled(Entry):
    """What a child left to later ones of its slice: the cost of executing it elsewhere counts in its venue's score."""

    score_key: str
    touch_px: int
    qty: int


class ExecutionsSeen(Entry):
    """Number of executions counted in an instrument, which is the version of its scorecards."""

    fills: int = 0


class Scorecards:
    """The scorecards of a task; keeps its tables in ``state``."""

    def __init__(self, state: State, priors: PriorsParameters) -> None:
        self._priors = {
            PlacementKind.POST: priors.post,
            PlacementKind.MIDPOINT: priors.midpoint,
            PlacementKind.TAKE: priors.take,
        }
        self._scores = state.table("scores", ScoreSums)
        self._seen = state.table("scores-seen", ExecutionsSeen)

    def version(self, instrument: str) -> int:
        """How many executions are counted in the scorecards of an instrument."""
        seen = self._seen.get(instrument)
        return 0 if seen is None else seen.fills

    def score(self, instrument: str, venue: Venue, kind: PlacementKind, half_spread_px: int) -> ScoreParts:
        """Expected cost of a unit sent to a venue against the far touch, 1e-9 currency units, with fees and with
        executing elsewhere what stays unfilled."""
        counts = self._scores.get(score_key(instrument, venue.venue, kind)) or ScoreSums()
        filled_qty = min(counts.filled_qty, counts.sent_qty)  # a venue may over-fill
        prior = self._priors[kind]
        unfilled_px = half_spread_px + venue.taker_fee_px
        filled_px = {
            PlacementKind.POST: venue.maker_fee_px - 2 * half_spread_px,
            PlacementKind.MIDPOINT: venue.taker_fee_px - half_spread_px,
            PlacementKind.TAKE: venue.taker_fee_px,
        }[kind]
        believed = prior.fill_rate_ppm * filled_px + (PPM_ONE - prior.fill_rate_ppm) * unfilled_px
        return score_venue(
            venue.venue,
            VenueCounts(
                sent_qty=counts.sent_qty,
                filled_qty=filled_qty,
                touch_cost=counts.touch_cost,
                fees=counts.fees,
                finish_cost=counts.finish_cost,
                finished_qty=min(counts.finished_qty, counts.sent_qty - filled_qty),
                fill_time_ns=counts.fill_time_ns,
                fill_count=counts.fill_count,
            ),
            VenuePrior(
                cost_px=believed // PPM_ONE,
                fill_rate_ppm=prior.fill_rate_ppm,
                fill_time_ns=prior.fill_time_ns,
                unfilled_px=unfilled_px,
                weight_qty=prior.weight_qty,
                weight_fills=prior.weight_fills,
            ),
        )

    def seen(self, instrument: str) -> None:
        """Count an execution in the instrument's version."""
        self._seen.put(instrument, ExecutionsSeen(self.version(instrument) + 1))

    def add(self, key: str, tally: ScoreSums) -> None:
        """Add a child that has ended, or a late execution of it, to the score ``key``."""
        score = self._scores.get(key) or ScoreSums()
        score.sent_qty += tally.sent_qty
        score.filled_qty += tally.filled_qty
        score.touch_cost += tally.touch_cost
        score.fees += tally.fees
        score.fill_time_ns += tally.fill_time_ns
        score.fill_count += tally.fill_count
        self._scores.put(key, score)

    def finished(self, left: Unfilled, qty: int, px: int, fee: int, sign: int) -> int:
        """A later child executed ``qty`` at ``px``: charge its cost, as far as it covers what ``left`` names, to the
        score of the venue that left it unfilled; returns that quantity."""
        share_qty = min(qty, left.qty)
        if share_qty:
            score = self._scores.get(left.score_key) or ScoreSums()
            score.finished_qty += share_qty
            score.finish_cost += sign * (px - left.touch_px) * share_qty + fee * share_qty // qty
            self._scores.put(left.score_key, score)
        return share_qty


def score_key(instrument: str, venue: str, kind: PlacementKind) -> str:
    """Key of a score."""
    return f"{instrument}@{venue}/{kind}"
