"""What the topics contain: records as a consumer sees them, and as they are in the broker's files.

Shares no code with the pipeline. Whether a record was aborted is not asked of the broker, nor of the client library:
it is read from the segment files, where every transactional batch is followed by its producer's marker.
Source: Apache Kafka, "Implementation / Message Format" (record batch, control batch).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

Place = tuple[str, int]
"""Topic and partition."""

_BATCH: Final = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, crc, attributes, last offset delta, two times, producer id and epoch, base
sequence, count of records."""
_LENGTH_STARTS_AT: Final = 12
_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20
_ABORT, _COMMIT = 0, 1


class Rec(NamedTuple):
    """A record; its append time in milliseconds."""

    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None


@dataclass
class PartitionLog:
    """One partition, seen three ways."""

    visible: list[Rec] = field(default_factory=list)
    """By a consumer that reads committed."""
    everything: list[Rec] = field(default_factory=list)
    """By a consumer that reads uncommitted."""
    aborted: frozenset[int] = frozenset()
    """Offsets whose transaction was aborted, from the broker's files."""
    undecided: frozenset[int] = frozenset()
    """Offsets whose transaction has no marker yet."""


Logs = dict[Place, PartitionLog]


class Unread(Exception):
    """A topic could not be read to its end in time."""


class Reader:
    """Reads topics to their ends, again and again: each :meth:`update` goes on where the one before ended."""

    def __init__(self, bootstrap_servers: str, places: Iterable[Place]) -> None:
        self.logs: Logs = {place: PartitionLog() for place in places}
        self._bootstrap_servers = bootstrap_servers
        self._next: dict[bool, dict[Place, int]] = {each: dict.fromkeys(self.logs, 0) for each in (True, False)}

    def update(self, timeout_s: float = 30.0) -> None:
        """Read on to the present ends, of committed and of all records. Raises Unread."""
        self._read(committed=False, timeout_s=timeout_s)
        self._read(committed=True, timeout_s=timeout_s)

    def _read(self, committed: bool, timeout_s: float) -> None:
        # A client of its own each time: one that has seen its broker die may be refused for minutes.
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap_servers,
                "group.id": "chaos-checker",
                "isolation.level": "read_committed" if committed else "read_uncommitted",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "log_level": 0,
                "error_cb": lambda error: None,
            }
        )
        try:
            self._drain(consumer, committed, time.monotonic() + timeout_s)
        finally:
            consumer.close()

    def _drain(self, consumer: Consumer, committed: bool, deadline: float) -> None:
        nexts = self._next[committed]
        left = {}
        for place in self.logs:
            ends = consumer.get_watermark_offsets(TopicPartition(*place), timeout=10, cached=False)
            if ends is None:
                raise Unread(f"no answer for the end of {place[0]}/{place[1]}")
            if ends[1] > nexts[place]:
                left[place] = ends[1]
        if not left:
            return
        consumer.assign([TopicPartition(*place, nexts[place]) for place in left])
        while left:
            if time.monotonic() > deadline:
                raise Unread(f"the end of {sorted(left)} was not reached (committed only: {committed})")
            for message in consumer.consume(5000, 0.1):
                place = (str(message.topic()), int(message.partition() or 0))
                offset = int(message.offset() or 0)
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF and offset >= left.get(place, 0):
                        left.pop(place, None)
                        nexts[place] = max(nexts[place], offset)
                    continue
                log = self.logs[place]
                (log.visible if committed else log.everything).append(
                    Rec(offset, message.timestamp()[1], _bytes(message.key()), _bytes(message.value()))
                )
                nexts[place] = offset + 1


def places_of(bootstrap_servers: str) -> list[Place]:
    """Every partition of every topic that is not the broker's own, nor a changelog."""
    topics = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0}).list_topics(timeout=15).topics
    return [
        (name, partition)
        for name, topic in sorted(topics.items())
        if not name.startswith(("__", "changelog."))
        for partition in sorted(topic.partitions)
    ]


def _bytes(part: Any) -> bytes | None:
    return None if part is None else bytes(part)


# ---------------------------------------------------------------------- the broker's files


def judge(logs: Logs, data_dirs: Iterable[Path]) -> None:
    """Fill in, from the broker's files, what was aborted. Of several replicas the longest is read."""
    for (topic, partition), log in logs.items():
        folders = [folder for each in data_dirs if (folder := each / f"{topic}-{partition}").is_dir()]
        found = [outcomes(folder) for folder in folders]
        if not found:
            raise Unread(f"no files of {topic}-{partition} in {[str(each) for each in data_dirs]}")
        aborted, undecided, _ = max(found, key=lambda each: each[2])
        log.aborted, log.undecided = aborted, undecided


def outcomes(folder: Path) -> tuple[frozenset[int], frozenset[int], int]:
    """Offsets aborted, offsets without a marker, and the end of the log, of one partition's folder."""
    open_by_producer: dict[int, list[range]] = {}
    aborted: list[range] = []
    end = 0
    for segment in sorted(folder.glob("*.log")):
        for base, attributes, last_delta, producer, records in batches(segment.read_bytes()):
            end = base + last_delta + 1
            if not attributes & _TRANSACTIONAL:
                continue
            if not attributes & _CONTROL:
                open_by_producer.setdefault(producer, []).append(range(base, base + last_delta + 1))
                continue
            marker = _marker_type(records)
            if marker in (_ABORT, _COMMIT):
                ended = open_by_producer.pop(producer, [])
                if marker == _ABORT:
                    aborted += ended
    return _offsets(aborted), _offsets(each for kept in open_by_producer.values() for each in kept), end


def batches(data: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """Base offset, attributes, last offset delta, producer id and record bytes of each whole batch of a segment."""
    position = 0
    while position + _BATCH.size <= len(data):
        base, length, _, magic, _, attributes, last_delta, _, _, producer, _, _, _ = _BATCH.unpack_from(data, position)
        end = position + _LENGTH_STARTS_AT + length
        if length <= 0 or magic != 2 or end > len(data):
            return  # preallocated or still being written
        yield base, attributes, last_delta, producer, data[position + _BATCH.size : end]
        position = end


def _marker_type(records: bytes) -> int:
    """The type of a control batch's only record: its key is a version and a type, two bytes each."""
    position = 0
    _, position = _varint(records, position)
    position += 1  # attributes
    for _ in range(2):  # time delta, offset delta
        _, position = _varint(records, position)
    _, position = _varint(records, position)  # length of the key
    return int.from_bytes(records[position + 2 : position + 4], "big")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    shift = number = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), position


def _offsets(ranges: Iterable[range]) -> frozenset[int]:
    return frozenset(offset for each in ranges for offset in each)
