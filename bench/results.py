"""What was measured, one JSON line a run, outside the repository; nothing is ever overwritten."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.runtime.embedded.artifacts import cache_dir

DEFAULT_FOLDER: Final = cache_dir() / "bench"

Figure = int | float | str
Figures = dict[str, Figure]


@dataclass(frozen=True)
class Line:
    """One run of one row of a case, or one text about it (``note``)."""

    case: str
    row: str
    figures: Mapping[str, Figure]
    """Name, with its unit last, to value. A name is a column of the case's table."""
    session: str = ""
    """One call of the command: rows of the same session were measured at the same time of day."""
    at: str = ""
    setting: Mapping[str, Figure] = field(default_factory=dict)
    """Partitions, replication and what else shapes the row."""
    note: str = ""
    """Why a row was left out, or what one must know to read it."""
    quick: bool = False
    machine: Mapping[str, str] = field(default_factory=dict)
    command: str = ""


class Results:
    """Appends to ``results.jsonl`` in a folder."""

    def __init__(self, folder: Path, session: str, machine: Mapping[str, str], command: str, quick: bool) -> None:
        self.path = folder / "results.jsonl"
        self._session = session
        self._machine = machine
        self._command = command
        self._quick = quick

    def add(
        self, case: str, row: str, figures: Figures, setting: Mapping[str, Figure] | None = None, note: str = ""
    ) -> Line:
        """Append one run of a row to the file."""
        line = Line(
            case=case,
            row=row,
            figures=figures,
            session=self._session,
            at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            setting=setting or {},
            note=note,
            quick=self._quick,
            machine=self._machine,
            command=self._command,
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line.__dict__, ensure_ascii=False) + "\n")
        return line


def load(folder: Path, *, quick: bool = False) -> list[Line]:
    """Every line, oldest first; those of quick runs only when asked for."""
    path = folder / "results.jsonl"
    if not path.exists():
        return []
    lines = [Line(**json.loads(text)) for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]
    return [line for line in lines if quick or not line.quick]


def latest(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Case to its last whole session; rows that were measured alone since (``--row``) take the place of older ones."""
    by_case: dict[str, dict[str, list[Line]]] = {}
    for line in lines:
        by_case.setdefault(line.case, {}).setdefault(line.session, []).append(line)
    found = {}
    for case, sessions in by_case.items():
        rows: dict[str, list[Line]] = {}
        for session in sessions.values():
            again = rows_of(session)
            rows = rows | again if any("--row" in line.command for line in session) else again
        found[case] = [line for runs in rows.values() for line in runs]
    return found


def rows_of(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Row to its runs, rows in the order they were first measured."""
    rows: dict[str, list[Line]] = {}
    for line in lines:
        rows.setdefault(line.row, []).append(line)
    return rows


def values(runs: Iterable[Line], figure: str) -> list[float]:
    """A figure's numbers over runs."""
    found: list[Any] = [run.figures[figure] for run in runs if figure in run.figures]
    return [float(value) for value in found if not isinstance(value, str)]


def median(runs: Iterable[Line], figure: str) -> float | None:
    """The median of a figure over runs; None when no run has it as a number."""
    found = values(runs, figure)
    return statistics.median(found) if found else None


def written(number: float) -> str:
    """A number as a table shows it: three significant digits, thousands separated by commas."""
    size = abs(number)
    if size >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if size >= 10 else f"{number:.2f}"


def spread(runs: Iterable[Line], figure: str) -> str:
    """Median, and in brackets the smallest and the largest where there were several."""
    found = values(runs, figure)
    if not found:
        return ""
    middle = written(statistics.median(found))
    return middle if len(found) == 1 else f"{middle} ({written(min(found))}–{written(max(found))})"
