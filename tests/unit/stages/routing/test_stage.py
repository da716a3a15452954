"""Routing, by its promises: nothing sent beyond what is permitted, nothing booked twice, each slice closed once.

Taking back, the desk, the gate and the day's end are in test_controls.py.
"""

from __future__ import annotations

import msgspec
import pytest

from pipeline.domain.controls import Alert, AlertKind, ControlKind, ControlScope
from pipeline.domain.executions import Fill, FillKind, ReportKind
from pipeline.domain.market import Depth, DepthKind, Level, SessionState
from pipeline.domain.orders import OrdStatus, OrdType, Side, TimeInForce
from pipeline.domain.parents import SliceKind, Style
from pipeline.domain.record import Owned
from tests.unit.stages.routing.routing_bench import BID, OFFER, PX, RoutingBench, alerts, kinds

# ---------------------------------------------------------------------- style to order


def test_passive_posts_at_the_near_touch_and_says_why() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    assert (child.ord_type, child.limit_px, child.time_in_force, child.post_only) == (
        OrdType.LIMIT, BID, TimeInForce.DAY, True,
    )  # fmt: skip
    assert child.venue == "LITA" and child.rule == "POST_NEAR_TOUCH"
    assert [(c.venue, c.excluded) for c in child.candidates] == [("LITA", ""), ("LITB", ""), ("DARK", "NOT_LIT")]
    assert (child.bid_px, child.offer_px, child.quote_no) == (BID, OFFER, 1)
    assert len(child.wire_id) <= 20 and child.parent_id not in child.wire_id


@pytest.mark.parametrize(
    ("side", "limit_px", "expected_px"),
    [
        (Side.BUY, None, BID),
        (Side.BUY, BID - PX, BID - PX),  # behind the touch
        (Side.BUY, BID - 1, BID - PX),  # off the tick: a buy rounds down
        (Side.SELL, None, OFFER),
        (Side.SELL, OFFER + 1, OFFER + PX),  # a sale rounds up
    ],
)
def test_a_posted_price_never_passes_the_limit(side: Side, limit_px: int | None, expected_px: int) -> None:
    bench = RoutingBench()
    assert bench.one_child(bench.slice(100, side=side, limit_px=limit_px)).limit_px == expected_px


def test_midpoint_pegs_in_the_dark_with_its_minimum_or_posts_inside() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, Style.MIDPOINT, dark_allowed=True, min_qty=20))
    assert (child.venue, child.ord_type, child.min_qty, child.time_in_force) == (
        "DARK", OrdType.PEGGED_MIDPOINT, 20, TimeInForce.DAY,
    )  # fmt: skip
    child = bench.one_child(bench.slice(10, Style.MIDPOINT, dark_allowed=True, limit_px=OFFER - 1))
    assert child.limit_px == OFFER - PX, "a peg's limit is on the tick, on the safe side"
    child = bench.one_child(bench.slice(100, Style.MIDPOINT, parent="P0-2"))
    assert (child.venue, child.limit_px, child.post_only) == ("LITA", BID + PX, True)


def test_cross_probes_the_dark_once_and_then_takes_where_the_touch_is_shown() -> None:
    bench = RoutingBench()
    bench.quote(offer_venue="LITB")
    probe = bench.one_child(bench.slice(100, Style.CROSS, dark_allowed=True))
    assert (probe.venue, probe.ord_type, probe.time_in_force) == ("DARK", OrdType.PEGGED_MIDPOINT, TimeInForce.IOC)
    bench.trade(probe, 30)
    child = bench.one_child(bench.expired(probe, cum_qty=30))
    assert (child.venue, child.order_qty, child.limit_px, child.time_in_force) == ("LITB", 70, OFFER, TimeInForce.IOC)
    out = bench.expired(child)
    assert [(f.last_qty, f.reason) for f in bench.fills(FillKind.RETURNED, out)] == [(70, "VENUES_EXHAUSTED")]


def test_sweep_goes_to_the_best_price_first_and_through_none_that_is_shown() -> None:
    bench = RoutingBench()
    for venue, px in (("LITA", OFFER + PX), ("LITB", OFFER)):
        bench.feed(
            Depth(
                kind=DepthKind.SNAPSHOT,
                venue=venue,
                instrument="A",
                event_ns=0,
                received_ns=0,
                event_no=1,
                bids=(Level(px=BID, qty=100),),
                offers=(Level(px=px, qty=50),),
            )
        )
    first = bench.one_child(bench.slice(100, Style.SWEEP, limit_px=OFFER + 5 * PX))
    assert (first.venue, first.limit_px) == ("LITB", OFFER + PX)
    bench.trade(first, 50, OFFER)
    second = bench.one_child(bench.expired(first, cum_qty=50))
    assert (second.venue, second.limit_px, second.order_qty) == ("LITA", OFFER + 5 * PX, 50)


