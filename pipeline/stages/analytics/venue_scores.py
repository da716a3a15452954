"""Execution quality by venue and minute, from our own children and fills; exact under busts and corrections."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.analytics import VenueScore
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
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


class MinuteCounts(Entry):
    """Counts of the current minute for one instrument at one venue. Money, fees and slippage in 1e-9 currency units."""

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


class VenueScores:
    """The scores of a task; keeps its tables in ``state``."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._sent = state.table("sent", Sent)
        self._waiting = state.table("waiting", WaitingFills)
        self._scores = state.table("scores", MinuteCounts)

    def on_child(self, child: ChildOrder) -> None:
        """Count a new child, and the fills that were read before it."""
        if child.kind is not ChildKind.NEW:
            return
        both = child.bid_px is not None and child.offer_px is not None
        midpoint_px = (child.bid_px + child.offer_px) // 2 if both else None  # type: ignore[operator]
        self._sent.put(child.child_id, Sent(child.venue, child.side.sign, child.sent_ns, midpoint_px))
        score = self._score(child.instrument, child.venue)
        score.children += 1
        score.sent_qty += child.order_qty
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
        match fill.kind:
            case FillKind.TRADE:
                self._book(score, sent, fill.last_qty, fill.last_px, fill.fee, fill.venue_ns)
            case FillKind.BUST:
                self._book(score, sent, -fill.last_qty, fill.last_px, -fill.prior_fee, fill.venue_ns)
            case _:
                self._book(score, sent, -fill.prior_qty, fill.prior_px, -fill.prior_fee, fill.venue_ns)
                self._book(score, sent, fill.last_qty, fill.last_px, fill.fee, fill.venue_ns)
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
                yield VenueScore(
                    instrument=score.instrument,
                    venue=score.venue,
                    window_end_ns=score.window_ns + MINUTE_NS,
                    version=score.version,
                    children=score.children,
                    sent_qty=score.sent_qty,
                    filled_qty=score.filled_qty,
                    filled_money=score.filled_money,
                    fees=score.fees,
                    slippage=score.slippage,
                    time_to_fill_ns=score.waited // score.filled_qty if score.filled_qty > 0 else 0,
                )
            self._scores.put(key, MinuteCounts(score.instrument, score.venue, window_ns, score.version))

    def forget(self) -> None:
        """Forget all children: a new day has begun, and yesterday's are filled no more."""
        for key in self._sent.keys():
            self._sent.remove(key)
        for key in self._waiting.keys():
            self._waiting.remove(key)

    @staticmethod
    def _book(score: MinuteCounts, sent: Sent, qty: int, px: int | None, fee: int, venue_ns: int) -> None:
        assert px is not None, "an execution has a price"
        score.filled_qty += qty
        score.filled_money += qty * px
        score.fees += fee
        if sent.midpoint_px is not None:
            score.slippage += qty * sent.sign * (px - sent.midpoint_px)
        score.waited += qty * max(0, venue_ns - sent.sent_ns)

    def _score(self, instrument: str, venue: str) -> MinuteCounts:
        window_ns = self._state.now_ns // MINUTE_NS * MINUTE_NS
        return self._scores.get(f"{instrument}@{venue}") or MinuteCounts(instrument, venue, window_ns)

    def _put(self, score: MinuteCounts) -> None:
        score.dirty = True
        self._scores.put(f"{score.instrument}@{score.venue}", score)
