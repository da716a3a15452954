"""L: what was not executed is a cost. Five of a hundred done before the price ran away is the worst, not the best.

Siblings: nothing done at all, a sale, a cancel half-way, the parent, several epochs and a cross out of the parent, an
order told an hour before its start, one that was done early, a bust of the last fill, the report and the savings.
"""

from __future__ import annotations

import msgspec
import pytest

from pipeline.domain.allocations import Allocation
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.executions import FillKind
from pipeline.domain.orders import Order, OrderKind, Side, Strategy
from pipeline.domain.parents import ParentKind, ParentOrder
from pipeline.domain.record import Record
from pipeline.tca.report import grouped, latest, report
from pipeline.tca.savings import savings
from tests.stage_bench import Bench
from tests.unit.stages.tca.test_stage import (
    DAY,
    PX,
    T0,
    S,
    allocation,
    bench,
    child,
    fill,
    order,
    over,
    parent,
    quote,
    rows,
    trade,
)  # fmt: skip

CENT = PX // 100
END = T0 + 3600 * S
TAPE = (trade("1", T0 + 60 * S, 100 * PX, 1_000), trade("2", T0 + 3000 * S, 101 * PX, 1_000),
        trade("3", END + S, 500 * PX, 9_000))  # fmt: skip
"""VWAP 100.50 to the scheduled end, 100 until the first minutes are over; what comes after the end is not of it."""
RUN = (quote(T0, 100 * PX), quote(T0 + 3000 * S, 101 * PX), quote(END + S, 200 * PX))
"""The midpoint at receipt is 100; by the end it has run away by 100 bp."""


def asked(order_id: str = "O1", side: Side = Side.BUY, start_ns: int = 0, **fields: object) -> Order:
    return msgspec.structs.replace(order(order_id, side=side), start_ns=start_ns, end_ns=END, **fields)


def given(alloc_id: str, qty: int, px: int, order_id: str = "O1", at_ns: int = T0 + 100 * S) -> Allocation:
    return msgspec.structs.replace(allocation(alloc_id, qty, px, at_ns), order_id=order_id, parent_id=None)


def cancel(order_id: str, at_ns: int) -> Order:
    return msgspec.structs.replace(order(order_id, at_ns), kind=OrderKind.CANCEL)


def at_end(*records: Record) -> dict[str, TCARow]:
    """Rows after the end of a day of these; the first quote and the tape are read before all."""
    b = bench()
    b.feed(RUN[0], TAPE[0], *(each for each in records if isinstance(each, Order) and each.kind is OrderKind.NEW))
    b.tick(T0 + 6 * S)
    b.feed(*(each for each in records if not isinstance(each, Order) or each.kind is not OrderKind.NEW))
    b.tick(T0 + 200 * S)
    b.feed(*RUN[1:], *TAPE[1:])
    return rows(b, END + 2 * S)


def test_five_of_a_hundred_done_before_the_price_ran_away_is_the_worst_order() -> None:
    found = at_end(
        asked("O1"), asked("O2"), asked("O3"), given("A1", 5, 10_001 * CENT), given("A2", 100, 10_050 * CENT, "O2")
    )
    assert found["O1"] == TCARow(
        level=TCALevel.ORDER, subject_id="O1", revision=2, parent_id="", instrument="XYZ", side=Side.BUY,
        strategy=Strategy.TWAP, account="acc", trade_date=DAY, order_qty=100, executed_qty=5, avg_px=10_001 * CENT,
        fees=0, arrival_px=100 * PX, release_px=None, start_ns=T0 + 5 * S, end_ns=END,
        interval_vwap_px=10_050 * CENT, interval_vwap_qty=2_000, arrival_cost_mbps=1_000,
        vwap_cost_mbps=-48_756, aggregation_delay_cost_mbps=None, fee_cost_mbps=0, participation=2_500,
        at_ns=END + 2 * S, final=True, unexecuted_qty=95, last_px=101 * PX, delay_cost_mbps=0,
        trading_cost_mbps=5 * CENT * 10_000_000 // (10_000 * PX), opportunity_cost_mbps=95_000,
        explicit_cost_mbps=0, shortfall_cost_mbps=95_050, fill_end_ns=T0 + 100 * S, fill_vwap_px=100 * PX,
        fill_vwap_qty=1_000, fill_vwap_cost_mbps=1_000,
    )  # fmt: skip
    assert (found["O2"].shortfall_cost_mbps, found["O2"].unexecuted_qty) == (50_000, 0), "all of it at 100.50"
    none = found["O3"]
    assert (none.executed_qty, none.unexecuted_qty, none.avg_px, none.arrival_cost_mbps) == (0, 100, None, None)
    assert (none.shortfall_cost_mbps, none.final, none.revision) == (100_000, True, 1), "nothing done is told, too"
    worst = sorted(found.values(), key=lambda row: row.shortfall_cost_mbps or 0)
    assert [row.subject_id for row in worst] == ["O2", "O1", "O3"], "least done, worst off"