def test_cross_beyond_the_limit_is_posted_at_the_limit() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, Style.CROSS, limit_px=OFFER - PX))
    assert (child.rule, child.limit_px, child.post_only, child.time_in_force) == (
        "POST_AT_LIMIT", OFFER - PX, True, TimeInForce.DAY,
    )  # fmt: skip


# ---------------------------------------------------------------------- life and exposure


def test_a_fill_before_its_acknowledgement_is_booked_and_the_acknowledgement_takes_nothing_back() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    (fill,) = bench.fills(FillKind.TRADE, bench.trade(child, 40))
    assert (fill.last_qty, fill.late, fill.parent_cum_qty, fill.parent_live_qty) == (40, False, 40, 60)
    assert bench.ack(child) == []
    out = bench.trade(child, 60)
    assert kinds(out) == ["Fill:TRADE", "Fill:RETURNED"]
    assert bench.fills(FillKind.RETURNED)[0].last_qty == 0


def test_the_remainder_goes_to_the_next_venue_only_after_the_confirmed_cancel() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    bench.ack(child)
    (cancel,) = bench.cancels(bench.status("LITA", SessionState.HALTED))
    assert cancel.orig_wire_id == child.wire_id and cancel.wire_id != child.wire_id
    assert not bench.sent(bench.trade(child, 30)), "it still lives"
    following = bench.one_child(bench.canceled(child, cancel, cum_qty=30))
    assert (following.venue, following.order_qty) == ("LITB", 70)
    assert not bench.fills(FillKind.RETURNED)


def test_a_rejected_child_goes_to_the_next_venue_and_the_last_one_back_to_the_parent() -> None:
    bench = RoutingBench()
    first = bench.one_child(bench.slice(100))
    second = bench.one_child(bench.rejected(first))
    assert second.venue == "LITB"
    out = bench.rejected(second)
    assert [(f.last_qty, f.reason) for f in bench.fills(FillKind.RETURNED, out)] == [(100, "VENUES_EXHAUSTED")]
    assert not bench.sent(out)


def test_a_slice_that_expires_is_cancelled_and_returned_once_when_that_is_confirmed() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, lasts_s=2))
    bench.ack(child)
    assert bench.after(1) == []
    (cancel,) = bench.cancels(bench.after(1))
    assert not bench.fills(FillKind.RETURNED)
    out = bench.canceled(child, cancel)
    assert [(f.last_qty, f.reason) for f in bench.fills(FillKind.RETURNED, out)] == [(100, "EXPIRED")]
    bench.canceled(child, cancel)
    assert len(bench.fills(FillKind.RETURNED)) == 1 and len(bench.sent()) == 1


def test_a_late_fill_after_cancel_is_booked_and_flagged() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, lasts_s=1))
    (cancel,) = bench.cancels(bench.after(1))
    bench.canceled(child, cancel)
    out = bench.trade(child, 30)
    (fill,) = bench.fills(FillKind.TRADE, out)
    assert (fill.late, fill.last_qty, fill.parent_cum_qty, fill.overfill_qty) == (True, 30, 30, 0)
    assert alerts(bench, out) == [AlertKind.LATE_FILL]
    assert len(bench.fills(FillKind.RETURNED)) == 1


def test_an_order_that_is_done_before_its_last_fill_keeps_what_is_owed_as_exposure() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, lasts_s=1))
    (cancel,) = bench.cancels(bench.after(1))
    out = bench.canceled(child, cancel, cum_qty=40)  # it executed 40, of which we have not heard yet
    assert kinds(out) == ["Alert:BREAK", "ChildOrder:STATUS"], "told at once, and asked about"
    out = bench.trade(child, 40)
    assert kinds(out) == ["Fill:TRADE", "Fill:RETURNED"]
    assert bench.fills(FillKind.TRADE)[0].late is False
    assert bench.fills(FillKind.RETURNED)[0].last_qty == 60


def test_owed_executions_that_never_come_are_shown_to_the_desk() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, lasts_s=1))
    (cancel,) = bench.cancels(bench.after(1))
    bench.canceled(child, cancel, cum_qty=40)
    assert AlertKind.UNKNOWN_CHILD in alerts(bench, bench.after(5))
    assert bench.after(1) == []
    out = bench.control(ControlKind.DECLARE_FILLED, ControlScope.CHILD, child.child_id, new="40@100.00")
    assert kinds(out) == ["Fill:TRADE", "Fill:RETURNED"]


