"""Where the time of a whole day goes, stage by stage, and inside the hot ones function by function."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.case import Bench, Case
from bench.cases.intake import intake_inside, netting_inside, orders_in, run_intake, run_netting
from bench.world import World
from pipeline import topics, topology
from pipeline.demo.memory_run import run_in_memory
from pipeline.demo.scenario import scenario
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.memory.host import MemoryHost
from pipeline.runtime.worker import gc_tuning
from pipeline.runtime.worker.task import TaskRunner

PROFILED = 14
"""How many functions a profile shows."""


class Clocked:
    """Thread time of every task's work, by stage."""

    def __init__(self) -> None:
        self.apply_ns: dict[str, int] = {}
        self.close_ns: dict[str, int] = {}
        self.records: dict[str, int] = {}
        self.outputs: dict[str, int] = {}
        self.own_ns = 0
        """The cost of reading the clock, ns for each record."""


@contextmanager
def clocked() -> Iterator[Clocked]:
    """A context in which every task of this process is timed; the cost of reading the clock is measured and
    deducted."""
    found, now = Clocked(), time.thread_time_ns
    apply, close = TaskRunner.apply, TaskRunner.close
    begun = now()
    for _ in range(10_000):
        now()
    found.own_ns = (now() - begun) // 10_000

    def timed_apply(task: TaskRunner, message: Any) -> Any:
        begun = now()
        outputs = apply(task, message)
        name = task.stage.name
        found.apply_ns[name] = found.apply_ns.get(name, 0) + now() - begun - found.own_ns
        found.records[name] = found.records.get(name, 0) + 1
        found.outputs[name] = found.outputs.get(name, 0) + len(outputs)
        return outputs

    def timed_close(task: TaskRunner) -> Any:
        begun = now()
        closed = close(task)
        name = task.stage.name
        found.close_ns[name] = found.close_ns.get(name, 0) + now() - begun
        return closed

    TaskRunner.apply, TaskRunner.close = timed_apply, timed_close  # type: ignore[method-assign,assignment]
    try:
        yield found
    finally:
        TaskRunner.apply, TaskRunner.close = apply, close  # type: ignore[method-assign]


def run(bench: Bench) -> None:
    orders = bench.count(20_000, 2_000)
    day = scenario({"PIPELINE_DATA": str(Path("/nonexistent"))}, orders=orders, seconds=bench.count(300, 120))
    gc_tuning.only_the_young()
    with clocked() as found:
        begun = time.thread_time()
        host = run_in_memory(day, partitions=2)
        whole_s = time.thread_time() - begun
    decode_us = _decode_us(host)
    total_ns = sum(found.apply_ns.values()) + sum(found.close_ns.values())
    for unit in topology.UNITS:
        for stage in unit.stages:
            name = stage.name
            if not found.records.get(name):
                continue
            spent = found.apply_ns[name] + found.close_ns.get(name, 0)
            bench.record(
                f"{name} ({unit.name})",
                {
                    "records": found.records[name],
                    "µs a record": spent / found.records[name] / 1e3,
                    "outputs": found.outputs[name],
                    "µs an order": spent / orders / 1e3,
                    "share": f"{spent / total_ns:.0%}",
                },
                {"orders": orders},
            )
    for topic, cost in sorted(decode_us.items(), key=lambda pair: -pair[1] * len(host.records(pair[0]))):
        count = len(host.records(topic))
        if count > orders // 10:
            bench.record(
                f"decoding {topic}", {"records": count, "µs a record": cost, "µs an order": cost * count / orders}
            )
    bench.record(
        "the whole day", {"µs an order": whole_s / orders * 1e6, "records": sum(found.records.values())},
        {"orders": orders}, "everything but decoding: CPU of one thread over all stages, with the host that runs them",
    )  # fmt: skip


def _decode_us(host: MemoryHost) -> dict[str, float]:
    """A decoding, by topic that crosses between units."""
    codec = Codec(LocalIds())
    found = {}
    for (name, _), stored in sorted(host.topics.items()):
        values = [each.value for each in stored[:5_000] if each.value and each.record is not None]
        if len(values) < 200 or name in found or "." in name:
            continue
        begun = time.thread_time_ns()
        for value in values:
            codec.decode(name, value)
        found[name] = (time.thread_time_ns() - begun) / len(values) / 1e3
    return found


CASE = Case(
    "stages",
    "Where the time goes, stage by stage",
    "show what the time goes to",
    "A simulated day of two instruments in the memory host: the same cells, tasks and codec as the worker's, P = 2. "
    "Thread time of each task's apply (checks of sequence, journal hash of the input, step, encoding, hash of the "
    "outputs) and close (journal, changelog). Records are all that a stage applies, market data and ticks too. What a "
    "unit reads from Kafka is decoded besides: those are the rows `decoding`.",
    run,
)


def run_profile(bench: Bench) -> None:
    count = bench.count(30_000, 5_000)
    world = World(1)
    raws, _ = orders_in(world, count)
    intake = intake_inside(world)
    intake.keep = {topics.ORDERS.name}
    _profiled(bench, "intake", count, lambda: run_intake(intake, raws, world.base_ns))
    orders = intake.outputs[topics.ORDERS.name]
    netting = netting_inside(world)
    _profiled(bench, "netting", count, lambda: run_netting(netting, world, orders))
    day_orders = bench.count(3_000, 500)
    day = scenario({"PIPELINE_DATA": str(Path("/nonexistent"))}, orders=day_orders, seconds=120)
    _profiled(bench, "whole day", day_orders, lambda: run_in_memory(day, partitions=2))


def _profiled(bench: Bench, what: str, count: int, work: Callable[[], object]) -> None:
    profile = cProfile.Profile(time.thread_time)
    profile.runcall(work)
    stats: Any = pstats.Stats(profile)
    total = stats.total_tt
    rows = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:PROFILED]
    for (file, line, function), (_, calls, own_s, with_s, _) in rows:
        where = f"{Path(file).stem}:{line} "
        if file.startswith(("~", "<")):
            where = f"{file[1:-1]}: " if file.startswith("<avro") else ""
        bench.record(
            f"{what}: {where}{function}",
            {
                "own share": f"{own_s / total:.1%}",
                "with callees": f"{with_s / total:.1%}",
                "calls an order": calls / count,
            },
        )


PROFILE = Case(
    "profile",
    "Where the time goes, function by function",
    "profile, and show what the time goes to",
    "cProfile over intake and netting without a broker, and over a small day in memory: functions by the share of time "
    "spent in themselves. The profiler taxes every call of a Python function, so these are hints, not times.",
    run_profile,
)
