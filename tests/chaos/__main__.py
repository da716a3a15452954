"""``python -m tests.chaos``: faults on a real broker, counted, and an independent checker at the end of every run."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos import report
from tests.chaos.runs import ALL, run
from tests.chaos.worker_process import die_with_parent

DEFAULT_COUNT = 200
DEFAULT_BATCH = 50
DEFAULT_REPORTS = Path(".chaos")
WAITING = ("broker", "cluster")
"""Kinds that mostly wait, for brokers to come back: the others run beside them, two cores have room for both."""
_LANE = "CHAOS_LANE"


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
    parser.add_argument("--alone", action="store_true", help="one kind after the other, nothing side by side")
    given = parser.parse_args(arguments)
    if given.command == "report":
        return report.write(given.reports, given.write, given.commit)
    signal.signal(signal.SIGTERM, _end)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed} (times and choices; the timing of a real broker is not reproducible)", flush=True)
    began = time.monotonic()
    kinds = given.kind or list(ALL)
    lanes = [[kind for kind in kinds if (kind in WAITING) is waiting] for waiting in (True, False)]
    if all(lanes) and not given.alone:
        bad = side_by_side(lanes, seed, given)
    else:
        if os.environ.get(_LANE):
            die_with_parent()
        bad = sum(run(kind, given.count, given.batch, seed, given.reports, say) for kind in kinds) > 0
    print(report.table(report.results(given.reports)))
    print(f"{'ANOMALIES' if bad else 'no anomalies'} in this run; {time.monotonic() - began:.0f} s", flush=True)
    return 1 if bad else 0


def _end(_signal: int, _frame: object) -> None:
    """Through the context managers, undisturbed: nothing is left running."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def say(text: str) -> None:
    print(text, flush=True)


def side_by_side(lanes: list[list[str]], seed: int, given: argparse.Namespace) -> bool:
    """Each lane in a process of its own; whether one of them has found anything, or has failed."""
    common = ["--count", str(given.count), "--batch", str(given.batch), "--seed", str(seed), "--alone"]
    common += ["--reports", str(given.reports)]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.chaos", *common, *(f"--kind={kind}" for kind in lane)],
            env={**os.environ, _LANE: "1"},
        )
        for lane in lanes
    ]
    try:
        return sum(process.wait() != 0 for process in running) > 0
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
        for process in running:
            process.wait(60)


if __name__ == "__main__":
    sys.exit(main())