def test_too_late_to_cancel_is_normal_and_a_living_order_is_cancelled_again() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, lasts_s=1))
    (cancel,) = bench.cancels(bench.after(1))
    reject = bench.report(
        child, ReportKind.CANCEL_REJECT, OrdStatus.NEW, wire_id=cancel.wire_id, orig_wire_id=child.wire_id
    )
    assert bench.feed(reject) == []
    (again,) = bench.cancels(bench.after(1))
    assert again.wire_id not in (child.wire_id, cancel.wire_id)
    out = bench.trade(child, 100)
    assert kinds(out) == ["Fill:TRADE", "Fill:RETURNED"]


def test_silence_makes_a_child_unknown_and_it_keeps_its_exposure() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, permitted_qty=150))
    out = bench.after(5)
    assert kinds(out) == ["Alert:UNKNOWN_CHILD", "ChildOrder:CANCEL"]
    assert not bench.fills(FillKind.RETURNED)
    out = bench.slice(100, permitted_qty=150)
    assert bench.one_child(out).order_qty == 50, "100 are out, as far as anybody knows"
    out = bench.ack(child)  # it lives; its cancel is still on its way
    assert out == []
    following = bench.one_child(bench.canceled(child))
    assert following.parent_id == child.parent_id


def test_a_cancel_without_an_answer_makes_the_child_unknown_once() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, lasts_s=1))
    bench.ack(child)
    bench.after(1)
    assert alerts(bench, bench.after(4)) == []
    assert alerts(bench, bench.after(1)) == [AlertKind.UNKNOWN_CHILD]
    assert bench.after(20) == []
    assert not bench.fills(FillKind.RETURNED)


def test_the_desk_can_declare_an_unknown_child_dead_or_filled_and_only_an_unknown_one() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, lasts_s=1))
    out = bench.control(ControlKind.DECLARE_DEAD, ControlScope.CHILD, child.child_id)
    assert [a.reason for a in bench.all(Alert, out)] == ["CHILD_IS_NOT_UNKNOWN"]
    bench.after(6)
    bench.after(6)
    for wrong in ("101@100.00", "x@100", "10", "10@", "0@100.00", "-5@100.00", "10@1.0000000001", "9" * 5000 + "@1"):
        out = bench.control(ControlKind.DECLARE_FILLED, ControlScope.CHILD, child.child_id, new=wrong)
        assert [a.reason for a in bench.all(Alert, out)] == ["BAD_DECLARATION"], wrong
    out = bench.control(ControlKind.DECLARE_FILLED, ControlScope.CHILD, child.child_id, new="60@100.015")
    assert kinds(out) == ["Fill:TRADE", "Alert:DONT_KNOW", "Fill:RETURNED"]  # beyond its limit: said so
    fill = bench.fills(FillKind.TRADE)[0]
    assert (fill.last_qty, fill.last_px, fill.session_id) == (60, 100_015_000_000, "DESK")
    assert bench.fills(FillKind.RETURNED)[0].last_qty == 40


def test_what_the_venue_says_replaces_what_the_desk_declared() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, lasts_s=1))
    bench.after(6)
    bench.after(6)
    out = bench.control(ControlKind.DECLARE_FILLED, ControlScope.CHILD, child.child_id, new="60@100.00")
    assert kinds(out) == ["Fill:TRADE", "Fill:RETURNED"]
    out = bench.trade(child, 70)
    assert kinds(out)[:2] == ["Fill:BUST", "Fill:TRADE"]
    assert bench.fills(FillKind.BUST)[0].ref_fill_id == bench.fills(FillKind.TRADE)[0].fill_id
    assert bench.fills(FillKind.TRADE)[1].parent_cum_qty == 70


def test_nothing_is_sent_beyond_what_is_permitted() -> None:
    bench = RoutingBench()
    bench.slice(100, permitted_qty=120)
    assert bench.one_child(bench.slice(100, permitted_qty=120)).order_qty == 20
    out = bench.slice(100, permitted_qty=120)
    assert [(f.last_qty, f.reason) for f in bench.fills(FillKind.RETURNED, out)] == [(100, "PERMITTED")]


def test_an_over_fill_is_booked_whole_and_flagged() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, permitted_qty=100))
    out = bench.trade(child, 130)
    (fill,) = bench.fills(FillKind.TRADE, out)
    assert (fill.last_qty, fill.overfill_qty, fill.parent_cum_qty) == (130, 30, 130)
    assert AlertKind.OVERFILL in alerts(bench, out)
    assert bench.fills(FillKind.RETURNED, out)[0].last_qty == 0


def test_a_late_fill_that_uses_up_what_is_permitted_takes_the_next_child_back() -> None:
    bench = RoutingBench()
    first = bench.one_child(bench.slice(100, permitted_qty=100))
    second = bench.one_child(bench.canceled(first))
    out = bench.trade(first, 40)
    (cancel,) = bench.cancels(out)
    assert cancel.child_id == second.child_id
    out = bench.canceled(second, cancel)
    assert bench.fills(FillKind.RETURNED, out)[0].last_qty == 60


