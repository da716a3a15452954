"""All stages in one process, no broker: topics are lists. For simulation, property tests and research.

    host = MemoryHost(stages, partitions=2)
    host.publish(record, append_ns)
    host.run()
    host.records(Fill)

It orders its own inputs: outside records in the order published, and after each one every task runs until nothing is
left to do, first in first out, tasks in flow order. The same inputs give the same bytes, wherever transactions end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from pipeline.domain.record import Record
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.worker.task import EpochFacts, Message, recorded_config
from pipeline.runtime.worker.task_group import TaskGroup, read
from pipeline.runtime.worker.wiring import AnyStage, Wiring
from pipeline.topics import Topic, partitions_for, topic_named, topic_of

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record on a topic's partition. ``record`` is None when it was published as bytes."""

    offset: int
    append_ns: int
    key: bytes | None
    value: bytes | None
    record: Record | None = None


class MemoryHost:
    """``stages`` in flow order, each on ``partitions`` partitions.

    ``units``: which stages share a unit, by name (default: each alone, everything through topics). ``encode=False``
    keeps records only: no bytes, no journal, no dead letters for raw input. ``resumed_ns``: wall time of the tasks'
    start, given to stages as ``Resumed``; 0 means that this is no live start. ``config``: epoch records hold the
    stages' parameters, as a worker's do. ``boundary`` is called after each record applied and says whether that unit's
    transaction ends there (not to be used together with :meth:`crash`). ``lost`` is called whenever one ends there and
    says whether the unit's tasks of this partition die, to be restored from their changelogs.
    """

    def __init__(
        self,
        stages: Sequence[AnyStage],
        partitions: int = 1,
        codec: Codec | None = None,
        *,
        encode: bool = True,
        units: Sequence[Sequence[str]] | None = None,
        resumed_ns: int = 0,
        config: bool = False,
        boundary: Callable[[], bool] | None = None,
        lost: Callable[[], bool] | None = None,
    ) -> None:
        self.partitions = partitions
        self.topics: dict[tuple[str, int], list[StoredRecord]] = {}
        self.changelogs: dict[tuple[str, int], dict[bytes, bytes]] = {}
        self._codec = (codec or Codec(LocalIds())) if encode else None
        self._stages = stages
        self._wirings = self._wired([[stage.name] for stage in stages] if units is None else units)
        self._epoch = EpochFacts(wall_ns=resumed_ns, config=recorded_config(stages) if config else "")
        self._outside: deque[tuple[Topic, tuple[int, ...], bytes | None, bytes | None, Record | None, int]] = deque()
        self._redo: list[tuple[Topic, tuple[int, ...], bytes | None, bytes | None, Record | None, int]] = []
        self._committed: dict[tuple[str, int], int] = {}
        self._now_ns = 0
        self._task_groups: list[list[TaskGroup]] = []
        self._boundary = boundary
        self._lost = lost
        self.losses = 0
        """How often tasks were restored."""
        self._queue: deque[Message] = deque()
        self._start()

    # ------------------------------------------------------------------ from outside

    def publish(self, record: Record, append_ns: int, partition: int | None = None) -> None:
        """Publish a record of the outside world, to be applied at the next :meth:`run`.

        ``append_ns``: its append time, not before that of the record published last. ``partition`` None: by its key.
        """
        topic = topic_of(type(record))
        key = topic.key(record)
        where = (
            tuple(partitions_for(topic, key, partition or 0, self.partitions)) if partition is None else (partition,)
        )
        value = b"" if self._codec is None else self._codec.encode(record)
        self._outside.append((topic, where, key.encode(), value, record, append_ns))

    def publish_raw(self, topic: Topic, key: bytes | None, value: bytes | None, append_ns: int, partition: int) -> None:
        """Publish bytes, as any client could send them. Raises ValueError on a host that does not encode."""
        if self._codec is None:
            raise ValueError("a host without encoding has no use for bytes")
        self._outside.append((topic, (partition,), key, value, None, append_ns))

    # ------------------------------------------------------------------ running

    def run(self, outside: int | None = None) -> None:
        """Apply what was published (at most ``outside`` records), each with everything it causes.

        Raises ValueError when append times go back, Poisoned or SequenceGap as a worker does.
        """
        while self._outside and (outside is None or outside > 0):
            if outside is not None:
                outside -= 1
            item = self._outside.popleft()
            self._redo.append(item)
            topic, where, key, value, record, append_ns = item
            if append_ns < self._now_ns:
                raise ValueError(f"append times go back: {append_ns} after {self._now_ns}")
            self._now_ns = append_ns
            for partition in where:
                self._append(topic, topic.name, partition, key, value, record)
            self._until_quiet()

    def commit(self) -> None:
        """End every task's transaction: journal entries and changelogs are written."""
        for row in self._task_groups:
            for task_group in row:
                self._close(task_group)
        self._until_quiet()
        self._committed = {place: len(records) for place, records in self.topics.items()}
        self._redo.clear()

    def crash(self) -> None:
        """Every task dies and is restored from its changelog; what was applied since the last commit is published again
        and applied at the next :meth:`run`."""
        self._outside.extendleft(reversed(self._redo))
        self._redo.clear()
        for place, records in self.topics.items():
            del records[self._committed.get(place, 0) :]
        self._now_ns = 0
        self._queue.clear()
        self._start()

    def move(self, units: Sequence[Sequence[str]]) -> None:
        """Commit, stop every unit, and go on with the stages distributed over ``units``, as in a new deployment."""
        self.commit()
        self._wirings = self._wired(units)
        self._start()

    # ------------------------------------------------------------------ looking

    @overload
    def records(self, of: type[R]) -> list[R]: ...
    @overload
    def records(self, of: str) -> list[Any]: ...
    def records(self, of: type[Any] | str) -> list[Any]:
        """The records of a topic (by type or name), partition after partition, in order; none published as bytes."""
        name = of if isinstance(of, str) else topic_of(of).name
        per_source = topic_named(name).per_source and name == topic_named(name).name
        return [
            stored.record
            for place in sorted(self.topics)
            if place[0] == name or (per_source and place[0].startswith(f"{name}."))
            for stored in self.topics[place]
            if stored.record is not None
        ]

    def state_digest(self) -> str:
        """SHA-256 of every task's state, task after task."""
        return "\n".join(
            task.state.digest() for row in self._task_groups for task_group in row for task in task_group.tasks
        )

    # ------------------------------------------------------------------ inside

    def _wired(self, units: Sequence[Sequence[str]]) -> list[Wiring]:
        by_name = {stage.name: stage for stage in self._stages}
        return [Wiring("+".join(unit), [by_name[name] for name in unit], self._stages) for unit in units]

    def _start(self) -> None:
        self._task_groups = [
            [TaskGroup(wiring, partition, self.partitions, self._codec) for partition in range(self.partitions)]
            for wiring in self._wirings
        ]
        self._readers = {
            topic.name: [
                row for row, wiring in zip(self._task_groups, self._wirings, strict=True) if topic in wiring.outside
            ]
            for outer in self._wirings
            for topic in outer.outside
        }
        for row in self._task_groups:
            for task_group in row:
                self._restore(task_group)
        # Records that a task had not applied yet when it was lost are read again, from the topics.
        self._until_quiet()

    def _restore(self, task_group: TaskGroup) -> None:
        task_group.restore(
            {
                stage.name: list(self.changelogs.get((stage.name, task_group.partition), {}).items())
                for stage in task_group.wiring.stages
            }
        )
        task_group.start(self._epoch)
        self._collect(task_group)

    def _replace(self, row: list[TaskGroup], lost: TaskGroup) -> None:
        task_group = TaskGroup(lost.wiring, lost.partition, self.partitions, self._codec)
        row[lost.partition] = task_group
        self.losses += 1
        self._restore(task_group)
        for before, after in zip(lost.tasks, task_group.tasks, strict=True):
            if before.state.digest() != after.state.digest():
                raise RuntimeError(
                    f"{before.task.writer}: restored, its state is not what it was: an entry was not put"
                )

    def _append(
        self, topic: Topic, name: str, partition: int, key: bytes | None, value: bytes | None, record: Record | None
    ) -> None:
        log = self.topics.setdefault((name, partition), [])
        log.append(StoredRecord(len(log), self._now_ns, key, value, record))
        if record is None and self._codec is not None:
            message = read(topic, self._codec, partition, len(log) - 1, self._now_ns, key, value)
        else:
            message = Message(topic, partition, len(log) - 1, self._now_ns, key, value, record)
        self._queue.append(message)

    def _until_quiet(self) -> None:
        queue = self._queue
        while queue:
            message = queue.popleft()
            name = message.topic.name
            for row in self._readers.get(name, ()):
                task_group = row[message.partition]
                task_group.apply(message)
                self._collect(task_group)
                if self._boundary is not None and self._boundary():
                    self._close(task_group)
                    if self._lost is not None and self._lost():
                        self._replace(row, task_group)

    def _collect(self, task_group: TaskGroup) -> None:
        for topic, name, partition, key, value, record in task_group.take():
            self._append(topic, name, partition, key, value, record)

    def _close(self, task_group: TaskGroup) -> None:
        closed = task_group.close()
        for stage, records in closed.changelog.items():
            changelog = self.changelogs.setdefault((stage, task_group.partition), {})
            for key, value in records:
                # As in a compacted topic, a key moves to where it was last written: a restore reads another order.
                changelog.pop(key, None)
                if value is not None:
                    changelog[key] = value
        for output in closed.outputs:
            self._append(*output)
