"""What of a record cannot be booked, by name; and everything that can."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import FillKind
from pipeline.domain.orders import OrderKind
from pipeline.domain.parents import CrossKind, LineageKind, ParentKind
from pipeline.domain.record import Record
from pipeline.stages.allocation.checks import subject_of, unusable
from tests.allocation_builders import (
    PX,
    XYZ,
    S,
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

LINES = [("O0", "A", 3), ("O1", "B", 0)]
CHUNK = statement("P", LINES)[0]
CROSS = cross("X", [("B", 5, None)], [("S", 2, None), ("T", 3, None)])
FIRST = fill("f", 5, 7 * PX)
CORRECT = fill("g", 4, 8 * PX, prior=FIRST)


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        (order("O", 1), ""),
        (order("O", 0), "its quantity is 0"),
        (order("O", -1), "its quantity is -1"),
        (replace(order("O", 1), request=replace(order("O", 1).request, order_qty=None)), "its quantity is None"),
        (cancel("O", "k"), ""),
        (order("O", 1, kind=OrderKind.REPLACE), "replaces are not built yet, and intake refuses them"),
        (CHUNK, ""),
        (replace(CHUNK, kind=LineageKind.JOINED, parent_id=None), ""),
        (replace(CHUNK, kind=LineageKind.UNKNOWN), "its kind is UNKNOWN"),
        (replace(CHUNK, parent_id=None), "a statement without a parent"),
        (replace(CHUNK, chunk_no=0), "chunk 0 of 1"),
        (replace(CHUNK, chunk_no=2), "chunk 2 of 1"),
        (replace(CHUNK, chunk_no=2, chunk_count=2), ""),
        (replace(CHUNK, members=(replace(CHUNK.members[0], contributed_qty=-1),)), "order O0 contributes -1"),
        (left("O", 3), ""),
        (replace(left("O", 3), order_id=None), "it names no order"),
        (replace(left("O", 3), kind=LineageKind.CANCEL_REFUSED, order_id=None), "it names no order"),
        (parent("P", lines=LINES), ""),
        (parent("P", ParentKind.EPOCH, 2, LINES), ""),
        (replace(parent("P", lines=LINES), trade_date=20260230), "its trade date is 20260230"),
        (replace(parent("P", ParentKind.RECALL), trade_date=0), ""),
        (parent("P", ParentKind.DONE), ""),
        (parent("P", ParentKind.CROSS_ASK, ask_id="a"), ""),
        (parent("P", ParentKind.CROSS_DONE, crossed_qty=0), ""),
        (parent("P", ParentKind.CROSS_DONE, crossed_qty=-1), "-1 were crossed"),
        (parent("P", ParentKind.CARRY), "CARRY is not built yet"),
        (CROSS, ""),
        (replace(CROSS, kind=CrossKind.CORRECT, ref_cross_id="X"), ""),
        (replace(CROSS, kind=CrossKind.UNKNOWN), "its kind is UNKNOWN"),
        (replace(CROSS, kind=CrossKind.BUST, px=0, qty=-1), ""),
        (replace(CROSS, qty=6), "a cross of 6 that buys 5 and sells 5"),
        (cross("X", [("B", 5, None)], [("S", 4, None)]), "a cross of 5 that buys 5 and sells 4"),
        (cross("X", [("B", 0, None)], [("S", 0, None)]), "order B has 0 of it"),
        (cross("X", [("B", 5, None)], [("S", 6, None), ("T", -1, None)]), "order T has -1 of it"),
        (cross("X", [("B", 5, None)], [("S", 2, None), ("S", 3, None)]), "an order has two legs of it"),
        (cross("X", [("B", 5, None)], [("B", 5, None)]), "an order has two legs of it"),
        (replace(CROSS, px=0), "its price is 0"),
        (replace(CROSS, px=1), ""),
        (replace(CROSS, trade_date=20260101 + 1200), "its trade date is 20261301"),
        (FIRST, ""),
        (fill("f", 1, 1), ""),
        (fill("f", 0), f"TRADE of 0 at {100 * PX}"),
        (fill("f", -1), f"TRADE of -1 at {100 * PX}"),
        (fill("f", 5, 0), "TRADE of 5 at 0"),
        (replace(FIRST, last_px=None), "TRADE of 5 at None"),
        (fill("f", 5, overfill_qty=5), ""),
        (fill("f", 5, overfill_qty=6), "6 of 5 are beyond what its parent permitted"),
        (fill("f", 5, overfill_qty=-1), "-1 of 5 are beyond what its parent permitted"),
        (bust("b", FIRST), ""),
        (replace(bust("b", FIRST), last_px=None), "BUST of 5 at None"),
        (replace(bust("b", FIRST), last_qty=0), f"BUST of 0 at {7 * PX}"),
        (CORRECT, ""),
        (replace(CORRECT, last_qty=0, last_px=None), ""),
        (replace(CORRECT, prior_qty=0, prior_px=None), ""),
        (replace(CORRECT, last_qty=-1), f"CORRECT of -1 at {8 * PX}, until now 5 at {7 * PX}"),
        (replace(CORRECT, last_px=-1), f"CORRECT of 4 at -1, until now 5 at {7 * PX}"),
        (replace(CORRECT, last_px=0), f"CORRECT of 4 at 0, until now 5 at {7 * PX}"),
        (replace(CORRECT, prior_qty=-1), f"CORRECT of 4 at {8 * PX}, until now -1 at {7 * PX}"),
        (replace(CORRECT, prior_px=-1), f"CORRECT of 4 at {8 * PX}, until now 5 at -1"),
        (replace(CORRECT, prior_px=0), f"CORRECT of 4 at {8 * PX}, until now 5 at 0"),
        (quiet(crossed_qty=0), ""),
        (quiet(crossed_qty=-1), "-1 were crossed"),
        (replace(FIRST, kind=FillKind.RETURNED, last_qty=-5), ""),
        (replace(FIRST, kind=FillKind.UNKNOWN), "its kind is UNKNOWN"),
        (Alert(instrument="I", subject_id="s"), ""),
    ],
)
def test_what_cannot_be_booked(record: Record, wrong: str) -> None:
    assert unusable(record) == wrong


@pytest.mark.parametrize(
    ("record", "subject"),
    [
        (order("O", 0), (XYZ, "O")),
        (CHUNK, (XYZ, "P")),
        (left("O", 3), (XYZ, "O")),
        (replace(CHUNK, parent_id=None), (XYZ, "")),
        (parent("P"), (XYZ, "P")),
        (CROSS, (XYZ, "X")),
        (FIRST, (XYZ, "f")),
        (Alert(instrument="I", subject_id="s"), ("", "")),
    ],
)
def test_what_the_alert_speaks_of(record: Record, subject: tuple[str, str]) -> None:
    assert subject_of(record) == subject


def test_the_alert_is_whole_and_nothing_else_is_written() -> None:
    stage = bench()
    stage.tick(3 * S)
    assert stage.feed(fill("f", 0)) == [
        Alert(
            kind=AlertKind.BREAK,
            instrument=XYZ,
            subject_id="f",
            reason="UNUSABLE_RECORD",
            text=f"Fill f: TRADE of 0 at {100 * PX}. It was set aside, and nothing of it is booked",
            at_ns=3 * S,
        )
    ]
    assert len(stage.state.epochs) == len(stage.state.parents) == 0
