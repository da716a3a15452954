"""Who is started again, and whose end ends the others."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.runtime.supervisor import DISPLAYS, Supervisor

DESK = "desk"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., tuple[Supervisor, list[str]]]]:
    made: list[Supervisor] = []

    def start(*units: str) -> tuple[Supervisor, list[str]]:
        said: list[str] = []
        # Without an address and a cache of its own each process ends at once: wrong use.
        env = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
        supervisor = Supervisor(units, tmp_path / "logs", env, said.append)
        supervisor.start()
        made.append(supervisor)
        return supervisor, said

    yield start
    for supervisor in made:
        supervisor.stop()


def wait(supervisor: Supervisor, what: Callable[[], object], timeout_s: float = 240) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        supervisor.look()
        time.sleep(0.05)


def test_an_error_of_its_own_ends_a_unit_for_good(started: Callable[..., tuple[Supervisor, list[str]]]) -> None:
    supervisor, said = started("engine")
    wait(supervisor, lambda: supervisor.failed)
    assert supervisor.failed == ["engine"] and supervisor.running == []
    assert "exit code 2" in said[0] and "KAFKA_BOOTSTRAP_SERVERS is not set" in said[1]


def test_what_displays_is_started_again_and_fails_nobody(
    started: Callable[..., tuple[Supervisor, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.runtime.supervisor._DISPLAY_PAUSE_S", 0.1)
    assert DESK in DISPLAYS
    supervisor, said = started(DESK)
    wait(supervisor, lambda: len(supervisor._members[DESK].history) >= 2)
    assert supervisor.failed == [] and supervisor.running == [DESK]
    assert len(said) == 1 and "the others go on" in said[0], "the same end is said once"


def test_a_killed_unit_is_started_again(started: Callable[..., tuple[Supervisor, list[str]]]) -> None:
    supervisor, said = started("engine")
    supervisor._members["engine"].process.send_signal(signal.SIGKILL)
    wait(supervisor, lambda: supervisor.restarts)
    assert supervisor.restarts == {"engine": 1} and supervisor.failed == []
    assert "was killed (exit -9)" in said[0]


def test_what_is_set_for_one_unit_is_set_for_that_one_alone(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    env |= {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"}
    own = {"engine": {"PIPELINE_METRICS_PORT": "first"}, "intake": {"PIPELINE_METRICS_PORT": "second"}}
    supervisor = Supervisor(("engine", "intake"), tmp_path / "logs", env, lambda _: None, own)
    supervisor.start()
    try:
        wait(supervisor, lambda: len(supervisor.failed) == 2)
        assert "PIPELINE_METRICS_PORT is 'first'" in supervisor.log_of("engine").read_text()
        assert "PIPELINE_METRICS_PORT is 'second'" in supervisor.log_of("intake").read_text()
    finally:
        supervisor.stop()
