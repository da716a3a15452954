"""Text as pages want it: paragraphs and list items wrapped at the house's line length."""

from __future__ import annotations

import textwrap
from typing import Final

WIDTH: Final = 120


def wrapped(text: str, indent: str = "") -> list[str]:
    """``text`` in lines of at most WIDTH characters, all but the first indented. Words, links and names stay whole."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def item(text: str) -> list[str]:
    """A list item."""
    return wrapped(f"- {text}", "  ")
