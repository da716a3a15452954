"""`pipeline health`: one question to a running deployment, answered by the exit code; for containers and scripts."""

from __future__ import annotations

import argparse

from pipeline.commands.grammar import Commands, Parser, command, settings_of


def add(commands: Commands) -> None:
    """Add `pipeline health` and its options to ``commands``."""
    health = command(
        commands, "health", "ask whether a worker is ready, a unit a member, a topic written to, the platform there",
        "health ready engine-0", "health unit engine", "health topic clock 30", "health platform",
        more="Exit code 0: yes; 1: no, and the reason; 2: wrong use; 3: broker or registry not reachable.",
        connects=False,
    )  # fmt: skip
    checks = health.add_subparsers(title="checks", metavar="CHECK", dest="check", required=True, parser_class=Parser)
    ready = command(
        checks, "ready", "the worker here, in this slot or with its metrics on this port, is restored and assigned",
        "health ready engine-0", "health ready 9464",
        handler=_ready, connects=False,
    )  # fmt: skip
    ready.add_argument("where", metavar="SLOT|PORT", help="a slot as `run` names it, or the port of --metrics-port")
    unit = command(
        checks, "unit", "a worker on this machine is a member of this unit, and its group is settled",
        "health unit engine",
        handler=_unit,
    )  # fmt: skip
    unit.add_argument("unit", help="as `pipeline run` names it")
    topic = command(
        checks, "topic", "the newest record of a topic is not older than this", "health topic clock 30",
        handler=_topic,
    )  # fmt: skip
    topic.add_argument("topic", help="its name on the cluster")
    topic.add_argument("seconds", type=float, help="how old it may be")
    command(checks, "platform", "broker and registry answer", "health platform", handler=_platform)


def _ready(options: argparse.Namespace) -> int:
    from pipeline.runtime import health

    return health.answer(*health.worker_is_ready(options.where))


def _unit(options: argparse.Namespace) -> int:
    from pipeline.runtime import health

    return health.check_unit(settings_of(options).bootstrap_servers, options.unit)


def _topic(options: argparse.Namespace) -> int:
    from pipeline.runtime import health

    return health.check_topic(settings_of(options).bootstrap_servers, options.topic, options.seconds)


def _platform(options: argparse.Namespace) -> int:
    from pipeline.runtime import health

    settings = settings_of(options)
    return health.check_platform(settings.bootstrap_servers, settings.registry_url)
