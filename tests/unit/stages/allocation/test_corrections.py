"""Allocation of what changes under way or afterwards: cancels, epochs, overfills, busts, corrections, late fills."""

from __future__ import annotations

from pipeline.domain.allocations import Allocation, AllocKind
from pipeline.domain.controls import Alert, AlertKind, TickKind
from pipeline.domain.orders import OrderEvent, OrderEventKind, OrdersClosed, OrdStatus, Side
from pipeline.domain.parents import EpochClosed, Lineage, LineageKind, ParentKind
from pipeline.domain.rejections import RejectReason
from tests.allocation_builders import (
    PX,
    XYZ,
    Books,
    S,
    begin,
    bench,
    bust,
    cancel,
    cross,
    fill,
    kinds,
    left,
    order,
    parent,
    quiet,
    statement,
)

# ------------------------------------------------------------------ cancels and epochs


def test_a_cancel_out_of_a_working_parent() -> None:
    stage = bench()
    lines, records = begin([10, 10])
    stage.feed(*records, fill("f1", 10, fee=3))
    asked = stage.feed(cancel("O0", "k1"))
    assert [(e.kind, e.cl_ord_id, e.orig_cl_ord_id, e.ord_status) for e in stage.all(OrderEvent, asked)] == [
        (OrderEventKind.PENDING_CANCEL, "k1", "c-O0", OrdStatus.PENDING_CANCEL)
    ]
    assert stage.feed(quiet(final=False)) == [], "the recall has not been seen"
    closed = stage.feed(parent("P", ParentKind.RECALL))
    assert [(s.executed_qty, s.remaining_qty) for s in stage.all(EpochClosed, closed)[0].shares] == [(5, 5), (5, 5)]
    assert not stage.all(EpochClosed, closed)[0].final
    gone = stage.feed(left("O0", 5, "k1"))
    event = stage.all(OrderEvent, gone)[0]
    assert (event.kind, event.cl_ord_id, event.orig_cl_ord_id) == (OrderEventKind.CANCELED, "k1", "c-O0")
    assert (event.cum_qty, event.leaves_qty, event.final) == (5, 0, True)
    (over,) = stage.all(OrdersClosed, gone)
    assert [(c.ord_status, c.cum_qty) for c in over.orders] == [(OrdStatus.CANCELED, 5)]
    rest = [(lines[1][0], lines[1][1], 5)]
    stage.feed(*statement("P", rest, 2), parent("P", ParentKind.EPOCH, 2, rest), fill("f2", 4, 90 * PX, epoch_no=2))
    stage.feed(quiet(epoch_no=2))
    books = Books(stage.out)
    books.check_epoch("P", 1, [fill("f1", 10, fee=3)])
    books.check_epoch("P", 2, [fill("f2", 4, 90 * PX, epoch_no=2)])
    books.check_orders()
    assert books.ends() == {"O0": ("CANCELED", 5), "O1": ("EXPIRED", 9)}


def test_a_cancel_out_of_the_window() -> None:
    stage = bench()
    stage.feed(left("O0", 7, "k1", None))
    assert stage.out == [], "the order has not been seen"
    stage.feed(order("O0", 7))
    assert stage.feed(cancel("O0", "k1")) == [], "it has been answered"
    assert Books(stage.out).ends() == {"O0": ("CANCELED", 0)}


def test_what_leaves_its_window_waits_for_its_crosses() -> None:
    stage = bench()
    stage.feed(order("B", 7), order("S", 3, Side.SELL))
    assert stage.feed(left("B", 4, None, None, expired=True)) == []
    stage.feed(cross("X", [("B", 3, None)], [("S", 3, None)]))
    assert Books(stage.out).ends() == {"B": ("EXPIRED", 3), "S": ("FILLED", 3)}
    assert stage.all(Alert) == []


def test_a_cancel_that_comes_too_late_is_answered_once() -> None:
    stage = bench()
    stage.feed(*begin([4])[1], fill("f", 4), cancel("O0", "k1"), quiet())
    refused = [e for e in stage.all(OrderEvent) if e.kind is OrderEventKind.CANCEL_REFUSED]
    assert [(e.cl_ord_id, e.reason, e.fix_code, e.final) for e in refused] == [
        ("k1", RejectReason.TOO_LATE_TO_CANCEL, 0, False)
    ]
    netting_says = Lineage(
        kind=LineageKind.CANCEL_REFUSED,
        instrument=XYZ,
        bucket_id="B",
        order_id="O0",
        request_cl_ord_id="k1",
        reason=RejectReason.TOO_LATE_TO_CANCEL,
        at_ns=1,
    )
    assert stage.feed(netting_says) == []
    after = stage.feed(cancel("O0", "k2"))
    assert kinds(after, "O0") == [OrderEventKind.CANCEL_REFUSED]
    Books(stage.out)


