"""C. No record stops allocation: any field of any record at its extremes, and the books of the others go on.

A story of two parents of one instrument (crosses in the window and out of a parent, executions, a bust, corrections, a
recall with a cancel, a second epoch, a late fill) is told with one field of one record changed. Nothing may raise,
everything written must fit its contract, everything must have ended when the day has, and the other instrument's books
must be what they are without it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from enum import Enum

import msgspec
import pytest

from pipeline.domain.allocations import Allocation, Reconciliation
from pipeline.domain.controls import Alert, AlertKind, Tick, TickKind
from pipeline.domain.executions import Fill
from pipeline.domain.orders import Order, OrderEvent, OrderKind, OrdersClosed, Side
from pipeline.domain.parents import Cross, CrossKind, Lineage, ParentKind, ParentOrder
from pipeline.domain.record import Owned, Record
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.stage import Meta
from pipeline.stages.allocation.stage import AllocationStage
from pipeline.stages.allocation.state import AllocationState
from pipeline.state import Task
from tests.allocation_builders import (
    DAY,
    PX,
    S,
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

CODEC = Codec(LocalIds())
LONGS = (-(2**63), -1, 0, 1, 2**62, 2**63 - 1)


def story() -> list[Record]:
    """The instrument that a field is changed of. Every record type that allocation reads is in it."""
    lines = [("P-0", "A", 30), ("P-1", "B", 20)]
    second = [("P-1", "B", 8)]
    first, other = fill("f1", 20, 100 * PX, 5), fill("f2", 10, 102 * PX, -3)
    corrected = fill("g1", 18, 101 * PX, 4, prior=first)
    return [
        tick(1),
        order("P-0", 35, account="A"),
        order("P-1", 20, account="B"),
        order("S", 9, Side.SELL, account="C"),
        cross("X1", [("P-0", 5, None)], [("S", 5, None)]),
        *statement("P", lines, chunk=1),
        parent("P", lines=lines),
        first,
        tick(10),
        other,
        corrected,
        parent("P", ParentKind.CROSS_ASK, ask_id="a"),
        cross("X2", [("P-0", 4, "P")], [("S", 4, None)], 99 * PX),
        parent("P", ParentKind.CROSS_DONE, ask_id="a", crossed_qty=4),
        cross("X3", [("P-0", 4, "P")], [("S", 4, None)], 98 * PX, CrossKind.CORRECT, "X2"),
        cancel("P-0", "k"),
        parent("P", ParentKind.RECALL),
        quiet(final=False, crossed_qty=4),
        fill("f3", 1, 103 * PX, 1),
        left("P-0", 9, "k"),
        *statement("P", second, 2),
        parent("P", ParentKind.EPOCH, 2, second),
        fill("f4", 6, 104 * PX, 2, epoch_no=2),
        tick(20),
        quiet(epoch_no=2),
        bust("b", other),
    ]


def tick(seconds: int, kind: TickKind = TickKind.TICK) -> Tick:
    return Tick(kind=kind, now_ns=seconds * S, wall_ns=seconds * S, trade_date=DAY)


def others() -> list[Record]:
    """The innocent, of another instrument and with ids of their own."""
    lines = [("Q-0", "A", 3), ("Q-1", "B", 4)]
    mine = [
        order("Q-0", 3, account="A"),
        order("Q-1", 4, account="B"),
        *statement("Q", lines),
        parent("Q", lines=lines),
        fill("q1", 5, 50 * PX, 7, "Q"),
        quiet("Q"),
    ]
    return [msgspec.structs.replace(record, instrument="OTHER") for record in mine]


def told(records: list[Record]) -> list[Owned]:
    """What allocation writes of the records, a tick after each, to the day's end; all of it fits its contract."""
    stage = AllocationStage()
    state: AllocationState = stage.new_state(Task("allocation", 0, 1))
    out: list[Owned] = []
    day = [*records, *others(), *(tick(30 + n) for n in range(3)), tick(99, TickKind.DAY_END)]
    for message in day:
        for made in stage.step(state, message, Meta(0)):
            CODEC.encode(made)
            out.append(made)
        for _ in state.drain():
            pass  # encoded: what no state can hold fails here
    return out


