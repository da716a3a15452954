"""The main job, as a newcomer runs it: on a real broker, every unit killed in the middle, and stopped by Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.waiting import GIVE_UP_S

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--orders", "500", "--seconds", "100", "--rate", "10"]


def environment() -> dict[str, str]:
    """Its own broker, a simulated market: the same on every machine. And a wire secret of its own, as a desk has."""
    env = {k: v for k, v in os.environ.items() if k not in ("KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "MARKET")}
    return {
        **env,
        "PIPELINE_DATA": "/nonexistent",
        "PIPELINE_DESK_PORT": "0",
        "PIPELINE_WIRE_SECRET": "a secret of our own, long enough",
    }


@pytest.mark.slow
def test_every_unit_killed_in_the_middle_and_the_books_balance(tmp_path: Path) -> None:
    kills = [
        f"--kill={unit}@{second}" for unit, second in (("engine", 3), ("venues", 4.5), ("intake", 6), ("reporting", 7))
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", *SMALL, *kills, "--save", str(tmp_path)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    report = (tmp_path / "report.txt").read_text()
    for unit in ("engine", "venues", "intake", "reporting"):
        assert f"{unit} (1×)" in report, report[:2000]
    assert "VERIFIED: every record the stages wrote" in report
    assert "OFF" not in report
    accepted = re.search(r"accepted ([\d,]+)", report)
    assert accepted is not None and int(accepted[1].replace(",", "")) > 400


def test_ctrl_c_leaves_nothing_running() -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "demo", *SMALL],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if "are running" in line:
            break
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) > 5
    demo.send_signal(signal.SIGINT)
    demo.stdout.read()
    assert demo.wait(GIVE_UP_S) == 130
    deadline = time.monotonic() + GIVE_UP_S
    while any(child.is_running() for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [child for child in children if child.is_running()] == []
