"""Reads a cluster's topics for an audit: copied to files with all that is needed to decode them, or streamed.

Committed records only, from the topics' beginnings to the ends they have when reading starts. The journal is read
first: all inputs and outputs that its entries name were written before them, and so are read too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException, Message, TopicCollection

from pipeline.audit.recorded import Log, Place
from pipeline.domain.audit import JournalEntry
from pipeline.errors import PipelineError
from pipeline.runtime.auditing.topic_copy import TopicCopy
from pipeline.runtime.contracts.codec import Codec, SchemaSource, Undecodable
from pipeline.runtime.contracts.recorded_schemas import recorded_schemas
from pipeline.runtime.contracts.registry import Registry, RegistryIds
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.settings import Settings
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.restore import ends, read_to_end
from pipeline.topics import JOURNAL, SCHEMAS, topic_named

Say = Callable[[str], None]
SAY_EVERY_S: Final = 5.0


class NothingRecorded(PipelineError):
    """There is no journal: the cluster has never run the pipeline, or its topics are not made."""


@dataclass(frozen=True)
class Recording:
    """Recorded topics and what is needed to read them. Can be handed to other processes when its log can."""

    log: Log
    schemas: SchemaSource
    cluster: str
    partitions: int
    topics: tuple[str, ...]
    """Names of ours that are there, sources' own ones included."""
    records: int
    later: Mapping[tuple[str, str, int], int]
    """Writer, topic, partition → its first number there that was written while the audit was reading."""
    cluster_id: str = ""
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    """Topic to the broker's id of it; empty for a broker without topic ids."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Topic to its number of partitions; a topic that is not in it has as many as it should."""


