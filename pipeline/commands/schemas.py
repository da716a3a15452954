"""`pipeline schemas`: the contracts of the topics: checked, registered, written from the code."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.commands.grammar import Commands, command, settings_of
from pipeline.errors import EXIT_GOOD

if TYPE_CHECKING:
    from pipeline.runtime.settings import Settings

Say = Callable[[str], None]


def add(commands: Commands) -> None:
    """Add `pipeline schemas` and its options to ``commands``."""
    parser = command(
        commands, "schemas", "the contracts: check, register, render",
        "schemas check", "schemas check --online", "schemas register",
        more="For a contributor, in a checkout: render writes schemas/ from the records in pipeline/domain, freeze "
        "keeps today's contracts as versions that every later one must be compatible with.",
        handler=_schemas,
    )  # fmt: skip
    parser.add_argument(
        "action", choices=["check", "register", "render", "freeze"],
        help="check: are they as the code says, and compatible with every earlier version? register: put them into the "
        "registry, and a copy on the topic `schemas`",
    )  # fmt: skip
    parser.add_argument("--online", action="store_true", help="check: ask the registry too")
    parser.add_argument("--unreleased", action="store_true", help="freeze: rewrite the newest version")


def _schemas(options: argparse.Namespace) -> int:
    from pipeline.runtime.contracts import checks, schemas
    from pipeline.runtime.contracts.registry import Registry

    match options.action:
        case "render":
            written = schemas.write()
            print("\n".join(written) if written else "every file is as it must be")
            return EXIT_GOOD
        case "freeze":
            kept = checks.freeze(released=not options.unreleased)
            print("\n".join(kept) if kept else "every contract's newest version is kept already")
            return EXIT_GOOD
        case "register":
            return register_schemas(settings_of(options))
        case _:
            if not options.online:
                return checks.check()
            settings = settings_of(options)
            return checks.check(Registry(settings.registry_url), settings.sources)


def register_schemas(settings: Settings, say: Say = print) -> int:
    """Register every contract; keep our own copy of it on the topic `schemas`."""
    from pipeline.commands.deployment import edge
    from pipeline.domain.audit import SchemaCopy
    from pipeline.runtime.contracts import checks, schemas
    from pipeline.runtime.contracts.registry import Registry

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
