"""The benchmark's command.

    python -m bench                          every case; about 25 minutes on two quiet cores
    python -m bench --case intake            one case (may be repeated); --list names them
    python -m bench --quick                  small counts, for trying: kept apart, never in the report
    python -m bench report                   what was measured last, into ops/benchmarks.md and ops/one-million.md

Results are JSON lines in the user's cache (``--results DIR`` elsewhere); every call adds, none overwrites.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
import uuid
from pathlib import Path

from bench import report
from bench.case import Bench, Options
from bench.cases import CASES
from bench.machine import machine
from bench.results import DEFAULT_FOLDER, Results
from pipeline.errors import PipelineError


def main(arguments: list[str]) -> int:
    """Run the command with these arguments (without the program's name); returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("run", "report"), default="run")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this case; may be repeated")
    parser.add_argument("--profile", action="store_true", help="the case `profile`: functions by their share")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--row", default="", help="only rows whose name contains this")
    parser.add_argument("--runs", type=int, help="runs of each row")
    parser.add_argument("--rate", type=int, help="orders a second to offer, in cases that offer a fixed rate")
    parser.add_argument("--quick", action="store_true", help="small counts, for trying")
    parser.add_argument("--results", type=Path, default=DEFAULT_FOLDER, help="folder of the results")
    asked = parser.parse_args(arguments)
    if asked.list:
        for case in CASES.values():
            print(f"{case.name:14} {case.title}")
        return 0
    if asked.profile:
        asked.case = [*(asked.case or []), "profile"]
    if asked.what == "report":
        return report.write(asked.results, quick=asked.quick)
    return measure(asked, ["python", "-m", "bench", *arguments])


def measure(asked: argparse.Namespace, command: list[str]) -> int:
    """Run the cases; 1 when one could not be measured."""
    load = os.getloadavg()[0]
    if load > 0.5 and not asked.quick:
        print(f"NOTE: the machine is not quiet (load {load:.1f}): the figures will be worse than it can do", flush=True)
    facts = {**machine(), "load before": f"{load:.2f}"}
    results = Results(asked.results, uuid.uuid4().hex[:8], facts, " ".join(command), asked.quick)
    options = Options(runs=asked.runs, quick=asked.quick, rate=asked.rate, row=asked.row)
    begun, failed = time.monotonic(), []
    for name in asked.case or CASES:
        try:
            CASES[name].run(Bench(name, options, results))
        except PipelineError as error:
            print(f"[{name}] FAILED: {error}", flush=True)
            failed.append(name)
        except Exception:
            traceback.print_exc()
            failed.append(name)
    missing = f"; could not be measured: {', '.join(failed)}" if failed else ""
    print(f"done in {time.monotonic() - begun:.0f} s, results in {results.path}{missing}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
