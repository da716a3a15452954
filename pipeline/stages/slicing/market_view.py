"""What slicing knows of an instrument's market: the quote, the displayed depth, the volume so far, who is open.

Part of a stage's state: small entries, one per instrument (and per venue for depth and status).
"""

from __future__ import annotations

from itertools import pairwise
from math import isqrt
from statistics import median_low
from typing import Final

from pipeline.domain.market import NBBO, Depth, DepthKind, PrintKind, SessionState, TradePrint, VenueStatus
from pipeline.domain.orders import Side
from pipeline.domain.units import NS_PER_S
from pipeline.state import Entry, State

_ROOT_OF_NS_PER_S: Final = isqrt(NS_PER_S)


class MarketEntry(Entry):
    """One instrument."""

    bid_px: int | None = None
    bid_qty: int = 0
    offer_px: int | None = None
    offer_qty: int = 0
    quote_ns: int = 0
    volume_qty: int = 0
    sampled_ns: int = 0
    spreads: list[int] = []
    midpoints: list[int] = []
    median_spread_px: int = 0
    volatility_px: int = 0
    venues: list[str] = []


class BookEntry(Entry):
    """Displayed depth of one venue: (price, quantity), best first."""

    bids: list[tuple[int, int]] = []
    offers: list[tuple[int, int]] = []


class StatusEntry(Entry):
    """Session state of an instrument at one venue."""

    state: str = SessionState.UNKNOWN


class MarketView:
    """The tables and the questions they answer."""

    def __init__(self, state: State, sample_ns: int, sample_count: int) -> None:
        self._sample_ns = sample_ns
        # Moves grow with the root of time: what they are over a sample is brought to what they are over a second.
        self._samples_a_second_root = isqrt(NS_PER_S * NS_PER_S // sample_ns)
        self._sample_count = sample_count
        self._markets = state.table("markets", MarketEntry)
        self._books = state.table("books", BookEntry)
        self._statuses = state.table("statuses", StatusEntry)

    def of(self, instrument: str) -> MarketEntry:
        return self._markets.get(instrument) or MarketEntry()

    # ------------------------------------------------------------------ what comes in

    def on_nbbo(self, quote: NBBO) -> None:
        market = self.of(quote.instrument)
        market.bid_px, market.bid_qty = quote.bid_px, quote.bid_qty
        market.offer_px, market.offer_qty = quote.offer_px, quote.offer_qty
        market.quote_ns = quote.event_ns
        midpoint = quote.midpoint_px
        if midpoint is not None and quote.event_ns - market.sampled_ns >= self._sample_ns:
            assert quote.bid_px is not None and quote.offer_px is not None
            market.sampled_ns = quote.event_ns
            market.spreads = [*market.spreads, quote.offer_px - quote.bid_px][-self._sample_count :]
            market.midpoints = [*market.midpoints, midpoint][-self._sample_count :]
            moves = [abs(after - before) for before, after in pairwise(market.midpoints)]
            market.median_spread_px = median_low(market.spreads)
            move_px = sum(moves) // len(moves) if moves else 0
            market.volatility_px = move_px * self._samples_a_second_root // _ROOT_OF_NS_PER_S
        self._markets.put(quote.instrument, market)

    def on_print(self, trade: TradePrint) -> None:
        """Volume only grows with trades; what is cancelled later was there when we paced ourselves by it."""
        if trade.kind is PrintKind.TRADE and trade.eligible_volume:
            market = self.of(trade.instrument)
            market.volume_qty += trade.qty
            self._markets.put(trade.instrument, market)

    def on_depth(self, depth: Depth) -> None:
        self._know(depth.instrument, depth.venue)
        key = f"{depth.instrument}@{depth.venue}"
        book = self._books.get(key) or BookEntry()
        bids = [(level.px, level.qty) for level in depth.bids]
        offers = [(level.px, level.qty) for level in depth.offers]
        if depth.kind is DepthKind.CHANGE:
            bids = _changed(book.bids, bids, best_is_high=True)
            offers = _changed(book.offers, offers, best_is_high=False)
        self._books.put(key, BookEntry(bids, offers))

    def on_status(self, status: VenueStatus) -> None:
        self._know(status.instrument, status.venue)
        self._statuses.put(f"{status.instrument}@{status.venue}", StatusEntry(status.state))

    def _know(self, instrument: str, venue: str) -> None:
        market = self.of(instrument)
        if venue not in market.venues:
            market.venues = sorted([*market.venues, venue])
            self._markets.put(instrument, market)

    # ------------------------------------------------------------------ what is asked

    def is_open(self, instrument: str) -> bool:
        """Whether any venue trades it now. Nothing is sent on no knowledge."""
        statuses = (self._statuses.get(f"{instrument}@{venue}") for venue in self.of(instrument).venues)
        return any(status is not None and status.state == SessionState.OPEN for status in statuses)

    def spread_px(self, instrument: str) -> int | None:
        """Offer less bid; None without both, or when the market is locked or crossed."""
        market = self.of(instrument)
        if market.bid_px is None or market.offer_px is None or market.offer_px <= market.bid_px:
            return None
        return market.offer_px - market.bid_px

    def median_spread_px(self, instrument: str) -> int:
        """Of the last minute's samples; 0 before the first."""
        return self.of(instrument).median_spread_px

    def volatility_px(self, instrument: str) -> int:
        """Mean absolute move of the midpoint from sample to sample (about a second), 1e-9 currency; 0 unknown."""
        return self.of(instrument).volatility_px

    def depth_inside(self, instrument: str, side: Side, limit_px: int | None) -> int:
        """Displayed quantity an order of ``side`` could take at or inside its limit, all venues together."""
        market = self.of(instrument)
        total = 0
        for venue in market.venues:
            book = self._books.get(f"{instrument}@{venue}")
            if book is not None:
                levels = book.offers if side is Side.BUY else book.bids
                total += sum(qty for px, qty in levels if _inside(px, side, limit_px))
        if total:
            return total
        touch_px, touch_qty = (
            (market.offer_px, market.offer_qty) if side is Side.BUY else (market.bid_px, market.bid_qty)
        )
        return touch_qty if touch_px is not None and _inside(touch_px, side, limit_px) else 0


def _inside(px: int, side: Side, limit_px: int | None) -> bool:
    return limit_px is None or (px <= limit_px if side is Side.BUY else px >= limit_px)


def _changed(
    known: list[tuple[int, int]], changes: list[tuple[int, int]], *, best_is_high: bool
) -> list[tuple[int, int]]:
    levels = dict(known)
    levels.update(changes)
    return sorted(((px, qty) for px, qty in levels.items() if qty > 0), reverse=best_is_high)