def test_a_cancel_refused_by_netting_leaves_the_order_working() -> None:
    stage = bench()
    stage.feed(*begin([4])[1], cancel("O0", "k1"))
    refusal = Lineage(
        kind=LineageKind.CANCEL_REFUSED,
        instrument=XYZ,
        bucket_id="B",
        order_id="O0",
        request_cl_ord_id="k1",
        reason=RejectReason.ALREADY_PENDING,
        at_ns=1,
    )
    event = stage.all(OrderEvent, stage.feed(refusal))[0]
    assert (event.reason, event.fix_code, event.ord_status, event.final) == (
        RejectReason.ALREADY_PENDING,
        3,
        OrdStatus.NEW,
        False,
    )


def test_a_parent_that_ended_by_a_recall_is_said_to_be_over_with_no_shares() -> None:
    stage = bench()
    stage.feed(*begin([4])[1], fill("f", 4), parent("P", ParentKind.RECALL), quiet(final=False))
    assert stage.feed(quiet(final=True)) == [], "netting decides first: another epoch, or the end"
    over = stage.feed(parent("P", ParentKind.DONE))
    assert [(e.final, e.shares, e.chunk_count) for e in stage.all(EpochClosed, over)] == [(True, (), 1)]
    assert Books(stage.out).ends() == {"O0": ("FILLED", 4)}


def test_left_quantity_that_is_not_ours_is_a_break() -> None:
    stage = bench()
    stage.feed(*begin([4])[1], parent("P", ParentKind.RECALL), quiet(final=False))
    out = stage.feed(left("O0", 3))
    assert [a.reason for a in stage.all(Alert, out)] == ["LEFT_QUANTITY"]
    assert Books(stage.out).ends() == {"O0": ("CANCELED", 0)}


def test_what_leaves_after_its_end_is_not_ended_twice() -> None:
    stage = bench()
    stage.feed(*begin([4])[1], cancel("O0", "k1"), fill("f", 1), quiet())
    assert Books(stage.out).ends() == {"O0": ("EXPIRED", 1)}
    assert stage.feed(left("O0", 3, "k1")) == [], "the end of the parent overtook the recall"
    filled = bench()
    filled.feed(*begin([4])[1], fill("f", 4), quiet())
    assert [type(r) for r in filled.feed(left("O0", 3))] == [Alert], "what is filled cannot leave"


# ------------------------------------------------------------------ what venues do


def test_an_overfill_is_booked_to_the_error_account() -> None:
    stage = bench()
    stage.feed(*begin([2, 3])[1])
    executions = [fill("f1", 5, fee=7), fill("f2", 2, 103 * PX, fee=3, overfill_qty=2)]
    closed = stage.feed(*executions, quiet())
    books = Books(stage.out)
    books.check_epoch("P", 1, executions)
    told = books.reconciliations["P", 1, None]
    assert (told.allocated_qty, told.error_account_qty, told.error_account) == (5, 2, "ERROR")
    assert sum(a.fee for a in books.standing.values()) < 10 == told.allocated_fee, "it bears its part of the fees"
    assert [a.kind for a in stage.all(Alert, closed)] == [AlertKind.OVERFILL]


def test_an_overfill_nobody_flagged_is_booked_all_the_same() -> None:
    stage = bench()
    stage.feed(*begin([2, 3])[1], fill("f1", 9), quiet())
    assert Books(stage.out).reconciliations["P", 1, None].error_account_qty == 4


def test_a_bust_before_the_close_is_told_at_once() -> None:
    stage = bench()
    stage.tick(1 * S)
    stage.feed(*begin([5, 5])[1])
    first, second = fill("f1", 4, 100 * PX), fill("f2", 4, 110 * PX)
    stage.feed(first, second)
    stage.tick(10 * S)
    events = stage.all(OrderEvent, stage.feed(bust("b", second)))
    assert [(e.kind, e.last_qty, e.cum_qty, e.avg_px, e.leaves_qty) for e in events] == [
        (OrderEventKind.TRADE_CANCEL, -2, 2, 100 * PX, 3)
    ] * 2
    stage.feed(quiet())
    books = Books(stage.out)
    books.check_epoch("P", 1, [first, second, bust("b", second)])
    books.check_orders()


def test_a_close_takes_back_what_a_full_step_could_not() -> None:
    stage = bench(max_records=1)
    stage.tick(1 * S)
    stage.feed(*begin([5, 5])[1])
    first, second = fill("f1", 4), fill("f2", 4)
    stage.feed(first, second)
    stage.tick(10 * S)
    stage.tick(11 * S)
    stage.feed(bust("b", second), quiet())
    for step in range(20, 30):
        stage.tick(step * S)
    books = Books(stage.out)
    assert [books.cum(o) for o in ("O0", "O1")] == [2, 2]
    assert [e.kind for o in ("O0", "O1") for e in books.events[o]].count(OrderEventKind.TRADE_CANCEL) == 2
    books.check_orders()


