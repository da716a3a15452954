"""What must stand before anything runs: topics, schemas, reference data."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline import topology
from pipeline.domain.audit import SchemaCopy
from pipeline.domain.record import Owned
from pipeline.errors import EXIT_GOOD
from pipeline.gateways import reference_file
from pipeline.runtime.contracts import checks, schemas
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.contracts.registry import Registry, RegistryIds
from pipeline.runtime.kafka import topic_admin
from pipeline.runtime.kafka.edge_writer import EdgeWriter, KafkaSink
from pipeline.runtime.settings import Settings

Say = Callable[[str], None]


def codec_for(settings: Settings) -> Codec:
    """A codec whose ids come from the deployment's registry."""
    return Codec(RegistryIds(Registry(settings.registry_url)))


def edge(settings: Settings, name: str, say: Say = print, stop: Callable[[], bool] = lambda: False) -> EdgeWriter:
    """A writer for an edge's run: its name is new each time, so its numbers begin at 1."""
    run = uuid.uuid4().hex[:12]
    sink = KafkaSink(settings.bootstrap_servers, f"{name}-{run}", say, stop)
    return EdgeWriter(name, run, settings.partitions, codec_for(settings), sink)


def topics_plan(settings: Settings, say: Say = print) -> int:
    """Say what `apply` would do; 1 when something is refused."""
    plan = topic_admin.plan(settings.bootstrap_servers, settings.partitions, settings.sources, _stage_names())
    say(plan.text())
    return plan.exit_code


def topics_apply(settings: Settings, say: Say = print) -> int:
    """Create what is missing, mend what drifted; never delete."""
    return topic_admin.apply(settings.bootstrap_servers, settings.partitions, settings.sources, _stage_names(), say=say)


def schemas_register(settings: Settings, say: Say = print) -> int:
    """Register every contract; keep our own copy of it on the topic `schemas`."""
    registry = Registry(settings.registry_url)
    ids = checks.register(registry, settings.sources, say)
    copies = []
    for name, topic in checks.topic_names(settings.sources):
        text = schemas.contract_text(topic.record)
        subject = schemas.subject_of(name)
        version = next((v.version for v in registry.versions(subject) if v.schema_id == ids[name]), 1)
        copies.append(
            SchemaCopy(
                subject=subject,
                schema_id=ids[name],
                version=version,
                fingerprint=schemas.fingerprint_of(text),
                text=text,
            )
        )
    edge(settings, "schemas", say).write(copies)
    return EXIT_GOOD


def reference_load(settings: Settings, path: Path, say: Say = print) -> int:
    """Reference data from a file of JSON lines, checked whole before any of it is sent."""
    return write_reference(settings, reference_file.load(path), say)


def write_reference(settings: Settings, records: Iterable[Owned], say: Say = print) -> int:
    """Publish reference records to every partition."""
    rows = edge(settings, "reference", say).write(records)
    say(f"{rows} reference records written (a copy on each of {settings.partitions} partitions)")
    return EXIT_GOOD


def _stage_names() -> list[str]:
    return [stage.name for stage in topology.STAGES]
