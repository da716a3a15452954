"""Tries an edit: a forked process imports the pipeline with it, and runs tests until one fails.

The parent has imported what is not ours already, which is most of the time of a start. A child that uses many times the
processor time of the healthy code is stopped: it hangs, and that is noticed.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import time
import traceback
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import fastavro  # noqa: F401  - imported once, before the forks
import hypothesis  # noqa: F401
import pytest

import pipeline.runtime.contracts.codec  # noqa: F401  - below everything that is edited
from tests.mutants.plan import PIPELINE, ROOT

ALLOWED_TIMES: Final = 5.0
ALLOWED_S: Final = 30.0
"""A test file may take this many times the processor time of the healthy code, and so many seconds more."""
UNKNOWN_S: Final = 60.0
"""Taken for a test file that has not been run on the healthy code."""
WALL_TIMES: Final = 20.0
MEMORY_BYTES: Final = 4 << 30
OPTIONS: Final = (
    "-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "--hypothesis-seed=0", "-W", "ignore", "-m",
    "not broker",
)  # fmt: skip


class Outcome(NamedTuple):
    """What became of a trial. ``by``: the test that failed first, or why it ended otherwise."""

    found: bool
    by: str
    test: str
    """The test file it ended in; empty when it passed all."""
    seconds: float
    cpu_s: Mapping[str, float]
    """Processor time of each test file that passed."""


class Running(NamedTuple):
    """A child at work."""

    pid: int
    report: Path
    started: float
    wall_s: float


def start(path: str, tree: ast.Module | None, tests: Sequence[str], healthy: Mapping[str, float], folder: Path
          ) -> Running:  # fmt: skip
    """Fork a child that runs ``tests`` one after the other, with ``tree`` in the place of ``path`` (None: as it is).

    ``healthy``: processor seconds of test files on the code as it is, as far as they are known.
    """
    report = folder / f"{time.monotonic_ns()}.json"
    allowed_s = sum(_allowed_s(test, healthy) for test in tests)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _child(path, tree, tests, healthy, report)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return Running(pid, report, time.monotonic(), allowed_s * WALL_TIMES)


def ended(running: Running) -> Outcome | None:
    """The outcome of a child that is over, or has had its time; None while it works."""
    seconds = time.monotonic() - running.started
    pid, status = os.waitpid(running.pid, os.WNOHANG)
    if not pid:
        if seconds < running.wall_s:
            return None
        os.killpg(running.pid, signal.SIGKILL)
        os.waitpid(running.pid, 0)
    told = json.loads(running.report.read_text()) if running.report.exists() else {}
    running.report.unlink(missing_ok=True)
    passed, test = told.get("passed", {}), told.get("test", "")
    if not pid:
        return Outcome(True, f"hangs: no answer in {seconds:.0f} s", test, seconds, passed)
    if os.WIFSIGNALED(status):
        of = os.WTERMSIG(status)
        why = "hangs: it uses far more processor time" if of == signal.SIGXCPU else f"ended by signal {of}"
        return Outcome(True, f"{why}, in {test}", test, seconds, passed)
    if not told or told.get("error"):
        return Outcome(False, f"cannot be tried: {told.get('error', 'no report')}", test, seconds, passed)
    return Outcome(bool(told["by"]), told["by"] or "nothing", test, seconds, passed)


def _allowed_s(test: str, healthy: Mapping[str, float]) -> float:
    return ALLOWED_S + ALLOWED_TIMES * healthy.get(test, UNKNOWN_S)


class _Watch:
    """Keeps the first test that fails."""

    def __init__(self) -> None:
        self.first = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.first:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = " ".join(str(getattr(crash, "message", report.longrepr)).split())[:160]
            self.first = f"{report.nodeid}: {why}"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.first:
            self.first = f"{report.nodeid} cannot be collected: {' '.join(str(report.longrepr).split())[-160:]}"


def _child(path: str, tree: ast.Module | None, tests: Sequence[str], healthy: Mapping[str, float], report: Path
           ) -> None:  # fmt: skip
    os.setpgid(0, 0)
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(report.parent / f"hypothesis-{os.getpid()}")
    os.chdir(ROOT)
    if tree is not None:
        name = "pipeline." + path.removesuffix(".py").replace("/", ".")
        assert name not in sys.modules, f"{name} was imported before the fork"
        sys.meta_path.insert(0, _Finder(name, PIPELINE / path, compile(tree, str(PIPELINE / path), "exec")))
    passed: dict[str, float] = {}
    by = error = test = ""
    for test in tests:
        report.write_text(json.dumps({"test": test, "passed": passed, "by": "", "error": "ended without a word"}))
        used = time.process_time()
        allowed_s = int(used + _allowed_s(test, healthy)) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (allowed_s, resource.RLIM_INFINITY))
        watch = _Watch()
        code = pytest.main([*OPTIONS, test], plugins=[watch])
        if watch.first:
            by = watch.first
            break
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            error = f"pytest ends with {code} on {test}"
            break
        passed[test] = round(time.process_time() - used, 2)
    report.write_text(json.dumps({"test": test if by or error else "", "passed": passed, "by": by, "error": error}))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module: ours, with the edit."""

    def __init__(self, name: str, path: Path, code: types.CodeType) -> None:
        self._name, self._path, self._code = name, path, code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's spec, None for any other module."""
        if fullname != self._name:
            return None
        loader = _Loader(self._name, str(self._path))
        loader.code = self._code
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs the edited code in place of the file's."""

    code: types.CodeType

    def get_code(self, fullname: str) -> types.CodeType:
        """The edited code."""
        return self.code
