"""One Kafka transaction after the other, and what to do when one does not end well.

    retriable        the same call again, with the same arguments
    abortable        abort; the caller restores its state and reads again from the committed place    -> Aborted
    anything else    nobody knows whether it was committed: a new producer with the same id, whose
                     start settles the old one's transaction; the caller restores its state           -> Indefinite

librdkafka has no KIP-890: after an indefinite outcome a second transaction of the *same* producer could be mixed with
the late end of the first. So it is never retried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from pipeline.audit.recorded import leading
from pipeline.errors import PipelineError
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.observer import Event
from pipeline.runtime.worker.task import META_KEY

TRANSACTION_TIMEOUT_S: Final = 5.0
SEND_OFFSETS_TIMEOUT_S: Final = 3.0
MIGRATION_TIMEOUT_S: Final = 300.0
"""For the one transaction that rewrites a whole state after a migration."""
MESSAGE_BYTES_MAX: Final = 8_000_000
HANGS_AFTER_S: Final = SEND_OFFSETS_TIMEOUT_S + 1.0

LARGE_BYTES: Final = 500_000
"""Records from this size on get a delivery callback each, to learn of a refusal. Smaller ones are never refused for
their size: a producer's batch may have a million bytes."""

Row = tuple[str, int, bytes | None, bytes | None]
"""Topic, partition, key, value."""
Delivered = Callable[[str, int, int], None]
"""Called with topic, partition and offset of a record that the broker has stored."""


class TooLarge(PipelineError):
    """A record is larger than its topic takes. Nothing of the transaction was written, trying again is of no use."""

    def __init__(self, transactional_id: str, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        writer = topic.removeprefix("changelog.") if topic.startswith("changelog.") else _writer(value)
        super().__init__(
            f"{transactional_id}: {writer or 'a stage'} makes a record of {len(value)} bytes for {topic}/{partition}, "
            f"key {key!r}: more than the topic takes. Nothing was written, and a restart will stop here again. Mend "
            f"the code, or raise max.message.bytes of {topic} (at most {MESSAGE_BYTES_MAX}) and start again."
        )


_FENCING: Final = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
    }
)
"""Another producer has our id, or the group has gone on without us."""


class Aborted(Exception):
    """The transaction was aborted: consumers that read committed see nothing of it."""

    event = Event.ABORTED
    slot_taken = False
    """Another member of the group has our `group.instance.id` by now; see ``exclusivity.refuse_if_replaced``."""


class Indefinite(Exception):
    """Nobody knows how the transaction ended."""

    event = Event.INDEFINITE


