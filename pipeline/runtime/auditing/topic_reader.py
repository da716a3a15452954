"""Reads whole topics of a cluster, decoded, once from beginning to end: for reports, never for stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from confluent_kafka import Message

from pipeline.domain.record import Record
from pipeline.errors import Unreachable
from pipeline.runtime.contracts.codec import Codec, SchemaSource, Undecodable
from pipeline.runtime.contracts.registry import Registry, RegistryIds
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.settings import Settings
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.restore import NotRestored, read_to_end
from pipeline.topics import Topic


def read_records(
    settings: Settings,
    topics: Iterable[Topic],
    take: Callable[[Record], None],
    say: Callable[[str], None] = print,
    schemas: SchemaSource | None = None,
) -> None:
    """Call ``take`` with every committed record of the topics, topic by topic, each partition in its order.

    Topics that do not exist are skipped; records that cannot be decoded are reported with ``say`` and left out. Raises
    Unreachable, AccessRefused.
    """
    bootstrap = settings.bootstrap_servers
    kafka = Kafka(bootstrap)
    there = kafka.require_answer(15).topics
    codec = Codec(schemas or RegistryIds(Registry(settings.registry_url)))

    def decoded(message: Message) -> None:
        value = message.value()
        try:
            take(codec.decode(str(message.topic()), None if value is None else bytes(value)))
        except Undecodable as error:
            say(f"{message.topic()}/{message.partition()}/{message.offset()} cannot be read and is left out: {error}")

    for topic in topics:
        if topic.name in there:
            starts = {(topic.name, partition): 0 for partition in there[topic.name].partitions}
            try:
                read_to_end(starts, decoded, WorkerContext("reading", say, kafka))
            except NotRestored as error:
                what = f"It went away while {topic.name} was read ({error}). Try again."
                raise Unreachable("Kafka", bootstrap, what) from error
