"""A. What takes back may come before what it takes back, or after what replaces it: the books end the same.

What the contract guarantees: records of one topic and instrument come in their writer's order. So an execution comes
before its restatements on `fills`, and a cross before its own on `crosses`; between topics, and between executions, any
order may come.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest
from msgspec.structs import replace

from pipeline.domain.allocations import Allocation, AllocKind, Reconciliation
from pipeline.domain.controls import Alert
from pipeline.domain.executions import Fill
from pipeline.domain.orders import OrderEvent, OrderEventKind, OrdStatus, Side
from pipeline.domain.parents import CrossKind, ParentKind
from pipeline.domain.record import Record
from tests.allocation_builders import (
    PX,
    Books,
    begin,
    bench,
    bust,
    cross,
    fill,
    order,
    parent,
    quiet,
    statement,
)


def shares(put_in: Sequence[Record]) -> dict[str, tuple[int, int, int]]:
    stage = bench()
    stage.feed(*put_in)
    books = Books(stage.out)
    books.check_orders()
    books.check_epoch("P", 1, [f for f in put_in if isinstance(f, Fill)])
    return {a.order_id: (a.alloc_qty, a.alloc_avg_px, a.fee) for a in books.standing.values()}


# ------------------------------------------------------------------ executions


def test_a_late_fill_and_a_bust_end_the_same_whichever_comes_first() -> None:
    """A venue restates by a bust and a new execution as often as by a correction, in either order."""
    first = fill("f1", 6, 100 * PX)
    start = [*begin([3, 3])[1], first, quiet()]
    late, back = fill("f2", 6, 100 * PX), bust("b", first)
    assert (
        shares([*start, late, back]) == shares([*start, back, late]) == {"O0": (3, 100 * PX, 0), "O1": (3, 100 * PX, 0)}
    )


def test_a_client_whose_execution_is_busted_and_told_again_has_it_back_though_his_order_has_ended() -> None:
    stage = bench()
    first = fill("f1", 6, 100 * PX)
    stage.feed(*begin([3, 3])[1], first, quiet())
    stage.feed(bust("b", first))
    out = stage.feed(fill("f2", 6, 101 * PX))
    events = [
        (e.kind, e.order_id, e.last_qty, e.cum_qty, e.avg_px, e.ord_status, e.final) for e in stage.all(OrderEvent, out)
    ]
    assert events == [
        (OrderEventKind.TRADE_CORRECT, order_id, 3, 3, 101 * PX, OrdStatus.FILLED, True) for order_id in ("O0", "O1")
    ]
    assert [(a.kind, a.ref_alloc_id, a.alloc_qty) for a in stage.all(Allocation, out)] == [
        (AllocKind.NEW, None, 3),
        (AllocKind.NEW, None, 3),
    ]


@pytest.mark.parametrize("sizes", [(1, 2), (2, 1), (1, 1, 1), (3,)])
def test_late_fills_end_the_same_in_any_order(sizes: tuple[int, ...]) -> None:
    """Largest remainder is not monotone: 1, 2, 4 of (1, 3, 3) ended as (0, 2, 2), and 1, 3, 4 as (1, 1, 2)."""
    late = [fill(f"l{i}", qty, 100 * PX) for i, qty in enumerate(sizes)]
    start = [*begin([1, 3, 3])[1], parent("P", ParentKind.RECALL), fill("f", 1, 100 * PX), quiet(final=False)]
    got = shares([*start, *late])
    assert {order_id: qty for order_id, (qty, _, _) in got.items()} == {"O1": 2, "O2": 2}


def test_a_correction_of_a_correction_and_a_bust_of_that_leave_nothing() -> None:
    first = fill("f1", 10, 100 * PX, 7)
    second = fill("g1", 8, 101 * PX, 5, prior=first)
    third = fill("g2", 9, 99 * PX, 6, prior=replace(second, fill_id="f1"))
    last = bust("b", replace(third, fill_id="f1"))
    start = begin([6, 6])[1]
    for cut in range(5):
        told: list[Record] = [first, second, third, last]
        told.insert(cut, quiet())
        assert shares([*start, *told]) == {}, cut
    for cut in range(4):
        told = [first, second, third]
        told.insert(cut, quiet())
        kept = shares([*start, *told])
        # 9 at 99 with a fee of 6, the ninth unit and its fee to one of two equals; beyond the end, the error account's
        assert sum(qty for qty, _, _ in kept.values()) in (8, 9) if cut else kept == {}, cut


@pytest.mark.parametrize("topic_order", list(permutations(range(4))))
def test_topics_may_be_read_in_any_order(topic_order: tuple[int, ...]) -> None:
    lines, records = begin([6, 6])
    first = fill("f1", 10, 100 * PX, 7)
    topics: list[list[Record]] = [
        records[:2],
        list(statement("P", lines)),
        [parent("P", lines=lines)],
        [first, fill("g1", 8, 101 * PX, 5, prior=first), quiet(), fill("f2", 1, 200 * PX, 1)],
    ]
    told = [record for index in topic_order for record in topics[index]]
    px = (8 * 101 + 200) * PX // 9
    got = shares(told)
    assert {o: (q, p) for o, (q, p, _) in got.items()} == {"O0": (4, px), "O1": (4, px)}


def test_a_chunk_or_record_told_again_changes_nothing() -> None:
    lines, records = begin([6, 6])
    stage = bench()
    chunks = statement("P", lines, chunk=1)
    own = parent("P", lines=lines)
    stage.feed(*records[:2], chunks[0], chunks[0], own, own)
    assert stage.feed(fill("f", 4), quiet()) == [], "one chunk told twice is not two chunks"
    stage.feed(chunks[1], chunks[1])
    stage.feed(*records[:2], *chunks, own)
    first = Books(stage.out).shares()
    assert sorted(first.values()) == [(2, 100 * PX, 0)] * 2
    back = stage.feed(bust("b", fill("f", 4)))
    assert [(a.kind, a.ref_alloc_id) for a in stage.all(Allocation, back)] == [
        (AllocKind.CANCEL, "A0-1"),
        (AllocKind.CANCEL, "A0-2"),
    ], "the chunk told again has not wiped out what was allocated"
    other = statement("P", [("O0", "acc-O0", 5), ("O1", "acc-O1", 7)], chunk=1)
    assert [a.reason for a in stage.all(Alert, stage.feed(*other))] == ["CONTRADICTS_STATEMENT"] * 2
    assert [a.reason for a in stage.all(Alert, stage.feed(order("O0", 9)))] == ["ORDER_ID_TWICE"]


# ------------------------------------------------------------------ crosses


def both(cross_id: str, qty: int, px: int, kind: CrossKind = CrossKind.TRADE, ref: str | None = None) -> Record:
    legs = ([], []) if kind is CrossKind.BUST else ([("B", qty, None)], [("S", qty, None)])
    return cross(cross_id, *legs, px, kind, ref)


CROSS = both("X", 5, 7 * PX)
CORRECTED = both("X2", 4, 8 * PX, CrossKind.CORRECT, "X")
AGAIN = both("X3", 6, 9 * PX, CrossKind.CORRECT, "X2")
BY_ROOT = both("X3", 6, 9 * PX, CrossKind.CORRECT, "X")


@pytest.mark.parametrize("last", [AGAIN, BY_ROOT], ids=["names the correction", "names the cross"])
def test_a_correction_of_a_correction_of_a_cross_restates_it(last: Record) -> None:
    stage = bench()
    stage.feed(order("B", 10), order("S", 10, Side.SELL), CROSS, CORRECTED)
    out = stage.feed(last)
    assert stage.all(Alert, out) == []
    assert [(a.kind, a.alloc_id, a.ref_alloc_id, a.order_id, a.alloc_qty) for a in stage.all(Allocation, out)] == [
        (AllocKind.REPLACE, "A0-5", "A0-3", "B", 6),
        (AllocKind.REPLACE, "A0-6", "A0-4", "S", 6),
    ]
    (told,) = stage.all(Reconciliation, out)
    assert (told.cross_id, told.version, told.executed_qty, told.executed_money) == ("X", 3, 6, 54 * PX)
    gone = stage.feed(both("X4", 0, PX, CrossKind.BUST, "X3"))
    assert [(a.kind, a.ref_alloc_id) for a in stage.all(Allocation, gone)] == [
        (AllocKind.CANCEL, "A0-5"),
        (AllocKind.CANCEL, "A0-6"),
    ]


@pytest.mark.parametrize("told", list(permutations((CROSS, CORRECTED, AGAIN))))
def test_what_restates_a_cross_may_come_before_it(told: tuple[Record, ...]) -> None:
    stage = bench()
    stage.feed(order("B", 10), order("S", 10, Side.SELL), *told)
    books = Books(stage.out)
    assert set(books.shares().values()) == {(6, 9 * PX, 0)}
    assert [books.cum(o) for o in ("B", "S")] == [6, 6]
    busted = bench()
    busted.feed(order("B", 10), order("S", 10, Side.SELL), both("X4", 0, PX, CrossKind.BUST, "X"), CROSS)
    assert Books(busted.out).shares() == {}, "a bust before its cross"


def test_a_cross_told_again_is_booked_once() -> None:
    stage = bench()
    stage.feed(order("B", 10), order("S", 10, Side.SELL), CROSS)
    assert stage.feed(CROSS) == []
    assert [a.reason for a in stage.all(Alert, stage.feed(both("X", 9, PX)))] == ["CROSS_ID_TWICE"]
    stage.feed(CORRECTED)
    assert [a.reason for a in stage.all(Alert, stage.feed(CORRECTED))] == ["CROSS_ID_TWICE"]
    assert set(Books(stage.out).shares().values()) == {(4, 8 * PX, 0)}
