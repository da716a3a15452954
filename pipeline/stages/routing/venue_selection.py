"""Which venue a slice's next child goes to, and as what order, when venues are tried one after the other.

    PASSIVE   post-only at the near touch, on the best lit venue
    MIDPOINT  a midpoint peg on the best dark venue, else post-only one tick inside
    CROSS     one dark midpoint probe, then immediate-or-cancel at the far touch where it is shown
    SWEEP     one dark midpoint probe, then immediate-or-cancel up to the limit, best shown price first

What the limit does not let take or peg is posted at the limit instead: a slice that may trade waits in the market, not
with us. In a locked or crossed market there is no middle, and a post stands a tick behind the far touch. No price is
ever beyond the slice's limit; ticks are rounded to the safe side. A peg that rests has a limit always, so that no
strange quote carries it along. A venue gets at most one child of a slice. The child lists the venues considered, and
why one was not eligible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.algos.rounding import tick_reaching, tick_within_limit
from pipeline.algos.scorecard import ScoreParts, rank_venues
from pipeline.domain.executions import Candidate
from pipeline.domain.market import SessionState
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.domain.parents import Slice, Style
from pipeline.domain.reference import Instrument, Venue, VenueKind
from pipeline.domain.units import MILLI_BPS_ONE
from pipeline.stages.routing.gate import Resting, meets_own
from pipeline.stages.routing.open_slice import OpenSlice
from pipeline.stages.routing.parameters import RoutingParameters
from pipeline.stages.routing.second_opinion import SecondOpinion
from pipeline.stages.routing.venue_scorecards import PlacementKind, Scorecards, score_key
from pipeline.stages.shared.market_state import MarketState
from pipeline.stages.shared.switches import Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A child order a router would like to send: where, how much, as what order, and why there."""

    venue: str
    qty: int
    ord_type: OrdType
    limit_px: int | None
    time_in_force: TimeInForce
    post_only: bool
    min_qty: int
    rule: str
    candidates: tuple[Candidate, ...]
    score_key: str
    touch_px: int
    takes: bool = False
    probe: bool = False


class _Price(NamedTuple):
    """The order's limit, and what a venue must show: at least ``at_px``, or anything up to ``within_px``."""

    limit_px: int | None
    at_px: int | None = None
    within_px: int | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    venue: Venue
    score: ScoreParts
    px: int | None
    """Displayed far price, where that matters."""
    excluded: str