class ReadingProgress:
    """Reports progress with ``say``, at most every five seconds. ``what`` is being done to ``total`` things."""

    def __init__(self, say: Say, what: str, total: int) -> None:
        self._say, self._what, self._total = say, what, total
        self._began = self._reported = time.monotonic()

    def at(self, done: int, more: str = "") -> None:
        """``done`` of the total are done; ``more`` is added to the line."""
        now = time.monotonic()
        if now - self._reported < SAY_EVERY_S:
            return
        self._reported = now
        share = min(100, done * 100 // self._total) if self._total else 100
        left = (now - self._began) * (self._total - done) / done if 0 < done < self._total else 0
        about = f", about {left:.0f} s left" if left >= 1 else ""
        self._say(f"audit: {self._what}: {done:,} of {self._total:,} ({share} %){about}{more}")


class Cluster:
    """The topics of ours on a cluster. Raises Unreachable, AccessRefused, NothingRecorded."""

    def __init__(self, settings: Settings) -> None:
        self.bootstrap = settings.bootstrap_servers
        self._registry_url = settings.registry_url
        self._kafka = Kafka(self.bootstrap)
        metadata = self._kafka.require_answer(15)
        self._admin = self._kafka.admin()
        self.id = str(metadata.cluster_id or "")
        self.counts = {name: len(topic.partitions) for name, topic in metadata.topics.items() if _is_ours(name)}
        if JOURNAL.name not in self.counts:
            raise NothingRecorded(
                f"there is no journal at {self.bootstrap}: nothing has run there, so nothing can be verified"
            )

    @property
    def partitions(self) -> int:
        """Number of partitions of the journal, and so of every topic that is not SINGLE."""
        return self.counts[JOURNAL.name]

    def topic_ids(self) -> dict[str, str]:
        """The broker's ids of our topics; none from a broker that is too old to have any."""
        try:
            asked = self._admin.describe_topics(TopicCollection(sorted(self.counts)), request_timeout=15)
            return {name: str(future.result(20).topic_id) for name, future in asked.items()}
        except (KafkaException, AttributeError):
            return {}

    def places(self) -> list[Place]:
        """Every partition of every topic of ours, the journal's first."""
        names = sorted(self.counts, key=lambda name: (name != JOURNAL.name, name))
        return [(name, partition) for name in names for partition in range(self.counts[name])]

    def stream(self, starts: Mapping[Place, int], take: Callable[[Message], None], say: Say) -> int:
        """Call ``take`` with every committed record, the journal's before all others; returns their number.

        ``starts``: topic and partition → first offset. Raises NotRestored when the broker does not answer.
        """
        limits = ends(self._kafka, starts)
        progress = ReadingProgress(say, "reading the topics, in offsets", sum(limits[p][1] - starts[p] for p in starts))
        count, at = 0, dict(starts)
        done = 0

        def counting(message: Message) -> None:
            nonlocal count, done
            place = str(message.topic()), int(message.partition() or 0)
            past = int(message.offset() or 0) + 1
            done += past - at[place]
            at[place] = past
            count += 1
            take(message)
            if count % 1_000 == 0:
                progress.at(done)

        journal = {place: start for place, start in starts.items() if place[0] == JOURNAL.name}
        read_to_end(journal, counting, WorkerContext("audit", say, self._kafka))
        others = {place: start for place, start in starts.items() if place[0] != JOURNAL.name}
        read_to_end(others, counting, WorkerContext("audit", say, self._kafka))
        return count

    def schemas(self, copies: Iterable[bytes], ids: Iterable[tuple[str, int]]) -> SchemaSource:
        """Schemas of the ids found on topics: from our own copies where there is one, else from the registry."""
        return recorded_schemas(copies, ids, RegistryIds(Registry(self._registry_url)))


def copy_of(settings: Settings, folder: Path, say: Say, schemas: SchemaSource | None = None) -> Recording:
    """All our topics of a cluster, copied into ``folder``. Raises Unreachable, NothingRecorded, NotRestored."""
    cluster = Cluster(settings)
    say(f"audit: reading {len(cluster.counts)} topics at {cluster.bootstrap} from their beginnings into {folder}")
    copied, ids, journal_ends = TopicCopy(folder), set[tuple[str, int]](), dict[Place, int]()

    def take(message: Message) -> None:
        topic, partition, offset, append_ns, key, value = parts(message)
        copied.take(topic, partition, offset, append_ns, key, value)
        if topic == JOURNAL.name:
            journal_ends[topic, partition] = offset + 1
        schema_id = schema_id_of(value)
        if schema_id is not None:
            ids.add((topic, schema_id))

    topic_ids = cluster.topic_ids()
    cluster.stream(dict.fromkeys(cluster.places(), 0), take, say)
    say(f"audit: {copied.total:,} records read")
    log, count = copied.close(), copied.total
    if schemas is None:
        copies = [record.value for record in log.read(SCHEMAS.name, 0, 0) if record.value is not None]
        schemas = cluster.schemas(copies, ids)
    journal = [(JOURNAL.name, partition) for partition in range(cluster.partitions)]
    later = _written_later(cluster.bootstrap, {p: journal_ends.get(p, 0) for p in journal}, Codec(schemas))
    return Recording(
        log,
        schemas,
        f"{cluster.bootstrap} (cluster {cluster.id})",
        cluster.partitions,
        tuple(sorted(cluster.counts)),
        count,
        later,
        cluster.id,
        topic_ids,
        cluster.counts,
    )


def parts(message: Message) -> tuple[str, int, int, int, bytes | None, bytes | None]:
    """Topic, partition, offset, append time in nanoseconds, key, value."""
    key, value = message.key(), message.value()
    return (
        str(message.topic()),
        int(message.partition() or 0),
        int(message.offset() or 0),
        message.timestamp()[1] * 1_000_000,
        None if key is None else bytes(key),
        None if value is None else bytes(value),
    )


def schema_id_of(value: bytes | None) -> int | None:
    """The schema's id in the wire format; None for other bytes."""
    return int.from_bytes(value[1:5], "big") if value is not None and len(value) >= 5 and value[0] == 0 else None


def _is_ours(name: str) -> bool:
    try:
        topic_named(name)
    except KeyError:
        return False
    return True


def _written_later(bootstrap: str, starts: dict[Place, int], codec: Codec) -> dict[tuple[str, str, int], int]:
    """The outputs of journal entries written since the journal was read: the first number in each place."""
    later: dict[tuple[str, str, int], int] = {}

    def take(message: Message) -> None:
        try:
            entry = codec.decode(JOURNAL.name, parts(message)[-1])
        except Undecodable:
            return
        assert isinstance(entry, JournalEntry)
        for span in entry.outputs:
            later.setdefault((entry.writer, span.topic, span.partition), span.first_seq)

    read_to_end(starts, take, WorkerContext("audit", lambda _: None, Kafka(bootstrap)))
    return later
