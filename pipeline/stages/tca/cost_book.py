"""Per child, parent and client order: what was ordered, executed and paid, and the TCA row computed from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.algos.benchmarks import cost_bps, cost_bps_of_notional
from pipeline.algos.rounding import divide_half_even
from pipeline.domain.allocations import Allocation, AllocKind
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.market import NBBO
from pipeline.domain.orders import Order, OrderKind, Side, Strategy
from pipeline.domain.parents import ParentKind, ParentOrder
from pipeline.domain.units import MILLI_BPS_ONE, PPM_ONE
from pipeline.stages.shared.print_sums import TapeSums
from pipeline.stages.tca.chunked_lists import NameList, NameQueue
from pipeline.stages.tca.parameters import TCAParameters
from pipeline.state import Entry, State


class Subject(Entry):
    """A child, a parent or a client order, as far as its cost needs it.

    Its own record and its executions are on different topics and may be read in any order.
    """

    level: TCALevel
    subject_id: str
    known: bool = False
    """Its own record has been read; until then only executions of it have."""
    parent_id: str = ""
    instrument: str = ""
    side: Side = Side.UNKNOWN
    strategy: Strategy = Strategy.UNKNOWN
    venue: str = ""
    account: str = ""
    trade_date: int = 0
    order_qty: int = 0
    arrival_px: int | None = None
    release_px: int | None = None
    start_ns: int = 0
    end_ns: int = 0
    qty: int = 0
    money: int = 0
    fees: int = 0
    revision: int = 0
    dirty: bool = False
    ended: bool = False
    """PARENT: it has ended, so its row and its children's are due."""
    child_count: int = 0
    """PARENT: length of its list of children."""


class Booked(Entry):
    """What an allocation gave an order, so that it can be subtracted when the allocation is replaced or cancelled."""

    order_id: str
    qty: int
    money: int
    fee: int


class Quotes(Entry):
    """Recent midpoints of an instrument: (event time in ns, midpoint in 1e-9 currency units), as they came."""

    midpoints: list[tuple[int, int]] = []


class Names(Entry):
    """Keys of the orders read since the last tick, in that order; their arrival price is looked up at the next tick."""

    keys: list[str] = []


