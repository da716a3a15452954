"""Allocates crosses: each leg at the cross's own price, its bust and correction, the trade report that is owed.

Crosses of an instrument are booked in the order of their topic, each once every order it names has been read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.domain.allocations import Allocation, AllocKind, AllocSource, Reconciliation, TradeReport
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.orders import OrderEventKind
from pipeline.domain.parents import Cross, CrossKind, CrossLeg
from pipeline.domain.record import Owned
from pipeline.stages.allocation.client_orders import catch_up, close_if_filled, event, report_added, settles_on
from pipeline.stages.allocation.epochs import mark_for_progress, reduce_shown
from pipeline.stages.allocation.state import (
    AllocationState,
    BrokenBooks,
    ClientOrder,
    CrossBook,
    LegBook,
    Queue,
)

_EVENT = {
    CrossKind.BUST: OrderEventKind.TRADE_CANCEL,
    CrossKind.CORRECT: OrderEventKind.TRADE_CORRECT,
}


def queue_cross(state: AllocationState, cross: Cross) -> None:
    """Append it to its instrument's queue."""
    queue = state.queues.get(cross.instrument) or Queue()
    queue.crosses = [*queue.crosses, cross]
    state.queues.put(cross.instrument, queue)


def book_crosses(state: AllocationState, instrument: str) -> Iterator[Owned]:
    """Book the crosses at the head of the instrument's queue whose orders are all known.

    Raises BrokenBooks when the two sides of a cross are not equal.
    """
    while True:
        queue = state.queues.get(instrument)
        if queue is None or not queue.crosses or not _orders_known(state, queue.crosses[0]):
            return
        cross, queue.crosses = queue.crosses[0], queue.crosses[1:]
        state.queues.put(instrument, queue)
        yield from _book(state, cross)


def _orders_known(state: AllocationState, cross: Cross) -> bool:
    return all(leg.order_id in state.orders for leg in (*cross.buys, *cross.sells))


def _book(state: AllocationState, cross: Cross) -> Iterator[Owned]:
    if cross.kind is CrossKind.TRADE:
        _count_legs(state, cross)
        book, cross_id = CrossBook(cross, 0, []), cross.cross_id
    else:
        cross_id = cross.ref_cross_id or ""
        known = state.crosses.get(cross_id)
        if known is None or known.cross.kind is CrossKind.BUST:
            text = f"{cross.kind} of cross {cross_id}, which allocation does not have; nothing was changed"
            yield _alert(state, cross, "UNKNOWN_CROSS", text)
            return
        book = known
    old_cross, old_legs = book.cross, {leg.order_id: leg for leg in book.legs}
    legs: tuple[CrossLeg, ...] = () if cross.kind is CrossKind.BUST else (*cross.buys, *cross.sells)
    if legs:
        _require_two_equal_sides(cross)
    book.cross, book.version, book.legs, book.error_qty = cross, book.version + 1, [], 0
    kept = {leg.order_id for leg in legs}
    for old_leg in (*old_cross.buys, *old_cross.sells):
        if old_leg.order_id in old_legs and old_leg.order_id not in kept:
            yield from _book_leg(state, cross, cross_id, old_leg, old_legs[old_leg.order_id], 0, book)
    for leg in legs:
        yield from _book_leg(state, cross, cross_id, leg, old_legs.get(leg.order_id), leg.qty, book)
    state.crosses.put(cross_id, book)
    if book.error_qty:
        text = (
            f"{book.error_qty} of cross {cross_id} were beyond an order's quantity: {state.parameters.error_account}'s"
        )
        yield _alert(state, cross, "CROSSED_BEYOND_ORDER", text)
    yield from _reports(state, cross, cross_id, old_cross)
    yield _reconciliation(state, cross, cross_id, book)


def _count_legs(state: AllocationState, cross: Cross) -> None:
    """Count what was crossed of each order and out of each parent: an epoch waits for all its crosses."""
    for leg in (*cross.buys, *cross.sells):
        order = state.orders[leg.order_id]
        order.crossed_gross_qty += leg.qty
        state.orders.put(leg.order_id, order)
        if leg.parent_id is not None:
            parent = state.parent(leg.parent_id, cross.instrument)
            parent.crossed_qty += leg.qty
            state.parents.put(leg.parent_id, parent)


