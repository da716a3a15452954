"""Reading topics to their ends: a task's changelog, and what an earlier deployment left on an inner topic.

The end is that of the uncommitted log: right after a commit the last stable offset can still be before the commit, and
a restore that stops there loses the last transaction (KAFKA-10167). Then committed records are read up to that end; it
may take some seconds, until the coordinator has ended another worker's open transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import (
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker.context import SAY_EVERY_S, Stopping, WorkerContext

ASK_TIMEOUT_S: Final = 10.0
_PASSING: Final = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)

_SETTINGS: Final[dict[str, Any]] = {
    "group.id": "restore",  # not joined: partitions are assigned, nothing is committed
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    # Nothing else runs during a restore: big fetches, and a queue that never runs empty while Python works.
    "max.partition.fetch.bytes": 4_194_304,
    "queued.min.messages": 200_000,
    "queued.max.messages.kbytes": 65_536,
    # With the default backoff of a second, a full queue is found empty before the next fetch is sent.
    "fetch.queue.backoff.ms": 5,
    "fetch.wait.max.ms": 20,
}

Place = tuple[str, int]


class NotRestored(Exception):
    """The broker did not answer, or not in time; to be tried again."""


def ends(kafka: Kafka, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
    """First and end offset of each place, of the uncommitted log. Raises NotRestored.

    With a client made for it: one that has seen the broker restart asks with the old leader epoch, and is refused
    (FENCED_LEADER_EPOCH) for minutes.
    """
    consumer = kafka.consumer({**_SETTINGS, "isolation.level": "read_uncommitted"})
    found = {}
    try:
        for place in places:
            answer = consumer.get_watermark_offsets(TopicPartition(*place), timeout=ASK_TIMEOUT_S, cached=False)
            if answer is None:
                raise NotRestored(f"no answer for the end of {place[0]}/{place[1]}")
            found[place] = answer
    except KafkaException as error:
        raise NotRestored(f"end offsets: {error}") from error
    finally:
        consumer.close()
    return found


def read_to_end(
    starts: dict[Place, int],
    take: Callable[[Message], None],
    context: WorkerContext,
) -> None:
    """Call ``take`` with every committed record of each place from its start offset to its end, in log order per place.

    Raises NotRestored when the broker does not answer: then everything must be read again. Raises Stopping when the
    worker is stopped meanwhile.
    """
    found = ends(context.kafka, starts)
    targets = {place: end for place, (_, end) in found.items() if end > starts[place]}
    if not targets:
        return
    consumer = context.kafka.consumer({**_SETTINGS, "isolation.level": "read_committed"})
    try:
        # With the offset as a number: OFFSET_BEGINNING costs a new client half a second to resolve.
        consumer.assign([TopicPartition(*place, max(starts[place], found[place][0])) for place in targets])
        quiet_since = context.kafka.monotonic()
        over: set[Place] = set()
        while targets:
            context.alive()
            if context.stopping:
                raise Stopping
            messages = consumer.consume(5000, 0.05)
            now = context.kafka.monotonic()
            if messages:
                quiet_since = now
            elif now - quiet_since > SAY_EVERY_S:
                waiting = ", ".join(f"{topic}/{partition}" for topic, partition in sorted(targets))
                context.say_now_and_then(
                    f"restoring: waiting for the end of {waiting} (an open transaction, or the broker is away)"
                )
            for message in messages:
                error = message.error()
                if error is None:
                    # Once a log has been read to its end, later records are left out: another worker may be writing
                    # by now, and while we wait for the other logs we could get half of its transaction.
                    if not over or (message.topic(), message.partition()) not in over:
                        take(message)
                    continue
                place = (str(message.topic()), int(message.partition() or 0))
                if error.code() == KafkaError._PARTITION_EOF:
                    if place in targets and (message.offset() or 0) >= targets[place]:
                        del targets[place]
                        over.add(place)
                elif not error.retriable() and error.code() not in (
                    KafkaError._TRANSPORT,
                    KafkaError._ALL_BROKERS_DOWN,
                ):
                    raise NotRestored(f"{place[0]}/{place[1]}: {error.str()}")
    finally:
        consumer.close()


class Begin(NamedTuple):
    """A changelog's rows known already, from a snapshot; what is at ``offset`` and after must be read on top."""

    rows: dict[bytes, bytes]
    offset: int


def read_changelogs(
    places: Iterable[Place], context: WorkerContext, begins: Mapping[Place, Begin] | None = None
) -> dict[Place, dict[bytes, bytes]]:
    """Every changelog's last value per key, read from its beginning or over ``begins``. Raises NotRestored."""
    begins = begins or {}
    found: dict[Place, dict[bytes, bytes]] = {place: begins[place].rows if place in begins else {} for place in places}

    def take(message: Message) -> None:
        entries = found[message.topic(), message.partition()]  # type: ignore[index]  # a fetched record has both
        key, value = message.key() or b"", message.value()
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value

    read_to_end({place: begins[place].offset if place in begins else 0 for place in found}, take, context)
    return found