class CostBook:
    """The costs of a task's children, parents and client orders; keeps its tables in ``state``."""

    def __init__(self, state: State, tape: TapeSums, parameters: TCAParameters) -> None:
        self._parameters = parameters
        self._tape = tape
        self._subjects = state.table("subjects", Subject)
        self._booked = state.table("booked", Booked)
        self._quotes = state.table("quotes", Quotes)
        self._arriving = state.table("arriving", Names)
        self._children = NameList(state, "children")
        self._due = NameQueue(state, "due")
        self._kept = NameQueue(state, "kept")

    # ------------------------------------------------------------------ what comes in

    def on_quote(self, quote: NBBO) -> None:
        """Keep the midpoint, for arrival prices."""
        midpoint_px = quote.midpoint_px
        if midpoint_px is not None:
            quotes = self._quotes.get(quote.instrument) or Quotes()
            quotes.midpoints.append((quote.event_ns, midpoint_px))
            self._quotes.put(quote.instrument, quotes)

    def on_order(self, order: Order) -> None:
        """Begin the row of a client order; its arrival price is the midpoint when it was received."""
        if order.kind is not OrderKind.NEW:
            return
        subject = self._subject(TCALevel.ORDER, order.order_id)
        subject.known = True
        subject.instrument, subject.side = order.instrument, order.request.side
        subject.strategy, subject.account = order.request.strategy, order.request.account
        subject.trade_date, subject.order_qty = order.trade_date, order.request.order_qty or 0
        subject.start_ns = order.received_ns
        key = self._put(subject)
        arriving = self._arriving.get("") or Names()
        arriving.keys.append(key)
        self._arriving.put("", arriving)
        self._kept.put(key)

    def on_parent(self, order: ParentOrder) -> None:
        """Begin the row of a parent, with the arrival price netting gave it."""
        if order.kind is not ParentKind.NEW:
            return
        subject = self._subject(TCALevel.PARENT, order.parent_id)
        subject.known, subject.parent_id = True, order.parent_id
        subject.instrument, subject.side, subject.strategy = order.instrument, order.side, order.strategy
        subject.trade_date, subject.order_qty = order.trade_date, order.order_qty
        subject.arrival_px = order.arrival_px
        self._kept.put(self._put(subject))

    def on_child(self, child: ChildOrder) -> None:
        """Begin the row of a child; the midpoint of the parent's first child is the parent's release price."""
        if child.kind is not ChildKind.NEW:
            return
        both = child.bid_px is not None and child.offer_px is not None
        midpoint_px = (child.bid_px + child.offer_px) // 2 if both else None  # type: ignore[operator]
        subject = self._subject(TCALevel.CHILD, child.child_id)
        subject.known, subject.parent_id = True, child.parent_id
        subject.instrument, subject.side, subject.venue = child.instrument, child.side, child.venue
        subject.order_qty, subject.arrival_px, subject.start_ns = child.order_qty, midpoint_px, child.sent_ns
        self._put(subject)
        parent = self._subject(TCALevel.PARENT, child.parent_id)
        if not parent.child_count or child.sent_ns < parent.start_ns:
            parent.start_ns, parent.release_px = child.sent_ns, midpoint_px
        self._children.append(child.parent_id, parent.child_count, child.child_id)
        parent.child_count += 1
        self._put(parent)
        if parent.ended:
            self._mark_all(parent)  # the end was read before this child: there is no order between topics

    def on_fill(self, fill: Fill) -> None:
        """Add an execution, its bust or correction to child and parent; a final QUIET makes their rows due."""
        parent = self._subject(TCALevel.PARENT, fill.parent_id)
        if fill.kind is FillKind.QUIET:
            if fill.final:
                parent.ended = True
                self._put(parent)
                self._mark_all(parent)
            return
        if fill.kind not in (FillKind.TRADE, FillKind.BUST, FillKind.CORRECT):
            return
        for subject in (parent, self._subject(TCALevel.CHILD, fill.child_id)):
            if fill.kind is FillKind.TRADE:
                _book(subject, fill.last_qty, fill.last_px, fill.fee)
            elif fill.kind is FillKind.BUST:
                _book(subject, -fill.last_qty, fill.last_px, -fill.prior_fee)
            else:
                _book(subject, -fill.prior_qty, fill.prior_px, -fill.prior_fee)
                _book(subject, fill.last_qty, fill.last_px, fill.fee)
            subject.end_ns = max(subject.end_ns, fill.venue_ns)
            self._put(subject)
        if parent.ended:
            self._mark_all(parent)

    def on_allocation(self, allocation: Allocation) -> None:
        """Add an allocation to its client order, take off the one it replaces, and make the order's row due."""
        subject = self._subject(TCALevel.ORDER, allocation.order_id)
        if allocation.ref_alloc_id is not None and allocation.ref_alloc_id in self._booked:
            old = self._booked[allocation.ref_alloc_id]
            subject.qty, subject.money, subject.fees = (
                subject.qty - old.qty,
                subject.money - old.money,
                subject.fees - old.fee,
            )
            self._booked.remove(allocation.ref_alloc_id)
        if allocation.kind is not AllocKind.CANCEL:
            subject.qty += allocation.alloc_qty
            subject.money += allocation.net_money
            subject.fees += allocation.fee
            self._booked.put(
                allocation.alloc_id,
                Booked(allocation.order_id, allocation.alloc_qty, allocation.net_money, allocation.fee),
            )
            self._kept.put(f"{_BOOKED}{allocation.alloc_id}")
        subject.parent_id = allocation.parent_id or subject.parent_id
        subject.end_ns = max(subject.end_ns, allocation.at_ns)
        self._put(subject)
        self._mark(subject)

    # ------------------------------------------------------------------ what is forgotten

    def begin_day(self) -> None:
        """At a new trade date: everything older than the day that has just ended may be forgotten.

        Until then it is kept, because busts and corrections may come up to a day late.
        """
        self._kept.age()

    def forget_some(self) -> None:
        """Remove some of what may be forgotten; bounded, so that no step is long."""
        for name in self._kept.take(self._parameters.forgotten_per_tick):
            alloc_id = name.removeprefix(_BOOKED)
            if alloc_id != name:
                if alloc_id in self._booked:
                    self._booked.remove(alloc_id)
                continue
            subject = self._subjects.get(name)
            if subject is None:
                continue
            for child_id in self._children(subject.subject_id, subject.child_count):
                if f"{TCALevel.CHILD}/{child_id}" in self._subjects:
                    self._subjects.remove(f"{TCALevel.CHILD}/{child_id}")
            self._children.forget(subject.subject_id, subject.child_count)
            self._subjects.remove(name)

    # ------------------------------------------------------------------ what goes out

    def rows_at_tick(self, now_ns: int) -> Iterator[TCARow]:
        """Release the rows due by ``now_ns`` and write the first of them.

        A tick is the moment to do so: it comes after all quotes and prints up to its time.
        """
        self._resolve_arrivals(now_ns)
        self._due.all_ready()
        yield from self._rows(now_ns, self._parameters.rows_per_tick)

    def rows_between_ticks(self, now_ns: int) -> Iterator[TCARow]:
        """A few more of the rows that the last tick released: steps stay short, and rows keep pace with orders."""
        return self._rows(now_ns, self._parameters.rows_per_message)

    def _rows(self, now_ns: int, most: int) -> Iterator[TCARow]:
        for key in self._due.take(most):
            subject = self._subjects.get(key)
            if subject is None:
                continue  # forgotten
            if not subject.known:
                self._due.put(key)  # wait on, until its own record has been read
                continue
            subject.dirty = False
            subject.revision += 1
            self._put(subject)
            yield self._row(subject, now_ns)

    def _row(self, subject: Subject, now_ns: int) -> TCARow:
        parent = self._subjects.get(f"{TCALevel.PARENT}/{subject.parent_id}")
        if subject.level is not TCALevel.PARENT and parent is not None:
            # A child has its parent's strategy and day; a client order's release price is its parent's.
            subject.strategy = parent.strategy if subject.level is TCALevel.CHILD else subject.strategy
            subject.trade_date = subject.trade_date or parent.trade_date
            subject.release_px = parent.release_px
        sign, qty, money = subject.side.sign, subject.qty, subject.money
        avg_px = divide_half_even(money, qty) if qty > 0 else None
        tape_qty, tape_money = self._tape.between(subject.instrument, subject.start_ns, subject.end_ns)
        vwap_px = divide_half_even(tape_money, tape_qty) if tape_qty > 0 else None
        arrival_px = subject.arrival_px

        def against(benchmark_px: int | None) -> int | None:
            return cost_bps_of_notional(sign, money, qty, benchmark_px) if benchmark_px and qty > 0 else None

        return TCARow(
            level=subject.level,
            subject_id=subject.subject_id,
            revision=subject.revision,
            parent_id=subject.parent_id,
            instrument=subject.instrument,
            side=subject.side,
            strategy=subject.strategy,
            venue=subject.venue,
            account=subject.account,
            trade_date=subject.trade_date,
            order_qty=subject.order_qty,
            executed_qty=qty,
            avg_px=avg_px,
            fees=subject.fees,
            arrival_px=arrival_px,
            release_px=subject.release_px,
            start_ns=subject.start_ns,
            end_ns=subject.end_ns,
            interval_vwap_px=vwap_px,
            interval_vwap_qty=tape_qty,
            arrival_cost_mbps=against(arrival_px),
            vwap_cost_mbps=against(vwap_px),
            aggregation_delay_cost_mbps=cost_bps(sign, subject.release_px, arrival_px)
            if subject.release_px and arrival_px and subject.level is not TCALevel.CHILD
            else None,
            fee_cost_mbps=divide_half_even(subject.fees * MILLI_BPS_ONE, money) if money > 0 else None,
            participation=qty * PPM_ONE // tape_qty if tape_qty else None,
            at_ns=now_ns,
        )

    def _mark_all(self, parent: Subject) -> None:
        """The parent has ended, or has changed since: its row and its children's are due."""
        self._mark(parent)
        for child_id in self._children(parent.subject_id, parent.child_count):
            child = self._subject(TCALevel.CHILD, child_id)
            if child.qty or child.revision:  # no row for a child without executions, unless one is to be corrected
                self._mark(child)

    def _mark(self, subject: Subject) -> None:
        if not subject.dirty:
            subject.dirty = True
            self._due.put(self._put(subject))

    def _resolve_arrivals(self, now_ns: int) -> None:
        """Look up the midpoint at receipt for the orders read since the last tick: all quotes up to now are known."""
        arriving = self._arriving.get("")
        if arriving is not None and arriving.keys:
            later: list[str] = []
            for key in arriving.keys:
                subject = self._subjects.get(key)
                if subject is None:
                    continue  # forgotten
                if subject.start_ns > now_ns:
                    later.append(key)  # received after this tick: its quotes may still be on their way
                    continue
                quotes = self._quotes.get(subject.instrument) or Quotes()
                subject.arrival_px = _last_px(quotes, subject.start_ns)
                self._put(subject)
            self._arriving.put("", Names(later))
        kept = self._parameters.quotes_kept
        for symbol in self._quotes.keys():
            quotes = self._quotes[symbol]
            if len(quotes.midpoints) > kept:
                self._quotes.put(symbol, Quotes(quotes.midpoints[-kept:]))

    def _subject(self, level: TCALevel, subject_id: str) -> Subject:
        return self._subjects.get(f"{level}/{subject_id}") or Subject(level, subject_id)

    def _put(self, subject: Subject) -> str:
        """Write it to its table; returns its key."""
        key = f"{subject.level}/{subject.subject_id}"
        self._subjects.put(key, subject)
        return key


_BOOKED: Final = "A/"
"""Prefix that tells allocation ids from subject keys in the queue of what is kept."""


def _last_px(quotes: Quotes, at_ns: int) -> int | None:
    """The last midpoint read whose time is not after ``at_ns``; None when there is none."""
    for event_ns, px in reversed(quotes.midpoints):
        if event_ns <= at_ns:
            return px
    return None


def _book(subject: Subject, qty: int, px: int | None, fee: int) -> None:
    assert px is not None, "an execution has a price"
    subject.qty += qty
    subject.money += qty * px
    subject.fees += fee
