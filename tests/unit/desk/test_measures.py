"""What each record adds to the desk's tables."""

from __future__ import annotations

import pytest

from pipeline.desk.measures import ALL, Amounts, Cell, Memory, cells, changes_of
from pipeline.domain.executions import FillKind, ReportKind
from pipeline.domain.orders import OrderEventKind, OrderKind, Side
from pipeline.domain.parents import CrossKind
from pipeline.domain.record import Record
from tests.unit.desk.records import PX, bar, cross, event, fill, order, report


def totals(*records: Record) -> dict[Cell, Amounts]:
    memory, sums = Memory(), dict[Cell, Amounts]()
    for record in records:
        for change in changes_of(memory, record):
            for cell in change.cells:
                to = sums.setdefault(cell, {})
                for measure, amount in change.amounts.items():
                    to[measure] = to.get(measure, 0) + amount
    return sums


AMZN = ("instrument", "AMZN")


def test_orders_count_by_instrument_and_source_and_cancels_apart() -> None:
    sums = totals(order(10), order(5, source="beta"), order(0, kind=OrderKind.CANCEL))
    assert sums[ALL] == {"orders": 2, "order_qty": 15, "cancel_requests": 1}
    assert sums[AMZN] == sums[ALL]
    assert sums["source", "alpha"] == {"orders": 1, "order_qty": 10, "cancel_requests": 1}
    assert sums["source", "beta"] == {"orders": 1, "order_qty": 5}


@pytest.mark.parametrize(
    ("then", "open_qty", "done_qty"),
    [
        ([], 10, 0),
        ([event(OrderEventKind.TRADE, leaves=6, last=4)], 6, 4),
        ([event(OrderEventKind.CROSSED, leaves=7, last=3), event(OrderEventKind.TRADE, leaves=6, last=1)], 6, 4),
        ([event(OrderEventKind.TRADE, leaves=0, last=10), event(OrderEventKind.FILLED)], 0, 10),
        ([event(OrderEventKind.TRADE, leaves=6, last=4), event(OrderEventKind.CANCELED)], 0, 4),
        ([event(OrderEventKind.EXPIRED)], 0, 0),
        # a bust after the end takes back what was done, and opens nothing
        ([event(OrderEventKind.FILLED, last=10), event(OrderEventKind.TRADE_CANCEL, last=-4)], 0, 6),
        # a bust while it works opens it again
        (
            [event(OrderEventKind.TRADE, leaves=6, last=4), event(OrderEventKind.TRADE_CANCEL, leaves=10, last=-4)],
            10,
            0,
        ),
        # answers to requests are no events of the order
        ([event(OrderEventKind.REPEATED, order_qty=10), event(OrderEventKind.CANCEL_REFUSED)], 10, 0),
        ([event(OrderEventKind.PENDING_CANCEL, leaves=10)], 10, 0),
    ],
)
def test_open_is_accepted_and_neither_done_nor_given_up(then: list[Record], open_qty: int, done_qty: int) -> None:
    sums = totals(event(OrderEventKind.ACCEPTED, order_qty=10, leaves=10), *then)
    for cell in (ALL, AMZN, ("source", "alpha")):
        assert (sums[cell]["open_buy_qty"], sums[cell]["done_qty"]) == (open_qty, done_qty)
        assert sums[cell]["accepted_qty"] == 10


def test_sales_of_every_kind_are_open_to_sell() -> None:
    sums = totals(
        event(OrderEventKind.ACCEPTED, no=1, side=Side.SELL, order_qty=3, leaves=3),
        event(OrderEventKind.ACCEPTED, no=2, side=Side.SELL_SHORT, order_qty=4, leaves=4),
        event(OrderEventKind.ACCEPTED, no=3, side=Side.BUY, order_qty=5, leaves=5),
    )
    assert (sums[ALL]["open_sell_qty"], sums[ALL]["open_buy_qty"]) == (7, 5)


def test_a_refused_request_counts_for_its_source_only() -> None:
    sums = totals(event(OrderEventKind.REFUSED, instrument="NOSUCH", order_qty=9))
    assert sums == {ALL: {"refused": 1}, ("source", "alpha"): {"refused": 1}}


