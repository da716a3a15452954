"""Executions: each counted once, by venue session and ExecID, in any state of its child; busts and corrections.

- A duplicate is not booked again; the same id with other data raises an alert and is not booked.
- Late fills and over-fills are booked and flagged, never cut down to what fits.
- A bust or correction that comes before its execution is kept until that comes.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind, Liquidity, ReportKind, VenueReport
from pipeline.domain.record import Owned
from pipeline.stages.routing.alerts import alert
from pipeline.stages.routing.child_lifecycle import executed, restated
from pipeline.stages.routing.exposure_ledger import BookedChild, ParentExposure
from pipeline.stages.routing.open_slice import slice_key
from pipeline.stages.routing.state import BookedExecution, EarlyRestatements, Restatement, RoutingState
from pipeline.stages.routing.venue_scorecards import ScoreSums

DESK_SESSION = "DESK"
"""Session id of executions the desk has declared; no venue uses it."""


def execution_key(report: VenueReport, exec_id: str) -> str:
    """Key of an execution in its table. The date comes first, because a day's executions are forgotten together."""
    return f"{report.trade_date}/{report.venue}/{report.session_id}/{exec_id}"


def dont_know(state: RoutingState, report: VenueReport, reason: str) -> Alert:
    """Alert for a report that is not ours to book (FIX DontKnowTrade, Q)."""
    text = (
        f"{report.kind} of {report.last_qty} at {report.last_px}, ExecID {report.exec_id}, ClOrdID {report.wire_id}, "
        f"at {report.venue}, session {report.session_id}: not booked; answer the venue"
    )
    return alert(state, AlertKind.DONT_KNOW, report.instrument, report.exec_id, reason, text)


# ---------------------------------------------------------------------- executions


def duplicate_trade(state: RoutingState, report: VenueReport, child_id: str) -> Iterator[Alert] | None:
    """None for an execution not seen yet; else what a duplicate causes: nothing, or an alert when its data differ."""
    known = state.executions.get(execution_key(report, report.exec_id))
    if known is None:
        return None
    same = (known.told_qty, known.told_px) == (report.last_qty, report.last_px) and child_id in ("", known.child_id)
    return iter(()) if same else iter((_conflict(state, report, f"{known.told_qty} at {known.told_px}"),))


def book_trade(state: RoutingState, report: VenueReport, child: BookedChild) -> Iterator[Owned]:
    """Book an execution not seen before. The caller then decides what follows for the child's slice."""
    px = report.last_px
    if report.last_qty <= 0 or px is None or px <= 0:
        yield dont_know(state, report, "CALCULATION_DIFFERENCE")
        return
    if report.side is not child.order.side:
        yield dont_know(state, report, "WRONG_SIDE")
        return
    if child.declared_key:
        yield from _withdraw_declaration(state, child)
    key = execution_key(report, report.exec_id)
    yield from _book(state, report, child, px, key)
    early = state.early.get(key)
    if early is not None:
        state.early.remove(key)
        for restating in early.reports:
            yield from restate(state, restating)


def _book(state: RoutingState, report: VenueReport, child: BookedChild, px: int, key: str) -> Iterator[Owned]:
    order, qty = child.order, report.last_qty
    open_slice = state.ledger.slice_of(order)
    late = executed(child.life, qty) or open_slice is None
    if open_slice is not None:
        open_slice.executed_qty += qty
        state.ledger.open_slices.put(slice_key(open_slice.slice), open_slice)
    parent = state.ledger.settle(child)
    overfill_qty = _counted(state, parent, qty)
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
    )
    state.executions.put(key, execution)
    state.gate_book.executed(order.parent_id)
    _score(state, child, qty, px, report.fee)
    yield _fill(
        state, execution, parent, report, FillKind.TRADE, execution.fill_id, late=late, overfill_qty=overfill_qty
    )
    if late:
        text = f"{qty} at {px} after child {order.child_id} or its slice was over"
        yield alert(state, AlertKind.LATE_FILL, order.instrument, execution.fill_id, str(child.life.state), text)
    if overfill_qty or child.life.cum_qty > order.order_qty:
        text = (
            f"child {order.child_id} executed {child.life.cum_qty} of {order.order_qty}; parent over by {overfill_qty}"
        )
        reason = "PARENT" if overfill_qty else "CHILD"
        yield alert(state, AlertKind.OVERFILL, order.instrument, execution.fill_id, reason, text)
    if order.limit_px is not None and order.side.sign * (px - order.limit_px) > 0:
        text = f"executed at {px}, beyond the limit {order.limit_px}: booked; claim the difference from the venue"
        yield alert(state, AlertKind.DONT_KNOW, order.instrument, execution.fill_id, "PRICE_EXCEEDS_LIMIT", text)


