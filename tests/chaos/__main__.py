"""``python -m tests.chaos``: faults on a real broker, counted, and an independent checker at the end of every run."""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from tests.chaos import report
from tests.chaos.runs import ALL, run

DEFAULT_COUNT = 200
DEFAULT_BATCH = 50
DEFAULT_REPORTS = Path(".chaos")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make chaos ARGS=…", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    told = commands.add_parser("report", help="merge the results of all runs into one table")
    told.add_argument("--reports", type=Path, default=DEFAULT_REPORTS, help="where the results are")
    told.add_argument("--write", type=Path, help="a Markdown file to write (ops/chaos.md)")
    told.add_argument("--commit", help="only results of this commit (it may be shortened)")
    parser.add_argument("--kind", action="append", choices=ALL, help="only this kind (may be repeated)")
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT, help="faults of each kind (default %(default)s)")
    parser.add_argument("--batch", type=int, default=DEFAULT_BATCH,
                        help="faults on one broker, before everything is checked (default %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, help="of the times drawn; what they meet is never the same twice")
    parser.add_argument(
        "--reports", type=Path, default=DEFAULT_REPORTS, help="results are appended here, as JSON lines"
    )
    given = parser.parse_args(arguments)
    if given.command == "report":
        return report.write(given.reports, given.write, given.commit)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed} (times and choices; the timing of a real broker is not reproducible)", flush=True)
    began = time.monotonic()
    bad = 0
    for kind in given.kind or ALL:
        bad += run(kind, given.count, given.batch, seed, given.reports, lambda text: print(text, flush=True))
    print(report.table(report.results(given.reports)))
    print(f"{bad} anomalies in this run; {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
