"""`docs/reference/parameters.md`: every number that shapes decisions, from the classes that hold them."""

from __future__ import annotations

from typing import Final

from ops.pages.text import wrapped
from pipeline.parameters import as_markdown
from pipeline.topology import FlowParameters

INTRO: Final = (
    "For the quant and the operator: what can be set, in which unit, within what, and what holds where nothing is "
    "set. One TOML file holds them, a section for each stage: `pipeline run --all --parameters FILE`, or "
    "`PIPELINE_PARAMETERS`. `pipeline parameters show` prints this page as such a file. All of it stands in the "
    "journal's epoch records; limits, fees, latencies and crossing rules are data, on topics of their own."
)


def page() -> str:
    """The whole page."""
    return "\n".join(["# Parameters", "", *wrapped(INTRO), "", as_markdown(FlowParameters).rstrip()])
