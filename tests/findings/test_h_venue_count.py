"""H: the venue's own count is compared with ours at every report; a difference is a break, asked about at once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline.domain.controls import Alert, AlertKind, Tick, TickKind
from pipeline.domain.executions import ChildKind, ChildOrder, FillKind, Liquidity, ReportKind
from pipeline.domain.orders import OrdStatus, Side
from pipeline.domain.parents import SliceKind, Style
from pipeline.domain.record import Owned
from pipeline.stages.routing.child_lifecycle import ChildState, Life
from tests.unit.stages.routing.routing_bench import BID, DATE, RoutingBench, S, kinds

NEW, PARTIAL, FILLED, CANCELED = OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.FILLED, OrdStatus.CANCELED


def one(**more: Any) -> tuple[RoutingBench, ChildOrder]:
    """A bench with one acknowledged child of 100."""
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, **more))
    bench.feed(bench.report(child, ReportKind.NEW, NEW, leaves_qty=100))
    return bench, child


def life(bench: RoutingBench, child: ChildOrder) -> Life:
    return bench.state.ledger.children[child.child_id].life


def breaks(records: list[Owned]) -> list[tuple[str, str]]:
    return [(r.reason, r.subject_id) for r in records if isinstance(r, Alert) and r.kind is AlertKind.BREAK]


def asked(records: list[Owned]) -> list[str | None]:
    """The ClOrdIDs of the orders that were asked about."""
    return [r.orig_wire_id for r in records if isinstance(r, ChildOrder) and r.kind is ChildKind.STATUS]


def traded(bench: RoutingBench, child: ChildOrder, qty: int, cum_qty: int, **more: Any) -> list[Owned]:
    more.setdefault("leaves_qty", 100 - cum_qty)
    status = FILLED if more["leaves_qty"] == 0 else PARTIAL
    more.setdefault("last_px", child.limit_px)
    more.setdefault("last_liquidity_ind", Liquidity.ADDED)
    ago_s = more.pop("ago_s", 0)
    report = bench.report(child, ReportKind.TRADE, status, last_qty=qty, cum_qty=cum_qty, **more)
    return bench.feed(msgspec.structs.replace(report, venue_ns=report.venue_ns - ago_s * S))


# ---------------------------------------------------------------------- the examples


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL, Side.SELL_SHORT])
def test_an_order_filled_with_less_after_a_bust_is_over_with_what_the_venue_counts(side: Side) -> None:
    bench, child = one(side=side, lasts_s=5)
    traded(bench, child, 40, 40, exec_id="E1")
    bench.after(1)
    # The venue does not open the busted 40 again: of 100 it has 60 open, and nothing executed.
    out = bench.feed(
        bench.report(
            child, ReportKind.BUST, NEW, exec_id="B1", exec_ref_id="E1", last_qty=40, last_px=BID, leaves_qty=60
        )
    )
    assert breaks(out) == [("LEAVES", child.child_id)] and asked(out) == [child.wire_id]
    assert bench.fills(FillKind.BUST, out)[0].parent_live_qty == 100, "what it says less is not believed unasked"
    bench.after(1)
    out = traded(bench, child, 60, 60, leaves_qty=0)
    assert kinds(out) == ["Fill:TRADE", "Fill:RETURNED"]
    ended = life(bench, child)
    assert (ended.state, ended.cum_qty, ended.owed_qty, ended.live_qty) == (ChildState.FILLED, 60, 0, 0)
    parent = bench.state.ledger.parents["P0-1"]
    assert (parent.cum_qty, parent.live_qty) == (60, 0)
    assert kinds(bench.slice(kind=SliceKind.FINISH)) == ["Fill:QUIET"]
    assert not breaks(bench.after(60)), "and nothing of it comes up again"


def test_a_last_fill_that_is_missing_is_owed_and_told_at_once() -> None:
    bench, child = one(lasts_s=10)
    out = traded(bench, child, 40, 100)
    assert kinds(out) == ["Fill:TRADE", "Alert:BREAK", "ChildOrder:STATUS"]
    (told,) = [r for r in out if isinstance(r, Alert)]
    assert (told.reason, told.subject_id) == ("COUNT", child.child_id)
    assert "100 executed" in told.text and "40 executed" in told.text and "60 owed" in told.text
    owed = life(bench, child)
    assert (owed.state, owed.cum_qty, owed.owed_qty) == (ChildState.FILLED, 40, 60)
    assert bench.state.ledger.parents["P0-1"].live_qty == 60
    # It comes after all: late on the wire, not late in the books.
    out = traded(bench, child, 60, 60, ago_s=1)
    assert kinds(out) == ["Fill:TRADE", "Fill:RETURNED"]
    assert bench.fills(FillKind.TRADE, out)[0].late is False
    assert bench.state.ledger.children[child.child_id].differs == ""


def test_the_answer_to_the_question_ends_what_is_owed() -> None:
    bench, child = one()
    traded(bench, child, 40, 100)
    bench.after(1)
    out = bench.feed(bench.report(child, ReportKind.ORDER_STATUS, FILLED, cum_qty=40))
    assert (life(bench, child).owed_qty, life(bench, child).cum_qty) == (0, 40)
    assert bench.one_child(out).order_qty == 60, "the slice goes on with what was not executed"


# ---------------------------------------------------------------------- every report


REPORTS: list[tuple[ReportKind, OrdStatus, dict[str, Any]]] = [
    (ReportKind.TRADE, PARTIAL, {"last_qty": 10, "last_px": BID, "cum_qty": 60, "leaves_qty": 40}),
    (ReportKind.NEW, PARTIAL, {"cum_qty": 50, "leaves_qty": 50}),
    (ReportKind.BUST, PARTIAL, {"exec_ref_id": "E1", "cum_qty": 10, "leaves_qty": 90}),
    (ReportKind.CORRECT, PARTIAL, {"exec_ref_id": "E1", "last_qty": 20, "last_px": BID, "cum_qty": 30}),
    (ReportKind.CANCELED, CANCELED, {"cum_qty": 50}),
    (ReportKind.CANCELED, CANCELED, {"cum_qty": 30}),
    (ReportKind.CANCELED, CANCELED, {"cum_qty": 0}),
    (ReportKind.EXPIRED, OrdStatus.EXPIRED, {"cum_qty": 50}),
    (ReportKind.DONE_FOR_DAY, OrdStatus.EXPIRED, {"cum_qty": 30}),
    (ReportKind.REJECTED, OrdStatus.REJECTED, {"cum_qty": 0}),
    (ReportKind.REPLACED, PARTIAL, {"cum_qty": 50, "leaves_qty": 10}),
    (ReportKind.CANCEL_REJECT, PARTIAL, {"cum_qty": 50}),
    (ReportKind.CANCEL_REJECT, FILLED, {"cum_qty": 100}),
    (ReportKind.CANCEL_REJECT, FILLED, {}),
    (ReportKind.ORDER_STATUS, PARTIAL, {"cum_qty": 30, "leaves_qty": 70}),
    (ReportKind.ORDER_STATUS, NEW, {"cum_qty": 0, "leaves_qty": 100}),
    (ReportKind.ORDER_STATUS, CANCELED, {"cum_qty": 60}),
]


@pytest.mark.parametrize(("kind", "status", "more"), REPORTS, ids=[f"{k}-{m.get('cum_qty')}" for k, _, m in REPORTS])
@pytest.mark.parametrize("later_s", [0, 1])
def test_a_count_that_differs_is_a_break_at_every_report(
    kind: ReportKind, status: OrdStatus, more: dict[str, Any], later_s: int
) -> None:
    bench, child = one()
    traded(bench, child, 40, 40, exec_id="E1")
    if later_s:
        bench.after(later_s)
    out = bench.feed(bench.report(child, kind, status, **more))
    assert breaks(out) == [("COUNT", child.child_id)]
    # The answer to a question is not asked about again at once: that would have no end.
    assert asked(out) == ([] if kind is ReportKind.ORDER_STATUS else [child.wire_id])
    again = bench.feed(bench.report(child, kind, status, **{**more, "last_qty": 0}))
    assert not breaks(again) or kind is ReportKind.TRADE, "told once"


def test_counts_that_agree_say_nothing() -> None:
    bench, child = one()
    out = traded(bench, child, 40, 40, exec_id="E1")
    out += traded(bench, child, 20, 60)
    bench.after(1)
    for kind, status, more in (
        (ReportKind.ORDER_STATUS, PARTIAL, {"cum_qty": 60, "leaves_qty": 40}),
        (ReportKind.CANCEL_REJECT, PARTIAL, {}),
        (ReportKind.CORRECT, PARTIAL, {"exec_ref_id": "E1", "last_qty": 30, "last_px": BID, "cum_qty": 50}),
    ):
        out += bench.feed(bench.report(child, kind, status, **more))
    out += bench.feed(bench.report(child, ReportKind.CANCELED, CANCELED, cum_qty=50))
    assert not breaks(out) and not asked(out)


def test_an_older_word_that_was_overtaken_on_its_way_is_no_break() -> None:
    bench, child = one()
    first = bench.report(child, ReportKind.TRADE, PARTIAL, last_qty=40, last_px=BID, cum_qty=40, leaves_qty=60)
    bench.after(1)
    out = traded(bench, child, 20, 60)
    assert breaks(out) == [("COUNT", child.child_id)], "40 are missing"
    out = bench.feed(first)
    assert not breaks(out)
    assert (bench.state.ledger.children[child.child_id].differs, life(bench, child).told_cum_qty) == ("", 60)
    assert bench.state.ledger.parents["P0-1"].live_qty == 40


# ---------------------------------------------------------------------- siblings: status and what is open


def test_an_order_we_hold_for_ended_and_the_venue_for_open_is_a_break_and_the_answer_brings_it_back() -> None:
    bench, child = one(permitted_qty=100)
    bench.canceled(child)
    bench.after(1)
    out = bench.feed(bench.report(child, ReportKind.CANCEL_REJECT, NEW, leaves_qty=100))
    assert breaks(out) == [("STATUS", child.child_id)] and asked(out) == [child.wire_id]
    bench.after(1)
    out = bench.feed(bench.report(child, ReportKind.ORDER_STATUS, NEW, leaves_qty=100))
    assert [c.orig_wire_id for c in bench.cancels(out)] == [child.wire_id], "its slice has gone on without it"
    assert life(bench, child).live_qty == 100
    assert bench.state.ledger.parents["P0-1"].live_qty == 200, "with the child that was sent since"
    out = bench.trade(child, 30)
    assert len(bench.cancels(out)) == 1, "30 and 100 are more than is permitted, once the first one has gone"


def test_what_we_count_as_full_stays_open_while_the_venue_says_so() -> None:
    bench, child = one(permitted_qty=100)
    traded(bench, child, 60, 60, exec_id="E1")
    # The same execution under another id: our count is full, the venue's is not.
    out = traded(bench, child, 60, 60, exec_id="E1-AGAIN", leaves_qty=40)
    assert breaks(out) == [("COUNT", child.child_id)]
    assert (life(bench, child).open, bench.state.ledger.parents["P0-1"].live_qty) == (True, 40)
    assert [c.orig_wire_id for c in bench.cancels(out)] == [child.wire_id], (
        "120 and 40 live are above the permitted 100"
    )


def test_a_break_that_stands_is_asked_about_again_and_an_unknown_child_too() -> None:
    bench, child = one(lasts_s=1_000)
    assert asked(traded(bench, child, 20, 60)) == [child.wire_id]
    assert asked(bench.after(29)) == []
    assert asked(bench.after(1)) == [child.wire_id]
    other = bench.one_child(bench.slice(10, Style.CROSS, parent="P0-2"))
    assert AlertKind.UNKNOWN_CHILD in [a.kind for a in bench.all(Alert, bench.after(6))]
    assert other.wire_id in asked(bench.after(30))


def test_what_a_status_request_is_refused_with_says_nothing_of_the_order() -> None:
    bench, child = one()
    (question,) = [r for r in traded(bench, child, 20, 60) if isinstance(r, ChildOrder)]
    for kind, status in ((ReportKind.NOT_SENT, OrdStatus.REJECTED), (ReportKind.CANCEL_REJECT, FILLED),
                         (ReportKind.ORDER_STATUS, OrdStatus.REJECTED)):  # fmt: skip
        out = bench.feed(bench.report(child, kind, status, wire_id=question.wire_id, orig_wire_id=child.wire_id))
        assert out == [] and life(bench, child).live_qty == 80


def test_what_is_owed_is_given_up_when_its_day_is_over_and_the_books_end() -> None:
    bench, child = one()
    traded(bench, child, 40, 100)
    bench.slice(kind=SliceKind.FINISH)
    bench.tick(bench.state.now_ns + S, kind=TickKind.DAY_END)
    start = Tick(
        kind=TickKind.DAY_START, now_ns=bench.state.now_ns + 80_000 * S, wall_ns=bench.state.now_ns + 80_000 * S,
        trade_date=DATE + 1,
    )  # fmt: skip
    out = bench.feed(start)
    assert ("LAPSED_WITH_ITS_DAY", child.child_id) in breaks(out)
    assert bench.state.ledger.parents["P0-1"].live_qty == 0
    assert not bench.state.ledger.live() and not len(bench.state.ledger.open_slices)
    out = traded(bench, child, 60, 100, leaves_qty=0)
    (fill,) = bench.fills(FillKind.TRADE, out)
    assert (fill.last_qty, fill.late, fill.parent_cum_qty) == (60, True, 100), "booked, and flagged"


def test_a_report_that_repeats_an_execution_and_says_more_of_the_order_is_heard() -> None:
    bench, child = one()
    report = bench.report(
        child, ReportKind.TRADE, PARTIAL, last_qty=40, last_px=BID, cum_qty=40, leaves_qty=60, exec_id="E1"
    )
    bench.feed(report)
    assert bench.feed(report) == []
    bench.after(1)
    more = {"venue_ns": bench.state.now_ns, "cum_qty": 70, "leaves_qty": 30}
    out = bench.feed(msgspec.structs.replace(report, **more))
    assert not bench.fills(FillKind.TRADE, out), "booked once"
    assert breaks(out) == [("COUNT", child.child_id)] and asked(out) == [child.wire_id]
