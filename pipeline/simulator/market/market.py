"""The market edge: a recorded day, or a simulated one, as the records of the market-data topics, in order of time.

Three venues: XNAS, recorded or simulated; XBAT, a second lit book that follows it; XDRK, a dark venue, of which only
the status is published. Nothing here knows Kafka or a clock: `gateways/clock.py` paces these records and
`runtime/kafka/edge_writer.py` writes them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, Protocol, TypeAlias

from pipeline.domain.dates import as_trade_date
from pipeline.domain.market import BookEvent, BookEventKind, QuoteKind, SessionState
from pipeline.domain.record import Record
from pipeline.domain.units import NS_PER_S
from pipeline.errors import WrongUse
from pipeline.simulator.market.feed import ROUND_LOT, Feed
from pipeline.simulator.market.lobster import TapeBook, TapeMessage, TapeName, midnight_ns
from pipeline.simulator.market.recorded_book import Batch, RecordedBook
from pipeline.simulator.market.second_venue import SecondVenue
from pipeline.simulator.market.synthetic import SimulatedBook, SimulatedMarket
from pipeline.simulator.venues.book import OrderBook

FIRST_VENUE: Final = "XNAS"
SECOND_VENUE: Final = "XBAT"
DARK_VENUE: Final = "XDRK"
VENUES: Final = (FIRST_VENUE, SECOND_VENUE, DARK_VENUE)

OPENING_S: Final = 34_200
"""09:30 in New York, in seconds after midnight."""


class RecordedDay(Protocol):
    """A recorded day, already found on disk (by `gateways/lobster_files.py`): its name and its rows."""

    @property
    def name(self) -> TapeName:
        """Symbol, day and number of price levels."""
        ...

    def rows(self) -> Iterator[tuple[TapeMessage, TapeBook]]:
        """Each message with the book after it, from the first one. Raises WrongUse for rows that cannot be read."""
        ...


@dataclass(frozen=True)
class RecordedMarket:
    """A window of a recorded day, ``length_s`` seconds long."""

    day: RecordedDay
    from_s: int = OPENING_S
    """Start of the window, seconds after midnight in New York."""
    length_s: int = 600
    seed: int = 1
    """Seed of the second venue's made-up book."""
    tick_px: int = 10_000_000
    """Tick of the second venue, 1e-9 currency units."""


Source: TypeAlias = RecordedMarket | SimulatedMarket


@dataclass(frozen=True)
class Window:
    """The span of a source: instrument, session times (ns since 1970), trading date (yyyymmdd)."""

    instrument: str
    start_ns: int
    end_ns: int
    trade_date: int


def window_of(source: Source) -> Window:
    """The span of a source, without reading its rows."""
    if isinstance(source, SimulatedMarket):
        return Window(source.instrument, source.start_ns, source.end_ns, source.trade_date)
    name = source.day.name
    start_ns = midnight_ns(name.day) + source.from_s * NS_PER_S
    return Window(name.symbol, start_ns, start_ns + source.length_s * NS_PER_S, as_trade_date(name.day))


def market_records(*sources: Source) -> Iterator[tuple[int, Record]]:
    """All records of all sources, (event_ns, record), merged by time; the earlier source first where times are equal.

    For each instrument: all venues OPEN, their books, then events with quotes, depth and prints; CLOSED at the end.
    Raises WrongUse for files that cannot be read and for an instrument given twice.
    """
    names = [window_of(source).instrument for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise WrongUse(f"two markets for {name}: an instrument has one.")
    return heapq.merge(*(_records(source) for source in sources), key=lambda pair: pair[0])


def _records(source: Source) -> Iterator[tuple[int, Record]]:
    window = window_of(source)
    book, batches = _first_venue(source, window)
    second = SecondVenue(SECOND_VENUE, window.instrument, source.seed, source.tick_px)
    books: Sequence[tuple[str, OrderBook]] = ((FIRST_VENUE, book), (SECOND_VENUE, second.book))
    if isinstance(source, SimulatedMarket):
        # Every venue of a simulated market is known: its best is the national one, which odd lots do not set.
        feed = Feed(window.instrument, books, "SIMULATED", QuoteKind.NBBO, ROUND_LOT)
    else:
        feed = Feed(window.instrument, books, "LOBSTER", QuoteKind.BBO)
    yield from _at(window.start_ns, feed.status(window.start_ns, VENUES, SessionState.OPEN))
    opening = second.start(window.start_ns)
    for batch in batches:
        events = _both(batch, second, book, opening)
        opening = []
        yield from _at(batch.event_ns, events)
        for event in batch.events:
            if event.kind is BookEventKind.HALT:
                yield from _at(batch.event_ns, feed.status(batch.event_ns, VENUES, SessionState.HALTED))
            elif event.kind is BookEventKind.RESUME:
                yield from _at(batch.event_ns, feed.status(batch.event_ns, VENUES, SessionState.OPEN))
        yield from _at(batch.event_ns, feed.after(batch.event_ns, events))
    yield from _at(window.end_ns, feed.status(window.end_ns, VENUES, SessionState.CLOSED))


def _first_venue(source: Source, window: Window) -> tuple[OrderBook, Iterator[Batch]]:
    if isinstance(source, SimulatedMarket):
        simulated = SimulatedBook(source, FIRST_VENUE)
        return simulated.book, simulated.batches()
    name = source.day.name
    recorded = RecordedBook(FIRST_VENUE, window.instrument, midnight_ns(name.day), name.levels)
    return recorded.book, recorded.batches(source.day.rows(), window.start_ns, window.end_ns)


def _both(batch: Batch, second: SecondVenue, book: OrderBook, opening: list[BookEvent]) -> list[BookEvent]:
    """Events of both lit venues in one moment: the first one's, their echo, and the second one's move."""
    halts = [e.kind for e in batch.events if e.kind in (BookEventKind.HALT, BookEventKind.RESUME)]
    halted = chain.from_iterable(second.halt(batch.event_ns, kind) for kind in halts)
    echoes = chain.from_iterable(second.echo(event) for event in batch.events)
    return [*batch.events, *opening, *halted, *echoes, *second.follow(batch.event_ns, book)]


def _at(at_ns: int, records: Sequence[Record]) -> Iterator[tuple[int, Record]]:
    for record in records:
        yield at_ns, record
