"""Kind D: a parent's window comes from reality: it begins when its work does, and ends by the session's close."""

from __future__ import annotations

import pytest

from pipeline.domain.orders import Side, Strategy
from pipeline.domain.parents import LineageKind, ParentKind
from tests.scripted_desk import Desk
from tests.unit.stages.netting.netting_bench import END, T0, NettingBench, S, instrument, order

STARTS = pytest.mark.parametrize("start_ns", [0, 1, T0 - 3_600 * S, T0 - 1, T0])


@STARTS
@pytest.mark.parametrize("held", [True, False])
def test_a_start_in_the_past_is_now(start_ns: int, held: bool) -> None:
    bench = NettingBench()
    bench.feed(order("a", start_ns=start_ns, r_start_ns=start_ns, r_held=held))
    bench.to(T0 + 5 * S)
    (parent,) = bench.parents(ParentKind.NEW)
    assert (parent.start_ns, parent.end_ns) == (T0 if held else T0 + 5 * S, END)


def test_starts_in_the_past_are_one_term_and_a_later_start_is_its_own() -> None:
    bench = NettingBench()
    bench.feed(order("a"), order("b", start_ns=0, r_start_ns=0), order("c", start_ns=T0 - S, r_start_ns=T0 - S))
    bench.feed(order("d", start_ns=T0 + 60 * S, r_start_ns=T0 + 60 * S))
    bench.to(T0 + 5 * S)
    assert [(p.member_count, p.start_ns) for p in bench.parents(ParentKind.NEW)] == [(3, T0 + 5 * S)]
    bench.to(T0 + 60 * S)
    assert [(p.member_count, p.start_ns) for p in bench.parents(ParentKind.NEW)][1:] == [(1, T0 + 60 * S)]


def test_a_window_that_closes_late_starts_its_schedule_then() -> None:
    """Its start came while the window waited for market data: the schedule has not begun before the parent."""
    bench = NettingBench()
    bench.feed(order("a", start_ns=T0 + 3 * S, r_start_ns=T0 + 3 * S))
    bench.tick(T0 + 7 * S)
    assert [parent.start_ns for parent in bench.parents(ParentKind.NEW)] == [T0 + 7 * S]


def test_before_the_open_the_schedule_starts_at_the_open() -> None:
    bench = NettingBench()
    bench.feed(instrument(session_open_ns=T0 + 100 * S))
    bench.feed(order("a"))
    bench.to(T0 + 5 * S)
    assert [parent.start_ns for parent in bench.parents(ParentKind.NEW)] == [T0 + 100 * S]


def test_an_early_close_pulls_the_end_in() -> None:
    bench = NettingBench()
    bench.feed(order("a"), instrument(session_close_ns=T0 + 600 * S))
    bench.to(T0 + 5 * S)
    assert [parent.end_ns for parent in bench.parents(ParentKind.NEW)] == [T0 + 600 * S]


def test_a_session_that_was_extended_gives_nobody_more_time_than_asked_for() -> None:
    bench = NettingBench()
    bench.feed(order("a"), instrument(session_close_ns=END + 600 * S))
    bench.to(T0 + 5 * S)
    assert [parent.end_ns for parent in bench.parents(ParentKind.NEW)] == [END]


def test_waiting_orders_expire_at_an_early_close() -> None:
    bench = NettingBench()
    bench.feed(order("a", start_ns=T0 + 60 * S, r_start_ns=T0 + 60 * S), instrument(session_close_ns=T0 + 30 * S))
    assert not bench.tick(T0 + 30 * S - 1)
    (left,) = bench.lineage(LineageKind.LEFT, bench.tick(T0 + 30 * S))
    assert (left.order_id, left.left_qty, left.expired, left.at_ns) == ("a", 100, True, T0 + 30 * S)
    assert bench.live_rows() == 0


@pytest.mark.parametrize("start_ns", [None, 0, 1_340_274_600 * S])
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_a_schedule_is_paced_from_now_whatever_start_was_asked_for(start_ns: int | None, side: Side) -> None:
    desk = Desk()
    desk.run(20)
    desk.order("T", "x1", 1000, side, end_s=260, strategy=Strategy.TWAP, start_ns=start_ns)
    desk.run(26)
    assert desk.last("T").cum_qty <= 100, "a ninth of the time has passed"
    desk.run(214)
    desk.end_day()
    assert desk.last("T").cum_qty == 1000
    assert desk.off() == []
