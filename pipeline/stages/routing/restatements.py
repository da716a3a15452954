"""Busts and corrections of executions: in whatever order they come, and however often, the books end the same.

An execution and what restates it are a tree: each bust or correction names, by ExecRefID, the execution or an earlier
correction of it. What is named and not known yet is waited for, together with all that names it in turn. Then:

- a bust is final: nothing of the execution is left, whatever corrections come later;
- else the correction holds that the venue made last: by the venue's time, never before the one it names
  (:func:`order_of`), and an older one that comes later changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.domain.executions import FillKind, ReportKind, VenueReport
from pipeline.domain.record import Owned
from pipeline.stages.routing.child_lifecycle import hear, restated
from pipeline.stages.routing.child_orders import cancel
from pipeline.stages.routing.executions import conflict, counted, dont_know, execution_key, fill, flagged, not_believed
from pipeline.stages.routing.exposure_ledger import BookedChild
from pipeline.stages.routing.state import BookedExecution, EarlyRestatements, Restatement, RoutingState


def restate(state: RoutingState, report: VenueReport) -> Iterator[Owned]:
    """A bust or correction, read now. Not booked before what it names is; then with all that waited for it."""
    own_key, reported = execution_key(report, report.exec_id), _reported(report)
    again = state.restatements.get(own_key)
    if again is not None:
        if (again.kind, again.told_qty, again.told_px) != reported:
            yield conflict(state, report, f"{again.kind} {again.told_qty} at {again.told_px}")
        return
    if not report.exec_ref_id:
        yield dont_know(state, report, "NO_EXECUTION_NAMED")
        return
    ref_key = execution_key(report, report.exec_ref_id)
    named = state.restatements.get(ref_key)
    key = ref_key if named is None else named.key
    execution = state.executions.get(key)
    if execution is None:
        yield from _wait(state, report, ref_key)
        return
    refused = _why_refused(state, report, execution)
    if refused:
        yield dont_know(state, report, refused)
        return
    said_ns = max(report.venue_ns, execution.told_ns if named is None else named.said_ns)
    node = Restatement(key, *reported, state.clock.trade_date, said_ns, 1 if named is None else named.depth + 1)
    state.restatements.put(own_key, node)
    yield from _apply(state, report, execution, node)
    yield from restate_early(state, own_key)


def restate_early(state: RoutingState, key: str) -> Iterator[Owned]:
    """What came before the execution or correction ``key``, and names it: booked now."""
    early = state.early.get(key)
    if early is None:
        return
    state.early.remove(key)
    for report in early.reports:
        yield from restate(state, report)


def child_restated(state: RoutingState, report: VenueReport) -> BookedChild | None:
    """The child whose execution a bust or correction restates; None while that is not known, or the child is
    forgotten."""
    restatement = state.restatements.get(execution_key(report, report.exec_id))
    execution = None if restatement is None else state.executions.get(restatement.key)
    return None if execution is None else state.ledger.children.get(execution.child_id)


def hear_early(state: RoutingState, report: VenueReport, child: BookedChild) -> None:
    """A bust or correction that waits for what it names, or is not booked, still says how its order stands."""
    hear(child.life, report, child.life.cum_qty)
    state.ledger.settle(child)


def order_of(said_ns: int, depth: int, exec_id: str) -> tuple[int, int, int, str]:
    """What of two corrections of one execution is the later: the venue's time, then which names which, then ExecID."""
    return said_ns, depth, len(exec_id), exec_id


def _reported(report: VenueReport) -> tuple[str, int, int]:
    return str(report.kind), report.last_qty, report.last_px or 0


def _wait(state: RoutingState, report: VenueReport, ref_key: str) -> Iterator[Owned]:
    early = state.early.get(ref_key) or EarlyRestatements([], state.clock.trade_date)
    for known in early.reports:
        if known.exec_id == report.exec_id:
            if _reported(known) != _reported(report):
                yield conflict(state, report, f"{known.kind} {known.last_qty} at {known.last_px}")
            return
    state.early.put(ref_key, EarlyRestatements([*early.reports, report], early.booked_date))
    yield dont_know(state, report, "EXECUTION_NOT_SEEN_YET")


def _why_refused(state: RoutingState, report: VenueReport, execution: BookedExecution) -> str:
    """Why it cannot restate this execution, as a name; empty when it can."""
    if report.side is not execution.side:
        return "WRONG_SIDE"
    if report.instrument != execution.instrument:
        return "OTHER_INSTRUMENT_OR_VENUE"
    if report.kind is ReportKind.BUST:
        return ""
    if report.last_qty <= 0 or report.last_px is None or report.last_px <= 0:
        return "CALCULATION_DIFFERENCE"
    child = state.ledger.children.get(execution.child_id)
    return "" if child is None else not_believed(state, report, child)


def _apply(state: RoutingState, report: VenueReport, execution: BookedExecution, node: Restatement) -> Iterator[Owned]:
    bust = report.kind is ReportKind.BUST
    if execution.busted:
        # A correction that the venue made before its bust has only been overtaken by it.
        if bust or report.venue_ns >= execution.busted_ns:
            yield conflict(state, report, "it as busted")
        return
    holds = order_of(execution.said_ns, execution.said_depth, execution.said_by)
    if not bust and order_of(node.said_ns, node.depth, report.exec_id) < holds:
        return
    prior_qty, prior_px, prior_fee = execution.qty, execution.px, execution.fee
    qty = 0 if bust else report.last_qty
    execution.said_ns, execution.said_depth, execution.said_by = node.said_ns, node.depth, report.exec_id
    execution.busted, execution.busted_ns = bust, report.venue_ns if bust else 0
    execution.qty, execution.fee = qty, 0 if bust else report.fee
    if not bust and report.last_px is not None:
        execution.px = report.last_px
    state.executions.put(node.key, execution)
    parent = state.ledger.parents[execution.parent_id]
    child = state.ledger.children.get(execution.child_id)
    reopened = child is not None and restated(child.life, prior_qty, qty, report)
    if child is not None:
        state.ledger.settle(child)
    overfill_qty = counted(state, parent, qty - prior_qty)
    yield fill(
        state,
        execution,
        parent,
        report,
        FillKind.BUST if bust else FillKind.CORRECT,
        state.next_id("F"),
        qty=prior_qty if bust else qty,
        prior=(0 if bust else prior_qty, None if bust else prior_px, prior_fee),
        overfill_qty=overfill_qty,
    )
    if not bust:
        yield from flagged(state, execution, child, overfill_qty)
    if child is not None and reopened:
        yield from cancel(state, child, "REOPENED")  # by the venue, but its slice has gone on without it
