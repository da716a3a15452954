"""A changelog of many changes to few entries: the time to restore it before and after the broker compacts it."""

from __future__ import annotations

import time
from typing import Final

import msgspec
from confluent_kafka import Producer

from bench.case import Bench
from bench.machine import broker_settings
from bench.stand import Failed, Stand, put
from pipeline.domain.orders import OrdStatus
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.kafka.topic_admin import wanted
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.restore import read_changelogs
from pipeline.runtime.worker.task import META_KEY, TaskPlace
from pipeline.stages.intake.state import Request
from pipeline.topics import changelog_of

STAGE: Final = "intake"
ROWS: Final = 1_000
CHUNK: Final = 2_000
"""Changes in a transaction."""
SOON: Final = {"segment.ms": "3000", "segment.bytes": "4194304", "max.compaction.lag.ms": "5000"}
"""Segments are closed and compacted after seconds instead of minutes, else the row would take a quarter of an hour."""


def measure(bench: Bench, changes: int) -> None:
    """Two rows: the same thousand entries, changed ``changes`` times, before and after compaction."""
    topic = changelog_of(STAGE)
    with Stand(1) as stand:
        (spec,) = (each for each in wanted(1, (), (STAGE,), 1) if each.name == topic)
        stand.create(topic, config={**spec.config, **SOON})
        writer = _Writer(stand)
        for begin in range(0, changes, CHUNK):
            writer.write(min(CHUNK, changes - begin))
        before = stand.log_bytes()
        _record(bench, stand, "history, before compaction", changes)
        deadline = time.monotonic() + 180
        while stand.log_bytes() > before / 10:
            if time.monotonic() > deadline:
                raise Failed(f"{stand.log_bytes():,} bytes of {before:,} are left after 180 s: nothing was compacted")
            time.sleep(3.5)
            writer.write(1)  # what closes a segment is the next write
        _record(bench, stand, "history, after compaction", changes)


class _Writer:
    def __init__(self, stand: Stand) -> None:
        self._count = 0
        self._value = msgspec.msgpack.encode(Request(bytes(16), "O0-1", None, OrdStatus.UNKNOWN))
        self._meta = msgspec.msgpack.encode(TaskPlace(STAGE, 0, 1, 1, STAGE))
        self._producer = Producer(
            {"bootstrap.servers": stand.bootstrap, "transactional.id": "history", "linger.ms": 5, "log_level": 0}
        )
        self._producer.init_transactions(30)

    def write(self, changes: int) -> None:
        """One transaction, as a worker writes it: the changes, and `_meta` last."""
        topic = changelog_of(STAGE)
        self._producer.begin_transaction()
        for _ in range(changes):
            put(self._producer, topic, self._value, b"requests/%d" % (self._count % ROWS), 0)
            self._count += 1
        put(self._producer, topic, self._meta, META_KEY, 0)
        self._producer.commit_transaction(60)


def _record(bench: Bench, stand: Stand, row: str, changes: int) -> None:
    topic = changelog_of(STAGE)
    begun = time.monotonic()
    found = read_changelogs([(topic, 0)], WorkerContext("bench", lambda text: None, Kafka(stand.bootstrap)))
    took = time.monotonic() - begun
    if len(found[topic, 0]) != ROWS + 1:
        raise Failed(f"{len(found[topic, 0])} entries were restored, not {ROWS} and `_meta`")
    bench.record(
        row,
        {"seconds": took, "entries": ROWS, "changes": changes, "MB on disk": stand.log_bytes() / 1e6},
        {"P": 1, "replication": 1, **broker_settings(stand.bootstrap)},
        "the worker's own reading of a changelog with the settings of `pipeline topics apply`, but closed and cleaned "
        "after seconds",
    )
