"""How slices and parents end: nothing more is sent, children are cancelled, one RETURNED per slice, then QUIET."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.record import Owned
from pipeline.stages.routing.child_orders import cancel
from pipeline.stages.routing.exposure_ledger import BookedChild, ParentExposure
from pipeline.stages.routing.open_slice import OpenSlice, last_child_id, slice_key
from pipeline.stages.routing.state import RoutingState


def why_closed(state: RoutingState, open_slice: OpenSlice, parent: ParentExposure) -> str:
    """Why nothing more may be sent for a slice, whatever its router would like; empty when more may."""
    slice_ = open_slice.slice
    if open_slice.closing:
        return open_slice.closing
    if slice_.qty <= open_slice.executed_qty:
        return "EXECUTED"
    if parent.asks:
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
    slice_ = open_slice.slice
    state.ledger.close(open_slice)
    yield Fill(
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
    yield from answer_quiet(state, parent)


def answer_quiet(state: RoutingState, parent: ParentExposure) -> Iterator[Owned]:
    """Answer each pending RECALL and FINISH with QUIET, once nothing of the parent can execute any more."""
    if not parent.asks or not state.ledger.quiet(parent):
        return
    asks, parent.asks = parent.asks, []
    parent.over = parent.over or any(ask.final for ask in asks)
    state.ledger.parents.put(parent.parent_id, parent)
    if parent.over:
        state.gate_book.forget(parent.parent_id)
    for ask in asks:
        yield Fill(
            kind=FillKind.QUIET,
            fill_id=state.next_id("F"),
            parent_id=parent.parent_id,
            epoch_no=ask.epoch_no,
            slice_no=ask.slice_no,
            instrument=parent.instrument,
            side=parent.side,
            parent_cum_qty=parent.cum_qty,
            parent_live_qty=parent.live_qty,
            final=ask.final,
            crossed_qty=ask.crossed_qty,
            trade_date=state.clock.trade_date,
            at_ns=state.now_ns,
        )


def take_back(state: RoutingState, children: list[BookedChild], why: str) -> Iterator[Owned]:
    """Cancel children, and send nothing more for their slices."""
    for child in children:
        open_slice = state.ledger.slice_of(child.order)
        if open_slice is not None and not open_slice.closing:
            open_slice.closing = why
            state.ledger.open_slices.put(slice_key(open_slice.slice), open_slice)
        yield from cancel(state, child, why)
