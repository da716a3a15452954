"""Kind G: crosses are in whole lots for every member; a rest below a lot is named, and never asked for again."""

from __future__ import annotations

import pytest

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.orders import Side
from pipeline.domain.parents import Cross, LineageKind, ParentKind
from tests.unit.stages.netting.netting_bench import (
    T0,
    NettingBench,
    S,
    aside,
    cancel,
    closed,
    config,
    crossed,
    instrument,
    order,
)

BUY, SELL = Side.BUY, Side.SELL
SIDES = pytest.mark.parametrize(("one", "other"), [(BUY, SELL), (SELL, BUY)])


@SIDES
def test_two_of_one_side_and_one_of_the_other_cross_a_whole_lot(one: Side, other: Side) -> None:
    bench = NettingBench()
    bench.feed(instrument(lot_qty=100), order("a1", one), order("a2", one), order("z", other))
    bench.to(T0 + 5 * S)
    done = crossed(bench.crosses())
    assert done["z"] == 100 and sorted(done.values()) == [100, 100], "one of the two, all of it"
    assert [(parent.order_qty, parent.member_count) for parent in bench.parents(ParentKind.NEW)] == [(100, 1)]


@SIDES
def test_a_rest_below_a_lot_does_not_cross(one: Side, other: Side) -> None:
    bench = NettingBench()
    bench.feed(instrument(lot_qty=100), order("a", one, 250), order("z", other, 370))
    bench.to(T0 + 5 * S)
    assert crossed(bench.crosses()) == {"a": 200, "z": 200}
    bench = NettingBench()
    bench.feed(instrument(lot_qty=100), order("a", one, 50), order("z", other, 50))
    bench.to(T0 + 5 * S)
    assert bench.crosses() == []


def test_lots_hold_in_every_piece_of_a_cross() -> None:
    bench = NettingBench(config=config(max_legs=3))
    bench.feed(instrument(lot_qty=100), *(order(f"b{n}", BUY, 100 + 100 * n) for n in range(4)))
    bench.feed(*(order(f"s{n}", SELL, 300) for n in range(3)))
    bench.to(T0 + 5 * S)
    quantities = [leg.qty for each in bench.crosses() for leg in (*each.buys, *each.sells)]
    assert quantities and all(qty % 100 == 0 for qty in quantities)
    assert sum(each.qty for each in bench.crosses()) == 900


@SIDES
def test_working_parents_cross_whole_lots_for_each_member(one: Side, other: Side) -> None:
    bench = NettingBench()
    bench.feed(instrument(lot_qty=100), order("a1", one, 300), order("a2", one, 300))
    bench.to(T0 + 5 * S)
    bench.feed(order("z", other, 300, r_held=True))
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + 6 * S))
    assert [ask.ask_qty % 100 for ask in asks] == [0, 0]
    answers = {asks[0].parent_id: 300, asks[1].parent_id: 300}
    made = bench.feed(*(aside(ask, answers[ask.parent_id]) for ask in asks))
    done = crossed(bench.all(Cross, made))
    # 150 of each are out or set aside: a hundred of each may cross, and nobody gets a piece of a lot.
    assert done == {"z": 200, "a1": 100, "a2": 100}


def test_an_odd_rest_that_can_never_trade_is_named_once() -> None:
    """100 and 100 with 100 executed: 50 are left of each; one leaves, and the other's 50 are below a lot."""
    bench = NettingBench()
    bench.feed(instrument(lot_qty=100), order("a"), order("b"))
    bench.to(T0 + 5 * S)
    (parent,) = bench.parents(ParentKind.NEW)
    bench.feed(cancel("a"))
    made = bench.feed(closed(parent, {"a": (50, 50), "b": (50, 50)}))
    assert [each.left_qty for each in bench.lineage(LineageKind.LEFT, made)] == [50]
    (alert,) = bench.all(Alert, made)
    assert (alert.kind, alert.reason, alert.subject_id) == (AlertKind.COMPLETION_AT_RISK, "BELOW_LOT", parent.parent_id)
    assert "50" in alert.text and "100" in alert.text


def test_an_odd_order_is_named_as_its_parent_is_made() -> None:
    bench = NettingBench()
    bench.feed(order("a", qty=150))
    bench.feed(instrument(lot_qty=100))  # a tier that changed after intake had taken the order
    made = bench.to(T0 + 5 * S)
    assert [alert.reason for alert in bench.all(Alert, made)] == ["BELOW_LOT"]
    assert [parent.order_qty for parent in bench.parents(ParentKind.NEW, made)] == [150], "nothing is rounded away"
