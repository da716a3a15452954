"""Derived from what stages read and write: which topics are passed on in memory, and who writes dead letters.

An edge keeps the partition when what a stage writes always lands on the partition it read from: the topic goes to the
writer's own partition, or it has the key that all of the stage's own inputs have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.domain.controls import Resumed
from pipeline.stage import Stage
from pipeline.topics import CONTROLS, DEAD_LETTERS, JOURNAL, Spread, Topic, topic_of

AnyStage = Stage[Any]


def inputs_of(stage: AnyStage) -> tuple[Topic, ...]:
    """The topics a task of ``stage`` reads. Always with controls: the host itself handles SKIP."""
    topics = [topic_of(record) for record in stage.reads if record is not Resumed]
    return tuple(topics) if CONTROLS in topics else (CONTROLS, *topics)


def outputs_of(stage: AnyStage) -> tuple[Topic, ...]:
    """The topics a task of ``stage`` writes, with those the host writes for it."""
    return (*(topic_of(record) for record in stage.writes), DEAD_LETTERS, JOURNAL)


class Wiring:
    """One unit among all stages of the flow, in flow order. Raises ValueError when its stages are not of the flow."""

    def __init__(self, unit: str, stages: Sequence[AnyStage], flow: Sequence[AnyStage] | None = None) -> None:
        self.unit = unit
        self.stages = tuple(stages)
        flow = self.stages if flow is None else tuple(flow)
        names = [stage.name for stage in self.stages]
        missing = [name for name in names if name not in {stage.name for stage in flow}]
        if missing or len(set(names)) != len(names):
            raise ValueError(f"unit {unit}: its stages {names} must be different ones of the flow")
        writers: dict[str, set[str]] = {}
        self._front: dict[str, str] = {}
        for stage in flow:
            for topic in outputs_of(stage):
                writers.setdefault(topic.name, set()).add(stage.name)
            for record in stage.reads:
                if record is not Resumed:
                    self._front.setdefault(topic_of(record).name, stage.name)
        for stage in flow:  # controls come to every stage: their front is the first that reads them itself, if one does
            for topic in inputs_of(stage):
                self._front.setdefault(topic.name, stage.name)
        self.owned = frozenset(writers)
        """Topics that stages write; all others come from the outside world."""
        read = {topic.name: topic for stage in self.stages for topic in inputs_of(stage)}
        by_name = {stage.name: stage for stage in self.stages}
        self.inner = frozenset(
            name
            for name, topic in read.items()
            if (own := writers.get(name)) and all(w in by_name and keeps_partition(by_name[w], topic) for w in own)
        )
        """Topics passed on in memory: all their writers are in the unit, so none needs to be read from Kafka."""
        self.outside = tuple(topic for name, topic in read.items() if name not in self.inner)
        self.readers: dict[str, tuple[int, ...]] = {
            name: tuple(i for i, stage in enumerate(self.stages) if topic in inputs_of(stage))
            for name, topic in read.items()
        }
        """Topic to the indexes, in flow order, of the stages that read it."""

    def fronts(self, stage: AnyStage) -> frozenset[str]:
        """The topics for which ``stage`` writes dead letters and alerts of what is set aside: those of which it is the
        first reader in flow order.

        So of all stages that read an unreadable record exactly one writes the dead letter; the others skip it.
        """
        return frozenset(topic for topic, name in self._front.items() if name == stage.name)


def keeps_partition(stage: AnyStage, topic: Topic) -> bool:
    """Whether everything ``stage`` writes to ``topic`` stays on the partition of the task that writes it."""
    if topic.spread is Spread.OWN:
        return True
    if topic.spread is not Spread.KEYED:
        return False
    placing = [read for read in inputs_of(stage) if read.spread in (Spread.KEYED, Spread.SENDER)]
    # Senders may put a record on any partition, whatever its key (Spread.SENDER): then the edge keeps none.
    return bool(placing) and all(read.spread is Spread.KEYED and read.key is topic.key for read in placing)
