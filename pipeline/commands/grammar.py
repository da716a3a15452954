"""What the commands share: a parser that says what is wrong in one line, help with examples, where the cluster is.

A command is a module with ``add(commands)``: it describes the command's words and names the function that does it.
These functions import what they need when they are called, so that `pipeline --help` answers at once.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from pipeline.errors import EXIT_WRONG_USE

if TYPE_CHECKING:
    from pipeline.runtime.settings import Settings

_WIDTH: Final = 100

Handler: TypeAlias = Callable[[argparse.Namespace], int]
"""Does a command with the options given to it; returns the exit code. May raise PipelineError."""


class Parser(argparse.ArgumentParser):
    """Ends with exit code 2 and one line that says what was wrong, after the usage."""

    def error(self, message: str) -> NoReturn:
        """Print usage and ``message`` to stderr, and exit with code 2."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_WRONG_USE, f"{self.prog}: {message}\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where commands, or the actions of a command, are added."""


def command(
    commands: Commands,
    name: str,
    text: str,
    *examples: str,
    more: str = "",
    handler: Handler | None = None,
    connects: bool = True,
) -> Parser:
    """Add a command, or an action of one. ``text`` stands in the list of commands, ``more`` only in its own help.

    ``examples`` are what is typed after `pipeline`. One that ``connects`` takes the options that say where the cluster
    is. Without a ``handler`` it must have actions of its own.
    """
    added = commands.add_parser(
        name,
        help=text,
        description=textwrap.fill(f"{text}. {more}" if more else text, _WIDTH),
        epilog="examples:\n" + "\n".join(f"  pipeline {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if handler is not None:
        added.set_defaults(handler=handler)
    if connects:
        group = added.add_argument_group("where (default: the environment, else what `pipeline local up` started)")
        group.add_argument("--bootstrap-servers", metavar="HOST:PORT", help="Kafka; default: KAFKA_BOOTSTRAP_SERVERS")
        group.add_argument("--registry-url", metavar="URL", help="the schema registry; default: SCHEMA_REGISTRY_URL")
        group.add_argument(
            "--partitions",
            type=int,
            metavar="P",
            help="of every topic that a stage reads; default: PIPELINE_PARTITIONS, else 2",
        )
        group.add_argument(
            "--source", action="append", metavar="NAME",
            help="an upstream system, may be repeated; default: PIPELINE_SOURCES",
        )  # fmt: skip
    return added


def settings_of(options: argparse.Namespace) -> Settings:
    """The deployment's settings, from a command's options, then the environment. Raises WrongUse."""
    from pipeline.runtime.settings import Settings

    return Settings.read(
        bootstrap_servers=options.bootstrap_servers,
        registry_url=options.registry_url,
        partitions=options.partitions,
        sources=tuple(options.source or ()),
        parameters=getattr(options, "parameters", None),
    )


def takes_parameters(parser: Parser) -> None:
    """The option for a file of parameters: of every command that runs, or recomputes, what stages decide."""
    parser.add_argument(
        "--parameters",
        type=Path,
        metavar="FILE",
        help="TOML, see `pipeline parameters show`; default: PIPELINE_PARAMETERS, else every parameter's default",
    )
