"""Executions: each counted once, by the venue's session and ExecID, in any state of its child.

- The trading date is no part of that identity: the same execution told under another date is a repeat.
- A repeat is not booked again, but what it newly says of the order holds; the same id with other data raises an alert.
- The same execution under its ExecID in another session of the venue: the venue's own count says whether it is one
  that was sent again, or another one.
- Late fills and over-fills are booked and flagged, never cut down to what fits; numbers that no child of ours can have
  are answered with DontKnow (:func:`not_believed`).
- A bust or correction that comes before what it restates is kept until that comes (`restatements.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind, Liquidity, ReportKind, VenueReport
from pipeline.domain.record import Owned
from pipeline.stages.routing.alerts import alert
from pipeline.stages.routing.child_lifecycle import count_in, end_by_status, executed, hear
from pipeline.stages.routing.exposure_ledger import BookedChild, ParentExposure
from pipeline.stages.routing.open_slice import slice_key
from pipeline.stages.routing.state import BookedExecution, Restatement, RoutingState, SessionsOfExecId
from pipeline.stages.routing.venue_scorecards import ScoreSums

DESK_SESSION: Final = "DESK"
"""Session id of executions the desk has declared; no venue uses it."""

EXECUTIONS: Final = (ReportKind.TRADE, ReportKind.BUST, ReportKind.CORRECT)

RESENT: Final = "RESENT"
"""Kind of a :class:`Restatement` that restates nothing: the same execution, sent again in another session."""


def execution_key(report: VenueReport, exec_id: str) -> str:
    """Key of an execution in its table: its identity."""
    return f"{report.venue}/{report.session_id}/{exec_id}"


# ---------------------------------------------------------------------- what is not booked


def not_believed(state: RoutingState, report: VenueReport, child: BookedChild) -> str:
    """Why a report's numbers cannot be those of a child of ours, as a name; empty when they can.

    An over-fill, or a price beyond the limit, is believed and flagged. Not believed is what exceeds many times the
    largest child that the last gate would ever let through: a slip of the venue's keyboard, or of its gateway.
    """
    gate, times = state.parameters.gate, state.parameters.believed_times
    qty_most, value_most = gate.max_child_qty * times, gate.max_child_value * times
    if report.last_qty > qty_most:
        return "QUANTITY_EXCEEDS_ORDER"
    if report.last_qty * (report.last_px or 0) > value_most:
        return "PRICE_NOT_BELIEVABLE"
    if abs(report.fee) > value_most:
        return "FEE_NOT_BELIEVABLE"
    return "COUNT_NOT_BELIEVABLE" if count_not_believed(state, report, child) else ""


def count_not_believed(state: RoutingState, report: VenueReport, child: BookedChild) -> bool:
    """Whether the venue's count of an order, or what it says is open, is beyond that measure."""
    gate, times = state.parameters.gate, state.parameters.believed_times
    stated_qty = max(report.cum_qty, report.leaves_qty)
    return stated_qty > gate.max_child_qty * times or stated_qty * child.value_px > gate.max_child_value * times


def dont_know(state: RoutingState, report: VenueReport, reason: str) -> Alert:
    """Alert for a report that is not ours to book (FIX DontKnowTrade, Q)."""
    text = (
        f"{report.kind} of {report.last_qty} at {report.last_px}, ExecID {report.exec_id}, ClOrdID {report.wire_id}, "
        f"at {report.venue}, session {report.session_id}: not booked; answer the venue"
    )
    return alert(state, AlertKind.DONT_KNOW, report.instrument, report.exec_id, reason, text)


def conflict(state: RoutingState, report: VenueReport, known: str) -> Alert:
    """Alert for an ExecID that says something else than we have booked under it. ``known``: what that is."""
    text = (
        f"{report.kind} {report.exec_id} at {report.venue}, session {report.session_id}, says {report.last_qty} at "
        f"{report.last_px}; we know {known}: not booked; ask the venue"
    )
    return alert(state, AlertKind.CONFLICTING_EXECUTION, report.instrument, report.exec_id, str(report.kind), text)


