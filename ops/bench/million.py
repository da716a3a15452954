from __future__ import annotations

from collections.abc import Mapping, Sequence

from ops.bench.results import Line
from ops.bench.stand import ROOT

PAGE = ROOT / "ops" / "one-million.md"


def rendered(text: str, by_case: Mapping[str, Sequence[Line]]) -> str:
    return text
