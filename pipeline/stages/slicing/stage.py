"""Slicing: the schedule. From a parent, slices; every fill, cross and quote moves what comes next.

*Reads*     parents and their changes; fills and what came back; quotes, prints, depth, venue status, volume curves;
            ticks and the desk's controls.
*Keeps*     per parent what is done, out and set aside (:class:`WorkingParent`); per instrument the market's volume and
            state.
*Writes*    slices (SLICE, RECALL, FINISH, SET_ASIDE), alerts (COMPLETION_AT_RISK, STALE_HOLD).
*Refuses*   to release anything while killed, paused, stale, halted, outside its window or its session.
*Conserves* out + executed + taken + set aside <= the epoch's quantity.

First form: TWAP and VWAP; out of limit means pause; POV and IS parents are worked as TWAP under their cap (intake
refuses them for now).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.controls import Alert, AlertKind, Control, Resumed, Tick, TickKind
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.market import NBBO, Depth, TradePrint, VenueStatus
from pipeline.domain.parents import ParentKind, ParentOrder, SliceKind
from pipeline.domain.parents import Slice as SliceRecord
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import Instrument, Limit, LimitScope
from pipeline.stage import Meta, Stage
from pipeline.stages.shared import reference_data
from pipeline.stages.shared.stale_hold import StaleHold
from pipeline.stages.shared.switches import Switches
from pipeline.stages.slicing import schedule
from pipeline.stages.slicing.market_view import MarketView
from pipeline.stages.slicing.schedule import SlicingParameters
from pipeline.stages.slicing.working_parent import Siblings, WorkingParent, working
from pipeline.state import Entry, State, Task


class InstrumentTotals(Entry):
    """The parents of one instrument, in the order they came, and what each side has executed today."""

    parent_ids: list[str] = []
    own_buy_qty: int = 0
    own_sell_qty: int = 0


class Curve(Entry):
    """The volume curve in force."""

    curve: VolumeCurve


class SlicingState(State):
    """Parents at work and the market they are worked in."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.market = MarketView(self)
        self.switches = Switches(self)
        self.instruments = reference_data.instruments(self)
        self.limits = reference_data.limits(self)
        self.stale = StaleHold(self, self.limits)
        self.parents = self.table("parents", WorkingParent)
        self.siblings = Siblings()
        self.desks = self.table("desks", InstrumentTotals)
        self.curves = self.table("curves", Curve)

    def desk(self, instrument: str) -> InstrumentTotals:
        return self.desks.get(instrument) or InstrumentTotals()

    def put(self, parent: WorkingParent) -> None:
        """A parent has changed."""
        self.parents.put(parent.order.parent_id, parent)
        self.siblings.count(parent)

    def restored(self) -> None:
        self.siblings.clear()
        for parent_id in self.parents.keys():
            self.siblings.count(self.parents[parent_id])

    def may_release(self, parent: WorkingParent, instrument: Instrument) -> bool:
        """Law and halts, then the desk, then staleness: whether anything new of this parent may go out now."""
        order, now_ns = parent.order, self.now_ns
        return (
            not parent.recalled
            and not parent.finishing
            and instrument.session_open_ns <= now_ns < instrument.session_close_ns
            and order.start_ns <= now_ns < order.end_ns
            and self.market.is_open(order.instrument)
            and not self.switches.killed(instrument=order.instrument, parent=order.parent_id)
            and not self.switches.paused(instrument=order.instrument, parent=order.parent_id)
            and not self.stale.holds(order.instrument)
        )


