"""Sends child orders: a new one through the last gate, booked as it is sent; a cancel of one that has not ended; a
status request for one about which the venue and we differ.

Every router sends through here.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipeline.algos.wire_id import child_number, encode_wire_id
from pipeline.domain.executions import ChildKind, ChildOrder
from pipeline.domain.orders import TimeInForce
from pipeline.domain.record import Owned
from pipeline.stages.routing.alerts import venue_differs
from pipeline.stages.routing.child_lifecycle import ChildState, Life, LifeEvent, difference, happen
from pipeline.stages.routing.exposure_ledger import BookedChild, WireId
from pipeline.stages.routing.gate import DisplayedPrice, GateReason, GateView, refuse, value_px
from pipeline.stages.routing.open_slice import OpenSlice, child_id_of, slice_key
from pipeline.stages.routing.state import RoutingState
from pipeline.stages.routing.venue_selection import Placement, is_lit

# ---------------------------------------------------------------------- new orders


def through_the_gate(state: RoutingState, open_slice: OpenSlice, placement: Placement) -> ChildOrder | GateReason:
    """The child to write, booked as sent with its exposure; or why the gate refuses it.

    A refusal changes nothing, except that a parent refused for REPEATED_EXECUTION stays refused until the desk's
    RESUME. The caller decides what happens to the slice.
    """
    order = _order(state, open_slice, placement)
    view = gate_view(state, order, open_slice)
    reason = refuse(order, state.gate_limits(order.instrument), view)
    if reason is not None or view.quote is None:
        if reason is GateReason.REPEATED_EXECUTION:
            state.gate_book.disable(order.parent_id)
        return GateReason.NO_QUOTE if reason is None else reason
    order = msgspec.structs.replace(order, wire_id=next_wire_id(state))
    open_slice.child_no += 1
    open_slice.child_ids.append(order.child_id)
    open_slice.tried.append(order.venue)
    open_slice.probed = open_slice.probed or placement.probe
    if placement.takes:
        open_slice.swept.append(order.venue)
    state.ledger.open_slices.put(slice_key(open_slice.slice), open_slice)
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
    return order


def _order(state: RoutingState, open_slice: OpenSlice, placement: Placement) -> ChildOrder:
    """The order a placement asks for; it has no wire id yet."""
    slice_ = open_slice.slice
    quote = state.market.quote(slice_.instrument)
    return ChildOrder(
        kind=ChildKind.NEW,
        child_id=child_id_of(slice_, open_slice.child_no + 1),
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


def gate_view(state: RoutingState, order: ChildOrder, open_slice: OpenSlice) -> GateView:
    """What the gate judges ``order`` by: the desk's switches, the market and its own counters."""
    instrument, venue, parent_id, now_ns = order.instrument, order.venue, order.parent_id, state.now_ns
    slice_, status = open_slice.slice, state.market.status(instrument, venue)
    quote, facts = state.market.quote(instrument), state.instruments.get(instrument, now_ns)
    round_lot_qty = 1 if facts is None else facts.round_lot_qty
    shown = []
    for known in state.venues.standing(now_ns):
        px = state.market.protected_px(instrument, known.venue, order.side, round_lot_qty)
        if px is not None and is_lit(known):
            shown.append(DisplayedPrice(venue=known.venue, px=px))
    return GateView(
        now_ns=now_ns,
        quote=quote,
        quote_age_ns=None if quote is None else state.opinion.quote_age_ns(quote),
        reference_px=None if facts is None else state.opinion.px(facts),
        state=status.state,
        lower_band_px=status.lower_band_px,
        upper_band_px=status.upper_band_px,
        short_restricted=status.short_restricted,
        killed=state.switches.killed(instrument=instrument, parent=parent_id, venue=venue),
        paused=state.switches.paused(instrument=instrument, parent=parent_id, venue=venue),
        held=state.stale.holds(instrument),
        blocked=state.switches.venue_blocked(venue),
        parent_order_qty=slice_.parent_order_qty or slice_.permitted_qty,
        sent_by_parent=state.gate_book.sent_within_a_second(f"parent/{parent_id}", now_ns),
        sent_by_instrument=state.gate_book.sent_within_a_second(f"instrument/{instrument}", now_ns),
        sent_by_venue=state.gate_book.sent_within_a_second(f"venue/{venue}", now_ns),
        open_value=state.gate_book.open_value(instrument),
        repeats=state.gate_book.repeats(order),
        shown=tuple(shown),
        swept=tuple(open_slice.swept),
        resting=state.ledger.resting(instrument, order.side),
    )


def next_wire_id(state: RoutingState) -> str:
    """The next opaque ClOrdID of this task."""
    number = child_number(state.task.partition, state.next_number("wire"))
    return encode_wire_id(number, state.parameters.wire_secret)


# ---------------------------------------------------------------------- cancels


def cancel(state: RoutingState, child: BookedChild, why: str) -> Iterator[Owned]:
    """Send a cancel of the child, unless one is pending or the child will end by itself."""
    life, order = child.life, child.order
    if not life.open:
        return
    child.cancel_wanted = True
    # An immediate-or-cancel order ends by itself; a cancel is sent only when it has not ended in time.
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


# ---------------------------------------------------------------------- status requests


def ask(state: RoutingState, child: BookedChild, why: str) -> Iterator[Owned]:
    """Ask the venue how the order stands (FIX H)."""
    child.asked_ns = state.now_ns
    wire_id = next_wire_id(state)
    child.wire_ids.append(wire_id)
    state.ledger.wires.put(wire_id, WireId(child.order.child_id, of_status=True))
    state.ledger.settle(child)
    order = child.order
    yield msgspec.structs.replace(
        order, kind=ChildKind.STATUS, wire_id=wire_id, orig_wire_id=order.wire_id, sent_ns=state.now_ns, rule=why
    )


def compare(state: RoutingState, child: BookedChild, *, answered: bool) -> Iterator[Owned]:
    """After each report: where the venue's statement and our books begin to differ, a break and a status request at
    once; where they agree again, the break is over.

    ``answered``: the report is the answer to such a request. Then the next is sent after a while only, by
    :func:`ask_again`, so that two who will not agree do not ask each other without end.
    """
    differs = difference(child.life)
    if differs == child.differs:
        return
    child.differs, child.differs_ns = differs, state.now_ns if differs else 0
    state.ledger.children.put(child.order.child_id, child)
    if differs:
        yield venue_differs(state, child)
        if not answered:
            yield from ask(state, child, f"BREAK_{differs}")


def ask_again(state: RoutingState, child: BookedChild) -> Iterator[Owned]:
    """At a tick: ask about a child that differs from the venue's word, or whose fate is unknown, if the last answer is
    long overdue."""
    silent = child.life.state is ChildState.UNKNOWN
    since_ns = max(child.asked_ns, child.cancel_sent_ns, child.differs_ns)
    if (child.differs or silent) and state.now_ns - since_ns >= state.silence_ns(state.parameters.ask_again_ns):
        yield from ask(state, child, f"BREAK_{child.differs}" if child.differs else "UNKNOWN")
