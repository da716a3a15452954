"""Venue reports of the simulated venues: execution ids, fees, latency on the way back, and seeded faults."""

from __future__ import annotations

import msgspec

from pipeline.domain.executions import Liquidity, ReportKind, VenueReport
from pipeline.domain.orders import OrdStatus
from pipeline.domain.reference import Venue
from pipeline.simulator.venues.faults import Faults
from pipeline.simulator.venues.latency import latency_ns
from pipeline.simulator.venues.orders import Answer
from pipeline.stages.simulated_venues.state import UnderWay, VenuesState


def fee(venue: Venue | None, liquidity: Liquidity, qty: int) -> int:
    """The fee of an execution by the venue's schedule, in 1e-9 currency units; negative is a rebate."""
    if venue is None:
        return 0
    return qty * (venue.maker_fee_px if liquidity is Liquidity.ADDED else venue.taker_fee_px)


def answer(state: VenuesState, seed: int, faults: Faults, said: Answer, at_ns: int) -> None:
    """Make a report of the answer a venue gave at ``at_ns`` and put it on its way to us, with seeded faults."""
    order = said.order
    venue = state.venues.get(order.venue, state.now_ns)
    exec_id = _exec_id(state, order.venue)
    last_qty, cum_qty = said.last_qty, said.cum_qty
    if said.kind is ReportKind.TRADE and said.leaves_qty == 0 and faults.overfills(seed, exec_id):
        last_qty, cum_qty = last_qty + 1, cum_qty + 1
        order.cum_qty += 1
        state.orders.put(order.key, order)
    report = VenueReport(
        kind=said.kind,
        venue=order.venue,
        session_id=session_id(order.venue),
        instrument=order.instrument,
        wire_id=said.wire_id or order.wire_id,
        orig_wire_id=order.wire_id if said.wire_id else None,
        exec_id=exec_id,
        ord_status=said.ord_status,
        side=order.side,
        last_qty=last_qty,
        last_px=said.last_px,
        cum_qty=cum_qty,
        leaves_qty=said.leaves_qty,
        last_liquidity_ind=said.liquidity,
        fee=fee(venue, said.liquidity, last_qty),
        venue_ns=at_ns,
        received_ns=at_ns,
        trade_date=state.clock.trade_date,
        reason=said.reason,
    )
    _send_back(state, seed, faults, venue, report)
    if report.kind is ReportKind.TRADE and faults.busts(seed, exec_id):
        lane = state.lane(order.venue, order.instrument)
        state.send(UnderWay(at_ns + faults.bust_after_ns, lane, busted=report, order_key=order.key))


def bust(state: VenuesState, seed: int, faults: Faults, row: UnderWay) -> None:
    """The venue busts the execution in ``row``. The executed quantity falls; an order that has ended stays ended."""
    report = row.busted
    assert report is not None
    order = state.orders.get(row.order_key)
    if order is None:
        return
    order.cum_qty -= report.last_qty
    if order.is_live:
        order.ord_status = OrdStatus.PARTIALLY_FILLED if order.cum_qty else OrdStatus.NEW
    elif order.ord_status is OrdStatus.FILLED:
        order.ord_status = OrdStatus.CANCELED
    state.orders.put(order.key, order)
    taken_back = msgspec.structs.replace(
        report,
        kind=ReportKind.BUST,
        exec_id=_exec_id(state, order.venue),
        exec_ref_id=report.exec_id,
        ord_status=order.ord_status,
        cum_qty=order.cum_qty,
        leaves_qty=order.leaves_qty,
        fee=0,
        venue_ns=row.at_ns,
        reason="SIMULATED_BUST",
    )
    _send_back(state, seed, faults, state.venues.get(order.venue, state.now_ns), taken_back)


def session_id(venue: str) -> str:
    """The id of a simulated venue's session; execution ids are unique in it, across days."""
    return f"{venue}-SIM"


def _exec_id(state: VenuesState, venue: str) -> str:
    return state.next_id(f"{venue}.")


def _send_back(state: VenuesState, seed: int, faults: Faults, venue: Venue | None, report: VenueReport) -> None:
    session = state.session(report.venue, report.instrument)
    way_ns = 0 if venue is None else latency_ns(venue, seed, "back", report.exec_id)
    due_ns = max(report.venue_ns + way_ns, session.last_due_ns)
    if faults.holds_up(seed, report.exec_id):
        # Only this report is late: those behind it are not, and overtake it.
        due_ns += faults.late_by_ns
    else:
        session.last_due_ns = due_ns
        state.put_session(report.venue, report.instrument, session)
    state.hold(msgspec.structs.replace(report, received_ns=due_ns))
    if faults.duplicates(seed, report.exec_id):
        state.hold(msgspec.structs.replace(report, received_ns=due_ns + faults.late_by_ns))