class VenueChoice:
    """Chooses by the displayed market, scorecards and switches as they are; keeps nothing."""

    def __init__(
        self,
        market: MarketState,
        scorecards: Scorecards,
        switches: Switches,
        parameters: RoutingParameters,
        opinion: SecondOpinion | None = None,
    ) -> None:
        self.parameters = parameters
        self._opinion = opinion
        self._market = market
        self._scorecards = scorecards
        self._switches = switches

    def next_child(
        self,
        open_slice: OpenSlice,
        qty: int,
        instrument: Instrument,
        venues: list[Venue],
        resting: tuple[Resting, ...],
        remaining_qty: int | None = None,
    ) -> Placement | str:
        """The next child for at most ``qty`` units of a slice, or the named reason why there is none.

        ``venues``: all that are set now. ``resting``: own children of the other side, which must not be met.
        ``remaining_qty``: what of the parent is not executed; its minimum quantity applies only as far as that goes.
        """
        slice_ = open_slice.slice
        # Only a slice that is itself below a lot, the very last of its parent, is sent as an odd lot.
        if qty >= instrument.lot_qty or slice_.qty % instrument.lot_qty == 0:
            qty -= qty % instrument.lot_qty
        if qty <= 0:
            return "BELOW_LOT"
        min_qty = slice_.min_qty if remaining_qty is None else min(slice_.min_qty, remaining_qty)
        if min_qty > qty:
            return "BELOW_MIN_QTY"
        quote = self._market.quote(slice_.instrument)
        if quote is None or quote.bid_px is None or quote.offer_px is None:
            return "NO_QUOTE"
        reference_px = None if self._opinion is None else self._opinion.px(instrument)
        plan = _Plan(
            self, open_slice, qty, min_qty, instrument, venues, resting, quote.bid_px, quote.offer_px, reference_px
        )
        match slice_.style:
            case Style.MIDPOINT:
                dark = plan.dark(TimeInForce.DAY)
                return plan.post(inside=True) if isinstance(dark, str) else dark
            case Style.CROSS | Style.SWEEP:
                probe = plan.probe()
                if not isinstance(probe, str):
                    return probe
                if not plan.may_take():
                    return plan.post_at_limit()
                return plan.take() if slice_.style is Style.CROSS else plan.sweep()
            case _:
                return plan.post(inside=False)

    def score(self, instrument: str, venue: Venue, kind: PlacementKind, half_spread_px: int) -> ScoreParts:
        """The expected cost of a unit sent to a venue against the far touch, by our own experience with it."""
        return self._scorecards.score(instrument, venue, kind, half_spread_px)

    def far_px(self, instrument: str, venue: str, side: Side) -> int | None:
        """Best displayed price an order of ``side`` could take at a venue; None where none is known."""
        return self._market.far_px(instrument, venue, side)

    def protected_px(self, instrument: str, venue: str, side: Side, round_lot_qty: int) -> int | None:
        """The displayed price at a venue that an order of ``side`` elsewhere may not trade through; None: none."""
        return self._market.protected_px(instrument, venue, side, round_lot_qty)

    def why_barred(self, instrument: str, venue: str, side: Side, kind: PlacementKind) -> str:
        """Why nothing of this kind may go to a venue now: law and halts, then the desk; empty when it may."""
        status = self._market.status(instrument, venue)
        if status.state is not SessionState.OPEN:
            return "NOT_OPEN"
        if status.short_restricted and side is Side.SELL_SHORT and kind is PlacementKind.TAKE:
            return "SHORT_RESTRICTED"
        if self._switches.killed(venue=venue):
            return "KILLED"
        if self._switches.paused(venue=venue):
            return "PAUSED"
        if self._switches.venue_blocked(venue):
            return "BLOCKED"
        return ""


