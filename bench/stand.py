"""The test stand of a case: a broker (or three) of its own, topics, workers in processes, readers of what they
wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from pipeline import topology
from pipeline.errors import PipelineError
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.embedded.cluster import LocalCluster
from pipeline.runtime.kafka import topic_admin
from pipeline.runtime.kafka.edge_writer import EdgeWriter, KafkaSink

ROOT: Final = Path(__file__).resolve().parents[1]


class Failed(PipelineError):
    """A case could not be measured: a process died, an output is wrong, or it took too long."""


class Stored(NamedTuple):
    """A committed record as a reader gets it; ``append_s``: the broker's append time, s since 1970."""

    append_s: float
    partition: int
    key: bytes
    value: bytes


class Stand:
    """A cluster of its own and the processes started on it. Use as a context manager: leaving it ends them all."""

    def __init__(
        self, partitions: int, *, brokers: int = 1, heap_mb: int = 1024, settings: Mapping[str, str] | None = None
    ) -> None:
        self.partitions = partitions
        self.folder = Path(tempfile.mkdtemp(prefix="pipeline-bench-"))
        self._cluster = LocalCluster(brokers, settings=settings, heap_mb=heap_mb) if brokers > 1 else None
        self._single = None if brokers > 1 else LocalKafka(heap_mb=heap_mb, settings=settings)
        self.codec = Codec(LocalIds())
        self._processes: list[subprocess.Popen[bytes]] = []
        self._edges = 0

    def __enter__(self) -> Self:
        try:
            (self._cluster or self._single or self).start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Nothing to do when there is neither a cluster nor a single broker to start."""

    def close(self) -> None:
        """Kill every process, stop the cluster, remove the folder."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait(10)
        for cluster in (self._cluster, self._single):
            if cluster is not None:
                cluster.close()
        subprocess.run(["rm", "-rf", str(self.folder)], check=False)

    @property
    def bootstrap(self) -> str:
        """host:port of the cluster."""
        cluster = self._cluster or self._single
        assert cluster is not None
        return cluster.bootstrap_servers

    @property
    def broker_pids(self) -> dict[str, int]:
        """``broker`` for one, ``broker1`` … for several."""
        if self._cluster is not None:
            return {f"broker{no}": node.pid for no, node in self._cluster.nodes.items()}
        assert self._single is not None
        return {"broker": self._single.pid}

    def log_bytes(self) -> int:
        """Size of all records on the (first) broker's disk, as they are stored."""
        broker = self._single if self._cluster is None else self._cluster.nodes[1]
        assert broker is not None
        return sum(path.stat().st_size for path in (broker.data_dir / "data").glob("*/*.log"))

    # ------------------------------------------------------------------ topics

    def topics(self, sources: Iterable[str]) -> None:
        """Make every topic of the pipeline as `pipeline topics apply` does. Raises Failed when that fails."""
        names = [stage.name for stage in topology.STAGES]
        said: list[object] = []
        if topic_admin.apply(self.bootstrap, self.partitions, sources, names, say=said.append):
            raise Failed("\n".join(map(str, said)))

    def create(self, *names: str, partitions: int = 0, config: Mapping[str, str] | None = None) -> None:
        """Make topics that only this case needs; ``partitions`` 0: the stand's number."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        new = [NewTopic(name, partitions or self.partitions, config=dict(config or {})) for name in names]
        for future in admin.create_topics(new).values():
            future.result(30)

    # ------------------------------------------------------------------ writing

    def edge(self, name: str) -> EdgeWriter:
        """A writer as gateways use it, with a name of its own at each call."""
        self._edges += 1
        sink = KafkaSink(self.bootstrap, f"{name}-{self._edges}", lambda text: None)
        return EdgeWriter(name, str(self._edges), self.partitions, self.codec, sink)

    def pour(self, rows: Iterable[tuple[str, int, bytes, bytes]]) -> int:
        """Produce rows of topic, partition, key, value as fast as the broker takes them; returns how many.

        Raises Failed when the broker has not taken them all after two minutes.
        """
        producer = self.producer(linger_ms=20)
        count = 0
        for topic, partition, key, value in rows:
            put(producer, topic, value, key, partition)
            count += 1
            if count % 1000 == 0:
                producer.poll(0)
        if producer.flush(120):
            raise Failed("the broker did not take the load")
        return count

    def producer(self, linger_ms: int = 0) -> Producer:
        """An idempotent producer without transactions."""
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "linger.ms": linger_ms,
                "queue.buffering.max.messages": 500_000,
                "log_level": 0,
            }
        )

    # ------------------------------------------------------------------ processes

    def unit(self, name: str, slot: int | None = None) -> subprocess.Popen[bytes]:
        """A unit of the pipeline, or a stage alone, as a process: the real worker."""
        slots = [] if slot is None else [str(slot)]
        return self.process("bench.processes.unit_process", self.bootstrap, name, str(self.folder), *slots, log=name)

    def process(self, module: str, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        """A Python module as a process."""
        return self.command([sys.executable, "-m", module, *arguments], log)

    def command(
        self, command: Sequence[str], log: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Any program; what it prints goes to ``<log>.log``."""
        own = {**os.environ, "PYTHONPATH": str(ROOT), "PIPELINE_COMMIT": "bench"} if env is None else dict(env)
        with self.log(log).open("ab") as file:
            process = subprocess.Popen(command, cwd=cwd, stdout=file, stderr=subprocess.STDOUT, env=own)
        self._processes.append(process)
        return process

    def log(self, name: str) -> Path:
        """The file that a process's output goes to."""
        return self.folder / f"{name}.log"

    def said(self, name: str) -> str:
        """What a process has printed so far."""
        path = self.log(name)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Ask a process to end (SIGTERM), and kill it after 30 seconds."""
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def ready(self, name: str, times: int = 1, timeout_s: float = 60.0) -> None:
        """Wait until a unit's worker has said that its partitions are restored."""
        self.wait(lambda: self.said(name).count(" restored in ") >= times, timeout_s, f"{name} is not ready")

    def until_read(self, unit: str, topic: str, timeout_s: float = 120.0) -> None:
        """Wait until a unit has committed all that a topic holds now."""
        settings = {"bootstrap.servers": self.bootstrap, "group.id": unit, "log_level": 0}
        consumer = Consumer(settings)  # never joins the group: it only asks for committed offsets
        places = [TopicPartition(topic, partition) for partition in range(self.partitions)]
        ends = self.ends(topic)
        try:
            self.wait(
                # The last record of a transaction is its marker, which nobody reads past until another one follows.
                lambda: all(at.offset >= end - 1 for at, end in zip(consumer.committed(places, 10), ends, strict=True)),
                timeout_s, f"{unit} has not read {topic} to its end", 0.2,
            )  # fmt: skip
        finally:
            consumer.close()

    def wait(self, what: Callable[[], bool], timeout_s: float, otherwise: str, every_s: float = 0.05) -> None:
        """Wait until ``what`` is true. Raises Failed after ``timeout_s``, with ``otherwise`` and the ends of all
        logs."""
        deadline = time.monotonic() + timeout_s
        while not what():
            if time.monotonic() > deadline:
                tails = "\n".join(f"--- {path.stem}\n{self.said(path.stem)[-1500:]}" for path in self.logs())
                raise Failed(f"{otherwise} after {timeout_s:.0f} s\n{tails}")
            time.sleep(every_s)

    def logs(self) -> list[Path]:
        """The log files of all processes."""
        return sorted(self.folder.glob("*.log"))

    # ------------------------------------------------------------------ reading

    def ends(self, topic: str) -> list[int]:
        """The end offset of each partition, transaction markers counted."""
        consumer = self._looker()
        try:
            return [_end(consumer, topic, partition) for partition in range(self.partitions)]
        finally:
            consumer.close()

    def until_written(
        self, topic: str, count: int, timeout_s: float, alive: subprocess.Popen[bytes] | None = None
    ) -> None:
        """Wait until a topic holds ``count`` records and no more come; transaction markers are counted as records.

        Raises Failed when time is up or ``alive`` ended badly.
        """
        consumer = self._looker()
        deadline = time.monotonic() + timeout_s
        written, still_at = -1, 0.0
        try:
            while True:
                now = sum(_end(consumer, topic, partition) for partition in range(self.partitions))
                if now != written:
                    written, still_at = now, time.monotonic()
                # A slow engine that has more to do is not waited for.
                if now >= count and (time.monotonic() - still_at > 0.5 or now > count * 1.2):
                    return
                if alive is not None and alive.poll() not in (None, 0):
                    raise Failed(f"the process ended with {alive.returncode}: {self._tail()}")
                if time.monotonic() > deadline:
                    raise Failed(f"{topic}: {now} of {count} after {timeout_s:.0f} s: {self._tail()}")
                time.sleep(0.1)
        finally:
            consumer.close()

    def _looker(self) -> Consumer:
        return Consumer({"bootstrap.servers": self.bootstrap, "group.id": "bench-looks", "log_level": 0})

    def _tail(self) -> str:
        return "\n".join(f"--- {path.stem}\n{self.said(path.stem)[-1500:]}" for path in self.logs())

    def read(self, topic: str, take: Callable[[Stored], None], timeout_s: float = 120.0) -> int:
        """Call ``take`` with every committed record up to the present end; returns how many. Raises Failed after
        timeout."""
        targets = {p: end for p, end in enumerate(self.ends(topic)) if end}
        consumer = self.reader([topic], from_end=False)
        count, deadline = 0, time.monotonic() + timeout_s
        try:
            while targets:
                if time.monotonic() > deadline:
                    raise Failed(f"{topic}: its end is not reached: {targets}")
                for message in consumer.consume(10_000, 0.2):
                    partition, error = int(message.partition() or 0), message.error()
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF and int(message.offset() or 0) >= targets.get(
                            partition, 0
                        ):
                            targets.pop(partition, None)
                        continue
                    key, value = message.key(), message.value()
                    append_s = message.timestamp()[1] / 1000
                    take(Stored(append_s, partition, _raw(key), _raw(value)))
                    count += 1
        finally:
            consumer.close()
        return count

    def reader(self, topics: Sequence[str], *, from_end: bool) -> Consumer:
        """A read-committed consumer assigned to every partition of the topics, from their beginnings or ends."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "bench-reads",
                "isolation.level": "read_committed",
                "enable.partition.eof": not from_end,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.queue.backoff.ms": 5,
                "fetch.wait.max.ms": 100,
                "log_level": 0,
            }
        )
        starts = [
            TopicPartition(topic, partition, (self.ends(topic)[partition]) if from_end else 0)
            for topic in topics
            for partition in range(self.partitions)
        ]
        consumer.assign(starts)
        return consumer

    def records(self, topic: str) -> list[Any]:
        """Every committed record of a topic of the pipeline's, decoded; partition by partition."""
        found: dict[int, list[Any]] = {}
        self.read(
            topic, lambda stored: found.setdefault(stored.partition, []).append(self.codec.decode(topic, stored.value))
        )
        return [record for partition in sorted(found) for record in found[partition]]


