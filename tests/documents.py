"""Reads code blocks, commands and links out of the documents, for the tests that check them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCUMENTS = (
    README,
    ROOT / "tests" / "README.md",
    ROOT / "schemas" / "README.md",
    *sorted((ROOT / "ops").rglob("*.md")),
)

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")


def blocks(document: Path, language: str) -> list[str]:
    """The text of each code block in a language."""
    return [text for name, text in _BLOCK.findall(document.read_text(encoding="utf-8")) if name == language]


def snippet(name: str) -> str:
    """The README's Python block that begins with ``# <name>``, as a reader pastes it."""
    found = [text for text in blocks(README, "python") if text.startswith(f"# {name}\n")]
    assert len(found) == 1, f"README.md has {len(found)} snippets named {name}"
    return found[0]


def commands(document: Path) -> Iterator[str]:
    """Every ``pipeline …`` that a document tells its reader to type, without comments."""
    text = document.read_text(encoding="utf-8")
    lines = [line.partition(" #")[0] for block in blocks(document, "sh") for line in block.splitlines()]
    told = [part.strip() for line in lines for part in line.split("&&")]
    told += _INLINE.findall(_BLOCK.sub("", text))
    # `pipeline local …` in prose names a family of commands; what has an ellipsis or a choice in it is none to type.
    yield from (each for each in told if each.startswith("pipeline ") and not re.search(r"[…|]", each))
