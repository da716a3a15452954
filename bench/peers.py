"""Other stream-processing engines on the same work: programs found beside the checkout, run against our broker.

They are copied from ``../shared/peers`` (or PIPELINE_PEERS) into a temporary folder, with the broker's address in them
set to ours. None of their code is in this repository. Each is a method that returns the command of a run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Final

from bench.results import DEFAULT_FOLDER
from bench.stand import ROOT

ADDRESS: Final = "127.0.0.1:19092"
"""The broker's address in the programs as they are found."""
QUIX: Final = "quixstreams==3.28.1"
FOLDER: Final = Path(os.environ.get("PIPELINE_PEERS") or ROOT.parent / "shared" / "peers")
_NEVER: Final = 10**12
"""Count of messages given to programs that would otherwise exit before their last commit; the case ends them."""


class Absent(Exception):
    """A peer cannot be run here; the message says why."""


class Peers:
    """The programs, copied and pointed at a broker."""

    def __init__(self, scratch: Path, bootstrap_servers: str) -> None:
        if not FOLDER.is_dir():
            raise Absent(f"there are no peers' programs at {FOLDER} (set PIPELINE_PEERS)")
        self.folder = scratch / "peers"
        shutil.copytree(FOLDER, self.folder)
        for path in [*self.folder.rglob("*.py"), *self.folder.rglob("*.java")]:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(ADDRESS, bootstrap_servers), encoding="utf-8")
        self._classes: Path | None = None

    def common(self) -> types.ModuleType:
        """The programs' shared module: schemas and encoder."""
        module = types.ModuleType("peers_common")
        source = (self.folder / "common.py").read_text(encoding="utf-8")
        exec(compile(source, str(self.folder / "common.py"), "exec"), module.__dict__)
        return module

    def own_loop(self, name: str, count: int, *, each: bool) -> list[str]:
        """The prototype of our worker: a plain consume, produce, commit loop."""
        return [sys.executable, "ck.py", str(count), "orders", name, "2000", *(["each"] if each else [])]

    def kafka_streams(self, name: str, guarantee: str = "exactly_once_v2") -> list[str]:
        """One stream thread. Raises Absent without Maven, Java or its jars."""
        home = self._compiled()
        classpath = f"{home / 'target/classes'}:{home / 'libs'}/*"
        return ["java", "-cp", classpath, "Ks", name, str(_NEVER), guarantee, "1"]

    def quix(self, name: str, commit_every: int) -> list[str]:
        """Quix Streams, exactly once. Raises Absent when it cannot be installed."""
        return [str(_quix_python()), "qx.py", f"eos-{name}", str(_NEVER), str(commit_every)]

    def faust(self, name: str, *, exactly_once: bool) -> list[str]:
        """Faust with a table and an output."""
        app = f"{'eos' if exactly_once else 'alo'}-{name}"
        return [sys.executable, "fa.py", app, str(_NEVER), "worker", "-l", "warn", "--without-web"]

    def _compiled(self) -> Path:
        if self._classes is not None:
            return self._classes
        if not shutil.which("mvn") or not shutil.which("java"):
            raise Absent("Kafka Streams needs mvn and java on the path")
        home = self.folder / "kstreams"
        command = ["mvn", "-q", "-B", "compile", "dependency:copy-dependencies", "-DoutputDirectory=libs"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise Absent(f"mvn: {(done.stdout + done.stderr)[-300:]}")
        self._classes = home
        return home


def _quix_python() -> Path:
    """The interpreter of a virtual environment of Quix's own, made once in the cache."""
    home = DEFAULT_FOLDER / "quix-venv"
    python, stamp = home / "bin" / "python", home / QUIX
    if not stamp.exists():
        shutil.rmtree(home, ignore_errors=True)
        for command in (
            [sys.executable, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", QUIX, "fastavro"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode:
                raise Absent(f"{QUIX} cannot be installed: {(done.stdout + done.stderr)[-300:]}")
        stamp.touch()
    return python
