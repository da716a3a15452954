"""What working together saved: known numbers on a table, and the two days of the demo's orders."""

from __future__ import annotations

from pipeline.domain.allocations import Allocation, AllocKind, AllocSource
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.market import NBBO, QuoteKind
from pipeline.domain.orders import Capacity, Order, OrderKind, OrderRequest, RequestKind, Side, Strategy
from pipeline.domain.record import Record
from pipeline.tca.savings import DayCost, savings
from tests.days import longer_day, longer_day_alone, records_of

PX = 10**9


def order(order_id: str, side: Side, qty: int, cl_ord_id: str) -> Order:
    request = OrderRequest(
        kind=RequestKind.NEW, source="s", cl_ord_id=cl_ord_id, account="a", instrument="I", side=side, order_qty=qty
    )
    return Order(
        kind=OrderKind.NEW, order_id=order_id, instrument="I", trade_date=1, append_ns=1, received_ns=1, accepted_ns=1,
        request=request,
    )  # fmt: skip


def given(order_id: str, side: Side, qty: int, px: int, fee: int = 0, number: int = 1, ref: str | None = None,
          source: AllocSource = AllocSource.EXECUTIONS) -> Allocation:  # fmt: skip
    return Allocation(
        kind=AllocKind.NEW if ref is None else AllocKind.REPLACE, alloc_id=f"{order_id}.{number}", ref_alloc_id=ref,
        alloc_source=source, instrument="I", order_id=order_id, source="s", cl_ord_id="c", alloc_account="a", side=side,
        capacity=Capacity.AGENCY, alloc_qty=qty, alloc_avg_px=px, net_money=qty * px, fee=fee, currency="USD",
        trade_date=1, settlement_date=3, at_ns=1,
    )  # fmt: skip


def arrived(order_id: str, px: int) -> TCARow:
    return TCARow(
        level=TCALevel.ORDER, subject_id=order_id, revision=1, parent_id="", instrument="I", side=Side.BUY,
        strategy=Strategy.VWAP, trade_date=1, order_qty=1, executed_qty=1, avg_px=1, fees=0, arrival_px=px,
        release_px=None, start_ns=1, end_ns=1, interval_vwap_px=None, interval_vwap_qty=0, arrival_cost_mbps=None,
        vwap_cost_mbps=None, aggregation_delay_cost_mbps=None, fee_cost_mbps=None, participation=None, at_ns=1,
    )  # fmt: skip


def quote(bid_px: int, offer_px: int) -> NBBO:
    return NBBO(kind=QuoteKind.NBBO, instrument="I", feed="f", event_ns=9, received_ns=9, quote_no=1,
                bid_px=bid_px, offer_px=offer_px)  # fmt: skip


def test_costs_are_against_arrival_with_the_side_applied_and_restated_allocations_count_once() -> None:
    together: list[Record] = [
        order("O1", Side.BUY, 100, "c1"), order("O2", Side.SELL, 100, "c2"), order("O9", Side.BUY, 100, "only here"),
        arrived("O1", 100 * PX), arrived("O2", 100 * PX),
        given("O1", Side.BUY, 90, 101 * PX), given("O1", Side.BUY, 100, 100 * PX, number=2, ref="O1.1"),
        given("O2", Side.SELL, 100, 100 * PX, source=AllocSource.CROSS),
    ]  # fmt: skip
    alone: list[Record] = [
        order("P7", Side.BUY, 100, "c1"), order("P8", Side.SELL, 100, "c2"), quote(98 * PX, 100 * PX),
        given("P7", Side.BUY, 100, 101 * PX, fee=100 * PX), given("P8", Side.SELL, 60, 99 * PX),
    ]  # fmt: skip
    found = savings(together, alone)
    assert found.together == DayCost(
        orders=2, order_qty=200, executed_qty=200, crossed_qty=100, children=0, paper=20_000 * PX,
        executed_paper=20_000 * PX, cost=0, fees=0, spread_paid=0, opportunity=0, without_arrival=0,
    )  # fmt: skip
    assert found.alone == DayCost(
        orders=2, order_qty=200, executed_qty=160, crossed_qty=0, children=0, paper=20_000 * PX,
        executed_paper=16_000 * PX, cost=(100 + 60) * PX, fees=100 * PX, spread_paid=0, opportunity=40 * PX,
        without_arrival=0,
    ), "one more for each bought, one less for each sold; 40 not sold at 100, the last midpoint is 99"  # fmt: skip
    assert (found.together.total_mbps, found.alone.total_mbps) == (0, 150_000), "300 of 20,000 asked"
    assert (found.alone.total, found.saved_mbps, found.saved) == (300 * PX, 150_000, 300 * PX)
    assert found.text() == [
        "                      executed  crossed  children          cost   spread paid        fees      bps",
        "  as it was                200      100         0          0.00          0.00        0.00    +0.00",
        "  each order alone         160        0         0        160.00          0.00      100.00  +150.00",
        "Working together saved 300.00, +150.00 bps of what was asked. "
        "Crossing, upper bound: 0.00 had both sides crossed the spread.",
        "Not executed: 0 and 40, at the midpoint they left behind worth 0.00 and 40.00 (in the figures above).",
    ]


def test_on_the_demos_orders_the_two_days_are_the_same_orders_and_only_one_crosses() -> None:
    found = savings(records_of(longer_day()), records_of(longer_day_alone()))
    assert found.together.orders == found.alone.orders > 100
    assert found.together.order_qty == found.alone.order_qty
    assert found.together.crossed_qty > 0 == found.alone.crossed_qty
    assert found.together.children < found.alone.children
    assert found.crossing_bound > 0 and found.saved is not None
