"""A case: a question that is measured, and what it is handed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.results import Figure, Figures, Results, written


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    runs: int | None = None
    """Runs of each row; None: what the case thinks right."""
    quick: bool = False
    """Small counts, for trying: the figures mean little."""
    rate: int | None = None
    """Orders a second to offer, where a case offers a fixed rate."""
    row: str = ""
    """Only rows whose name contains this."""


class Bench:
    """What a case measures with: it records figures of rows, or says why there are none."""

    def __init__(self, case: str, options: Options, results: Results) -> None:
        self.case: Final = case
        self.options: Final = options
        self._results = results
        self._begun = time.monotonic()

    def runs(self, usual: int) -> range:
        """1, 2 … for the runs of a row."""
        asked = self.options.runs
        return range(1, 1 + (asked if asked is not None else 1 if self.options.quick else usual))

    def count(self, usual: int, quick: int) -> int:
        """How many of something."""
        return quick if self.options.quick else usual

    def wanted(self, row: str) -> bool:
        return self.options.row in row

    def record(self, row: str, figures: Figures, setting: Mapping[str, Figure] | None = None, note: str = "") -> None:
        """One run of a row."""
        self._results.add(self.case, row, figures, setting, note)
        told = " · ".join(f"{n} {v if isinstance(v, str) else written(v)}" for n, v in figures.items())
        self.say(f"{row}: {told}{' · ' + note if note else ''}")

    def left_out(self, row: str, why: str) -> None:
        """A row that could not be measured, and why: it stands in the table."""
        self._results.add(self.case, row, {}, note=f"left out: {why}")
        self.say(f"{row}: left out: {why}")

    def say(self, text: str) -> None:
        print(f"[{self.case} {time.monotonic() - self._begun:5.0f} s] {text}", flush=True)


@dataclass(frozen=True)
class Case:
    """One entry of the suite."""

    name: str
    title: str
    asked: str
    """The figures it is held to."""
    how: str
    """What exactly is measured, and what each row does: the report prints it above the table."""
    run: Callable[[Bench], None]
