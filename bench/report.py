"""The results as a page: ops/benchmarks.md whole, and the tables of ops/one-million.md between their markers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import million
from bench.case import Case
from bench.cases import CASES
from bench.results import Line, latest, load, median, rows_of, spread
from bench.stand import ROOT

PAGE: Final = ROOT / "ops" / "benchmarks.md"


def write(folder: Path, *, quick: bool = False) -> int:
    """Write both pages from what was measured last; 1 when nothing was."""
    lines = load(folder, quick=quick)
    if not lines:
        print(f"nothing measured in {folder}: python -m bench first")
        return 1
    by_case = latest(lines)
    PAGE.write_text(page(by_case), encoding="utf-8")
    million.PAGE.write_text(million.rendered(million.PAGE.read_text(encoding="utf-8"), by_case), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} and {million.PAGE.relative_to(ROOT)}: {len(by_case)} cases of {len(CASES)}")
    return 0


def page(by_case: Mapping[str, Sequence[Line]]) -> str:
    """The text of ops/benchmarks.md."""
    out = [
        "# Benchmarks",
        "",
        "Written by `python -m bench report` from what `make bench` measured; every figure below has the command, "
        "the date and the commit it was made with. Medians, in brackets the smallest and the largest of the runs.",
        "",
    ]
    missing = [name for name in CASES if name not in by_case]
    if missing:
        out += [f"Not measured yet: {', '.join(missing)}.", ""]
    for name, case in CASES.items():
        if name in by_case:
            out += _case(case, by_case[name])
    return "\n".join(out).rstrip() + "\n"


def _case(case: Case, lines: Sequence[Line]) -> Iterator[str]:
    yield f"## {case.title}"
    yield ""
    if any(line.quick for line in lines):
        yield "**A quick run: counts are small, the figures mean little.**"
        yield ""
    yield f"Asked: {case.asked}."
    yield ""
    yield case.how
    yield ""
    rows = rows_of(lines)
    figures = list(dict.fromkeys(figure for line in lines for figure in line.figures))
    if figures:
        yield f"| | {' | '.join(figures)} | runs |"
        yield f"|---|{'---:|' * (len(figures) + 1)}"
        for row, runs in rows.items():
            measured = [run for run in runs if run.figures]
            if measured:
                cells = [_cell(measured, figure) for figure in figures]
                yield f"| {row} | {' | '.join(cells)} | {len(measured)} |"
        yield ""
    yield from (f"- {text}" for text in _compared(case.name, rows))
    for row, runs in rows.items():
        for note in dict.fromkeys(run.note for run in runs if run.note):
            yield f"- *{row}*: {note}"
    settings = list(dict.fromkeys(_listed(line.setting) for line in lines if line.setting))
    if settings:
        yield f"- Setting: {'; '.join(settings)}"
    for line in {line.session: line for line in lines}.values():
        yield f"- {_listed(line.machine)}"
        yield f"- `{line.command}`, {line.at[:16].replace('T', ' ')} UTC"
    yield ""


def _cell(runs: Sequence[Line], figure: str) -> str:
    words = [run.figures[figure] for run in runs if isinstance(run.figures.get(figure), str)]
    return str(words[-1]) if words else spread(runs, figure)


def _listed(pairs: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in pairs.items())


def _compared(case: str, rows: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    """A sentence for each peer: our worker's rate over its rate."""
    if case != "same-work":
        return
    ours = next((median(runs, "messages/s") for row, runs in rows.items() if row.startswith("our worker, a ch")), None)
    if ours is None:
        return
    for row, runs in rows.items():
        theirs = median(runs, "messages/s")
        if theirs and not row.startswith("our worker"):
            yield f"Our worker, a changelog record per message, does **{ours / theirs:.2f} ×** {row}"
