"""Topics, processes and a reader for the sample stages on a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from pipeline.domain.record import Record
from pipeline.runtime.contracts.codec import Codec, LocalIds, Undecodable
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.memory.host import StoredRecord
from pipeline.runtime.worker.restore import NotRestored, ends
from pipeline.topics import changelog_of, partitions_for, topic_named, topic_of
from tests.broker.worker_process import FLOW
from tests.waiting import GIVE_UP_S, until

ROOT = Path(__file__).resolve().parents[2]
TOPICS = (
    "prints", "venue-scores", "reference-prices", "clock", "controls", "bars", "alerts", "dead-letters", "journal",
)  # fmt: skip


class SampleCluster:
    """The sample stages' topics on a broker of one's own; every process started here is ended here."""

    def __init__(self, bootstrap_servers: str, partitions: int, folder: Path) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.partitions = partitions
        self.folder = folder
        self.codec = Codec(LocalIds())
        self.processes: list[subprocess.Popen[str]] = []
        admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        names = [*TOPICS, *(changelog_of(stage.name) for stage in FLOW)]
        made = admin.create_topics(
            [
                NewTopic(name, partitions, config={"cleanup.policy": "compact"} if name.startswith("changelog") else {})
                for name in names
            ]
        )
        for future in made.values():
            future.result(30)
        self.producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 5})

    # ---------------------------------------------------------------- processes

    def start(self, unit: str) -> subprocess.Popen[str]:
        log = (self.folder / f"{unit}.log").open("a")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.broker.worker_process", self.bootstrap_servers, unit, str(self.folder)],
            cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PIPELINE_COMMIT": "test"},
        )  # fmt: skip
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait(GIVE_UP_S)

    def stop(self, process: subprocess.Popen[str]) -> int:
        process.send_signal(signal.SIGTERM)
        return process.wait(GIVE_UP_S)

    def log(self, unit: str) -> str:
        return (self.folder / f"{unit}.log").read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)

    # ---------------------------------------------------------------- records

    def publish(self, record: Record, partition: int | None = None) -> None:
        topic = topic_of(type(record))
        key = topic.key(record)
        where = partitions_for(topic, key, 0, self.partitions) if partition is None else (partition,)
        for each in where:
            self.producer.produce(topic.name, self.codec.encode(record), key.encode(), each)
        self.producer.poll(0)

    def read(self, topic: str) -> dict[int, list[StoredRecord]]:
        """Every committed record, per partition."""
        targets = self._ends(topic)
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap_servers, "group.id": "look", "isolation.level": "read_committed",
             "enable.partition.eof": True, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        )  # fmt: skip
        found: dict[int, list[StoredRecord]] = {p: [] for p in range(self.partitions)}
        consumer.assign([TopicPartition(topic, p, 0) for p in range(self.partitions)])
        left = {p for p, end in targets.items() if end > 0}
        deadline = time.monotonic() + GIVE_UP_S
        while left:
            assert time.monotonic() < deadline, f"{topic}: the end of {left} is not reached"
            for message in consumer.consume(1000, 0.2):
                partition, offset = int(message.partition() or 0), int(message.offset() or 0)
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF and offset >= targets[partition]:
                        left.discard(partition)
                    continue
                key, value = message.key(), message.value()
                try:
                    record = self.codec.decode(topic_named(topic).name, value)
                except Undecodable:
                    record = None
                found[partition].append(StoredRecord(offset, message.timestamp()[1] * 1_000_000, key, value, record))
        consumer.close()
        return found

    def _ends(self, topic: str) -> dict[int, int]:
        """End offset of each partition, as soon as their leader says it: that of a new topic may not know it yet."""
        places = [(topic, p) for p in range(self.partitions)]
        deadline = time.monotonic() + GIVE_UP_S
        while True:
            try:
                return {p: end for (_, p), (_, end) in ends(Kafka(self.bootstrap_servers), places).items()}
            except NotRestored:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def records(self, topic: str) -> list[Any]:
        return [stored.record for log in self.read(topic).values() for stored in log if stored.record]

    def wait_for(self, what: Callable[[], bool], every_s: float = 0.3) -> None:
        until(what, self.logs, every_s)

    def logs(self) -> str:
        """The end of each process's log."""
        return "logs:\n" + "\n".join(
            f"--- {path.name}\n{path.read_text()[-4000:]}" for path in sorted(self.folder.glob("*.log"))
        )
