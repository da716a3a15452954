"""Replays a recorded task: our task runner behind the interface that :class:`~pipeline.audit.replay.Replay` drives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.audit.recorded import Log, Stored, leading
from pipeline.audit.replay import Replay
from pipeline.domain.audit import JournalEntry
from pipeline.domain.record import Record
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.worker.task import IN_MEMORY, EpochFacts, Output, TaskRunner
from pipeline.runtime.worker.task_group import read
from pipeline.runtime.worker.wiring import AnyStage, Wiring, outputs_of
from pipeline.topics import JOURNAL, Spread, topic_named


class MemoryLog:
    """Topics held as lists, as the memory host has them. Offsets may have gaps."""

    def __init__(self, topics: Mapping[tuple[str, int], Sequence[Stored]]) -> None:
        self._topics = topics

    def read(self, topic: str, partition: int, offset: int) -> Iterator[Stored]:
        records = self._topics.get((topic, partition), ())
        low, high = 0, len(records)
        while low < high:
            middle = (low + high) // 2
            if records[middle].offset < offset:
                low = middle + 1
            else:
                high = middle
        for index in range(low, len(records)):
            yield records[index]


class ReplayTask:
    """A task that begins with empty state, as :class:`~pipeline.audit.replay.ReplayedTask`.

    It runs alone, whatever unit it ran in when it was recorded: that makes no difference to its outputs.
    """

    def __init__(
        self, stage: AnyStage, partition: int, partitions: int, codec: Codec, flow: Sequence[AnyStage]
    ) -> None:
        fronts = Wiring(stage.name, [stage], flow).fronts(stage)
        self._partition = partition
        self._codec = codec
        self._task = TaskRunner(stage, partition, partitions, codec, fronts)
        self.writer = self._task.task.writer

    def start(self, wall_ns: int) -> Sequence[Output]:
        """Begin an epoch at a wall time, 0 for a start that was no live one; what the stage writes at it."""
        return self._task.start(EpochFacts(wall_ns=wall_ns))

    def apply(self, topic: str, record: Stored, in_memory: bool) -> tuple[bool, Sequence[Output]]:
        """Apply a recorded record: whether the journal counts it, and what it causes. Raises SequenceGap, Poisoned."""
        offset, append_ns = (IN_MEMORY, 0) if in_memory else (record.offset, record.append_ns)
        message = read(topic_named(topic), self._codec, self._partition, offset, append_ns, record.key, record.value)
        before = self._task.counted
        outputs = self._task.apply(message)
        return self._task.counted > before, outputs

    def end(self, recorded: JournalEntry) -> JournalEntry | None:
        """End the transaction where ``recorded`` did: our own entry for it; None when there is not exactly one."""
        journal = self._task.close().journal
        # What the entry says of the host (commit, ids, wall time) cannot be computed again, so its hash differs: the
        # chain goes on from the recorded one.
        self._task.place.last_hash = recorded.entry_hash
        if len(journal) != 1:
            return None
        entry = journal[0].record
        assert isinstance(entry, JournalEntry)
        return entry


def replay_of(
    stage: AnyStage, partition: int, partitions: int, codec: Codec, flow: Sequence[AnyStage], log: Log
) -> Replay:
    """The replay of one task; ``codec`` must know the schema ids of the recorded bytes."""

    def decode(topic: str, value: bytes) -> Record:
        return codec.decode(topic, value)

    return Replay(ReplayTask(stage, partition, partitions, codec, flow), partition, log, decode)


def journal_of(stage: str, partition: int, log: Log, codec: Codec) -> Iterator[JournalEntry]:
    """The journal entries a task wrote, in order. Raises Undecodable."""
    writer = f"{stage}/{partition}"
    for stored in log.read(JOURNAL.name, partition, 0):
        if leading(stored.value)[0] == writer:
            entry = codec.decode(JOURNAL.name, stored.value)
            assert isinstance(entry, JournalEntry)
            yield entry


def places_of(stage: AnyStage, partition: int, partitions: int) -> list[tuple[str, int]]:
    """Every place a task may write to, apart from its journal and sources' own topics."""
    return [
        (topic.name, each)
        for topic in outputs_of(stage)
        if topic is not JOURNAL and not topic.per_source
        for each in ((partition,) if topic.spread is Spread.OWN else range(partitions))
    ]
