"""A transaction's calls, one by one, at a producer that misbehaves as it is told."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.transaction import Aborted, Transactions


class Told(Kafka):
    """A cluster and its producer: ``raised`` is what produce raises, call by call, before it takes a record."""

    def __init__(self, *raised: Exception | None) -> None:
        super().__init__("nowhere:0")
        self._raised = list(raised)
        self._now_ns = 0
        self.said: list[str] = []

    def producer(self, settings: dict[str, Any]) -> Any:
        return self

    def monotonic_ns(self) -> int:
        self._now_ns += 1_000_000
        return self._now_ns

    def let_go(self, producer: Any) -> None: ...

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, *_: Any) -> None:
        self.said.append(f"produce {value.decode()}")
        error = self._raised.pop(0) if self._raised else None
        if error is not None:
            raise error

    def purge(self) -> None: ...

    def poll(self, timeout_s: float) -> None:
        self.said.append("poll")

    def flush(self, timeout_s: float) -> int:
        self.said.append("flush")
        return 0

    def __getattr__(self, name: str) -> Any:
        if not name.endswith(("_transaction", "_transactions")):
            raise AttributeError(name)
        return lambda *arguments: self.said.append(name.partition("_")[0])


def written(kafka: Told) -> None:
    transactions = Transactions("t-0", WorkerContext("t-0", lambda text: None, kafka))
    transactions.open()
    kafka.said.clear()
    rows = [("out", 0, b"k", b"1"), ("out", 0, b"k", b"2")]
    transactions.write(rows, [TopicPartition("in", 0, 1)], None)


def test_a_full_queue_is_waited_for() -> None:
    kafka = Told(None, BufferError(), BufferError())
    written(kafka)
    assert kafka.said == ["begin", "produce 1", "produce 2", "poll", "produce 2", "poll", "produce 2", "flush",
                          "send", "commit"]  # fmt: skip


def test_a_refused_record_is_not_sent_once_more() -> None:
    refused = KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE, "told", txn_requires_abort=True))
    kafka = Told(refused)
    with pytest.raises(Aborted):
        written(kafka)
    assert kafka.said == ["begin", "produce 1", "abort"]
