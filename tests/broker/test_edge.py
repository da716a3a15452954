"""An edge on a real broker: each batch is in the log once, whatever happens to the broker or to its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.embedded.platform import Platform
from pipeline.runtime.kafka.edge_writer import GivenUp, KafkaSink, Row
from tests.waiting import GIVE_UP_S

Unique = Callable[[str], str]


def _topic(bootstrap_servers: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(timeout=30)


def _rows(topic: str, first: int, count: int = 10) -> list[Row]:
    return [Row(topic, n % 2, b"k", f"edge/{n}".encode()) for n in range(first, first + count)]


def _read(bootstrap_servers: str, topic: str) -> list[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers, "group.id": "nobody", "isolation.level": "read_committed",
            "enable.partition.eof": True, "enable.auto.commit": False,
        }
    )  # fmt: skip
    found = []
    for partition in (0, 1):
        consumer.assign([TopicPartition(topic, partition, 0)])
        while True:
            message = consumer.poll(GIVE_UP_S)
            assert message is not None
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF
                break
            value = message.value()
            assert isinstance(value, bytes)
            found.append(value)
    consumer.close()
    return sorted(found, key=lambda value: int(value.split(b"/")[1]))


def _values(count: int) -> list[bytes]:
    return [f"edge/{n}".encode() for n in range(count)]


class _Flaky(KafkaSink):
    """Loses the answer to one commit: it was committed (or was not even asked for), and nobody told us."""

    def __init__(self, bootstrap_servers: str, transactional_id: str, committed: bool) -> None:
        super().__init__(bootstrap_servers, transactional_id, lambda text: None)
        self._committed = committed
        self.lost = 0

    def _transaction(self, producer: Producer, rows: Sequence[Row]) -> None:
        if self.lost or rows[0].value != b"edge/10":
            super()._transaction(producer, rows)
            return
        self.lost += 1
        if self._committed:
            super()._transaction(producer, rows)
        else:
            producer.begin_transaction()
            for row in rows:
                producer.produce(row.topic, row.value, row.key, row.partition)
            producer.flush(10)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "nobody knows"))


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_is_written_exactly_once(
    platform: Platform, unique: Unique, committed: bool
) -> None:
    topic = unique("edge")
    _topic(platform.bootstrap_servers, topic)
    sink = _Flaky(platform.bootstrap_servers, unique("edge-id"), committed)
    for first in (0, 10, 20):
        sink.commit(_rows(topic, first))
    sink.close()
    assert sink.lost == 1
    assert _read(platform.bootstrap_servers, topic) == _values(30)


def test_a_broker_that_goes_and_comes_back_gets_everything_once_and_the_user_is_told(own_kafka: LocalKafka) -> None:
    _topic(own_kafka.bootstrap_servers, "edge")
    said: list[str] = []
    sink = KafkaSink(own_kafka.bootstrap_servers, "edge-id", said.append)
    done = threading.Event()

    def write() -> None:
        for first in range(0, 2_000, 10):
            sink.commit(_rows("edge", first))
            time.sleep(0.01)
        done.set()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    time.sleep(1)
    own_kafka.kill()
    time.sleep(3)
    assert not done.is_set()
    own_kafka.start()
    assert done.wait(GIVE_UP_S)
    sink.close()
    assert _read(own_kafka.bootstrap_servers, "edge") == _values(2_000)
    assert any(own_kafka.bootstrap_servers in text for text in said)


def test_an_edge_that_is_told_to_stop_does_not_wait_for_ever() -> None:
    sink = KafkaSink("127.0.0.1:1", "edge-id", lambda text: None, stop=lambda: True)
    with pytest.raises(GivenUp):
        sink.commit(_rows("edge", 0))
