"""State that older code wrote goes on: its prints are known by their day, so that none counts twice.

`state_v1.json` is what the code of version 1 had in its tables after a tick, an instrument, two prints of the day and
one of the day before, a child and its fill: changelog key to value, base64.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from pipeline.domain.analytics import VenueScore
from pipeline.domain.market import PrintKind
from pipeline.runtime.worker.migration import migrated
from pipeline.stages.analytics.stage import AnalyticsStage
from pipeline.stages.shared.print_tape import MINUTE_NS
from pipeline.state import Task
from tests.unit.stages.analytics.test_stage import DAY_NS, OPEN_NS, bars, bench, scores, trade

STATE_V1 = Path(__file__).with_name("state_v1.json")


def test_state_of_version_1_goes_on() -> None:
    stored = {key.encode(): base64.b64decode(row) for key, row in json.loads(STATE_V1.read_text()).items()}
    b = bench()
    b.state = AnalyticsStage().new_state(Task("analytics", 0, 1))
    for key, value in migrated(AnalyticsStage(), 1, stored).rows.items():
        b.state.load(key.decode(), value)
        b.changelog[key.decode()] = value
    b.state.restored()
    b.feed(trade("1", OPEN_NS + 1, 1000, 5), trade("0", OPEN_NS - DAY_NS, 900, 3))
    b.feed(trade("c", OPEN_NS + 9, 1, 1, PrintKind.CANCEL, "2"), trade("3", OPEN_NS + 4, 1050, 2))
    found = {bar.start_ns: bar for bar in bars(b, OPEN_NS + MINUTE_NS)}
    assert {at: (bar.volume_qty, bar.vwap_money) for at, bar in found.items()} == {
        OPEN_NS: (7, 7_100),
        OPEN_NS - DAY_NS: (3, 2_700),
    }
    assert [(each.children, each.filled_qty) for each in b.all(VenueScore)] == [(1, 40)]
    assert scores(b, OPEN_NS + 2 * MINUTE_NS) == []
