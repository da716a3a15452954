"""A second lit venue for an instrument: a made-up book that follows the first one and is never better than it.

Its levels are at the first venue's best price or a few ticks behind, with seeded sizes; when that best moves, they move
in the same moment. When the first venue trades, sometimes this one does too, at no better a price.
"""

from __future__ import annotations

from typing import Final

from pipeline.domain.market import BookEvent, BookEventKind
from pipeline.domain.orders import Side
from pipeline.simulator.venues.book import OrderBook, record_only
from pipeline.simulator.venues.draws import Draws

_LEVELS: Final = 3
_BEHIND_TICKS: Final = (0, 0, 0, 1, 1, 2)
"""Ticks by which its best is behind the first venue's: one of these is drawn."""
_TRADES_OF: Final = (1, 4)
"""One in four of the first venue's visible executions makes this venue trade too."""


class SecondVenue:
    """Book events of the second venue, from what the first one shows."""

    def __init__(self, venue: str, instrument: str, seed: int, tick_px: int, mean_qty: int = 60) -> None:
        self.book: OrderBook = record_only()
        self.venue = venue
        self._instrument = instrument
        self._draws = Draws(seed, "shadow", venue, instrument)  # another label would draw another day
        self._tick_px = tick_px
        self._mean_qty = mean_qty
        self._event_no = 0
        self._order_no = 0
        self._followed: dict[Side, int | None] = {Side.BUY: None, Side.SELL: None}

    def follow(self, at_ns: int, first: OrderBook) -> list[BookEvent]:
        """The events that move this book after the first venue's best prices; none if those have not moved.

        Orders leave before others enter, so the book is never crossed in between.
        """
        leaving: list[BookEvent] = []
        entering: list[BookEvent] = []
        for side in (Side.BUY, Side.SELL):
            best = first.levels(side, 1)
            best_px = best[0][0] if best else None
            if best_px == self._followed[side] and (best_px is None or self.book.levels(side, 1)):
                continue
            self._followed[side] = best_px
            wanted = [] if best_px is None else self._wanted(side, best_px)
            for px in self.book.prices(side):
                if px not in wanted:
                    for ref, qty in self.book.orders_at(side, px):
                        leaving.append(self._event(at_ns, BookEventKind.DELETE, ref, side, qty, px))
            standing = self.book.prices(side)
            for px in wanted:
                if px not in standing:
                    self._order_no += 1
                    qty = self._draws.exponential(self._mean_qty)
                    entering.append(self._event(at_ns, BookEventKind.ADD, f"2-{self._order_no}", side, qty, px))
        return leaving + entering

    def echo(self, event: BookEvent) -> list[BookEvent]:
        """Executions here beside a visible execution at the first venue; none for most of them."""
        chance, of = _TRADES_OF
        if event.kind is not BookEventKind.EXECUTE or self._draws.below(of) >= chance:
            return []
        left = self._draws.exponential(self._mean_qty)
        events = []
        for px in self.book.prices(event.side):
            if px < event.px if event.side is Side.BUY else px > event.px:
                break
            for ref, qty in self.book.orders_at(event.side, px):
                part = min(left, qty)
                if part:
                    left -= part
                    events.append(self._event(event.event_ns, BookEventKind.EXECUTE, ref, event.side, part, px))
        return events

    def start(self, at_ns: int) -> list[BookEvent]:
        """The first event: an empty book."""
        return [self._event(at_ns, BookEventKind.CLEAR, "", Side.UNKNOWN, 0, 0)]

    def halt(self, at_ns: int, kind: BookEventKind) -> list[BookEvent]:
        """The first venue's halt or resumption as this venue's: both are of the instrument, not of a venue."""
        return [self._event(at_ns, kind, "", Side.UNKNOWN, 0, 0)]

    def _wanted(self, side: Side, best_px: int) -> list[int]:
        away = -side.sign * self._tick_px
        ticks = _BEHIND_TICKS[self._draws.below(len(_BEHIND_TICKS))]
        prices = []
        for _ in range(_LEVELS):
            prices.append(best_px + away * ticks)
            ticks += self._draws.between(1, 3)
        return [px for px in prices if px > 0]

    def _event(self, at_ns: int, kind: BookEventKind, ref: str, side: Side, qty: int, px: int) -> BookEvent:
        self._event_no += 1
        event = BookEvent(
            kind=kind,
            venue=self.venue,
            instrument=self._instrument,
            event_ns=at_ns,
            event_no=self._event_no,
            order_ref=ref,
            side=side,
            qty=qty,
            px=px,
        )
        self.book.apply(event, [])
        return event
