"""TCA: benchmarks are prices; rows for children, parents and orders, restated when an execution is."""

from __future__ import annotations

import msgspec
import pytest

from pipeline.domain.allocations import Allocation, AllocKind, AllocSource
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.market import NBBO, PrintKind, QuoteKind, TradePrint
from pipeline.domain.orders import (
    Capacity,
    Order,
    OrderKind,
    OrderRequest,
    OrdType,
    RequestKind,
    Side,
    Strategy,
    TimeInForce,
)
from pipeline.domain.parents import ParentKind, ParentOrder
from pipeline.stages.tca.parameters import TCAParameters
from pipeline.stages.tca.stage import TCAStage
from tests.stage_bench import Bench

S = 1_000_000_000
T0 = 1_767_623_400 * S
DAY = 20260105
PX = 1_000_000_000


def bench() -> Bench:  # type: ignore[type-arg]
    return Bench(TCAStage())


def quote(at_ns: int, midpoint_px: int) -> NBBO:
    return NBBO(kind=QuoteKind.NBBO, instrument="XYZ", feed="f", event_ns=at_ns, received_ns=at_ns, quote_no=1,
                bid_px=midpoint_px - 10, offer_px=midpoint_px + 10)  # fmt: skip


def trade(print_id: str, at_ns: int, px: int, qty: int, eligible: bool = True) -> TradePrint:
    return TradePrint(kind=PrintKind.TRADE, instrument="XYZ", venue="V", print_id=print_id, event_ns=at_ns,
                      received_ns=at_ns, px=px, qty=qty, eligible_vwap=eligible)  # fmt: skip


def order(order_id: str = "O1", received_ns: int = T0 + 5 * S, side: Side = Side.BUY) -> Order:
    request = OrderRequest(kind=RequestKind.NEW, source="s", cl_ord_id="c", account="acc", instrument="XYZ", side=side,
                           order_qty=100, strategy=Strategy.TWAP)  # fmt: skip
    return Order(kind=OrderKind.NEW, order_id=order_id, instrument="XYZ", trade_date=DAY, append_ns=1,
                 received_ns=received_ns, accepted_ns=received_ns, request=request)  # fmt: skip


def parent(arrival_px: int | None = 100 * PX) -> ParentOrder:
    return ParentOrder(kind=ParentKind.NEW, parent_id="P", instrument="XYZ", bucket_id="b", trade_date=DAY, epoch_no=1,
                       side=Side.BUY, order_qty=100, strategy=Strategy.VWAP, arrival_px=arrival_px,
                       at_ns=T0)  # fmt: skip


def child(child_id: str = "C1", at_ns: int = T0 + 10 * S, midpoint_px: int = 101 * PX) -> ChildOrder:
    return ChildOrder(
        kind=ChildKind.NEW, child_id=child_id, wire_id="w", parent_id="P", slice_no=1, epoch_no=1, venue="XV",
        instrument="XYZ", side=Side.BUY, order_qty=60, ord_type=OrdType.LIMIT, limit_px=1,
        time_in_force=TimeInForce.IOC, sent_ns=at_ns, bid_px=midpoint_px - 10, offer_px=midpoint_px + 10,
    )  # fmt: skip


def fill(kind: FillKind = FillKind.TRADE, qty: int = 50, px: int = 102 * PX, at_ns: int = T0 + 20 * S,
         **fields: object) -> Fill:  # fmt: skip
    values: dict[str, object] = {
        "kind": kind, "fill_id": "F1", "parent_id": "P", "epoch_no": 1, "slice_no": 1, "child_id": "C1",
        "instrument": "XYZ", "side": Side.BUY, "last_qty": qty, "last_px": px, "fee": 50, "parent_cum_qty": 0,
        "parent_live_qty": 0, "trade_date": DAY, "venue_ns": at_ns, "at_ns": at_ns,
    }  # fmt: skip
    return msgspec.convert(values | fields, Fill)


def over() -> Fill:
    return fill(FillKind.QUIET, 0, fill_id="Q", child_id="", final=True)


