"""Per child, parent and client order: what was ordered, executed and paid, and the TCA row computed from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.domain.allocations import Allocation, AllocKind
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.int64 import nearest
from pipeline.domain.market import NBBO, midpoint_of
from pipeline.domain.orders import Order, OrderKind
from pipeline.domain.parents import ParentKind, ParentOrder
from pipeline.stages.shared.print_sums import TapeSums
from pipeline.stages.tca.chunked_lists import NameList, NameQueue
from pipeline.stages.tca.endings import Endings
from pipeline.stages.tca.midpoints import MidpointHistory
from pipeline.stages.tca.parameters import TCAParameters
from pipeline.stages.tca.rows import row_of
from pipeline.stages.tca.subjects import Booked, Names, Subject
from pipeline.state import State


class CostBook:
    """The costs of a task's children, parents and client orders; keeps its tables in ``state``."""

    def __init__(self, state: State, tape: TapeSums, parameters: TCAParameters) -> None:
        self._parameters = parameters
        self._tape = tape
        self._subjects = state.table("subjects", Subject)
        self._booked = state.table("booked", Booked)
        self._midpoints = MidpointHistory(state, parameters.quote_history_ns, parameters.quote_patience_ns)
        self._endings = Endings(state, self._midpoints)
        self._arriving = state.table("arriving", Names)
        self._children = NameList(state, "children")
        self._due = NameQueue(state, "due")
        self._kept = NameQueue(state, "kept")

    # ------------------------------------------------------------------ what comes in

    def on_quote(self, quote: NBBO) -> None:
        """Keep the midpoint, for arrival prices."""
        self._midpoints.on_quote(quote)

    def on_order(self, order: Order) -> None:
        """Begin the row of a client order, or end it early when it is cancelled.

        Its arrival price is the midpoint when it was received; what it leaves undone is measured at its end.
        """
        if order.kind is OrderKind.CANCEL:
            self._cancelled(order)
        subject = self._subject(TCALevel.ORDER, order.order_id)
        if order.kind is not OrderKind.NEW or subject.known:
            return
        subject.known = True
        subject.instrument, subject.side = order.instrument, order.request.side
        subject.strategy, subject.account = order.request.strategy, order.request.account
        subject.trade_date, subject.order_qty = order.trade_date, order.request.order_qty or 0
        subject.start_ns, subject.begin_ns = order.received_ns, max(order.received_ns, order.start_ns)
        key = self._put(subject)
        arriving = self._arriving.get("") or Names()
        arriving.keys.append(key)
        self._arriving.put("", arriving)
        self._kept.put(key)
        self._ends_at(subject, order.end_ns)

    def _cancelled(self, order: Order) -> None:
        """Its client wanted it no longer: what is undone is measured by the price of this moment."""
        subject = self._subject(TCALevel.ORDER, order.order_id)
        if subject.known and subject.unexecuted_qty and order.received_ns < subject.scheduled_end_ns:
            self._ends_at(subject, order.received_ns)

    def on_parent(self, order: ParentOrder) -> None:
        """Begin the row of a parent, with the arrival price netting gave it, and follow what is asked of it."""
        subject = self._subject(TCALevel.PARENT, order.parent_id)
        match order.kind:
            case ParentKind.NEW if not subject.known:
                subject.known, subject.parent_id = True, order.parent_id
                subject.instrument, subject.side, subject.strategy = order.instrument, order.side, order.strategy
                subject.trade_date, subject.arrival_px = order.trade_date, order.arrival_px
                subject.begin_ns = max(order.first_received_ns, order.start_ns)
                if order.epoch_no >= subject.epoch_no:
                    subject.epoch_no, subject.order_qty = order.epoch_no, order.order_qty
                self._kept.put(self._put(subject))
                self._ends_at(subject, order.end_ns)
            case ParentKind.EPOCH if order.epoch_no > subject.epoch_no:
                subject.epoch_no, subject.order_qty, subject.crossed_qty = order.epoch_no, order.order_qty, 0
                self._put(subject)
            case ParentKind.CROSS_DONE if order.epoch_no == subject.epoch_no:
                subject.crossed_qty = nearest(subject.crossed_qty + order.crossed_qty)
                self._put(subject)
            case _:
                return
        if subject.ended:
            self._mark(subject)

    def on_child(self, child: ChildOrder) -> None:
        """Begin the row of a child; the midpoint of the parent's first child is the parent's release price."""
        subject = self._subject(TCALevel.CHILD, child.child_id)
        if child.kind is not ChildKind.NEW or subject.known:
            return
        midpoint_px = midpoint_of(child.bid_px, child.offer_px)
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
        child = self._subject(TCALevel.CHILD, fill.child_id)
        last_px, prior_px = fill.last_px or 0, fill.prior_px or 0  # routing gives every execution a price
        match fill.kind:
            case FillKind.QUIET:
                if fill.final and not parent.ended:
                    parent.ended, parent.over_ns = True, fill.at_ns
                    self._endings.add(self._put(parent), fill.instrument, fill.at_ns)
                    self._mark_all(parent)
                return
            case FillKind.TRADE:
                self._book(parent, child, fill, fill.last_qty, last_px, fill.fee)
                child.fills.append((fill.fill_id, fill.fill_id, fill.venue_ns))
            case FillKind.BUST:
                self._book(parent, child, fill, -fill.last_qty, last_px, -fill.prior_fee)
                root = next((root for fill_id, root, _ in child.fills if fill_id == fill.ref_fill_id), "")
                child.fills = [each for each in child.fills if each[1] != root]
            case FillKind.CORRECT:
                self._book(parent, child, fill, -fill.prior_qty, prior_px, -fill.prior_fee)
                self._book(parent, child, fill, fill.last_qty, last_px, fill.fee)
                same = [(root, at_ns) for fill_id, root, at_ns in child.fills if fill_id == fill.ref_fill_id]
                child.fills += [(fill.fill_id, root, at_ns) for root, at_ns in same]
            case _:
                return  # quantity that came back; a kind of a later version
        self._last_fill(parent, child, fill)
        if parent.ended:
            self._mark_all(parent)

    def _last_fill(self, parent: Subject, child: Subject, fill: Fill) -> None:
        """An execution ends the interval of child and parent; its bust gives it back to the one before."""
        match fill.kind:
            case FillKind.TRADE:
                child.end_ns = max(child.end_ns, fill.venue_ns)
                parent.end_ns = max(parent.end_ns, fill.venue_ns)
            case FillKind.BUST:
                child.end_ns = max((at_ns for _, _, at_ns in child.fills), default=0)
                self._put(child)
                children = self._children(parent.subject_id, parent.child_count)
                ends = [self._subject(TCALevel.CHILD, child_id).end_ns for child_id in children]
                parent.end_ns = max(child.end_ns, max(ends, default=0))
            case _:
                pass  # a correction is told later, not done later
        self._put(child)
        self._put(parent)

    @staticmethod
    def _book(parent: Subject, child: Subject, fill: Fill, qty: int, px: int, fee: int) -> None:
        parent.book(qty, qty * px, fee)
        parent.book_epoch(fill.epoch_no, qty)
        child.book(qty, qty * px, fee)

    def on_allocation(self, allocation: Allocation) -> None:
        """Add an allocation to its client order, take off the one it replaces, and make the order's row due."""
        subject = self._subject(TCALevel.ORDER, allocation.order_id)
        if allocation.kind not in (AllocKind.NEW, AllocKind.REPLACE, AllocKind.CANCEL):
            return
        old = self._booked.get(allocation.ref_alloc_id or "")
        if old is not None:
            subject.book(-old.qty, -old.money, -old.fee)
            self._booked.remove(allocation.ref_alloc_id or "")
        if allocation.kind is not AllocKind.CANCEL:
            subject.book(allocation.alloc_qty, allocation.net_money, allocation.fee)
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

    def begin_day(self, now_ns: int) -> None:
        """At a new trade date: everything older than the day that has just ended may be forgotten.

        Until then it is kept, because busts and corrections may come up to a day late.
        """
        self._kept.age()
        self._endings.begin_day(now_ns)

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
        for key in self._endings.due(now_ns, self._parameters.rows_per_tick):
            subject = self._subjects.get(key)
            if subject is not None:
                self._mark(subject)
        self._midpoints.forget_before(now_ns)
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
        over_ns = subject.over_ns if subject.level is TCALevel.PARENT else subject.scheduled_end_ns
        return row_of(subject, self._tape, self._endings.px(subject.instrument, over_ns), now_ns)

    def _ends_at(self, subject: Subject, at_ns: int) -> None:
        """Its end is scheduled for ``at_ns``; its row is due then. 0: no end is known."""
        if at_ns > 0:
            subject.scheduled_end_ns = at_ns
            self._endings.add(self._put(subject), subject.instrument, at_ns)

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
                subject.arrival_px = self._midpoints.at(subject.instrument, subject.start_ns)
                self._put(subject)
            self._arriving.put("", Names(later))

    def restored(self) -> None:
        """Rebuild what is derived from the tables."""
        self._midpoints.restored()

    def _subject(self, level: TCALevel, subject_id: str) -> Subject:
        return self._subjects.get(f"{level}/{subject_id}") or Subject(level, subject_id)

    def _put(self, subject: Subject) -> str:
        """Write it to its table; returns its key."""
        key = _key_of(subject)
        self._subjects.put(key, subject)
        return key


_BOOKED: Final = "A/"
"""Prefix that tells allocation ids from subject keys in the queue of what is kept."""


def _key_of(subject: Subject) -> str:
    return f"{subject.level}/{subject.subject_id}"
