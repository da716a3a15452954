"""Allocation, promise by promise: shares, progress, crosses, the day. What holds for every story is in
tests/properties/test_allocation.py; cancels, busts, corrections and late fills in test_corrections.py.
"""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from pipeline.algos.pro_rata import largest_remainder
from pipeline.algos.tie_break import tie_break
from pipeline.domain.allocations import Allocation, AllocKind, AllocSource, Reconciliation, TradeReport
from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, ControlScope, TickKind
from pipeline.domain.orders import OrderEvent, OrderEventKind, OrdersClosed, OrdStatus, Side
from pipeline.domain.parents import CrossKind, ParentKind
from pipeline.domain.record import Record
from pipeline.stages.allocation.sharing import share_out
from tests.allocation_builders import (
    PX,
    XYZ,
    Books,
    S,
    begin,
    bench,
    cross,
    fill,
    kinds,
    left,
    order,
    parent,
    quiet,
    statement,
)

# ------------------------------------------------------------------ sharing out


@pytest.mark.parametrize(
    ("weights", "executed", "expected", "why"),
    [
        ([1, 3, 3], 3, [1, 1, 1], "docs/design-rules.md, Allocation"),
        ([1, 3, 3], 4, [0, 2, 2], "docs/design-rules.md: cumulative largest remainder is not monotone"),
        ([5000, 3000, 2000], 7777, [3889, 2333, 1555], "plain"),
        ([47000, 16000, 15900, 12000, 6000, 3100], 10, [5, 2, 1, 1, 1, 0], "textbook vote"),
        ([10, 20], 30, [10, 20], "all of it"),
        ([10, 20], 0, [0, 0], "nothing"),
    ],
)
def test_shares_are_by_largest_remainder(weights: list[int], executed: int, expected: list[int], why: str) -> None:
    assert _shares(weights, executed) == expected, why


def test_shares_are_the_published_ones(recorded_data: Path) -> None:
    file = recorded_data / "papers/pro_rata_allocation.json"
    if not file.is_file():
        pytest.skip(f"published numbers are not here: {file}")
    cases = json.loads(file.read_text())["largest_remainder"]["cases"]
    whole = [case for case in cases if case["total"] <= sum(case["weights"])]
    assert len(whole) >= 5, "cases that an order's quantity does not cap"
    for case in whole:
        ties = [tie_break("P", f"O{i}") for i in range(len(case["weights"]))]
        expected = largest_remainder(case["weights"], case["total"], ties)
        assert _shares(case["weights"], case["total"]) == expected
        if expected == largest_remainder(case["weights"], case["total"]):
            assert expected == case["expected"], case
        else:
            assert sorted(expected) == sorted(case["expected"]), "a tie, drawn by hash and not by place"


def _shares(weights: list[int], executed: int) -> list[int]:
    some = [weight for weight in weights if weight]
    stage = bench()
    lines, records = begin(some)
    stage.feed(*records)
    executions = [fill("f", executed)] if executed else []
    stage.feed(*executions, quiet())
    books = Books(stage.out)
    books.check_epoch("P", 1, executions)
    books.check_orders()
    found = iter([books.of_epoch("P", 1)[o].alloc_qty if o in books.of_epoch("P", 1) else 0 for o, _, _ in lines])
    return [next(found) if weight else 0 for weight in weights]


def test_one_average_price_and_the_residual_is_named() -> None:
    stage = bench()
    stage.feed(*begin([2, 1])[1])
    executions = [fill("f1", 1, 100), fill("f2", 2, 101)]
    stage.feed(*executions, quiet())
    books = Books(stage.out)
    books.check_epoch("P", 1, executions)
    told = books.reconciliations["P", 1, None]
    assert {a.alloc_avg_px for a in books.standing.values()} == {101}, "302 / 3 = 100.67"
    assert (told.residual, told.rounding_account) == (-1, "ROUNDING")


