"""State of the simulated venues: books, our orders in them, messages on the way to venues, reports on the way back."""

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
    """An instrument: the time of its latest book event and of its latest quote, and that quote."""

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
    """An event to come at a venue: our message arrives, its state changes, or (a fault) an execution is busted."""

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
    """Keys of the orders a venue has under one ClOrdID, oldest first; empty for the id of a cancel."""

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
        """The instrument's times and last quote; an empty one when nothing was read yet."""
        return self.markets.get(instrument) or VenueMarket()

    def session(self, venue: str, instrument: str) -> Session:
        """The venue's session in the instrument; one in state UNKNOWN when nothing was read yet."""
        return self.sessions.get(f"{venue}/{instrument}") or Session()

    def put_session(self, venue: str, instrument: str, session: Session) -> None:
        """Write a changed session back."""
        self.sessions.put(f"{venue}/{instrument}", session)

    def is_dark(self, venue: str) -> bool:
        """Whether reference data say that the venue is dark; False for an unknown one."""
        known = self.venues.get(venue, self.now_ns)
        return known is not None and known.venue_kind is VenueKind.DARK

    def lane(self, venue: str, instrument: str) -> str:
        """The key of the time line that ``venue`` follows in ``instrument``.

        Lit venues follow the times of book events, dark ones those of quotes. There is no order between these two
        topics, but each is in order by itself; so each advances its own venues, and a tick, which comes after both,
        advances all.
        """
        return f"{DARK if self.is_dark(venue) else LIT}/{instrument}"

    def lane_now_ns(self, lane: str) -> int:
        """The time a lane has reached, in session ns: nothing can arrive at its venues before that any more."""
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
        """When the next message arrives on ``lane``; None when nothing is under way."""
        heap = self._arrivals.get(lane)
        return heap[0][0] if heap else None

    def arrived(self, lane: str) -> UnderWay:
        """Remove and return what arrives next on ``lane``. Raises KeyError or IndexError when nothing is under way."""
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
        """Remove and return the next report that is due by now; None when there is none."""
        if not self._reports or self._reports[0][0] > self.now_ns:
            return None
        _, no = heappop(self._reports)
        row = self.held[f"{no:012d}"]
        self.held.remove(f"{no:012d}")
        return row.report
