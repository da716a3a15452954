"""A unit on one partition without a broker: all that the worker does with a record, except fetching and sending it.

A record is decoded and applied with all that it causes; outputs are encoded and hashed for the journal, state is
drained for the changelog; all on one core. The garbage collector is set as in a worker's process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline import topology
from pipeline.domain.record import Record
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.worker import gc_tuning
from pipeline.runtime.worker.task import EpochFacts
from pipeline.runtime.worker.task_group import TaskGroup, Transaction, read
from pipeline.runtime.worker.wiring import Wiring
from pipeline.topics import Topic, topic_of

BATCH = 2000
"""Outside records in a transaction, as the worker has them under load."""

Raw = tuple[bytes, bytes]
"""Key and value."""


class Inside:
    """The task group of a unit of these stages, on one partition."""

    def __init__(self, stages: Sequence[str], partition: int = 0, partitions: int = 1) -> None:
        gc_tuning.only_the_young()
        self.codec = Codec(LocalIds())
        chosen = [topology.stage_named(name) for name in stages]
        self.wiring = Wiring("+".join(stages), chosen, topology.STAGES)
        self.partition = partition
        self.task_group = TaskGroup(self.wiring, partition, partitions, self.codec)
        self.task_group.start(EpochFacts())
        self._offsets: dict[str, int] = {}
        self.append_ns = 0
        """Append time of the last record."""
        self.outputs: dict[str, list[Raw]] = {}
        """Outputs on this partition of the topics named in ``keep``."""
        self.keep: set[str] = set()
        self.out_records = 0
        self.out_bytes = 0
        """Of all outputs and changelog records: values and keys."""

    def tell(self, records: Iterable[Record], append_ns: int) -> None:
        """Apply records given as objects: reference data, quotes, ticks. Not part of what is timed."""
        for record in records:
            topic = topic_of(type(record))
            if topic.name in self.wiring.readers and topic.name not in self.wiring.inner:
                self.feed(topic, [(topic.key(record).encode(), self.codec.encode(record))], append_ns)

    def feed(self, topic: Topic, raws: Iterable[Raw], append_ns: int, step_ns: int = 0) -> None:
        """Apply raw records; a transaction is closed after each BATCH."""
        offset = self._offsets.get(topic.name, 0)
        task_group, codec, partition = self.task_group, self.codec, self.partition
        for key, value in raws:
            task_group.apply(read(topic, codec, partition, offset, append_ns, key, value))
            offset += 1
            append_ns += step_ns
            if task_group.applied >= BATCH:
                self._take(task_group.close())
        self._offsets[topic.name] = offset
        self.append_ns = append_ns

    def close(self) -> None:
        """End the transaction."""
        self._take(self.task_group.close())

    def _take(self, closed: Transaction) -> None:
        for output in closed.outputs:
            self.out_bytes += len(output.key) + len(output.value)
            if output.name in self.keep and output.partition == self.partition:
                self.outputs.setdefault(output.name, []).append((output.key, output.value))
        self.out_records += len(closed.outputs)
        for records in closed.changelog.values():
            self.out_records += len(records)
            self.out_bytes += sum(len(key) + len(value or b"") for key, value in records)

    def records(self, topic: str) -> list[Any]:
        """Kept outputs, decoded."""
        return [self.codec.decode(topic, value) for _, value in self.outputs.get(topic, ())]


class Chain:
    """Several units one after the other on one partition: outputs of one that another reads are fed to it, as bytes."""

    def __init__(self, *units: Sequence[str]) -> None:
        self.insides = [Inside(stages) for stages in units]
        self._topics = {topic.name: topic for each in self.insides for topic in each.wiring.outside}
        for each in self.insides:
            each.keep = set(self._topics)

    def feed(self, topic: Topic, raws: Sequence[Raw], append_ns: int, step_ns: int = 0) -> None:
        """Feed raw records to every unit that reads them, then what those write, until nothing is left to feed."""
        waiting = deque([(topic, raws)])
        while waiting:
            topic, raws = waiting.popleft()
            for each in self.insides:
                if topic in each.wiring.outside:
                    each.feed(topic, raws, append_ns, step_ns)
                    each.close()
                    outputs, each.outputs = each.outputs, {}
                    waiting.extend((self._topics[name], caused) for name, caused in outputs.items())

    def tell(self, records: Iterable[Record], append_ns: int) -> None:
        """Feed records given as objects to every unit that reads them."""
        codec = self.insides[0].codec
        for record in records:
            topic = topic_of(type(record))
            self.feed(topic, [(topic.key(record).encode(), codec.encode(record))], append_ns)


def timed_s() -> float:
    """CPU seconds of this thread: what one core would take, whatever else runs."""
    return time.thread_time()