class Drained(NamedTuple):
    """The records written after the warm-up, and the broker's times (s since 1970) of the first and last of them."""

    records: int
    begin_s: float
    end_s: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / max(self.end_s - self.begin_s, 0.001)


def drained(append_s: Iterable[float], warm: int) -> Drained:
    """What was written after the first ``warm`` records, from append times. Raises Failed for fewer than 100 more."""
    times = sorted(append_s)
    if len(times) < warm + 100:
        raise Failed(f"{len(times)} records, {warm} of them to warm up: nothing to measure")
    begin_s = times[warm]
    # Records of a batch share an append time: count those after the batch in which the warm-up ended.
    later = sum(1 for each in times if each > begin_s)
    return Drained(later, begin_s, times[-1])


def put(producer: Producer, topic: str, value: bytes, key: bytes, partition: int) -> None:
    """Produce, waiting while the queue is full."""
    while True:
        try:
            producer.produce(topic, value, key, partition)
            return
        except BufferError:
            producer.poll(0.05)


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    """An end offset; asked again while a topic just made has no leader yet."""
    for attempt in range(20):
        try:
            answer = consumer.get_watermark_offsets(TopicPartition(topic, partition), 10, False)
            return 0 if answer is None else int(answer[1])
        except KafkaException:
            if attempt == 19:
                raise
            time.sleep(0.1)
    raise AssertionError("not reached")


def _raw(value: str | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else b"" if value is None else value.encode()
