"""Slicing's count of a parent over the end of an epoch, in whatever order the topics are read."""

from __future__ import annotations

from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Side
from pipeline.domain.parents import ParentKind, ParentOrder, SliceKind
from pipeline.stages.slicing.working_parent import WorkingParent, working


def order(kind: ParentKind, epoch_no: int, qty: int, members: int = 1) -> ParentOrder:
    return ParentOrder(
        kind=kind, parent_id="P", instrument="A", bucket_id="", trade_date=20260105, epoch_no=epoch_no, side=Side.BUY,
        order_qty=qty, member_count=members, at_ns=0,
    )  # fmt: skip


def fill(kind: FillKind, epoch_no: int, qty: int = 0, slice_no: int = 1) -> Fill:
    return Fill(
        kind=kind, fill_id="F", parent_id="P", epoch_no=epoch_no, slice_no=slice_no, instrument="A", side=Side.BUY,
        last_qty=qty, parent_cum_qty=0, parent_live_qty=0, trade_date=20260105, at_ns=0,
    )  # fmt: skip


def parent_with_40_out() -> WorkingParent:
    """100 to do, 10 executed of a slice of 50."""
    parent = working(order(ParentKind.NEW, 1, 100), 0, 0, came_ns=0)
    parent.next_slice(SliceKind.SLICE, 0, qty=50)
    parent.apply(fill(FillKind.TRADE, 1, 10))
    return parent


def test_old_children_are_outstanding_of_the_new_epoch() -> None:
    parent = parent_with_40_out()
    parent.apply(fill(FillKind.CUT, 1, 40))
    parent.begin_epoch(order(ParentKind.EPOCH, 2, 60))
    assert (parent.out_qty, parent.unreleased_qty, parent.permitted_qty) == (40, 20, 70)
    parent.apply(fill(FillKind.TRADE, 1, 15))
    assert (parent.out_qty, parent.unreleased_qty, parent.permitted_qty, parent.order_qty) == (25, 20, 70, 45)
    parent.apply(fill(FillKind.RETURNED, 1, 25))
    assert (parent.out_qty, parent.unreleased_qty, parent.permitted_qty) == (0, 45, 70)


def test_what_executes_between_the_cut_and_the_next_epoch_counts_once() -> None:
    parent = parent_with_40_out()
    parent.apply(fill(FillKind.CUT, 1, 40))
    parent.apply(fill(FillKind.TRADE, 1, 15))
    parent.begin_epoch(order(ParentKind.EPOCH, 2, 60))  # allocation did not know of the 15 as it closed the epoch
    assert (parent.order_qty, parent.out_qty, parent.unreleased_qty, parent.permitted_qty) == (45, 25, 20, 70)


def test_a_cut_that_is_read_after_the_epoch_it_led_to_gives_back_what_was_executed_before_it() -> None:
    parent = parent_with_40_out()
    parent.begin_epoch(order(ParentKind.EPOCH, 2, 45))  # of the 15 executed before the cut it knows
    parent.apply(fill(FillKind.TRADE, 1, 15))
    assert parent.order_qty == 30, "the careful way, for the moment"
    parent.apply(fill(FillKind.CUT, 1, 25))
    assert (parent.order_qty, parent.out_qty, parent.unreleased_qty, parent.permitted_qty) == (45, 25, 20, 70)
    parent.apply(fill(FillKind.CUT, 1, 25))
    assert parent.order_qty == 45, "told again it gives nothing back"


def test_a_bust_after_the_cut_is_taken_off_what_the_next_epoch_does_not_know() -> None:
    parent = parent_with_40_out()
    parent.apply(fill(FillKind.CUT, 1, 40))
    parent.apply(fill(FillKind.TRADE, 1, 15))
    parent.apply(fill(FillKind.BUST, 1, 15))
    parent.begin_epoch(order(ParentKind.EPOCH, 2, 60))
    assert (parent.order_qty, parent.earlier_executed_qty) == (60, 10)


def test_an_epoch_without_members_is_not_done() -> None:
    parent = working(order(ParentKind.NEW, 1, 100), 0, 0, came_ns=0)
    parent.apply(fill(FillKind.QUIET, 1))
    parent.begin_epoch(order(ParentKind.EPOCH, 2, 0, members=0))
    assert (parent.done, parent.unreleased_qty, parent.permitted_qty) == (False, 0, 0)
    parent.begin_epoch(order(ParentKind.EPOCH, 3, 100))
    assert (parent.done, parent.unreleased_qty) == (False, 100)
    parent.apply(fill(FillKind.TRADE, 3, 100))
    assert parent.done