class _Plan:
    """One choice of :class:`VenueChoice`, with the numbers it needs."""

    def __init__(
        self,
        choice: VenueChoice,
        open_slice: OpenSlice,
        qty: int,
        min_qty: int,
        instrument: Instrument,
        venues: list[Venue],
        resting: tuple[Resting, ...],
        bid_px: int,
        offer_px: int,
        reference_px: int | None,
    ) -> None:
        self.choice = choice
        self.open_slice = open_slice
        self.slice: Slice = open_slice.slice
        self.qty = qty
        self.min_qty = min_qty
        self.tick_px = instrument.tick_px
        self.round_lot_qty = instrument.round_lot_qty
        self.reference_px = reference_px
        self.venues = venues
        self.resting = resting
        self.side = open_slice.slice.side
        self.sign = self.side.sign
        self.near_px, self.far_px = (bid_px, offer_px) if self.side is Side.BUY else (offer_px, bid_px)
        self.half_spread_px = max(0, offer_px - bid_px) // 2
        self.middle_px = (bid_px + offer_px) // 2
        self.locked = bid_px >= offer_px

    # ------------------------------------------------------------------ the orders

    def post(self, *, inside: bool) -> Placement | str:
        px = self.near_px
        if inside and self.sign * (self.far_px - self.near_px) > self.tick_px:
            px += self.sign * self.tick_px
        return self._post_at(px, "POST_INSIDE" if inside else "POST_NEAR_TOUCH")

    def post_at_limit(self) -> Placement | str:
        """It would take or peg, and its limit does not reach that far: it waits where its limit lets it."""
        return self._post_at(self.far_px, "POST_AT_LIMIT")

    def _post_at(self, px: int, rule: str) -> Placement | str:
        """Post-only at a price, no worse than the limit, and never locking or crossing what is displayed."""
        px = tick_within_limit(self._no_worse_than_limit(px), self.tick_px, self.sign)
        if self.sign * (self.far_px - px) <= 0:
            px = tick_within_limit(self.far_px - self.sign * self.tick_px, self.tick_px, self.sign)
        if px <= 0:
            return "NO_PRICE"
        candidates = [self._candidate(venue, PlacementKind.POST, _Price(px)) for venue in self.venues]
        return self._best(candidates, PlacementKind.POST, rule, px, TimeInForce.DAY)

    def dark(self, time_in_force: TimeInForce, *, probe: bool = False) -> Placement | str:
        if not self.slice.dark_allowed:
            return "DARK_NOT_ALLOWED"
        if self.locked:
            return "LOCKED_MARKET"
        limit_px = self.slice.limit_px
        if limit_px is not None and self.sign * (self.middle_px - limit_px) > 0:
            return "LIMIT"  # it would not execute at the middle: better displayed, at the limit
        collar_px = self._collar_px()
        if collar_px is not None and self.sign * (self.middle_px - collar_px) > 0:
            return "OFF_REFERENCE"
        if limit_px is None and time_in_force is not TimeInForce.IOC:
            limit_px = collar_px
        if limit_px is not None:
            limit_px = tick_within_limit(limit_px, self.tick_px, self.sign)  # venues refuse what is off the tick
        price = _Price(limit_px)
        candidates = [self._candidate(venue, PlacementKind.MIDPOINT, price) for venue in self.venues]
        rule = "DARK_PROBE" if probe else "DARK_MIDPOINT"
        return self._best(candidates, PlacementKind.MIDPOINT, rule, limit_px, time_in_force, probe=probe)

    def probe(self) -> Placement | str:
        if self.slice.expire_ns and self.slice.expire_ns - self.slice.at_ns < self.choice.parameters.probe_least_ns:
            return "NO_TIME"
        return "PROBED" if self.open_slice.probed else self.dark(TimeInForce.IOC, probe=True)

    def may_take(self) -> bool:
        """Whether the limit reaches the far touch."""
        px = tick_reaching(self.far_px, self.tick_px, self.sign)
        return px == self._no_worse_than_limit(px)

    def take(self) -> Placement | str:
        px = tick_reaching(self.far_px, self.tick_px, self.sign)
        candidates = [
            self._candidate(venue, PlacementKind.TAKE, _Price(px, at_px=self.far_px)) for venue in self.venues
        ]
        return self._best(candidates, PlacementKind.TAKE, "TAKE_TOUCH", px, TimeInForce.IOC)

    def sweep(self) -> Placement | str:
        reach_px = self.far_px + self.sign * (self.far_px * self.choice.parameters.sweep_reach_mbps // MILLI_BPS_ONE)
        worst_px = reach_px if self.slice.limit_px is None else self.slice.limit_px
        worst_px = tick_within_limit(worst_px, self.tick_px, self.sign)
        candidates = [
            self._candidate(venue, PlacementKind.TAKE, _Price(worst_px, within_px=worst_px)) for venue in self.venues
        ]
        shown = [c for c in candidates if not c.excluded and c.px is not None]
        if not shown:
            return self._none(candidates)
        best = min(shown, key=lambda c: (self.sign * (c.px or 0), c.score.score_px, c.venue.venue))
        # Never through a better price displayed at another venue that this slice has not taken: that comes next.
        # Where it cannot go, only what is protected holds it: no odd lot does.
        others = [
            self.choice.protected_px(self.slice.instrument, c.venue.venue, self.side, self.round_lot_qty)
            if c.excluded
            else c.px
            for c in candidates
            if c is not best and c.venue.venue not in self.open_slice.swept and is_lit(c.venue)
        ]
        limit_px = worst_px
        for px in others:
            if px is not None and self.sign * (limit_px - px) > 0:
                limit_px = px
        limit_px = tick_within_limit(limit_px, self.tick_px, self.sign)
        if self.sign * (limit_px - (best.px or 0)) < 0:
            return "TRADE_THROUGH"  # a better price is displayed at a venue that is not eligible
        return self._placement(best, candidates, PlacementKind.TAKE, "SWEEP", limit_px, TimeInForce.IOC)

    # ------------------------------------------------------------------ the venues

    def _best(
        self,
        candidates: list[_Candidate],
        kind: PlacementKind,
        rule: str,
        px: int | None,
        time_in_force: TimeInForce,
        *,
        probe: bool = False,
    ) -> Placement | str:
        eligible = {c.venue.venue: c for c in candidates if not c.excluded}
        if not eligible:
            return self._none(candidates)
        first = rank_venues([c.score for c in eligible.values()])[0]
        return self._placement(eligible[first.venue], candidates, kind, rule, px, time_in_force, probe=probe)

    def _none(self, candidates: list[_Candidate]) -> str:
        # Exhausted: every venue that was eligible has been tried.
        return "VENUES_EXHAUSTED" if any(c.excluded == "TRIED" for c in candidates) else "NO_VENUE"

    def _placement(
        self,
        chosen: _Candidate,
        candidates: list[_Candidate],
        kind: PlacementKind,
        rule: str,
        px: int | None,
        time_in_force: TimeInForce,
        *,
        probe: bool = False,
    ) -> Placement:
        ranked = rank_venues([c.score for c in candidates if not c.excluded and c is not chosen])
        by_venue = {c.venue.venue: c for c in candidates}
        order = [chosen, *(by_venue[score.venue] for score in ranked), *(c for c in candidates if c.excluded)]
        midpoint = kind is PlacementKind.MIDPOINT
        return Placement(
            venue=chosen.venue.venue,
            qty=self.qty,
            ord_type=OrdType.PEGGED_MIDPOINT if midpoint else OrdType.LIMIT,
            limit_px=px,
            time_in_force=time_in_force,
            post_only=kind is PlacementKind.POST,
            min_qty=self.min_qty,
            rule=rule,
            # The score is against the far touch; the record's cost is against the midpoint.
            candidates=tuple(
                Candidate(
                    venue=c.venue.venue,
                    cost_px=c.score.score_px + self.half_spread_px,
                    fill_rate=c.score.fill_rate_ppm,
                    excluded=c.excluded,
                )
                for c in order
            ),
            score_key=score_key(self.slice.instrument, chosen.venue.venue, kind),
            touch_px=self.far_px,
            takes=kind is PlacementKind.TAKE,
            probe=probe,
        )

    def _candidate(self, venue: Venue, kind: PlacementKind, price: _Price) -> _Candidate:
        score = self.choice.score(self.slice.instrument, venue, kind, max(0, self.half_spread_px))
        px = self.choice.far_px(self.slice.instrument, venue.venue, self.side)
        return _Candidate(venue, score, px, self._excluded(venue, kind, price, px))

    def _excluded(self, venue: Venue, kind: PlacementKind, price: _Price, px: int | None) -> str:
        """Why a venue is not eligible; empty when it is. Law and halts, the desk, the client, then the order."""
        code = venue.venue
        barred = self.choice.why_barred(self.slice.instrument, code, self.side, kind)
        if barred:
            return barred
        if self.slice.allowed_venues and code not in self.slice.allowed_venues:
            return "NOT_ALLOWED"
        if kind is PlacementKind.MIDPOINT and venue.venue_kind is not VenueKind.DARK:
            return "NOT_DARK"
        if kind is not PlacementKind.MIDPOINT and not is_lit(venue):
            return "NOT_LIT"
        if code in self.open_slice.tried:
            return "TRIED"
        if self.qty < venue.min_qty:
            return "BELOW_VENUE_MINIMUM"
        if kind is PlacementKind.POST and self.min_qty:
            return "MIN_QTY"  # a displayed resting order is executed in any size
        if price.at_px is not None and (px is None or self.sign * (px - price.at_px) > 0):
            return "NOT_AT_TOUCH"
        if price.within_px is not None and (px is None or self.sign * (px - price.within_px) > 0):
            return "NOT_WITHIN_LIMIT"
        if meets_own(self.side, code, price.limit_px, self.resting):
            return "OWN_ORDER"  # the gate would refuse it; another venue may be possible
        return ""

    def _collar_px(self) -> int | None:
        """The worst price that the gate lets stand against its second opinion; None where there is none."""
        if self.reference_px is None:
            return None
        away_px = self.reference_px * self.choice.parameters.gate.reference_collar // MILLI_BPS_ONE
        return self.reference_px + self.sign * away_px

    def _no_worse_than_limit(self, px: int) -> int:
        limit_px = self.slice.limit_px
        if limit_px is None:
            return px
        return min(px, limit_px) if self.side is Side.BUY else max(px, limit_px)


def is_lit(venue: Venue) -> bool:
    """Whether it displays prices others must respect."""
    return venue.venue_kind in (VenueKind.LIT, VenueKind.ATS)
