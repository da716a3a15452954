"""Topics as code: `pipeline topics plan` says where a cluster differs from ``pipeline.topics``, `apply` mends it.

It creates and sets; it never deletes, never changes a number of partitions (every key would move, and with it the
meaning of the order already written), and leaves others' topics alone.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not in the stubs
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from pipeline.errors import EXIT_FOUND, EXIT_GOOD, PipelineError
from pipeline.runtime.contracts.checks import topic_names
from pipeline.runtime.kafka.clients import Kafka
from pipeline.topics import DEAD_LETTERS, JOURNAL, TOPICS, Keep, Spread, Topic, changelog_of

FOR_EVER: Final = -1
REPLICATION_MAX: Final = 3

MESSAGE_BYTES_MAX: Final = 1_048_588
"""Largest batch on a topic; Kafka's own default, said aloud because the codec's bound must lie below it."""
LARGE_BYTES_MAX: Final = 4_194_304
"""The same on changelogs (entries of state are bounded by the stages) and `dead-letters` (each holds a whole record of
another topic). A producer that writes them needs `message.max.bytes` as large."""

_WHOLE: Final = {"cleanup.policy": "delete", "retention.bytes": "-1", "message.timestamp.type": "LogAppendTime"}
_COMPACTED: Final = {
    "cleanup.policy": "compact",
    "message.timestamp.type": "LogAppendTime",
    # The active segment is never compacted: small ones that are closed often keep what a restore reads near to what
    # is alive. Tombstones stay an hour, longer than any restore takes.
    "segment.bytes": "33554432",
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": "1800000",
    "delete.retention.ms": "3600000",
}

Say = Callable[[str], object]


@dataclass(frozen=True)
class Wanted:
    """A topic as it is to be."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]

    @property
    def shape(self) -> str:
        """Everything but the name, in words."""
        settings = ", ".join(f"{key}={value}" for key, value in sorted(self.config.items()))
        return f"{_count(self.partitions, 'partition')}, {_count(self.replication, 'replica')}, {settings}"


@dataclass(frozen=True)
class Drift:
    """A setting that is not as it is to be."""

    topic: str
    setting: str
    found: str
    wanted: str


