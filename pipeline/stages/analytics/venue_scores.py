"""Execution quality by venue and minute, from our own children and fills; exact under busts and corrections.

An execution keeps the time at which it happened: what busts or corrects it later is told later, not filled later. One
that a venue stamps before the child was sent has no time to fill, and is left out of the mean.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.analytics import VenueScore
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.int64 import fits, low_and_high, nearest, whole
from pipeline.domain.market import midpoint_of
from pipeline.stages.shared.print_tape import MINUTE_NS
from pipeline.state import Entry, State


class Sent(Entry):
    """What a child's score needs of it: venue, side (``sign`` +1 buy, -1 sell), time sent, midpoint at that time."""

    venue: str
    sign: int
    sent_ns: int
    midpoint_px: int | None


class WaitingFills(Entry):
    """Fills read before their child order: there is no order between the two topics."""

    fills: list[Fill] = []


class FilledAt(Entry):
    """When an execution happened, by the venue's time; 0 when that was before its child was sent."""

    venue_ns: int


class MinuteCounts(Entry):
    """Counts of the current minute for one instrument at one venue. Money, fees and slippage in 1e-9 currency units.

    Sums that may not fit 64 bits are kept in two parts (`pipeline.domain.int64`).
    """

    instrument: str
    venue: str
    window_ns: int
    version: int = 0
    dirty: bool = False
    children: int = 0
    sent_qty: int = 0
    filled_qty: int = 0
    filled_money: int = 0
    fees: int = 0
    slippage: int = 0
    waited: int = 0
    """Sum over fills of quantity times nanoseconds since sending."""
    filled_money_high: int = 0
    slippage_high: int = 0
    waited_high: int = 0
    untimed_qty: int = 0
    """The part of filled_qty without a time to fill."""


class VenueScores:
    """The scores of a task; keeps its tables in ``state``."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._sent = state.table("sent", Sent)
        self._waiting = state.table("waiting", WaitingFills)
        self._scores = state.table("scores", MinuteCounts)
        self._filled_at = state.table("filled-at", FilledAt)

    def on_child(self, child: ChildOrder) -> None:
        """Count a new child, and the fills that were read before it."""
        if child.kind is not ChildKind.NEW:
            return
        if child.child_id in self._sent:
            return
        midpoint_px = midpoint_of(child.bid_px, child.offer_px)
        self._sent.put(child.child_id, Sent(child.venue, child.side.sign, child.sent_ns, midpoint_px))
        score = self._score(child.instrument, child.venue)
        score.children += 1
        score.sent_qty = nearest(score.sent_qty + child.order_qty)
        self._put(score)
        waiting = self._waiting.get(child.child_id)
        if waiting is not None:
            self._waiting.remove(child.child_id)
            for fill in waiting.fills:
                self.on_fill(fill)

    def on_fill(self, fill: Fill) -> None:
        """Count an execution, its bust or its correction; other kinds of fill change nothing."""
        if fill.kind not in (FillKind.TRADE, FillKind.BUST, FillKind.CORRECT):
            return
        sent = self._sent.get(fill.child_id)
        if sent is None:
            waiting = self._waiting.get(fill.child_id) or WaitingFills()
            self._waiting.put(fill.child_id, WaitingFills([*waiting.fills, fill]))
            return
        score = self._score(fill.instrument, sent.venue)
        first = self._filled_at.get(fill.ref_fill_id or "")
        venue_ns = fill.venue_ns if fill.kind is FillKind.TRADE or first is None else first.venue_ns
        if fill.kind is FillKind.TRADE and venue_ns < sent.sent_ns:
            venue_ns = 0
        if fill.kind is not FillKind.BUST:
            self._filled_at.put(fill.fill_id, FilledAt(venue_ns))
        match fill.kind:
            case FillKind.TRADE:
                _book(score, sent, fill.last_qty, fill.last_px, fill.fee, venue_ns)
            case FillKind.BUST:
                _book(score, sent, -fill.last_qty, fill.last_px, -fill.prior_fee, venue_ns)
            case _:
                _book(score, sent, -fill.prior_qty, fill.prior_px, -fill.prior_fee, venue_ns)
                _book(score, sent, fill.last_qty, fill.last_px, fill.fee, venue_ns)
        self._put(score)

    def closed(self, now_ns: int) -> Iterator[VenueScore]:
        """Scores of the minutes that ended by ``now_ns`` (session time); their counts start again from zero."""
        window_ns = now_ns // MINUTE_NS * MINUTE_NS
        for key in self._scores.keys():
            score = self._scores[key]
            if score.window_ns >= window_ns:
                continue
            if score.dirty:
                score.version += 1
                yield _row(score)
            self._scores.put(key, MinuteCounts(score.instrument, score.venue, window_ns, score.version))

    def forget(self) -> None:
        """Forget all children: a new day has begun, and yesterday's are filled no more."""
        for key in self._sent.keys():
            self._sent.remove(key)
        for key in self._waiting.keys():
            self._waiting.remove(key)
        for key in self._filled_at.keys():
            self._filled_at.remove(key)

    def _score(self, instrument: str, venue: str) -> MinuteCounts:
        window_ns = self._state.now_ns // MINUTE_NS * MINUTE_NS
        return self._scores.get(f"{instrument}@{venue}") or MinuteCounts(instrument, venue, window_ns)

    def _put(self, score: MinuteCounts) -> None:
        score.dirty = True
        self._scores.put(f"{score.instrument}@{score.venue}", score)


def _book(score: MinuteCounts, sent: Sent, qty: int, px: int | None, fee: int, venue_ns: int) -> None:
    px = px or 0  # routing gives every execution a price; without one there is no money
    money = whole(score.filled_money, score.filled_money_high) + qty * px
    score.filled_money, score.filled_money_high = low_and_high(money)
    score.filled_qty = nearest(score.filled_qty + qty)
    score.fees = nearest(score.fees + fee)
    if sent.midpoint_px is not None:
        slippage = whole(score.slippage, score.slippage_high) + qty * sent.sign * (px - sent.midpoint_px)
        score.slippage, score.slippage_high = low_and_high(slippage)
    if venue_ns:
        waited = whole(score.waited, score.waited_high) + qty * (venue_ns - sent.sent_ns)
        score.waited, score.waited_high = low_and_high(waited)
    else:
        score.untimed_qty = nearest(score.untimed_qty + qty)


def _row(score: MinuteCounts) -> VenueScore:
    filled_money = whole(score.filled_money, score.filled_money_high)
    slippage = whole(score.slippage, score.slippage_high)
    waited = whole(score.waited, score.waited_high)
    all_fit = fits(filled_money) and fits(slippage)
    timed_qty = score.filled_qty - score.untimed_qty
    # Of a minute in which more was busted than filled there is no mean.
    mean_ns = waited // timed_qty if timed_qty > 0 and waited >= 0 else 0
    return VenueScore(
        instrument=score.instrument,
        venue=score.venue,
        window_end_ns=score.window_ns + MINUTE_NS,
        version=score.version,
        children=score.children,
        sent_qty=score.sent_qty,
        filled_qty=score.filled_qty,
        filled_money=filled_money if all_fit else 0,
        fees=score.fees,
        slippage=slippage if all_fit else 0,
        time_to_fill_ns=nearest(mean_ns),
        untimed_qty=score.untimed_qty,
        beyond_range=not all_fit,
    )
