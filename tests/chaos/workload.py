"""The load: prints, ticks and controls at a steady rate, and a ledger of what the broker said it has stored."""

from __future__ import annotations

import threading
import time
from typing import Final

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from pipeline.domain.controls import Control, ControlKind
from pipeline.domain.record import Record
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.topics import changelog_of, partitions_for, topic_of
from tests.broker.sample_cluster import TOPICS
from tests.broker.worker_process import FLOW
from tests.sample_stages import print_of, tick_of

PARTITIONS: Final = 4
INPUTS: Final = ("prints", "clock", "controls")
_TICK_EVERY_S: Final = 0.5
_CONTROL_EVERY_S: Final = 3.0
_STEP_S: Final = 0.02


def make_topics(bootstrap_servers: str) -> None:
    """The sample stages' topics, with the broker's own replication."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    names = [*TOPICS, *(changelog_of(stage.name) for stage in FLOW)]
    made = admin.create_topics(
        [
            NewTopic(name, PARTITIONS, config={"cleanup.policy": "compact"} if name.startswith("changelog") else {})
            for name in names
        ],
        operation_timeout=30,
    )
    for future in made.values():
        future.result(30)


class Load:
    """Sends in a thread of its own between :meth:`start` and :meth:`stop`; waits for a broker that is away."""

    def __init__(self, bootstrap_servers: str, rate: int, instruments: int) -> None:
        self.rate = rate
        self.failed: list[str] = []
        self.sent: dict[tuple[str, int], list[tuple[bytes, bytes]]] = {
            (topic, partition): [] for topic in INPUTS for partition in range(PARTITIONS)
        }
        """Key and value of every record handed to the client, per partition, in order."""
        self._instruments = instruments
        self._codec = Codec(LocalIds())
        self._over = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self._numbers: dict[tuple[str, int], int] = {}
        self._count = 0
        self._controls = 0
        self._stored = 0
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 2,
                "message.timeout.ms": 0,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
                "error_cb": self._on_error,
                "on_delivery": self._on_delivery,
            }
        )

    @property
    def prints(self) -> int:
        """Prints sent."""
        return self._count

    def start(self) -> None:
        self._over.clear()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 60.0) -> None:
        """Stop sending and wait until all that was sent is stored. Raises RuntimeError when it is not."""
        if self._thread is not None:
            self._over.set()
            self._thread.join(timeout_s)
            self._thread = None
        left = self._producer.flush(timeout_s)
        handed = sum(map(len, self.sent.values()))
        if self.failed or left or self._stored != handed:
            raise RuntimeError(f"of {handed} records {self._stored} are stored; {left} left; {self.failed[:3]}")

    def burst(self, count: int) -> None:
        """Send ``count`` prints at once."""
        for _ in range(count):
            self._print()
        self._producer.flush(60)

    def _run(self) -> None:
        began = tick_at = control_at = time.monotonic()
        paced = 0
        while not self._over.is_set():
            now = time.monotonic()
            while paced < (now - began) * self.rate:
                paced += 1
                self._print()
            if now >= tick_at:
                tick_at = now + _TICK_EVERY_S
                self._send(tick_of(self._count + 1))
            if now >= control_at:
                control_at = now + _CONTROL_EVERY_S
                self._controls += 1
                kind = ControlKind.RESUME
                self._send(Control(kind=kind, control_id=f"c{self._controls}", who="chaos", why="load", at_ns=1))
            self._producer.poll(0)
            time.sleep(_STEP_S)

    def _print(self) -> None:
        with self._turn:
            self._print_next()

    def _print_next(self) -> None:
        self._count += 1
        instrument = f"I{self._count * 7919 % self._instruments}"
        topic = topic_of(type(print_of(instrument, 1)))
        (partition,) = partitions_for(topic, instrument, 0, PARTITIONS)
        seq = self._numbers[topic.name, partition] = self._numbers.get((topic.name, partition), 0) + 1
        self._send(print_of(instrument, self._count, qty=1 + self._count % 97, seq=seq))

    def _send(self, record: Record) -> None:
        topic = topic_of(type(record))
        key = topic.key(record)
        value = self._codec.encode(record)
        for partition in partitions_for(topic, key, 0, PARTITIONS):
            self._producer.produce(topic.name, value, key.encode(), partition)
            self.sent[topic.name, partition].append((key.encode(), value))

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._stored += 1
        else:
            self.failed.append(f"{message.topic()}/{message.partition()}: {error.str()}")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self.failed.append(error.str())
