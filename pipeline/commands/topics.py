"""`pipeline topics`: the topics of a cluster as the code says they must be."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.commands.grammar import Commands, command, settings_of

if TYPE_CHECKING:
    from pipeline.runtime.settings import Settings

Say = Callable[[str], None]


def add(commands: Commands) -> None:
    """Add `pipeline topics` and its options to ``commands``."""
    parser = command(
        commands, "topics", "topics as code: say or do what is missing; never deletes",
        "topics plan", "topics apply --source oms-a --source oms-b",
        handler=_topics,
    )  # fmt: skip
    parser.add_argument(
        "action", choices=["plan", "apply"],
        help="plan: say what apply would do, change nothing; apply: create what is missing, mend settings that drifted",
    )  # fmt: skip


def _topics(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    return plan_topics(settings) if options.action == "plan" else apply_topics(settings)


def plan_topics(settings: Settings, say: Say = print) -> int:
    """Say what `apply_topics` would do; 1 when something is refused."""
    from pipeline.runtime.kafka import topic_admin

    plan = topic_admin.plan(settings.bootstrap_servers, settings.partitions, settings.sources, _stage_names())
    say(plan.text())
    return plan.exit_code


def apply_topics(settings: Settings, say: Say = print) -> int:
    """Create what is missing, mend what drifted; never delete."""
    from pipeline.runtime.kafka import topic_admin

    return topic_admin.apply(settings.bootstrap_servers, settings.partitions, settings.sources, _stage_names(), say=say)


def _stage_names() -> list[str]:
    from pipeline import topology

    return [stage.name for stage in topology.STAGES]