def allocation(alloc_id: str, qty: int, px: int, at_ns: int, ref: str | None = None, kind: AllocKind = AllocKind.NEW,
               fee: int = 0) -> Allocation:  # fmt: skip
    return Allocation(
        kind=kind, alloc_id=alloc_id, ref_alloc_id=ref, alloc_source=AllocSource.EXECUTIONS, instrument="XYZ",
        parent_id="P", epoch_no=1, order_id="O1", source="s", cl_ord_id="c", alloc_account="acc", side=Side.BUY,
        capacity=Capacity.AGENCY, alloc_qty=qty, alloc_avg_px=px, net_money=qty * px, fee=fee, currency="USD",
        trade_date=DAY, settlement_date=20260107, at_ns=at_ns,
    )  # fmt: skip


def rows(b: Bench, at_ns: int) -> dict[str, TCARow]:  # type: ignore[type-arg]
    return {row.subject_id: row for row in b.all(TCARow, b.tick(at_ns))}


def day(no: int, second: int = 0) -> Tick:
    at_ns = T0 + no * 86_400 * S + second * S
    return Tick(kind=TickKind.TICK, now_ns=at_ns, wall_ns=at_ns, trade_date=DAY + no)


TAPE = (trade("1", T0 + 9 * S, 500 * PX, 1_000), trade("2", T0 + 12 * S, 100 * PX, 100),
        trade("3", T0 + 20 * S, 103 * PX, 200), trade("4", T0 + 15 * S, 900 * PX, 7_000, eligible=False),
        trade("5", T0 + 21 * S, 500 * PX, 1_000))  # fmt: skip
VWAP = 102 * PX
"""Of prints 2 and 3: within [first sent, last fill], eligible."""


CENT = PX // 100
END = T0 + 60 * S


def costed_day() -> list[TCARow]:
    """An order and its parent to the end of their day: 70 filled, 10 of it busted, 50 corrected to 40 at one more.

    100 at receipt, 101 at release, 110 when it is over with 40 of 100 undone.
    """
    b = bench()
    b.feed(quote(T0, 100 * PX), msgspec.structs.replace(order(), end_ns=END))
    b.tick(T0 + 6 * S)
    b.feed(trade("1", T0 + 11 * S, 102 * PX, 900), trade("2", T0 + 30 * S, 103 * PX, 300))
    b.feed(trade("3", END + 1, 500 * PX, 300))
    b.feed(
        msgspec.structs.replace(parent(), first_received_ns=T0 + 5 * S, end_ns=END),
        child(),
        msgspec.structs.replace(child("C2", T0 + 12 * S), venue="YV"),
        fill(fee=50 * CENT),
        fill(fill_id="F2", qty=10, px=104 * PX, fee=10 * CENT, at_ns=T0 + 25 * S),
        fill(fill_id="F3", child_id="C2", qty=20, px=101 * PX, fee=20 * CENT),
        fill(FillKind.BUST, 10, 104 * PX, fill_id="F4", ref_fill_id="F2", fee=0, prior_fee=10 * CENT,
             at_ns=T0 + 40 * S),
        fill(FillKind.CORRECT, 40, 103 * PX, fill_id="F5", ref_fill_id="F1", prior_qty=50, prior_px=102 * PX,
             prior_fee=50 * CENT, fee=40 * CENT, at_ns=T0 + 41 * S),
        quote(T0 + 50 * S, 110 * PX),
    )  # fmt: skip
    b.feed(allocation("A1", 70, 10_229 * CENT, T0 + 50 * S, fee=70 * CENT))
    b.feed(allocation("A2", 60, 10_233 * CENT, T0 + 55 * S, "A1", AllocKind.REPLACE, fee=60 * CENT))
    b.feed(fill(FillKind.QUIET, 0, at_ns=END, fill_id="Q", child_id="", final=True), quote(END + 1, 300 * PX))
    return b.all(TCARow, b.tick(END + 2 * S))


def costed(level: TCALevel, subject_id: str, **fields: object) -> TCARow:
    """A row of the costed day with what all of its rows have in common."""
    values: dict[str, object] = {
        "level": level, "subject_id": subject_id, "revision": 1, "parent_id": "P", "instrument": "XYZ",
        "side": Side.BUY, "strategy": Strategy.VWAP, "trade_date": DAY, "arrival_px": 100 * PX,
        "release_px": 101 * PX, "start_ns": T0 + 5 * S, "end_ns": END, "aggregation_delay_cost_mbps": None,
        "at_ns": END + 2 * S,
    }  # fmt: skip
    return TCARow(**(values | fields))  # type: ignore[arg-type]


