"""State of the simulated venues: books, our orders in them, what is under way to a venue and what is under way back."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

from pipeline.domain.executions import ChildOrder, VenueReport
from pipeline.domain.market import SessionState, VenueStatus
from pipeline.domain.reference import VenueKind
from pipeline.simulator.venues.book import BookTotals, OrderBook, RecordedOrder
from pipeline.simulator.venues.dark import DarkState
from pipeline.simulator.venues.orders import VenueOrder
from pipeline.stages.shared.reference_data import instruments, venues
from pipeline.state import Entry, State, Task

LIT: Final = "lit"
DARK: Final = "dark"


class VenueMarket(Entry):
    """What is known of an instrument: how far its record and its quotes have come, and the last quote."""

    book_ns: int = 0
    quote_ns: int = 0
    bid_px: int | None = None
    offer_px: int | None = None

    @property
    def midpoint_px(self) -> int | None:
        """Half way between the last bid and offer; None without both, or when they are crossed."""
        if self.bid_px is None or self.offer_px is None or self.bid_px > self.offer_px:
            return None
        return (self.bid_px + self.offer_px) // 2


class Session(Entry):
    """A venue's session in an instrument. Messages keep their order on the way there and on the way back."""

    state: SessionState = SessionState.UNKNOWN
    last_arrival_ns: int = 0
    last_due_ns: int = 0


class UnderWay(Entry):
    """What will happen at a venue: our message arrives, its state changes, or (a fault) an execution is busted."""

    at_ns: int
    lane: str
    child: ChildOrder | None = None
    status: VenueStatus | None = None
    busted: VenueReport | None = None
    order_key: str = ""


class HeldReport(Entry):
    """A report on its way back to us."""

    due_ns: int
    report: VenueReport


class KnownClOrdID(Entry):
    """What a venue remembers under a ClOrdID: keys of orders, oldest first; none for a cancel's own id."""

    orders: list[str]


class VenuesState(State):
    """Tables hold one entry for each order, recorded or ours; books and queues are rebuilt from them."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.venues = venues(self)
        self.instruments = instruments(self)
        self.markets = self.table("markets", VenueMarket)
        self.sessions = self.table("sessions", Session)
        self.orders = self.table("orders", VenueOrder)
        self.wires = self.table("wires", KnownClOrdID)
        self.recorded = self.table("recorded", RecordedOrder)
        self.totals = self.table("totals", BookTotals)
        self.dark = self.table("dark", DarkState)
        self.under_way = self.table("under-way", UnderWay)
        self.held = self.table("held", HeldReport)
        self._books: dict[str, OrderBook] = {}
        self._arrivals: dict[str, list[tuple[int, int]]] = {}
        self._reports: list[tuple[int, int]] = []

    def restored(self) -> None:
        self._books.clear()
        self._arrivals.clear()
        self._reports.clear()
        recorded = sorted((self.recorded[key].no, key) for key in self.recorded.keys())
        for _, key in recorded:
            venue, instrument, ref = key.split("/", 2)
            self.book(venue, instrument).index(ref, self.recorded[key])
        for key in self.orders.keys():
            order = self.orders[key]
            if order.is_live:
                self.book(order.venue, order.instrument).resume(order)
        for key in self.under_way.keys():
            row = self.under_way[key]
            heappush(self._arrivals.setdefault(row.lane, []), (row.at_ns, int(key)))
        for key in self.held.keys():
            heappush(self._reports, (self.held[key].due_ns, int(key)))

    def book(self, venue: str, instrument: str) -> OrderBook:
        """The book of an instrument at a venue; at a dark venue it holds only our own orders."""
        prefix = f"{venue}/{instrument}"
        book = self._books.get(prefix)
        if book is None:
            book = self._books[prefix] = OrderBook(prefix, self.recorded, self.totals)
        return book

    def market(self, instrument: str) -> VenueMarket:
        return self.markets.get(instrument) or VenueMarket()

    def session(self, venue: str, instrument: str) -> Session:
        return self.sessions.get(f"{venue}/{instrument}") or Session()

    def put_session(self, venue: str, instrument: str, session: Session) -> None:
        self.sessions.put(f"{venue}/{instrument}", session)

    def is_dark(self, venue: str) -> bool:
        known = self.venues.get(venue, self.now_ns)
        return known is not None and known.venue_kind is VenueKind.DARK

    def lane(self, venue: str, instrument: str) -> str:
        """The time line of ``instrument`` that ``venue`` lives on: lit ones the record's, dark ones the quotes'.

        Book events and quotes are two topics, and nothing says in which order they come to us. Each is in order by
        itself, so each moves its own venues; a tick, which follows both, moves all.
        """
        return f"{DARK if self.is_dark(venue) else LIT}/{instrument}"

    def lane_now_ns(self, lane: str) -> int:
        """How far the time of a lane has come: nothing can reach its venues before that any more."""
        kind, _, instrument = lane.partition("/")
        market = self.market(instrument)
        return max(self.now_ns, market.quote_ns if kind == DARK else market.book_ns)

    def lanes_under_way(self) -> list[str]:
        """Lanes on which something is under way, or on which an order of ours rests; sorted."""
        waiting = {lane for lane, heap in self._arrivals.items() if heap}
        resting = {self.lane(*prefix.split("/", 1)) for prefix, book in self._books.items() if book.own}
        return sorted(waiting | resting)

    # ---------------------------------------------------------------- queues

    def send(self, row: UnderWay) -> None:
        """Put a message on its way to a venue."""
        no = self.next_number("under-way")
        self.under_way.put(f"{no:012d}", row)
        heappush(self._arrivals.setdefault(row.lane, []), (row.at_ns, no))

    def next_arrival_ns(self, lane: str) -> int | None:
        heap = self._arrivals.get(lane)
        return heap[0][0] if heap else None

    def arrived(self, lane: str) -> UnderWay:
        """Take what arrives next on ``lane``; there must be something."""
        _, no = heappop(self._arrivals[lane])
        row = self.under_way[f"{no:012d}"]
        self.under_way.remove(f"{no:012d}")
        return row

    def hold(self, report: VenueReport) -> None:
        """Put a report on its way to us; it is due at its ``received_ns``."""
        no = self.next_number("held")
        self.held.put(f"{no:012d}", HeldReport(report.received_ns, report))
        heappush(self._reports, (report.received_ns, no))

    def next_due(self) -> VenueReport | None:
        """Take the next report that is due by now, or None."""
        if not self._reports or self._reports[0][0] > self.now_ns:
            return None
        _, no = heappop(self._reports)
        row = self.held[f"{no:012d}"]
        self.held.remove(f"{no:012d}")
        return row.report
