"""`docs/reference/parameters.md`: every parameter with meaning, unit, range and default, from their classes."""

from __future__ import annotations

from typing import Final

from ops.pages.text import wrapped
from pipeline.parameters import as_markdown
from pipeline.topology import FlowParameters

INTRO: Final = (
    "For quants and operators: every number that shapes a decision, as `pipeline parameters show` prints it. A file of "
    "them is TOML with these sections; what is not in it has its default ([quant](../quant.md#where-the-numbers-are))."
)


def page() -> str:
    """The whole page."""
    return "\n".join(["# Parameters", "", *wrapped(INTRO), "", as_markdown(FlowParameters).rstrip()])