# ---------------------------------------------------------------------- executions


def repeated_trade(state: RoutingState, report: VenueReport, child: BookedChild | None) -> Iterator[Alert] | None:
    """None for an execution not seen yet; else what its repeat causes: an alert when its data differ, or nothing."""
    key = execution_key(report, report.exec_id)
    named = state.restatements.get(key)
    known = state.executions.get(key if named is None else named.key)
    if named is not None and (named.kind != RESENT or known is None):
        return iter((conflict(state, report, f"that ExecID as a {named.kind}"),))
    if known is None:
        return None
    if child is not None and child.order.child_id != known.child_id:
        return iter((conflict(state, report, f"it as an execution of {known.child_id}"),))
    told = known.told_qty, known.told_px, known.told_fee, known.side
    if told != (report.last_qty, report.last_px, report.fee, report.side):
        return iter((conflict(state, report, f"{told[0]} at {told[1]}, fee {told[2]}, {told[3]}"),))
    if child is not None and _first_said(known) != (report.venue_ns, report.cum_qty, report.ord_status):
        _restate_order(state, report, child)
    return iter(())


def book_trade(state: RoutingState, report: VenueReport, child: BookedChild) -> Iterator[Owned]:
    """Book an execution not seen before, unless it cannot be ours. The caller then decides what follows for the
    child's slice."""
    px = report.last_px
    if report.last_qty <= 0 or px is None or px <= 0:
        yield dont_know(state, report, "CALCULATION_DIFFERENCE")
        return
    if report.side is not child.order.side:
        yield dont_know(state, report, "WRONG_SIDE")
        return
    same = _in_other_session(state, report, child)
    count = count_in(report)
    if same is not None and count is not None and count <= child.life.cum_qty:
        resent = Restatement(_key_of(same), RESENT, report.last_qty, px, state.clock.trade_date)
        state.restatements.put(execution_key(report, report.exec_id), resent)
        _restate_order(state, report, child)
        yield conflict(state, report, f"it from session {same.session_id}, and the count of {count} has it once")
        return
    if child.declared_key:
        yield from _withdraw_declaration(state, child)
    yield from _book(state, report, child, px)
    if same is not None and count is None:
        text = (
            f"ExecID {report.exec_id} of {report.venue} came in session {same.session_id} and with the same data in "
            f"{report.session_id}, without a count: booked twice; ask the venue whether it is one execution"
        )
        kind = AlertKind.CONFLICTING_EXECUTION
        yield alert(state, kind, report.instrument, report.exec_id, "SAME_IN_TWO_SESSIONS", text)


def _first_said(known: BookedExecution) -> tuple[int, int, str]:
    return known.told_ns, known.told_cum_qty, known.told_status


def _restate_order(state: RoutingState, report: VenueReport, child: BookedChild) -> None:
    """Take in what a report of an execution that is booked already says of its order."""
    if hear(child.life, report, child.life.cum_qty):
        end_by_status(child.life, report)
    state.ledger.settle(child)


def _in_other_session(state: RoutingState, report: VenueReport, child: BookedChild) -> BookedExecution | None:
    """An execution of this child with the same ExecID, quantity and price, booked in another session of the venue."""
    sessions = state.exec_ids.get(f"{report.venue}/{report.exec_id}")
    for session_id in () if sessions is None else sessions.session_ids:
        known = state.executions.get(f"{report.venue}/{session_id}/{report.exec_id}")
        if (
            known is not None
            and known.child_id == child.order.child_id
            and (known.told_qty, known.told_px) == (report.last_qty, report.last_px)
        ):
            return known
    return None


def _key_of(execution: BookedExecution) -> str:
    return f"{execution.venue}/{execution.session_id}/{execution.exec_id}"


