"""Allocates crosses: each leg at the cross's own price, its bust and correction, the trade report that is owed.

Crosses of an instrument are booked in the order of their topic, each once every order it names has been read. A bust or
correction names the cross, or the correction before it; one that comes before its cross waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.allocations import AllocSource, Reconciliation, TradeReport
from pipeline.domain.controls import Alert
from pipeline.domain.int64 import LONG_MAX, low_and_high
from pipeline.domain.orders import OrderEventKind
from pipeline.domain.parents import Cross, CrossKind, CrossLeg
from pipeline.domain.record import Owned
from pipeline.stages.allocation.client_orders import catch_up, close_if_filled, event, report_added
from pipeline.stages.allocation.epochs import mark_for_progress, reduce_shown
from pipeline.stages.allocation.records import Share, allocations, broken, in_force, reconciliation
from pipeline.stages.allocation.state import (
    AllocationState,
    CrossBook,
    CrossRoot,
    EarlyCrosses,
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


def book_crosses(state: AllocationState, instrument: str, *, at_day_end: bool = False) -> Iterator[Owned]:
    """Book the crosses at the head of the instrument's queue whose orders are all known.

    ``at_day_end``: the others too, since nothing more will come; what an unknown order crossed is the error account's.
    """
    while True:
        queue = state.queues.get(instrument)
        if queue is None or not queue.crosses:
            return
        cross = queue.crosses[0]
        unknown = _unknown_orders(state, cross)
        if unknown and not at_day_end:
            return
        if unknown:
            text = (
                f"at the end of {state.clock.trade_date}: cross {cross.cross_id} of {cross.qty} is of {len(unknown)} "
                f"orders that never came, the first is {unknown[0]}: their part is {state.parameters.error_account}'s"
            )
            yield _alert(state, cross, "CROSS_WITHOUT_ORDER", text)
        queue.crosses = queue.crosses[1:]
        state.queues.put(instrument, queue)
        yield from _book(state, cross)


def _unknown_orders(state: AllocationState, cross: Cross) -> list[str]:
    return [leg.order_id for leg in (*cross.buys, *cross.sells) if leg.order_id not in state.orders]


def _book(state: AllocationState, cross: Cross) -> Iterator[Owned]:
    """Book a cross, or what restates one, and what came to restate it before it did itself."""
    cross_id = _root_of(state, cross)
    known = state.crosses.get(cross_id)
    if cross.cross_id in state.crosses or cross.cross_id in state.cross_roots:
        if cross.cross_id in state.crosses and cross == state.crosses[cross.cross_id].cross:
            return  # told again
        yield _alert(state, cross, "CROSS_ID_TWICE", f"{cross.kind} {cross.cross_id}: the id is taken; not booked")
        return
    if cross.kind is not CrossKind.TRADE and known is None:
        early = state.early_crosses.get(cross_id) or EarlyCrosses([])
        state.early_crosses.put(cross_id, EarlyCrosses([*early.crosses, cross]))
        text = f"{cross.kind} of cross {cross_id}, which allocation does not have: kept until the day's end for it"
        yield _alert(state, cross, "UNKNOWN_CROSS", text)
        return
    if known is not None and known.cross.kind is CrossKind.BUST:
        text = f"{cross.kind} of cross {cross_id}, which is busted already; nothing was changed"
        yield _alert(state, cross, "UNKNOWN_CROSS", text)
        return
    if not _sums_fit(state, cross):
        text = f"{cross.qty} at {cross.px} in {cross.kind} {cross.cross_id} is more than can be booked; it was not"
        yield _alert(state, cross, "BEYOND_MEASURE", text)
        return
    if cross.kind is CrossKind.TRADE:
        _count_legs(state, cross)
    else:
        state.cross_roots.put(cross.cross_id, CrossRoot(cross_id))
    yield from _restate(state, cross, cross_id, known or CrossBook(cross, 0, []))
    waiting = state.early_crosses.get(cross.cross_id)
    if waiting is not None:
        state.early_crosses.remove(cross.cross_id)
        for early_cross in waiting.crosses:
            yield from _book(state, early_cross)


def _root_of(state: AllocationState, cross: Cross) -> str:
    """The id of the cross as it was first told. What restates it may name that one, or the correction before."""
    if cross.kind is CrossKind.TRADE:
        return cross.cross_id
    named = cross.ref_cross_id or ""
    root = state.cross_roots.get(named)
    return named if root is None else root.cross_id


def _restate(state: AllocationState, cross: Cross, cross_id: str, book: CrossBook) -> Iterator[Owned]:
    old_cross, old_legs = book.cross, {leg.order_id: leg for leg in book.legs}
    legs: tuple[CrossLeg, ...] = () if cross.kind is CrossKind.BUST else (*cross.buys, *cross.sells)
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
    yield from _reconciliation(state, cross, cross_id, book)


def _sums_fit(state: AllocationState, cross: Cross) -> bool:
    """Whether what is counted of its orders and parents still fits 64 bits with it, and its money the parts allowed."""
    if cross.kind is CrossKind.BUST:
        return True
    if cross.qty * cross.px > state.parameters.money_parts_max * LONG_MAX:
        return False
    for leg in (*cross.buys, *cross.sells):
        order, parent = state.orders.get(leg.order_id), state.parents.get(leg.parent_id or "")
        counted = max(order.crossed_gross_qty if order else 0, parent.crossed_qty if parent else 0)
        if counted + cross.qty > LONG_MAX:
            return False
    return True


def _count_legs(state: AllocationState, cross: Cross) -> None:
    """Count what was crossed of each order and out of each parent: an epoch waits for all its crosses."""
    for leg in (*cross.buys, *cross.sells):
        order = state.orders.get(leg.order_id)
        if order is not None:
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
    order = state.orders.get(leg.order_id)
    if order is None:
        book.error_qty += qty
        return
    old_qty, old_money, old_ids = (0, 0, ()) if old is None else (old.qty, old.money, old.alloc_ids)
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
    share = Share(AllocSource.CROSS, leg.parent_id, 0, cross_id, cross.trade_date, booked, cross.px, 0)
    made = list(allocations(state, order, share, old_ids))
    yield from made
    first_id, *more_ids = in_force(made) or (None,)
    low, high = low_and_high(money)
    book.legs.append(LegBook(leg.order_id, booked, low, first_id, high, tuple(more_ids)))
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


def _reconciliation(
    state: AllocationState, cross: Cross, cross_id: str, book: CrossBook
) -> Iterator[Reconciliation | Alert]:
    """Reconciles one side, which will do for both: they are equal unless something went to the error account."""
    buyers = {leg.order_id for leg in cross.buys}
    qty = 0 if cross.kind is CrossKind.BUST else cross.qty
    bought = sum(leg.qty for leg in book.legs if leg.order_id in buyers)
    sold = sum(leg.qty for leg in book.legs if leg.order_id not in buyers)
    allocated = min(bought, sold)
    yield from reconciliation(
        Reconciliation(
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
            allocation_count=sum(len(leg.alloc_ids) for leg in book.legs if leg.qty),
            balanced=bought == sold == qty,
            at_ns=state.now_ns,
        )
    )


def _alert(state: AllocationState, cross: Cross, reason: str, text: str) -> Alert:
    return broken(cross.instrument, cross.cross_id, reason, text, state.now_ns)
