"""One line an event: a sentence for a person, ids for a machine."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import WrongUse
from pipeline.runtime.observability.log import EventLog, wants_json
from pipeline.runtime.worker.observer import Event

AT_NS = 1_767_623_400_123_456_789


def lines(*, as_json: bool) -> list[str]:
    written: list[str] = []
    log = EventLog(written.append, as_json=as_json, wall_ns=lambda: AT_NS, unit="engine")
    log.event(Event.FAILED, "no slot")
    log.ids["slot"] = "engine-0"
    log.event(Event.ABORTED, 'taken back ("why"\n)', partitions=[0, 1], epochs={"netting/0": 3})
    return written


def test_in_text_a_line_is_time_event_who_and_the_sentence() -> None:
    assert lines(as_json=False) == [
        "2026-01-05T14:30:00.123Z failed engine: no slot",
        '2026-01-05T14:30:00.123Z aborted engine-0: taken back ("why"\n)',
    ]


def test_in_json_every_event_is_one_line_with_its_ids() -> None:
    written = lines(as_json=True)
    assert all("\n" not in line for line in written)
    failed, aborted = map(json.loads, written)
    assert failed == {
        "time": "2026-01-05T14:30:00.123Z", "level": "error", "event": "failed", "unit": "engine", "msg": "no slot"
    }  # fmt: skip
    assert aborted == {
        "time": "2026-01-05T14:30:00.123Z", "level": "warning", "event": "aborted", "unit": "engine",
        "slot": "engine-0", "partitions": [0, 1], "epochs": {"netting/0": 3}, "msg": 'taken back ("why"\n)',
    }  # fmt: skip


def test_the_environment_chooses_and_what_it_may_not_say_is_refused() -> None:
    assert not wants_json({})
    assert not wants_json({"PIPELINE_LOG": "text"})
    assert wants_json({"PIPELINE_LOG": "json"})
    with pytest.raises(WrongUse, match="xml"):
        wants_json({"PIPELINE_LOG": "xml"})
