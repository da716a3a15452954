"""Writes what the documents take from the code: the README's drawing, the tree, the reference pages.

python -m ops.update_docs            write them
python -m ops.update_docs --check    exit code 1, naming the files, when they are not up to date

A new page is a function that gives its text, and a line in PAGES.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ops.pages import commands, layout, metrics, parameters, reasons, topics
from pipeline import topology

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
DRAWING: Final = "<!-- the drawing: written by `python -m ops.update_docs` -->"
END: Final = "<!-- end of generated part -->"
WHOLE: Final = "<!-- written by `python -m ops.update_docs`: change the code it is taken from, not this page -->"


def readme() -> str:
    """The README with its drawing made anew."""
    drawing = f"```mermaid\n{topology.as_mermaid()}\n```"
    return with_part(README.read_text(encoding="utf-8"), DRAWING, drawing)


def with_part(text: str, marker: str, part: str) -> str:
    """``text`` with what stands between ``marker`` and the next END written anew. Raises ValueError without them."""
    head, begin, rest = text.partition(marker)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the marker {marker!r}, or {END!r} after it, is gone")
    return f"{head}{marker}\n{part}\n{END}{tail}"


def whole(page: Callable[[], str]) -> Callable[[], str]:
    """A page that has nothing written by hand."""
    return lambda: f"{page()}\n\n{WHOLE}\n"


PAGES: Final[dict[Path, Callable[[], str]]] = {
    README: readme,
    ROOT / "docs" / "layout.md": whole(layout.page),
    ROOT / "docs" / "reference" / "topics.md": whole(topics.page),
    ROOT / "docs" / "reference" / "parameters.md": whole(parameters.page),
    ROOT / "docs" / "reference" / "reasons.md": whole(reasons.page),
    ROOT / "docs" / "reference" / "metrics.md": whole(metrics.page),
    ROOT / "docs" / "reference" / "commands.md": whole(commands.page),
}
"""Each generated page and what writes it."""


def main(arguments: list[str]) -> int:
    """Write, or check, the pages."""
    due = {path: page() for path, page in PAGES.items()}
    changed = [path for path, text in due.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        print(path.relative_to(ROOT))
        if "--check" not in arguments:
            path.write_text(due[path], encoding="utf-8")
    return 1 if changed and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
