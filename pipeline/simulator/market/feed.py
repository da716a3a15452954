"""The market-data feed of an instrument: depth, best bid and offer, prints and venue status, made of book events.

A recorded day does not say when a feed would have delivered an event: ``received_ns`` is the event's own time here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pipeline.domain.market import (
    NBBO,
    BookEvent,
    BookEventKind,
    Depth,
    DepthKind,
    Level,
    PrintKind,
    QuoteKind,
    SessionState,
    TradePrint,
    VenueStatus,
)
from pipeline.domain.orders import Side
from pipeline.domain.record import Record
from pipeline.domain.units import NS_PER_MS
from pipeline.simulator.venues.book import OrderBook

DEPTH_LEVELS: Final = 5
"""Price levels of each side in a depth record."""
DEPTH_EVERY_NS: Final = 100 * NS_PER_MS
"""While the best prices stay the same, a venue's depth is published at most this often."""
ROUND_LOT: Final = 100
"""Smaller prints are odd lots: they count in volume and VWAP, but not as a last sale."""


class Best(NamedTuple):
    """The best of one side: price (1e-9 currency units), quantity, and the venue that displays it."""

    px: int
    qty: int
    venue: str


class Feed:
    """The feed of one instrument.

    ``books``: the lit venues' books by venue code; of equal best prices the first venue's is the best. ``quote_lot``:
    the least quantity of a level that counts for the best bid and offer.
    """

    def __init__(
        self, instrument: str, books: Sequence[tuple[str, OrderBook]], name: str, kind: QuoteKind, quote_lot: int = 1
    ) -> None:
        self._instrument = instrument
        self._books = books
        self._name = name
        self._kind = kind
        self._quote_lot = quote_lot
        self._quote_no = 0
        self._print_no = 0
        self._last: tuple[Best | None, Best | None] | None = None
        self._shown: dict[str, tuple[tuple[Level, ...], tuple[Level, ...]]] = {}
        self._shown_ns: dict[str, int] = {}

    def after(self, at_ns: int, events: Sequence[BookEvent]) -> list[Record]:
        """What the feed publishes after ``events`` of one moment, which the books already contain: prints, quote,
        depth."""
        records: list[Record] = [said for event in events if (said := self._print(event)) is not None]
        quote = self._quote(at_ns)
        if quote is not None:
            records.append(quote)
        touched = {event.venue: event.event_no for event in events}
        records += [
            depth for venue, book in self._books if (depth := self._depth(at_ns, venue, book, touched)) is not None
        ]
        return records

    def status(self, at_ns: int, venues: Sequence[str], state: SessionState) -> list[Record]:
        """A status record of ``state`` for each of ``venues``."""
        return [
            VenueStatus(venue=venue, instrument=self._instrument, state=state, event_ns=at_ns, received_ns=at_ns)
            for venue in venues
        ]

    def _print(self, event: BookEvent) -> TradePrint | None:
        if event.kind not in (BookEventKind.EXECUTE, BookEventKind.EXECUTE_HIDDEN):
            return None
        self._print_no += 1
        odd = event.qty < ROUND_LOT
        return TradePrint(
            kind=PrintKind.TRADE,
            instrument=self._instrument,
            venue=event.venue,
            print_id=f"{event.venue}-{event.event_no}",
            event_ns=event.event_ns,
            received_ns=event.event_ns,
            px=event.px,
            qty=event.qty,
            conditions=("ODD_LOT",) if odd else (),
            eligible_last=not odd,
            hidden=event.kind is BookEventKind.EXECUTE_HIDDEN,
        )

    def _quote(self, at_ns: int) -> NBBO | None:
        bid, offer = self._best(Side.BUY), self._best(Side.SELL)
        if (bid, offer) == self._last:
            return None
        self._last = (bid, offer)
        self._quote_no += 1
        return NBBO(
            kind=self._kind,
            instrument=self._instrument,
            feed=self._name,
            event_ns=at_ns,
            received_ns=at_ns,
            quote_no=self._quote_no,
            bid_px=bid.px if bid else None,
            bid_qty=bid.qty if bid else 0,
            bid_venue=bid.venue if bid else "",
            offer_px=offer.px if offer else None,
            offer_qty=offer.qty if offer else 0,
            offer_venue=offer.venue if offer else "",
        )

    def _best(self, side: Side) -> Best | None:
        best: Best | None = None
        for venue, book in self._books:
            # An odd lot sets no national best (quote_lot 100); for one venue's best (quote_lot 1) any order counts.
            for px, qty in book.levels(side, DEPTH_LEVELS):
                if qty >= self._quote_lot:
                    if best is None or (px - best.px) * side.sign > 0:
                        best = Best(px, qty, venue)
                    break
        return best

    def _depth(self, at_ns: int, venue: str, book: OrderBook, touched: dict[str, int]) -> Depth | None:
        bids = tuple(Level(px=px, qty=qty) for px, qty in book.levels(Side.BUY, DEPTH_LEVELS))
        offers = tuple(Level(px=px, qty=qty) for px, qty in book.levels(Side.SELL, DEPTH_LEVELS))
        shown = self._shown.get(venue)
        if shown == (bids, offers):
            return None
        new_best = shown is None or (shown[0][:1], shown[1][:1]) != (bids[:1], offers[:1])
        if not new_best and at_ns - self._shown_ns[venue] < DEPTH_EVERY_NS:
            return None
        self._shown[venue] = (bids, offers)
        self._shown_ns[venue] = at_ns
        return Depth(
            kind=DepthKind.SNAPSHOT,
            venue=venue,
            instrument=self._instrument,
            event_ns=at_ns,
            received_ns=at_ns,
            event_no=touched.get(venue, book.totals.event_no),
            bids=bids,
            offers=offers,
        )
