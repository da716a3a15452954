"""What venues report against what is booked: known numbers; repeats, busts, corrections of corrections; any order."""

from __future__ import annotations

from itertools import permutations

import pytest
from msgspec.structs import replace

from pipeline.audit.venue_books import VenueBooks
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind, ReportKind, VenueReport
from pipeline.domain.orders import OrdStatus, Side
from pipeline.domain.record import Record

LINES = ("counted more than once", "executions", "quantity", "money", "fees", "booked otherwise")


def report(
    exec_id: str, qty: int, px: int, fee: int = 0, kind: ReportKind = ReportKind.TRADE, ref: str | None = None
) -> VenueReport:
    return VenueReport(
        kind=kind, venue="V", session_id="S", instrument="I", wire_id="W", exec_id=exec_id, exec_ref_id=ref,
        ord_status=OrdStatus.FILLED, side=Side.BUY, last_qty=qty, last_px=px, fee=fee, venue_ns=1, received_ns=1,
        trade_date=20260105,
    )  # fmt: skip


def fill(
    fill_id: str, exec_id: str, qty: int, px: int, fee: int = 0, kind: FillKind = FillKind.TRADE, ref: str | None = None
) -> Fill:
    return Fill(
        kind=kind, fill_id=fill_id, parent_id="P", epoch_no=1, slice_no=1, instrument="I", side=Side.BUY, venue="V",
        session_id="S", exec_id=exec_id, ref_fill_id=ref, last_qty=qty, last_px=px, fee=fee, parent_cum_qty=0,
        parent_live_qty=0, trade_date=20260105, at_ns=1,
    )  # fmt: skip


def lines(*records: Record) -> list[tuple[int, int]]:
    """(theirs, ours) of each of LINES."""
    books = VenueBooks()
    for record in records:
        match record:
            case VenueReport():
                books.on_report(record)
            case Fill():
                books.on_fill(record)
            case Alert():
                books.on_alert(record)
    return [(theirs, ours) for _, theirs, ours in books.lines()[: len(LINES)]]


TRADE = report("1", 5, 10, 2)
OTHER = report("2", 7, 10, -3)
BUST = report("3", 5, 10, 0, ReportKind.BUST, "1")
CORRECT = report("4", 6, 11, 1, ReportKind.CORRECT, "2")
AGAIN = report("5", 4, 12, 5, ReportKind.CORRECT, "4")
OURS = [
    fill("f1", "1", 5, 10, 2),
    fill("f2", "2", 7, 10, -3),
    fill("f3", "3", 5, 10, 0, FillKind.BUST, "f1"),
    fill("f4", "4", 6, 11, 1, FillKind.CORRECT, "f2"),
    fill("f5", "5", 4, 12, 5, FillKind.CORRECT, "f2"),
]


def test_every_figure_of_a_day_with_a_bust_and_a_correction_of_a_correction() -> None:
    assert lines(TRADE, OTHER, BUST, CORRECT, AGAIN, *OURS) == [(0, 0), (2, 2), (4, 4), (48, 48), (5, 5), (0, 0)]
    assert lines(TRADE, OTHER, CORRECT, *OURS[:2], OURS[3]) == [(0, 0), (2, 2), (11, 11), (116, 116), (3, 3), (0, 0)]
    assert lines(TRADE, OTHER, BUST, CORRECT, AGAIN, *OURS[:4]) == [(0, 0), (2, 2), (4, 6), (48, 66), (5, 1), (1, 0)]
    assert lines(TRADE, OTHER, *OURS[:1]) == [(0, 0), (2, 1), (12, 5), (120, 50), (-1, 2), (0, 0)]
    assert lines(TRADE, *OURS[:2]) == [(0, 0), (1, 2), (5, 12), (50, 120), (2, -1), (1, 0)]


@pytest.mark.parametrize("said", list(permutations((TRADE, OTHER, BUST, CORRECT, AGAIN))))
def test_the_order_of_a_venues_reports_does_not_matter(said: tuple[VenueReport, ...]) -> None:
    due = [(0, 0), (2, 2), (4, 4), (48, 48), (5, 5), (0, 0)]
    assert lines(*said, *OURS) == due
    assert lines(*OURS, *said, *said) == due, "told again, after ours"


def test_the_same_execution_under_another_trade_date_is_the_same() -> None:
    tomorrow = replace(TRADE, trade_date=20260106)
    assert lines(TRADE, tomorrow, OURS[0])[1] == (1, 1)
    assert lines(TRADE, OURS[0], replace(OURS[0], fill_id="f9", trade_date=20260106))[0] == (1, 0)
    assert lines(TRADE, replace(BUST, trade_date=20260106), OURS[0], OURS[2])[2:] == [(0, 0), (0, 0), (0, 0), (0, 0)]


@pytest.mark.parametrize(("field", "other"), [("venue", "U"), ("session_id", "T"), ("exec_id", "9")])
def test_another_venue_session_or_exec_id_is_another_execution(field: str, other: str) -> None:
    assert lines(TRADE, replace(TRADE, **{field: other}), OURS[0])[1] == (2, 1)
    assert lines(TRADE, OURS[0], replace(OURS[0], fill_id="f9", **{field: other}))[0] == (0, 0)


