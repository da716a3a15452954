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
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from pipeline.runtime.observer import Event
from pipeline.runtime.patience import Patience

TRANSACTION_TIMEOUT_S: Final = 5.0
SEND_OFFSETS_TIMEOUT_S: Final = 3.0
HANGS_AFTER_S: Final = SEND_OFFSETS_TIMEOUT_S + 1.0

Row = tuple[str, int, bytes | None, bytes | None]
"""Topic, partition, key, value."""


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
    """The transaction was taken back: nothing of it is visible to anybody who reads committed."""

    event = Event.ABORTED


class Indefinite(Exception):
    """Nobody knows how the transaction ended."""

    event = Event.INDEFINITE


class Transactions:
    """The transactional producer of a worker."""

    def __init__(self, transactional_id: str, patience: Patience) -> None:
        self._settings = {
            "transactional.id": transactional_id,
            "client.id": transactional_id,
            "transaction.timeout.ms": int(TRANSACTION_TIMEOUT_S * 1000),
            "linger.ms": 0,
            # AddOffsetsToTxn meets the end of the transaction before; the default backoff of 100 ms would be its price.
            "retry.backoff.ms": 2,
            "retry.backoff.max.ms": 1000,
            # Dead letters carry whole originals, changelogs grown entries; what a topic takes is the topic's to say.
            "message.max.bytes": 8_000_000,
            "queue.buffering.max.messages": 200_000,
        }
        self._patience = patience
        self._kafka = patience.kafka
        self._producer: Producer | None = None
        self._aside = self._kafka.aside()
        self._abandoned: list[Producer] = []

    @property
    def abandoned(self) -> int:
        """Producers that hang in a call for ever; a process that has some ends without waiting for them."""
        return len(self._abandoned)

    def open(self) -> None:
        """A new producer: what an earlier one of this id left open is settled. Waits for as long as nobody answers."""
        self.close()
        while True:
            self._patience.alive()
            producer = self._kafka.producer(self._settings)
            try:
                producer.init_transactions(-1)
            except KafkaException as error:
                self._patience.say_now_and_then(
                    f"waiting for Kafka at {self._kafka.bootstrap_servers}, to open a transaction ({_text(error)})"
                )
                self._producer = producer
                self.close()
                self._patience.rest(0.5)
                continue
            self._producer = producer
            return

    def close(self) -> None:
        """Let the producer go, without waiting for what it still holds."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            self._kafka.let_go(producer)

    def write(self, rows: Iterable[Row], offsets: list[TopicPartition], group: Any) -> None:
        """Write ``rows`` and commit ``offsets`` of the consumer ``group`` (its metadata) in one transaction.

        Raises Aborted or Indefinite; the caller's state then holds what was never written.
        """
        producer = self._producer
        if producer is None:
            raise Indefinite("the producer is closed")
        try:
            self._call(producer.begin_transaction)
            for topic, partition, key, value in rows:
                self._produce(producer, topic, partition, key, value)
            # All of it at the broker before the offsets: this is what makes AddOffsetsToTxn meet a ready coordinator.
            left = producer.flush(TRANSACTION_TIMEOUT_S)
            if left:
                raise Aborted(f"{left} records were not taken by the broker in {TRANSACTION_TIMEOUT_S:.0f} s")
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

    def _produce(self, producer: Producer, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        deadline = self._kafka.monotonic() + TRANSACTION_TIMEOUT_S
        while True:
            try:
                producer.produce(topic, value, key, partition)
                return
            except BufferError:
                # The broker is slow: wait until it has taken some, memory stays as it is.
                if self._kafka.monotonic() > deadline:
                    raise Aborted("the broker takes nothing") from None
                producer.poll(0.05)
            except KafkaException as error:
                raise _failure(error) from error

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        deadline = self._kafka.monotonic() + TRANSACTION_TIMEOUT_S
        while True:
            self._patience.alive()
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
    abortable = _error(error).txn_requires_abort() and not _error(error).fatal()
    failure = Aborted(_text(error)) if abortable else Indefinite(_text(error))
    if _error(error).code() in _FENCING:
        failure.event = Event.FENCED
    return failure


def _text(error: KafkaException) -> str:
    return str(_error(error).str())
