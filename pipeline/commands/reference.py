"""`pipeline reference`: instruments, accounts, venues, limits and crossing rules from a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.commands.grammar import Commands, command, settings_of
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, WrongUse


def add(commands: Commands) -> None:
    """Add `pipeline reference` and its options to ``commands``."""
    parser = command(
        commands, "reference", "reference data from JSON lines", "reference check venues.jsonl",
        "reference load venues.jsonl",
        "reference sessions instruments.jsonl --trade-date 20121123 --calendar XNYS",
        more="A file is checked whole before any of it is sent, and everything that is wrong in it is told at once. "
        "Lines to begin with: python -m pipeline.demo.sample_reference SIMX > reference.jsonl",
        handler=_reference,
    )  # fmt: skip
    parser.add_argument(
        "action", choices=["check", "load", "sessions"],
        help="check: say all that is wrong, send nothing (exit code 1 when something is); load: check and send; "
        "sessions: print the file's instruments as they are on a trading date: opening, close (half days too) and "
        "settlement dates from the exchange's calendar (needs the extra `calendars`)",
    )  # fmt: skip
    parser.add_argument("file", type=Path, help="a record a line; fields and units: schemas/instruments.avsc, "
                        "accounts, venues, limits, crossing-rules")  # fmt: skip
    parser.add_argument("--trade-date", type=int, metavar="YYYYMMDD", help="sessions: which day")
    parser.add_argument("--calendar", metavar="MIC", help="sessions: the exchange (XNYS, XLON, …) of the instruments "
                        "that name none themselves")  # fmt: skip


def _reference(options: argparse.Namespace) -> int:
    match options.action:
        case "check":
            return _check(options.file)
        case "load":
            return _load(options)
        case _:
            return _sessions(options.file, options.trade_date, options.calendar)


def _check(path: Path) -> int:
    from pipeline.gateways import reference_file

    examined = reference_file.check(path)
    if examined.faults:
        print(f"{path}: {reference_file.as_text(examined.faults)}")
        return EXIT_FOUND
    print(f"{path}: {len(examined.records)} records, all of them as they must be")
    return EXIT_GOOD


def _load(options: argparse.Namespace) -> int:
    from pipeline.commands.deployment import edge
    from pipeline.gateways import reference_file

    settings = settings_of(options)
    rows = edge(settings, "reference").write(reference_file.load(options.file))
    print(f"{rows} reference records written (a copy on each of {settings.partitions} partitions)")
    return EXIT_GOOD


def _sessions(path: Path, trade_date: int | None, calendar: str | None) -> int:
    from pipeline.gateways import reference_file

    if trade_date is None:
        raise WrongUse("which day? pipeline reference sessions FILE --trade-date YYYYMMDD")
    for line in reference_file.day_lines(path, trade_date, calendar):
        print(line)
    return EXIT_GOOD
