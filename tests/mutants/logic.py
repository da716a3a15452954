"""Random small edits of what decides, each to be found by a test: ``make mutants ARGS="--logic --count 200"``.

    python -m tests.mutants --logic [--count 200] [--seed 2012] [--jobs 1] [--package NAME] [--file NAME] [--again]

Those that no test notices are listed with file, line and edit; those known to change nothing (`equivalent.py`) do not
count. Exit code 1 below 95 of 100 found; what a test finds that fails on the code as it is does not count either. What
was found before in the same source is not tried again (`.mutants/`), so a run that was stopped goes on where it was.
Tests on recorded data beside the checkout are left out, as on a machine without it: --with-data lets them help.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from tests.mutants import plan, trial
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.operators import Mutant, Site, made

WANTED: Final = 0.95
"""The share of the edits that must be found."""
KEPT: Final = plan.ROOT / ".mutants" / "logic.jsonl"
WAIT_S: Final = 0.05


What = TypeVar("What")


class Tried(NamedTuple):
    """An edit and what became of it. ``why``: the reason why it changes nothing, for those that do not count."""

    mutant: Mutant
    found: bool
    by: str
    why: str = ""


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=--logic")
    parser.add_argument("--logic", action="store_true", help="edits of the logic (this command)")
    parser.add_argument("--count", type=int, default=200, help="how many edits, over all packages")
    parser.add_argument("--seed", type=int, default=2012)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--package", default="", help="only this one, e.g. stages/netting (--count is still of all)")
    parser.add_argument("--file", default="", help="only files with this in their path below pipeline/")
    parser.add_argument("--near", action="store_true", help="only the package's own tests: quick, and finds fewer")
    parser.add_argument("--again", action="store_true", help="forget what was found before")
    parser.add_argument("--list", action="store_true", help="show the edits, try none")
    parser.add_argument("--with-data", action="store_true", help="tests on recorded data take part")
    asked = parser.parse_args(arguments)
    if not asked.with_data:
        os.environ["PIPELINE_DATA"] = os.devnull
    sites = plan.all_sites()
    picked = [
        site
        for site in plan.chosen(sites, asked.count, asked.seed)
        if (not asked.package or plan.package_of(site.path) == asked.package) and asked.file in site.path
    ]
    print(f"{len(picked)} edits of {sum(map(len, sites.values()))} possible ones, seed {asked.seed}", flush=True)
    if asked.list:
        for site in picked:
            mutant, _ = _edit(site)
            print(f"{_place(mutant)}  {mutant.operator}\n    - {mutant.before}\n    + {mutant.after}")
        return 0
    memory = _Memory(KEPT, forget=asked.again)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tests = {site.path: plan.rungs_for(site.path, near=asked.near) for site in picked}
        tried = list(_all(picked, tests, memory, Path(folder), asked.jobs))
    return _told(tried)


def _is_healthy(test: str, healthy: dict[str, float], memory: _Memory, state: str, folder: Path) -> bool:
    """Whether a test file passes on the code as it is: only then is what it finds believed. Run once."""
    if test not in healthy:
        running = trial.start("", None, [test], healthy, folder)
        while (outcome := trial.ended(running)) is None:
            time.sleep(WAIT_S)
        if outcome.found or test not in outcome.cpu_s:
            return False
        healthy[test] = outcome.cpu_s[test]
        memory.keep({"state": state, "test": test, "cpu_s": outcome.cpu_s[test]})
    return True


def _all(
    picked: list[Site],
    tests: dict[str, list[str]],
    memory: _Memory,
    folder: Path,
    jobs: int,
) -> Iterator[Tried]:
    state = _state()
    healthy = memory.healthy(state)
    excused = {each.edit: each.why for each in EQUIVALENT}
    open_ones: list[tuple[Mutant, Callable[[], trial.Running]]] = []
    for site in picked:
        mutant, tree = _edit(site)
        by = memory.found(mutant)
        if mutant.identity in excused:
            yield Tried(mutant, False, "", excused[mutant.identity])
        elif by:
            yield Tried(mutant, True, by)
        else:
            open_ones.append((mutant, partial(trial.start, mutant.path, tree, tests[mutant.path], healthy, folder)))
    print(f"{len(open_ones)} to try", flush=True)
    for done, (mutant, outcome) in enumerate(_side_by_side(iter(open_ones), jobs), start=1):
        if _state() != state:
            raise SystemExit("the code was changed while its edits were tried: start again, what was found is kept")
        if outcome.found and not _is_healthy(outcome.test, healthy, memory, state, folder):
            outcome = outcome._replace(found=False, by=f"{outcome.test} fails on the code as it is")
        print(
            f"{done:4} {'found' if outcome.found else 'ALIVE'} {outcome.seconds:6.1f} s  {_place(mutant)}  "
            f"{mutant.operator}: {mutant.before}  ->  {mutant.after}\n{'':21}{outcome.by}",
            flush=True,
        )
        if outcome.found:
            memory.keep({"edit": mutant.identity, "source": _source(mutant.path), "by": outcome.by})
        yield Tried(mutant, outcome.found, outcome.by)


def _side_by_side(
    work: Iterator[tuple[What, Callable[[], trial.Running]]], jobs: int
) -> Iterator[tuple[What, trial.Outcome]]:
    """Run the work, ``jobs`` at a time; each as it ends."""
    running: list[tuple[What, trial.Running]] = []
    more = True
    while more or running:
        while more and len(running) < jobs:
            upcoming = next(work, None)
            more = upcoming is not None
            if upcoming is not None:
                running.append((upcoming[0], upcoming[1]()))
        for each in list(running):
            outcome = trial.ended(each[1])
            if outcome is not None:
                running.remove(each)
                yield each[0], outcome
        time.sleep(WAIT_S)


def _told(tried: list[Tried]) -> int:
    excused = [each for each in tried if each.why]
    counted = [each for each in tried if not each.why]
    alive = [each for each in counted if not each.found]
    print()
    for each in excused:
        print(f"changes nothing: {_place(each.mutant)}  {each.mutant.before}  ->  {each.mutant.after}\n    {each.why}")
    for each in alive:
        print(f"ALIVE {_place(each.mutant)} {each.mutant.function}  {each.mutant.operator}")
        print(f"    - {each.mutant.before}\n    + {each.mutant.after}")
        if each.by != "nothing":
            print(f"    {each.by}")
    print(f"\n{'package':<26}{'edits':>7}{'found':>7}{'share':>8}")
    for package in sorted({plan.package_of(each.mutant.path) for each in counted}):
        own = [each for each in counted if plan.package_of(each.mutant.path) == package]
        found = sum(each.found for each in own)
        print(f"{package:<26}{len(own):>7}{found:>7}{found / len(own):>8.0%}")
    share = (len(counted) - len(alive)) / len(counted) if counted else 1.0
    print(f"{'all':<26}{len(counted):>7}{len(counted) - len(alive):>7}{share:>8.1%}   "
          f"({len(excused)} that change nothing are left out)")  # fmt: skip
    return 0 if share >= WANTED else 1


def _edit(site: Site) -> tuple[Mutant, ast.Module]:
    return made(site.path, (plan.PIPELINE / site.path).read_text(encoding="utf-8"), site.number)


def _place(mutant: Mutant) -> str:
    return f"pipeline/{mutant.path}:{mutant.line}"


def _source(path: str) -> str:
    return hashlib.sha256((plan.PIPELINE / path).read_bytes()).hexdigest()[:16]


def _state() -> str:
    """A digest of the code and its tests."""
    digest = hashlib.sha256()
    for path in sorted(each for folder in ("pipeline", "tests") for each in (plan.ROOT / folder).rglob("*.py")):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class _Memory:
    """What earlier runs found, as lines of a file: an edit is found for as long as its file has the same source."""

    def __init__(self, path: Path, *, forget: bool) -> None:
        path.parent.mkdir(exist_ok=True)
        if forget:
            path.unlink(missing_ok=True)
        self._path = path
        self._lines: list[dict[str, Any]] = (
            [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        )
        self._found = {(each["edit"], each["source"]): str(each["by"]) for each in self._lines if "edit" in each}

    def found(self, mutant: Mutant) -> str:
        """What found it before; empty when nothing has."""
        return self._found.get((mutant.identity, _source(mutant.path)), "")

    def healthy(self, state: str) -> dict[str, float]:
        """Processor seconds of the test files, as measured on exactly this code."""
        return {each["test"]: float(each["cpu_s"]) for each in self._lines if each.get("state") == state}

    def keep(self, line: dict[str, Any]) -> None:
        """Write a line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
