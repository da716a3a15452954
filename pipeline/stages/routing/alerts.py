"""Routing's alerts for the desk: each says what happened, what was done about it, and what to do."""

from __future__ import annotations

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.units import NS_PER_S
from pipeline.stages.routing.exposure_ledger import BookedChild
from pipeline.stages.routing.gate import GateReason
from pipeline.stages.routing.open_slice import OpenSlice, child_id_of
from pipeline.stages.routing.state import RoutingState
from pipeline.stages.routing.venue_selection import Placement


def alert(state: RoutingState, kind: AlertKind, instrument: str, subject_id: str, reason: str, text: str) -> Alert:
    """An alert with the current time."""
    return Alert(kind=kind, instrument=instrument, subject_id=subject_id, reason=reason, text=text, at_ns=state.now_ns)


def gate_refused(state: RoutingState, open_slice: OpenSlice, placement: Placement, reason: GateReason) -> Alert:
    """The last gate refused a child of this slice."""
    slice_ = open_slice.slice
    text = (
        f"{slice_.side} {placement.qty} at {placement.limit_px} for {placement.venue} ({placement.rule}), slice "
        f"{slice_.slice_no} of {slice_.parent_id}: not sent, the quantity is back with the parent"
    )
    child_id = child_id_of(slice_, open_slice.child_no + 1)
    return alert(state, AlertKind.GATE_REFUSED, slice_.instrument, child_id, str(reason), text)


def unknown_child(state: RoutingState, child: BookedChild, why: str) -> Alert:
    """The fate of a child is unknown, so it keeps its exposure. Marks the child, so that it gets one alert only."""
    child.alerted = True
    state.ledger.settle(child)
    order, life = child.order, child.life
    text = (
        f"{why}. It keeps {life.live_qty} of exposure at {order.venue} (ClOrdID {order.wire_id}) until the venue "
        f"answers or the desk declares it: DECLARE_DEAD, or DECLARE_FILLED with qty@px"
    )
    return alert(state, AlertKind.UNKNOWN_CHILD, order.instrument, order.child_id, str(life.state), text)


def child_open_at_day_end(state: RoutingState, child: BookedChild) -> Alert:
    """The day is over, and a child is not known to have ended: the clients' orders end without it."""
    order, life = child.order, child.life
    text = (
        f"{life.live_qty} of {order.order_qty} at {order.venue} (ClOrdID {order.wire_id}, {life.state}) may still "
        f"execute as the day ends: its clients' orders end without it; what it executes yet is the error account's. "
        f"Ask the venue, then DECLARE_DEAD, or DECLARE_FILLED with qty@px"
    )
    return alert(state, AlertKind.BREAK, order.instrument, order.child_id, "CHILD_OPEN_AT_DAY_END", text)


def venue_differs(state: RoutingState, child: BookedChild) -> Alert:
    """A break: what the venue says of an order is not what we have booked."""
    order, life = child.order, child.life
    said = f"{life.told_cum_qty} executed" if life.told_cum_qty >= 0 else "no count"
    text = (
        f"ClOrdID {order.wire_id} at {order.venue}: the venue says {said}, {life.told_leaves_qty} open; booked are "
        f"{life.cum_qty} executed, {life.leaves_qty} open, {life.state} of {life.order_qty}; {life.owed_qty} owed. "
        f"Open for {_age(state, child)}; the venue is asked how it stands; owner: the desk"
    )
    return alert(state, AlertKind.BREAK, order.instrument, order.child_id, child.differs, text)


def lapsed(state: RoutingState, child: BookedChild) -> Alert:
    """The day of a child is over, and the venue has not said how it ended, or has not told all that it executed."""
    order, life = child.order, child.life
    text = (
        f"ClOrdID {order.wire_id} at {order.venue}, {life.state}: {life.live_qty} of it were never accounted for by "
        f"the venue on its day {child.trade_date}, and are given up as executions to wait for; one that still comes is "
        f"booked as late. Open for {_age(state, child)}; owner: the desk, with the venue's statement of that day"
    )
    return alert(state, AlertKind.BREAK, order.instrument, order.child_id, "LAPSED_WITH_ITS_DAY", text)


def _age(state: RoutingState, child: BookedChild) -> str:
    since_ns = child.differs_ns or child.over_ns or child.order.sent_ns
    return f"{max(0, state.now_ns - since_ns) // NS_PER_S} s"


def stale_hold(state: RoutingState) -> Alert:
    """An outage was so long that the backlog is not sent before the desk has looked at it."""
    text = "nothing new is sent until RELEASE_STALE; cancels pass"
    return alert(state, AlertKind.STALE_HOLD, "", state.task.writer, "BACKLOG", text)
