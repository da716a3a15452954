"""`pipeline tca`: transaction cost analysis, from the recorded topics."""

from __future__ import annotations

import argparse

from pipeline.commands.grammar import Commands, command, settings_of


def add(commands: Commands) -> None:
    """Add `pipeline tca` and its options to ``commands``."""
    parser = command(
        commands, "tca", "what it cost, by strategy and venue", "tca report",
        more="Costs are in basis points, positive when they hurt. Exit code 1: no parent is over yet.",
        handler=_report,
    )  # fmt: skip
    parser.add_argument("action", choices=["report"])


def _report(options: argparse.Namespace) -> int:
    from pipeline.runtime.auditing import lineage

    return lineage.tca_report(settings_of(options), print)
