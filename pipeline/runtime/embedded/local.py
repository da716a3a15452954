"""`pipeline local up | down | status`: an embedded platform that outlives the command, for several commands to use.

Its data stay in the user's cache between `down` and the next `up` (`down` with `wipe=True` removes them). The state
file names each process by pid *and* start time, so that a pid the system has given to somebody else is never signalled.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import EXIT_FOUND, EXIT_GOOD, EXIT_UNREACHABLE
from pipeline.runtime.contracts.registry_access import registry_answers
from pipeline.runtime.embedded.artifacts import cache_dir
from pipeline.runtime.embedded.broker import LocalPlatform
from pipeline.runtime.embedded.child import ChildProcess
from pipeline.runtime.embedded.platform import KAFKA_VARIABLE, REGISTRY_VARIABLE
from pipeline.runtime.extras import Extra, needs
from pipeline.runtime.kafka.client_settings import PLAIN
from pipeline.runtime.kafka.clients import Kafka

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Running:
    """One background process: start time in seconds since the epoch, as the system reports it."""

    name: str
    pid: int
    started_s: float
    address: str
    log: str

    @property
    def alive(self) -> bool:
        with needs(Extra.EMBEDDED):
            import psutil
        try:
            process = psutil.Process(self.pid)
            return bool(process.create_time() == self.started_s and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    @property
    def answering(self) -> bool:
        if self.address.startswith("http"):
            return registry_answers(self.address, timeout_s=3)
        return Kafka(self.address, PLAIN).answers(3)


def up(*, kafka_port: int = 0, registry_port: int = 0, folder: Path | None = None, say: Say = print) -> int:
    """Start both in the background, or say where they already are. Returns an exit code.

    Ports stay the same from one `up` to the next unless others are asked for. Raises PlatformError as `LocalPlatform`.
    """
    folder = _folder(folder)
    with _exclusive(folder):
        running = _load(folder)
        if running and all(each.alive for each in running):
            say("# already up")
            _say_exports(running, say)
            return EXIT_GOOD
        _end(running, timeout_s=20, say=say)  # one of two left: begin again with both
        kept = _read(folder / "ports.json")
        platform = LocalPlatform(
            folder / "data",
            kafka_port=kafka_port or _still_free(kept.get("kafka")),
            registry_port=registry_port or _still_free(kept.get("registry")),
            storage="file",
            ends_with_parent=False,
        )
        platform.start()
        running = [
            _describe(platform.kafka, platform.bootstrap_servers),
            _describe(platform.registry, platform.registry_url),
        ]
        _save(folder / "state.json", {"running": [asdict(each) for each in running]})
        _save(folder / "ports.json", {"kafka": platform.kafka.port, "registry": platform.registry.port})
        _say_exports(running, say)
        return EXIT_GOOD


def down(*, wipe: bool = False, folder: Path | None = None, timeout_s: float = 20.0, say: Say = print) -> int:
    """End what `up` started; with `wipe`, remove its topics and schemas too. Good also when nothing runs."""
    folder = _folder(folder)
    with _exclusive(folder):
        running = _load(folder)
        if not any(each.alive for each in running):
            say("nothing is running")
        _end(running, timeout_s, say)
        (folder / "state.json").unlink(missing_ok=True)
        if wipe:
            shutil.rmtree(folder / "data", ignore_errors=True)
            say("its data are removed")
        return EXIT_GOOD


def status(*, folder: Path | None = None, say: Say = print) -> int:
    """Say of each component whether it runs and answers. 0 both do, 1 nothing was started, 3 one does not answer."""
    running = _load(_folder(folder))
    if not running:
        say("not up (start it with: pipeline local up)")
        return EXIT_FOUND
    good = True
    for each in running:
        alive = each.alive
        answering = alive and each.answering
        good = good and answering
        words = "answers" if answering else f"{'runs but does not answer' if alive else 'ended'}; log: {each.log}"
        say(f"{each.name:<20} {each.address:<45} pid {each.pid:<8} {words}")
    if good:
        _say_exports(running, say)
    return EXIT_GOOD if good else EXIT_UNREACHABLE


def addresses(folder: Path | None = None) -> Mapping[str, str]:
    """The environment variables that point to what `up` started; empty unless both run."""
    running = _load(_folder(folder))
    return _exports(running) if running and all(each.alive for each in running) else {}


def _folder(folder: Path | None) -> Path:
    return cache_dir() / "local" if folder is None else folder


def _describe(child: ChildProcess, address: str) -> _Running:
    with needs(Extra.EMBEDDED):
        import psutil
    started_s = psutil.Process(child.pid).create_time()
    return _Running(child.name, child.pid, started_s, address, str(child.log_path))


def _end(running: list[_Running], timeout_s: float, say: Say) -> None:
    # The registry first: it is a client of nobody here, but a broker that goes first leaves clients waiting.
    for each in reversed(running):
        if not each.alive:
            continue
        os.kill(each.pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        while each.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        if each.alive:
            os.kill(each.pid, signal.SIGKILL)
        say(f"{each.name} (pid {each.pid}) ended")


def _exports(running: list[_Running]) -> dict[str, str]:
    kafka, registry = running
    return {KAFKA_VARIABLE: kafka.address, REGISTRY_VARIABLE: registry.address}


def _say_exports(running: list[_Running], say: Say) -> None:
    say("export " + " ".join(f"{name}={value}" for name, value in _exports(running).items()))


def _still_free(port: object) -> int:
    from pipeline.runtime.ports import is_taken

    return port if isinstance(port, int) and not is_taken(port) else 0


def _load(folder: Path) -> list[_Running]:
    entries = _read(folder / "state.json").get("running", [])
    return [_Running(**entry) for entry in entries] if isinstance(entries, list) else []


def _read(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _save(path: Path, value: object) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(value, indent=1), encoding="utf-8")
    os.replace(aside, path)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX)
        yield
