"""`pipeline topology`: the map of stages, topics and units."""

from __future__ import annotations

import argparse

from pipeline.commands.grammar import Commands, command
from pipeline.errors import EXIT_GOOD


def add(commands: Commands) -> None:
    """Add `pipeline topology` and its options to ``commands``."""
    parser = command(
        commands, "topology", "print the map: stages, topics, units", "topology", "topology --mermaid",
        handler=_topology, connects=False,
    )  # fmt: skip
    parser.add_argument("--mermaid", action="store_true", help="as a Mermaid flowchart")


def _topology(options: argparse.Namespace) -> int:
    from pipeline import topology

    print(topology.as_mermaid() if options.mermaid else topology.as_text())
    return EXIT_GOOD
