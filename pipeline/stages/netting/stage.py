"""Netting: gathers small orders into few parents and crosses opposite sides inside.

- Reads: orders; nbbo, prints, venue-status; clock, controls; crossing-rules, instruments, limits; slices (slicing's
  answers); epochs (those that allocation closed).
- Keeps: open windows with their buckets, working parents with their members, open asks; recent quotes. Only live
  orders have rows: what is done leaves none.
- Writes: lineage (which order is in which bucket or parent, and every epoch's allocation statement); parents (new ones
  and their changes); crosses with their evidence; alerts (CROSS_REFUSED once per close and reason, COMPLETION_AT_RISK
  of what is below a lot, held or never worked, STALE_HOLD, BREAK).
- Refuses: crosses that no rule allows or no sound quote prices; cancels that come too late; while an instrument is
  killed, paused or stale: every cross and every new parent (cancels pass, and orders at their end expire); while a
  source or account is: to work its orders, wherever they are (they are held, the others go on).
- Conserves: per side: ordered = crossed + waiting + in parents + left; crossed to buy = crossed to sell.

First form: crosses are priced from one quote, neither averaged over time nor taken at a random moment; orders cross
all at once, not along their schedule; every close makes new parents, no order joins one that is working; at the day's
end waiting orders expire, nothing is carried. The quote used is the newest by event time,
whatever feed it is from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, ControlScope, Resumed, Tick, TickKind
from pipeline.domain.market import NBBO, TradePrint, VenueStatus
from pipeline.domain.orders import Order, OrderKind
from pipeline.domain.parents import Cross, EpochClosed, Lineage, ParentOrder, Slice
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import CrossingRule, Instrument, Limit, LimitScope
from pipeline.domain.rejections import RejectReason
from pipeline.stage import Meta, Stage
from pipeline.stages.netting import records as records
from pipeline.stages.netting import windows as windows
from pipeline.stages.netting import working_parents as working
from pipeline.stages.netting.parameters import NettingParameters
from pipeline.stages.netting.state import Located, NettingState
from pipeline.stages.shared.switches import not_known
from pipeline.state import Task


class NettingStage(Stage[NettingState]):
    """Netting and aggregation."""

    name: ClassVar[str] = "netting"
    title: ClassVar[str] = "gathers orders in windows, crosses opposite sides, makes parents with lineage and epochs"
    reads: ClassVar[tuple[type[Record], ...]] = (
        Order,
        NBBO,
        TradePrint,
        VenueStatus,
        Tick,
        Control,
        CrossingRule,
        Instrument,
        Limit,
        Slice,
        EpochClosed,
        Resumed,
    )
    writes: ClassVar[tuple[type[Owned], ...]] = (Lineage, ParentOrder, Cross, Alert)

    parameters: NettingParameters

    def __init__(self, parameters: NettingParameters = NettingParameters()) -> None:  # noqa: B008 - a frozen constant
        self.parameters = parameters

    def new_state(self, task: Task) -> NettingState:
        return NettingState(task, self.parameters)

    def step(self, state: NettingState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case Order():
                yield from self._on_order(state, message)
            case NBBO():
                state.market.on_quote(message)
            case TradePrint():
                state.market.on_print(message)
            case VenueStatus():
                state.market.on_status(message)
            case Tick():
                yield from self._on_tick(state, message)
            case Slice():
                yield from working.on_slice(state, message)
            case EpochClosed():
                yield from working.on_epoch_closed(state, message)
            case Control():
                yield from self._on_control(state, message)
            case CrossingRule():
                state.rules.put(message, state.now_ns)
            case Instrument():
                state.instruments.put(message, state.now_ns)
            case Limit():
                if message.scope is LimitScope.FIRM:
                    state.limits.put(message, state.now_ns)
            case Resumed():
                if state.stale.on_resumed(message):
                    yield from _stale_alerts(state)
            case _:
                raise TypeError(f"netting does not read {type(message).__name__}")

    def _on_order(self, state: NettingState, order: Order) -> Iterator[Owned]:
        match order.kind:
            case OrderKind.NEW:
                yield from windows.join(state, order)
            case OrderKind.CANCEL:
                yield from self._on_cancel(state, order)
            case OrderKind.REPLACE:
                yield records.cancel_refused(
                    order.instrument,
                    order.order_id,
                    order.request.cl_ord_id,
                    RejectReason.REPLACE_NOT_SUPPORTED,
                    state.now_ns,
                    state.orders.get(order.order_id),
                )
            case OrderKind.UNKNOWN:
                text = "intake says something about this order that this version does not understand"
                yield records.broken(order.instrument, order.order_id, "UNKNOWN_KIND", text, state.now_ns)

    def _on_cancel(self, state: NettingState, order: Order) -> Iterator[Owned]:
        row, cl_ord_id = state.orders.get(order.order_id), order.request.cl_ord_id
        if row is None:
            # The order is done already (crossed, executed, expired, cancelled); intake had not read its closure yet.
            reason = RejectReason.TOO_LATE_TO_CANCEL
            yield records.cancel_refused(order.instrument, order.order_id, cl_ord_id, reason, state.now_ns)
        elif row.parent_id:
            yield from working.leave(state, Located(order.order_id, row), cl_ord_id)
        else:
            yield from windows.leave(state, Located(order.order_id, row), cl_ord_id)

    def _on_tick(self, state: NettingState, tick: Tick) -> Iterator[Owned]:
        if state.stale.on_tick(tick):
            yield from _stale_alerts(state)
        before_ns = state.now_ns
        state.apply_tick(tick)
        state.market.on_tick(before_ns)
        for instrument in state.books.keys():
            yield from windows.expire(state, instrument, day_over=tick.kind is TickKind.DAY_END)
        yield from working.recall_due(state)
        if tick.kind is not TickKind.DAY_END:
            for instrument, bucket_ids in windows.due(state):
                yield from windows.close(state, instrument, bucket_ids)
            for instrument, parent_ids in working.to_ask(state):
                yield from working.ask(state, instrument, parent_ids)

    def _on_control(self, state: NettingState, control: Control) -> Iterator[Owned]:
        changed = state.switches.apply(control)
        state.stale.release(control)
        if changed and control.scope in (ControlScope.SOURCE, ControlScope.ACCOUNT):
            yield from working.hold_or_resume(state)
        match control.kind, control.scope:
            case ControlKind.CANCEL_PARENT, ControlScope.PARENT:
                if control.scope_id in state.parents:
                    yield from working.cancel_parent(state, control.scope_id)
                elif state.made_here(control.scope_id):
                    yield not_known(control, state.now_ns)
            case ControlKind.RELEASE_WINDOW, ControlScope.INSTRUMENT:
                yield from windows.release(state, control.scope_id)
            case ControlKind.RELEASE_WINDOW, ControlScope.ALL:
                for instrument in state.books.keys():
                    yield from windows.release(state, instrument)
            case _:
                pass  # controls for other stages


def _stale_alerts(state: NettingState) -> Iterator[Alert]:
    for instrument in state.books.keys():
        yield Alert(
            kind=AlertKind.STALE_HOLD,
            instrument=instrument,
            subject_id="",
            reason="BACKLOG_TOO_OLD",
            text="nothing is crossed and no parent made after the outage until the desk says RELEASE_STALE",
            at_ns=state.now_ns,
        )