def _counted(state: RoutingState, parent: ParentExposure, change_qty: int) -> int:
    """Change the parent's executed quantity; returns by how much that exceeds what is permitted more than before."""
    permitted_qty = parent.permitted_qty + parent.unconfirmed_qty
    before = max(0, parent.cum_qty - permitted_qty)
    parent.cum_qty += change_qty
    overfill_qty = max(0, max(0, parent.cum_qty - permitted_qty) - before)
    parent.confirm()
    state.ledger.parents.put(parent.parent_id, parent)
    return overfill_qty


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


# ---------------------------------------------------------------------- busts and corrections


def restate(state: RoutingState, report: VenueReport) -> Iterator[Owned]:
    """A bust or correction. Its execution may have been corrected before: ExecRefID then names the last correction."""
    reported = (str(report.kind), report.last_qty, report.last_px or 0)
    own_key = execution_key(report, report.exec_id)
    again = state.restatements.get(own_key)
    if again is not None:
        if (again.kind, again.told_qty, again.told_px) != reported:
            yield _conflict(state, report, f"{again.kind} {again.told_qty} at {again.told_px}")
        return
    ref_key = execution_key(report, report.exec_ref_id or "")
    corrected = state.restatements.get(ref_key)
    key = ref_key if corrected is None else corrected.key
    execution = state.executions.get(key)
    if execution is None:
        early = state.early.get(ref_key) or EarlyRestatements([])
        if report.exec_id not in [known.exec_id for known in early.reports]:
            state.early.put(ref_key, EarlyRestatements([*early.reports, report]))
            yield dont_know(state, report, "EXECUTION_NOT_SEEN_YET")
        return
    bust = report.kind is ReportKind.BUST
    px = execution.px if bust else report.last_px
    if execution.busted or px is None or (not bust and report.last_qty <= 0):
        yield _conflict(state, report, "busted already" if execution.busted else "an execution")
        return
    state.restatements.put(own_key, Restatement(key, *reported))
    prior_qty, prior_px, prior_fee = execution.qty, execution.px, execution.fee
    qty = 0 if bust else report.last_qty
    execution.busted, execution.fee = bust, 0 if bust else report.fee
    execution.qty, execution.px = qty, px
    state.executions.put(key, execution)
    parent = state.ledger.parents[execution.parent_id]
    child = state.ledger.children.get(execution.child_id)
    if child is not None:
        if restated(child.life, prior_qty, qty, report):
            child.cancel_wanted = True  # reopened by the venue, but its slice has gone on without it
        state.ledger.settle(child)
    overfill_qty = _counted(state, parent, qty - prior_qty)
    kind = FillKind.BUST if bust else FillKind.CORRECT
    yield _fill(
        state,
        execution,
        parent,
        report,
        kind,
        state.next_id("F"),
        qty=prior_qty if bust else qty,
        prior=(0 if bust else prior_qty, None if bust else prior_px, prior_fee),
        overfill_qty=overfill_qty,
    )


def _withdraw_declaration(state: RoutingState, child: BookedChild) -> Iterator[Owned]:
    """The venue reports on a child that the desk had declared filled: bust the declared execution."""
    execution = state.executions[child.declared_key]
    report = declared_report(state, child, ReportKind.BUST, "", 0, 0)
    child.declared_key = ""
    prior_qty, prior_fee = execution.qty, execution.fee
    execution.busted, execution.qty = True, 0
    state.executions.put(execution_key(report, execution.exec_id), execution)
    child.life.cum_qty -= prior_qty
    parent = state.ledger.settle(child)
    _counted(state, parent, -prior_qty)
    yield _fill(
        state,
        execution,
        parent,
        report,
        FillKind.BUST,
        state.next_id("F"),
        qty=prior_qty,
        prior=(0, None, prior_fee),
    )


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


def _conflict(state: RoutingState, report: VenueReport, known: str) -> Alert:
    text = (
        f"{report.kind} {report.exec_id} at {report.venue}, session {report.session_id}, says {report.last_qty} at "
        f"{report.last_px}; we know {known}: not booked; ask the venue"
    )
    return alert(state, AlertKind.CONFLICTING_EXECUTION, report.instrument, report.exec_id, str(report.kind), text)


def _fill(
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
