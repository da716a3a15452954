"""Results of chaos runs: a JSON line each, and the table they add up to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def append(folder: Path, result: Result) -> None:
    """Keep the result of one run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{result['kind']}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(result, sort_keys=True) + "\n")


def results(folder: Path, commit: str | None = None) -> list[Result]:
    """All results in ``folder``, of one commit when one is named."""
    found = [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return [each for each in found if commit is None or each["commit"].startswith(commit)]


def table(found: Iterable[Result]) -> str:
    """A Markdown table, a row for each kind."""
    rows = [
        "| kind | faults injected | runs | processes | task starts | transactions | inputs applied "
        "| outputs recomputed | records checked | aborted, in the log, unseen | ended by the client library "
        "| anomalies | minutes |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    by_kind: dict[str, list[Result]] = {}
    for each in found:
        by_kind.setdefault(each["kind"], []).append(each)
    total: Counter[str] = Counter()
    for kind, runs in by_kind.items():
        injected: Counter[str] = Counter()
        sums: Counter[str] = Counter()
        for each in runs:
            injected.update(each["injected"])
            sums.update({name: each[name] for name in _SUMMED})
            sums["anomalies"] += sum(each["anomalies"].values())
        total.update(sums)
        total["faults"] += injected.total()
        parts = ", ".join(f"{count} {name}" for name, count in sorted(injected.items()))
        what = f"{injected.total()}" + (f" ({parts})" if len(injected) > 1 else "")
        rows.append(_row(f"{kind}: {runs[0]['title']}", what, len(runs), sums))
        total["runs"] += len(runs)
    rows.append(_row("**all**", f"{total['faults']}", total["runs"], total))
    return "\n".join(rows)


_SUMMED = (
    "processes", "starts", "transactions", "applied", "effects", "records", "aborted", "client_aborts", "seconds",
)  # fmt: skip


def _row(title: str, injected: str, runs: int, sums: Counter[str]) -> str:
    cells = [
        title, injected, runs, sums["processes"], sums["starts"], sums["transactions"], sums["applied"],
        sums["effects"], sums["records"], sums["aborted"], sums["client_aborts"], f"**{sums['anomalies']}**",
        f"{sums['seconds'] / 60:.1f}",
    ]  # fmt: skip
    return "| " + " | ".join(f"{each:,}" if isinstance(each, int) else str(each) for each in cells) + " |"


def write(folder: Path, path: Path | None, commit: str | None) -> int:
    """Print the table, or write it as a document. 0 when there are results and no anomalies."""
    found = results(folder, commit)
    if not found:
        print(f"no results in {folder}")
        return 1
    text = document(found)
    if path is None:
        print(text)
    else:
        path.write_text(text, encoding="utf-8")
        print(f"written: {path}")
    return 1 if any(each["anomalies"] for each in found) else 0


def document(found: list[Result]) -> str:
    """The report as Markdown."""
    commits = sorted({each["commit"] for each in found})
    seeds = sorted({each["seed"] for each in found})
    machines = sorted({each["machine"] for each in found})
    days = sorted({each["at"][:10] for each in found})
    told = [f"- {each['kind']}, seed {each['seed']}: {text}" for each in found for text in each["told"]]
    return "\n".join(
        [
            _HEAD,
            f"Commit {', '.join(commits)}; {', '.join(days)}; {'; '.join(machines)}; "
            f"seeds {', '.join(map(str, seeds))}.",
            "",
            table(found),
            "",
            _FOOT,
            *(["", "## Anomalies", "", *told] if told else []),
            "",
        ]
    )


_HEAD = """\
# Faults on a real broker

Written by `python -m tests.chaos report --write ops/chaos.md` from the results of `make chaos`.
"""

_FOOT = """\
How to read it:

- **Faults injected**: a fault that hits several workers at once counts once for each. *restore* counts only those
  changes of the group that took effect while another worker was reading its changelog.
- **Task starts**: epochs in the journal, each a stage on a partition that was restored and began anew.
- **Inputs applied, outputs recomputed**: by the checker (`tests/chaos/checker.py`), which shares no code with the
  worker: it takes the committed inputs in the journal's order and recomputes every output, byte for byte in its hash,
  field by field in its content. For *flow*, the ten real stages, outputs are not recomputed by it (`effects` 0): there
  it checks visibility, numbers, the journal's account of every input and output, and `pipeline audit verify` replays.
- **Aborted, in the log, unseen**: records of aborted transactions, found in the broker's own segment files by their
  markers. None of them was seen by a reader of committed records, or applied.
- **Ended by the client library**: librdkafka aborts its process now and then by an assertion of its own when the broker
  dies in the middle of a request (`eonce->refcnt > 0`). It is started again, as a supervisor does.
- **Anomalies**: lost, duplicated, aborted and yet visible, reordered, altered, unexplained; a worker that ended by
  itself; a run that did not converge within 90 s after the last fault.

Times and choices come from the printed seed. The timing of real processes and a real broker does not: a run cannot be
repeated exactly. The simulated broker is for that.
"""