def test_a_bust_after_the_end_restates_everything() -> None:
    stage = bench()
    stage.feed(*begin([3, 3])[1])
    first, second = fill("f1", 4, 100 * PX, 9), fill("f2", 2, 106 * PX, 4)
    stage.feed(first, second, quiet())
    back = stage.feed(bust("b", second))
    assert [(a.kind, a.alloc_qty, a.alloc_avg_px) for a in stage.all(Allocation, back)] == [
        (AllocKind.REPLACE, 2, 100 * PX)
    ] * 2
    events = stage.all(OrderEvent, back)
    assert {(e.kind, e.last_qty, e.cum_qty, e.leaves_qty, e.avg_px, e.final, e.ord_status) for e in events} == {
        (OrderEventKind.TRADE_CANCEL, -1, 2, 0, 100 * PX, True, OrdStatus.CANCELED)
    }
    gone = stage.feed(bust("b2", first))
    assert [a.kind for a in stage.all(Allocation, gone)] == [AllocKind.CANCEL] * 2
    books = Books(stage.out)
    books.check_epoch("P", 1, [first, second, bust("b", second), bust("b2", first)])
    books.check_orders()
    assert books.reconciliations["P", 1, None].version == 3
    assert len(stage.all(EpochClosed)) == 1 and len(books.closed) == 2, "told once"


def test_a_restatement_restates_the_carried_balance_too() -> None:
    stage = bench()
    first = fill("f1", 1, fee=1)
    stage.feed(*begin([1, 1])[1], first, quiet())
    accounts = ("acc-O0", "acc-O1")
    assert [abs(stage.state.balance(account, XYZ).qty) for account in accounts] == [500_000_000] * 2
    stage.feed(bust("b", first))
    for account in accounts:
        balance = stage.state.balance(account, XYZ)
        assert (balance.qty, balance.fee) == (0, 0), "nothing was executed, nothing is owed"


def test_after_a_bust_what_is_added_is_priced_at_the_epochs_average() -> None:
    stage = bench()
    stage.tick(1 * S)
    first, second = fill("f1", 4, 100 * PX), fill("f2", 4, 110 * PX)
    stage.feed(*begin([20])[1], first, second)
    stage.tick(10 * S)
    stage.feed(bust("b", second), fill("f3", 4, 104 * PX))
    told = stage.all(OrderEvent, stage.tick(20 * S))
    assert [(e.kind, e.last_qty, e.last_px) for e in told] == [(OrderEventKind.TRADE, 4, 102 * PX)]


def test_a_correction_after_the_end_restates_the_price() -> None:
    stage = bench()
    stage.feed(*begin([2, 2])[1])
    first = fill("f1", 4, 100 * PX, 9)
    corrected = fill("g", 4, 101 * PX, 8, prior=first)
    stage.feed(first, quiet())
    back = stage.feed(corrected)
    assert {(e.kind, e.last_qty, e.avg_px) for e in stage.all(OrderEvent, back)} == {
        (OrderEventKind.TRADE_CORRECT, 0, 101 * PX)
    }
    books = Books(stage.out)
    books.check_epoch("P", 1, [first, corrected])
    books.check_orders()


def test_a_late_fill_goes_to_those_who_are_open_and_takes_nothing_from_anybody() -> None:
    stage = bench()
    stage.feed(*begin([1, 3, 3])[1], fill("f1", 3), parent("P", ParentKind.RECALL), quiet(final=False))
    before = {o: a.alloc_qty for o, a in Books(stage.out).of_epoch("P", 1).items()}
    assert before == {"O0": 1, "O1": 1, "O2": 1}
    stage.feed(fill("f2", 1))
    books = Books(stage.out)
    after = {o: a.alloc_qty for o, a in books.of_epoch("P", 1).items()}
    assert after["O0"] == 1 and sorted(after.values()) == [1, 1, 2], "not (0, 2, 2): 1 was reported for good"
    books.check_epoch("P", 1, [fill("f1", 3), fill("f2", 1)])


def test_a_late_fill_after_the_end_is_the_error_accounts() -> None:
    stage = bench()
    stage.feed(*begin([5])[1], fill("f1", 3), quiet(), fill("f2", 1, 101 * PX))
    books = Books(stage.out)
    books.check_epoch("P", 1, [fill("f1", 3), fill("f2", 1, 101 * PX)])
    assert books.reconciliations["P", 1, None].error_account_qty == 1
    assert books.ends() == {"O0": ("EXPIRED", 3)}


def test_a_bust_of_what_is_not_in_the_books_changes_nothing() -> None:
    stage = bench()
    out = stage.feed(bust("b", fill("f", 5, parent_id="YESTERDAY")))
    assert [a.reason for a in stage.all(Alert, out)] == ["NOTHING_TO_TAKE_BACK"]
    late = stage.tick(50 * S, kind=TickKind.DAY_END)
    assert [a.subject_id for a in stage.all(Alert, late)] == ["YESTERDAY"], "a parent that never came"