def test_fills_busts_and_corrections_by_venue() -> None:
    sums = totals(
        fill(10, fee=30),
        fill(4, venue="XDRK", px=2 * PX),
        fill(10, kind=FillKind.BUST, prior_fee=30),
        fill(3, kind=FillKind.CORRECT, venue="XDRK", px=PX, prior=(4, 2 * PX), fee=7),
        fill(8, kind=FillKind.RETURNED, venue=""),
        fill(0, kind=FillKind.QUIET, venue=""),
    )
    assert sums["venue", "XLIT"] == {"fills": 1, "fill_qty": 0, "fill_money": 0, "fee_money": 0, "busts": 1}
    assert sums["venue", "XDRK"] == {"fills": 1, "fill_qty": 3, "fill_money": 3 * PX, "fee_money": 7, "corrections": 1}
    assert sums[AMZN]["fill_qty"] == 3
    assert set(sums) == {ALL, AMZN, ("venue", "XLIT"), ("venue", "XDRK")}


def test_a_cross_counts_once_for_its_instrument_and_for_each_source_with_its_part() -> None:
    sums = totals(cross(200))
    assert sums[ALL] == sums[AMZN] == {"crosses": 1, "crossed_qty": 200}
    assert sums["source", "alpha"] == sums["source", "beta"] == {"crosses": 1, "crossed_qty": 200}
    within = totals(cross(200, seller="alpha"))
    assert within["source", "alpha"] == {"crosses": 1, "crossed_qty": 400}


def test_a_busted_or_corrected_cross_is_taken_back() -> None:
    assert totals(cross(200), cross(200, no=2, ref=1, kind=CrossKind.BUST))[ALL]["crossed_qty"] == 0
    corrected = totals(cross(200), cross(150, no=2, ref=1, kind=CrossKind.CORRECT))
    assert corrected[ALL] == {"crosses": 1, "crossed_qty": 150}
    again = totals(
        cross(200), cross(150, no=2, ref=1, kind=CrossKind.CORRECT), cross(0, no=3, ref=2, kind=CrossKind.BUST)
    )
    assert again[ALL] == {"crosses": 0, "crossed_qty": 0}
    assert again["source", "beta"]["crossed_qty"] == 0


@pytest.mark.parametrize(
    ("said", "live_qty"),
    [
        ([report(ReportKind.NEW, leaves=10)], 10),
        ([report(ReportKind.NEW, leaves=10), report(ReportKind.TRADE, cum=4, leaves=6)], 6),
        ([report(ReportKind.TRADE, cum=4, leaves=6), report(ReportKind.NEW, leaves=10)], 6),  # out of order
        ([report(ReportKind.TRADE, cum=10), report(ReportKind.NEW, leaves=10)], 0),  # late, after its end
        ([report(ReportKind.NEW, leaves=10), report(ReportKind.CANCELED, wire="W2", orig="W1")], 0),
        ([report(ReportKind.NEW, leaves=10), report(ReportKind.CANCEL_REJECT, wire="W2", orig="W1")], 10),
        ([report(ReportKind.NEW, leaves=10), report(ReportKind.BUST, leaves=0)], 10),
        ([report(ReportKind.REJECTED)], 0),
        ([report(ReportKind.NEW, leaves=10), report(ReportKind.NEW, wire="W2", leaves=5)], 15),
    ],
)
def test_what_rests_is_what_the_venue_last_said(said: list[Record], live_qty: int) -> None:
    sums = totals(*said)
    assert sums["venue", "XLIT"]["live_qty"] == sums[AMZN]["live_qty"] == live_qty
    assert sums[ALL]["reports"] == len(said)


def test_of_a_bar_the_highest_revision_holds() -> None:
    memory = Memory()
    bars = [bar(100), bar(130, revision=3, close=PX + 1), bar(120, revision=2, close=PX + 2)]
    changes = [change.amounts["market_qty"] for record in bars for change in changes_of(memory, record)]
    assert changes == [100, 30]
    assert memory.closes["AMZN"][1] == PX + 1


def test_cells_name_what_is_there() -> None:
    assert cells() == (ALL,)
    assert cells(instrument="A", venue="V", source="S") == (
        ALL, ("instrument", "A"), ("venue", "V"), ("source", "S"),
    )  # fmt: skip