def test_a_sale_that_missed_a_falling_price_is_as_bad_and_one_that_missed_a_rising_one_was_lucky() -> None:
    found = at_end(asked("O1", Side.SELL), given("A1", 5, 9_999 * CENT), asked("O2", Side.SELL_SHORT))
    assert (found["O1"].trading_cost_mbps, found["O1"].opportunity_cost_mbps) == (50, -95_000)
    assert (found["O1"].shortfall_cost_mbps, found["O2"].shortfall_cost_mbps) == (-94_950, -100_000)


def test_a_client_who_takes_back_is_measured_by_the_price_of_that_moment() -> None:
    b = bench()
    b.feed(RUN[0], TAPE[0], asked())
    b.tick(T0 + 6 * S)
    b.feed(given("A1", 40, 10_010 * CENT), quote(T0 + 1000 * S, 10_040 * CENT), cancel("O1", T0 + 1000 * S))
    (row,) = rows(b, T0 + 1001 * S).values()
    assert (row.final, row.end_ns, row.unexecuted_qty, row.last_px) == (True, T0 + 1000 * S, 60, 10_040 * CENT)
    assert (row.trading_cost_mbps, row.opportunity_cost_mbps, row.shortfall_cost_mbps) == (4_000, 24_000, 28_000)
    b.feed(*RUN[1:], *TAPE[1:])
    assert [each.last_px for each in rows(b, END + 2 * S).values()] in ([], [10_040 * CENT]), "the end is not moved on"


def test_until_its_end_what_is_not_done_yet_is_not_a_cost_yet() -> None:
    b = bench()
    b.feed(RUN[0], TAPE[0], asked())
    b.tick(T0 + 6 * S)
    b.feed(given("A1", 40, 10_010 * CENT))
    (row,) = rows(b, T0 + 200 * S).values()
    assert (row.final, row.unexecuted_qty, row.last_px, row.shortfall_cost_mbps) == (False, 60, None, None)
    assert (row.end_ns, row.fill_end_ns, row.arrival_cost_mbps) == (T0 + 100 * S, T0 + 100 * S, 10_000)


def test_an_order_done_early_is_measured_to_its_last_fill_and_to_its_scheduled_end() -> None:
    row = at_end(asked(), given("A1", 100, 100 * PX))["O1"]
    assert (row.end_ns, row.interval_vwap_px, row.vwap_cost_mbps) == (END, 10_050 * CENT, -49_751)
    assert (row.fill_end_ns, row.fill_vwap_px, row.fill_vwap_cost_mbps) == (T0 + 100 * S, 100 * PX, 0)
    assert (row.shortfall_cost_mbps, row.opportunity_cost_mbps, row.final) == (0, 0, True)


def test_an_order_told_an_hour_before_its_start_counts_from_its_start_and_so_does_its_parent() -> None:
    b = bench()
    start, end = T0 + 3600 * S, T0 + 7200 * S
    b.feed(quote(T0, 100 * PX), msgspec.structs.replace(order(received_ns=T0 + S), start_ns=start, end_ns=end))
    b.tick(T0 + 2 * S)
    b.feed(trade("m", T0 + 600 * S, 100 * PX, 1_000_000), quote(start, 110 * PX))
    b.feed(trade("a", T0 + 3700 * S, 110 * PX, 10_000))
    told = msgspec.structs.replace(parent(), first_received_ns=T0 + S, start_ns=start, end_ns=end)
    b.feed(told, child(at_ns=T0 + 3610 * S, midpoint_px=110 * PX), fill(px=110 * PX, at_ns=T0 + 3700 * S), over())
    b.feed(allocation("A1", 50, 110 * PX, end))
    found = rows(b, end + S)
    for name in ("O1", "P"):
        row = found[name]
        assert (row.start_ns, row.end_ns, row.interval_vwap_px, row.vwap_cost_mbps) == (start, end, 110 * PX, 0), name
        assert (row.arrival_px, row.arrival_cost_mbps) == (100 * PX, 1_000_000), "arrival stays at receipt"


# ---------------------------------------------------------------------- parents


def worked(**fields: object) -> ParentOrder:
    return msgspec.structs.replace(parent(), first_received_ns=T0 + 5 * S, end_ns=END, **fields)


def ended(b: Bench, *records: Record) -> TCARow:  # type: ignore[type-arg]
    b.feed(RUN[0], TAPE[0], *records)
    b.tick(T0 + 200 * S)
    b.feed(*RUN[1:2], *TAPE[1:], fill(FillKind.QUIET, 0, at_ns=END, fill_id="Q", child_id="", final=True), RUN[2])
    return rows(b, END + 2 * S)["P"]


