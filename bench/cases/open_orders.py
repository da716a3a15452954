"""Case 6: what an order costs, and how long the longest pause is, with 10,000, 100,000 and 1,000,000 orders open."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from typing import Any, Final

import msgspec

from bench.case import Bench, Case
from bench.inside import Chain, timed_s
from bench.stand import ROOT, Failed
from bench.watch import resident_bytes
from bench.world import World
from pipeline import topics
from pipeline.stages.allocation.state import AllocationState
from pipeline.stages.intake.state import IntakeState

LEVELS: Final = (10_000, 100_000, 1_000_000)
BLOCK: Final = 5_000
"""Orders timed on top of a level."""
TICK_EVERY: Final = 2_500
"""Orders between two ticks: four a second at 10,000 orders a second."""
APART_NS: Final = 100_000
UNITS: Final = (
    ("credit", "intake"),
    ("netting", "slicing", "routing", "allocation"),
    ("analytics", "tca", "publishing"),
)


class Found(msgspec.Struct):
    """A level."""

    open_orders: int
    us_an_order: float
    longest_gc_ms: float
    longest_step_ms: float
    """CPU time of one message with all it causes in its unit, collections included."""
    longest_tick_ms: float
    """CPU time of one tick through all units."""
    resident: int


def run(bench: Bench) -> None:
    """Runs in a process of its own, so that its memory can be measured."""
    levels = [str(level) for level in ((1_000, 10_000, 30_000) if bench.options.quick else LEVELS)]
    command = [sys.executable, "-m", "bench.cases.open_orders", *levels]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        before: Found | None = None
        for line in process.stdout:
            found = msgspec.json.decode(line, type=Found)
            bench.record(
                f"{found.open_orders:,} open orders",
                {
                    "µs an order": found.us_an_order,
                    "longest gc ms": found.longest_gc_ms,
                    "longest step ms": found.longest_step_ms,
                    "longest tick ms": found.longest_tick_ms,
                    "resident MB": found.resident / 1e6,
                    "bytes an order since": 0.0
                    if before is None
                    else (found.resident - before.resident) / (found.open_orders - before.open_orders),
                },
                {"P": 1, "timed orders": BLOCK},
            )
            before = found
    if process.returncode:
        raise Failed(f"the process ended with {process.returncode}")


def main(levels: list[int]) -> None:
    """One JSON line a level."""
    world = World(1)
    chain = Chain(*UNITS)
    now_ns = world.base_ns
    chain.tell(world.reference(), now_ns)
    chain.tell([*world.quotes(now_ns), world.tick(now_ns)], now_ns)
    codec = chain.insides[0].codec
    pauses = _Pauses()
    steps = _Steps(chain)
    done = 0

    def block(count: int) -> tuple[float, float]:
        """That many orders; CPU seconds of it all, and of the longest tick."""
        nonlocal now_ns, done
        spent = longest = 0.0
        for begin in range(0, count, TICK_EVERY):
            raws = []
            for _ in range(min(TICK_EVERY, count - begin)):
                request = msgspec.structs.replace(world.order(), crossing_consent=False)
                raws.append((request.source.encode(), codec.encode(request)))
            begun = timed_s()
            chain.feed(topics.ORDERS_IN, raws, now_ns, APART_NS)
            now_ns += TICK_EVERY * APART_NS
            tick_begun = timed_s()
            chain.tell([world.tick(now_ns)], now_ns)
            longest = max(longest, timed_s() - tick_begun)
            spent += timed_s() - begun
        done += count
        return spent, longest

    for level in levels:
        block(level - done)
        pauses.longest_ms = steps.longest_ms = 0.0
        spent, longest_tick = block(BLOCK)
        _check(chain, done)
        found = Found(
            level, spent / BLOCK * 1e6, pauses.longest_ms, steps.longest_ms, longest_tick * 1e3, resident_bytes()
        )
        print(msgspec.json.encode(found).decode(), flush=True)


def _check(chain: Chain, due: int) -> None:
    """Check that every order is open, in intake's state and in allocation's."""
    tasks = {task.stage.name: task.state for inside in chain.insides for task in inside.task_group.tasks}
    intake, allocation = tasks["intake"], tasks["allocation"]
    assert isinstance(intake, IntakeState) and isinstance(allocation, AllocationState)
    if (len(intake.orders), len(allocation.orders)) != (due, due):
        raise Failed(f"{len(intake.orders)} open in intake, {len(allocation.orders)} in allocation, of {due}")


class _Pauses:
    """How long the longest garbage collection took."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._begun = 0
        gc.callbacks.append(self._told)

    def _told(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.thread_time_ns()
        else:
            self.longest_ms = max(self.longest_ms, (time.thread_time_ns() - self._begun) / 1e6)


class _Steps:
    """How long the longest message took in its unit."""

    def __init__(self, chain: Chain) -> None:
        self.longest_ms = 0.0
        for inside in chain.insides:
            self._watch(inside.task_group)

    def _watch(self, task_group: Any) -> None:
        apply = task_group.apply

        def timed(message: Any) -> None:
            begun = time.thread_time_ns()
            apply(message)
            self.longest_ms = max(self.longest_ms, (time.thread_time_ns() - begun) / 1e6)

        task_group.apply = timed


CASE = Case(
    "open-orders",
    "Open orders in state",
    "cost per order flat within 15 % from 10,000 to 1,000,000 open orders, no pause above 50 ms; at most 2 KiB "
    "resident per open order over all stages",
    "Intake, engine and reporting on one partition of one process, no broker: orders nobody may cross, the venues not "
    "open, so that all stay open in windows and parents. Then 5,000 more with a tick each 2,500: CPU seconds of the "
    "thread, decoding, journal and changelog included. A pause is a garbage collection, a message with all it causes, "
    "or a tick through all units. The garbage collector is set as in a worker. *bytes an order since*: growth of the "
    "resident size since the level before, by order.",
    run,
)

if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]])
