"""State that older code wrote is this version's after its migration.

`state_v1.json` is what the code of version 1 had in its tables after :func:`worked`: changelog key to value in base64.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from pipeline.domain.executions import ChildOrder
from pipeline.domain.orders import OrdStatus
from pipeline.domain.parents import Style
from pipeline.runtime.worker.migration import migrated
from pipeline.stages.routing.parameters import RoutingParameters
from pipeline.stages.routing.stage import RoutingStage
from pipeline.stages.routing.state import RoutingState
from pipeline.state import Task
from tests.unit.stages.routing.routing_bench import SECRET, RoutingBench, kinds

STATE_V1 = Path(__file__).with_name("state_v1.json")


def worked() -> tuple[RoutingBench, ChildOrder]:
    """One slice with its second child at a venue, a part of it executed; another with its first; a third returned."""
    bench = RoutingBench()
    first = bench.one_child(bench.slice(100))
    bench.trade(first, 30)
    second = bench.one_child(bench.canceled(first, cum_qty=30))
    bench.trade(second, 20)
    bench.slice(40, Style.CROSS, parent="P0-2", dark_allowed=True)
    bench.slice(5_000, parent="P0-3", permitted_qty=0)
    return bench, second


def test_state_of_version_1_goes_on_as_if_it_had_always_been_of_this_version() -> None:
    rows = {key.encode(): base64.b64decode(row) for key, row in json.loads(STATE_V1.read_text()).items()}
    assert len([key for key in rows if key.startswith(b"out/")]) == 2
    always, second = worked()
    stage = RoutingStage(RoutingParameters(wire_secret=SECRET))
    state = stage.new_state(Task("routing", 0, 1))
    for key, value in migrated(stage, 1, rows).rows.items():
        state.load(key.decode(), value)
    state.restored()
    assert _what_version_1_knew(state) == _what_version_1_knew(always.state)
    always.state, always.changelog = state, dict(state.dump())
    assert kinds(always.canceled(second, cum_qty=20)) == ["Fill:RETURNED"]


def _what_version_1_knew(state: RoutingState) -> dict[str, bytes]:
    """All of the state, but not what venues said of orders beside executions, nor what the market was."""
    for child_id in state.ledger.children.keys():
        child = state.ledger.children[child_id]
        life = child.life
        life.told_cum_qty, life.told_leaves_qty, life.told_ns = -1, 0, 0
        state.ledger.children.put(child_id, child)
    for key in state.executions.keys():
        execution = state.executions[key]
        execution.told_cum_qty, execution.told_status = 0, OrdStatus.UNKNOWN
        execution.told_ns = execution.said_ns = 0
        state.executions.put(key, execution)
    return {key: value for key, value in state.dump() if not key.startswith(("feeds/", "middles/"))}
