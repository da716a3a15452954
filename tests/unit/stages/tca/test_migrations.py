"""State that older code wrote goes on: the same costs come out as if this code had read all of it.

`state_v1.json` is what the code of version 1 had in its tables after :func:`messages`: changelog key to value, base64.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import msgspec

from pipeline.domain.market import PrintKind
from pipeline.domain.record import Record
from pipeline.runtime.worker.migration import migrated
from pipeline.stages.tca.stage import TCAStage
from pipeline.state import Task
from tests.unit.stages.tca.test_stage import PX, T0, S, allocation, bench, child, fill, order, over, parent, quote, rows
from tests.unit.stages.tca.test_stage import trade as print_of

STATE_V1 = Path(__file__).with_name("state_v1.json")
FIRST = print_of("2", T0 + 30 * S, 103 * PX, 300)


def messages() -> list[Record]:
    """What version 1 had read after a tick at T0 + 6 s; before it the first quote, the order and both prints."""
    cancel = msgspec.structs.replace(FIRST, kind=PrintKind.CANCEL, print_id="c", ref_print_id="2", px=0, qty=0)
    return [
        cancel, parent(), child(), fill(), allocation("A1", 50, 102 * PX, T0 + 20 * S), quote(T0 + 7 * S, 101 * PX),
        quote(T0 + 6 * S, 99 * PX),
    ]  # fmt: skip


def test_state_of_version_1_goes_on() -> None:
    stored = {key.encode(): base64.b64decode(row) for key, row in json.loads(STATE_V1.read_text()).items()}
    always = bench()
    always.feed(quote(T0, 100 * PX), order(), print_of("1", T0 + 11 * S, 102 * PX, 900), FIRST)
    always.tick(T0 + 6 * S)
    always.feed(*messages())
    moved = bench()
    moved.state = TCAStage().new_state(Task("tca", 0, 1))
    for key, value in migrated(TCAStage(), 1, stored).rows.items():
        moved.state.load(key.decode(), value)
        moved.changelog[key.decode()] = value
    moved.state.restored()
    later = [
        print_of("1", T0 + 11 * S, 102 * PX, 900), print_of("3", T0 + 12 * S, 98 * PX, 900), order("O2", T0 + 7 * S),
        msgspec.structs.replace(allocation("A2", 5, 102 * PX, T0 + 21 * S), order_id="O2"), over(),
    ]  # fmt: skip
    found = []
    for b in (always, moved):
        b.feed(*later)
        found.append(rows(b, T0 + 40 * S))
    assert set(found[0]) == {"O1", "O2", "P", "C1"} and found[1] == found[0]
    assert (found[1]["P"].interval_vwap_px, found[1]["O2"].arrival_px) == (100 * PX, 101 * PX)
