"""How slices, epochs and parents end: nothing more is sent, one RETURNED per slice, then QUIET.

An epoch ends by a RECALL. Children of it that are live delay nobody: CUT says at once how much they may still execute,
the next epoch begins beside them, and QUIET follows when they have ended. A parent ends by FINISH: its children are
cancelled, and QUIET comes when none is live, or when the day is over.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.record import Owned
from pipeline.stages.routing.alerts import child_open_at_day_end
from pipeline.stages.routing.child_orders import cancel
from pipeline.stages.routing.exposure_ledger import Ask, BookedChild, ParentExposure
from pipeline.stages.routing.open_slice import OpenSlice, last_child_id, slice_key
from pipeline.stages.routing.state import RoutingState


def why_closed(state: RoutingState, open_slice: OpenSlice, parent: ParentExposure) -> str:
    """Why nothing more may be sent for a slice, whatever its router would like; empty when more may."""
    slice_ = open_slice.slice
    if open_slice.closing:
        return open_slice.closing
    if slice_.qty <= open_slice.executed_qty:
        return "EXECUTED"
    if any(ask.final or slice_.epoch_no <= ask.epoch_no for ask in parent.asks):
        return "RECALL"
    if state.switches.killed(instrument=slice_.instrument, parent=parent.parent_id):
        return "KILLED"
    if state.switches.paused(instrument=slice_.instrument, parent=parent.parent_id):
        return "PAUSED"
    if state.stale.holds(slice_.instrument):
        return "STALE_HOLD"
    if has_expired(state, open_slice):
        return "EXPIRED"
    return ""


def has_expired(state: RoutingState, open_slice: OpenSlice) -> bool:
    """Whether the slice has reached its expiry; one without an expiry (0) never does."""
    return 0 < open_slice.slice.expire_ns <= state.now_ns


def close(state: RoutingState, open_slice: OpenSlice, parent: ParentExposure, reason: str) -> Iterator[Owned]:
    """Close a slice that has no child that can still execute: write its RETURNED with the quantity not executed."""
    yield _returned(state, open_slice, parent, reason)
    yield from answer_quiet(state, parent)


def _returned(state: RoutingState, open_slice: OpenSlice, parent: ParentExposure, reason: str) -> Fill:
    slice_ = open_slice.slice
    state.ledger.close(open_slice)
    return Fill(
        kind=FillKind.RETURNED,
        fill_id=state.next_id("F"),
        parent_id=slice_.parent_id,
        epoch_no=slice_.epoch_no,
        slice_no=slice_.slice_no,
        child_id=last_child_id(open_slice),
        instrument=slice_.instrument,
        side=slice_.side,
        # A venue may have executed more than the slice asked for: then nothing comes back.
        last_qty=max(0, slice_.qty - open_slice.executed_qty),
        parent_cum_qty=parent.cum_qty,
        parent_live_qty=parent.live_qty,
        trade_date=state.clock.trade_date,
        at_ns=state.now_ns,
        reason=reason,
    )


def answer_quiet(state: RoutingState, parent: ParentExposure) -> Iterator[Owned]:
    """Answer each pending RECALL and FINISH with QUIET, once nothing that it speaks of can execute any more.

    Until then a RECALL is answered with CUT, again whenever less is live.
    """
    if not parent.asks:
        return
    if state.day_over:
        yield from _close_for_the_day(state, parent)
    waiting: list[Ask] = []
    for ask in list(parent.asks):
        live_qty = _live_qty(state, parent, ask)
        if live_qty == 0 or state.day_over:
            parent.over = parent.over or ask.final
            yield _answer(state, parent, ask, FillKind.QUIET, 0)
            continue
        if not ask.final and live_qty != ask.told_qty:
            ask.told_qty = live_qty
            yield _answer(state, parent, ask, FillKind.CUT, live_qty)
        waiting.append(ask)
    parent.asks = waiting
    state.ledger.parents.put(parent.parent_id, parent)
    if parent.over:
        state.gate_book.forget(parent.parent_id)


def _live_qty(state: RoutingState, parent: ParentExposure, ask: Ask) -> int:
    """What may still execute of what ``ask`` speaks of; at least 1 while a slice of it is open."""
    if ask.final:
        return max(parent.live_qty, 0 if state.ledger.quiet(parent) else 1)
    live_qty = sum(child.life.live_qty for child in state.ledger.live_until(parent, ask.epoch_no))
    return live_qty or int(any(each.slice.epoch_no <= ask.epoch_no for each in state.ledger.open_of(parent)))


def _answer(state: RoutingState, parent: ParentExposure, ask: Ask, kind: FillKind, qty: int) -> Fill:
    return Fill(
        kind=kind,
        fill_id=state.next_id("F"),
        parent_id=parent.parent_id,
        epoch_no=ask.epoch_no,
        slice_no=ask.slice_no,
        instrument=parent.instrument,
        side=parent.side,
        last_qty=qty,
        parent_cum_qty=parent.cum_qty,
        parent_live_qty=parent.live_qty,
        final=ask.final,
        crossed_qty=ask.crossed_qty,
        trade_date=state.clock.trade_date,
        at_ns=state.now_ns,
    )


def _close_for_the_day(state: RoutingState, parent: ParentExposure) -> Iterator[Owned]:
    """The day is over: what is still open of a parent that is to end is closed as it stands, each child with an alert.

    Nobody's order stays open for a venue's silence. What such a child executes later is booked, late: the orders have
    ended, so it is the error account's.
    """
    for open_slice in state.ledger.open_of(parent):
        yield _returned(state, open_slice, parent, "DAY_END")
    for child in state.ledger.live_of(parent):
        if not child.left_open:
            child.left_open = True
            state.ledger.children.put(child.order.child_id, child)
            yield child_open_at_day_end(state, child)


def end_day(state: RoutingState) -> Iterator[Owned]:
    """The day is over: every parent that was asked to end, or to begin a new epoch, is answered now."""
    for parent_id in state.ledger.parents.keys():
        yield from answer_quiet(state, state.ledger.parents[parent_id])


def take_back(state: RoutingState, children: list[BookedChild], why: str) -> Iterator[Owned]:
    """Cancel children, and send nothing more for their slices."""
    for child in children:
        open_slice = state.ledger.slice_of(child.order)
        if open_slice is not None and not open_slice.closing:
            open_slice.closing = why
            state.ledger.open_slices.put(slice_key(open_slice.slice), open_slice)
        yield from cancel(state, child, why)
