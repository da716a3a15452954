"""How an edge writes: stamped, numbered without a gap, each batch in one transaction, through outages.

Readers read committed, so a batch appears whole or not at all, and a COPIED record on all partitions or on none. Where
a commit's outcome is not known (the broker went away in the middle), a new producer with the same id settles the old
transaction, and the log itself is asked whether the batch stands there; only if it does not, it is written again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from pipeline.domain.record import Owned
from pipeline.runtime.kafka.clients import Kafka
from pipeline.topics import partitions_for, topic_of

TRANSACTION_TIMEOUT_S: Final = 10.0
BATCH_MAX: Final = 2_000
"""Records in one transaction; larger writes are cut (between records, never between the copies of one)."""
_LOOK_BACK: Final = 20_000
"""How far back from a partition's end a batch of doubtful fate is looked for."""
_RETRY_S: Final = 0.5
_OPEN_TIMEOUT_S: Final = 5.0


class Row(NamedTuple):
    """A record as it goes on its topic."""

    topic: str
    partition: int
    key: bytes
    value: bytes


class EdgeCodec(Protocol):
    """What an edge needs of the codec (``runtime.contracts.codec.Codec``)."""

    def encode(self, record: Any) -> bytes:
        """The record's value on its topic. Raises ContractError for what its schema cannot carry."""
        ...

    def encode_key(self, key: str) -> bytes:
        """The key as bytes."""
        ...


class Sink(Protocol):
    """Where rows go: all of a call or none."""

    def commit(self, rows: Sequence[Row]) -> None:
        """Write ``rows``, all or none; returns once they are stored."""
        ...


class EdgeWriter:
    """The only writer of its gateway's topics in this run: ``name@run``, numbers from 1 by topic and partition."""

    def __init__(self, name: str, run: str, partitions: int, codec: EdgeCodec, sink: Sink) -> None:
        self.writer = f"{name}@{run}"
        self._partitions = partitions
        self._codec = codec
        self._sink = sink
        self._seq: dict[tuple[str, int], int] = {}

    def write(self, records: Iterable[Owned]) -> int:
        """Write ``records`` in their order, in transactions of at most BATCH_MAX; returns how many rows that made.

        Raises what the codec raises for a record its schema cannot carry; then nothing of its batch is written.
        """
        count = 0
        batch: list[Owned] = []
        for record in records:
            batch.append(record)
            if len(batch) == BATCH_MAX:
                count += self._commit(batch)
                batch = []
        return count + (self._commit(batch) if batch else 0)

    def _commit(self, records: Sequence[Owned]) -> int:
        seqs = dict(self._seq)
        rows: list[Row] = []
        for record in records:
            topic = topic_of(type(record))
            key = topic.key(record)
            name = topic.name_for(record)
            for partition in partitions_for(topic, key, 0, self._partitions):
                seq = seqs[name, partition] = seqs.get((name, partition), 0) + 1
                stamped = msgspec.structs.replace(record, writer=self.writer, seq=seq)
                rows.append(Row(name, partition, self._codec.encode_key(key), self._codec.encode(stamped)))
        self._sink.commit(rows)
        # Only now: a batch that could not be encoded or was given up takes no numbers.
        self._seq = seqs
        return len(rows)