@pytest.mark.parametrize("fee", [100, -100, 1, -1, 0, 7])
def test_fees_and_rebates_add_up(fee: int) -> None:
    stage = bench()
    stage.feed(*begin([1, 1, 1])[1], fill("f", 3, fee=fee), quiet())
    fees = [a.fee for a in stage.all(Allocation)]
    assert sum(fees) == fee
    assert max(fees) - min(fees) <= 1


def test_what_rounding_owes_is_carried_to_the_accounts_next_parent() -> None:
    stage = bench()
    winners = []
    for parent_id in ("P1", "P2", "P3", "P4"):
        lines = [(f"{parent_id}-a", "A", 1), (f"{parent_id}-b", "B", 1)]
        stage.feed(*[order(o, 1, account=a) for o, a, _ in lines], *statement(parent_id, lines))
        stage.feed(parent(parent_id, lines=lines), fill("f", 1, parent_id=parent_id), quiet(parent_id))
        winners.append(next(a.alloc_account for a in stage.all(Allocation) if a.parent_id == parent_id))
    assert winners[0] != winners[1] and winners[2] != winners[3], "turn and turn about"
    for account in ("A", "B"):
        assert stage.state.balance(account, XYZ).qty == 0


def test_an_account_with_two_orders_in_a_parent_carries_the_sum_of_both_changes() -> None:
    stage = bench()
    lines = [("O1", "A", 1), ("O2", "A", 1), ("O3", "B", 1)]
    stage.feed(*[order(o, q, account=a) for o, a, q in lines], *statement("P", lines), parent("P", lines=lines))
    stage.feed(fill("f", 1), quiet())
    assert stage.state.balance("A", XYZ).qty == -stage.state.balance("B", XYZ).qty != 0


def test_a_thousand_members() -> None:
    stage = bench()
    stage.feed(*begin([10] * 1000)[1])
    executions = [fill("f1", 4_999, 100, 77), fill("f2", 2, 103, -30)]
    stage.feed(*executions)
    first = stage.tick(10 * S)
    assert len(first) <= 1001
    stage.feed(quiet())
    for step in range(2, 10):
        assert len(stage.tick(10 * step * S)) <= 1010, "a step is bounded"
    books = Books(stage.out)
    books.check_epoch("P", 1, executions)
    books.check_orders()
    assert len(books.closed) == 1000
    chunks = books.epochs["P", 1]
    assert [c.chunk_no for c in chunks] == [1, 2, 3, 4] and {c.chunk_count for c in chunks} == {4}
    assert sum(s.executed_qty for c in chunks for s in c.shares) == 5_001
    assert all(s.executed_qty + s.remaining_qty == 10 for c in chunks for s in c.shares)


# ------------------------------------------------------------------ progress


def test_progress_holds_the_remainder_back() -> None:
    stage = bench(progress_ns=5 * S)
    stage.tick(1 * S)
    stage.feed(*begin([1, 3, 3])[1])
    stage.feed(fill("f1", 3))
    assert [(e.order_id, e.last_qty) for e in stage.all(OrderEvent, stage.tick(10 * S))] == [("O1", 1), ("O2", 1)]
    stage.feed(fill("f2", 1, 104 * PX))
    assert stage.tick(14 * S) == [], "not yet time"
    assert stage.tick(15 * S) == [], "4 x 3/7 has the same floor as 3 x 3/7"
    stage.feed(fill("f3", 1, 106 * PX))
    told = stage.all(OrderEvent, stage.tick(20 * S))
    assert [(e.order_id, e.last_qty, e.cum_qty) for e in told] == [("O1", 1, 2), ("O2", 1, 2)]
    assert {e.last_px for e in told} == {105 * PX}, "the average of what was executed since the client was told"
    assert {e.avg_px for e in told} == {102 * PX}, "the epoch's average"
    stage.feed(quiet())
    Books(stage.out).check_orders()


