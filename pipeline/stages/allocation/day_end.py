"""The end of a trading day in allocation: an alert for what is still open, and what has ended is forgotten."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.controls import Alert, AlertKind
from pipeline.stages.allocation.state import AllocationState, ParentBook, chunk_key, epoch_key


def end_day(state: AllocationState) -> Iterator[Alert]:
    """Forget what has ended; nothing else should be left, as slicing ends every parent by its end time.

    What is still open gets an alert, one for each parent and one for each instrument's other orders, and is kept until
    the end of the next day: its last fills may be on their way. Carried balances are never forgotten.
    """
    for parent_id in state.parents.keys():
        parent = state.parents[parent_id]
        if not parent.ended:
            yield _alert(state, parent.instrument, parent_id, "PARENT_OPEN_AT_DAY_END", "the parent is not over")
        if parent.ended or parent.overdue:
            _forget_parent(state, parent)
        else:
            parent.overdue = True
            state.parents.put(parent_id, parent)
    yield from _orders(state)
    for cross_id in state.crosses.keys():
        state.crosses.remove(cross_id)
    for order_id in state.waiting.keys():
        instrument = state.waiting[order_id].lineage[0].instrument
        text = "netting let the order go, but the order or a cross of it never came"
        yield _alert(state, instrument, order_id, "LINEAGE_WITHOUT_ORDER", text)
        state.waiting.remove(order_id)
    for instrument in state.queues.keys():
        queue = state.queues[instrument]
        if queue.crosses:
            text = f"{len(queue.crosses)} crosses wait for orders"
            yield _alert(state, instrument, queue.crosses[0].cross_id, "CROSS_WITHOUT_ORDER", text)
        queue.fills = [fill for fill in queue.fills if fill.parent_id in state.parents]
        state.queues.put(instrument, queue)
        if not queue.fills and not queue.crosses:
            state.queues.remove(instrument)
    work = state.work
    work.dirty = [key for key in work.dirty if key in state.epochs]
    work.sweeping = [key for key in work.sweeping if key in state.epochs]
    state.works.put("", work)


def _orders(state: AllocationState) -> Iterator[Alert]:
    in_parents: dict[str, None] = {}
    for parent_id in state.parents.keys():
        for epoch_no in state.parents[parent_id].epochs:
            epoch = state.epochs[epoch_key(parent_id, epoch_no)]
            if epoch.complete:
                in_parents.update((member.order_id, None) for member in state.members_of(epoch))
    open_orders: dict[str, list[str]] = {}
    for order_id in state.orders.keys():
        order = state.orders[order_id]
        in_parent = order_id in in_parents
        if order.end is None and not in_parent:
            open_orders.setdefault(order.instrument, []).append(order_id)
        if not in_parent and (order.end is not None or order.overdue):
            state.orders.remove(order_id)
        else:
            order.overdue = True
            state.orders.put(order_id, order)
    for instrument in sorted(open_orders):
        order_ids = open_orders[instrument]
        text = f"{len(order_ids)} orders are neither done nor in an open parent, the first is {order_ids[0]}"
        yield _alert(state, instrument, order_ids[0], "ORDER_OPEN_AT_DAY_END", text)


def _forget_parent(state: AllocationState, parent: ParentBook) -> None:
    for epoch_no in parent.epochs:
        epoch = state.epochs[epoch_key(parent.parent_id, epoch_no)]
        for chunk_no in range(1, epoch.chunk_count + 1):
            if chunk_key(epoch, chunk_no) in state.chunks:
                state.chunks.remove(chunk_key(epoch, chunk_no))
        state.epochs.remove(epoch.key)
    state.parents.remove(parent.parent_id)


def _alert(state: AllocationState, instrument: str, subject_id: str, reason: str, text: str) -> Alert:
    return Alert(
        kind=AlertKind.BREAK,
        instrument=instrument,
        subject_id=subject_id,
        reason=reason,
        text=f"at the end of {state.clock.trade_date}: {text}",
        at_ns=state.now_ns,
    )
