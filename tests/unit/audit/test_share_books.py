"""What was executed and crossed against what was allocated: known numbers, with busts, corrections and fees in them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from pipeline.audit.invariants import Line, books
from pipeline.audit.share_books import booked
from pipeline.domain.allocations import Allocation, Reconciliation
from pipeline.domain.controls import Alert
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Side
from pipeline.domain.parents import Cross, CrossKind
from pipeline.domain.record import Record
from tests.allocation_builders import PX, begin, bench, bust, cross, fill, order, quiet

OFF_EPOCH = "epochs whose reconciliation is not what fills and allocations say"
OFF_CROSS = "crosses whose reconciliation is not what they and their allocations say"


def by_name(records: Sequence[Record]) -> dict[str, Line]:
    return {line.name: line for line in books(records)}


def figures(line: Line) -> tuple[int, int, dict[str, int]]:
    return line.left, line.right, dict(line.parts)


@pytest.mark.parametrize(
    ("record", "due"),
    [
        (fill("f", 7, 3 * PX, 5), (7, 21 * PX, 5)),
        (fill("f", 7, 3 * PX, -5), (7, 21 * PX, -5)),
        (bust("b", fill("f", 7, 3 * PX, 5)), (-7, -21 * PX, -5)),
        (bust("b", fill("f", 7, 3 * PX, -5)), (-7, -21 * PX, 5)),
        (fill("g", 9, 2 * PX, 4, prior=fill("f", 7, 3 * PX, 5)), (2, -3 * PX, -1)),
        (fill("g", 5, 4 * PX, 8, prior=fill("f", 7, 3 * PX, 5)), (-2, -PX, 3)),
        (quiet(), (0, 0, 0)),
        (replace(fill("r", 7, 3 * PX, 5), kind=FillKind.RETURNED), (0, 0, 0)),
    ],
    ids=["trade", "rebate", "bust", "bust of a rebate", "to more", "to less", "quiet", "returned"],
)
def test_what_a_fill_adds_to_the_books(record: Fill, due: tuple[int, int, int]) -> None:
    assert booked(record) == due


def life() -> tuple[list[Record], list[Record]]:
    """Executions of 10 at 100 and 6 at 110, the first corrected to 12 at 101, then 4 more, busted, and late 2 at 90.

    To buy by two orders, 30 and 10; fees 7, corrected to 9; 3; 8, busted; -1. Returns what goes in and what comes out.
    """
    stage = bench()
    first, other, third = fill("f1", 10, 100 * PX, 7), fill("f2", 6, 110 * PX, 3), fill("f3", 4, 105 * PX, 8)
    put_in: list[Record] = [
        *begin([30, 10])[1],
        first,
        other,
        fill("g1", 12, 101 * PX, 9, prior=first),
        third,
        bust("b3", third),
        quiet(),
        fill("f4", 2, 90 * PX, -1),
    ]
    stage.feed(*put_in)
    return put_in, list(stage.out)


def test_a_life_with_a_bust_a_correction_and_a_late_fill_to_the_last_unit() -> None:
    put_in, out = life()
    lines = by_name([*put_in, *out])
    executed_money = 12 * 101 * PX + 6 * 110 * PX + 2 * 90 * PX
    assert executed_money == 2_052 * PX
    # 18 are the members' (13 and 5), the late 2 found their orders ended; one price, 102.6, for all of it
    assert figures(lines["executed to BUY"]) == (20, 20, {"allocated": 18, "error account": 2, "not yet allocated": 0})
    assert figures(lines["money of executions allocated, 1e-9"]) == (
        executed_money,
        executed_money,
        {"allocated": 18 * 102_600_000_000, "error account": 2 * 102_600_000_000, "residual of rounded prices": 0},
    )
    assert figures(lines["fees of executions allocated, 1e-9"]) == (11, 11, {"allocated": 10, "error account": 1})
    assert lines[OFF_EPOCH][1:3] == (0, 0)
    assert lines["allocations replaced or cancelled more than once, or that there are not"][1:3] == (0, 0)


@pytest.mark.parametrize(
    "name", [name for name in Reconciliation.__struct_fields__ if name.endswith(("qty", "money", "fee"))]
)
def test_each_figure_of_an_epochs_reconciliation_is_checked(name: str) -> None:
    put_in, out = life()
    told = [record for record in out if isinstance(record, Reconciliation)][-1]
    rest = [record for record in out if record is not told]
    for change in (1, -1):
        off = by_name([*put_in, *rest, replace(told, **{name: getattr(told, name) + change})])
        assert off[OFF_EPOCH].left == 1, name
    assert by_name([*put_in, *rest, replace(told, balanced=False)])[OFF_EPOCH].left == 1
    assert by_name([*put_in, *rest, replace(told, error_account="")])[OFF_EPOCH].left == 1, "it owns 2"
    assert by_name([*put_in, *rest, replace(told, part_count=2)])[OFF_EPOCH].left == 1


@pytest.mark.parametrize("name", ["alloc_qty", "net_money", "alloc_avg_px"])
def test_each_figure_of_an_allocation_is_checked(name: str) -> None:
    put_in, out = life()
    standing = [record for record in out if isinstance(record, Allocation)][-1]
    for change in (1, -1):
        changed = [replace(r, **{name: getattr(r, name) + change}) if r is standing else r for r in out]
        assert by_name([*put_in, *changed])[OFF_EPOCH].left == 1


def test_a_reconciliation_of_what_never_was_executed_is_seen() -> None:
    put_in, out = life()
    told = next(record for record in out if isinstance(record, Reconciliation))
    for field in ("executed_qty", "allocated_qty"):
        nothing = {"executed_qty": 0, "allocated_qty": 0}
        lost = replace(told, parent_id="LOST", **{**nothing, field: 1})
        assert by_name([*put_in, *out, lost])[OFF_EPOCH].left == 1
        assert by_name([*put_in, *out, replace(lost, **nothing)])[OFF_EPOCH].left == 0
    assert by_name([*put_in, *out, replace(told, parent_id=None, cross_id="LOST")])[OFF_CROSS].left == 1


def test_without_anything_for_the_error_account_none_is_named() -> None:
    stage = bench()
    put_in: list[Record] = [*begin([2, 2])[1], fill("f1", 4, fee=3), quiet()]
    stage.feed(*put_in)
    assert by_name([*put_in, *stage.out])[OFF_EPOCH][1:3] == (0, 0)
    named = [replace(r, error_account="ERROR") if isinstance(r, Reconciliation) else r for r in stage.out]
    assert by_name([*put_in, *named])[OFF_EPOCH][1:3] == (1, 0)


def test_a_fee_that_is_not_in_proportion_is_seen() -> None:
    put_in, out = life()
    standing = [record for record in out if isinstance(record, Allocation)][-1]
    for change in (2, -2, -2 * standing.fee):
        changed = [replace(r, fee=r.fee + change) if r is standing else r for r in out]
        moved = by_name([*put_in, *changed])
        assert moved[OFF_EPOCH].left == 1 or moved["fees of executions allocated, 1e-9"].holds is False, change


def test_an_allocation_that_replaces_one_twice_is_seen() -> None:
    put_in, out = life()
    replacing = next(r for r in out if isinstance(r, Allocation) and r.ref_alloc_id is not None)
    name = "allocations replaced or cancelled more than once, or that there are not"
    again = replace(replacing, alloc_id="A0-99")
    assert by_name([*put_in, *out, again])[name].left == 1
    assert by_name([*put_in, *out, replace(again, ref_alloc_id="NOBODY")])[name].left == 1


def test_executions_set_aside_by_name_are_in_the_books_as_such() -> None:
    stage = bench()
    put_in = [*begin([5])[1], fill("f1", 3), bust("b", fill("f9", 4)), quiet()]
    stage.feed(*put_in)
    assert [(a.reason, a.subject_id) for a in stage.all(Alert)] == [("NOTHING_TO_TAKE_BACK", "b")]
    line = by_name([*put_in, *stage.out])["executed to BUY"]
    assert figures(line) == (
        -1,
        -1,
        {"allocated": 3, "error account": 0, "not yet allocated": 0, "set aside by name": -4},
    )
    silent = [record for record in stage.out if not isinstance(record, Alert)]
    off = [line.name for line in books([*put_in, *silent]) if not line.holds]
    assert "executed to BUY" in off and OFF_EPOCH in off, "without the alert it would be missing"


# ------------------------------------------------------------------ crosses


def crosses() -> tuple[list[Record], list[Record]]:
    """5 crossed at 7 and corrected to 4 at 8; 3 crossed at 9 and busted; 9 of which a buyer of 10 had room for 6."""
    stage = bench()
    put_in: list[Record] = [
        order("B", 10),
        order("S", 20, Side.SELL),
        cross("X", [("B", 5, None)], [("S", 5, None)], 7 * PX),
        cross("Y", [("B", 3, None)], [("S", 3, None)], 9 * PX),
        cross("X2", [("B", 3, None)], [("S", 3, None)], 6 * PX, CrossKind.CORRECT, "X"),
        cross("Y2", [], [], kind=CrossKind.BUST, ref="Y"),
        cross("X3", [("B", 4, None)], [("S", 4, None)], 8 * PX, CrossKind.CORRECT, "X2"),
        cross("Z", [("B", 9, None)], [("S", 9, None)], 5 * PX),
    ]
    stage.feed(*put_in)
    return put_in, list(stage.out)


def test_crosses_with_a_bust_and_two_corrections_to_the_last_unit() -> None:
    put_in, out = crosses()
    lines = by_name([*put_in, *out])
    assert figures(lines["crossed to buy, and to sell"]) == (13, 13, {})
    assert figures(lines["crossed on both sides, and allocated of it"]) == (
        26,
        26,
        {"allocated": 4 + 4 + 6 + 9, "beyond an order's quantity": 3},
    )
    money = 2 * (4 * 8 + 9 * 5) * PX
    assert figures(lines["money of crosses, both sides, and of their allocations, 1e-9"]) == (
        money,
        money,
        {"allocated": money - 3 * 5 * PX, "beyond an order's quantity": 3 * 5 * PX},
    )
    assert lines[OFF_CROSS][1:3] == (0, 0)


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(
    "name", ["executed_qty", "allocated_qty", "error_account_qty", "executed_money", "allocated_money", "residual",
             "executed_fee", "allocated_fee", "allocation_count"]
)  # fmt: skip
def test_each_figure_of_a_crosses_reconciliation_is_checked(name: str, index: int) -> None:
    put_in, out = crosses()
    newest = {r.cross_id: r for r in out if isinstance(r, Reconciliation)}
    told = newest["XYZ"[index]]
    changed = [replace(r, **{name: getattr(r, name) + 1}) if r is told else r for r in out]
    assert by_name([*put_in, *changed])[OFF_CROSS].left == 1
    assert by_name([*put_in, *(replace(r, balanced=not r.balanced) if r is told else r for r in out)])[OFF_CROSS].left


def test_a_crosses_allocation_that_is_missing_is_seen() -> None:
    put_in, out = crosses()
    newest = [r for r in out if isinstance(r, Allocation) and r.cross_id == "X"][-1]
    lines = by_name([*put_in, *(r for r in out if r is not newest)])
    assert lines[OFF_CROSS].left == 1
    assert lines["crossed on both sides, and allocated of it"].right == 25
    assert lines["money of crosses, both sides, and of their allocations, 1e-9"].holds is False


def test_what_restates_a_cross_may_be_read_before_it() -> None:
    put_in, out = crosses()
    backwards = sorted(put_in, key=lambda r: isinstance(r, Cross) and r.kind is CrossKind.TRADE)
    assert books([*backwards, *out]) == books([*put_in, *out])
