"""`pipeline local`: a real broker and registry on this machine, for several commands to use."""

from __future__ import annotations

import argparse

from pipeline.commands.grammar import Commands, command


def add(commands: Commands) -> None:
    """Add `pipeline local` and its options to ``commands``."""
    parser = command(
        commands, "local", "a real broker and registry on this machine", "local up", "local status",
        "local down --wipe",
        handler=_local, connects=False,
    )  # fmt: skip
    parser.add_argument(
        "action", choices=["up", "down", "status"],
        help="up: start both, they outlive the command; down: end them, their data stay; status: do they answer?",
    )  # fmt: skip
    parser.add_argument("--kafka-port", type=int, default=0, metavar="PORT",
                        help="up; default: any free one, kept from then on")  # fmt: skip
    parser.add_argument("--registry-port", type=int, default=0, metavar="PORT", help="up; default: likewise")
    parser.add_argument("--wipe", action="store_true", help="down: remove its topics and schemas too")


def _local(options: argparse.Namespace) -> int:
    from pipeline.runtime.embedded import local

    match options.action:
        case "up":
            return local.up(kafka_port=options.kafka_port, registry_port=options.registry_port)
        case "down":
            return local.down(wipe=options.wipe)
        case _:
            return local.status()
