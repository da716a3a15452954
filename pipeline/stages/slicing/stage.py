"""Slicing: the schedule. From a parent, slices; every fill, cross and quote moves what comes next.

- Reads: parents (new ones and their changes); fills, with quantity returned; nbbo, prints, depth, venue-status,
  volume-curves; instruments, limits; clock, controls.
- Keeps: per parent what is executed, outstanding and set aside (`working_parent.py`), and the window it is really
  worked in (`window.py`); per instrument the market's state, samples of its quote, and the volume behind caps.
- Writes: slices (SLICE, RECALL, FINISH, SET_ASIDE), alerts (COMPLETION_AT_RISK, STALE_HOLD).
- Refuses: to release anything while killed, paused, stale, halted, outside the parent's window or the session.
- Conserves: outstanding + executed + crossed + set aside <= the epoch's quantity.

A schedule (`schedules/twap.py`, `schedules/vwap.py`) says how much is due by when; `release.py` decides how much of it
is released now, and how; `completion.py` tells the desk when a parent that must be completed may not be.

First form: TWAP and VWAP; out of limit means pause; POV and IS parents are worked as TWAP under their cap (intake
refuses them for now).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.controls import Alert, AlertKind, Control, Resumed, Tick, TickKind
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.market import NBBO, Depth, TradePrint, VenueStatus
from pipeline.domain.parents import ParentKind, ParentOrder, SliceKind
from pipeline.domain.parents import Slice as SliceRecord
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import Instrument, Limit, LimitScope
from pipeline.stage import Meta, Migration, Stage
from pipeline.stages.slicing import release
from pipeline.stages.slicing.completion import tell_if_at_risk, tell_if_unfilled
from pipeline.stages.slicing.migrations import MIGRATIONS
from pipeline.stages.slicing.parameters import SlicingParameters
from pipeline.stages.slicing.state import SlicingState, TradingDay
from pipeline.stages.slicing.window import begin_epoch, keep_time
from pipeline.stages.slicing.working_parent import WorkingParent, working
from pipeline.state import Task


class SlicingStage(Stage[SlicingState]):
    """The algorithms: slices out, every fill recalibrates."""

    name: ClassVar[str] = "slicing"
    title: ClassVar[str] = "works parents by TWAP and VWAP under their caps; every fill recalibrates"
    reads: ClassVar[tuple[type[Record], ...]] = (
        ParentOrder,
        Fill,
        NBBO,
        TradePrint,
        Depth,
        VenueStatus,
        VolumeCurve,
        Instrument,
        Limit,
        Tick,
        Control,
        Resumed,
    )
    writes: ClassVar[tuple[type[Owned], ...]] = (SliceRecord, Alert)
    state_version: ClassVar[int] = 2
    migrations: ClassVar[Mapping[int, Migration]] = MIGRATIONS

    parameters: SlicingParameters

    def __init__(self, parameters: SlicingParameters = SlicingParameters()) -> None:  # noqa: B008 - a frozen constant
        self.parameters = parameters

    def new_state(self, task: Task) -> SlicingState:
        return SlicingState(task, self.parameters)

    def step(self, state: SlicingState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case ParentOrder():
                yield from self._on_parent(state, message)
            case Fill():
                yield from self._on_fill(state, message)
            case Tick():
                yield from self._on_tick(state, message)
            case NBBO():
                state.on_nbbo(message)
            case TradePrint():
                state.on_print(message)
            case Depth():
                state.market.on_depth(message)
                state.samples.on_venue(message.instrument, message.venue)
            case VenueStatus():
                state.market.on_status(message)
                state.samples.on_venue(message.instrument, message.venue)
            case VolumeCurve():
                state.learn_curve(message)
            case Instrument():
                state.instruments.put(message, state.now_ns)
            case Limit():
                if message.scope is LimitScope.FIRM:
                    state.limits.put(message, state.now_ns)
            case Control():
                state.switches.apply(message)
                state.stale.release(message)
            case Resumed():
                if state.stale.on_resumed(message):
                    yield from self._stale_alerts(state)
            case _:
                raise TypeError(f"slicing does not read {type(message).__name__}")

    # ------------------------------------------------------------------ parents

    def _on_parent(self, state: SlicingState, order: ParentOrder) -> Iterator[Owned]:
        known = state.parents.get(order.parent_id)
        if order.kind is ParentKind.NEW:
            if known is None:
                parent = working(
                    order,
                    volume_before=state.samples.of(order.instrument).volume_qty,
                    own_before=state.totals_of(order.instrument).own_qty(order.side),
                    came_ns=state.now_ns,
                )
                state.add(parent)
                day = state.day_of(parent)
                keep_time(state, parent, day)
                yield from self._release(state, parent, day)  # what is due at once does not wait for a tick
            return
        if known is None or known.finishing:
            # It has ended or is ending: its FINISH answers everything else, only an ask needs an answer of its own.
            if order.kind is ParentKind.CROSS_ASK:
                yield _nothing_aside(order, state.now_ns)
            return
        match order.kind:
            case ParentKind.EPOCH:
                begin_epoch(state, known, order, state.day_of(known))
                if known.out:
                    yield known.next_slice(SliceKind.PERMIT, state.now_ns, why="a new epoch")
            case ParentKind.RECALL:
                known.recalled = True
                yield known.next_slice(SliceKind.RECALL, state.now_ns, why="a member leaves")
            case ParentKind.CROSS_ASK:
                qty = 0 if known.recalled else min(order.ask_qty, known.unreleased_qty)
                known.set_aside_qty, known.ask_id = qty, order.ask_id
                yield known.next_slice(SliceKind.SET_ASIDE, state.now_ns, qty=qty, ask_id=order.ask_id)
            case ParentKind.CROSS_DONE if order.ask_id == known.ask_id:
                known.set_aside_qty, known.ask_id = 0, None
                known.taken_qty += order.crossed_qty
            case ParentKind.DONE:
                known.finishing = True
                yield known.next_slice(SliceKind.FINISH, state.now_ns, why="nothing left in it")
            case _:
                pass
        state.put(known)
        yield from self._finish_if_over(state, known)

    def _on_fill(self, state: SlicingState, fill: Fill) -> Iterator[Owned]:
        parent = state.parents.get(fill.parent_id)
        state.count_own(fill)
        if parent is None:
            return
        if fill.kind is FillKind.QUIET and fill.final:
            state.forget(parent)
            return
        parent.apply(fill)
        state.put(parent)
        if parent.finishing and fill.kind in (FillKind.BUST, FillKind.CORRECT):
            yield from tell_if_unfilled(state, parent)
        yield from self._finish_if_over(state, parent)
        yield from self._release(state, parent)

    # ------------------------------------------------------------------ time

    def _on_tick(self, state: SlicingState, tick: Tick) -> Iterator[Owned]:
        if state.stale.on_tick(tick):
            yield from self._stale_alerts(state)
        state.apply_tick(tick)
        for symbol in state.totals.keys():
            parent_ids = state.totals[symbol].parent_ids
            if not parent_ids:
                continue
            state.sample(symbol)
            day = state.day(symbol)
            for parent_id in parent_ids:
                parent = state.parents[parent_id]
                its_day = state.day_of(parent) if parent.order.allowed_venues else day
                keep_time(state, parent, its_day)
                yield from tell_if_at_risk(state, parent, its_day)
                yield from self._finish_if_over(state, parent, day_over=tick.kind is TickKind.DAY_END)
                yield from self._release(state, parent, its_day)
        if tick.kind is TickKind.DAY_END:
            state.forget_prints()

    def _finish_if_over(self, state: SlicingState, parent: WorkingParent, day_over: bool = False) -> Iterator[Owned]:
        if parent.finishing or parent.set_aside_qty:
            return  # an ask must be answered first; checked again at the next tick
        over = day_over or state.now_ns >= parent.ends_ns
        if over or (parent.done and not parent.recalled):
            yield from tell_if_unfilled(state, parent)
            parent.finishing = True
            why = "all done" if parent.done else "the end of its window"
            yield parent.next_slice(SliceKind.FINISH, state.now_ns, why=why)
            state.put(parent)

    def _release(self, state: SlicingState, parent: WorkingParent, day: TradingDay | None = None) -> Iterator[Owned]:
        if parent.unreleased_qty == 0 or release.is_too_soon(parent, state.now_ns, self.parameters):
            return  # cheap checks first: this runs for every parent at every tick
        day = state.day_of(parent) if day is None else day
        if day.instrument is None or not state.may_release(parent, day):
            return
        decision = release.decide(state.view(parent, day.instrument, day))
        if decision.qty:
            yield parent.next_slice(
                SliceKind.SLICE,
                state.now_ns,
                qty=decision.qty,
                style=decision.style,
                expire_ns=decision.expire_ns,
                why=decision.why,
            )
            state.put(parent)

    def _stale_alerts(self, state: SlicingState) -> Iterator[Owned]:
        for instrument in state.totals.keys():
            if state.totals[instrument].parent_ids:
                yield Alert(
                    kind=AlertKind.STALE_HOLD,
                    instrument=instrument,
                    subject_id="",
                    reason="BACKLOG_TOO_OLD",
                    text="nothing is released after the outage until the desk says RELEASE_STALE",
                    at_ns=state.now_ns,
                )


def _nothing_aside(order: ParentOrder, now_ns: int) -> SliceRecord:
    """The answer to an ask for a parent that has ended: nothing is set aside."""
    return SliceRecord(
        kind=SliceKind.SET_ASIDE,
        parent_id=order.parent_id,
        slice_no=0,
        epoch_no=order.epoch_no,
        instrument=order.instrument,
        side=order.side,
        qty=0,
        permitted_qty=0,
        ask_id=order.ask_id,
        why="it is over",
        at_ns=now_ns,
    )