def test_a_repeat_is_one_and_a_booking_of_it_is_counted_as_doubled() -> None:
    other_data = replace(TRADE, last_qty=50)
    assert lines(TRADE, other_data, OURS[0]) == [(0, 0), (1, 1), (5, 5), (50, 50), (2, 2), (0, 0)]
    assert lines(TRADE, OURS[0], replace(OURS[0], fill_id="f9"))[0] == (1, 0)


@pytest.mark.parametrize(("field", "other"), [("last_qty", 6), ("last_px", 11), ("fee", -2)])
def test_a_booking_that_says_otherwise_is_seen(field: str, other: int) -> None:
    assert lines(TRADE, replace(OURS[0], **{field: other}))[5] == (1, 0)


def test_what_the_desk_declared_no_venue_has_reported() -> None:
    assert lines(TRADE, OURS[0], replace(OURS[1], session_id="DESK")) == lines(TRADE, OURS[0])


def dont_know(exec_id: str, reason: str = "UNKNOWN_ORDER", kind: AlertKind = AlertKind.DONT_KNOW) -> Alert:
    return Alert(kind=kind, instrument="I", subject_id=exec_id, reason=reason)


def test_what_we_answered_as_not_ours_is_not_missed_unless_it_was_booked() -> None:
    assert lines(TRADE, OTHER, OURS[0])[1] == (2, 1)
    assert lines(TRADE, OTHER, OURS[0], dont_know("2")) == lines(TRADE, OURS[0])
    assert lines(TRADE, OTHER, OURS[0], dont_know("2", kind=AlertKind.LATE_FILL))[1] == (2, 1)
    assert lines(TRADE, OTHER, OURS[0], replace(dont_know("2"), instrument="J"))[1] == (2, 1)
    assert lines(TRADE, OURS[0], dont_know("1"))[1] == (1, 1)


def test_a_restatement_that_was_refused_is_left_out_and_one_that_waited_for_its_execution_is_not() -> None:
    booked = [TRADE, BUST, OURS[0]]
    assert lines(*booked)[2] == (0, 5)
    assert lines(*booked, dont_know("3"))[2] == (5, 5)
    assert lines(BUST, TRADE, OURS[0], OURS[2], dont_know("3", "EXECUTION_NOT_SEEN_YET"))[2] == (0, 0)


def test_a_bust_is_final_and_a_circle_of_corrections_is_no_execution() -> None:
    after = report("6", 9, 10, 0, ReportKind.CORRECT, "3")
    assert lines(TRADE, BUST, after, OURS[0], OURS[2])[2] == (0, 0)
    one, two = report("7", 1, 1, 0, ReportKind.CORRECT, "8"), report("8", 1, 1, 0, ReportKind.CORRECT, "7")
    assert lines(TRADE, one, two, OURS[0])[5] == (0, 0)


def test_of_two_corrections_the_one_the_venue_made_last_holds_whichever_is_read_last() -> None:
    early = replace(report("6", 3, 10, 0, ReportKind.CORRECT, "1"), venue_ns=5)
    late = replace(report("5", 4, 10, 0, ReportKind.CORRECT, "1"), venue_ns=6)
    ours = [
        OURS[0],
        fill("f6", "6", 3, 10, 0, FillKind.CORRECT, "f1"),
        fill("f5", "5", 4, 10, 0, FillKind.CORRECT, "f1"),
    ]
    for said in permutations((TRADE, early, late)):
        assert lines(*said, *ours)[2] == (4, 4)
    same = replace(early, venue_ns=6)
    assert lines(TRADE, same, late, OURS[0])[2] == (3, 5), "at the same time the higher ExecID"
    before = replace(report("7", 2, 10, 0, ReportKind.CORRECT, "5"), venue_ns=1)
    assert lines(TRADE, before, early, late, OURS[0])[2] == (2, 5), "never before the one it names"


def test_a_conflicting_execution_was_not_booked_unless_it_was_told_before() -> None:
    elsewhere = replace(TRADE, session_id="T")
    conflict = dont_know("1", "TRADE", AlertKind.CONFLICTING_EXECUTION)
    assert lines(TRADE, elsewhere, OURS[0], conflict)[1] == (1, 1)
    assert lines(TRADE, elsewhere, OURS[0])[1] == (2, 1)
    again = dont_know("3", "BUST", AlertKind.CONFLICTING_EXECUTION)
    assert lines(TRADE, BUST, OURS[0], OURS[2], again)[2] == (0, 0)
    assert lines(TRADE, BUST, OURS[0], again)[2] == (5, 5)


def test_an_execution_that_no_books_can_hold_is_not_missed() -> None:
    assert lines(replace(TRADE, last_qty=-1), OTHER, OURS[1])[1] == (1, 1)
    assert lines(replace(OTHER, kind=ReportKind.ORDER_STATUS), TRADE, OURS[0])[1] == (1, 1)
