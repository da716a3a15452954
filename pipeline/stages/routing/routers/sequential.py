"""A slice's way through the venues: one child after the other, the next only when the last is confirmed dead.

A slice that is out has exactly one child that is not over; when that is over the slice moves on at once: a next
child, or its one RETURNED. So no slice waits for anything but a venue.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipeline.algos.wire_id import child_number, encode_wire_id
from pipeline.domain.controls import AlertKind
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.orders import TimeInForce
from pipeline.domain.parents import Slice, SliceKind
from pipeline.domain.record import Owned
from pipeline.stages.routing.child_lifecycle import ChildState, Life, LifeEvent, happen
from pipeline.stages.routing.executions import alert
from pipeline.stages.routing.exposure_ledger import Ask, BookedChild, OpenSlice, ParentExposure, WireId, slice_key
from pipeline.stages.routing.gate import DisplayedPrice, GateReason, GateView, refuse, value_px
from pipeline.stages.routing.state import RoutingState
from pipeline.stages.routing.venue_scorecards import Unfilled
from pipeline.stages.routing.venue_selection import Placement, VenueChoice, is_lit

# ---------------------------------------------------------------------- slices


def on_slice(state: RoutingState, slice_: Slice) -> Iterator[Owned]:
    """A wish of slicing, or its order to take everything back."""
    parent = state.ledger.parents.get(slice_.parent_id)
    if parent is None:
        parent = ParentExposure(slice_.parent_id, slice_.instrument, slice_.side, state.clock.trade_date)
    parent.permitted_qty = slice_.permitted_qty
    state.ledger.parents.put(parent.parent_id, parent)
    match slice_.kind:
        case SliceKind.SLICE:
            out = OpenSlice(slice_)
            state.ledger.release(out)
            yield from advance(state, out)
        case SliceKind.RECALL | SliceKind.FINISH:
            final = slice_.kind is SliceKind.FINISH
            parent.asks.append(Ask(slice_.slice_no, slice_.epoch_no, final, slice_.crossed_qty))
            state.ledger.parents.put(parent.parent_id, parent)
            yield from take_back(state, state.ledger.live_of(parent), str(slice_.kind))
            yield from answer_quiet(state, parent)
        case _:
            pass  # SET_ASIDE is netting's; what a later version of ours may add is not ours to act on


def advance(state: RoutingState, out: OpenSlice) -> Iterator[Owned]:
    """The slice has no child that is not over: send the next one, or close the slice."""
    slice_ = out.slice
    parent = state.ledger.parents[slice_.parent_id]
    wanted_qty = slice_.qty - out.executed_qty
    stop = out.closing or _stopped(state, out, parent, wanted_qty)
    if stop:
        yield from _close(state, out, parent, stop)
        return
    qty = min(wanted_qty, state.ledger.headroom_qty(parent))
    instrument = state.instruments.get(slice_.instrument, state.now_ns)
    if qty <= 0 or instrument is None:
        yield from _close(state, out, parent, "PERMITTED" if qty <= 0 else "UNKNOWN_INSTRUMENT")
        return
    choice = VenueChoice(state.displayed, state.scorecards, state.switches)
    placement = choice.next_child(
        out,
        qty,
        instrument,
        state.venues.standing(state.now_ns),
        state.ledger.resting(slice_.instrument, slice_.side),
    )
    if isinstance(placement, str):
        yield from _close(state, out, parent, placement)
        return
    yield from _through_the_gate(state, out, parent, placement)


def _stopped(state: RoutingState, out: OpenSlice, parent: ParentExposure, wanted_qty: int) -> str:
    instrument = out.slice.instrument
    if wanted_qty <= 0:
        return "EXECUTED"
    if parent.asks:
        return "RECALL"
    if state.switches.killed(instrument=instrument, parent=parent.parent_id):
        return "KILLED"
    if state.switches.paused(instrument=instrument, parent=parent.parent_id):
        return "PAUSED"
    if state.stale.holds(instrument):
        return "STALE_HOLD"
    if out.slice.expire_ns and state.now_ns >= out.slice.expire_ns:
        return "EXPIRED"
    return ""


def _close(state: RoutingState, out: OpenSlice, parent: ParentExposure, reason: str) -> Iterator[Owned]:
    slice_ = out.slice
    state.ledger.close(out)
    yield Fill(
        kind=FillKind.RETURNED,
        fill_id=state.next_id("F"),
        parent_id=slice_.parent_id,
        epoch_no=slice_.epoch_no,
        slice_no=slice_.slice_no,
        child_id=out.child_id,
        instrument=slice_.instrument,
        side=slice_.side,
        # A venue may have executed more than the slice asked for: then nothing comes back.
        last_qty=max(0, slice_.qty - out.executed_qty),
        parent_cum_qty=parent.cum_qty,
        parent_live_qty=parent.live_qty,
        trade_date=state.clock.trade_date,
        at_ns=state.now_ns,
        reason=reason,
    )
    yield from answer_quiet(state, parent)


def answer_quiet(state: RoutingState, parent: ParentExposure) -> Iterator[Owned]:
    """QUIET to each RECALL and FINISH that waits, once nothing of the parent can execute any more."""
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


# ---------------------------------------------------------------------- sending


def _through_the_gate(
    state: RoutingState, out: OpenSlice, parent: ParentExposure, placement: Placement
) -> Iterator[Owned]:
    slice_ = out.slice
    quote = state.displayed.quote(slice_.instrument)
    order = ChildOrder(
        kind=ChildKind.NEW,
        # Derived from the slice, so that a refused child takes no number of those that are sent.
        child_id=f"{slice_.parent_id}/{slice_.slice_no}.{out.child_no + 1}",
        wire_id="",
        parent_id=slice_.parent_id,
        slice_no=slice_.slice_no,
        epoch_no=slice_.epoch_no,
        venue=placement.venue,
        instrument=slice_.instrument,
        side=slice_.side,
        order_qty=placement.qty,
        ord_type=placement.ord_type,
        limit_px=placement.limit_px,
        time_in_force=placement.time_in_force,
        post_only=placement.post_only,
        min_qty=placement.min_qty,
        sent_ns=state.now_ns,
        rule=placement.rule,
        candidates=placement.candidates,
        scorecard_version=state.scorecards.version(slice_.instrument),
        bid_px=None if quote is None else quote.bid_px,
        offer_px=None if quote is None else quote.offer_px,
        quote_no=0 if quote is None else quote.quote_no,
    )
    view = gate_view(state, order, out)
    reason = refuse(order, state.gate_limits(order.instrument), view)
    if reason is not None or view.quote is None:
        name = GateReason.NO_QUOTE if reason is None else reason
        if name is GateReason.REPEATED_EXECUTION:
            state.gate_book.disable(order.parent_id)
        text = (
            f"{order.side} {order.order_qty} at {order.limit_px} for {order.venue} ({order.rule}), slice "
            f"{slice_.slice_no} of {order.parent_id}: not sent, the quantity is back with the parent"
        )
        yield alert(state, AlertKind.GATE_REFUSED, order.instrument, order.child_id, str(name), text)
        yield from _close(state, out, parent, f"GATE_{name}")
        return
    order = msgspec.structs.replace(order, wire_id=next_wire_id(state))
    out.child_no += 1
    out.child_id = order.child_id
    out.tried.append(order.venue)
    out.probed = out.probed or placement.probe
    if placement.takes:
        out.swept.append(order.venue)
    state.ledger.out.put(slice_key(slice_), out)
    child = BookedChild(
        order=msgspec.structs.replace(order, candidates=()),
        life=Life(ChildState.PENDING_NEW, order.order_qty),
        trade_date=state.clock.trade_date,
        score_key=placement.score_key,
        touch_px=placement.touch_px,
        value_px=value_px(order, view.quote),
        wire_ids=[order.wire_id],
    )
    state.ledger.wires.put(order.wire_id, WireId(order.child_id))
    state.ledger.settle(child)
    state.gate_book.sent(order, state.now_ns)
    yield order


def gate_view(state: RoutingState, order: ChildOrder, out: OpenSlice) -> GateView:
    """What the gate sees of the moment, from the desk's switches, the market and its own books."""
    instrument, venue, parent_id, now_ns = order.instrument, order.venue, order.parent_id, state.now_ns
    status = state.displayed.status(instrument, venue)
    shown = []
    for known in state.venues.standing(now_ns):
        px = state.displayed.far_px(instrument, known.venue, order.side)
        if px is not None and is_lit(known):
            shown.append(DisplayedPrice(venue=known.venue, px=px))
    return GateView(
        now_ns=now_ns,
        quote=state.displayed.quote(instrument),
        state=status.state,
        lower_band_px=status.lower_band_px,
        upper_band_px=status.upper_band_px,
        short_restricted=status.short_restricted,
        killed=state.switches.killed(instrument=instrument, parent=parent_id, venue=venue),
        paused=state.switches.paused(instrument=instrument, parent=parent_id, venue=venue),
        held=state.stale.holds(instrument),
        blocked=state.switches.venue_blocked(venue),
        parent_order_qty=out.slice.parent_order_qty or out.slice.permitted_qty,
        sent_by_parent=state.gate_book.sent_within_a_second(f"parent/{parent_id}", now_ns),
        sent_by_instrument=state.gate_book.sent_within_a_second(f"instrument/{instrument}", now_ns),
        sent_by_venue=state.gate_book.sent_within_a_second(f"venue/{venue}", now_ns),
        open_value=state.gate_book.open_value(instrument),
        repeats=state.gate_book.repeats(order),
        shown=tuple(shown),
        swept=tuple(out.swept),
        resting=state.ledger.resting(instrument, order.side),
    )


