"""A simulated market: zero-intelligence order flow around a random walk, seeded, in whole numbers only.

Limit orders come at random distances behind a fair value that walks by ticks, random orders are cancelled, and market
orders of random size execute the best ones, more of them against the side that the fair value has left behind. No
order in it has a purpose; spread, depth and volume are credible, and the same seed gives the same day. After: Gode and
Sunder (1993), Allocative efficiency of markets with zero-intelligence traders, J. Political Economy 101(1), for the
name; Daniels, Farmer, Gillemot, Iori and Smith (2003), Quantitative model of price diffusion and market friction,
Physical Review Letters 90, for limit, market and cancel orders as random arrivals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.domain.market import BookEvent, BookEventKind
from pipeline.domain.orders import Side
from pipeline.domain.units import NS_PER_MS
from pipeline.simulator.market.recorded_book import Batch
from pipeline.simulator.venues.book import OrderBook, record_only
from pipeline.simulator.venues.draws import Draws

_ROUND_LOT: Final = 100


@dataclass(frozen=True)
class SimulatedMarket:
    """An instrument and how it trades: session times in ns since 1970, prices in 1e-9 currency units."""

    instrument: str
    start_ns: int
    end_ns: int
    trade_date: int
    seed: int = 1
    open_px: int = 50_000_000_000
    tick_px: int = 10_000_000
    half_spread_ticks: int = 2
    """Least distance of new orders from the fair value."""
    event_every_ns: int = 180 * NS_PER_MS
    """Mean time between events."""
    orders_a_side: int = 40
    """About how many orders rest on each side."""
    market_order_ppm: int = 90_000
    """Share of events that are market orders."""
    walk_ppm: int = 60_000
    """Share of events before which the fair value moves by a tick."""


class SimulatedBook:
    """The first venue's book of a simulated instrument."""

    def __init__(self, market: SimulatedMarket, venue: str) -> None:
        self.book: OrderBook = record_only()
        self._market = market
        self._venue = venue
        self._draws = Draws(market.seed, "synthetic", market.instrument)
        self._fair_ticks = market.open_px // market.tick_px
        self._event_no = 0
        self._order_no = 0
        self._live: dict[Side, list[tuple[str, int]]] = {Side.BUY: [], Side.SELL: []}

    def batches(self) -> Iterator[Batch]:
        """What happens from start to end, in order of time; the first batch is the book at the start."""
        market, draws = self._market, self._draws
        at_ns = market.start_ns
        events = [self._event(at_ns, BookEventKind.CLEAR, "", Side.UNKNOWN, 0, 0)]
        for _ in range(market.orders_a_side):
            events += self._add(at_ns, Side.BUY) + self._add(at_ns, Side.SELL)
        yield Batch(at_ns, events)
        while True:
            at_ns += draws.exponential(market.event_every_ns)
            if at_ns >= market.end_ns:
                return
            if draws.below(1_000_000) < market.walk_ppm:
                self._fair_ticks = max(10 * market.half_spread_ticks, self._fair_ticks + 1 - 2 * draws.below(2))
            if draws.below(1_000_000) < market.market_order_ppm:
                yield Batch(at_ns, self._market_order(at_ns))
                continue
            side = (Side.BUY, Side.SELL)[draws.below(2)]
            live = len(self._live[side])
            # At orders_a_side resting orders, adding and cancelling are equally likely; below, adding is.
            adds = draws.below(2 * market.orders_a_side) >= live
            yield Batch(at_ns, self._add(at_ns, side) if adds or live < 10 else self._cancel(at_ns, side))

    def _add(self, at_ns: int, side: Side) -> list[BookEvent]:
        market, draws = self._market, self._draws
        behind = market.half_spread_ticks + draws.exponential(4) - 1
        px = max(1, self._fair_ticks - side.sign * behind) * market.tick_px
        opposite = self.book.levels(Side.SELL if side is Side.BUY else Side.BUY, 1)
        if opposite:
            nearest = opposite[0][0] - side.sign * market.tick_px
            px = min(px, nearest) if side is Side.BUY else max(px, nearest)
        qty = draws.between(1, 3) * _ROUND_LOT if draws.below(10) < 7 else draws.between(1, _ROUND_LOT - 1)
        self._order_no += 1
        ref = f"1-{self._order_no}"
        self._live[side].append((ref, px))
        return [self._event(at_ns, BookEventKind.ADD, ref, side, qty, px)]

    def _cancel(self, at_ns: int, side: Side) -> list[BookEvent]:
        live = self._live[side]
        place = self._draws.below(len(live))
        live[place], live[-1] = live[-1], live[place]
        ref, px = live.pop()
        qty = dict(self.book.orders_at(side, px))[ref]
        return [self._event(at_ns, BookEventKind.DELETE, ref, side, qty, px)]

    def _market_order(self, at_ns: int) -> list[BookEvent]:
        """One aggressor: against the side the fair value has passed, if it has passed one, else against either."""
        market, draws = self._market, self._draws
        bids, offers = self.book.levels(Side.BUY, 1), self.book.levels(Side.SELL, 1)
        fair_px = self._fair_ticks * market.tick_px
        side = (Side.BUY, Side.SELL)[draws.below(2)]
        if bids and bids[0][0] > fair_px:
            side = Side.BUY
        elif offers and offers[0][0] < fair_px:
            side = Side.SELL
        left = draws.exponential(_ROUND_LOT)
        if bids and offers and draws.below(5) == 0:
            # Hidden interest at the midpoint; half a tick is a price here.
            middle_px = (bids[0][0] + offers[0][0]) // 2
            return [self._event(at_ns, BookEventKind.EXECUTE_HIDDEN, "", side, left, middle_px)]
        events = []
        for px in self.book.prices(side)[:3]:
            for ref, qty in self.book.orders_at(side, px):
                part = min(left, qty)
                if part and len(self._live[side]) > 5:
                    left -= part
                    if part == qty:
                        self._live[side].remove((ref, px))
                    events.append(self._event(at_ns, BookEventKind.EXECUTE, ref, side, part, px))
        return events

    def _event(self, at_ns: int, kind: BookEventKind, ref: str, side: Side, qty: int, px: int) -> BookEvent:
        self._event_no += 1
        event = BookEvent(
            kind=kind,
            venue=self._venue,
            instrument=self._market.instrument,
            event_ns=at_ns,
            event_no=self._event_no,
            order_ref=ref,
            side=side,
            qty=qty,
            px=px,
        )
        self.book.apply(event, [])
        return event
