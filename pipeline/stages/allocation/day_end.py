"""The end of a trading day in allocation: everything still open ends, each with an alert; what has ended is forgotten.

By then nothing should be open, as slicing ends every parent by its end time. What is open all the same (routing has
never said that a child is dead, a record of ours never came) must not stay so for ever. Clients get what is known as
executed, what is left of their orders expires, and what comes later is the error account's.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.controls import Alert
from pipeline.domain.orders import OrdStatus
from pipeline.domain.record import Owned
from pipeline.stages.allocation.client_orders import close
from pipeline.stages.allocation.crosses import book_crosses
from pipeline.stages.allocation.records import broken
from pipeline.stages.allocation.settling import CLOSING, close_unasked, end_parent, lacks, settle_queue
from pipeline.stages.allocation.state import AllocationState, Budget, ParentBook, chunk_key, epoch_key


def end_day(state: AllocationState) -> Iterator[Owned]:
    """End what is still open, with an alert for each parent and one for each instrument's other orders; then forget
    what had ended before.

    What ends only now is kept until the end of the next day: its last fills may be on their way. Carried balances are
    never forgotten.
    """
    over = [parent_id for parent_id in state.parents.keys() if _may_be_forgotten(state.parents[parent_id])]
    done = {order_id for order_id in state.orders.keys() if _is_done(state, order_id)}
    for instrument in state.queues.keys():
        yield from book_crosses(state, instrument, at_day_end=True)
    open_parents = [parent_id for parent_id in state.parents.keys() if _is_open(state, state.parents[parent_id])]
    for parent_id in open_parents:
        yield _open_parent(state, state.parents[parent_id])
    for instrument in state.queues.keys():
        yield from settle_queue(state, instrument, Budget.without_end(), at_day_end=True)
        state.queues.remove(instrument)
    for parent_id in open_parents:
        yield from _end_parent(state, state.parents[parent_id])
    yield from _end_orders(state)
    for parent_id in over:
        _forget_parent(state, state.parents[parent_id])
    _forget_orders(state, done)
    for cross_id in state.crosses.keys():
        state.crosses.remove(cross_id)
    for cross_id in state.cross_roots.keys():
        state.cross_roots.remove(cross_id)
    for cross_id in state.early_crosses.keys():
        state.early_crosses.remove(cross_id)
    for order_id in state.waiting.keys():
        instrument = state.waiting[order_id].lineage[0].instrument
        text = "netting let the order go, but the order or a cross of it never came"
        yield _alert(state, instrument, order_id, "LINEAGE_WITHOUT_ORDER", text)
        state.waiting.remove(order_id)
    work = state.work
    work.dirty = [key for key in work.dirty if key in state.epochs and not state.epochs[key].closed]
    work.sweeping = [key for key in work.sweeping if key in state.epochs and not state.epochs[key].closed]
    work.settling = []
    state.works.put("", work)


def _may_be_forgotten(parent: ParentBook) -> bool:
    return parent.ended or parent.overdue


def _is_open(state: AllocationState, parent: ParentBook) -> bool:
    """Not over; or over, with executions in an epoch that netting never began."""
    epochs = [state.epochs[epoch_key(parent.parent_id, epoch_no)] for epoch_no in parent.epochs]
    return not parent.ended or any(epoch.executed_qty and not epoch.closed for epoch in epochs)


def _is_done(state: AllocationState, order_id: str) -> bool:
    order = state.orders[order_id]
    return order.end is not None or order.overdue


# ---------------------------------------------------------------- parents


def _open_parent(state: AllocationState, parent: ParentBook) -> Alert:
    text = "the parent is not over"
    queue = state.queues.get(parent.instrument)
    quiets = [f for f in queue.fills if f.kind in CLOSING and f.parent_id == parent.parent_id] if queue else []
    for epoch_no in parent.epochs:
        epoch = state.epochs[epoch_key(parent.parent_id, epoch_no)]
        if not epoch.closed:
            quiet = next((fill for fill in quiets if fill.epoch_no == epoch_no), None)
            text += f"; epoch {epoch_no} waits for {lacks(state, epoch, quiet) or 'an earlier one of its instrument'}"
            text += f", {epoch.executed_qty} executed" if epoch.executed_qty else ""
    text += (
        ". Its members get what is known and their orders expire; what comes later is "
        f"{state.parameters.error_account}'s: ask the venue"
    )
    return _alert(state, parent.instrument, parent.parent_id, "PARENT_OPEN_AT_DAY_END", text)


def _end_parent(state: AllocationState, parent: ParentBook) -> Iterator[Owned]:
    for epoch_no in parent.epochs:
        epoch = state.epochs[epoch_key(parent.parent_id, epoch_no)]
        if epoch.closed:
            continue
        if epoch.complete or epoch.executed_qty:
            yield from close_unasked(state, epoch, final=epoch_no == parent.epochs[-1])
        else:  # nobody is in it and nothing was executed
            epoch.closed = epoch.quiet = True
            state.epochs.put(epoch.key, epoch)
    if any(state.epochs[epoch_key(parent.parent_id, epoch_no)].stated for epoch_no in parent.epochs):
        yield from end_parent(state, parent, parent.epochs[-1])
    parent.ended = parent.overdue = True
    state.parents.put(parent.parent_id, parent)


def _forget_parent(state: AllocationState, parent: ParentBook) -> None:
    for epoch_no in parent.epochs:
        epoch = state.epochs[epoch_key(parent.parent_id, epoch_no)]
        for chunk_no in range(1, epoch.chunk_count + 1):
            if chunk_key(epoch, chunk_no) in state.chunks:
                state.chunks.remove(chunk_key(epoch, chunk_no))
        state.epochs.remove(epoch.key)
    state.parents.remove(parent.parent_id)


# ---------------------------------------------------------------- orders


def _end_orders(state: AllocationState) -> Iterator[Owned]:
    open_orders: dict[str, list[str]] = {}
    for order_id in state.orders.keys():
        order = state.orders[order_id]
        if order.end is None:
            open_orders.setdefault(order.instrument, []).append(order_id)
    for instrument in sorted(open_orders):
        order_ids = open_orders[instrument]
        text = f"{len(order_ids)} orders are in no parent and not done: they expire. The first is {order_ids[0]}"
        yield _alert(state, instrument, order_ids[0], "ORDER_OPEN_AT_DAY_END", text)
        for order_id in order_ids:
            yield from close(state, state.orders[order_id], OrdStatus.EXPIRED)


def _forget_orders(state: AllocationState, done: set[str]) -> None:
    """Forget those of ``done`` that no parent still kept has as a member; the others once another day is over."""
    in_parents: set[str] = set()
    for parent_id in state.parents.keys():
        for epoch_no in state.parents[parent_id].epochs:
            epoch = state.epochs[epoch_key(parent_id, epoch_no)]
            in_parents.update(member.order_id for member in state.members_of(epoch))
    for order_id in state.orders.keys():
        if order_id in done and order_id not in in_parents:
            state.orders.remove(order_id)
        else:
            order = state.orders[order_id]
            order.overdue = True
            state.orders.put(order_id, order)


def _alert(state: AllocationState, instrument: str, subject_id: str, reason: str, text: str) -> Alert:
    text = f"at the end of {state.clock.trade_date}: {text}"
    return broken(instrument, subject_id, reason, text, state.now_ns)
