"""Runs of a kind: batch after batch, each on a broker of its own, each checked and its result kept."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.chaos import flow, report
from tests.chaos.arena import Arena
from tests.chaos.checker import Verdict
from tests.chaos.faults import KINDS

FLOW: Final = "flow"
ALL: Final = (*KINDS, FLOW)
Say = Callable[[str], None]


def run(kind: str, count: int, batch: int, seed: int, reports: Path, say: Say) -> int:
    """Inject at least ``count`` faults of ``kind``; returns the number of anomalies."""
    injected = anomalies = number = 0
    while injected < count:
        number += 1
        result = run_batch(kind, min(batch, count - injected), seed * 1000 + number, reports / "kept", say)
        report.append(reports, result)
        injected += sum(result["injected"].values())
        anomalies += sum(result["anomalies"].values())
        say(
            f"{kind}: {injected} of {count} faults; {result['records']} records checked, {result['aborted']} aborted "
            f"unseen, {sum(result['anomalies'].values())} anomalies; {result['seconds']:.0f} s"
        )
        for text in result["told"]:
            say(f"  ANOMALY {text}")
    return anomalies


def run_batch(kind: str, target: int, seed: int, keep: Path | None, say: Say) -> report.Result:
    """One batch on one broker."""
    began = time.monotonic()
    if kind == FLOW:
        verdict, told = flow.run_flow(target, seed, keep, say)
        return {**described(kind, flow.TITLE, seed, began, verdict), **told}
    chosen = KINDS[kind]
    with Arena(
        kind, seed, say, brokers=chosen.brokers, orders=chosen.orders, rate=chosen.rate, instruments=chosen.instruments,
        keep=keep,
    ) as arena:  # fmt: skip
        arena.target = target
        arena.load.start()
        chosen.inject(arena, target)
        verdict = arena.finish()
        return {
            **described(kind, chosen.title, seed, began, verdict),
            "injected": dict(arena.injected),
            "processes": arena.fleet.starts,
            "client_aborts": arena.fleet.client_aborts,
            "hung": arena.fleet.hung,
        }


def described(kind: str, title: str, seed: int, began: float, verdict: Verdict) -> report.Result:
    """What every result says."""
    return {
        "kind": kind,
        "title": title,
        "seed": seed,
        "commit": commit(),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.monotonic() - began, 1),
        "anomalies": {wrong.name: number for wrong, number in verdict.anomalies.items()},
        "told": verdict.told,
        "records": verdict.records,
        "aborted": verdict.aborted,
        "starts": verdict.starts,
        "transactions": verdict.transactions,
        "applied": verdict.applied,
        "effects": verdict.effects,
    }


def commit() -> str:
    """Short hash, with a plus when files differ from it."""
    root = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short=10", "HEAD") + ("+" if git("status", "--porcelain", "--", "pipeline") else "")