@dataclass(frozen=True)
class Plan:
    """What is to be done, what is refused, and what is only said."""

    create: tuple[Wanted, ...] = ()
    change: tuple[Drift, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    as_wanted: int = 0
    bootstrap_servers: str = field(default="", compare=False)

    @property
    def exit_code(self) -> int:
        """1 when something is refused, else 0."""
        return EXIT_FOUND if self.refused else EXIT_GOOD

    def text(self) -> str:
        """The plan as a person reads it."""
        lines = [f"topics at {self.bootstrap_servers}: {self.as_wanted} as they are to be"]
        alike: dict[str, list[str]] = {}
        for topic in self.create:
            alike.setdefault(topic.shape, []).append(topic.name)
        for shape, names in alike.items():
            lines.append(f"  create  {shape}:")
            indent = " " * 10
            lines += textwrap.wrap(", ".join(names), 120, initial_indent=indent, subsequent_indent=indent)
        lines += [f"  change  {one.topic}: {one.setting} from {one.found} to {one.wanted}" for one in self.change]
        lines += [f"  note    {note}" for note in self.notes]
        lines += [f"  REFUSED {refused}" for refused in self.refused]
        if self.refused:
            lines.append("nothing will be applied while anything is refused")
        elif not self.create and not self.change:
            lines.append("nothing to do")
        return "\n".join(lines)


def wanted(
    partitions: int,
    sources: Iterable[str],
    stages: Iterable[str],
    replication: int,
    retention_ms: Mapping[str, int] | None = None,
) -> list[Wanted]:
    """Every topic as the code wants it. ``retention_ms`` by topic; what it does not name is kept for ever."""
    retention_ms = retention_ms or {}
    common = {"min.insync.replicas": "2" if replication >= 3 else "1"}
    topics = []
    for name, topic in topic_names(sources):
        config = (
            _COMPACTED if topic.keep is Keep.COMPACTED else _WHOLE | {"retention.ms": str(_kept(topic, retention_ms))}
        )
        bytes_max = LARGE_BYTES_MAX if topic is DEAD_LETTERS else MESSAGE_BYTES_MAX
        count = 1 if topic.spread is Spread.SINGLE else partitions
        topics.append(Wanted(name, count, replication, config | common | {"max.message.bytes": str(bytes_max)}))
    changelog = _COMPACTED | common | {"max.message.bytes": str(LARGE_BYTES_MAX)}
    topics += [Wanted(changelog_of(stage), partitions, replication, changelog) for stage in stages]
    return topics


def plan(
    bootstrap_servers: str,
    partitions: int,
    sources: Iterable[str] = (),
    stages: Iterable[str] = (),
    *,
    replication: int | None = None,
    retention_ms: Mapping[str, int] | None = None,
    timeout_s: float = 15.0,
) -> Plan:
    """Compare the cluster with the code; changes nothing.

    ``replication`` None means three copies, or as many as there are brokers. Raises Unreachable, AccessRefused.
    """
    admin = _Admin(bootstrap_servers, timeout_s)
    found, brokers = admin.topics()
    copies = min(REPLICATION_MAX, brokers) if replication is None else replication
    topics = wanted(partitions, sources, stages, copies, retention_ms)
    configs = admin.configs([topic.name for topic in topics if topic.name in found])

    create, change, refused, notes, as_wanted = [], [], _retention_refusals(retention_ms or {}), [], 0
    if partitions < 1:
        refused.append(f"{partitions} partitions: there is at least one")
    if copies > brokers:
        refused.append(f"{_count(copies, 'replica')} on {_count(brokers, 'broker')}: start more, or ask for fewer")
    otherwise: dict[tuple[int, int], list[str]] = {}
    for topic in topics:
        if topic.name not in found:
            create.append(topic)
            continue
        has_partitions, has_copies = found[topic.name]
        if has_partitions != topic.partitions:
            otherwise.setdefault((has_partitions, topic.partitions), []).append(topic.name)
        if has_copies != topic.replication:
            copied = f"{_count(has_copies, 'replica')}, not {topic.replication}"
            notes.append(f"{topic.name}: {copied}; move them with Kafka's own tool")
        config = configs[topic.name]
        drifts = [
            Drift(topic.name, setting, config.get(setting, "unset"), value)
            for setting, value in sorted(topic.config.items())
            if config.get(setting) != value
        ]
        change += drifts
        as_wanted += not drifts and has_partitions == topic.partitions
    refused += [
        f"{_count(has, 'partition')}, not {due}: {', '.join(names)}. Keys would move to other partitions, and the "
        f"order already written would lose its meaning: use the {has} there are, or a new cluster"
        for (has, due), names in otherwise.items()
    ]
    return Plan(tuple(create), tuple(change), tuple(refused), tuple(notes), as_wanted, bootstrap_servers)


def apply(
    bootstrap_servers: str,
    partitions: int,
    sources: Iterable[str] = (),
    stages: Iterable[str] = (),
    *,
    replication: int | None = None,
    retention_ms: Mapping[str, int] | None = None,
    timeout_s: float = 30.0,
    say: Say = print,
) -> int:
    """Plan, say it, do it, wait until every broker's metadata shows it; 0, or 1 when anything is refused.

    Running it again does what is left to do.
    Raises Unreachable, AccessRefused, PipelineError for what the cluster will not do.
    """
    made = plan(
        bootstrap_servers, partitions, sources, stages, replication=replication, retention_ms=retention_ms,
        timeout_s=timeout_s,
    )  # fmt: skip
    say(made.text())
    if made.refused:
        return made.exit_code
    admin = _Admin(bootstrap_servers, timeout_s)
    admin.create(made.create)
    admin.change(made.change)
    if made.create or made.change:
        say(f"done: {len(made.create)} created, {len(made.change)} settings changed")
    return EXIT_GOOD


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _kept(topic: Topic, retention_ms: Mapping[str, int]) -> int:
    return retention_ms.get(topic.name, FOR_EVER)


def _retention_refusals(retention_ms: Mapping[str, int]) -> list[str]:
    """The journal says what was read: what it speaks of must be there as long as it is."""
    refused = [
        f"{name}: there is no such topic to keep" for name in retention_ms if name not in {t.name for t in TOPICS}
    ]
    journal = _kept(JOURNAL, retention_ms)
    journal_kept = "for ever" if journal == FOR_EVER else f"{journal} ms"
    for topic in TOPICS:
        kept = _kept(topic, retention_ms)
        if kept != FOR_EVER and (journal == FOR_EVER or kept < journal):
            refused.append(
                f"{topic.name} would be kept {kept} ms, the journal {journal_kept}: "
                f"what the journal speaks of could not be verified"
            )
    return refused


class _Admin:
    """Kafka's admin client, waiting for its answers."""

    def __init__(self, bootstrap_servers: str, timeout_s: float) -> None:
        self._kafka = Kafka(bootstrap_servers)
        self._client = self._kafka.admin()
        self._bootstrap_servers = bootstrap_servers
        self._timeout_s = timeout_s

    def topics(self) -> tuple[dict[str, tuple[int, int]], int]:
        """Partitions and copies of every topic, and the number of brokers."""
        try:
            metadata = self._kafka.metadata(self._client, self._timeout_s)
        except KafkaException as error:
            raise self._kafka.unreachable() from error
        topics = {
            name: (len(topic.partitions), min((len(p.replicas) for p in topic.partitions.values()), default=0))
            for name, topic in metadata.topics.items()
        }
        return topics, len(metadata.brokers)

    def configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        asked = self._client.describe_configs(
            [ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=self._timeout_s
        )
        return {
            resource.name: {key: str(entry.value) for key, entry in self._await("reading settings", future).items()}
            for resource, future in asked.items()
        }

    def create(self, topics: Iterable[Wanted]) -> None:
        new = [NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.config)) for topic in topics]
        if not new:
            return
        for name, future in self._client.create_topics(new, request_timeout=self._timeout_s).items():
            self._await(f"creating {name}", future, KafkaError.TOPIC_ALREADY_EXISTS)
        self._until_seen("created", lambda: [topic.topic for topic in new if topic.topic not in self.topics()[0]])

    def change(self, drifts: Iterable[Drift]) -> None:
        by_topic: dict[str, list[Drift]] = {}
        for drift in drifts:
            by_topic.setdefault(drift.topic, []).append(drift)
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(one.setting, one.wanted, incremental_operation=AlterConfigOpType.SET) for one in some
                ],
            )
            for name, some in by_topic.items()
        ]
        if resources:
            changed = self._client.incremental_alter_configs(resources, request_timeout=self._timeout_s)
            for resource, future in changed.items():
                self._await(f"changing {resource.name}", future)
            self._until_seen("changed", lambda: self._not_yet(by_topic))

    def _not_yet(self, by_topic: Mapping[str, list[Drift]]) -> list[str]:
        found = self.configs(list(by_topic))
        return [name for name, some in by_topic.items() if any(found[name][one.setting] != one.wanted for one in some)]

    def _until_seen(self, done: str, missing: Callable[[], list[str]]) -> None:
        """A broker's own view follows the controller's a moment later; whoever asks next must see what was done."""
        deadline = time.monotonic() + self._timeout_s
        while names := missing():
            if time.monotonic() > deadline:
                raise PipelineError(f"{done}, but not seen after {self._timeout_s:.0f} s: {', '.join(names)}")
            time.sleep(0.1)

    def _await(self, doing: str, future: Future[Any], good: int | None = None) -> Any:
        try:
            return future.result(self._timeout_s)
        except KafkaException as error:
            kafka_error = error.args[0]
            if kafka_error.code() == good:
                return None
            raise PipelineError(f"{doing} at {self._bootstrap_servers} failed: {kafka_error.str()}") from error
