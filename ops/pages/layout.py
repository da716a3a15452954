"""`docs/layout.md`: the tree of the code with a line for each file, the first of its docstring."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from ops.pages.text import WIDTH, wrapped

INTRO: Final = (
    "For whoever looks for a file. Each file of `pipeline/` with the first line it says of itself; folders of the "
    "benchmark, operations and tests likewise. Tests mirror `pipeline/`. Beside them:"
)
ROOT: Final = Path(__file__).resolve().parents[2]
FOLDERS: Final = ("pipeline", "bench", "ops", "tests")
OTHERS: Final = (
    "- `docs/`: a page for each reader, the glossary, the design rules, the reference.",
    "- `schemas/`: the contract of each topic, with [the map of topics](../schemas/README.md).",
    "- `ops/decisions/`: why it is so and not otherwise.",
    "- `ops/images/`: the container image.",
)


def page() -> str:
    """The whole page."""
    lines = ["# Layout", "", *wrapped(INTRO), "", *OTHERS]
    for folder in FOLDERS:
        lines += ["", f"## {folder}", "", "```text", f"{folder}/", *_tree(ROOT / folder, "  "), "```"]
    return "\n".join(lines)


def _tree(folder: Path, indent: str) -> Iterator[str]:
    files = sorted(path for path in folder.glob("*.py") if path.name not in ("__init__.py",))
    width = max((len(path.name) for path in files), default=0)
    for path in files:
        yield from _line(indent, path.name.ljust(width), first_line(path))
    for each in sorted(path for path in folder.iterdir() if path.is_dir() and any(path.rglob("*.py"))):
        yield from _line(indent, f"{each.name}/", first_line(each / "__init__.py"))
        yield from _tree(each, indent + "  ")


def _line(indent: str, name: str, text: str) -> list[str]:
    first = f"{indent}{name}  "
    wrapped = textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False
    )
    return wrapped or [first.rstrip()]


@cache
def first_line(path: Path) -> str:
    """What a file says of itself: the first line of its docstring, empty when it has none."""
    if not path.exists():
        return ""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
