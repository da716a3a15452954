"""A unit on one partition: its tasks in flow order, and the records they pass on in memory, breadth first.

The host gives one outside record after the other to :meth:`TaskGroup.apply`; when it returns, everything the record
caused inside the unit has been applied too. Outputs are kept here until the host closes the transaction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import Message as Fetched

from pipeline.errors import PipelineError, PlatformError, WrongUse
from pipeline.runtime.contracts.codec import Codec, Undecodable
from pipeline.runtime.worker.task import IN_MEMORY, EpochFacts, Message, Output, SequenceGap, TaskRunner, Unread
from pipeline.runtime.worker.wiring import Wiring
from pipeline.topics import Topic, topic_named


class Poisoned(PipelineError):
    """A stage raised an exception on a record. Nothing of the transaction was written; it would raise again."""

    def __init__(self, stage: str, met: Message, root: Message, error: Exception) -> None:
        through = "" if met is root else f" (through a record on {met.topic.name} that it caused)"
        super().__init__(
            f"{stage}/{root.partition} cannot apply the record at {root.position}{through}: "
            f"{type(error).__name__}: {error}\n"
            f"Nothing was written, and a restart will stop here again. Mend the code, or publish on `controls` a SKIP "
            f"with scope_id {root.position!r}: the record then goes to dead-letters."
        )
        self.stage = stage
        self.position = root.position


class Transaction(NamedTuple):
    """What one transaction of a task group writes."""

    outputs: list[Output]
    changelog: dict[str, list[tuple[bytes, bytes | None]]]
    """Stage to its changelog records."""
    positions: dict[str, int]
    """Outside input to its next offset."""
    day_began: bool = False


def read(topic: Topic, codec: Codec, partition: int, offset: int, append_ns: int,
         key: bytes | None, value: bytes | None) -> Message:  # fmt: skip
    """A raw record as a message; its ``unread`` says why when it cannot be decoded."""
    try:
        record, not_understood = codec.read(topic.name, value)
    except Undecodable as error:
        unread = Unread(error.reason, error.detail)
        return Message(topic, partition, offset, append_ns, key, value, None, unread)
    return Message(topic, partition, offset, append_ns, key, value, record, not_understood=not_understood)


def read_fetched(fetched: Fetched, codec: Codec) -> Message:
    """A record fetched by a consumer, as a message."""
    key, value = fetched.key(), fetched.value()
    return read(
        topic_named(str(fetched.topic())),
        codec,
        int(fetched.partition() or 0),
        int(fetched.offset() or 0),
        fetched.timestamp()[1] * 1_000_000,
        None if key is None else bytes(key),
        None if value is None else bytes(value),
    )


class TaskGroup:
    """The tasks of ``wiring``'s unit on ``partition``."""

    def __init__(self, wiring: Wiring, partition: int, partitions: int, codec: Codec | None) -> None:
        self.wiring = wiring
        self.partition = partition
        self.tasks = [
            TaskRunner(stage, partition, partitions, codec, wiring.fronts(stage), wiring.unit)
            for stage in wiring.stages
        ]
        self.applied = 0
        """Outside records applied since the last close."""
        self._outputs: list[Output] = []

    def restore(self, changelogs: Mapping[str, Iterable[tuple[bytes, bytes | None]]]) -> None:
        """Load each stage's changelog (oldest first) into new tasks. Raises StateMismatch."""
        for task in self.tasks:
            task.restore(changelogs.get(task.stage.name, ()))

    def start(self, epoch: EpochFacts, backlog: Iterable[Message] = ()) -> None:
        """Start every task; then apply ``backlog``, what an earlier deployment left on inner topics.

        Raises StateMismatch, Poisoned, SequenceGap.
        """
        queue: deque[Message] = deque(backlog)
        for task in self.tasks:
            self._hand_on(task.start(epoch), queue)
        self._drain(queue, None)

    def apply(self, message: Message) -> None:
        """Apply an outside record and everything it causes inside the unit. Raises Poisoned, SequenceGap."""
        self.applied += 1
        self._drain(deque((message,)), message)

    def behind(self) -> list[str]:
        """Inner topics with records that some reader has not applied.

        An earlier deployment had writer and reader in two units, with these records going through Kafka, and was
        stopped in between.
        """
        found: list[str] = []
        for task in self.tasks:
            for name, counters in task.place.written.items():
                last = counters.get(self.partition, 0)
                if name in self.wiring.inner and any(
                    self.tasks[reader].place.seen.get(name, {}).get(task.task.writer, 0) < last
                    for reader in self.wiring.readers[name]
                ):
                    found.append(name)
        return found

    def positions(self) -> dict[str, int]:
        """Next offset of each outside input: the lowest of its reading tasks; inputs never read are left out."""
        found: dict[str, int] = {}
        for topic in self.wiring.outside:
            offsets = [self.tasks[i].place.offsets.get(topic.name) for i in self.wiring.readers[topic.name]]
            if all(offset is not None for offset in offsets):
                found[topic.name] = min(offset for offset in offsets if offset is not None)
        return found

    def take(self) -> list[Output]:
        """Remove and return the outputs so far, for a host that passes them on before the transaction ends."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def close(self) -> Transaction:
        """End the transaction."""
        outputs, self._outputs = self._outputs, []
        self.applied = 0
        began = any(task.day_began for task in self.tasks)
        changelog = {}
        for task in self.tasks:
            closed = task.close()
            outputs.extend(closed.journal)
            if closed.changelog:
                changelog[task.stage.name] = closed.changelog
        return Transaction(outputs, changelog, self.positions(), began)

    @property
    def pending(self) -> int:
        """Outputs that wait for the transaction's end."""
        return len(self._outputs)

    @property
    def touched(self) -> bool:
        """Whether there is anything to write."""
        return any(task.touched for task in self.tasks)

    def _drain(self, queue: deque[Message], root: Message | None) -> None:
        tasks, readers = self.tasks, self.wiring.readers
        while queue:
            message = queue.popleft()
            for place in readers.get(message.topic.name, ()):
                task = tasks[place]
                try:
                    caused = task.apply(message)
                except (SequenceGap, PlatformError, WrongUse):
                    raise
                except Exception as error:
                    raise Poisoned(task.stage.name, message, root or message, error) from error
                if caused:
                    self._hand_on(caused, queue)

    def _hand_on(self, caused: list[Output], queue: deque[Message]) -> None:
        self._outputs.extend(caused)
        inner = self.wiring.inner
        if not inner:
            return
        for topic, name, partition, key, value, record in caused:
            if name in inner:
                if partition != self.partition:
                    raise RuntimeError(
                        f"{name} was taken for an edge that keeps the partition: {partition} is not {self.partition}"
                    )
                queue.append(Message(topic, partition, IN_MEMORY, 0, key, value, record))
