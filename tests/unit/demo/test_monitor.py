"""When the demo may end its day: not before every request has its answer, however slow the stages are."""

from __future__ import annotations

import pytest

from pipeline.demo.monitor import Counts
from pipeline.demo.scenario import scenario

ASKED = {("desk", "1"), ("desk", "2")}


@pytest.mark.parametrize(
    ("answered", "accepted", "final", "finished"),
    [
        (set(), set(), set(), False),  # the stages have not begun: nothing is open, and nothing is finished
        ({("desk", "1")}, {"O-1"}, {"O-1"}, False),  # one is finished, the other not answered
        (ASKED, {"O-1", "O-2"}, {"O-1"}, False),  # one is open
        (ASKED, {"O-1", "O-2"}, {"O-1", "O-2"}, True),
        (ASKED | {("desk", "3")}, {"O-1"}, {"O-1"}, True),  # the second was refused, a third is nobody's question
    ],
)
def test_a_day_is_finished_when_every_request_is_answered_and_no_order_is_open(
    answered: set[tuple[str, str]], accepted: set[str], final: set[str], finished: bool
) -> None:
    counts = Counts(answered=answered, accepted_ids=accepted, final_ids=final)
    assert counts.all_finished(ASKED) is finished


def test_a_scenario_asks_for_an_answer_to_each_request_once() -> None:
    today = scenario({"PIPELINE_DATA": "/nowhere"}, orders=200, seconds=60)
    sent = [each.request for each in today.sendings if each.request is not None]
    assert 0 < len(today.requests()) < len(sent), "repeats share their answer"
    assert any(each.raw is not None for each in today.sendings), "what cannot be decoded has none"