class MemorySink:
    """The log as a list, for tests and for hosts without a broker."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.commits = 0

    def commit(self, rows: Sequence[Row]) -> None:
        self.rows.extend(rows)
        self.commits += 1


class KafkaSink:
    """Transactions on a broker. Waits for as long as nobody answers, saying so; gives up only when told to stop.

    Who is not let in at the start is told at once (AccessRefused); later that may pass, as a broker that comes back
    knows its users a moment after it answers, and is waited out like an outage.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        transactional_id: str,
        say: Callable[[str], None],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._bootstrap = bootstrap_servers
        self._kafka = Kafka(bootstrap_servers)
        self._say = say
        self._stop = stop
        self._settings = {
            "transactional.id": transactional_id,
            "client.id": transactional_id,
            "transaction.timeout.ms": int(TRANSACTION_TIMEOUT_S * 1000),
            "linger.ms": 0,
            "retry.backoff.ms": 2,
            "retry.backoff.max.ms": 1000,
            "queue.buffering.max.messages": 200_000,
        }
        self._was_let_in = False
        self._producer: Producer | None = None

    def commit(self, rows: Sequence[Row]) -> None:
        """Write ``rows`` in one transaction, exactly once.

        Raises GivenUp when told to stop while nobody answers, AccessRefused when we are not let in at the start.
        """
        if not rows:
            return
        trouble = False
        while True:
            producer = self._producer or self._open()
            try:
                self._transaction(producer, rows)
                if trouble:
                    self._say(f"Kafka at {self._bootstrap} answers again; going on")
                return
            except _Abort as error:
                trouble = self._report(trouble, str(error))
                if not self._abort(producer) and self._stands(rows[-1]):
                    return
            except KafkaException as error:
                # Whether it was committed is not known: this producer is done with, and the log has the answer.
                trouble = self._report(trouble, _text(error))
                self._drop()
                self._producer = self._open()
                if self._stands(rows[-1]):
                    self._say(f"Kafka at {self._bootstrap} answers again; the last batch was written")
                    return
            self._pause()

    def close(self) -> None:
        """Let the producer go; nothing is under way between commits."""
        self._drop()

    def _transaction(self, producer: Producer, rows: Sequence[Row]) -> None:
        self._again(producer.begin_transaction)
        for row in rows:
            while True:
                try:
                    producer.produce(row.topic, row.value, row.key, row.partition)
                    break
                except BufferError:
                    producer.poll(0.05)
        if producer.flush(TRANSACTION_TIMEOUT_S):
            raise _Abort("the broker did not take the batch in time")
        self._again(producer.commit_transaction, -1)

    def _again(self, call: Callable[..., Any], *arguments: Any) -> None:
        deadline = time.monotonic() + TRANSACTION_TIMEOUT_S
        while True:
            try:
                call(*arguments)
                return
            except KafkaException as error:
                code = _error(error)
                if code.txn_requires_abort() and not code.fatal():
                    raise _Abort(_text(error)) from error
                if not code.retriable() or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _abort(self, producer: Producer) -> bool:
        """Take the transaction back; False where that is not certain, with a new producer in place."""
        try:
            producer.purge()
            producer.abort_transaction(TRANSACTION_TIMEOUT_S)
            return True
        except KafkaException:
            self._drop()
            self._producer = self._open()
            return False

    def _open(self) -> Producer:
        asked = False
        while True:
            producer = self._kafka.producer(self._settings)
            try:
                producer.init_transactions(_OPEN_TIMEOUT_S)
                self._producer, self._was_let_in = producer, True
                return producer
            except KafkaException as error:
                if not self._was_let_in:
                    self._kafka.raise_refusal(producer)
                asked = self._report(asked, _text(error))
                del producer
            self._pause()

    def _stands(self, row: Row) -> bool:
        """Whether ``row`` stands committed in the log. Its value has writer and number: there is no other like it."""
        while True:
            consumer = self._kafka.consumer(
                {
                    "group.id": "edge-looks-back",
                    "enable.auto.commit": False,
                    "isolation.level": "read_committed",
                    "enable.partition.eof": True,
                }
            )
            try:
                return _found(consumer, row)
            except KafkaException:
                self._pause()
            finally:
                with suppress(KafkaException, RuntimeError):
                    consumer.close()

    def _drop(self) -> None:
        if self._producer is not None:
            with suppress(KafkaException):
                self._producer.purge()
            self._producer = None

    def _report(self, already: bool, text: str) -> bool:
        if not already:
            self._say(f"waiting for Kafka at {self._bootstrap} ({text}); nothing is lost, it goes on by itself")
        return True

    def _pause(self) -> None:
        if self._stop():
            raise GivenUp("told to stop while Kafka did not answer")
        time.sleep(_RETRY_S)


class GivenUp(Exception):
    """Told to stop while a batch was not written yet."""


class _Abort(Exception):
    """The transaction must be taken back; nothing of it will be seen."""


def _found(consumer: Consumer, row: Row) -> bool:
    low, high = consumer.get_watermark_offsets(TopicPartition(row.topic, row.partition), timeout=TRANSACTION_TIMEOUT_S)
    if high in (OFFSET_INVALID, low):
        return False
    consumer.assign([TopicPartition(row.topic, row.partition, max(low, high - _LOOK_BACK))])
    deadline = time.monotonic() + TRANSACTION_TIMEOUT_S
    while time.monotonic() < deadline:
        for message in consumer.consume(1_000, timeout=0.2):
            error = message.error()
            if error is None and message.value() == row.value:
                return True
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return False
            if error is not None:
                raise KafkaException(error)
            deadline = time.monotonic() + TRANSACTION_TIMEOUT_S
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"reading {row.topic}"))


def _error(error: KafkaException) -> KafkaError:
    found = error.args[0]
    assert isinstance(found, KafkaError)
    return found


def _text(error: KafkaException) -> str:
    return str(_error(error).str())