class SlicingStage(Stage[SlicingState]):
    """The algorithms: slices out, every fill recalibrates."""

    name = "slicing"
    title = "works parents by TWAP and VWAP under their caps; every fill recalibrates"
    reads = (
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
    writes = (SliceRecord, Alert)

    def __init__(self, config: SlicingParameters = SlicingParameters()) -> None:  # noqa: B008 - a frozen constant
        self._config = config

    def config(self) -> dict[str, int | str | bool]:
        return msgspec.structs.asdict(self._config)

    def new_state(self, task: Task) -> SlicingState:
        return SlicingState(task)

    def step(self, state: SlicingState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case ParentOrder():
                yield from self._on_parent(state, message)
            case Fill():
                yield from self._on_fill(state, message)
            case Tick():
                yield from self._on_tick(state, message)
            case NBBO():
                state.market.on_nbbo(message)
            case TradePrint():
                state.market.on_print(message)
            case Depth():
                state.market.on_depth(message)
            case VenueStatus():
                state.market.on_status(message)
            case VolumeCurve():
                known = state.curves.get(message.instrument)
                if known is None or message.version > known.curve.version:
                    state.curves.put(message.instrument, Curve(message))
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
        if order.kind is ParentKind.NEW:
            desk = state.desk(order.instrument)
            parent = working(
                order,
                volume_before=state.market.of(order.instrument).volume_qty,
                own_before=schedule.own_qty(desk, order.side),
            )
            desk.parent_ids = [*desk.parent_ids, order.parent_id]
            state.desks.put(order.instrument, desk)
            state.put(parent)
            yield from self._release(state, parent)  # what is due at once does not wait for a tick
            return
        known = state.parents.get(order.parent_id)
        if known is None or known.finishing:
            # It is over, or about to be; FINISH is on its way and answers everybody. Only an ask waits for us.
            if order.kind is ParentKind.CROSS_ASK:
                yield _nothing_aside(order, state.now_ns)
            return
        match order.kind:
            case ParentKind.EPOCH:
                known.begin_epoch(order)
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
        _count_own(state, fill)
        if parent is None:
            return
        if fill.kind is FillKind.QUIET:
            if fill.final:
                self._forget(state, parent)
            return
        parent.apply(fill)
        state.put(parent)
        yield from self._finish_if_over(state, parent)
        yield from self._release(state, parent)

    def _forget(self, state: SlicingState, parent: WorkingParent) -> None:
        state.parents.remove(parent.order.parent_id)
        state.siblings.forget(parent)
        desk = state.desk(parent.order.instrument)
        desk.parent_ids = [each for each in desk.parent_ids if each != parent.order.parent_id]
        state.desks.put(parent.order.instrument, desk)

    # ------------------------------------------------------------------ time

    def _on_tick(self, state: SlicingState, tick: Tick) -> Iterator[Owned]:
        if state.stale.on_tick(tick):
            yield from self._stale_alerts(state)
        state.apply_tick(tick)
        for instrument in state.desks.keys():
            for parent_id in state.desks[instrument].parent_ids:
                parent = state.parents[parent_id]
                yield from self._finish_if_over(state, parent, day_over=tick.kind is TickKind.DAY_END)
                yield from self._warn_if_at_risk(state, parent)
                yield from self._release(state, parent)

    def _finish_if_over(self, state: SlicingState, parent: WorkingParent, day_over: bool = False) -> Iterator[Owned]:
        if parent.finishing or parent.recalled or parent.set_aside_qty:
            return  # a recall or an ask is answered first; the next tick looks again
        if parent.done or day_over or state.now_ns >= parent.order.end_ns:
            parent.finishing = True
            why = "all done" if parent.done else "the end of its window"
            yield parent.next_slice(SliceKind.FINISH, state.now_ns, why=why)
            state.put(parent)

    def _release(self, state: SlicingState, parent: WorkingParent) -> Iterator[Owned]:
        if parent.unreleased_qty == 0 or schedule.is_too_soon(parent, state.now_ns, self._config):
            return  # the two cheap questions first: this is asked of every parent at every tick
        instrument = state.instruments.get(parent.order.instrument, state.now_ns)
        if instrument is None or not state.may_release(parent, instrument):
            return
        desk = state.desk(parent.order.instrument)
        curve = state.curves.get(parent.order.instrument)
        decision = schedule.decide(
            parent,
            state.siblings.of(parent),
            schedule.own_qty(desk, parent.order.side),
            state.market,
            instrument,
            None if curve is None else curve.curve,
            state.now_ns,
            self._config,
        )
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

    def _warn_if_at_risk(self, state: SlicingState, parent: WorkingParent) -> Iterator[Owned]:
        if parent.at_risk or parent.finishing or not schedule.can_be_at_risk(parent, state.now_ns):
            return
        desk = state.desk(parent.order.instrument)
        curve = state.curves.get(parent.order.instrument)
        instrument = state.instruments.get(parent.order.instrument, state.now_ns)
        if instrument is not None and schedule.is_at_risk(
            parent,
            state.siblings.of(parent),
            schedule.own_qty(desk, parent.order.side),
            state.market,
            instrument,
            None if curve is None else curve.curve,
            state.now_ns,
        ):
            parent.at_risk = True
            state.put(parent)
            yield Alert(
                kind=AlertKind.COMPLETION_AT_RISK,
                instrument=parent.order.instrument,
                subject_id=parent.order.parent_id,
                reason="CAP_BELOW_NEED",
                text=f"{parent.unexecuted_qty} left cannot be done by the end under its cap on the volume expected: "
                "raise the cap, move the end, or accept an unfilled rest",
                at_ns=state.now_ns,
            )

    def _stale_alerts(self, state: SlicingState) -> Iterator[Owned]:
        for instrument in state.desks.keys():
            if state.desks[instrument].parent_ids:
                yield Alert(
                    kind=AlertKind.STALE_HOLD,
                    instrument=instrument,
                    subject_id="",
                    reason="BACKLOG_TOO_OLD",
                    text="nothing is released after the outage until the desk says RELEASE_STALE",
                    at_ns=state.now_ns,
                )


def _nothing_aside(order: ParentOrder, now_ns: int) -> SliceRecord:
    """The answer to an ask for a parent that is over."""
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


def _count_own(state: SlicingState, fill: Fill) -> None:
    """What a side has executed in an instrument today: the siblings' common account against their cap."""
    match fill.kind:
        case FillKind.TRADE:
            qty = fill.last_qty
        case FillKind.BUST:
            qty = -fill.last_qty
        case FillKind.CORRECT:
            qty = fill.last_qty - fill.prior_qty
        case _:
            return
    desk = state.desk(fill.instrument)
    if fill.side.sign > 0:
        desk.own_buy_qty += qty
    else:
        desk.own_sell_qty += qty
    state.desks.put(fill.instrument, desk)