def _book_leg(
    state: AllocationState,
    cross: Cross,
    cross_id: str,
    leg: CrossLeg,
    old: LegBook | None,
    qty: int,
    book: CrossBook,
) -> Iterator[Owned]:
    """Set the booked quantity of a leg to ``qty``; what its order has no room for goes to the error account."""
    order = state.orders[leg.order_id]
    old_qty, old_money, old_id = (0, 0, None) if old is None else (old.qty, old.money, old.alloc_id)
    booked = min(qty, old_qty + order.room_qty)
    book.error_qty += qty - booked
    added, money = booked - old_qty, booked * cross.px
    if added == 0 and money == old_money:
        if old is not None:
            book.legs.append(old)
        return
    if order.end is None and order.open_qty > order.room_qty - added:
        # Netting does not know the executions of the open epoch, and a cross is final. What this client was shown of
        # the epoch beyond what is now left of his order is reduced; it goes to the other members.
        yield from reduce_shown(state, order, order.room_qty - added)
    order.crossed_qty += added
    order.crossed_money += money - old_money
    allocation = _allocation(state, cross, cross_id, leg, order, booked, old_id)
    yield allocation
    book.legs.append(LegBook(leg.order_id, booked, money, allocation.alloc_id if booked else None))
    if cross.kind is CrossKind.TRADE:
        yield from report_added(state, order, OrderEventKind.CROSSED, added, cross.px)
    else:
        yield event(state, order, _EVENT[cross.kind], last_qty=added, last_px=cross.px)
        yield from close_if_filled(state, order)
    yield from catch_up(state, order.order_id)
    if leg.parent_id is not None:
        parent = state.parents.get(leg.parent_id)
        if parent is not None and parent.epochs:
            mark_for_progress(state, state.epoch(leg.parent_id, parent.epochs[-1], cross.instrument))


def _allocation(
    state: AllocationState,
    cross: Cross,
    cross_id: str,
    leg: CrossLeg,
    order: ClientOrder,
    qty: int,
    ref_alloc_id: str | None,
) -> Allocation:
    kind = AllocKind.NEW if ref_alloc_id is None else AllocKind.REPLACE if qty else AllocKind.CANCEL
    return Allocation(
        kind=kind,
        alloc_id=state.next_id("A"),
        ref_alloc_id=ref_alloc_id,
        alloc_source=AllocSource.CROSS,
        instrument=cross.instrument,
        parent_id=leg.parent_id,
        cross_id=cross_id,
        order_id=order.order_id,
        source=order.source,
        cl_ord_id=order.cl_ord_id,
        alloc_account=order.account,
        side=order.side,
        capacity=order.capacity,
        alloc_qty=qty,
        alloc_avg_px=cross.px,
        net_money=qty * cross.px,
        fee=0,
        currency=order.currency,
        trade_date=cross.trade_date,
        settlement_date=settles_on(order, cross.trade_date),
        at_ns=state.now_ns,
    )


def _reports(state: AllocationState, cross: Cross, cross_id: str, old: Cross) -> Iterator[TradeReport]:
    if cross.kind is not CrossKind.TRADE and old.trade_report_owed:
        yield _report(old, cross_id, cancelled=True)
    if cross.kind is not CrossKind.BUST and cross.trade_report_owed:
        yield _report(cross, cross_id, cancelled=False)


def _report(cross: Cross, cross_id: str, cancelled: bool) -> TradeReport:
    return TradeReport(
        cross_id=cross_id,
        instrument=cross.instrument,
        cancelled=cancelled,
        px=cross.px,
        qty=cross.qty,
        trade_date=cross.trade_date,
        executed_ns=cross.at_ns,
        rule_ids=cross.rule_ids,
    )


def _reconciliation(state: AllocationState, cross: Cross, cross_id: str, book: CrossBook) -> Reconciliation:
    """Reconciles one side, which will do for both: they are equal unless something went to the error account."""
    buyers = {leg.order_id for leg in cross.buys}
    qty = 0 if cross.kind is CrossKind.BUST else cross.qty
    bought = sum(leg.qty for leg in book.legs if leg.order_id in buyers)
    sold = sum(leg.qty for leg in book.legs if leg.order_id not in buyers)
    allocated = min(bought, sold)
    return Reconciliation(
        instrument=cross.instrument,
        parent_id=None,
        epoch_no=0,
        cross_id=cross_id,
        version=book.version,
        executed_qty=qty,
        allocated_qty=allocated,
        error_account_qty=qty - allocated,
        error_account=state.parameters.error_account if qty > allocated else "",
        executed_money=qty * cross.px,
        allocated_money=qty * cross.px,
        residual=0,
        rounding_account=state.parameters.rounding_account,
        executed_fee=0,
        allocated_fee=0,
        allocation_count=sum(1 for leg in book.legs if leg.qty),
        balanced=bought == sold == qty,
        at_ns=state.now_ns,
    )


def _require_two_equal_sides(cross: Cross) -> None:
    bought, sold = _total(cross.buys), _total(cross.sells)
    if not bought == sold == cross.qty:
        raise BrokenBooks(f"cross {cross.cross_id} of {cross.qty} buys {bought} and sells {sold}")


def _total(legs: Sequence[CrossLeg]) -> int:
    return sum(leg.qty for leg in legs)


def _alert(state: AllocationState, cross: Cross, reason: str, text: str) -> Alert:
    return Alert(
        kind=AlertKind.BREAK,
        instrument=cross.instrument,
        subject_id=cross.cross_id,
        reason=reason,
        text=text,
        at_ns=state.now_ns,
    )