WHOLE = {"order_qty": 100, "executed_qty": 60, "fees": 60 * CENT, "interval_vwap_px": 10_225 * CENT,
         "interval_vwap_qty": 1_200, "aggregation_delay_cost_mbps": 100_000, "fee_cost_mbps": 977,
         "participation": 50_000, "final": True, "unexecuted_qty": 40, "last_px": 110 * PX, "delay_cost_mbps": 60_000,
         "opportunity_cost_mbps": 400_000, "explicit_cost_mbps": 600}  # fmt: skip
"""What the order's and the parent's row say alike."""


def test_a_day_with_a_bust_and_a_correction_is_costed_to_the_unit() -> None:
    order_row, parent_row, first, second = costed_day()
    assert order_row == costed(
        TCALevel.ORDER, "O1", **WHOLE, strategy=Strategy.TWAP, account="acc", avg_px=10_233 * CENT,
        arrival_cost_mbps=233_000, vwap_cost_mbps=7_824, trading_cost_mbps=79_800, shortfall_cost_mbps=540_400,
        fill_end_ns=T0 + 55 * S, fill_vwap_px=10_225 * CENT, fill_vwap_qty=1_200, fill_vwap_cost_mbps=7_824,
    )  # fmt: skip
    assert parent_row == costed(
        TCALevel.PARENT, "P", **WHOLE, avg_px=102_333_333_333, arrival_cost_mbps=233_333, vwap_cost_mbps=8_150,
        trading_cost_mbps=80_000, shortfall_cost_mbps=540_600, fill_end_ns=T0 + 20 * S, fill_vwap_px=102 * PX,
        fill_vwap_qty=900, fill_vwap_cost_mbps=32_680,
    )  # fmt: skip
    assert first == costed(
        TCALevel.CHILD, "C1", venue="XV", order_qty=60, executed_qty=40, avg_px=103 * PX, fees=40 * CENT,
        arrival_px=101 * PX, start_ns=T0 + 10 * S, end_ns=T0 + 20 * S, interval_vwap_px=102 * PX,
        interval_vwap_qty=900, arrival_cost_mbps=198_020, vwap_cost_mbps=98_039, fee_cost_mbps=971,
        participation=44_444, fill_end_ns=T0 + 20 * S, fill_vwap_px=102 * PX, fill_vwap_qty=900,
        fill_vwap_cost_mbps=98_039,
    )  # fmt: skip
    assert second == costed(
        TCALevel.CHILD, "C2", venue="YV", order_qty=60, executed_qty=20, avg_px=101 * PX, fees=20 * CENT,
        arrival_px=101 * PX, start_ns=T0 + 12 * S, end_ns=T0 + 20 * S, interval_vwap_px=None, interval_vwap_qty=0,
        arrival_cost_mbps=0, vwap_cost_mbps=None, fee_cost_mbps=990, participation=None, fill_end_ns=T0 + 20 * S,
    )  # fmt: skip


@pytest.mark.parametrize("child_first", [True, False], ids=["child first", "fill first: topics have no order"])
def test_a_parent_that_is_over_gets_its_row_and_its_childrens(child_first: bool) -> None:
    b = bench()
    first, second = (child(), fill()) if child_first else (fill(), child())
    b.feed(*TAPE, first, second, parent())
    assert rows(b, T0 + 30 * S) == {}, "not over yet"
    b.feed(over())
    found = rows(b, T0 + 31 * S)
    assert set(found) == {"P", "C1"}
    one, whole = found["C1"], found["P"]
    assert (one.level, one.venue, one.executed_qty, one.avg_px, one.fees) == (TCALevel.CHILD, "XV", 50, 102 * PX, 50)
    assert (one.arrival_px, one.strategy, one.trade_date) == (101 * PX, Strategy.VWAP, DAY)
    assert one.arrival_cost_mbps == round(10_000_000 / 101), "bought one above the midpoint at sending: hurt"
    assert (whole.arrival_px, whole.release_px, whole.start_ns, whole.end_ns) == (
        100 * PX,
        101 * PX,
        T0 + 10 * S,
        T0 + 20 * S,
    )
    assert (whole.interval_vwap_px, whole.interval_vwap_qty) == (VWAP, 300)
    assert (whole.arrival_cost_mbps, whole.vwap_cost_mbps) == (200_000, 0)
    assert whole.aggregation_delay_cost_mbps == 100_000, "the midpoint rose by one per cent in our own window"
    assert whole.participation == 1_000_000 * 50 // 300
    assert whole.fee_cost_mbps == round(50 * 10_000_000 / (50 * 102 * PX))


