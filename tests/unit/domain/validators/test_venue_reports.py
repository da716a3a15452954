"""Venue reports at the door: executions are kept where they can be booked, what means nothing is left out by name."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.domain.executions import Liquidity, ReportKind, VenueReport
from pipeline.domain.orders import OrdStatus, Side
from pipeline.domain.validators.faults import Checked, SetAsideReason
from pipeline.domain.validators.venue_reports import check_venue_report, untimed_report

R = SetAsideReason
NOW = 1_340_285_400_000_000_000
PX = 10**9

TRADE = VenueReport(
    kind=ReportKind.TRADE,
    venue="V",
    session_id="S",
    instrument="X",
    wire_id="W",
    exec_id="E",
    ord_status=OrdStatus.PARTIALLY_FILLED,
    side=Side.BUY,
    last_qty=40,
    last_px=100 * PX,
    cum_qty=40,
    leaves_qty=60,
    last_liquidity_ind=Liquidity.ADDED,
    fee=-1,
    venue_ns=NOW,
    received_ns=NOW + 1,
    trade_date=20120621,
)
NO_COUNT = replace(TRADE, cum_qty=0, leaves_qty=0)
BUST = replace(TRADE, kind=ReportKind.BUST, exec_ref_id="E", exec_id="B", last_qty=0, last_px=None)
STATUS = replace(TRADE, kind=ReportKind.ORDER_STATUS, last_qty=0, last_px=None, trade_date=0)
END = replace(STATUS, kind=ReportKind.CANCELED, ord_status=OrdStatus.CANCELED, leaves_qty=0)


@pytest.mark.parametrize(
    "report",
    [
        TRADE, NO_COUNT, BUST, STATUS, END,
        replace(BUST, kind=ReportKind.CORRECT, last_qty=3, last_px=PX),
        replace(END, kind=ReportKind.NOT_SENT, ord_status=OrdStatus.UNKNOWN),
        replace(END, wire_id="", orig_wire_id="W"),
        replace(TRADE, wire_id=""),  # whose it is not is routing's to say
        replace(TRADE, last_qty=10**6, cum_qty=10**6),  # an over-fill is booked and flagged
    ],
    ids=lambda report: report.kind,
)  # fmt: skip
def test_what_is_right_is_believed_whole(report: VenueReport) -> None:
    assert check_venue_report(report) == Checked(report)


@pytest.mark.parametrize(
    ("report", "left", "reasons"),
    [
        (replace(TRADE, kind=ReportKind.UNKNOWN), None, [R.UNKNOWN_KIND]),
        (replace(TRADE, venue=""), None, [R.MISSING_NAME]),
        (replace(TRADE, instrument=""), None, [R.MISSING_NAME]),
        (replace(TRADE, session_id=""), None, [R.MISSING_NAME]),
        (replace(TRADE, exec_id=""), None, [R.MISSING_NAME]),
        (replace(END, wire_id=""), None, [R.MISSING_NAME]),
        (replace(BUST, exec_ref_id=None), None, [R.MISSING_REFERENCE]),
        (replace(BUST, exec_ref_id="", kind=ReportKind.CORRECT), None, [R.MISSING_REFERENCE]),
        # an execution that cannot be booked
        (replace(TRADE, side=Side.UNKNOWN), None, [R.UNKNOWN_KIND]),
        (replace(TRADE, trade_date=20120631), None, [R.BAD_TIME]),
        (replace(BUST, trade_date=0), None, [R.BAD_TIME]),
        (replace(TRADE, last_px=None), None, [R.PRICE_NOT_POSITIVE]),
        (replace(TRADE, last_px=0), None, [R.PRICE_NOT_POSITIVE]),
        (replace(TRADE, last_px=-1), None, [R.PRICE_NOT_POSITIVE]),
        (replace(BUST, kind=ReportKind.CORRECT, last_qty=3, last_px=-1), None, [R.PRICE_NOT_POSITIVE]),
        (replace(TRADE, last_qty=0), None, [R.QUANTITY_NOT_POSITIVE]),
        (replace(TRADE, last_qty=-40), None, [R.QUANTITY_NOT_POSITIVE]),
        (replace(BUST, last_qty=-40), None, [R.QUANTITY_NEGATIVE]),
        (replace(TRADE, last_qty=10**8, last_px=100 * PX), None, [R.OUT_OF_RANGE]),  # the value is beyond 64 bits
        (replace(TRADE, last_qty=2**63), None, [R.OUT_OF_RANGE]),
        (replace(TRADE, last_px=2**63), None, [R.OUT_OF_RANGE]),
        (replace(TRADE, fee=2**63), None, [R.OUT_OF_RANGE]),
        # a count that cannot be: the execution is booked without it, any other report means nothing then
        (replace(TRADE, cum_qty=2**63), NO_COUNT, [R.OUT_OF_RANGE]),
        (replace(TRADE, cum_qty=-1), NO_COUNT, [R.QUANTITY_NEGATIVE]),
        (replace(TRADE, leaves_qty=-1), NO_COUNT, [R.QUANTITY_NEGATIVE]),
        (replace(TRADE, cum_qty=39), NO_COUNT, [R.CONTRADICTION]),
        (replace(END, cum_qty=2**63), None, [R.OUT_OF_RANGE]),
        (replace(STATUS, leaves_qty=-5), None, [R.QUANTITY_NEGATIVE]),
        # a status that is not known, or not possible
        (replace(STATUS, ord_status=OrdStatus.UNKNOWN), None, [R.UNKNOWN_KIND]),
        (replace(STATUS, kind=ReportKind.CANCEL_REJECT, ord_status=OrdStatus.UNKNOWN), None, [R.UNKNOWN_KIND]),
        (replace(STATUS, kind=ReportKind.REJECTED, ord_status=OrdStatus.UNKNOWN), None, [R.UNKNOWN_KIND]),
        (replace(STATUS, ord_status=OrdStatus.FILLED), None, [R.CONTRADICTION]),
        (
            replace(TRADE, ord_status=OrdStatus.UNKNOWN),
            replace(TRADE, ord_status=OrdStatus.UNKNOWN),
            [R.UNKNOWN_KIND],
        ),
        (replace(END, leaves_qty=60), replace(END, leaves_qty=60), [R.CONTRADICTION]),
        (
            replace(TRADE, last_liquidity_ind=Liquidity.UNKNOWN),
            replace(TRADE, last_liquidity_ind=Liquidity.UNKNOWN),
            [R.UNKNOWN_KIND],
        ),
        (replace(BUST, last_px=0), BUST, [R.PRICE_NOT_POSITIVE]),  # what is taken back is found by its id
        (replace(BUST, last_px=2**70), BUST, [R.OUT_OF_RANGE]),
        (replace(BUST, fee=2**70), None, [R.OUT_OF_RANGE]),
        # a time that cannot be
        (replace(TRADE, venue_ns=-1), replace(TRADE, venue_ns=NOW + 1), [R.BAD_TIME]),
        (replace(TRADE, venue_ns=2**63 - 1), replace(TRADE, venue_ns=NOW + 1), [R.BAD_TIME]),
        (replace(TRADE, venue_ns=-1, received_ns=-1), None, [R.BAD_TIME]),
    ],
)
def test_what_cannot_be_is_left_out_by_name(
    report: VenueReport, left: VenueReport | None, reasons: list[SetAsideReason]
) -> None:
    checked = check_venue_report(report)
    assert checked.record == left
    assert [fault.reason for fault in checked.faults] == reasons


@pytest.mark.parametrize(("received_ns", "left_ns"), [(NOW + 5, NOW + 5), (NOW + 3_600, NOW + 9), (-7, 0)])
def test_a_report_of_the_future_was_said_when_it_was_received_at_the_latest(received_ns: int, left_ns: int) -> None:
    told: dict[str, Any] = {"venue_ns": NOW + 10**15, "received_ns": received_ns}
    assert untimed_report(replace(TRADE, **told), NOW + 9).venue_ns == left_ns
