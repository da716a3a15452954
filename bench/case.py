"""What a case of the benchmark is, and the object it reports its figures to."""

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
    """Runs of each row; None: the case's own number."""
    quick: bool = False
    """Small counts, for trying: the figures mean little."""
    rate: int | None = None
    """Orders a second to offer, where a case offers a fixed rate."""
    row: str = ""
    """Only rows whose name contains this."""


class Bench:
    """Handed to a case while it runs: takes the figures of its rows, or the reason why a row has none."""

    def __init__(self, case: str, options: Options, results: Results) -> None:
        self.case: Final = case
        self.options: Final = options
        self._results = results
        self._begun = time.monotonic()

    def runs(self, usual: int) -> range:
        """1, 2 …: the numbers of a row's runs, ``usual`` of them unless the command line says otherwise."""
        asked = self.options.runs
        return range(1, 1 + (asked if asked is not None else 1 if self.options.quick else usual))

    def count(self, usual: int, quick: int) -> int:
        """``usual``, or ``quick`` in a quick run."""
        return quick if self.options.quick else usual

    def wanted(self, row: str) -> bool:
        """Whether the command line asks for this row."""
        return self.options.row in row

    def record(self, row: str, figures: Figures, setting: Mapping[str, Figure] | None = None, note: str = "") -> None:
        """Record the figures of one run of a row, and print them."""
        self._results.add(self.case, row, figures, setting, note)
        shown = " · ".join(f"{n} {v if isinstance(v, str) else written(v)}" for n, v in figures.items())
        self.say(f"{row}: {shown}{' · ' + note if note else ''}")

    def left_out(self, row: str, why: str) -> None:
        """Record that a row could not be measured, and why; the report prints it."""
        self._results.add(self.case, row, {}, note=f"left out: {why}")
        self.say(f"{row}: left out: {why}")

    def say(self, text: str) -> None:
        """Print a line with the case's name and seconds since it began."""
        print(f"[{self.case} {time.monotonic() - self._begun:5.0f} s] {text}", flush=True)


@dataclass(frozen=True)
class Case:
    """One entry of the suite."""

    name: str
    title: str
    asked: str
    """The figures that the requirements ask for."""
    how: str
    """What exactly is measured, and what each row does: the report prints it above the table."""
    run: Callable[[Bench], None]
