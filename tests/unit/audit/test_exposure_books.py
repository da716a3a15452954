"""Live and filled against what was permitted at that moment, how slices came back, how parents ended: known numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.audit.invariants import Line, books
from pipeline.domain.controls import Alert, AlertKind, Tick, TickKind
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Completion, Side
from pipeline.domain.parents import EpochClosed, EpochShare, ParentKind, ParentOrder, Slice, SliceKind
from pipeline.domain.record import Record

EXCEEDED = "parents with more live and filled than permitted"
MISCOUNTED = "fills whose count of their parent is not the sum of its fills"
CAME_BACK = "slices that came back with more or less than was not executed"
SLICES = "slices released, and slices that came back"
OVER = "parents begun, and parents that are over"


def line(name: str, records: Sequence[Record]) -> Line:
    (found,) = (each for each in books(records) if each.name == name)
    return found


def slice_(at_ns: int, permitted_qty: int, qty: int = 0, no: int = 1, kind: SliceKind = SliceKind.SLICE) -> Slice:
    return Slice(
        kind=kind, parent_id="P", slice_no=no, epoch_no=1, instrument="I", side=Side.BUY, qty=qty,
        permitted_qty=permitted_qty, at_ns=at_ns,
    )  # fmt: skip


def told(
    at_ns: int,
    qty: int,
    cum: int,
    live: int,
    kind: FillKind = FillKind.TRADE,
    over: int = 0,
    no: int = 1,
    prior: int = 0,
) -> Fill:
    return Fill(
        kind=kind, fill_id=f"F{at_ns}-{cum}-{live}", parent_id="P", epoch_no=1, slice_no=no, instrument="I",
        side=Side.BUY, last_qty=qty, last_px=10, prior_qty=prior, prior_px=10, overfill_qty=over, parent_cum_qty=cum,
        parent_live_qty=live, trade_date=20260105, at_ns=at_ns,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("records", "exceeded", "why"),
    [
        ([slice_(1, 100), told(2, 60, 60, 40)], 0, "all of it"),
        ([slice_(1, 100), told(2, 60, 60, 41)], 1, "one more"),
        ([slice_(1, 100), slice_(5, 140, no=2), told(2, 60, 60, 80)], 1, "more is permitted later only"),
        ([slice_(1, 100), slice_(2, 140, no=2), told(2, 60, 60, 80)], 0, "in the same moment"),
        ([slice_(1, 140), told(2, 60, 60, 80), slice_(3, 80, no=2), told(4, 10, 70, 70)], 0, "a reduction waits"),
        ([slice_(1, 140), told(2, 60, 60, 80), slice_(3, 80, no=2), told(4, 10, 70, 71)], 1, "but nothing is added"),
        (
            [slice_(1, 140), told(2, 60, 60, 40), slice_(3, 80, no=2), told(4, 10, 70, 20), told(5, 10, 80, 11)],
            1,
            "nor once it has taken effect in part",
        ),
        ([slice_(1, 100), told(2, 120, 120, 0, over=20)], 0, "a venue over-fills"),
        ([slice_(1, 100), told(2, 120, 120, 1, over=20)], 1, "we send more all the same"),
        (
            [
                slice_(1, 100),
                told(2, 120, 120, 0, over=20),
                told(3, 120, 0, 0, FillKind.BUST),
                told(4, 100, 100, 1),
            ],
            1,
            "what a bust took is no over-fill any more",
        ),
        (
            [slice_(1, 100), told(2, 120, 120, 0, over=20), told(3, 110, 110, 0, FillKind.CORRECT, prior=120)],
            0,
            "10 of it are still over",
        ),
        ([slice_(1, 100), told(2, 0, 0, 101, FillKind.RETURNED)], 1, "live alone"),
        ([slice_(1, 100), told(2, 0, 0, 101, FillKind.QUIET)], 1, "whatever record says it"),
        ([told(2, 1, 1, 0)], 1, "nothing was ever permitted"),
    ],
)  # fmt: skip
def test_live_and_filled_is_judged_by_what_was_permitted_then(records: list[Record], exceeded: int, why: str) -> None:
    assert line(EXCEEDED, records)[1:3] == (exceeded, 0), why
    assert line(EXCEEDED, sorted(records, key=lambda r: isinstance(r, Slice))).left == exceeded, "topics in any order"


@pytest.mark.parametrize(
    ("fills", "wrong"),
    [
        ([told(1, 5, 5, 0), told(2, 7, 12, 0), told(3, 5, 7, 0, FillKind.BUST)], 0),
        ([told(1, 5, 5, 0), told(2, 7, 12, 0), told(3, 4, 9, 0, FillKind.CORRECT, prior=7)], 0),
        ([told(1, 5, 5, 0), told(2, 7, 7, 0)], 1),
        ([told(1, 5, 5, 0), told(2, 0, 6, 0, FillKind.QUIET), told(3, 9, 5, 0, FillKind.RETURNED)], 1),
        ([told(1, 5, 6, 0), told(2, 5, 11, 0)], 2),
    ],
)
def test_each_fills_count_of_its_parent_is_checked(fills: list[Fill], wrong: int) -> None:
    assert line(MISCOUNTED, fills)[1:3] == (wrong, 0)


@pytest.mark.parametrize(
    ("records", "off"),
    [
        ([told(1, 30, 30, 0), told(2, 70, 30, 0, FillKind.RETURNED)], 0),
        ([told(1, 30, 30, 0), told(2, 71, 30, 0, FillKind.RETURNED)], 1),
        ([told(1, 30, 30, 0), told(2, 69, 30, 0, FillKind.RETURNED)], 1),
        ([told(1, 100, 100, 0), told(2, 0, 100, 0, FillKind.RETURNED)], 0),
        ([told(1, 110, 110, 0), told(2, 0, 110, 0, FillKind.RETURNED)], 0),
        ([told(2, 100, 0, 0, FillKind.RETURNED), told(3, 20, 20, 0)], 0),
        ([told(1, 30, 30, 0), told(2, 30, 0, 0, FillKind.BUST), told(3, 70, 0, 0, FillKind.RETURNED)], 0),
        ([told(2, 100, 0, 0, FillKind.RETURNED, no=2)], 1),
    ],
    ids=["rest", "one more", "one less", "nothing", "over", "late", "a bust goes to no slice", "no such slice"],
)
def test_what_comes_back_is_what_was_not_executed(records: list[Record], off: int) -> None:
    slices = [slice_(0, 1_000, 100), slice_(0, 1_000, 0, no=2, kind=SliceKind.RECALL)]
    assert line(CAME_BACK, [*slices, *records])[1:3] == (off, 0)


def ended(parent_id: str, remaining_qty: int = 0, final: bool = True) -> EpochClosed:
    share = EpochShare(order_id="O", executed_qty=1, remaining_qty=remaining_qty)
    return EpochClosed(
        parent_id=parent_id, instrument="I", epoch_no=1, final=final, chunk_no=1, chunk_count=1, executed_qty=1,
        shares=(share,), at_ns=9,
    )  # fmt: skip


def begun(
    parent_id: str, completion: Completion = Completion.BEST_EFFORT, kind: ParentKind = ParentKind.NEW
) -> ParentOrder:
    return ParentOrder(
        kind=kind, parent_id=parent_id, instrument="I", bucket_id="B", trade_date=20260105, epoch_no=1, side=Side.BUY,
        order_qty=5, completion=completion, at_ns=1,
    )  # fmt: skip


def test_when_the_day_is_over_every_slice_has_come_back_and_every_parent_is_over() -> None:
    day = Tick(kind=TickKind.DAY_END, now_ns=99, wall_ns=99, trade_date=20260105)
    records: list[Record] = [slice_(0, 100, 50), slice_(0, 100, 50, no=2), told(3, 50, 0, 0, FillKind.RETURNED)]
    records += [begun("P"), begun("Q"), begun("Q", kind=ParentKind.DONE), begun("R")]
    records += [ended("P"), ended("Q", final=False), ended("NEVER")]
    assert [each.name for each in books(records) if each.name in (SLICES, OVER)] == []
    assert (line(SLICES, [*records, day]).left, line(SLICES, [*records, day]).right) == (2, 1)
    assert (line(OVER, [*records, day]).left, line(OVER, [*records, day]).right) == (3, 1)
    tick = Tick(kind=TickKind.TICK, now_ns=99, wall_ns=99, trade_date=20260105)
    assert [each.name for each in books([*records, tick]) if each.name in (SLICES, OVER)] == []


UNTOLD = "parents that had to be completed, were not, and nobody was told"


@pytest.mark.parametrize(
    ("completion", "remaining_qty", "final", "told_of", "kind", "untold"),
    [
        (Completion.MUST, 1, True, "Q", AlertKind.COMPLETION_AT_RISK, 1),
        (Completion.MUST, 1, True, "P", AlertKind.COMPLETION_AT_RISK, 0),
        (Completion.MUST, 1, True, "P", AlertKind.BREAK, 0),
        (Completion.MUST, 1, True, "P", AlertKind.LATE_FILL, 1),
        (Completion.MUST, 0, True, "Q", AlertKind.COMPLETION_AT_RISK, 0),
        (Completion.MUST, 1, False, "Q", AlertKind.COMPLETION_AT_RISK, 0),
        (Completion.BEST_EFFORT, 1, True, "Q", AlertKind.COMPLETION_AT_RISK, 0),
    ],
)
def test_a_parent_that_had_to_be_completed_and_was_not_must_have_been_told_of(
    completion: Completion, remaining_qty: int, final: bool, told_of: str, kind: AlertKind, untold: int
) -> None:
    alert = Alert(kind=kind, instrument="I", subject_id=told_of)
    records: list[Record] = [begun("P", completion), ended("P", remaining_qty, final), ended("Q", 5), alert]
    assert line(UNTOLD, records)[1:3] == (untold, 0)


def test_what_is_left_of_a_parent_adds_up_over_chunks() -> None:
    records: list[Record] = [begun("P", Completion.MUST), ended("P", 0), ended("P", 2)]
    assert line(UNTOLD, records).left == 1
