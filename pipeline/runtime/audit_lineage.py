"""`pipeline audit lineage ID` and `explain ID` on a cluster: the order path read once, the tree around an id said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from pipeline.audit.lineage import History
from pipeline.runtime.codec import Codec, SchemaSource, Undecodable
from pipeline.runtime.errors import EXIT_FOUND, EXIT_GOOD, PipelineError, Unreachable
from pipeline.runtime.patience import Patience
from pipeline.runtime.platform import KAFKA_VARIABLE, kafka_answers
from pipeline.runtime.registry import Registry, RegistryIds
from pipeline.runtime.restore import NotRestored, read_to_end
from pipeline.runtime.settings import Settings
from pipeline.topics import (
    ALLOCATIONS,
    CHILD_ORDERS,
    CROSSES,
    FILLS,
    LINEAGE,
    ORDER_EVENTS,
    ORDERS,
    PARENTS,
    SLICES,
)

Say = Callable[[str], None]
ORDER_PATH: Final = (ORDERS, ORDER_EVENTS, LINEAGE, PARENTS, CROSSES, SLICES, CHILD_ORDERS, FILLS, ALLOCATIONS)


def lineage(settings: Settings, wanted: str, say: Say = print, schemas: SchemaSource | None = None) -> int:
    """Say the tree around an id; returns the exit code: 1 for an id that no record has, 3 when Kafka is away."""
    return _told(settings, wanted, say, schemas, History.tree)


def explain(settings: Settings, child_id: str, say: Say = print, schemas: SchemaSource | None = None) -> int:
    """Say why a child was sent (by its id, or its wire id); returns the exit code as :func:`lineage` does."""
    return _told(settings, child_id, say, schemas, History.explain)


def history_of(settings: Settings, schemas: SchemaSource | None = None, say: Say = print) -> History:
    """The order path of a cluster, committed records only. Raises Unreachable, NotRestored.

    It is kept in memory: some hundred bytes a record of the topics in ORDER_PATH.
    """
    bootstrap = settings.bootstrap_servers
    if not kafka_answers(bootstrap, 15):
        raise Unreachable("Kafka", bootstrap, f"Start it, or correct {KAFKA_VARIABLE}.")
    codec = Codec(schemas or RegistryIds(Registry(settings.registry_url)))
    there = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=15).topics
    history = History()

    def take(message: Message) -> None:
        value = message.value()
        try:
            history.add(codec.decode(str(message.topic()), None if value is None else bytes(value)))
        except Undecodable as error:
            say(f"{message.topic()}/{message.partition()}/{message.offset()} cannot be read and is left out: {error}")

    for topic in ORDER_PATH:
        if topic.name in there:
            starts = {(topic.name, partition): 0 for partition in there[topic.name].partitions}
            read_to_end(bootstrap, starts, take, Patience("audit", say))
    return history


def _told(
    settings: Settings,
    wanted: str,
    say: Say,
    schemas: SchemaSource | None,
    ask: Callable[[History, str], list[str] | None],
) -> int:
    try:
        lines = ask(history_of(settings, schemas, say), wanted)
    except PipelineError as error:
        say(str(error))
        return error.exit_code
    except NotRestored as error:
        say(f"Kafka at {settings.bootstrap_servers} went away while the topics were read ({error}). Try again.")
        return Unreachable.exit_code
    if lines is None:
        say(f"no record has the id {wanted!r}. It may be of an order (order_id or ClOrdID), parent, child, fill, "
            f"execution (ExecID), allocation or cross; `explain` takes a child's.")  # fmt: skip
        return EXIT_FOUND
    for line in lines:
        say(line)
    return EXIT_GOOD
