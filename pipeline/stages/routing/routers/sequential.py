"""One child after the other: the next only when the last one can no longer execute.

A slice has exactly one live child; when that has ended the slice moves on at once, to a next child or its one RETURNED.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.domain.record import Owned
from pipeline.stages.routing.alerts import gate_refused
from pipeline.stages.routing.child_orders import through_the_gate
from pipeline.stages.routing.closing import close, has_expired, take_back, why_closed
from pipeline.stages.routing.gate import GateReason
from pipeline.stages.routing.open_slice import OpenSlice
from pipeline.stages.routing.state import RoutingState
from pipeline.stages.routing.venue_selection import Placement, VenueChoice


class SequentialRouter:
    """A :class:`Router` that tries one venue after the other, best first (`venue_selection.py`)."""

    def on_slice(self, state: RoutingState, open_slice: OpenSlice) -> Iterator[Owned]:
        yield from _advance(state, open_slice)

    def on_child_ended(self, state: RoutingState, open_slice: OpenSlice) -> Iterator[Owned]:
        yield from _advance(state, open_slice)

    def on_tick(self, state: RoutingState, open_slice: OpenSlice) -> Iterable[Owned]:
        # Called for every slice at every tick, so the usual case makes no generator.
        if open_slice.closing or not has_expired(state, open_slice):
            return ()
        return take_back(state, [state.ledger.children[child_id] for child_id in open_slice.child_ids], "EXPIRED")


def _advance(state: RoutingState, open_slice: OpenSlice) -> Iterator[Owned]:
    """The slice has no child that can still execute: send the next one, or close the slice."""
    parent = state.ledger.parents[open_slice.slice.parent_id]
    placement = why_closed(state, open_slice, parent) or _next_child(state, open_slice)
    if isinstance(placement, str):
        yield from close(state, open_slice, parent, placement)
        return
    child = through_the_gate(state, open_slice, placement)
    if isinstance(child, GateReason):
        yield gate_refused(state, open_slice, placement, child)
        yield from close(state, open_slice, parent, f"GATE_{child}")
        return
    yield child


def _next_child(state: RoutingState, open_slice: OpenSlice) -> Placement | str:
    """A child for all that is left of the slice, at the best venue not tried yet, or the reason why there is none."""
    slice_ = open_slice.slice
    parent = state.ledger.parents[slice_.parent_id]
    headroom_qty = state.ledger.headroom_qty(parent)
    qty = min(slice_.qty - open_slice.executed_qty, headroom_qty)
    if qty <= 0:
        return "PERMITTED"
    instrument = state.instruments.get(slice_.instrument, state.now_ns)
    if instrument is None:
        return "UNKNOWN_INSTRUMENT"
    choice = VenueChoice(state.market, state.scorecards, state.switches, state.parameters, state.opinion)
    venues = state.venues.standing(state.now_ns)
    resting = state.ledger.resting(slice_.instrument, slice_.side)
    remaining_qty = max(1, parent.permitted_qty - parent.cum_qty)
    return choice.next_child(open_slice, qty, instrument, venues, resting, remaining_qty)
