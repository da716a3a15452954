"""Validator of venue reports: an execution is kept wherever it can be booked, and of the rest only what has a meaning.

What stays out of the books here is not lost from sight: the venue's next count of the order shows the difference, and
routing asks about it. Which execution it is, and whether it is ours, only routing knows.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from pipeline.domain.dates import is_date
from pipeline.domain.executions import Liquidity, ReportKind, VenueReport
from pipeline.domain.int64 import LONG_MAX
from pipeline.domain.orders import OrdStatus, Side
from pipeline.domain.validators.faults import (
    Checked,
    Fault,
    SetAsideReason,
    name_fault,
    price_fault,
    quantity_fault,
    time_fault,
)

_EXECUTIONS: Final = (ReportKind.TRADE, ReportKind.BUST, ReportKind.CORRECT)

_SAID_BY_STATUS: Final = (ReportKind.REJECTED, ReportKind.CANCEL_REJECT, ReportKind.ORDER_STATUS)
"""Kinds that say nothing without the order's status."""

_ENDED: Final = (OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.REJECTED)


def check_venue_report(report: VenueReport) -> Checked[VenueReport]:
    """A report of a known kind about an order that it names. An execution has a price, a quantity, a side, a date and
    an id; a count or status that cannot be is taken off it and the execution kept, any other report is left out."""
    executes = report.kind in _EXECUTIONS
    fault = _names_fault(report) or (_execution_fault(report) if executes else None)
    if fault is not None:
        return Checked(None, (fault,))
    faults = []
    time = time_fault(report.venue_ns, "venue_ns")
    if time is not None:
        if time_fault(report.received_ns, "received_ns") is not None:
            return Checked(None, (time,))
        faults.append(time)
        report = replace(report, venue_ns=report.received_ns)
    count = _count_fault(report)
    if count is not None:
        if not executes:
            return Checked(None, (count,))
        faults.append(count)
        report = replace(report, cum_qty=0, leaves_qty=0)
    if report.kind is ReportKind.BUST and report.last_px is not None:
        price = price_fault(report.last_px, "last_px")
        if price is not None:
            faults.append(price)  # what is taken back is found by its id
            report = replace(report, last_px=None)
    status = _status_fault(report)
    if status is not None:
        if report.kind in _SAID_BY_STATUS:
            return Checked(None, (status,))
        faults.append(status)
    if report.kind is ReportKind.TRADE and report.last_liquidity_ind is Liquidity.UNKNOWN:
        faults.append(Fault(SetAsideReason.UNKNOWN_KIND, "last_liquidity_ind is none of ADDED, REMOVED: left unknown"))
    return Checked(report, tuple(faults))


def untimed_report(report: VenueReport, latest_ns: int) -> VenueReport:
    """A report whose stamp lies after the latest moment possible was said by then, at the latest."""
    return replace(report, venue_ns=max(0, min(report.received_ns, latest_ns)))


def _names_fault(report: VenueReport) -> Fault | None:
    if report.kind is ReportKind.UNKNOWN:
        return Fault(SetAsideReason.UNKNOWN_KIND, "kind is none that is known")
    fault = name_fault(venue=report.venue, instrument=report.instrument)
    if fault is not None or report.kind not in _EXECUTIONS:
        return fault or name_fault(wire_id=report.wire_id or report.orig_wire_id or "")
    fault = name_fault(session_id=report.session_id, exec_id=report.exec_id)
    if fault is None and report.kind is not ReportKind.TRADE and not report.exec_ref_id:
        fault = Fault(SetAsideReason.MISSING_REFERENCE, f"a {report.kind} without exec_ref_id")
    return fault


def _execution_fault(report: VenueReport) -> Fault | None:
    """What keeps an execution, its bust or correction from being booked."""
    if report.side is Side.UNKNOWN:
        return Fault(SetAsideReason.UNKNOWN_KIND, "side is none that is known")
    if not is_date(report.trade_date):
        return Fault(SetAsideReason.BAD_TIME, f"trade_date is {report.trade_date}, no yyyymmdd")
    if abs(report.fee) > LONG_MAX:
        return Fault(SetAsideReason.OUT_OF_RANGE, f"fee is {report.fee}, beyond 64 bits")
    if report.kind is ReportKind.BUST:
        return quantity_fault(report.last_qty, "last_qty")
    if report.last_px is None:
        return Fault(SetAsideReason.PRICE_NOT_POSITIVE, "last_px is missing")
    fault = quantity_fault(report.last_qty, "last_qty", least=1) or price_fault(report.last_px, "last_px")
    if fault is None and report.last_qty * report.last_px > LONG_MAX:
        text = f"{report.last_qty} at {report.last_px} does not fit 64 bits"
        fault = Fault(SetAsideReason.OUT_OF_RANGE, text)
    return fault


def _count_fault(report: VenueReport) -> Fault | None:
    fault = quantity_fault(report.cum_qty, "cum_qty") or quantity_fault(report.leaves_qty, "leaves_qty")
    if fault is None and report.kind is ReportKind.TRADE and 0 < report.cum_qty < report.last_qty:
        text = f"cum_qty {report.cum_qty} is less than this execution's {report.last_qty}"
        fault = Fault(SetAsideReason.CONTRADICTION, text)
    return fault


def _status_fault(report: VenueReport) -> Fault | None:
    if report.ord_status is OrdStatus.UNKNOWN and report.kind is not ReportKind.NOT_SENT:
        return Fault(SetAsideReason.UNKNOWN_KIND, "ord_status is none that is known: nothing is concluded from it")
    if report.ord_status in _ENDED and report.leaves_qty > 0 and report.kind is not ReportKind.REJECTED:
        text = f"ord_status {report.ord_status} with leaves_qty {report.leaves_qty}"
        return Fault(SetAsideReason.CONTRADICTION, text)
    return None