def _book(state: RoutingState, report: VenueReport, child: BookedChild, px: int) -> Iterator[Owned]:
    order, life, qty = child.order, child.life, report.last_qty
    key = execution_key(report, report.exec_id)
    open_slice = state.ledger.slice_of(order)
    late = executed(life, qty, None if report.session_id == DESK_SESSION else report) or open_slice is None
    if open_slice is not None:
        open_slice.executed_qty += qty
        state.ledger.open_slices.put(slice_key(open_slice.slice), open_slice)
    parent = state.ledger.settle(child)
    overfill_qty = counted(state, parent, qty)
    execution = BookedExecution(
        fill_id=state.next_id("F"),
        parent_id=order.parent_id,
        child_id=order.child_id,
        epoch_no=order.epoch_no,
        slice_no=order.slice_no,
        instrument=order.instrument,
        side=order.side,
        venue=report.venue,
        session_id=report.session_id,
        exec_id=report.exec_id,
        trade_date=report.trade_date,
        told_qty=qty,
        told_px=px,
        qty=qty,
        px=px,
        fee=report.fee,
        liquidity=report.last_liquidity_ind,
        booked_date=state.clock.trade_date,
        told_fee=report.fee,
        told_cum_qty=report.cum_qty,
        told_status=report.ord_status,
        told_ns=report.venue_ns,
        said_ns=report.venue_ns,
    )
    state.executions.put(key, execution)
    sessions = state.exec_ids.get(f"{report.venue}/{report.exec_id}") or SessionsOfExecId([])
    sessions.session_ids.append(report.session_id)
    state.exec_ids.put(f"{report.venue}/{report.exec_id}", sessions)
    state.gate_book.executed(order.parent_id)
    _score(state, child, qty, px, report.fee)
    kind, fill_id = FillKind.TRADE, execution.fill_id
    yield fill(state, execution, parent, report, kind, fill_id, late=late, overfill_qty=overfill_qty)
    if late:
        text = f"{qty} at {px} after child {order.child_id} or its slice was over"
        yield alert(state, AlertKind.LATE_FILL, order.instrument, execution.fill_id, str(child.life.state), text)
    yield from flagged(state, execution, child, overfill_qty)


def flagged(
    state: RoutingState, execution: BookedExecution, child: BookedChild | None, overfill_qty: int
) -> Iterator[Alert]:
    """What a venue may not do, and has done in this execution or its correction: booked, and told to the desk."""
    instrument, fill_id = execution.instrument, execution.fill_id
    if overfill_qty or (child is not None and child.life.cum_qty > child.order.order_qty):
        done = "" if child is None else f" executed {child.life.cum_qty} of {child.order.order_qty}"
        text = f"child {execution.child_id}{done}; parent over by {overfill_qty}"
        yield alert(state, AlertKind.OVERFILL, instrument, fill_id, "PARENT" if overfill_qty else "CHILD", text)
    limit_px = None if child is None else child.order.limit_px
    if limit_px is not None and execution.side.sign * (execution.px - limit_px) > 0:
        text = f"executed at {execution.px}, beyond the limit {limit_px}: booked; claim the difference from the venue"
        yield alert(state, AlertKind.DONT_KNOW, instrument, fill_id, "PRICE_EXCEEDS_LIMIT", text)


def counted(state: RoutingState, parent: ParentExposure, change_qty: int) -> int:
    """Change the parent's executed quantity; returns by how much that exceeds what is permitted more than before."""
    permitted_qty = parent.permitted_qty + parent.unconfirmed_qty
    before = max(0, parent.cum_qty - permitted_qty)
    parent.cum_qty += change_qty
    state.ledger.put_parent(parent)
    return max(0, max(0, parent.cum_qty - permitted_qty) - before)


