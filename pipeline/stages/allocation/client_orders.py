"""The client's order after intake: the events reported to its owner, and how it ends.

Every order event is made by :func:`event`, which numbers it and states the order as it is at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TypeVar

from pipeline.algos.rounding import average_px
from pipeline.domain.controls import Alert
from pipeline.domain.orders import ClosedOrder, Order, OrderEvent, OrderEventKind, OrdersClosed, OrdStatus
from pipeline.domain.parents import Lineage, LineageKind
from pipeline.domain.record import Owned, Record
from pipeline.domain.rejections import RejectReason, fix_code
from pipeline.domain.settlement import assumed_date
from pipeline.stage import Meta
from pipeline.stages.allocation.records import broken
from pipeline.stages.allocation.state import AllocationState, ClientOrder, WaitingLineage

_TOO_LATE_TEXT = "the order was done before the cancel could take effect"


def event(
    state: AllocationState,
    order: ClientOrder,
    kind: OrderEventKind,
    *,
    cl_ord_id: str | None = None,
    last_qty: int = 0,
    last_px: int | None = None,
    reason: RejectReason | None = None,
    text: str | None = None,
) -> OrderEvent:
    """The order's next event; writes the order back to its table.

    ``cl_ord_id`` is the cancel request that it answers; None: the order's own. ``last_qty`` is the change of cum_qty,
    negative for a bust or a reduction, so that the events of an order add up to its cum_qty.
    """
    order.event_no += 1
    state.orders.put(order.order_id, order)
    return OrderEvent(
        kind=kind,
        source=order.source,
        order_id=order.order_id,
        cl_ord_id=order.cl_ord_id if cl_ord_id is None else cl_ord_id,
        orig_cl_ord_id=None if cl_ord_id is None else order.cl_ord_id,
        account=order.account,
        instrument=order.instrument,
        side=order.side,
        ord_status=_status(order),
        order_qty=order.order_qty,
        cum_qty=order.cum_qty,
        leaves_qty=order.leaves_qty,
        avg_px=average_px(order.money, order.cum_qty).avg_px if order.cum_qty > 0 else None,
        last_qty=last_qty,
        last_px=last_px,
        crossed_qty=order.crossed_qty,
        reason=reason,
        fix_code=None if reason is None else fix_code(reason, of_cancel=True),
        text=text,
        event_no=order.event_no,
        at_ns=state.now_ns,
        final=order.end is not None,
    )


def _status(order: ClientOrder) -> OrdStatus:
    if order.end is not None:
        # A filled order of which a part was busted is not worked again: it ends with less than it ordered.
        busted = order.end is OrdStatus.FILLED and order.cum_qty < order.order_qty
        return OrdStatus.CANCELED if busted else order.end
    if order.pending:
        return OrdStatus.PENDING_CANCEL
    if order.leaves_qty == 0:
        return OrdStatus.FILLED
    return OrdStatus.PARTIALLY_FILLED if order.cum_qty else OrdStatus.NEW


def accept_order(state: AllocationState, order: Order) -> Iterator[Owned]:
    """A new order accepted by intake; applies the lineage that was read before it. Told again, it changes nothing."""
    request, there = order.request, state.orders.get(order.order_id)
    if there is not None:
        if (there.cl_ord_id, there.order_qty, there.side) != (request.cl_ord_id, request.order_qty, request.side):
            text = f"{request.cl_ord_id} has the id of {there.cl_ord_id}: only that one is kept"
            yield broken(order.instrument, order.order_id, "ORDER_ID_TWICE", text, state.now_ns)
        return
    known = ClientOrder(
        order_id=order.order_id,
        instrument=order.instrument,
        source=request.source,
        cl_ord_id=request.cl_ord_id,
        account=request.account,
        side=request.side,
        capacity=request.capacity,
        currency=order.currency,
        order_qty=request.order_qty or 0,
        settlement_date=order.settlement_date
        or assumed_date(order.currency, request.settlement_type, order.trade_date),
    )
    state.orders.put(order.order_id, known)
    yield from catch_up(state, order.order_id)


def catch_up(state: AllocationState, order_id: str) -> Iterator[Owned]:
    """Apply the lineage records of the order that had to wait; those that still must are kept."""
    waiting = state.waiting.get(order_id)
    if waiting is not None:
        state.waiting.remove(order_id)
        for lineage in waiting.lineage:
            yield from on_left(state, lineage)


def request_cancel(state: AllocationState, order: Order) -> Iterator[Owned]:
    """A client's cancel: it is pending until netting releases the order (LEFT) or refuses to (CANCEL_REFUSED).

    When netting's answer was read before the request, the client has had its answer already.
    """
    known = state.orders.get(order.order_id)
    cl_ord_id = order.request.cl_ord_id
    if known is None:
        # Intake passes on cancels of open orders only: this order has ended and was forgotten with its day.
        yield _refused_forgotten(state, order)
        return
    if cl_ord_id in known.answered or cl_ord_id in known.pending:
        return
    if known.end is not None:
        yield _refused(state, known, cl_ord_id, RejectReason.TOO_LATE_TO_CANCEL)
        return
    known.pending = (*known.pending, cl_ord_id)
    yield event(state, known, OrderEventKind.PENDING_CANCEL, cl_ord_id=cl_ord_id)


def on_left(state: AllocationState, lineage: Lineage) -> Iterator[Owned]:
    """LEFT or CANCEL_REFUSED from netting: the order ends, or its cancel is refused.

    Kept for later when the order, or a cross of it, has not been read yet.
    """
    order_id = lineage.order_id or ""
    order = state.orders.get(order_id)
    if order is None or _lacks_crosses(order, lineage):
        waiting = state.waiting.get(order_id) or WaitingLineage([])
        waiting.lineage = [*waiting.lineage, lineage]
        state.waiting.put(order_id, waiting)
        return
    cl_ord_id = lineage.request_cl_ord_id
    if lineage.kind is LineageKind.CANCEL_REFUSED:
        if cl_ord_id is not None and cl_ord_id not in order.answered:
            yield _refused(state, order, cl_ord_id, lineage.reason or RejectReason.TOO_LATE_TO_CANCEL)
        return
    if order.end is not None:
        # The parent ended before the recall was done: the order has ended and its cancel has been answered already.
        if order.end is OrdStatus.FILLED and lineage.left_qty:
            yield _break(state, order, f"{lineage.left_qty} left an order that is filled")
        return
    if lineage.left_qty != order.leaves_qty:
        yield _break(state, order, f"netting lets {lineage.left_qty} go, but {order.leaves_qty} are open")
    if lineage.expired:
        yield from close(state, order, OrdStatus.EXPIRED)
    else:
        yield from close(state, order, OrdStatus.CANCELED, cl_ord_id)


def _lacks_crosses(order: ClientOrder, lineage: Lineage) -> bool:
    """Netting reports it as leaving its window with less than is open here: crosses of the window are not read yet."""
    from_window = lineage.kind is LineageKind.LEFT and lineage.parent_id is None
    return from_window and order.end is None and lineage.left_qty < order.leaves_qty


_ENDING = {
    OrdStatus.FILLED: OrderEventKind.FILLED,
    OrdStatus.EXPIRED: OrderEventKind.EXPIRED,
    OrdStatus.CANCELED: OrderEventKind.CANCELED,
}


def close(
    state: AllocationState,
    order: ClientOrder,
    end: OrdStatus,
    cl_ord_id: str | None = None,
    *,
    last_qty: int = 0,
    last_px: int | None = None,
) -> Iterator[OrderEvent | OrdersClosed]:
    """End the order, as ``end`` and by the cancel ``cl_ord_id`` if there was one.

    Other pending cancels are refused first, because nothing but a correction may follow an order's last event.
    """
    for request in order.pending:
        if request != cl_ord_id:
            yield _refused(state, order, request, RejectReason.TOO_LATE_TO_CANCEL)
    order.pending = ()
    if cl_ord_id is not None:
        order.answered = (*order.answered, cl_ord_id)
    order.end = end
    yield event(state, order, _ENDING[end], cl_ord_id=cl_ord_id, last_qty=last_qty, last_px=last_px)
    closed = ClosedOrder(order_id=order.order_id, account=order.account, ord_status=end, cum_qty=order.cum_qty)
    yield OrdersClosed(source=order.source, instrument=order.instrument, orders=(closed,), at_ns=state.now_ns)


A = TypeVar("A")
_Step = Callable[[A, AllocationState, Record, Meta], Iterator[Owned]]


def closures_together(step: _Step[A]) -> _Step[A]:
    """Decorates a stage's step so that it writes its closures last, gathered into one record per source and
    instrument."""

    @wraps(step)
    def together(stage: A, state: AllocationState, message: Record, meta: Meta) -> Iterator[Owned]:
        closed: dict[tuple[str, str], list[OrdersClosed]] = {}
        for record in step(stage, state, message, meta):
            if type(record) is OrdersClosed:
                closed.setdefault((record.source, record.instrument), []).append(record)
            else:
                yield record
        most = state.parameters.chunk_closures
        for (source, instrument), those in closed.items():
            for first in range(0, len(those), most):
                orders = tuple(record.orders[0] for record in those[first : first + most])
                yield OrdersClosed(source=source, instrument=instrument, orders=orders, at_ns=those[0].at_ns)

    return together


def is_filled(order: ClientOrder) -> bool:
    """Whether crosses and closed epochs fill it; executions in an open epoch count only once it is closed."""
    return order.end is None and order.crossed_qty + order.closed_qty == order.order_qty


def report_added(
    state: AllocationState, order: ClientOrder, kind: OrderEventKind, last_qty: int, last_px: int | None
) -> Iterator[OrderEvent | OrdersClosed]:
    """Report an added quantity; when it fills the order, a single FILLED event does."""
    if is_filled(order) and not order.pending:
        yield from close(state, order, OrdStatus.FILLED, last_qty=last_qty, last_px=last_px)
        return
    yield event(state, order, kind, last_qty=last_qty, last_px=last_px)
    yield from close_if_filled(state, order)


def close_if_filled(state: AllocationState, order: ClientOrder) -> Iterator[OrderEvent | OrdersClosed]:
    """End the order as FILLED, if it is."""
    if is_filled(order):
        yield from close(state, order, OrdStatus.FILLED)


def _refused(state: AllocationState, order: ClientOrder, cl_ord_id: str, reason: RejectReason) -> OrderEvent:
    order.pending = tuple(each for each in order.pending if each != cl_ord_id)
    order.answered = (*order.answered, cl_ord_id)
    return event(
        state,
        order,
        OrderEventKind.CANCEL_REFUSED,
        cl_ord_id=cl_ord_id,
        reason=reason,
        text=_TOO_LATE_TEXT if reason is RejectReason.TOO_LATE_TO_CANCEL else None,
    )


def _refused_forgotten(state: AllocationState, cancel: Order) -> OrderEvent:
    request, reason = cancel.request, RejectReason.TOO_LATE_TO_CANCEL
    return OrderEvent(
        kind=OrderEventKind.CANCEL_REFUSED,
        source=request.source,
        order_id=cancel.order_id,
        cl_ord_id=request.cl_ord_id,
        orig_cl_ord_id=request.orig_cl_ord_id,
        account=request.account,
        instrument=cancel.instrument,
        reason=reason,
        fix_code=fix_code(reason, of_cancel=True),
        text=_TOO_LATE_TEXT,
        at_ns=state.now_ns,
        final=True,
    )


def _break(state: AllocationState, order: ClientOrder, text: str) -> Alert:
    text = f"order {order.order_id}: {text}; booked is what allocation knows"
    return broken(order.instrument, order.order_id, "LEFT_QUANTITY", text, state.now_ns)
