"""The examples of docs/quant.md run as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.documents import ROOT, snippet


def run(name: str, folder: Path) -> str:
    script = folder / name
    script.write_text(snippet(name), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_settings_are_compared_over_the_same_day(tmp_path: Path) -> None:
    lines = run("compare.py", tmp_path).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["as it is", "more patient"]
    fills = [int(number) for line in lines for number in re.findall(r"(\d+) fills", line)]
    assert len(fills) == 2 and min(fills) > 0
    assert lines[0].partition(":")[2] != lines[1].partition(":")[2], "the setting makes no difference"


def test_a_day_in_memory_is_replayed_identically(tmp_path: Path) -> None:
    said = run("replay.py", tmp_path)
    assert "VERIFIED: every record" in said and "2 times over" in said and "NOT VERIFIED" not in said