class Transactions:
    """The transactional producer of a worker."""

    def __init__(self, transactional_id: str, context: WorkerContext) -> None:
        self._id = transactional_id
        self._timeout_s = TRANSACTION_TIMEOUT_S
        self._refused: TooLarge | None = None
        self._settings = {
            "transactional.id": transactional_id,
            "client.id": transactional_id,
            "linger.ms": 0,
            # AddOffsetsToTxn meets the end of the transaction before; the default backoff of 100 ms would be its price.
            "retry.backoff.ms": 2,
            "retry.backoff.max.ms": 1000,
            # Dead letters carry whole originals, changelogs grown entries; what a topic takes is the topic's to say.
            "message.max.bytes": MESSAGE_BYTES_MAX,
            "queue.buffering.max.messages": 200_000,
        }
        self._context = context
        self._kafka = context.kafka
        self._producer: Producer | None = None
        self._aside = self._kafka.aside()
        self._abandoned: list[Producer] = []

    @property
    def abandoned(self) -> int:
        """Number of producers that hang in a call; a process that has some must end without waiting for them."""
        return len(self._abandoned)

    def open(self, timeout_s: float = TRANSACTION_TIMEOUT_S) -> None:
        """Make a new producer; its start ends any transaction that an earlier one of this id left open.

        Waits until the broker answers; raises Stopping when the worker is stopped meanwhile. ``timeout_s``: how long
        its transactions may take.
        """
        self.close()
        self._timeout_s = timeout_s
        while True:
            self._context.alive()
            producer = self._kafka.producer({**self._settings, "transaction.timeout.ms": int(timeout_s * 1000)})
            try:
                producer.init_transactions(-1)
            except KafkaException as error:
                self._context.say_now_and_then(
                    f"waiting for Kafka at {self._kafka.bootstrap_servers}, to open a transaction ({_text(error)})"
                )
                self._producer = producer
                self.close()
                self._context.rest(0.5)
                continue
            self._producer = producer
            return

    def close(self) -> None:
        """Drop the producer without waiting for records it has not sent."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            self._kafka.let_go(producer)

    def write(
        self, rows: Iterable[Row], offsets: list[TopicPartition], group: Any, on_meta: Delivered | None = None
    ) -> None:
        """Write ``rows`` and commit ``offsets`` of the consumer ``group`` (its metadata) in one transaction.

        ``on_meta`` is called for each `_meta` record once the broker has stored it. Raises Aborted or Indefinite: the
        caller's state is then ahead of the topics and must be restored. Raises TooLarge for a record that its topic
        refuses.
        """
        producer = self._producer
        if producer is None:
            raise Indefinite("the producer is closed")
        self._refused = None
        try:
            self._write(producer, rows, offsets, group, on_meta)
        except (Aborted, Indefinite) as error:
            if self._refused is not None:
                raise self._refused from error
            raise

    def _write(
        self,
        producer: Producer,
        rows: Iterable[Row],
        offsets: list[TopicPartition],
        group: Any,
        on_meta: Delivered | None,
    ) -> None:
        try:
            self._call(producer.begin_transaction)
            for topic, partition, key, value in rows:
                self._produce(producer, topic, partition, key, value, on_meta if key == META_KEY else None)
            # All of it at the broker before the offsets: this is what makes AddOffsetsToTxn meet a ready coordinator.
            # Not through `_call`: it has the whole of its time. What it raises is what has ended the producer (fenced).
            try:
                left = producer.flush(self._timeout_s)
            except KafkaException as error:
                raise _failure(error) from error
            if left:
                raise Aborted(f"{left} records were not taken by the broker in {self._timeout_s:.0f} s")
            self._call(self._send_offsets, producer, offsets, group)
            self._call(producer.commit_transaction, -1)
        except Aborted:
            self._abort(producer)
            raise

    def _send_offsets(self, producer: Producer, offsets: list[TopicPartition], group: Any) -> None:
        """The call does not keep its own timeout when the group's coordinator has gone and come back (librdkafka 5511:
        seen with an idle worker whose broker was restarted). So it is made in a thread that can be left behind."""
        if not self._aside.run(
            lambda: producer.send_offsets_to_transaction(offsets, group, SEND_OFFSETS_TIMEOUT_S), HANGS_AFTER_S
        ):
            self._abandoned.append(producer)  # kept, since letting it go would wait for the call that hangs
            self._producer = None
            self._aside = self._kafka.aside()
            raise Indefinite("sending offsets hangs")

    def _produce(
        self,
        producer: Producer,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        on_meta: Delivered | None,
    ) -> None:
        deadline = 0.0
        while True:
            try:
                if value is not None and len(value) >= LARGE_BYTES:
                    refused = TooLarge(self._id, topic, partition, key, value)
                    producer.produce(topic, value, key, partition, partial(self._delivered, refused))
                elif on_meta is not None:
                    producer.produce(topic, value, key, partition, partial(_report_delivery, on_meta))
                else:
                    producer.produce(topic, value, key, partition)
                return
            except BufferError:
                # The client's queue is full because the broker is slow: wait until it has taken some records.
                now = self._kafka.monotonic()
                deadline = deadline or now + self._timeout_s
                if now > deadline:
                    raise Aborted("the broker takes nothing") from None
                self._serve(producer)
            except KafkaException as error:
                if value is not None and _error(error).code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    self._refused = TooLarge(self._id, topic, partition, key, value)
                raise _failure(error) from error

    @staticmethod
    def _serve(producer: Producer) -> None:
        """Handle delivery reports for a moment."""
        try:
            producer.poll(0.05)
        except KafkaException as error:
            raise _failure(error) from error

    def _delivered(self, refused: TooLarge, error: KafkaError | None, _: Message) -> None:
        if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._refused = refused

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        deadline = self._kafka.monotonic() + TRANSACTION_TIMEOUT_S
        while True:
            self._context.alive()
            try:
                function(*arguments)
                return
            except KafkaException as error:
                retriable = _error(error).retriable() and not _error(error).txn_requires_abort()
                if not retriable or self._kafka.monotonic() > deadline:
                    raise _failure(error) from error
                self._kafka.sleep(0.01)

    def _abort(self, producer: Producer) -> None:
        try:
            producer.purge()
            producer.abort_transaction(-1)
        except KafkaException as error:
            raise Indefinite(f"the abort: {_text(error)}") from error


def _error(error: KafkaException) -> KafkaError:
    found = error.args[0]
    assert isinstance(found, KafkaError)
    return found


def _failure(error: KafkaException) -> Aborted | Indefinite:
    code = _error(error).code()
    failure: Aborted | Indefinite
    if _error(error).txn_requires_abort() and not _error(error).fatal():
        failure = Aborted(_text(error))
        failure.slot_taken = code == KafkaError.FENCED_INSTANCE_ID
    else:
        failure = Indefinite(_text(error))
    if code in _FENCING:
        failure.event = Event.FENCED
    return failure


def _report_delivery(on_meta: Delivered, error: KafkaError | None, message: Message) -> None:
    if error is None:
        on_meta(str(message.topic()), int(message.partition() or 0), int(message.offset() or 0))


def _writer(value: bytes) -> str:
    """The name in a record of ours: its first field, after the schema's id."""
    return leading(value)[0]


def _text(error: KafkaException) -> str:
    return str(_error(error).str())