# ---------------------------------------------------------------------- executions once


def test_a_repeated_execution_is_booked_once() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    report = bench.trade_report(child, 40, exec_id="E1")
    bench.feed(report)
    assert bench.feed(report) == []
    assert [f.parent_cum_qty for f in bench.fills(FillKind.TRADE)] == [40]


def test_the_same_exec_id_with_other_data_is_an_alarm_and_not_booked() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    bench.feed(bench.trade_report(child, 40, exec_id="E1"))
    out = bench.feed(bench.trade_report(child, 41, exec_id="E1"))
    assert kinds(out) == ["Alert:CONFLICTING_EXECUTION"]


def test_the_same_exec_id_of_another_session_is_another_execution() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    report = bench.trade_report(child, 40, exec_id="E1")
    bench.feed(report, msgspec.structs.replace(report, session_id="S2"))
    assert [f.parent_cum_qty for f in bench.fills(FillKind.TRADE)] == [40, 80]


def test_an_execution_that_is_not_ours_is_not_booked() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    assert kinds(bench.trade(child, 40, wire_id="NOBODYS")) == ["Alert:DONT_KNOW"]
    out = bench.trade(child, 40, side=Side.SELL)
    assert [a.reason for a in bench.all(Alert, out)] == ["WRONG_SIDE"]
    assert not bench.fills(FillKind.TRADE)


def test_a_report_by_another_venue_is_not_booked() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    report = msgspec.structs.replace(bench.trade_report(child, 10), venue="LITB")
    assert [a.reason for a in bench.all(Alert, bench.feed(report))] == ["OTHER_INSTRUMENT_OR_VENUE"]
    assert not bench.fills(FillKind.TRADE)


def test_a_bust_takes_the_execution_back_and_can_come_twice_or_first() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    bust = bench.report(child, ReportKind.BUST, OrdStatus.NEW, exec_ref_id="E1", exec_id="B1")
    assert kinds(bench.feed(bust)) == ["Alert:DONT_KNOW"]
    out = bench.feed(bench.trade_report(child, 40, exec_id="E1"))
    assert kinds(out) == ["Fill:TRADE", "Fill:BUST"]
    trade, taken = bench.all(Fill, out)
    assert (taken.ref_fill_id, taken.last_qty, taken.prior_fee, taken.parent_cum_qty) == (
        trade.fill_id, 40, 40_000, 0,
    )  # fmt: skip
    assert taken.parent_live_qty == 100, "the venue works all of it again"
    assert bench.feed(bust) == []


def test_a_correction_restates_quantity_price_and_fee_and_can_be_corrected_again() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    bench.feed(bench.trade_report(child, 40, exec_id="E1"))

    def correct(exec_id: str, ref: str, qty: int, px: int) -> list[Owned]:
        return bench.feed(
            bench.report(
                child,
                ReportKind.CORRECT,
                OrdStatus.PARTIALLY_FILLED,
                exec_id=exec_id,
                exec_ref_id=ref,
                last_qty=qty,
                last_px=px,
                fee=7,
            )
        )

    (first,) = bench.all(Fill, correct("G1", "E1", 30, BID - PX))
    assert (first.prior_qty, first.last_qty, first.prior_px, first.last_px) == (40, 30, BID, BID - PX)
    assert (first.prior_fee, first.fee, first.parent_cum_qty) == (40_000, 7, 30)
    (second,) = bench.all(Fill, correct("G2", "G1", 35, BID))
    assert (second.prior_qty, second.last_qty, second.parent_cum_qty, second.ref_fill_id) == (
        30, 35, 35, first.ref_fill_id,
    )  # fmt: skip
    assert correct("G2", "G1", 35, BID) == []
    assert kinds(correct("G2", "G1", 36, BID)) == ["Alert:CONFLICTING_EXECUTION"]


def test_a_filled_order_that_a_bust_opens_again_is_exposure_and_is_cancelled() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    bench.feed(bench.trade_report(child, 100, exec_id="E1"))
    bust = bench.report(
        child, ReportKind.BUST, OrdStatus.PARTIALLY_FILLED, exec_ref_id="E1", exec_id="B1", leaves_qty=100
    )
    out = bench.feed(bust)
    assert kinds(out) == ["Fill:BUST", "ChildOrder:CANCEL"]
    assert bench.all(Fill, out)[0].parent_live_qty == 100
    out = bench.trade(child, 30)
    assert bench.fills(FillKind.TRADE, out)[0].late, "its slice is over"
    out = bench.slice(0, kind=SliceKind.FINISH)
    assert out == []
    assert kinds(bench.canceled(child, bench.cancels()[0], cum_qty=30)) == ["Fill:QUIET"]
