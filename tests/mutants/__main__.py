"""Applies each defect to a copy of the code and runs what is to find it: ``make mutants``.

    python -m tests.mutants [--only TEXT] [--seeds 400] [--jobs 1]
    python -m tests.mutants --logic …           random edits of what decides: see logic.py

Exit code 1 when one is not found, or cannot be made any more.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.mutants.defects import DEFECTS, Defect

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("pipeline", "tests", "schemas", "pyproject.toml", "requirements.lock")
TIMEOUT_S: Final = 240.0


class CannotBeMade(Exception):
    """The text to replace is not there, or is there twice."""


class Verdict(NamedTuple):
    defect: str
    found: bool
    by: str
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--logic" in arguments:
        from tests.mutants import logic  # imports all that the forked trials share

        return logic.main(arguments)
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("--only", default="", help="those whose name has this in it")
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds may be tried on each")
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args(arguments)
    defects = [each for each in DEFECTS if chosen.only in each.name]
    try:
        for each in defects:
            patched(each)
    except CannotBeMade as error:
        print(error)
        return 1
    healthy = judge(Defect("none", (), "seeds"), 40)
    tests = sorted({each.found_by for each in defects} - {"seeds"})
    broken = [name for name in tests if judge(Defect("none", (), name), 0).found]
    if healthy.found or broken:
        print(f"the code fails as it is: {healthy.by if healthy.found else broken}")
        return 1
    with ThreadPoolExecutor(chosen.jobs) as pool:
        verdicts = []
        for verdict in pool.map(lambda each: judge(each, chosen.seeds), defects):
            verdicts.append(verdict)
            print(f"{'found' if verdict.found else 'ALIVE':<6} {verdict.seconds:6.1f} s  {verdict.defect}\n"
                  f"                 {verdict.by}", flush=True)  # fmt: skip
    alive = [each.defect for each in verdicts if not each.found]
    print(f"\n{len(verdicts)} mutants, {len(verdicts) - len(alive)} found, {len(alive)} alive")
    return 1 if alive else 0


def patched(defect: Defect) -> dict[str, str]:
    """File to its text with the defect in it. Raises CannotBeMade."""
    texts: dict[str, str] = {}
    for name, old, new in defect.edits:
        text = texts.get(name) or (ROOT / "pipeline" / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise CannotBeMade(f"{defect.name}: found {text.count(old)} times in pipeline/{name}, not once:\n{old}")
        texts[name] = text.replace(old, new)
        compile(texts[name], name, "exec")
    return texts


def judge(defect: Defect, seeds: int) -> Verdict:
    """Whether the defect is found."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        for name in COPIED:
            source, target = ROOT / name, Path(folder) / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        for name, text in patched(defect).items():
            (Path(folder) / "pipeline" / name).write_text(text, encoding="utf-8")
        found, by = run(defect.found_by, seeds, folder)
    return Verdict(defect.name, found, by, time.monotonic() - started)


def run(found_by: str, seeds: int, folder: str) -> tuple[bool, str]:
    """What the seeds or the test say of the code in ``folder``: whether it fails, and where."""
    if found_by == "seeds":
        command = ["-m", "tests.simulated.seeds", "--count", str(seeds)]
        telling = r"^seed \d+: (.*)"
    else:
        command = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", found_by]
        telling = r"^FAILED (.*)"
    environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "PIPELINE_COMMIT": "mutant"}
    try:
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {TIMEOUT_S:.0f} s"
    told = re.search(telling, done.stdout, re.MULTILINE)
    if done.returncode == 0:
        return False, f"{found_by}: all right"
    if told is None:  # it must be the test that fails, not its start
        return False, f"{found_by} does not run: {(done.stderr or done.stdout)[-300:]}"
    return True, told.group(0)[:150]


if __name__ == "__main__":
    sys.exit(main())
