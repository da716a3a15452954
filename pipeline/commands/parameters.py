"""`pipeline parameters`: what every parameter means and may be, whether a file of them is right, where two differ."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.commands.grammar import Commands, Parser, command, takes_parameters
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, WrongUse


def add(commands: Commands) -> None:
    """Add `pipeline parameters` and its actions to ``commands``."""
    parameters = command(
        commands, "parameters", "the numbers that shape decisions: show them, check a file of them, compare two",
        "parameters show", "parameters check today.toml", "parameters diff yesterday.toml today.toml",
        connects=False,
        more="They stand in one TOML file (pipeline run --parameters FILE), a section for each stage; what is not in "
        "it has its default. Every process reads it at its start, and the journal's epoch records hold all of it.",
    )  # fmt: skip
    actions = parameters.add_subparsers(
        title="actions", metavar="ACTION", dest="action", required=True, parser_class=Parser
    )
    show = command(
        actions, "show", "print every parameter, with meaning, unit, range and default, as a complete file",
        "parameters show", "parameters show --parameters today.toml", "parameters show --defaults",
        handler=_show, connects=False,
    )  # fmt: skip
    takes_parameters(show)
    show.add_argument("--defaults", action="store_true", help="the defaults, whatever PIPELINE_PARAMETERS says")
    check = command(
        actions, "check", "say whether a file can be used, or everything that is wrong in it",
        "parameters check today.toml",
        more="Exit code 0: it can; 2: it cannot, each error with its line, field, value and what is allowed.",
        handler=_check, connects=False,
    )  # fmt: skip
    check.add_argument("file", type=Path, help="TOML, as `pipeline parameters show` prints it")
    diff = command(
        actions, "diff", "say where two files differ; one alone is compared with the defaults",
        "parameters diff today.toml", "parameters diff yesterday.toml today.toml",
        more="Exit code 0: nowhere; 1: they differ; 2: one of them cannot be used.",
        handler=_diff, connects=False,
    )  # fmt: skip
    diff.add_argument("file", type=Path, help="TOML, as `pipeline parameters show` prints it")
    diff.add_argument("other", type=Path, nargs="?", help="what it is compared with; left out: the defaults are")


def _show(options: argparse.Namespace) -> int:
    from pipeline.commands.deployment import parameters_of
    from pipeline.parameters import as_toml
    from pipeline.runtime.settings import parameters_file

    if options.defaults and options.parameters is not None:
        raise WrongUse("--defaults shows no file's parameters: leave it out, or --parameters")
    print(as_toml(parameters_of(None if options.defaults else parameters_file(options.parameters))), end="")
    return EXIT_GOOD


def _check(options: argparse.Namespace) -> int:
    from pipeline.commands.deployment import parameters_of
    from pipeline.parameters import config_of, differences

    found, defaults = parameters_of(options.file), parameters_of(None)
    changed = len(differences(defaults, found))
    print(f"{options.file} is good: {changed} of {len(config_of(found))} parameters are not the defaults.")
    return EXIT_GOOD


def _diff(options: argparse.Namespace) -> int:
    from pipeline.commands.deployment import parameters_of
    from pipeline.parameters import differences, shown

    first, second = (None, options.file) if options.other is None else (options.file, options.other)
    found = differences(parameters_of(first), parameters_of(second))
    left, right = first or "defaults", second
    print(f"{left} → {right}: {'no difference' if not found else f'{len(found)} differ'}")
    for each in found:
        print(f"  {each.name}: {shown(each.here)} → {shown(each.there)}")
    return EXIT_FOUND if found else EXIT_GOOD
