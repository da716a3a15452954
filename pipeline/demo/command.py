"""The options of `pipeline demo`; run.py does the work."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.commands.grammar import Commands, command, takes_parameters


def add(commands: Commands) -> None:
    """Add `pipeline demo` and its options to ``commands``."""
    parser = command(
        commands, "demo", "the whole life of thousands of orders on a real broker, audited at the end",
        "demo", "demo --save reports/today", "demo --kill engine@30",
        "demo --parameters today.toml",
        handler=_demo, connects=False,
    )  # fmt: skip
    parser.add_argument("--orders", type=int, default=5_200, metavar="COUNT",
                        help="how many, before repeats, cancels and bad ones (default %(default)s)")  # fmt: skip
    parser.add_argument("--seconds", type=int, default=600, help="market time (default %(default)s)")
    parser.add_argument("--rate", type=int, default=10, metavar="TIMES",
                        help="how many times as fast as real time (default %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=2012, help="another number, other orders (default %(default)s)")
    parser.add_argument(
        "--max-backlog",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="after an outage longer than this nothing is sent until the desk says release-stale (default 60)",
    )
    takes_parameters(parser)
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep the report in this folder")
    parser.add_argument("--unit-per-stage", action="store_true", help="a process for each stage instead of each unit")
    parser.add_argument(
        "--kill", action="append", default=[], metavar="UNIT@SECOND",
        help="kill -9 a unit this many seconds after the start (wall time); may be repeated",
    )  # fmt: skip


def _demo(options: argparse.Namespace) -> int:
    from pipeline.demo.run import demo

    return demo(
        orders=options.orders,
        seconds=options.seconds,
        rate=options.rate,
        seed=options.seed,
        max_backlog_s=options.max_backlog,
        save=options.save,
        kill=options.kill,
        unit_per_stage=options.unit_per_stage,
        parameters=options.parameters,
    )