def next_wire_id(state: RoutingState) -> str:
    """The next opaque ClOrdID of this task."""
    number = child_number(state.task.partition, state.next_number("wire"))
    return encode_wire_id(number, state.params.wire_secret)


# ---------------------------------------------------------------------- taking back


def take_back(state: RoutingState, children: list[BookedChild], why: str) -> Iterator[Owned]:
    """Cancel children, and send nothing more for their slices."""
    for child in children:
        out = state.ledger.out_of(child.order)
        if out is not None and not out.closing:
            out.closing = why
            state.ledger.out.put(slice_key(out.slice), out)
        yield from cancel(state, child, why)


def cancel(state: RoutingState, child: BookedChild, why: str) -> Iterator[Owned]:
    """Ask the venue to cancel a child, unless it is asked already or the child ends by itself."""
    life, order = child.life, child.order
    if not life.open:
        return
    child.cancel_wanted = True
    # An immediate-or-cancel is on its way out; only when it does not end is it asked after.
    ends_itself = order.time_in_force is TimeInForce.IOC and life.state is not ChildState.UNKNOWN and why != "KILL"
    if life.cancel_asked or ends_itself:
        state.ledger.settle(child)
        return
    happen(life, LifeEvent.CANCEL_SENT)
    child.cancel_sent_ns = state.now_ns
    wire_id = next_wire_id(state)
    child.wire_ids.append(wire_id)
    state.ledger.wires.put(wire_id, WireId(order.child_id, of_cancel=True))
    state.ledger.settle(child)
    yield msgspec.structs.replace(
        order, kind=ChildKind.CANCEL, wire_id=wire_id, orig_wire_id=order.wire_id, sent_ns=state.now_ns, rule=why
    )


def after_child(state: RoutingState, child: BookedChild) -> Iterator[Owned]:
    """Something happened to a child: when it is over its slice moves on, and its parent may be quiet."""
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
    out = state.ledger.out_of(child.order)
    if out is None or out.child_id != child.order.child_id:
        yield from answer_quiet(state, parent)
        return
    left_qty = child.order.order_qty - child.life.cum_qty
    if left_qty > 0:
        out.left.append(Unfilled(child.score_key, child.touch_px, left_qty))
        state.ledger.out.put(slice_key(out.slice), out)
    yield from advance(state, out)
