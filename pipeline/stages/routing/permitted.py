"""What every change of a parent's exposure leads to: children are taken back until it is within what is permitted."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.orders import TimeInForce
from pipeline.domain.record import Owned
from pipeline.stages.routing.child_lifecycle import ChildState
from pipeline.stages.routing.closing import take_back
from pipeline.stages.routing.exposure_ledger import BookedChild, ParentExposure
from pipeline.stages.routing.state import RoutingState


def hold_to_permitted(state: RoutingState) -> Iterator[Owned]:
    """Called at the end of every step: of each parent whose live, filled or permitted quantity has changed in it, take
    back children until what is live and filled is within what is permitted.

    However it came to that: a late fill, an over-fill, a correction, a reopened order, a client's reduction or a kill
    that lowered what is permitted. The newest children go first, the others work on.
    """
    for parent in state.ledger.take_changed():
        if parent.unconfirmed_qty > parent.excess_qty:
            parent.unconfirmed_qty = parent.excess_qty  # so much of it is cancelled or executed by now
            state.ledger.parents.put(parent.parent_id, parent)
        if parent.excess_qty:
            yield from take_back(state, _to_take_back(state, parent, parent.excess_qty), "OVER_PERMITTED")


def _to_take_back(state: RoutingState, parent: ParentExposure, excess_qty: int) -> list[BookedChild]:
    children = [child for child in state.ledger.live_of(parent) if child.life.open]
    on_their_way = [child for child in children if _is_going(child)]
    excess_qty -= sum(child.life.live_qty for child in on_their_way)
    taken = []
    # What of an unknown one can be taken back is unknown: it comes last, and counts for nothing until it is known.
    for child in sorted((c for c in children if not _is_going(c)), key=_age_order, reverse=True):
        if excess_qty <= 0:
            break
        taken.append(child)
        if child.life.state is not ChildState.UNKNOWN:
            excess_qty -= child.life.live_qty
    return taken


def _is_going(child: BookedChild) -> bool:
    """Whether it ends without our doing more: its cancel is on its way, or it is an immediate-or-cancel order."""
    if child.life.state is ChildState.UNKNOWN:
        return False
    return child.cancel_wanted or child.life.cancel_asked or child.order.time_in_force is TimeInForce.IOC


def _age_order(child: BookedChild) -> tuple[bool, int, int, int, str]:
    order = child.order
    known = child.life.state is not ChildState.UNKNOWN
    return known, order.sent_ns, order.slice_no, len(order.child_id), order.child_id
