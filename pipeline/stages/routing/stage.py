"""The smart order router: owns the life of every child and the exposure of every parent; counts executions once.

- Reads: slices, venue-reports, nbbo, depth, venue-status, venues, instruments, limits, clock, controls.
- Keeps: parents with their permitted, live and filled quantity (`exposure_ledger.py`), open slices, children (until
  the day ends), executions (a day longer, for reports that come late), scorecards, the gate's own counters, quotes and
  depth.
- Writes: child-orders, as a router decides (`routers/sequential.py`), each through the last gate (`gate.py`); fills
  (TRADE, BUST, CORRECT: `executions.py`; RETURNED, QUIET: `closing.py`); alerts.
- Refuses: children that the gate refuses: the quantity goes back to the parent once, RETURNED with reason GATE_….
  Reports that are not ours, or contradict what is booked: an alert, nothing booked.
- Conserves: live + filled <= permitted, by parent, in all we send; executed while open + RETURNED = slices; each slice
  closes exactly once; QUIET only when nothing can execute any more; each execution is booked once.

First form: one router, one venue after the other; resting orders are not repriced before their slice expires; no
exploration; priors are parameters; a fill by a venue's correction is not restated in the scorecards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

import msgspec

from pipeline.domain.controls import (
    Alert,
    AlertKind,
    Control,
    ControlKind,
    ControlScope,
    Resumed,
    Tick,
    TickKind,
)
from pipeline.domain.executions import ChildOrder, Fill, ReportKind, VenueReport
from pipeline.domain.int64 import fits
from pipeline.domain.market import NBBO, Depth, SessionState, VenueStatus
from pipeline.domain.orders import TimeInForce
from pipeline.domain.parents import Slice, SliceKind
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import Instrument, Limit, Venue
from pipeline.domain.units import PX_ONE
from pipeline.stage import Meta, Migration, Stage
from pipeline.stages.routing.alerts import alert, lapsed, stale_hold, unknown_child
from pipeline.stages.routing.child_lifecycle import ChildState, LifeEvent, apply_report, happen, lapse
from pipeline.stages.routing.child_orders import ask_again, cancel, compare
from pipeline.stages.routing.closing import answer_quiet, end_day, take_back
from pipeline.stages.routing.executions import (
    DESK_SESSION,
    EXECUTIONS,
    book_trade,
    count_not_believed,
    declared_report,
    dont_know,
    execution_key,
    not_believed,
    repeated_trade,
)
from pipeline.stages.routing.exposure_ledger import Ask, BookedChild, ParentExposure
from pipeline.stages.routing.migrations import MIGRATIONS
from pipeline.stages.routing.open_slice import OpenSlice, slice_key
from pipeline.stages.routing.parameters import RoutingParameters
from pipeline.stages.routing.permitted import hold_to_permitted
from pipeline.stages.routing.restatements import child_restated, hear_early, restate, restate_early
from pipeline.stages.routing.routers.table import ROUTERS
from pipeline.stages.routing.state import RoutingState
from pipeline.stages.routing.venue_scorecards import Unfilled
from pipeline.stages.shared.switches import not_known
from pipeline.state import Task

CANCEL_ON: Final = (SessionState.HALTED, SessionState.CLOSED)
"""Venue states in which resting orders are cancelled. In all but OPEN nothing new is sent; in PRE_OPEN, AUCTION and
DOWN resting orders stay (a venue that is down answers no cancel: its silence makes children unknown)."""


class RoutingStage(Stage[RoutingState]):
    """One task owns all children of its instruments."""

    name: ClassVar[str] = "routing"
    title: ClassVar[str] = "smart order router and last gate: slices to children, venue reports to fills counted once"
    reads: ClassVar[tuple[type[Record], ...]] = (
        Slice,
        VenueReport,
        NBBO,
        Depth,
        VenueStatus,
        Venue,
        Instrument,
        Limit,
        Tick,
        Control,
        Resumed,
    )
    writes: ClassVar[tuple[type[Owned], ...]] = (ChildOrder, Fill, Alert)
    state_version: ClassVar[int] = 3
    migrations: ClassVar[Mapping[int, Migration]] = MIGRATIONS

    parameters: RoutingParameters

    def __init__(self, parameters: RoutingParameters = RoutingParameters()) -> None:  # noqa: B008 - a frozen constant
        self.parameters = parameters
        self._router = ROUTERS[parameters.router]

    def new_state(self, task: Task) -> RoutingState:
        return RoutingState(task, self.parameters)

    def step(self, state: RoutingState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case NBBO():
                state.opinion.on_nbbo(message, is_held=state.market.on_nbbo(message))
            case Depth():
                state.market.on_depth(message)
            case VenueReport():
                yield from self._on_report(state, message)
            case Slice():
                yield from self._on_slice(state, message)
            case VenueStatus():
                state.market.on_status(message)
                if message.state in CANCEL_ON:
                    for child in state.ledger.live_in(message.instrument):
                        if child.order.venue == message.venue:
                            yield from cancel(state, child, str(message.state))
            case Venue():
                state.venues.put(message, state.now_ns)
            case Instrument():
                state.instruments.put(message, state.now_ns)
            case Limit():
                state.limits.put(message, state.now_ns)
            case Tick():
                yield from self._on_tick(state, message)
            case Control():
                yield from self._on_control(state, message)
            case Resumed():
                if state.stale.on_resumed(message):
                    yield stale_hold(state)
            case _:
                raise TypeError(f"routing does not read {type(message).__name__}")
        if state.ledger.has_changed:
            yield from hold_to_permitted(state)

    # ------------------------------------------------------------------ slices

    def _on_slice(self, state: RoutingState, slice_: Slice) -> Iterator[Owned]:
        """A slice to execute, an epoch that is to end (RECALL), or all of a parent's children to be cancelled (FINISH);
        each says what is permitted from now on."""
        parent = state.ledger.parents.get(slice_.parent_id)
        if parent is None:
            parent = ParentExposure(slice_.parent_id, slice_.instrument, slice_.side, state.clock.trade_date)
        parent.permit(slice_.permitted_qty)
        state.ledger.put_parent(parent)
        match slice_.kind:
            case SliceKind.SLICE:
                open_slice = OpenSlice(slice_)
                state.ledger.open(open_slice)
                yield from self._router.on_slice(state, open_slice)
            case SliceKind.RECALL | SliceKind.FINISH:
                final = slice_.kind is SliceKind.FINISH
                parent.asks.append(Ask(slice_.slice_no, slice_.epoch_no, final, slice_.crossed_qty))
                state.ledger.parents.put(parent.parent_id, parent)
                if final:
                    yield from take_back(state, state.ledger.live_of(parent), str(slice_.kind))
                yield from answer_quiet(state, parent)
            case _:
                pass  # SET_ASIDE is for netting; kinds of a later version are not acted on

    # ------------------------------------------------------------------ venue reports

    def _on_report(self, state: RoutingState, report: VenueReport) -> Iterator[Owned]:
        """Any report of a venue: its execution is booked once, its statement compared, its child goes on."""
        child = _child_of(state, report)
        if child is not None and report.kind in EXECUTIONS and count_not_believed(state, report, child):
            yield dont_know(state, report, "COUNT_NOT_BELIEVABLE")
            report = msgspec.structs.replace(report, cum_qty=0, leaves_qty=0)  # the execution is booked all the same
        match report.kind:
            case ReportKind.TRADE:
                repeated = repeated_trade(state, report, child)
                if repeated is not None:
                    yield from repeated
                else:
                    refused = _why_refused(state, report, child)
                    if child is None or refused:
                        yield dont_know(state, report, refused)
                        return
                    yield from book_trade(state, report, child)
                    yield from restate_early(state, execution_key(report, report.exec_id))
            case ReportKind.BUST | ReportKind.CORRECT:
                yield from restate(state, report)
                restated = child_restated(state, report)
                if restated is None and child is not None and not _why_refused(state, report, child):
                    hear_early(state, report, child)
                child = restated or child
            case _:
                refused = _why_refused(state, report, child)
                if child is None or refused:
                    yield dont_know(state, report, refused)
                    return
                yield from self._on_order_report(state, report, child)
        if child is None:
            return
        yield from compare(state, child, answered=report.kind is ReportKind.ORDER_STATUS)
        yield from self._after_child(state, child)

    def _on_order_report(self, state: RoutingState, report: VenueReport, child: BookedChild) -> Iterator[Owned]:
        """A report about the order, not about an execution."""
        was = child.life.state
        wire = state.ledger.wires.get(report.wire_id)
        if wire is not None and wire.of_status and report.kind is not ReportKind.ORDER_STATUS:
            return  # our question did not get through, or was refused: nothing is known by that
        was_open = child.life.open
        apply_report(child.life, report, of_cancel=wire is not None and wire.of_cancel)
        if child.life.open and not was_open:
            yield from cancel(state, child, "FOUND_ALIVE")  # its slice has gone on without it
        if child.life.state is ChildState.UNKNOWN and was is not ChildState.UNKNOWN:
            yield unknown_child(state, child, "the venue does not know the order our cancel speaks of")

    def _after_child(self, state: RoutingState, child: BookedChild) -> Iterator[Owned]:
        """Something happened to a child: when it has ended its router goes on, and its parent may be quiet."""
        parent = state.ledger.settle(child)
        if not child.life.over:
            if not child.life.open and not child.over_ns:
                child.over_ns = state.now_ns
                state.ledger.children.put(child.order.child_id, child)
            return
        if not child.scored:
            child.scored = True
            child.tally.sent_qty = child.order.order_qty
            state.scorecards.add(child.score_key, child.tally)
            state.ledger.children.put(child.order.child_id, child)
        open_slice = state.ledger.slice_of(child.order)
        if open_slice is None or child.order.child_id not in open_slice.child_ids:
            yield from answer_quiet(state, parent)
            return
        open_slice.child_ids.remove(child.order.child_id)
        left_qty = child.order.order_qty - child.life.cum_qty
        if left_qty > 0:
            open_slice.left.append(Unfilled(child.score_key, child.touch_px, left_qty))
        state.ledger.open_slices.put(slice_key(open_slice.slice), open_slice)
        yield from self._router.on_child_ended(state, open_slice)

    # ------------------------------------------------------------------ time

    def _on_tick(self, state: RoutingState, tick: Tick) -> Iterator[Owned]:
        if state.stale.on_tick(tick):
            yield stale_hold(state)
        state.apply_tick(tick)
        state.begin_or_end_day(tick)
        now_ns, parameters = state.now_ns, state.parameters
        # For every child that can still execute, at every tick: so the cheap checks come first.
        shortest_ns = state.silence_ns(
            min(parameters.ack_timeout_ns, parameters.cancel_timeout_ns, parameters.cancel_retry_ns)
        )
        for child in state.ledger.live():
            open_slice = state.ledger.slice_of(child.order)
            if open_slice is not None and open_slice.child_ids[:1] == [child.order.child_id]:  # once for every slice
                yield from self._router.on_tick(state, open_slice)
            if now_ns - child.order.sent_ns >= shortest_ns:
                yield from _time_out(state, child)
                yield from ask_again(state, child)
        if tick.kind is TickKind.DAY_START:
            for child in state.ledger.live():
                if child.trade_date < tick.trade_date:
                    yield lapsed(state, child)
                    lapse(child.life)
                    yield from self._after_child(state, child)
        elif tick.kind is TickKind.DAY_END:
            yield from take_back(state, state.ledger.live(), "DAY_END")
            yield from end_day(state)
            _forget(state, tick.trade_date)

    # ------------------------------------------------------------------ the desk

    def _on_control(self, state: RoutingState, control: Control) -> Iterator[Owned]:
        state.stale.release(control)
        state.gate_book.on_control(control)
        if state.switches.apply(control) and control.kind is ControlKind.KILL:
            for child in state.ledger.live():
                order, switches = child.order, state.switches
                if switches.killed(instrument=order.instrument, parent=order.parent_id):
                    yield from take_back(state, [child], "KILL")
                elif switches.killed(venue=order.venue):
                    yield from cancel(state, child, "KILL")  # the slice goes on elsewhere
        if control.kind in (ControlKind.DECLARE_DEAD, ControlKind.DECLARE_FILLED):
            yield from self._declare(state, control)

    def _declare(self, state: RoutingState, control: Control) -> Iterator[Owned]:
        """The desk declares what became of an unknown child. Children of other tasks are ignored: those handle them."""
        child = state.ledger.children.get(control.scope_id) if control.scope is ControlScope.CHILD else None
        if child is None:
            if state.made_here(control.scope_id):
                yield not_known(control, state.now_ns)
            return
        life, instrument = child.life, child.order.instrument
        open_to_it = life.state is ChildState.UNKNOWN or (not life.open and life.owed_qty > 0)
        declared = _declared_fill(control.new or "") if control.kind is ControlKind.DECLARE_FILLED else (0, 0)
        if not open_to_it or declared is None or declared[0] > life.live_qty:
            reason = "BAD_DECLARATION" if open_to_it else "CHILD_IS_NOT_UNKNOWN"
            declaration = f"{control.kind} {control.new or ''} of {control.scope_id}"
            text = f"{declaration} ({life.state}, live {life.live_qty}): ignored"
            yield alert(state, AlertKind.UNKNOWN_CHILD, instrument, child.order.child_id, reason, text)
            return
        qty, px = declared
        if qty:
            report = declared_report(state, child, ReportKind.TRADE, control.control_id, qty, px)
            yield from book_trade(state, report, child)
            child.declared_key = execution_key(report, report.exec_id)
        happen(life, LifeEvent.NO_ANSWER)  # an execution is a sign of life only from the venue
        happen(life, LifeEvent.DECLARED_DEAD)
        if not life.open:
            life.told_cum_qty, life.owed_qty = life.cum_qty, 0
        yield from compare(state, child, answered=True)
        yield from self._after_child(state, child)


# ---------------------------------------------------------------------- venue reports


def _why_refused(state: RoutingState, report: VenueReport, child: BookedChild | None) -> str:
    """Why a report cannot be about a child of ours, as a name; empty when it can."""
    if child is None:
        return "NO_MATCHING_ORDER"
    if report.kind is ReportKind.UNKNOWN:
        return "UNKNOWN_KIND"
    if (child.order.instrument, child.order.venue) != (report.instrument, report.venue):
        return "OTHER_INSTRUMENT_OR_VENUE"
    if report.session_id == DESK_SESSION:
        return "SESSION_OF_THE_DESK"
    return not_believed(state, report, child)


def _child_of(state: RoutingState, report: VenueReport) -> BookedChild | None:
    for wire_id in (report.wire_id, report.orig_wire_id):
        wire = None if wire_id is None else state.ledger.wires.get(wire_id)
        if wire is not None:
            return state.ledger.children.get(wire.child_id)
    return None


# ---------------------------------------------------------------------- time


def _time_out(state: RoutingState, child: BookedChild) -> Iterator[Owned]:
    """Silence makes unknown, never dead; a cancel that failed is tried again."""
    life, parameters, now_ns = child.life, state.parameters, state.now_ns
    if not life.open:
        if (
            not child.alerted
            and child.over_ns
            and now_ns - child.over_ns >= state.silence_ns(parameters.cancel_timeout_ns)
        ):
            yield unknown_child(state, child, f"it is over, but {life.owed_qty} executed has not been reported")
        return
    if life.state is ChildState.UNKNOWN:
        return
    silent = life.state is ChildState.PENDING_NEW or child.order.time_in_force is TimeInForce.IOC
    if life.cancel_asked:
        if now_ns - child.cancel_sent_ns >= state.silence_ns(parameters.cancel_timeout_ns):
            happen(life, LifeEvent.NO_ANSWER)
            yield unknown_child(state, child, "its cancel was not answered")
    elif silent and now_ns - child.order.sent_ns >= state.silence_ns(parameters.ack_timeout_ns):
        happen(life, LifeEvent.NO_ANSWER)
        yield unknown_child(state, child, "the venue has not answered it")
        yield from cancel(state, child, "UNKNOWN")  # a cancel also serves as a status request
    elif child.cancel_wanted and now_ns - child.cancel_sent_ns >= state.silence_ns(parameters.cancel_retry_ns):
        yield from cancel(state, child, "AGAIN")


def _forget(state: RoutingState, trade_date: int) -> None:
    """The day has ended: forget children that have ended, and what earlier days booked of such children.

    An execution's identity is kept for a day more than its child, whatever date the venue gave it: a repeat that comes
    later still finds no child to be booked on.
    """
    ledger = state.ledger
    for child_id in ledger.children.keys():
        child = ledger.children[child_id]
        if child.life.over and ledger.slice_of(child.order) is None:
            ledger.forget_child(child)
    kept = set()
    for key in state.executions.keys():
        execution = state.executions[key]
        if execution.booked_date >= trade_date or execution.child_id in ledger.children:
            kept.add(execution.parent_id)
            continue
        state.executions.remove(key)
        exec_id_key = f"{execution.venue}/{execution.exec_id}"
        if exec_id_key in state.exec_ids:
            state.exec_ids.remove(exec_id_key)
    for key in state.restatements.keys():
        restatement = state.restatements[key]
        if restatement.booked_date < trade_date and restatement.key not in state.executions:
            state.restatements.remove(key)
    for key in state.early.keys():
        if state.early[key].booked_date < trade_date:
            state.early.remove(key)
    for parent_id in ledger.parents.keys():
        parent = ledger.parents[parent_id]
        if parent.over and parent.trade_date < trade_date and parent_id not in kept and ledger.quiet(parent):
            ledger.parents.remove(parent_id)


def _declared_fill(text: str) -> tuple[int, int] | None:
    """``qty@px`` with the price in currency units, exact to 1e-9; None when it is not that, or beyond 64 bits."""
    qty_text, at, px_text = text.partition("@")
    whole, _, part = px_text.partition(".")
    digits = (qty_text, whole, part or "0")
    if not at or len(part) > 9 or not all(d.isascii() and d.isdigit() and len(d) < 19 for d in digits):
        return None
    qty, px = int(qty_text), int(whole) * PX_ONE + int((part + "0" * 9)[:9])
    return (qty, px) if qty > 0 and px > 0 and fits(px) else None
