"""`pipeline reference`: instruments, accounts, venues, limits and crossing rules from a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.commands.grammar import Commands, command, settings_of
from pipeline.errors import EXIT_GOOD


def add(commands: Commands) -> None:
    """Add `pipeline reference` and its options to ``commands``."""
    parser = command(
        commands, "reference", "reference data from JSON lines", "reference load venues.jsonl",
        more="The file is checked whole before any of it is sent. Lines to begin with: "
        "python -m pipeline.demo.sample_reference SIMX > reference.jsonl",
        handler=_reference,
    )  # fmt: skip
    parser.add_argument("action", choices=["load"])
    parser.add_argument("file", type=Path, help="a record a line; fields and units: schemas/instruments.avsc, "
                        "accounts, venues, limits, crossing-rules")  # fmt: skip


def _reference(options: argparse.Namespace) -> int:
    from pipeline.commands.deployment import edge
    from pipeline.gateways import reference_file

    settings = settings_of(options)
    rows = edge(settings, "reference").write(reference_file.load(options.file))
    print(f"{rows} reference records written (a copy on each of {settings.partitions} partitions)")
    return EXIT_GOOD