def _score(state: RoutingState, child: BookedChild, qty: int, px: int, fee: int) -> None:
    order = child.order
    state.scorecards.seen(order.instrument)
    late = ScoreSums()
    tally = late if child.scored else child.tally
    waited_ns = state.now_ns - order.sent_ns
    tally.executed(qty, order.side.sign * (px - child.touch_px) * qty, fee, waited_ns)
    if child.scored:
        state.scorecards.add(child.score_key, late)
    else:
        state.ledger.children.put(order.child_id, child)
    open_slice = state.ledger.slice_of(order)
    if open_slice is None or order.child_id not in open_slice.child_ids:
        return
    for left in open_slice.left:
        left.qty -= state.scorecards.finished(left, qty, px, fee, order.side.sign)
    if open_slice.left:
        state.ledger.open_slices.put(slice_key(open_slice.slice), open_slice)


# ---------------------------------------------------------------------- the desk's declarations


def _withdraw_declaration(state: RoutingState, child: BookedChild) -> Iterator[Owned]:
    """The venue reports on a child that the desk had declared filled: bust the declared execution."""
    execution = state.executions[child.declared_key]
    report = declared_report(state, child, ReportKind.BUST, "", 0, 0)
    child.declared_key = ""
    prior_qty, prior_fee = execution.qty, execution.fee
    execution.busted, execution.qty = True, 0
    state.executions.put(execution_key(report, execution.exec_id), execution)
    life = child.life
    if life.told_cum_qty == life.cum_qty:
        life.told_cum_qty = -1  # that was the desk's word: the venue's own count is not known
    life.cum_qty -= prior_qty
    parent = state.ledger.settle(child)
    counted(state, parent, -prior_qty)
    kind, fill_id, prior = FillKind.BUST, state.next_id("F"), (0, None, prior_fee)
    yield fill(state, execution, parent, report, kind, fill_id, qty=prior_qty, prior=prior)


def declared_report(
    state: RoutingState, child: BookedChild, kind: ReportKind, exec_id: str, qty: int, px: int
) -> VenueReport:
    """The desk's declaration as a venue report, so that it is booked in the same way. ``px`` in 1e-9 currency units."""
    return VenueReport(
        kind=kind,
        venue=child.order.venue,
        session_id=DESK_SESSION,
        instrument=child.order.instrument,
        wire_id=child.order.wire_id,
        exec_id=exec_id,
        ord_status=child.life.ord_status,
        side=child.order.side,
        last_qty=qty,
        last_px=px or None,
        venue_ns=state.now_ns,
        received_ns=state.now_ns,
        trade_date=child.trade_date,
        reason="DECLARED",
    )


# ---------------------------------------------------------------------- what is written


def fill(
    state: RoutingState,
    execution: BookedExecution,
    parent: ParentExposure,
    report: VenueReport,
    kind: FillKind,
    fill_id: str,
    *,
    qty: int | None = None,
    prior: tuple[int, int | None, int] = (0, None, 0),
    late: bool = False,
    overfill_qty: int = 0,
) -> Fill:
    """The record of an execution as it is booked now, its bust or correction. ``prior``: quantity, price and fee that
    were booked until now."""
    return Fill(
        kind=kind,
        fill_id=fill_id,
        parent_id=execution.parent_id,
        epoch_no=execution.epoch_no,
        slice_no=execution.slice_no,
        child_id=execution.child_id,
        instrument=execution.instrument,
        side=execution.side,
        venue=execution.venue,
        session_id=execution.session_id,
        exec_id=report.exec_id or execution.exec_id,
        ref_fill_id=None if kind is FillKind.TRADE else execution.fill_id,
        last_qty=execution.qty if qty is None else qty,
        last_px=execution.px,
        prior_qty=prior[0],
        prior_px=prior[1],
        last_liquidity_ind=execution.liquidity if kind is FillKind.TRADE else Liquidity.UNKNOWN,
        fee=execution.fee if kind is not FillKind.BUST else 0,
        prior_fee=prior[2],
        late=late,
        overfill_qty=overfill_qty,
        parent_cum_qty=parent.cum_qty,
        parent_live_qty=parent.live_qty,
        trade_date=execution.trade_date,
        venue_ns=report.venue_ns,
        received_ns=report.received_ns,
        at_ns=state.now_ns,
        reason=report.reason,
    )
