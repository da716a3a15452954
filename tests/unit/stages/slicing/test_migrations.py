"""State that older code wrote is this version's after its migration, as far as that version knew.

`state_v1.json` is what the code of version 1 had in its tables after :func:`messages`: changelog key to value, base64.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import msgspec

from pipeline.domain.market import Depth, DepthKind, Level, QuoteKind, SessionState, VenueStatus
from pipeline.domain.orders import Side
from pipeline.domain.parents import SliceKind
from pipeline.domain.record import Record
from pipeline.runtime.worker.migration import migrated
from pipeline.stages.shared.market_entries import Status
from pipeline.stages.slicing.stage import SlicingStage
from pipeline.stages.slicing.state import SlicingState
from pipeline.state import Task
from tests.stage_bench import Bench
from tests.unit.stages.slicing.test_stage import CENT, opened, parent, quote, s, slices, trade

STATE_V1 = Path(__file__).with_name("state_v1.json")


def depth(venue: str, kind: DepthKind, bids: tuple[tuple[int, int], ...], offers: tuple[tuple[int, int], ...]) -> Depth:
    return Depth(
        kind=kind,
        venue=venue,
        instrument="X",
        event_ns=s(1),
        received_ns=s(1),
        event_no=1,
        bids=tuple(Level(px=px * CENT, qty=qty) for px, qty in bids),
        offers=tuple(Level(px=px * CENT, qty=qty) for px, qty in offers),
    )


def messages() -> list[Record]:
    return [
        VenueStatus(
            venue="W",
            instrument="X",
            state=SessionState.HALTED,
            event_ns=s(0),
            received_ns=s(0),
        ),
        depth("V", DepthKind.SNAPSHOT, ((9_999, 700), (9_998, 0)), ((10_001, 300), (10_002, 400))),
        depth("V", DepthKind.CHANGE, ((9_997, 50),), ((10_001, 0), (10_003, 60))),
        trade(1, 900, 1),
        quote(1, bid=9_998),
        quote(2, bid=9_997, offer=10_003),
        quote(2.5, bid=9_998, offer=10_002, qty=55),
        parent(),
        parent(parent_id="P2", side=Side.SELL, order_qty=300),
    ]


def worked() -> Bench[SlicingState]:
    bench = opened(Bench(SlicingStage()))
    bench.feed(*messages())
    bench.tick(s(30))
    return bench


def test_state_of_version_1_goes_on() -> None:
    rows = {key.encode(): base64.b64decode(row) for key, row in json.loads(STATE_V1.read_text()).items()}
    stage, always = SlicingStage(), worked()
    state = stage.new_state(Task("slicing", 0, 1))
    for key, value in migrated(stage, 1, rows).rows.items():
        state.load(key.decode(), value)
    state.restored()
    # Version 1 kept of the market what slicing decides by, without feed, count and times.
    kept, now = state.market.quote("X"), always.state.market.quote("X")
    assert kept is not None and now is not None
    same = {"kind": QuoteKind.UNKNOWN, "feed": "", "quote_no": 0, "received_ns": now.event_ns}
    assert kept == msgspec.structs.replace(now, **same)
    for venue, venue_state in (("V", SessionState.OPEN), ("W", SessionState.HALTED)):
        assert state.market.status("X", venue) == Status(venue_state)
    for side in (Side.BUY, Side.SELL):
        assert state.market.depth_inside_qty("X", ["V"], side, None) == always.state.market.depth_inside_qty(
            "X", ["V"], side, None
        )
    assert state.samples.of("X").venues == ["V", "W"]
    for parent_id in ("P1", "P2"):
        old, new = state.parents[parent_id], always.state.parents[parent_id]
        assert (old.order, old.order_qty, old.out, old.slice_no) == (new.order, new.order_qty, new.out, new.slice_no)
    always.state = state
    always.changelog = dict(state.dump())
    before = len(slices(always.out))
    always.tick(s(50))  # version 1 did not say when a schedule began: it goes on from here
    always.tick(s(80))
    assert [r.parent_id for r in slices(always.out)[before:]] == ["P1", "P2"]
    assert not slices(always.out, SliceKind.FINISH)
