"""The books of a day balance, and each line goes off when a record of it is taken away, doubled or altered."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec
import pytest

from pipeline.audit.invariants import Books, books
from pipeline.domain.allocations import Allocation, AllocSource, Reconciliation
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind, ReportKind, VenueReport
from pipeline.domain.market import NBBO, BookEvent, Depth, TradePrint
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind, OrdStatus, Side, SourceEvent
from pipeline.domain.parents import Cross, Slice, SliceKind
from pipeline.domain.record import Record
from tests.days import longer_day, records_of

MARKET = (BookEvent, Depth, NBBO, TradePrint)
Change = Callable[[list[Record]], list[Record]]


@pytest.fixture(scope="module")
def day() -> list[Record]:
    return [record for record in records_of(longer_day()) if not isinstance(record, MARKET)]


def test_the_books_of_a_day_balance(day: list[Record]) -> None:
    lines = books(day)
    assert [str(line) for line in lines if not line.holds] == []
    figures = {line.name: line.left for line in lines}
    for name in (
        "accepted to BUY",
        "accepted to SELL",
        "crossed to buy, and to sell",
        "executed to SELL",
        "quantity the venues report, and booked",
        "orders, and orders ended when the day is over",
    ):
        assert figures[name] > 0, name


def test_they_are_the_same_asked_twice(day: list[Record]) -> None:
    kept = Books()
    for record in day:
        kept.add(record)
    assert kept.lines() == kept.lines()


def test_they_do_not_depend_on_the_order_of_topics(day: list[Record]) -> None:
    by_type: dict[type, list[Record]] = {}
    for record in day:
        by_type.setdefault(type(record), []).append(record)
    backwards = [record for of in reversed(list(by_type.values())) for record in of]
    assert books(backwards) == books(day)


def first(records: list[Record], of: Callable[[Record], bool]) -> int:
    return next(index for index, record in enumerate(records) if of(record))


def without(of: Callable[[Record], bool]) -> Change:
    def change(records: list[Record]) -> list[Record]:
        index = first(records, of)
        return [*records[:index], *records[index + 1 :]]

    return change


def twice(of: Callable[[Record], bool]) -> Change:
    return lambda records: [*records, records[first(records, of)]]


def other(of: Callable[[Record], bool], **changes: Callable[[Record], object]) -> Change:
    def change(records: list[Record]) -> list[Record]:
        index = first(records, of)
        new = {name: change(records[index]) for name, change in changes.items()}
        return [*records[:index], msgspec.structs.replace(records[index], **new), *records[index + 1 :]]

    return change


def plus_one(field: str) -> Callable[[Record], object]:
    return lambda record: getattr(record, field) + 1


def is_trade(r: Record) -> bool:
    return isinstance(r, Fill) and r.kind is FillKind.TRADE


def is_execution_share(r: Record) -> bool:
    return isinstance(r, Allocation) and r.alloc_source is AllocSource.EXECUTIONS


def is_end(r: Record) -> bool:
    return isinstance(r, OrderEvent) and not isinstance(r, SourceEvent) and r.kind is OrderEventKind.FILLED


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (without(is_execution_share), ["accepted to", "epochs whose reconciliation"]),
        (
            other(is_execution_share, net_money=plus_one("net_money")),
            ["epochs whose reconciliation"],
        ),
        (without(lambda r: isinstance(r, Allocation) and r.alloc_source is AllocSource.CROSS), ["crossed on both"]),
        (without(is_trade), ["executions the venues report", "fills whose count", "epochs whose", "executed to"]),
        (twice(is_trade), ["executions counted more than once", "fills whose count"]),
        (other(is_trade, last_px=plus_one("last_px")), ["money the venues report", "executions booked otherwise"]),
        (other(is_trade, fee=plus_one("fee")), ["fees of executions", "executions booked otherwise"]),
        (other(is_trade, parent_live_qty=lambda r: 10**6), ["parents with more live and filled than permitted"]),
        (
            other(lambda r: isinstance(r, VenueReport) and r.kind is ReportKind.TRADE, last_qty=plus_one("last_qty")),
            ["quantity the venues report"],
        ),
        (without(is_end), ["orders, and orders ended"]),
        (twice(is_end), ["orders that ended more than once"]),
        (other(is_end, cum_qty=plus_one("cum_qty")), ["accepted to", "orders whose own books"]),
        (without(lambda r: isinstance(r, Order) and r.kind is OrderKind.NEW), ["orders taken in"]),
        (
            other(
                lambda r: isinstance(r, Cross),
                buys=lambda r: (msgspec.structs.replace(r.buys[0], qty=r.buys[0].qty + 1), *r.buys[1:]),  # type: ignore[attr-defined]
            ),
            ["crossed to buy, and to sell", "crossed on both"],
        ),
        (other(lambda r: isinstance(r, Cross), px=plus_one("px")), ["money of crosses"]),
        (
            other(lambda r: isinstance(r, Fill) and r.kind is FillKind.RETURNED, last_qty=plus_one("last_qty")),
            ["slices that came back"],
        ),
        (without(lambda r: isinstance(r, Fill) and r.kind is FillKind.RETURNED), ["slices released"]),
        (without(lambda r: isinstance(r, Slice) and r.kind is SliceKind.SLICE), ["slices that came"]),
        (
            other(
                lambda r: isinstance(r, Reconciliation) and r.cross_id is None and r.executed_qty > 0,
                residual=lambda r: 10**9,
            ),
            ["epochs whose", "money of executions"],
        ),
    ],
)  # fmt: skip
def test_a_line_goes_off(day: list[Record], change: Change, names: list[str]) -> None:
    off = [line.name for line in books(change(day)) if not line.holds]
    for name in names:
        assert any(each.startswith(name) for each in off), f"{name} should be off; off are {off}"


def report(kind: ReportKind, exec_id: str, qty: int, px: int, ref: str | None = None) -> VenueReport:
    return VenueReport(
        kind=kind, venue="V", session_id="S", instrument="I", wire_id="W", exec_id=exec_id, exec_ref_id=ref,
        ord_status=OrdStatus.FILLED, side=Side.BUY, last_qty=qty, last_px=px, venue_ns=1, received_ns=1,
        trade_date=20260105,
    )  # fmt: skip


def fill(
    kind: FillKind, fill_id: str, exec_id: str, qty: int, px: int, ref: str | None = None, cum: int = 0, prior: int = 0
) -> Fill:
    return Fill(
        kind=kind, fill_id=fill_id, parent_id="P", epoch_no=1, slice_no=1, instrument="I", side=Side.BUY, venue="V",
        session_id="S", exec_id=exec_id, ref_fill_id=ref, last_qty=qty, last_px=px, prior_qty=prior,
        prior_px=10, parent_cum_qty=cum,
        parent_live_qty=0, trade_date=20260105, at_ns=1,
    )  # fmt: skip


def venue_lines(*records: Record) -> list[str]:
    return [line.name for line in books(records) if "venues" in line.name or "execution" in line.name if not line.holds]


def test_a_bust_and_a_correction_and_their_correction_are_followed() -> None:
    said = [
        report(ReportKind.TRADE, "1", 5, 10), report(ReportKind.TRADE, "2", 7, 10),
        report(ReportKind.TRADE, "1", 5, 10), report(ReportKind.BUST, "3", 5, 10, "1"),
        report(ReportKind.CORRECT, "4", 6, 11, "2"), report(ReportKind.CORRECT, "5", 4, 12, "4"),
    ]  # fmt: skip
    ours = [
        fill(FillKind.TRADE, "f1", "1", 5, 10, cum=5), fill(FillKind.TRADE, "f2", "2", 7, 10, cum=12),
        fill(FillKind.BUST, "f3", "3", 5, 10, "f1", cum=7),
        fill(FillKind.CORRECT, "f5", "5", 4, 12, "f2", cum=4, prior=7),
    ]  # fmt: skip
    assert venue_lines(*said, *ours) == []
    assert venue_lines(*ours, *said) == []
    counts = [line for line in books(ours) if line.name.startswith("fills whose count")]
    assert [line.holds for line in counts] == [True], "5, 12, then 5 less, then 3 less"
    assert "quantity the venues report, and booked" in venue_lines(*said, *ours[:-1])


def test_restatements_are_followed_in_any_order_and_under_any_date() -> None:
    said = [
        report(ReportKind.TRADE, "2", 7, 10), report(ReportKind.CORRECT, "4", 6, 11, "2"),
        report(ReportKind.CORRECT, "5", 4, 12, "4"), report(ReportKind.TRADE, "1", 5, 10),
        report(ReportKind.BUST, "6", 5, 10, "1"), report(ReportKind.CORRECT, "7", 1, 10, "1"),
    ]  # fmt: skip
    ours = [
        fill(FillKind.TRADE, "f1", "1", 5, 10, cum=5), fill(FillKind.TRADE, "f2", "2", 7, 10, cum=12),
        fill(FillKind.BUST, "f3", "6", 5, 10, "f1", cum=7),
        fill(FillKind.CORRECT, "f5", "5", 4, 12, "f2", cum=4, prior=7),
    ]  # fmt: skip
    for order in itertools.permutations(said):
        assert venue_lines(*order, *ours) == []
    again = msgspec.structs.replace(said[0], trade_date=20260106)
    assert venue_lines(*said, again, *ours) == [], "the same execution under another date"


def test_a_report_that_came_before_what_it_restates_was_not_refused() -> None:
    said = [report(ReportKind.BUST, "3", 5, 10, "1"), report(ReportKind.TRADE, "1", 5, 10)]
    early = Alert(kind=AlertKind.DONT_KNOW, instrument="I", subject_id="3", reason="EXECUTION_NOT_SEEN_YET")
    trade = fill(FillKind.TRADE, "f1", "1", 5, 10, cum=5)
    assert venue_lines(*said, early, trade, fill(FillKind.BUST, "f2", "3", 5, 10, "f1")) == []
    assert "executions booked otherwise than reported" in venue_lines(*said, early, trade), "it waited, and was lost"


def test_a_report_that_was_not_ours_is_not_missed() -> None:
    strange = report(ReportKind.TRADE, "9", 5, 10)
    assert venue_lines(strange)
    assert venue_lines(strange, Alert(kind=AlertKind.DONT_KNOW, instrument="I", subject_id="9")) == []


def test_of_an_execution_told_in_two_ways_the_one_counts_that_was_booked() -> None:
    refused, true = report(ReportKind.TRADE, "9", 500, 10), report(ReportKind.TRADE, "9", 5, 10)
    ours = fill(FillKind.TRADE, "f1", "9", 5, 10, cum=5)
    assert venue_lines(refused, true, ours) == []
    assert venue_lines(true, refused, ours) == []
    assert "executions booked otherwise than reported" in venue_lines(
        refused, true, fill(FillKind.TRADE, "f1", "9", 6, 10, cum=6)
    )
