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
from pipeline.stages.stage import Meta
from pipeline.stages.tca import TCA
from tests.bench import Bench

S = 1_000_000_000
T0 = 1_767_623_400 * S
DAY = 20260105
PX = 1_000_000_000


def bench() -> Bench:  # type: ignore[type-arg]
    return Bench(TCA())


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


TAPE = (trade("1", T0 + 9 * S, 500 * PX, 1_000), trade("2", T0 + 12 * S, 100 * PX, 100),
        trade("3", T0 + 20 * S, 103 * PX, 200), trade("4", T0 + 15 * S, 900 * PX, 7_000, eligible=False),
        trade("5", T0 + 21 * S, 500 * PX, 1_000))  # fmt: skip
VWAP = 102 * PX
"""Of prints 2 and 3: within [first sent, last fill], eligible."""


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


def test_rows_beyond_a_ticks_bound_are_written_at_the_next_in_the_order_they_fell_due() -> None:
    run = Bench(TCA(), swap_every=0)
    state, step = run.state, run.stage.step
    count = 1_500
    tick = Tick(kind=TickKind.TICK, now_ns=T0 + 60 * S, wall_ns=T0 + 60 * S, trade_date=DAY)
    later = Tick(kind=TickKind.TICK, now_ns=T0 + 61 * S, wall_ns=T0 + 61 * S, trade_date=DAY)
    for number in range(count):
        allocated = msgspec.structs.replace(allocation(f"A{number}", 10, PX, T0 + 9 * S), order_id=f"O{number:05d}")
        # Every third is allocated before its order is seen: its row waits for it.
        records = [order(f"O{number:05d}"), allocated]
        for record in reversed(records) if number % 3 == 0 else records:
            assert not list(step(state, record, Meta(0)))
    first = [row.subject_id for row in run.all(TCARow, step(state, tick, Meta(0)))]
    rest = [row.subject_id for row in run.all(TCARow, step(state, later, Meta(0)))]
    assert len(first) == 1_000
    assert first + rest == [f"O{number:05d}" for number in range(count)]


def test_an_allocation_whose_order_is_not_known_yet_has_no_row_until_it_is() -> None:
    run = bench()
    run.feed(allocation("A1", 10, PX, T0 + 9 * S))
    run.tick(T0 + 10 * S)
    assert run.all(TCARow) == []
    run.feed(order())
    run.tick(T0 + 11 * S)
    assert [row.subject_id for row in run.all(TCARow)] == ["O1"]
