"""Before the first record: broker and registry answer, and the topics are as they must be."""

from __future__ import annotations

from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.errors import AccessRefused, PlatformError, WrongUse
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.wiring import Wiring, outputs_of
from pipeline.topics import Spread, changelog_of, topic_named


class ClusterFacts(NamedTuple):
    """What was found on the cluster."""

    partitions: int
    topics: frozenset[str]
    cluster_id: str
    schemas: str
    """Schema id and fingerprint of each contract, as JSON."""


def inspect_cluster(admin: AdminClient, wiring: Wiring, codec: Codec, context: WorkerContext) -> ClusterFacts:
    """Wait until broker and registry answer, then check the unit's topics.

    Raises WrongUse for missing topics and unequal partition counts, AccessRefused when broker or registry does not let
    us in, Stopping when the worker is stopped meanwhile.
    """
    while True:
        try:
            metadata = context.kafka.metadata(admin, 5)
            ours = [topic for stage in wiring.stages for topic in outputs_of(stage)]
            schemas = codec.schemas_as_json([*ours, *wiring.outside])
            break
        except AccessRefused:
            raise
        except PlatformError as error:
            context.say_now_and_then(f"{error} Waiting for it.")
        except KafkaException:
            context.say_now_and_then(
                f"Kafka does not answer at {context.kafka.bootstrap_servers}. Waiting for it; or correct the address."
            )
        context.rest(0.5)
    needed = {topic.name for topic in wiring.outside} | wiring.inner
    for stage in wiring.stages:
        needed.add(changelog_of(stage.name))
        needed |= {topic.name for topic in outputs_of(stage) if not topic.per_source}
    missing = sorted(needed - set(metadata.topics))
    if missing:
        raise WrongUse(f"topics are missing: {', '.join(missing)}. Create them: pipeline topics apply")
    counts = {
        name: len(metadata.topics[name].partitions)
        for name in sorted(needed)
        if name.startswith("changelog.") or topic_named(name).spread is not Spread.SINGLE
    }
    if len(set(counts.values())) != 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise WrongUse(f"all topics of a unit have the same number of partitions; found {found}")
    partitions = next(iter(counts.values()))
    return ClusterFacts(partitions, frozenset(metadata.topics), str(metadata.cluster_id or ""), schemas)