def test_a_fill_whose_parent_and_child_are_not_known_yet_makes_no_row_until_they_are() -> None:
    b = bench()
    b.feed(fill(), over())
    assert rows(b, T0 + 30 * S) == {}
    b.feed(child(), parent())
    found = rows(b, T0 + 31 * S)
    assert {name: row.executed_qty for name, row in found.items()} == {"P": 50, "C1": 50}


def test_a_bust_after_the_end_makes_a_new_revision_of_both_rows() -> None:
    b = bench()
    b.feed(parent(), child(), fill(), fill(qty=10, px=104 * PX, fill_id="F2", fee=5), over())
    first = rows(b, T0 + 30 * S)
    assert (first["P"].executed_qty, first["P"].revision) == (60, 1)
    b.feed(fill(FillKind.BUST, 10, 104 * PX, fill_id="F3", ref_fill_id="F2", fee=0, prior_fee=5))
    second = rows(b, T0 + 31 * S)
    assert {name: row.revision for name, row in second.items()} == {"P": 2, "C1": 2}
    assert (second["P"].executed_qty, second["P"].avg_px, second["P"].fees) == (50, 102 * PX, 50)
    b.feed(fill(FillKind.BUST, 50, 102 * PX, fill_id="F4", ref_fill_id="F1", fee=0, prior_fee=50))
    third = rows(b, T0 + 32 * S)["P"]
    assert (third.executed_qty, third.avg_px, third.arrival_cost_mbps, third.fees) == (0, None, None, 0)
    assert rows(b, T0 + 33 * S) == {}


def test_a_correction_restates_price_quantity_and_fee() -> None:
    b = bench()
    b.feed(parent(), child(), fill(), over())
    rows(b, T0 + 30 * S)
    b.feed(fill(FillKind.CORRECT, 40, 103 * PX, fill_id="F2", ref_fill_id="F1", prior_qty=50, prior_px=102 * PX,
                prior_fee=50, fee=40))  # fmt: skip
    found = rows(b, T0 + 31 * S)["C1"]
    assert (found.executed_qty, found.avg_px, found.fees, found.revision) == (40, 103 * PX, 40, 2)


def test_an_orders_arrival_is_the_midpoint_at_receipt_not_before_and_not_after() -> None:
    b = bench()
    b.feed(quote(T0, 99 * PX), quote(T0 + 5 * S, 100 * PX), order(), quote(T0 + 5 * S + 1, 150 * PX))
    b.tick(T0 + 6 * S)
    b.feed(child(), parent(), allocation("A1", 30, 101 * PX, T0 + 20 * S, fee=3))
    found = rows(b, T0 + 21 * S)["O1"]
    assert (found.level, found.arrival_px, found.executed_qty, found.avg_px) == (TCALevel.ORDER, 100 * PX, 30, 101 * PX)
    assert (found.arrival_cost_mbps, found.release_px, found.fees) == (100_000, 101 * PX, 3)
    assert found.aggregation_delay_cost_mbps == 100_000
    assert (found.account, found.strategy, found.start_ns, found.end_ns) == (
        "acc",
        Strategy.TWAP,
        T0 + 5 * S,
        T0 + 20 * S,
    )


def test_an_order_received_after_the_last_tick_waits_for_its_quotes() -> None:
    b = bench()
    b.feed(quote(T0, 99 * PX), order())
    b.tick(T0 + 4 * S)
    b.feed(quote(T0 + 4 * S + 1, 98 * PX))
    b.tick(T0 + 6 * S)
    b.feed(allocation("A1", 30, 98 * PX, T0 + 20 * S))
    assert rows(b, T0 + 21 * S)["O1"].arrival_px == 98 * PX


def test_restated_allocations_replace_what_they_name() -> None:
    b = bench()
    b.feed(quote(T0, 100 * PX), order(), allocation("A1", 30, 101 * PX, T0 + 20 * S))
    assert rows(b, T0 + 21 * S)["O1"].revision == 1
    b.feed(allocation("A2", 20, 102 * PX, T0 + 22 * S, "A1", AllocKind.REPLACE))
    second = rows(b, T0 + 23 * S)["O1"]
    assert (second.revision, second.executed_qty, second.avg_px) == (2, 20, 102 * PX)
    b.feed(allocation("A3", 0, 0, T0 + 24 * S, "A2", AllocKind.CANCEL))
    third = rows(b, T0 + 25 * S)["O1"]
    assert (third.revision, third.executed_qty, third.avg_px) == (3, 0, None)


