"""L. Nothing is open for ever: at the day's end every order, epoch and parent ends, at that moment, for a named reason.

Routing's word that a parent is quiet may never come (a child whose fate is unknown), nor may a record of ours. What was
executed by then is the members', what is told later is the error account's.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from pipeline.audit.invariants import books
from pipeline.domain.allocations import Allocation, AllocKind, Reconciliation
from pipeline.domain.controls import Alert, TickKind
from pipeline.domain.orders import (
    ClosedOrder,
    OrderEvent,
    OrderEventKind,
    OrdersClosed,
    OrdStatus,
)
from pipeline.domain.parents import EpochClosed, EpochShare, ParentKind
from pipeline.domain.record import Owned, Record
from pipeline.domain.rejections import RejectReason
from pipeline.stages.allocation.state import AllocationState
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
    left,
    order,
    parent,
    quiet,
    statement,
)
from tests.stage_bench import Bench

END = 50 * S


def end_of_day(stage: Bench[AllocationState], at_ns: int = END) -> list[Owned]:
    return stage.tick(at_ns, kind=TickKind.DAY_END)


def alerts(records: Sequence[Owned]) -> list[tuple[str, str, str, int]]:
    return [(str(a.kind), a.reason, a.subject_id, a.at_ns) for a in records if isinstance(a, Alert)]


def ends(records: Sequence[Owned]) -> list[tuple[str, str, int, int, int, int]]:
    """Kind, order, executed, left, event number and moment of each order's last event."""
    return [
        (str(e.kind), e.order_id, e.cum_qty, e.leaves_qty, e.event_no, e.at_ns)
        for e in records
        if isinstance(e, OrderEvent) and e.final
    ]


NOT_OF_ALLOCATION = ("venues", "booked", "counted", "events saying so", "sum of its fills", "permitted")
"""In the names of lines that compare what these records, allocation's own, do not have."""


def off(put_in: Sequence[Record], out: Sequence[Record]) -> list[str]:
    """Lines of the auditor's books that do not hold."""
    lines = [line.name for line in books([*put_in, *out]) if not line.holds]
    return [name for name in lines if not any(word in name for word in NOT_OF_ALLOCATION)]


def test_a_parent_of_which_routing_never_said_that_it_is_quiet_ends_with_what_is_known() -> None:
    stage = bench()
    stage.tick(1 * S)
    put_in = [*begin([6, 3])[1], fill("f1", 6, 100 * PX, 4)]
    stage.feed(*put_in)
    stage.tick(10 * S)
    out = end_of_day(stage)
    assert alerts(out) == [("BREAK", "PARENT_OPEN_AT_DAY_END", "P", END)]
    (alert,) = stage.all(Alert, out)
    assert alert.text == (
        "at the end of 20260105: the parent is not over; epoch 1 waits for routing's word that none of its children "
        "can execute any more, 6 executed. Its members get what is known and their orders expire; what comes later is "
        "ERROR's: ask the venue"
    )
    assert [(a.kind, a.order_id, a.alloc_qty, a.alloc_avg_px, a.fee) for a in stage.all(Allocation, out)] == [
        (AllocKind.NEW, "O0", 4, 100 * PX, 3),
        (AllocKind.NEW, "O1", 2, 100 * PX, 1),
    ]
    assert ends(out) == [("EXPIRED", "O0", 4, 0, 3, END), ("EXPIRED", "O1", 2, 0, 3, END)]
    assert stage.all(EpochClosed, out) == [
        EpochClosed(
            parent_id="P",
            instrument=XYZ,
            epoch_no=1,
            final=True,
            chunk_no=1,
            chunk_count=1,
            executed_qty=6,
            shares=(
                EpochShare(order_id="O0", executed_qty=4, remaining_qty=2),
                EpochShare(order_id="O1", executed_qty=2, remaining_qty=1),
            ),
            at_ns=END,
        )
    ]
    assert stage.all(OrdersClosed, out) == [
        OrdersClosed(
            source="OMS",
            instrument=XYZ,
            orders=(
                ClosedOrder(order_id="O0", account="acc-O0", ord_status=OrdStatus.EXPIRED, cum_qty=4),
                ClosedOrder(order_id="O1", account="acc-O1", ord_status=OrdStatus.EXPIRED, cum_qty=2),
            ),
            at_ns=END,
        )
    ]
    assert off(put_in, stage.out) == []


def test_what_is_told_after_the_days_end_is_the_error_accounts_and_changes_no_client() -> None:
    stage = bench()
    first, late = fill("f1", 6, 100 * PX, 4), fill("f2", 3, 106 * PX, 2)
    put_in = [*begin([6, 3])[1], first]
    stage.feed(*put_in)
    end_of_day(stage)
    out = stage.feed(late)
    (told,) = stage.all(Reconciliation, out)
    assert (told.version, told.executed_qty, told.allocated_qty, told.error_account_qty) == (2, 9, 6, 3)
    assert (told.error_account, told.executed_money, told.allocated_money) == ("ERROR", 918 * PX, 918 * PX)
    assert alerts(out) == [("OVERFILL", "BOOKED_TO_ERROR_ACCOUNT", "P", END)]
    assert {e.last_qty for e in stage.all(OrderEvent, out)} == {0}, "the epoch's one price has changed, no quantity"
    assert stage.feed(quiet()) == [], "routing's word came after all"
    back = stage.feed(bust("b", late))
    assert [(r.version, r.executed_qty, r.error_account_qty) for r in stage.all(Reconciliation, back)] == [(3, 6, 0)]
    assert off([*put_in, late, bust("b", late)], stage.out) == []
    assert Books(stage.out).ends() == {"O0": ("EXPIRED", 4), "O1": ("EXPIRED", 2)}