def extremes(kind: object) -> list[object]:
    """Values that a field of such a type may have, the ends of its range first."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [value for each in typing.get_args(kind) for value in extremes(each)]
    if typing.get_origin(kind) is typing.Annotated:
        return extremes(typing.get_args(kind)[0])
    if kind is type(None):
        return [None]
    if kind is bool:
        return [True, False]
    if kind is int:
        return list(LONGS)
    if kind is str:
        return ["", "P", "P-1", "S", "X1", "nobody's", "é" * 50]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)
    if typing.get_origin(kind) is tuple:
        return [()]
    return []


def altered(record: Record) -> Iterator[tuple[str, Record]]:
    """The record with each of its fields, and each field of what is inside it, at each extreme."""
    types_of = typing.get_type_hints(type(record), include_extras=True)
    for name in record.__struct_fields__:
        if name in ("writer", "seq"):
            continue  # the host's
        value = getattr(record, name)
        for extreme in extremes(types_of[name]):
            if extreme != value:
                yield f"{name}={extreme!r}", msgspec.structs.replace(record, **{name: extreme})
        inside = value if isinstance(value, tuple) else (value,) if isinstance(value, Record) else ()
        for index, part in enumerate(inside):
            if isinstance(part, Record):
                for what, new in altered(part):
                    parts = (*inside[:index], new, *inside[index + 1 :])
                    changed = parts if isinstance(value, tuple) else new
                    yield f"{name}.{what}", msgspec.structs.replace(record, **{name: changed})


def of_others(out: list[Owned]) -> list[object]:
    """What the innocent got: without ids, which are counted across instruments, and moments."""
    shares = [
        (a.kind, a.order_id, a.alloc_qty, a.alloc_avg_px, a.net_money, a.fee)
        for a in out
        if isinstance(a, Allocation) and a.instrument == "OTHER"
    ]
    ends = [
        (e.kind, e.order_id, e.cum_qty, e.leaves_qty, e.avg_px, e.final)
        for e in out
        if isinstance(e, OrderEvent) and e.instrument == "OTHER" and e.final
    ]
    sums = [
        (r.executed_qty, r.allocated_money, r.executed_fee, r.balanced)
        for r in out
        if isinstance(r, Reconciliation) and r.instrument == "OTHER"
    ]
    return [sorted(shares), ends, sums]


INNOCENT = [
    [
        ("NEW", "Q-0", 2, 50 * PX, 100 * PX, 3),
        ("NEW", "Q-1", 3, 50 * PX, 150 * PX, 4),
    ],
    [("EXPIRED", "Q-0", 2, 0, 50 * PX, True), ("EXPIRED", "Q-1", 3, 0, 50 * PX, True)],
    [(5, 250 * PX, 7, True)],
]


def test_the_story_itself_has_no_break() -> None:
    out = told(story())
    assert [a.reason for a in out if isinstance(a, Alert) and a.kind is AlertKind.BREAK] == []
    assert of_others(out) == INNOCENT
    ends = {o.order_id: (str(o.ord_status), o.cum_qty) for c in out if isinstance(c, OrdersClosed) for o in c.orders}
    assert ends == {
        "S": ("FILLED", 9),
        "P-0": ("CANCELED", 26),
        "P-1": ("EXPIRED", 18),
        "Q-0": ("EXPIRED", 2),
        "Q-1": ("EXPIRED", 3),
    }


@pytest.mark.parametrize("index", range(1, len(story())))
def test_whatever_one_record_says_nothing_stops_and_the_others_get_theirs(index: int) -> None:
    records = story()
    for what, record in altered(records[index]):
        if getattr(record, "instrument", "") == "OTHER" or "Q-" in what:
            continue
        try:
            out = told([*records[:index], record, *records[index + 1 :]])
        except Exception as error:
            error.add_note(f"{type(record).__name__} with {what}")
            raise
        assert of_others(out) == INNOCENT, what
        opened = {
            r.order_id
            for r in [*records[:index], record, *records[index + 1 :]]
            if isinstance(r, Order) and r.kind is OrderKind.NEW and (r.request.order_qty or 0) > 0
        }
        closed = [o.order_id for c in out if isinstance(c, OrdersClosed) for o in c.orders]
        assert len(closed) == len(set(closed)), f"{what}: ended twice"
        assert opened - set(closed) == set(), f"{what}: an order is open for ever"


def test_every_type_that_allocation_reads_is_in_the_story() -> None:
    types_told = {type(record) for record in story()}
    assert types_told == {Order, Lineage, ParentOrder, Cross, Fill, Tick}
