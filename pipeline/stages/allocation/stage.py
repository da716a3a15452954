"""Allocation: shares fills and crosses among the client orders, exactly, and reports to the clients.

- Reads: orders, lineage, parents, crosses, fills, clock, controls.
- Keeps: each client order after intake, each epoch's statement and totals, crosses of the day, carried balances of
  each account and instrument, and records that cannot be booked before one on another topic has been read.
- Writes: allocations, reconciliations, order-events (all after acceptance), epochs, trade-reports, order-closures,
  alerts.
- Refuses: cancels that come too late; the desk's control BREAK_ALLOCATION (not built yet: an alert says so). Records
  that cannot be booked are set aside by name (``checks.py``; what contradicts the books, where it would be booked).
- Conserves: per epoch and per cross, quantity, money and fees of allocations and error account = those executed,
  to the last unit, with the residual of the rounded average price stated; no order gets more than its quantity; what
  a client was shown as executed is reduced by a TRADE_CANCEL or TRADE_CORRECT only.

There is no order between the topics. Executions of an epoch are added up as they come; an epoch is shared out once no
child is sent in it any more and its statement, orders and crosses are complete (``settling.py``). What
venues do, over-fills, late fills, busts, is booked and raises an alert; no record raises an exception. At the day's end
everything open ends (``day_end.py``).

An allocation settles on the date that its order carries (``domain.settlement``), whatever day it is made.

First form: one average price per epoch, de-minimis shares are given as they are, a bust after an order's end is not
worked again, parents are not carried to another day.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pipeline.domain.allocations import Allocation, Reconciliation, TradeReport
from pipeline.domain.controls import Alert, Control, ControlKind, ControlScope, Tick, TickKind
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Order, OrderEvent, OrderKind, OrdersClosed
from pipeline.domain.parents import Cross, EpochClosed, Lineage, LineageKind, ParentOrder
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Owned, Record
from pipeline.stage import Meta, Stage
from pipeline.stages.allocation.checks import subject_of, unusable
from pipeline.stages.allocation.client_orders import accept_order, closures_together, on_left, request_cancel
from pipeline.stages.allocation.crosses import book_crosses, queue_cross
from pipeline.stages.allocation.day_end import end_day
from pipeline.stages.allocation.epochs import continue_progress, on_execution, on_members, on_parent, start_round
from pipeline.stages.allocation.parameters import AllocationParameters
from pipeline.stages.allocation.records import broken
from pipeline.stages.allocation.settling import CLOSING, queue_fill, settle_queue
from pipeline.stages.allocation.state import AllocationState, Budget
from pipeline.stages.shared.switches import not_known
from pipeline.state import Task


class AllocationStage(Stage[AllocationState]):
    """Shares out what was executed and crossed, and owns the client order's state after intake."""

    name: ClassVar[str] = "allocation"
    title: ClassVar[str] = "brings fills and crosses home to the client orders, reconciled; tells the clients"
    reads: ClassVar[tuple[type[Record], ...]] = (Order, Lineage, ParentOrder, Cross, Fill, Tick, Control)
    writes: ClassVar[tuple[type[Owned], ...]] = (
        Allocation,
        Reconciliation,
        OrderEvent,
        EpochClosed,
        TradeReport,
        OrdersClosed,
        Alert,
    )

    parameters: AllocationParameters

    def __init__(self, parameters: AllocationParameters = AllocationParameters()) -> None:  # noqa: B008 - frozen
        self.parameters = parameters

    def new_state(self, task: Task) -> AllocationState:
        return AllocationState(task, self.parameters)

    @closures_together
    def step(self, state: AllocationState, message: Record, meta: Meta) -> Iterator[Owned]:
        budget = Budget(self.parameters.max_records)
        wrong = unusable(message)
        if wrong:
            yield _set_aside(state, message, wrong)
            return
        match message:
            case Order():
                yield from _on_order(state, message)
                yield from self._book_ready(state, message.instrument, budget)
            case Lineage():
                yield from _on_lineage(state, message)
                yield from self._book_ready(state, message.instrument, budget)
            case ParentOrder():
                yield from on_parent(state, message)
                yield from self._book_ready(state, message.instrument, budget)
            case Cross():
                queue_cross(state, message)
                yield from self._book_ready(state, message.instrument, budget)
            case Fill():
                yield from _on_fill(state, message, budget)
                yield from self._book_ready(state, message.instrument, budget)
            case Tick():
                yield from self._on_tick(state, message, budget)
            case Control():
                yield from _on_control(state, message)
            case _:
                raise TypeError(f"allocation does not read {type(message).__name__}")

    def _book_ready(self, state: AllocationState, instrument: str, budget: Budget) -> Iterator[Owned]:
        """Book the queued crosses and fills for which the message just read was the last one missing."""
        queue = state.queues.get(instrument)
        if queue is None or not (queue.crosses or queue.fills):
            return  # the usual case, checked after every order
        yield from book_crosses(state, instrument)
        yield from settle_queue(state, instrument, budget)

    def _on_tick(self, state: AllocationState, tick: Tick, budget: Budget) -> Iterator[Owned]:
        state.apply_tick(tick)
        work = state.work
        if work.settling:
            instruments, work.settling = work.settling, []
            state.works.put("", work)
            for instrument in instruments:
                yield from settle_queue(state, instrument, budget)
        start_round(state, self.parameters.progress_ns)
        yield from continue_progress(state, budget)
        if tick.kind is TickKind.DAY_END:
            yield from end_day(state)


