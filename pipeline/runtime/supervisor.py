"""One process per unit: starts them, restarts what was killed, ends them all together.

A unit that ends by a signal (kill -9, out of memory) or by the watchdog is restarted: the transaction it was in is
aborted, its state is restored. A unit that ends with an error of its own, a poisoned position above all, is not: it
would only meet the same error again. The desk only displays: whatever ends it, it is restarted after a while, and no
other unit is stopped for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from pipeline.errors import EXIT_GOOD
from pipeline.runtime import parent_watch

RESTARTS_MAX: Final = 20
"""Restarts of one unit in the life of a supervisor; a machine that kills more often than that needs a person."""
DISPLAYS: Final = frozenset({"desk"})
_DISPLAY_PAUSE_S: Final = 5.0
_STOP_TIMEOUT_S: Final = 20.0


@dataclass
class _Member:
    """One unit's process."""

    name: str
    log_path: Path
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    restarts: int = 0
    gone: int | None = None
    """Its exit code, once it has ended for good."""
    history: list[int] = field(default_factory=list)
    again_at: float | None = None
    """When a display that has ended is restarted (monotonic seconds)."""


class Supervisor:
    """The processes of a deployment on this machine. ``log_dir`` gets a log per unit.

    ``env`` is for all of them (default: our own), ``own_env`` for one unit alone.
    """

    def __init__(
        self,
        units: Sequence[str],
        log_dir: Path,
        env: Mapping[str, str] | None = None,
        say: Callable[[str], None] = print,
        own_env: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._units = tuple(units)
        self._log_dir = log_dir
        self._env = dict(os.environ if env is None else env)
        self._own_env = own_env or {}
        self._say = say
        self._members: dict[str, _Member] = {}

    def start(self) -> None:
        """Start every unit."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        for name in self._units:
            log_path = self._log_dir / f"{name}.log"
            log = log_path.open("ab")
            self._members[name] = _Member(name, log_path, self._spawn(name, log), log)

    def pid_of(self, unit: str) -> int:
        """The worker's own process id, for tests that kill it. Raises KeyError before it has one."""
        text = self._pid_file(unit)
        if not text.exists():
            raise KeyError(unit)
        return int(text.read_text())

    def log_of(self, unit: str) -> Path:
        """The unit's log file. Raises KeyError before :meth:`start`."""
        return self._members[unit].log_path

    def look(self) -> None:
        """Notice what has ended and restart what was killed. To be called several times a second."""
        for member in self._members.values():
            code = member.process.poll()
            if code is None or member.gone is not None:
                continue
            if member.name in DISPLAYS:
                self._look_at_display(member, code)
                continue
            member.history.append(code)
            # A worker killed by a signal is reported by parent_watch as 128 + signal.
            killed = code < 0 or code > 128
            if killed and member.restarts < RESTARTS_MAX:
                member.restarts += 1
                self._say(f"{member.name} was killed (exit {code}); starting it again: it restores its state")
                member.process = self._spawn(member.name, member.log)
            else:
                member.gone = code
                if code != EXIT_GOOD:
                    self._say(f"{member.name} ended with exit code {code}; the end of {member.log_path}:")
                    self._say(tail(member.log_path))

    def _look_at_display(self, member: _Member, code: int) -> None:
        now = time.monotonic()
        if member.again_at is None:
            if code not in member.history:
                self._say(
                    f"{member.name} ended with exit code {code} and is started again every {_DISPLAY_PAUSE_S:.0f} s "
                    f"until it runs; the others go on. Its log: {member.log_path}"
                )
            member.history.append(code)
            member.again_at = now + _DISPLAY_PAUSE_S
        elif now >= member.again_at:
            member.again_at = None
            member.process = self._spawn(member.name, member.log)

    @property
    def failed(self) -> list[str]:
        """Units that ended with an error and were not started again."""
        return [member.name for member in self._members.values() if member.gone not in (None, EXIT_GOOD)]

    @property
    def running(self) -> list[str]:
        """Units that have not ended for good."""
        return [member.name for member in self._members.values() if member.gone is None]

    @property
    def restarts(self) -> dict[str, int]:
        """Unit to number of restarts, of those that had any."""
        return {member.name: member.restarts for member in self._members.values() if member.restarts}

    def stop(self) -> None:
        """End all: by SIGTERM, so that each finishes its batch; by SIGKILL what has not ended in 20 s."""
        for member in self._members.values():
            if member.process.poll() is None:
                member.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for member in self._members.values():
            try:
                member.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"{member.name} does not stop; killing it. Its log: {member.log_path}")
                member.process.kill()
                member.process.wait()
            member.gone = member.process.returncode if member.gone is None else member.gone
            member.log.close()

    def _pid_file(self, unit: str) -> Path:
        return self._log_dir / f"{unit}.pid"

    def _spawn(self, unit: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
        self._pid_file(unit).unlink(missing_ok=True)
        command = [sys.executable, "-I", "-S", parent_watch.__file__, str(os.getpid()), str(self._pid_file(unit)), ""]
        worker = [sys.executable, "-m", "pipeline", "run", unit]
        env = {**self._env, **self._own_env.get(unit, {})}
        return subprocess.Popen(
            [*command, *worker], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
        )


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, indented."""
    text = path.read_bytes()[-8_000:].decode(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text)