def test_a_parents_row_counts_what_was_not_done_as_its_orders_do() -> None:
    row = ended(bench(), worked(), child(midpoint_px=100 * PX), fill(qty=5, px=10_001 * CENT, fee=CENT))
    assert row == TCARow(
        level=TCALevel.PARENT, subject_id="P", revision=1, parent_id="P", instrument="XYZ", side=Side.BUY,
        strategy=Strategy.VWAP, trade_date=DAY, order_qty=100, executed_qty=5, avg_px=10_001 * CENT, fees=CENT,
        arrival_px=100 * PX, release_px=100 * PX, start_ns=T0 + 5 * S, end_ns=END, interval_vwap_px=10_050 * CENT,
        interval_vwap_qty=2_000, arrival_cost_mbps=1_000, vwap_cost_mbps=-48_756, aggregation_delay_cost_mbps=0,
        fee_cost_mbps=200, participation=2_500, at_ns=END + 2 * S, final=True, unexecuted_qty=95, last_px=101 * PX,
        delay_cost_mbps=0, trading_cost_mbps=50, opportunity_cost_mbps=95_000, explicit_cost_mbps=10,
        shortfall_cost_mbps=95_060, fill_end_ns=T0 + 20 * S, fill_vwap_px=None, fill_vwap_qty=0,
    )  # fmt: skip


def test_what_left_a_parent_or_was_crossed_out_of_it_is_not_its_loss() -> None:
    second = worked(kind=ParentKind.EPOCH, epoch_no=2, order_qty=60)
    crossed = worked(kind=ParentKind.CROSS_DONE, epoch_no=2, order_qty=0, crossed_qty=20)
    of_first, of_second = fill(qty=10), fill(qty=25, fill_id="F2", epoch_no=2)
    for records in ((worked(), second, crossed, of_first, of_second), (of_first, of_second, worked(), second, crossed)):
        row = ended(bench(), child(), *records)
        assert (row.executed_qty, row.unexecuted_qty, row.order_qty) == (35, 15, 50), "60 less 20 crossed, 25 done"


def test_an_overfilled_order_has_nothing_unexecuted_and_a_whole_shortfall() -> None:
    row = ended(bench(), worked(), child(), fill(qty=130, px=100 * PX, fee=0))
    assert (row.executed_qty, row.unexecuted_qty, row.order_qty, row.shortfall_cost_mbps) == (130, 0, 130, 0)


@pytest.mark.parametrize("correct_first", [False, True])
def test_a_bust_told_hours_later_neither_stretches_the_interval_nor_keeps_its_fill_in_it(correct_first: bool) -> None:
    """The bust takes back the last fill: the interval ends with the one before, not with the bust."""
    b = bench()
    b.feed(parent(), child(), fill(at_ns=T0 + 20 * S), fill(fill_id="F2", qty=10, at_ns=T0 + 600 * S))
    if correct_first:
        b.feed(fill(FillKind.CORRECT, 8, fill_id="F3", ref_fill_id="F2", prior_qty=10, prior_px=102 * PX, prior_fee=50,
                    at_ns=T0 + 5_000 * S))  # fmt: skip
    ref, qty = ("F3", 8) if correct_first else ("F2", 10)
    b.feed(over())
    assert {row.end_ns for row in rows(b, T0 + 6_000 * S).values()} == {T0 + 600 * S}
    b.feed(fill(FillKind.BUST, qty, fill_id="F4", ref_fill_id=ref, fee=0, prior_fee=50, at_ns=T0 + 9_000 * S))
    found = rows(b, T0 + 10_000 * S)
    assert {name: (row.end_ns, row.executed_qty, row.fees, row.revision) for name, row in found.items()} == {
        "P": (T0 + 20 * S, 50, 50, 2),
        "C1": (T0 + 20 * S, 50, 50, 2),
    }


# ---------------------------------------------------------------------- sums


def test_the_report_shows_the_shortfall_of_all_that_was_asked() -> None:
    found = at_end(asked("O1"), asked("O2"), given("A1", 5, 10_001 * CENT), given("A2", 100, 10_050 * CENT, "O2"))
    (group,) = grouped(latest(found.values()), lambda _: "all")
    assert group.lost == (20_000 * PX, 0, 5 * CENT + 50 * PX, 95 * PX, 0)
    assert (group.lost.cost, group.lost.cost_mbps) == (145 * PX + 5 * CENT, 72_525)
    assert report(found.values()) == [
        "Cost in basis points of the benchmark, money-weighted; + hurt, - helped. Parents' lines are from prints.",
        "Shortfall: of all that was asked, what was not done at the price it left behind; the others of what was done.",
        "",
        "client orders      rows    asked     done           money  shortfall  arrival     VWAP    delay     fees",
        "  TWAP                2      200      105       10,550.05     +72.52   +47.67    -2.32        -    +0.00",
    ]


def test_not_trading_saves_nothing() -> None:
    """Alone, each order trades at 100.50; together nothing is done and the price runs to 101."""
    alone = at_end(asked("O1"), given("A1", 100, 10_050 * CENT))["O1"]
    nothing = at_end(asked("O1"))["O1"]
    done = [asked("O1"), given("A1", 100, 10_050 * CENT), alone]
    found = savings([asked("O1"), nothing], done)
    assert (found.together.total_mbps, found.alone.total_mbps, found.saved_mbps) == (100_000, 50_000, -50_000)
    assert (found.together.total, found.together.opportunity, found.saved) == (100 * PX, 100 * PX, -50 * PX)
