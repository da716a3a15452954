"""Reads code blocks, commands, links and cited files out of the documents, for the tests that check them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
DOCUMENTS: Final = (
    README,
    ROOT / "tests" / "README.md",
    ROOT / "schemas" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "ops").rglob("*.md")),
)

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"`([^`\n]+)`")
_FILE: Final = re.compile(
    r"(?<![\w./~$<>*…{}-])(?:\.{1,2}/)*((?:[\w.-]+/)*[\w-]+\.(?:py|md|avsc|sh|yml|lock))(?![\w/*])"
)
_FOLDER: Final = re.compile(
    r"(?<![\w./~$<>*…{}-])((?:pipeline|tests|ops|docs|schemas|bench)/(?:[\w-]+/?)*+)(?!\.\w|[\w*<…{])"
)


def blocks(document: Path, language: str) -> list[str]:
    """The text of each code block in a language."""
    return [text for name, text in _BLOCK.findall(document.read_text(encoding="utf-8")) if name == language]


def snippets() -> dict[str, str]:
    """Every Python block by the file name in its first line, ``# <name>``, as a reader pastes it."""
    found: dict[str, str] = {}
    for document in DOCUMENTS:
        for text in blocks(document, "python"):
            name = text.partition("\n")[0].removeprefix("# ")
            assert re.fullmatch(r"\w+\.py", name), f"{document.name}: a snippet begins with # and its file's name"
            assert name not in found, f"{document.name}: there are two snippets named {name}"
            found[name] = text
    return found


def snippet(name: str) -> str:
    """The Python block that begins with ``# <name>``. Raises KeyError when no document has it."""
    return snippets()[name]


def commands(document: Path, word: str = "pipeline") -> Iterator[str]:
    """Every ``<word> …`` that a document tells its reader to type, without comments."""
    text = document.read_text(encoding="utf-8")
    lines = [line.partition(" #")[0] for block in blocks(document, "sh") for line in block.splitlines()]
    shown = [part.strip() for line in lines for part in line.split("&&")]
    shown += _INLINE.findall(_BLOCK.sub("", text))
    # `pipeline local …` in prose names a family of commands; what has an ellipsis or a choice in it is none to type.
    yield from (each for each in shown if each.startswith(f"{word} ") and not re.search(r"[…|]", each))


def anchors(document: Path) -> list[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [_anchor(title) for title in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)]


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


@cache
def prose(path: Path) -> str:
    """What a file says to people: comments and docstrings of Python, everything of any other file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    said = [
        token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT
    ]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            said.append(node.value.value)
    return "\n".join(said)


def cited_files(text: str) -> list[str]:
    """Names of source files and documents in a text: from the root, from a folder, or the bare name."""
    return _FILE.findall(text)


def cited_folders(text: str) -> list[str]:
    """Folders of the repository that a text names, from the root."""
    return _FOLDER.findall(text)