def test_a_sale_below_its_benchmark_hurts() -> None:
    b = bench()
    b.feed(quote(T0, 100 * PX), order(side=Side.SELL), allocation("A1", 30, 99 * PX, T0 + 20 * S))
    assert rows(b, T0 + 21 * S)["O1"].arrival_cost_mbps == 100_000


def test_without_a_quote_at_receipt_there_is_no_arrival_and_nothing_is_made_up() -> None:
    b = bench()
    b.feed(order(), quote(T0 + 6 * S, 100 * PX))
    b.tick(T0 + 7 * S)
    b.feed(allocation("A1", 30, 99 * PX, T0 + 20 * S))
    found = rows(b, T0 + 21 * S)["O1"]
    assert (found.arrival_px, found.arrival_cost_mbps, found.vwap_cost_mbps) == (None, None, None)


def test_rows_a_tick_leaves_over_go_out_between_ticks_each_once() -> None:
    b = Bench(TCAStage(TCAParameters(rows_per_tick=5)))
    b.feed(*(order(f"O{no}") for no in range(140)))
    b.tick(T0 + 6 * S)
    for no in range(140):
        given = allocation(f"A{no}", 1, PX, T0 + 20 * S)
        b.feed(msgspec.structs.replace(given, order_id=f"O{no}"))
    first = b.all(TCARow, b.tick(T0 + 21 * S))
    later = [row for no in range(70) for row in b.all(TCARow, b.feed(quote(T0 + 21 * S + no, PX)))]
    assert len(first) == 5 and len(later) == 135, "two with each message, until nothing is due"
    assert [row.subject_id for row in first + later] == [f"O{no}" for no in range(140)], "in the order they fell due"


@pytest.mark.parametrize("swap_every", [0, 1], ids=["totals kept up", "totals rebuilt"])
def test_a_print_taken_back_or_late_changes_the_interval_as_if_it_had_come_so_at_once(swap_every: int) -> None:
    b = Bench(TCAStage(), swap_every=swap_every)
    b.tick(T0)
    b.feed(*TAPE, trade("6", T0 + 14 * S, 50 * PX, 500))
    cancel = msgspec.structs.replace(trade("7", T0 + 14 * S, 0, 0), kind=PrintKind.CANCEL, ref_print_id="6")
    b.feed(cancel, parent(), child(), fill(), over())
    assert (rows(b, T0 + 30 * S)["P"].interval_vwap_px, rows(b, T0 + 30 * S)) == (VWAP, {})


def test_a_day_is_forgotten_at_the_end_of_the_next_and_what_is_newer_stays() -> None:
    b = bench()
    b.tick(T0)
    b.feed(order(), parent(), child(), fill(), allocation("A1", 30, 101 * PX, T0 + 20 * S), over())
    assert set(rows(b, T0 + 21 * S)) == {"O1", "P", "C1"}
    b.feed(day(1))
    b.feed(order("O2"), msgspec.structs.replace(allocation("A2", 5, PX, T0), order_id="O2"))
    late = b.feed(allocation("A3", 20, 102 * PX, T0 + 22 * S, "A1", AllocKind.REPLACE), day(1, 1))
    assert {row.subject_id: row.executed_qty for row in b.all(TCARow, late)} == {"O1": 20, "O2": 5}, "restated next day"
    for no in range(70):
        b.feed(msgspec.structs.replace(child(f"D{no}"), parent_id="Q"))
    b.feed(msgspec.structs.replace(parent(), parent_id="Q"))
    b.feed(day(2))
    names = [key for key, _ in b.state.dump()]
    assert not [key for key in names if key.endswith(("/O1", "/P", "/C1", "/A1"))], "they are of the first day"
    assert "subjects/ORDER/O2" in names and "booked/A2" in names and "subjects/CHILD/D69" in names
    b.feed(day(3))
    left = {key.partition("/")[0] for key, _ in b.state.dump()}
    assert not left & {"subjects", "booked", "children"}
