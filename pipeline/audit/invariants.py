"""The books of a day, kept from the records alone: each quantity that was accepted is found in one place, and once.

Nothing here knows how a stage works; each line compares what one topic says with what another says. Records of
different topics may come in any order; those of one topic and partition must come in theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.audit.aside_books import AsideBooks
from pipeline.audit.exposure_books import ExposureBooks
from pipeline.audit.line import Line as Line
from pipeline.audit.share_books import OrderShare, ShareBooks
from pipeline.audit.share_books import booked as booked
from pipeline.audit.venue_books import VenueBooks
from pipeline.domain.allocations import Allocation, Reconciliation
from pipeline.domain.audit import DeadLetter
from pipeline.domain.controls import Alert, Tick, TickKind
from pipeline.domain.executions import Fill, FillKind, VenueReport
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind, SourceEvent
from pipeline.domain.parents import Cross, EpochClosed, Lineage, LineageKind, ParentOrder, Slice
from pipeline.domain.record import Record

ENDS = (OrderEventKind.FILLED, OrderEventKind.CANCELED, OrderEventKind.EXPIRED)


class _ClientOrder:
    def __init__(self) -> None:
        self.side = ""
        self.qty: int | None = None
        self.last: OrderEvent | None = None
        self.ends = 0


class Books:
    """Add every record of the day, then call :meth:`lines`. Memory: a few figures per order, execution and epoch."""

    def __init__(self) -> None:
        self._orders: dict[str, _ClientOrder] = {}
        self._in_parent: dict[str, None] = {}
        self._shares = ShareBooks()
        self._exposure = ExposureBooks()
        self._venues = VenueBooks()
        self._aside = AsideBooks()
        self._accepted_events = 0
        self._over = False

    def add(self, record: Record) -> None:
        """Enter one record; types that the books do not need are ignored."""
        self._aside.on_record(record)
        match record:
            case Order():
                if record.kind is OrderKind.NEW:
                    order = self._order(record.order_id)
                    order.side, order.qty = str(record.request.side), record.request.order_qty or 0
            case SourceEvent():
                pass  # a copy of an order event, for the client's own topic
            case OrderEvent():
                self._on_event(record)
            case Lineage():
                if record.kind is LineageKind.MEMBERS:
                    for member in record.members:
                        self._in_parent[member.order_id] = None
            case Cross():
                self._shares.on_cross(record)
            case Allocation():
                self._shares.on_allocation(record)
            case Reconciliation():
                self._shares.on_reconciliation(record)
            case ParentOrder():
                self._exposure.on_parent(record)
            case EpochClosed():
                self._exposure.on_epoch_closed(record)
            case Slice():
                self._exposure.on_slice(record)
            case Fill():
                self._exposure.on_fill(record)
                if record.kind in (FillKind.TRADE, FillKind.BUST, FillKind.CORRECT):
                    self._shares.on_fill(record)
                    self._venues.on_fill(record)
            case VenueReport():
                self._venues.on_report(record)
            case DeadLetter():
                self._aside.on_letter(record)
            case Alert():
                self._venues.on_alert(record)
                self._shares.on_alert(record)
                self._exposure.on_alert(record)
                self._aside.on_alert(record)
            case Tick():
                self._over = self._over or record.kind is TickKind.DAY_END
            case _:
                pass

    def _on_event(self, event: OrderEvent) -> None:
        if not event.order_id or event.event_no == 0:
            return  # the answer to a refused or repeated request: it belongs to no accepted order
        order = self._order(event.order_id)
        self._accepted_events += event.kind is OrderEventKind.ACCEPTED
        order.ends += event.kind in ENDS
        if order.last is None or event.event_no > order.last.event_no:
            order.last = event

    # ------------------------------------------------------------------ the lines

    def lines(self) -> list[Line]:
        """Every line, from the records added so far: quantities in units, money and fees in 1e-9 currency units."""
        shares = self._shares.of_orders()
        for order_id in shares:
            self._order(order_id)
        off = sum(_is_off(order, shares.get(order_id, OrderShare())) for order_id, order in self._orders.items())
        return [
            Line("orders taken in, and events saying so", self._count_of_orders(), self._accepted_events),
            *self._by_side(shares),
            Line("orders whose own books are off", off, 0),
            *self._ends(),
            *self._shares.lines(),
            *self._exposure.lines(self._over),
            *(Line(*row) for row in self._venues.lines()),
            self._aside.line(),
        ]

    def _count_of_orders(self) -> int:
        return sum(1 for order in self._orders.values() if order.qty is not None)

    def _by_side(self, shares: dict[str, OrderShare]) -> list[Line]:
        lines = []
        for side in sorted({order.side for order in self._orders.values()}):
            own = [(order_id, order) for order_id, order in self._orders.items() if order.side == side]
            parts = dict.fromkeys(
                ("crossed", "executed", "reported, not yet allocated", "in parents", "waiting", "ended"), 0
            )
            for order_id, order in own:
                share = shares.get(order_id, OrderShare())
                parts["crossed"] += share.crossed
                parts["executed"] += share.executed
                last = order.last
                if last is None:
                    continue
                if order.ends:
                    parts["ended"] += last.order_qty - last.cum_qty
                else:
                    parts["reported, not yet allocated"] += last.cum_qty - share.crossed - share.executed
                    parts["in parents" if order_id in self._in_parent else "waiting"] += last.leaves_qty
            accepted = sum(order.qty or 0 for _, order in own)
            name = f"accepted to {side or 'an unknown side'}"
            lines.append(Line(name, accepted, sum(parts.values()), tuple(parts.items())))
        return lines

    def _ends(self) -> list[Line]:
        lines = [Line("orders that ended more than once", sum(o.ends > 1 for o in self._orders.values()), 0)]
        if self._over:
            ended = sum(order.ends > 0 for order in self._orders.values())
            lines.append(Line("orders, and orders ended when the day is over", self._count_of_orders(), ended))
        return lines

    def _order(self, order_id: str) -> _ClientOrder:
        return self._orders.setdefault(order_id, _ClientOrder())


def _is_off(order: _ClientOrder, share: OrderShare) -> bool:
    last = order.last
    if order.qty is None or last is None or last.order_qty != order.qty or last.crossed_qty != share.crossed:
        return True
    allocated = share.crossed + share.executed
    if not 0 <= last.cum_qty <= order.qty:
        return True
    if order.ends:
        told_px = last.avg_px or 0
        wrong_px = 2 * abs(told_px * allocated - share.money) > allocated
        return last.cum_qty != allocated or last.leaves_qty != 0 or not last.final or wrong_px
    return last.cum_qty + last.leaves_qty != order.qty or last.cum_qty < allocated or last.final


def books(records: Iterable[Record]) -> list[Line]:
    """The lines of the books over all ``records``."""
    kept = Books()
    for record in records:
        kept.add(record)
    return kept.lines()