def test_what_was_held_back_is_told_at_the_close() -> None:
    stage = bench()
    stage.tick(1 * S)
    stage.feed(*begin([1, 3, 3])[1], fill("f1", 3))
    stage.tick(10 * S)
    closing = stage.feed(quiet())
    assert kinds(closing, "O0") == [OrderEventKind.FILLED]
    assert kinds(closing, "O1") == [OrderEventKind.EXPIRED], "its 1 had been shown"


def test_progress_goes_on_at_the_next_tick_and_reaches_the_last_member() -> None:
    stage = bench(max_records=10, progress_ns=S)
    stage.tick(1 * S)
    stage.feed(*begin([2] * 35)[1], fill("f1", 35))
    told = [e.order_id for step in range(2, 6) for e in stage.all(OrderEvent, stage.tick(step * S))]
    assert told == [f"O{i}" for i in range(35)]


# ------------------------------------------------------------------ any order between topics


@pytest.mark.parametrize("sequence", list(permutations(range(5))))
def test_halves_may_come_in_any_order(sequence: tuple[int, ...]) -> None:
    """Orders, statement, parent, crosses, fills: nothing is told wrongly whichever is late."""
    lines = [("O1", "A", 8), ("O2", "B", 4)]
    topics: list[list[Record]] = [
        [order("O1", 10, account="A"), order("O2", 4, account="B"), order("S1", 2, Side.SELL)],
        list(statement("P", lines, chunk=1)),
        [parent("P", lines=lines)],
        [cross("X1", [("O1", 2, None)], [("S1", 2, None)])],
        [fill("f1", 6, fee=5), quiet()],
    ]
    stage = bench()
    for topic in sequence:
        stage.feed(*topics[topic])
    books = Books(stage.out)
    books.check_epoch("P", 1, [fill("f1", 6, fee=5)])
    books.check_orders()
    assert books.ends() == {"O1": ("EXPIRED", 6), "O2": ("EXPIRED", 2), "S1": ("FILLED", 2)}


def test_a_statement_that_is_not_what_the_parent_says_is_a_break_and_nothing_of_it_is_shared_out() -> None:
    stage = bench()
    lines = [("O1", "A", 8), ("O2", "B", 4)]
    stage.feed(order("O1", 8, account="A"), order("O2", 4, account="B"), *statement("P", lines))
    out = stage.feed(parent("P", lines=[("O1", "A", 4), ("O2", "B", 8)]))
    assert [(a.kind, a.reason, a.subject_id, "hash" in a.text) for a in out if isinstance(a, Alert)] == [
        (AlertKind.BREAK, "CONTRADICTS_STATEMENT", "P", True)
    ]
    assert stage.feed(fill("f", 6, fee=2), quiet()) == []
    over = stage.tick(50 * S, kind=TickKind.DAY_END)
    (told,) = stage.all(Reconciliation, over)
    assert (told.executed_qty, told.allocated_qty, told.error_account_qty, told.error_account) == (6, 0, 6, "ERROR")
    assert (told.executed_money, told.allocated_money, told.executed_fee, told.allocated_fee) == (600 * PX,) * 2 + (
        2,
        2,
    )
    assert Books(stage.out).ends() == {"O1": ("EXPIRED", 0), "O2": ("EXPIRED", 0)}


# ------------------------------------------------------------------ crosses