def test_executions_of_a_parent_whose_statement_never_came_have_an_owner() -> None:
    stage = bench()
    put_in = [order("O0", 6), fill("f1", 4, 100 * PX, 3), quiet()]
    assert stage.feed(*put_in) == []
    out = end_of_day(stage)
    assert alerts(out) == [
        ("BREAK", "PARENT_OPEN_AT_DAY_END", "P", END),
        ("OVERFILL", "BOOKED_TO_ERROR_ACCOUNT", "P", END),
        ("BREAK", "ORDER_OPEN_AT_DAY_END", "O0", END),
    ]
    assert "waits for the parent's own record, 4 executed" in stage.all(Alert, out)[0].text
    (told,) = stage.all(Reconciliation, out)
    assert (told.executed_qty, told.allocated_qty, told.error_account_qty, told.error_account) == (4, 0, 4, "ERROR")
    assert (told.executed_money, told.allocated_money, told.residual) == (400 * PX, 400 * PX, 0)
    assert (told.executed_fee, told.allocated_fee, told.allocation_count) == (3, 3, 0)
    assert ends(out) == [("EXPIRED", "O0", 0, 0, 2, END)]
    assert off(put_in, stage.out) == []
    statement_ = [*statement("P", [("O0", "acc-O0", 6)]), parent("P", lines=[("O0", "acc-O0", 6)])]
    after = stage.feed(*statement_)
    assert {a.reason for a in stage.all(Alert, after)} == {"CONTRADICTS_STATEMENT"}, "too late, and said so"


def test_an_execution_of_a_parent_of_an_earlier_day_has_an_owner_by_the_next_days_end() -> None:
    stage = bench()
    stage.feed(*begin([5])[1], fill("f1", 5), quiet())
    assert end_of_day(stage) == []
    put_in = [fill("f2", 2, 90 * PX, 1)]
    assert stage.feed(*put_in) == [], "the parent might be one whose own record is still to come"
    out = end_of_day(stage, 99 * S)
    assert [(r.executed_qty, r.error_account_qty, r.executed_money) for r in stage.all(Reconciliation, out)] == [
        (2, 2, 180 * PX)
    ]


def test_an_execution_of_an_epoch_that_never_began_has_an_owner() -> None:
    stage = bench()
    stage.feed(*begin([5])[1], fill("f1", 5), quiet(), fill("f2", 2, 90 * PX, epoch_no=2))
    out = end_of_day(stage)
    told = {(r.epoch_no, r.executed_qty, r.error_account_qty) for r in stage.all(Reconciliation, out)}
    assert told == {(2, 2, 2)}
    assert [e.epoch_no for e in stage.all(EpochClosed)] == [1, 2]
    assert Books(stage.out).ends() == {"O0": ("FILLED", 5)}


def test_an_order_that_its_window_never_let_go_expires_and_its_cancel_is_answered() -> None:
    stage = bench()
    stage.feed(order("W", 5), cancel("W", "k1"), order("V", 2))
    out = end_of_day(stage)
    assert alerts(out) == [("BREAK", "ORDER_OPEN_AT_DAY_END", "V", END)]
    answers = [(e.kind, e.order_id, e.cl_ord_id, e.reason, e.event_no) for e in stage.all(OrderEvent, out)]
    assert answers == [
        (OrderEventKind.EXPIRED, "V", "c-V", None, 2),
        (OrderEventKind.CANCEL_REFUSED, "W", "k1", RejectReason.TOO_LATE_TO_CANCEL, 3),
        (OrderEventKind.EXPIRED, "W", "c-W", None, 4),
    ]
    assert stage.feed(left("W", 5, None, None, expired=True)) == [], "netting's own end of it comes after"
    assert [o.order_id for c in stage.all(OrdersClosed) for o in c.orders] == ["V", "W"]


def test_a_recalled_parent_of_which_netting_says_nothing_more_ends_too() -> None:
    stage = bench()
    stage.feed(*begin([4, 4])[1], fill("f", 2), parent("P", ParentKind.RECALL), quiet(final=False))
    out = end_of_day(stage)
    assert alerts(out) == [
        ("BREAK", "PARENT_OPEN_AT_DAY_END", "P", END),
        ("BREAK", "ORDER_OPEN_AT_DAY_END", "O0", END),
    ]
    assert [(e.final, e.epoch_no, e.shares) for e in stage.all(EpochClosed, out)] == [(True, 1, ())]
    assert ends(out) == [("EXPIRED", "O0", 1, 0, 3, END), ("EXPIRED", "O1", 1, 0, 3, END)]


