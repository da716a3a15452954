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
    """What was asked of a venue: kinds are not compared with each other."""

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
    """What a child left to later ones of its slice: its venue's score pays for where that was finished."""

    score_key: str
    touch_px: int
    qty: int


class ExecutionsSeen(Entry):
    """Executions seen in an instrument: the scorecards' version."""

    fills: int = 0


class Scorecards:
    """Keeps its tables in ``state``."""

    def __init__(self, state: State, priors: PriorsParameters) -> None:
        self._priors = {
            PlacementKind.POST: priors.post,
            PlacementKind.MIDPOINT: priors.midpoint,
            PlacementKind.TAKE: priors.take,
        }
        self._scores = state.table("scores", ScoreSums)
        self._seen = state.table("scores-seen", ExecutionsSeen)

    def version(self, instrument: str) -> int:
        """How many executions the scorecards of an instrument have seen."""
        seen = self._seen.get(instrument)
        return 0 if seen is None else seen.fills

    def score(self, instrument: str, venue: Venue, kind: PlacementKind, half_spread_px: int) -> ScoreParts:
        """What a unit asked of a venue costs against the far touch, fees and finishing included."""
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
        """An execution has been counted."""
        self._seen.put(instrument, ExecutionsSeen(self.version(instrument) + 1))

    def add(self, key: str, tally: ScoreSums) -> None:
        """Add what is known of a child that has ended (or of its late execution)."""
        score = self._scores.get(key) or ScoreSums()
        score.sent_qty += tally.sent_qty
        score.filled_qty += tally.filled_qty
        score.touch_cost += tally.touch_cost
        score.fees += tally.fees
        score.fill_time_ns += tally.fill_time_ns
        score.fill_count += tally.fill_count
        self._scores.put(key, score)

    def finished(self, left: Unfilled, qty: int, px: int, fee: int, sign: int) -> int:
        """What one child left unfilled was executed by a later one; returns how much of it."""
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
