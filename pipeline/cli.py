"""The command line: which commands there are, and how one is run. Each is in a file of its own in `commands/`.

Exit codes: 0 good, 1 the check found something, 2 wrong use, 3 a component is not reachable.
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from pipeline import __version__
from pipeline.commands import (
    audit,
    controls,
    health,
    local,
    market,
    orders,
    parameters,
    reference,
    run,
    schemas,
    tca,
    topics,
    topology,
)
from pipeline.commands.grammar import Commands, Handler, Parser
from pipeline.demo import command as demo
from pipeline.errors import EXIT_GOOD, EXIT_UNREACHABLE, PipelineError

COMMANDS: Final[tuple[Callable[[Commands], None], ...]] = (
    # what there is, and what must stand before anything runs
    topology.add,
    local.add,
    topics.add,
    schemas.add,
    reference.add,
    parameters.add,
    # what runs, and what goes in from outside
    run.add,
    market.add,
    orders.add,
    controls.add,
    # what is asked of it
    health.add,
    audit.add,
    tca.add,
    demo.add,
)
"""In the order in which `pipeline --help` shows them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    # A shell starts what it puts into the background with Ctrl-C ignored; whoever sends SIGINT means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Lines appear as they are written, also when the output is a log or a pipe.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    options = parser().parse_args(arguments)
    try:
        handler: Handler = options.handler
        return handler(options)
    except PipelineError as error:
        print(f"pipeline: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return EXIT_GOOD
    except KeyboardInterrupt:
        print("pipeline: stopped", file=sys.stderr)
        return 130


def parser() -> Parser:
    """The whole grammar."""
    whole = Parser(
        prog="pipeline",
        description="An open execution pipeline on Kafka: many small orders in, exact allocations out.",
        epilog="exit codes: 0 good, 1 the check found something, 2 wrong use, 3 a component is not reachable\n"
        "examples:\n"
        "  pipeline demo                          the whole life of thousands of orders, audited at the end\n"
        "  pipeline local up                      a broker and a registry on this machine\n"
        "  pipeline topics apply && pipeline schemas register\n"
        "  pipeline run --all                     every unit, a process each\n"
        "  pipeline run --help                    a command's words, and examples of it",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"pipeline {__version__}", help="print the version")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for add in COMMANDS:
        add(commands)
    return whole


def process() -> NoReturn:
    """The process `pipeline`: runs one command and ends with its exit code."""
    code = main()
    if code != EXIT_UNREACHABLE:
        sys.exit(code)
    # A worker that was refused was once seen to end with SIGSEGV instead of 3, which could not be provoked again.
    # Supposed: its client goes on trying in threads of its own, perhaps in a TLS handshake, while OpenSSL cleans up at
    # exit. So what Python registered for the exit is run, and what the C library would do is not.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