def test_a_cross_goes_home_at_its_own_price() -> None:
    """The worked example: 500 to buy, 200 to sell; 200 crossed, a parent to buy 300."""
    stage = bench()
    half_tick = 100 * PX + 5_000_000
    stage.feed(order("B", 500), order("S", 200, Side.SELL))
    crossed = stage.feed(cross("X", [("B", 200, None)], [("S", 200, None)], half_tick))
    assert kinds(crossed, "B") == [OrderEventKind.CROSSED]
    assert kinds(crossed, "S") == [OrderEventKind.FILLED], "one event says both"
    shares = stage.all(Allocation, crossed)
    assert [(a.order_id, a.alloc_qty, a.alloc_avg_px, a.alloc_source) for a in shares] == [
        ("B", 200, half_tick, AllocSource.CROSS),
        ("S", 200, half_tick, AllocSource.CROSS),
    ]
    assert [(r.qty, r.cancelled, r.rule_ids) for r in stage.all(TradeReport, crossed)] == [(200, False, ("R1",))]
    told = stage.all(Reconciliation, crossed)[0]
    assert (told.executed_qty, told.allocated_qty, told.balanced, told.cross_id) == (200, 200, True, "X")
    (over,) = stage.all(OrdersClosed, crossed)
    assert [(c.order_id, c.ord_status) for c in over.orders] == [("S", OrdStatus.FILLED)]
    lines = [("B", "acc-B", 300)]
    stage.feed(*statement("P", lines), parent("P", lines=lines), fill("f", 300, 101 * PX), quiet())
    last = stage.all(OrderEvent)[-1]
    assert (last.kind, last.cum_qty, last.crossed_qty) == (OrderEventKind.FILLED, 500, 200)
    assert last.avg_px == (200 * half_tick + 300 * 101 * PX) // 500
    Books(stage.out).check_orders()


def test_a_bust_cross_is_taken_back_whole() -> None:
    stage = bench()
    stage.feed(order("B", 5), order("S", 5, Side.SELL), cross("X", [("B", 5, None)], [("S", 5, None)]))
    back = stage.feed(cross("X2", [], [], kind=CrossKind.BUST, ref="X"))
    assert [a.kind for a in stage.all(Allocation, back)] == [AllocKind.CANCEL, AllocKind.CANCEL]
    assert [r.cancelled for r in stage.all(TradeReport, back)] == [True]
    events = stage.all(OrderEvent, back)
    assert {(e.kind, e.cum_qty, e.leaves_qty, e.final) for e in events} == {(OrderEventKind.TRADE_CANCEL, 0, 0, True)}
    assert stage.all(Reconciliation, back)[0].version == 2
    books = Books(stage.out)
    assert books.standing == {}
    again = stage.feed(cross("X3", [], [], kind=CrossKind.BUST, ref="X"))
    assert [type(r) for r in again] == [Alert], "there is nothing left to take back"


def test_a_corrected_cross_is_restated_at_the_new_price() -> None:
    stage = bench()
    stage.feed(order("B", 9), order("S", 9, Side.SELL), cross("X", [("B", 5, None)], [("S", 5, None)]))
    stage.feed(cross("X2", [("B", 4, None)], [("S", 4, None)], 99 * PX, CrossKind.CORRECT, "X"))
    books = Books(stage.out)
    assert set(books.shares().values()) == {(4, 99 * PX, 0)}
    assert books.events["B"][-1].leaves_qty == 5
    assert [r.cancelled for r in stage.all(TradeReport)] == [False, True, False]


def test_a_cross_out_of_a_working_parent_takes_back_what_has_no_room_left() -> None:
    """Netting cannot see the open epoch's executions: 6 shown, then 8 of 10 crossed; his share can be 2 only."""
    stage = bench()
    stage.tick(1 * S)
    stage.feed(*begin([10, 10])[1], order("S", 8, Side.SELL), fill("f", 12))
    stage.tick(10 * S)
    stage.feed(parent("P", ParentKind.CROSS_ASK, ask_id="a"))
    crossed = stage.feed(cross("X", [("O0", 8, "P")], [("S", 8, None)]))
    assert kinds(crossed, "O0") == [OrderEventKind.TRADE_CORRECT, OrderEventKind.CROSSED]
    assert stage.feed(quiet(crossed_qty=8)) == [], "netting has not yet said how much was crossed"
    stage.feed(parent("P", ParentKind.CROSS_DONE, ask_id="a", crossed_qty=8))
    books = Books(stage.out)
    books.check_epoch("P", 1, [fill("f", 12)])
    books.check_orders()
    assert books.ends() == {"O0": ("FILLED", 10), "O1": ("FILLED", 10), "S": ("FILLED", 8)}


