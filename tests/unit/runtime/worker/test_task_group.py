"""A unit on one partition: what was applied is passed over, and what is caused is handed on breadth first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.domain.analytics import Bar, VenueScore
from pipeline.domain.audit import DeadLetter
from pipeline.domain.market import TradePrint
from pipeline.domain.record import Owned, Record
from pipeline.domain.rejections import DeadLetterReason
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.worker.task import LETTER_BYTES_MAX, EpochFacts, StateMismatch, TaskRunner
from pipeline.runtime.worker.task_group import TaskGroup, read
from pipeline.runtime.worker.wiring import Wiring, inputs_of, keeps_partition
from pipeline.stage import Meta, Stage
from pipeline.state import State, Task
from pipeline.topics import BARS, CONTROLS, PRINTS, REFERENCE_PRICES, VENUE_SCORES
from tests.sample_stages import Adder, Repeater, bar, print_of

CODEC = Codec(LocalIds())
FLOW = (Adder(), Repeater())


def task_group(unit: str = "both") -> TaskGroup:
    return TaskGroup(Wiring(unit, FLOW), 0, 1, CODEC)


def test_a_record_below_the_tasks_place_is_passed_over_though_nobody_counts_its_writer() -> None:
    both = task_group()
    message = read(PRINTS, CODEC, 0, 7, 1, b"I", CODEC.encode(print_of("I", 1)))
    both.apply(message)
    both.apply(message)
    written = both.close()
    assert [output.name for output in written.outputs].count("bars") == 1
    assert written.positions == {"prints": 8}


def test_the_place_of_a_unit_is_that_of_its_task_furthest_behind() -> None:
    both = TaskGroup(Wiring("both", FLOW), 0, 1, CODEC)
    both.tasks[0].place.offsets.update({"clock": 9, "controls": 4})
    both.tasks[1].place.offsets.update({"clock": 5})
    assert both.positions() == {"clock": 5}, "controls were never read by one of them"


def test_a_restored_task_refuses_the_changelog_of_another() -> None:
    one = TaskRunner(FLOW[0], 0, 2, CODEC, frozenset())
    one.start(EpochFacts())
    changelog = one.close().changelog
    for stage, partition, partitions in ((FLOW[1], 0, 2), (FLOW[0], 1, 2), (FLOW[0], 0, 3)):
        with pytest.raises(StateMismatch):
            TaskRunner(stage, partition, partitions, CODEC, frozenset()).restore(changelog)


def test_what_stands_on_an_inner_topic_and_was_not_applied_is_known() -> None:
    alone = TaskGroup(Wiring("adder", FLOW[:1], FLOW), 0, 1, CODEC)
    alone.apply(read(PRINTS, CODEC, 0, 0, 1, b"I", CODEC.encode(print_of("I", 1))))
    changelog = alone.close().changelog
    both = task_group()
    assert both.behind() == []
    both.restore(changelog)
    assert both.behind() == ["bars"]


def test_only_edges_that_keep_the_partition_are_handed_on_in_memory() -> None:
    wiring = Wiring("both", FLOW)
    assert wiring.inner == {"bars", "venue-scores"}
    assert not keeps_partition(FLOW[1], REFERENCE_PRICES), "copied to all partitions"
    assert CONTROLS in inputs_of(FLOW[0]), "a SKIP is for every task"
    assert Wiring("adder", FLOW[:1], FLOW).inner == frozenset(), "others write what it reads"


@pytest.mark.parametrize(("size", "kept"), [(1_040_000, 1_040_000), (4_200_000, LETTER_BYTES_MAX)])
def test_a_dead_letter_is_whole_or_if_no_record_can_hold_it_its_beginning(size: int, kept: int) -> None:
    both = task_group()
    both.apply(read(PRINTS, CODEC, 0, 0, 1, b"k", b"\x00" * size))
    (letter,) = [output.record for output in both.close().outputs if isinstance(output.record, DeadLetter)]
    assert letter.reason is DeadLetterReason.TOO_LARGE
    assert letter.value is not None and len(letter.value) == kept


class Twice(Stage[State]):
    """Two bars for each print."""

    name = "twice"
    title = "writes two bars"
    reads = (TradePrint,)
    writes = (Bar,)

    def new_state(self, task: Task) -> State:
        return State(task)

    def step(self, state: State, message: Record, meta: Meta) -> Iterator[Owned]:
        for number in (1, 2):
            yield bar("I", number, number, 10, 0, 0)


class Listener(Stage[State]):
    """Remembers the order in which bars and scores come."""

    name = "listener"
    title = "listens"
    reads = (Bar, VenueScore)
    writes = ()

    def __init__(self) -> None:
        self.heard: list[str] = []

    def new_state(self, task: Task) -> State:
        return State(task)

    def step(self, state: State, message: Record, meta: Meta) -> Iterator[Owned]:
        self.heard.append(type(message).__name__)
        yield from ()


def test_breadth_first_both_bars_come_before_what_they_cause() -> None:
    listener = Listener()
    flow = (Twice(), Repeater(), listener)
    unit = TaskGroup(Wiring("unit", flow), 0, 1, CODEC)
    assert {BARS.name, VENUE_SCORES.name} <= unit.wiring.inner
    unit.apply(read(PRINTS, CODEC, 0, 0, 1, b"I", CODEC.encode(print_of("I", 1))))
    assert listener.heard == ["Bar", "Bar", "VenueScore", "VenueScore"]
