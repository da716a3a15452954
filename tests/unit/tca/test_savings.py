"""What working together saved: known numbers on a table, with busts and corrections among them."""

from __future__ import annotations

import msgspec

from pipeline.domain.allocations import Allocation, AllocKind, AllocSource
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.market import NBBO, QuoteKind
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
from pipeline.domain.parents import CrossKind
from pipeline.domain.record import Record
from pipeline.tca.savings import DayCost, savings
from tests.unit.tca.test_report import cross as crossed

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


def sent(child_id: str, side: Side = Side.BUY, bid_px: int | None = 99 * PX, offer_px: int | None = 101 * PX,
         kind: ChildKind = ChildKind.NEW) -> ChildOrder:  # fmt: skip
    return ChildOrder(
        kind=kind, child_id=child_id, wire_id="w", parent_id="P", slice_no=1, epoch_no=1, venue="V", instrument="I",
        side=side, order_qty=60, ord_type=OrdType.LIMIT, time_in_force=TimeInForce.IOC, sent_ns=1, bid_px=bid_px,
        offer_px=offer_px,
    )  # fmt: skip


def filled(kind: FillKind, qty: int, px: int, child_id: str = "C1", side: Side = Side.BUY, **fields: int) -> Fill:
    return Fill(
        kind=kind, fill_id="F", parent_id="P", epoch_no=1, slice_no=1, child_id=child_id, instrument="I", side=side,
        last_qty=qty, last_px=px, parent_cum_qty=0, parent_live_qty=0, trade_date=1, at_ns=1, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_busted_cross_a_bust_and_a_correction_leave_the_savings() -> None:
    """O1 bought 30 of its 100 inside, and another 20 that were busted; 40 at venues, corrected from 50, 10 busted."""
    first = msgspec.structs.replace(crossed(10, 100 * PX), qty=30, bid_px=99 * PX, offer_px=101 * PX)
    second = msgspec.structs.replace(crossed(20, 100 * PX), qty=20, bid_px=90 * PX, offer_px=110 * PX)
    corrected = msgspec.structs.replace(second, kind=CrossKind.CORRECT, cross_id="K", ref_cross_id="X20")
    bust = msgspec.structs.replace(second, kind=CrossKind.BUST, cross_id="B", ref_cross_id="K")
    given_back = msgspec.structs.replace(
        given("O1", Side.BUY, 0, 0, number=4, ref="O1.3", source=AllocSource.CROSS), kind=AllocKind.CANCEL
    )
    unknown = msgspec.structs.replace(given("O1", Side.BUY, 9, 9, number=9, ref="O1.1"), kind=AllocKind.UNKNOWN)
    together: list[Record] = [
        bust, corrected, first, second, order("O1", Side.BUY, 100, "c1"), arrived("O1", 100 * PX),
        order("O2", Side.SELL, 10, "c2"), quote(109 * PX, 111 * PX),
        given("O1", Side.BUY, 30, 100 * PX, number=2, source=AllocSource.CROSS),
        given("O1", Side.BUY, 20, 100 * PX, number=3, source=AllocSource.CROSS), given_back,
        given("O1", Side.BUY, 50, 102 * PX, fee=5 * PX), given("O1", Side.BUY, 40, 103 * PX, 4 * PX, 5, "O1.1"),
        unknown, sent("C1"), sent("C2", Side.SELL), sent("C3", offer_px=None), sent("C1", kind=ChildKind.CANCEL),
        filled(FillKind.TRADE, 50, 102 * PX), filled(FillKind.TRADE, 10, 104 * PX),
        filled(FillKind.BUST, 10, 104 * PX),
        filled(FillKind.CORRECT, 40, 103 * PX, prior_qty=50, prior_px=102 * PX),
        filled(FillKind.TRADE, 5, 98 * PX, "C2", Side.SELL), filled(FillKind.TRADE, 7, 500 * PX, "C3"),
        filled(FillKind.RETURNED, 20, 0),
    ]  # fmt: skip
    found = savings(together, together)
    assert found.together == DayCost(
        orders=2, order_qty=110, executed_qty=70, crossed_qty=30, children=3, paper=10_000 * PX,
        executed_paper=7_000 * PX, cost=40 * 3 * PX, fees=4 * PX, spread_paid=(40 * 3 + 5 * 2) * PX,
        opportunity=30 * 10 * PX, without_arrival=1,
    )  # fmt: skip
    assert (found.together.total, found.together.total_mbps) == (424 * PX, 424_000)
    assert found.crossing_bound == 30 * 2 * PX, "the whole spread of the cross that stands"
    assert (found.saved_mbps, found.saved) == (0, 0)
    assert found.text()[1:] == [
        "  as it was                 70       30         3        120.00        130.00        4.00  +424.00",
        "  each order alone          70       30         3        120.00        130.00        4.00  +424.00",
        "Working together saved 0.00, +0.00 bps of what was asked. "
        "Crossing, upper bound: 60.00 had both sides crossed the spread.",
        "Not executed: 40 and 40, at the midpoint they left behind worth 300.00 and 300.00 (in the figures above).",
    ]


def test_the_latest_row_of_an_order_says_its_arrival_and_its_end_and_nothing_is_compared_without_one() -> None:
    old, new = arrived("O1", 100 * PX), msgspec.structs.replace(arrived("O1", 50 * PX), revision=2, last_px=60 * PX)
    day = [order("O1", Side.BUY, 10, "c1"), quote(99 * PX, 101 * PX)]
    for rows in ([old, new], [new, old]):
        found = savings([*day, *rows], day)
        assert (found.together.paper, found.together.opportunity) == (500 * PX, 100 * PX)
        assert (found.alone.paper, found.alone.opportunity) == (500 * PX, 500 * PX), "the arrival of the day together"
        assert (found.saved_mbps, found.saved) == (8_000_000, 400 * PX)
    none = savings(day, day)
    assert (none.together.without_arrival, none.together.total_mbps, none.saved_mbps, none.saved) == (
        1,
        None,
        None,
        None,
    )
    assert none.text()[-1].startswith("Not executed: 10 and 10") and len(none.text()) == 4
    assert savings([], []).text() == [
        *none.text()[:1],
        "  as it was                  0        0         0          0.00          0.00        0.00        -",
        "  each order alone           0        0         0          0.00          0.00        0.00        -",
    ]
    other = savings([*day, new], [order("O7", Side.BUY, 10, "c7"), *day])
    assert other.together.orders == 1, "an order of one of the days only is left out"
    dearer = savings([*day, new], [*day, msgspec.structs.replace(new, last_px=55 * PX)])
    assert dearer.text()[3].startswith("Working together cost 50.00, -1000.00 bps of what was asked.")