def _set_aside(state: AllocationState, message: Record, wrong: str) -> Alert:
    """Alert for a record of ours that cannot be booked: what it says is nowhere in the books."""
    instrument, subject_id = subject_of(message)
    text = f"{type(message).__name__} {subject_id}: {wrong}. It was set aside, and nothing of it is booked"
    return broken(instrument, subject_id, "UNUSABLE_RECORD", text, state.now_ns)


def _on_order(state: AllocationState, order: Order) -> Iterator[Owned]:
    match order.kind:
        case OrderKind.NEW:
            yield from accept_order(state, order)
        case OrderKind.CANCEL:
            yield from request_cancel(state, order)
        case _:
            pass  # set aside by name: replaces are not built yet


def _on_lineage(state: AllocationState, lineage: Lineage) -> Iterator[Owned]:
    match lineage.kind:
        case LineageKind.MEMBERS:
            yield from on_members(state, lineage)
        case LineageKind.LEFT | LineageKind.CANCEL_REFUSED:
            yield from on_left(state, lineage)
        case _:
            pass  # JOINED is for the audit


def _on_fill(state: AllocationState, fill: Fill, budget: Budget) -> Iterator[Owned]:
    if fill.kind is FillKind.RETURNED:
        return  # slicing's business
    epoch = state.epoch(fill.parent_id, fill.epoch_no, fill.instrument)
    if fill.kind in CLOSING or epoch.quiet:
        epoch.quiet = True
        state.epochs.put(epoch.key, epoch)
        queue_fill(state, fill)
    else:
        yield from on_execution(state, epoch, fill, budget)


def _on_control(state: AllocationState, control: Control) -> Iterator[Owned]:
    if control.kind is not ControlKind.BREAK_ALLOCATION:
        return
    parent = state.parents.get(control.scope_id)
    if control.scope is ControlScope.PARENT and parent is not None:
        instrument = parent.instrument
    elif control.scope is ControlScope.INSTRUMENT and _is_ours(state, control.scope_id):
        instrument = control.scope_id
    else:
        if control.scope is ControlScope.PARENT and state.made_here(control.scope_id):
            yield not_known(control, state.now_ns)
        return
    text = f"control {control.control_id} of {control.who} was not done: allocations cannot be broken by hand yet"
    yield broken(instrument, control.scope_id, "BREAK_ALLOCATION_NOT_BUILT", text, state.now_ns)


def _is_ours(state: AllocationState, instrument: str) -> bool:
    return partition_of(instrument, state.task.partitions) == state.task.partition