def test_a_second_epoch_without_an_end_is_shared_out_after_the_first() -> None:
    stage = bench()
    first = [*begin([4, 4])[1], fill("f", 2), parent("P", ParentKind.RECALL)]
    second = [("O0", "acc-O0", 3), ("O1", "acc-O1", 3)]
    put_in = [*first, *statement("P", second, 2), parent("P", ParentKind.EPOCH, 2, second), fill("g", 4, epoch_no=2)]
    stage.feed(*put_in)
    out = end_of_day(stage)
    assert [(e.epoch_no, e.final, e.executed_qty) for e in stage.all(EpochClosed, out)] == [(1, False, 2), (2, True, 4)]
    assert Books(stage.out).ends() == {"O0": ("EXPIRED", 3), "O1": ("EXPIRED", 3)}
    assert off(put_in, stage.out) == []


def test_one_parent_that_cannot_be_shared_out_does_not_keep_the_others_of_its_instrument_waiting_for_ever() -> None:
    stage = bench()
    lost = [fill("l1", 3, parent_id="LOST"), quiet("LOST")]
    stage.feed(*lost, *begin([5])[1], fill("f1", 4), quiet())
    assert stage.all(Allocation) == [], "the queue keeps its order"
    out = end_of_day(stage)
    assert [a.text.partition("waits for ")[2].partition(",")[0] for a in stage.all(Alert, out)[:2]] == [
        "the parent's own record",
        "an earlier one of its instrument",
    ]
    assert [(a.order_id, a.alloc_qty) for a in stage.all(Allocation, out)] == [("O0", 4)]
    assert ends(out) == [("EXPIRED", "O0", 4, 0, 3, END)]


def test_a_cross_whose_other_order_never_came_is_booked_for_the_one_that_did() -> None:
    stage = bench()
    put_in = [order("B", 5), cross("X", [("B", 5, None)], [("GHOST", 5, None)], 7 * PX), order("C", 2)]
    assert stage.feed(*put_in) == []
    out = end_of_day(stage)
    assert [(str(a.kind), a.reason, a.subject_id) for a in stage.all(Alert, out)] == [
        ("BREAK", "CROSS_WITHOUT_ORDER", "X"),
        ("BREAK", "CROSSED_BEYOND_ORDER", "X"),
        ("BREAK", "ORDER_OPEN_AT_DAY_END", "C"),
    ]
    assert [(a.order_id, a.alloc_qty, a.alloc_avg_px) for a in stage.all(Allocation, out)] == [("B", 5, 7 * PX)]
    (told,) = stage.all(Reconciliation, out)
    assert (told.executed_qty, told.allocated_qty, told.error_account_qty, told.balanced) == (5, 0, 5, False)
    assert ends(out) == [("FILLED", "B", 5, 0, 2, END), ("EXPIRED", "C", 0, 0, 2, END)]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_share_out_that_no_tick_can_go_on_with_is_finished_at_the_days_end(most: int) -> None:
    stage = bench(max_records=most)
    stage.feed(*begin([2] * 5)[1], fill("f", 7), quiet())
    assert len(stage.all(Allocation)) < 5
    out = end_of_day(stage)
    assert alerts(out) == [("BREAK", "PARENT_OPEN_AT_DAY_END", "P", END)]
    assert sum(a.alloc_qty for a in stage.all(Allocation)) == 7
    assert len(Books(stage.out).ends()) == 5
    assert stage.state.work.settling == []


def test_rounds_of_progress_that_the_day_ended_are_not_gone_on_with() -> None:
    stage = bench(max_records=1, progress_ns=1)
    stage.tick(1 * S)
    stage.feed(*begin([2] * 5)[1], fill("f", 10))
    stage.tick(2 * S)
    assert stage.state.work.sweeping == ["P|000001"]
    stage.feed(fill("g", 1, parent_id="P"), *begin([2], "R")[1][1:], fill("h", 1, parent_id="R"))
    assert stage.state.work.dirty == ["P|000001", "R|000001"]
    end_of_day(stage)
    assert (stage.state.work.sweeping, stage.state.work.dirty) == ([], [])
    for day in (2, 3):
        assert stage.tick(day * END) == []
        end_of_day(stage, day * END + S)
    assert stage.tick(4 * END) == []


def test_what_ended_by_force_is_forgotten_a_day_later() -> None:
    stage = bench()
    ghost = cross("X", [("GHOST", 5, None)], [("PHANTOM", 5, "NOWHERE")])
    early = replace(ghost, cross_id="Y", ref_cross_id="Z", kind="BUST")
    stage.feed(*begin([1, 1])[1], order("W", 5), quiet("LOST"), left("NEVER", 3), ghost, early)
    end_of_day(stage)
    assert end_of_day(stage, 99 * S) == []
    assert sorted(key.partition("/")[0] for key, _ in stage.state.dump()) == ["clock", "work"]