def test_the_close_waits_for_crosses_that_slicing_knows_of() -> None:
    stage = bench()
    stage.feed(*begin([10])[1], order("S", 4, Side.SELL), fill("f", 6))
    assert stage.feed(quiet(crossed_qty=4)) == []
    stage.feed(cross("X", [("O0", 4, "P")], [("S", 4, None)]))
    assert Books(stage.out).ends() == {"O0": ("FILLED", 10), "S": ("FILLED", 4)}


def test_what_is_crossed_beyond_an_orders_quantity_is_the_error_accounts() -> None:
    stage = bench()
    stage.feed(order("B", 5), order("S", 9, Side.SELL))
    out = stage.feed(cross("X", [("B", 9, None)], [("S", 9, None)]))
    told = stage.all(Reconciliation, out)[0]
    assert (told.allocated_qty, told.error_account_qty, told.error_account, told.balanced) == (5, 4, "ERROR", False)
    assert [a.kind for a in stage.all(Alert, out)] == [AlertKind.BREAK]


# ------------------------------------------------------------------ the day, the desk, the calendar


def test_the_day_ends_with_nothing_kept_but_balances() -> None:
    stage = bench()
    stage.feed(*begin([1, 1])[1], fill("f", 1), quiet())
    assert stage.tick(50 * S, kind=TickKind.DAY_END) == []
    kept = sorted(key.partition("/")[0] for key, _ in stage.state.dump())
    assert kept == ["balances", "balances", "clock", "counters", "work"]


def test_what_is_open_at_the_days_end_is_a_break() -> None:
    stage = bench()
    stage.feed(*begin([1, 1])[1], order("W", 5), quiet("LOST"), left("NEVER", 3))
    reasons = [a.reason for a in stage.all(Alert, stage.tick(50 * S, kind=TickKind.DAY_END))]
    assert reasons == [
        "PARENT_OPEN_AT_DAY_END",
        "PARENT_OPEN_AT_DAY_END",
        "ORDER_OPEN_AT_DAY_END",
        "LINEAGE_WITHOUT_ORDER",
    ]
    stage.tick(99 * S, kind=TickKind.DAY_END)
    assert stage.tick(150 * S, kind=TickKind.DAY_END) == [], "a day later it is forgotten"
    assert sorted(key.partition("/")[0] for key, _ in stage.state.dump()) == ["clock", "work"]


def test_breaking_an_allocation_by_hand_is_refused_by_name() -> None:
    control = Control(
        kind=ControlKind.BREAK_ALLOCATION,
        control_id="k",
        scope=ControlScope.INSTRUMENT,
        scope_id=XYZ,
        who="desk",
        why="test",
        at_ns=1,
    )
    assert [a.reason for a in bench().feed(control) if isinstance(a, Alert)] == ["BREAK_ALLOCATION_NOT_BUILT"]


def test_beyond_the_close_everybody_keeps_what_he_has() -> None:
    shared = share_out([1, 3, 3], [1, 3, 3], 4, [0, 0, 0], [1, 2, 3], closed=[1, 1, 1])
    assert (shared.shares, shared.unplaced) == ([1, 2, 1], 0) and sum(shared.changes) == 0
    again = share_out([1, 3, 3], [1, 3, 3], 3, [0, 0, 0], [1, 2, 3], closed=[1, 1, 1])
    assert again.shares == [1, 1, 1], "up to the total at the close it is the largest remainder"
    capped = share_out([1, 3, 3], [1, 1, 1], 6, [0, 0, 0], [1, 2, 3], closed=[1, 1, 1])
    assert (capped.shares, capped.unplaced) == ([1, 1, 1], 3)


def test_orders_of_a_source_that_end_together_are_closed_by_one_record() -> None:
    stage = bench()
    stage.feed(*begin([10] * 300)[1], fill("f", 3_000), quiet())
    assert [len(closed.orders) for closed in stage.all(OrdersClosed)] == [256, 44]
    Books(stage.out).check_orders()
