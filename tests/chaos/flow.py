"""kill -9 of every stage of the real flow: the demo's day on a broker of ours, its units killed all through it.

The demo itself says whether the books balance and whether the audit verifies; on top of that the checker looks at the
topics: what is visible, every writer's numbers, the journal's account of every input and output.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pipeline import topology
from pipeline.runtime.embedded.broker import LocalPlatform
from tests.chaos.arena import quicker_starts
from tests.chaos.checker import Verdict, Wrong, check
from tests.chaos.fleet import ROOT
from tests.chaos.logs import Reader, judge, places_of

TITLE: Final = "kill -9 of every stage of the real flow"
_FIRST_KILL_S: Final = 4.0
_BETWEEN_S: Final = 1.2
_RATE: Final = 5
"""Session seconds a second."""
_ORDERS_A_SECOND: Final = 12
_TIMEOUT_S: Final = 900.0
_KILLED: Final = re.compile(r"^kill -9 (\S+) \(pid")


def run_flow(target: int, seed: int, keep: Path | None, say: Callable[[str], None]) -> tuple[Verdict, dict[str, Any]]:
    """At least ``target`` kills, turn by turn over the units; with an odd seed one unit per stage, else the default."""
    chance = random.Random(f"flow/{seed}")
    apart = seed % 2 == 1
    units = [unit.name for unit in (topology.single_units_of(topology.STAGES) if apart else topology.UNITS)]
    kills: list[str] = []
    moment = _FIRST_KILL_S
    while len(kills) < target:
        # By turns: a unit needs a moment to be back before it can be killed again, and is started 20 times at most.
        for unit in chance.sample(units, len(units)):
            kills.append(f"--kill={unit}@{moment:.2f}")
            moment += _BETWEEN_S * chance.uniform(0.5, 1.5)
    seconds = int(moment * _RATE)
    verdict = Verdict()
    quicker_starts()
    with LocalPlatform() as platform:
        env = {
            **{name: value for name, value in os.environ.items() if name != "MARKET"},
            "KAFKA_BOOTSTRAP_SERVERS": platform.bootstrap_servers,
            "SCHEMA_REGISTRY_URL": platform.registry_url,
            "PIPELINE_DATA": "/nonexistent",
            "PIPELINE_DESK_PORT": "0",
        }
        command = [
            sys.executable, "-m", "pipeline", "demo", "--orders", str(int(moment * _ORDERS_A_SECOND)), "--seconds",
            str(seconds), "--rate", str(_RATE), "--seed", str(seed), *(["--unit-per-stage"] if apart else []), *kills,
            *(["--save", str(keep / f"flow-{seed}")] if keep else []),
        ]  # fmt: skip
        code, lines = _spoken(command, env, say)
        injected = Counter(found[1] for line in lines if (found := _KILLED.match(line)))
        text = "\n".join(lines)
        if code != 0 or "The books balance and every decision is verified" not in text:
            verdict.add(Wrong.UNFINISHED, f"the demo ended with {code}:\n" + "\n".join(lines[-30:]))
        reader = Reader(platform.bootstrap_servers, places_of(platform.bootstrap_servers))
        reader.update(timeout_s=60)
        judge(reader.logs, [platform.kafka.data_dir / "data"])
        _merge(verdict, check(reader.logs, sample=False, dead_letters=True))
    restarts = sum(1 for line in lines if "starting it again" in line)
    return verdict, {"injected": dict(injected), "processes": len(units) + restarts, "client_aborts": 0, "hung": 0}


def _spoken(command: list[str], env: dict[str, str], say: Callable[[str], None]) -> tuple[int, list[str]]:
    """Run it; its exit code and what it said, some of it told on."""
    demo = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    alarm = threading.Timer(_TIMEOUT_S, demo.terminate)
    alarm.start()
    lines: list[str] = []
    told = 0.0
    kills = 0
    try:
        for line in demo.stdout:
            lines.append(line.rstrip("\n"))
            kills += bool(_KILLED.match(line))
            if time.monotonic() - told > 5:
                told = time.monotonic()
                say(f"flow: {kills} kills; {line.strip()[:150]}")
        return demo.wait(), lines
    finally:
        alarm.cancel()
        if demo.poll() is None:
            demo.terminate()
            demo.wait(60)


def _merge(into: Verdict, other: Verdict) -> None:
    into.anomalies.update(other.anomalies)
    into.told += other.told
    for name in ("records", "aborted", "starts", "transactions", "applied", "effects"):
        setattr(into, name, getattr(into, name) + getattr(other, name))
