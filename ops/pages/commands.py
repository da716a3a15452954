"""`docs/reference/commands.md`: every command with its options and examples, from the command line's own parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

from ops.pages.text import item, wrapped
from pipeline import cli

INTRO: Final = (
    "For everybody at a terminal: what `--help` says of each command. Exit codes: 0 good, 1 the check found "
    "something, 2 wrong use, 3 a component is not reachable."
)
SHARED: Final = (
    "Commands that connect also take the options *where* (default: the environment, else what `pipeline local up` "
    "started):"
)


def parser() -> argparse.ArgumentParser:
    """The grammar of the whole command line; the one place where documents and their tests take it from."""
    return cli.parser()


def page() -> str:
    """The whole page."""
    lines = ["# Commands", "", *wrapped(INTRO)]
    shared = _shared_options(parser())
    if shared:
        lines += ["", *wrapped(SHARED), "", *(line for action in shared for line in _option(action))]
    for each in _commands(parser()):
        lines += ["", *_command(each, {_names(action) for action in shared})]
    return "\n".join(lines)


def _subparsers(of: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _commands(of: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for each in _subparsers(of):
        yield each
        yield from _commands(each)


def _shared_options(of: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options of the group that names broker and registry: the same for each command that connects."""
    for each in _commands(of):
        for group in each._action_groups:
            if (group.title or "").startswith("where"):
                return list(group._group_actions)
    return []


def _command(of: argparse.ArgumentParser, shared: set[str]) -> Iterator[str]:
    yield f"## {of.prog}"
    yield ""
    yield from wrapped(_sentence(of.description or ""))
    inner = list(_subparsers(of))
    own = [a for a in of._actions if not isinstance(a, argparse._HelpAction | argparse._SubParsersAction)]
    if any(_names(action) in shared for action in own):
        yield ""
        yield "Connects: takes the options *where*."
    own = [action for action in own if _names(action) not in shared]
    if inner or own:
        yield ""
    for each in inner:
        yield f"- [{each.prog}](#{each.prog.replace(' ', '-')})"
    for action in own:
        yield from _option(action)
    examples = (of.epilog or "").partition("examples:\n")[2].splitlines()
    if examples:
        yield ""
        yield "```sh"
        yield from (example.strip() for example in examples)
        yield "```"


def _names(action: argparse.Action) -> str:
    """`--option VALUE`, or `ARGUMENT`, as one types it."""
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.option_strings:
        return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {metavar}")
    return metavar


def _option(action: argparse.Action) -> list[str]:
    text = f"`{_names(action)}`"
    said = [str(action.help)] if action.help else []
    if action.choices:
        said.append("one of " + ", ".join(f"`{choice}`" for choice in action.choices))
    if action.option_strings and action.required:
        said.append("required")
    if action.default not in (None, False, [], "", argparse.SUPPRESS) and "default" not in (action.help or ""):
        said.append(f"default {action.default}")
    text += f": {'; '.join(said)}" if said else ""
    return item(text)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else text + "."
