"""What an order costs in the machine: each unit fed with bytes already fetched, stage by stage, no broker.

    python -m ops.hot_path [--orders 30000] [--batch 1000] [--repeat 5] [--unit engine] [--keep FILE] [--profile]

A busy minute is run once through the memory host; what each unit's cell was given, in that order, is then applied again
by a new cell from the bytes: decode, apply, close, as the worker does it. Times are CPU time of this process. Each is
taken batch by batch, the least of all runs: other work on the machine makes a batch slower, never quicker.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pickle
import pstats
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import topology
from pipeline.demo.memory_run import run_in_memory
from pipeline.demo.scenario import scenario
from pipeline.runtime import cell as cells
from pipeline.runtime.codec import Codec, LocalIds
from pipeline.runtime.task import Epoch, Message, TaskRunner
from pipeline.runtime.wiring import Wiring
from pipeline.topics import topic_named

_NOWHERE = {"PIPELINE_DATA": "/nowhere"}
Times = dict[str, list[int]]
"""CPU nanoseconds of each batch, by what took them."""


class Fetched(NamedTuple):
    """A record as a worker fetches it."""

    topic: str
    offset: int
    append_ns: int
    key: bytes | None
    value: bytes | None


def recorded(orders: int) -> dict[str, list[Fetched]]:
    """Unit to all that its cell was given."""
    met: dict[str, list[Fetched]] = {}
    apply = cells.Cell.apply

    def noting(self: cells.Cell, message: Message) -> None:
        fetched = Fetched(message.topic.name, message.offset, message.append_ns, message.key, message.value)
        met.setdefault(self.wiring.unit, []).append(fetched)
        apply(self, message)

    cells.Cell.apply = noting  # type: ignore[method-assign]
    try:
        run_in_memory(scenario(_NOWHERE, orders=orders, seconds=60), partitions=1)
    finally:
        cells.Cell.apply = apply  # type: ignore[method-assign]
    return {unit.name: met["+".join(stage.name for stage in unit.stages)] for unit in topology.UNITS}


def kept(orders: int, path: Path | None) -> dict[str, list[Fetched]]:
    """The same, from a file where there is one, so that two versions of the code can be given the same bytes."""
    if path is not None and path.exists():
        rows = pickle.loads(path.read_bytes())
        return {unit: [Fetched(*row) for row in of_unit] for unit, of_unit in rows.items()}
    met = recorded(orders)
    if path is not None:
        path.write_bytes(pickle.dumps({unit: [tuple(each) for each in of_unit] for unit, of_unit in met.items()}))
    return met


class Clocked:
    """CPU time by name, for one run over all batches."""

    def __init__(self) -> None:
        self.times: Times = {}
        self.calls: Counter[str] = Counter()
        self.batch = 0

    def add(self, name: str, ns: int) -> None:
        rows = self.times.setdefault(name, [])
        rows.extend([0] * (self.batch + 1 - len(rows)))
        rows[self.batch] += ns
        self.calls[name] += 1

    def wrap(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        clock, add = time.thread_time_ns, self.add

        def timed(*given: Any) -> Any:
            begun = clock()
            done = work(*given)
            add(name, clock() - begun)
            return done

        return timed


def run(
    unit: topology.Unit, before: list[Fetched], fetched: list[Fetched], batch: int, clocked: Clocked, *, parts: bool
) -> int:
    """Apply all of it; returns how many records came out. ``parts``: time each part too, which itself takes time."""
    codec = Codec(LocalIds())
    cell = cells.Cell(Wiring(unit.name, unit.stages, topology.STAGES), 0, 1, codec)
    cell.start(Epoch())
    topics = {each.topic: topic_named(each.topic) for each in (*before, *fetched)}
    for topic, offset, append_ns, key, value in before:
        cell.apply(cells.read(topics[topic], codec, 0, offset, append_ns, key, value))
    cell.close()
    read, apply = cells.read, cell.apply
    if parts:
        read = clocked.wrap("decode", read)
        for task in cell.tasks:
            _watch(task, clocked)
    out = 0
    # What is here before belongs to the measuring: a collection shall not walk it.
    gc.collect()
    gc.freeze()
    for no, first in enumerate(range(0, len(fetched), batch)):
        clocked.batch = no
        begun = time.thread_time_ns()
        for topic, offset, append_ns, key, value in fetched[first : first + batch]:
            apply(read(topics[topic], codec, 0, offset, append_ns, key, value))
        out += len(cell.close().outputs)
        clocked.add("all", time.thread_time_ns() - begun)
    gc.unfreeze()
    return out


def _watch(task: TaskRunner, clocked: Clocked) -> None:
    name = task.stage.name
    task.apply = clocked.wrap(f"{name} apply", task.apply)  # type: ignore[method-assign]
    task.close = clocked.wrap(f"{name} close", task.close)  # type: ignore[method-assign]


def least(runs: list[Times]) -> dict[str, int]:
    """Of every batch the quickest run, added up."""
    return {name: sum(min(batches) for batches in zip(*(run[name] for run in runs), strict=True)) for name in runs[0]}


def measured(
    unit: topology.Unit, before: list[Fetched], fetched: list[Fetched], batch: int, repeat: int, *, parts: bool = False
) -> tuple[dict[str, int], Counter[str], int]:
    """Least times, calls, records out."""
    runs, out = [], 0
    clocked = Clocked()
    for _ in range(repeat):
        clocked = Clocked()
        out = run(unit, before, fetched, batch, clocked, parts=parts)
        runs.append(clocked.times)
    return least(runs), clocked.calls, out


def show(unit: topology.Unit, fetched: list[Fetched], batch: int, orders: int, repeat: int) -> None:
    whole, _, out = measured(unit, [], fetched, batch, repeat)
    times, calls, _ = measured(unit, [], fetched, batch, repeat, parts=True)
    print(f"{unit.name}: {len(fetched):,} in, {out:,} out; {whole['all'] / orders / 1000:.1f} µs an order")
    for name, ns in times.items():
        if name != "all":
            each = f"{ns / calls[name] / 1000:9.2f} µs a call  {calls[name]:,}"
            print(f"    {name:18} {ns / orders / 1000:7.2f} µs an order   {each}")


def only(unit: topology.Unit, fetched: list[Fetched], topic: str, batch: int, repeat: int) -> None:
    """The unit's cell on what is of one topic, after all else up to the first of it: the stage's own hot path."""
    first = next(i for i, each in enumerate(fetched) if each.topic == topic)
    hot = [each for each in fetched[first:] if each.topic == topic]
    whole, _, _ = measured(unit, fetched[:first], hot, batch, repeat)
    each = whole["all"] / len(hot) / 1000
    print(f"{unit.name} fed with {topic} alone: {each:.1f} µs each, {1e6 / each:,.0f}/s")


def main() -> None:
    asks = argparse.ArgumentParser()
    asks.add_argument("--orders", type=int, default=30_000)
    asks.add_argument("--batch", type=int, default=1_000)
    asks.add_argument("--repeat", type=int, default=5)
    asks.add_argument("--unit", default="")
    asks.add_argument("--keep", type=Path)
    asks.add_argument("--profile", action="store_true")
    asked = asks.parse_args()
    met = kept(asked.orders, asked.keep)
    for unit in topology.UNITS:
        if asked.unit in ("", unit.name):
            if asked.profile:
                profile = cProfile.Profile()
                profile.runcall(run, unit, [], met[unit.name], asked.batch, Clocked(), parts=False)
                pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(45)
            else:
                show(unit, met[unit.name], asked.batch, asked.orders, asked.repeat)
    if not asked.profile:
        if asked.unit in ("", "intake"):
            only(topology.unit_named("intake"), met["intake"], "orders-in", asked.batch, asked.repeat)
        if asked.unit in ("", "engine"):
            only(topology.unit_named("netting"), met["engine"], "orders", asked.batch, asked.repeat)


if __name__ == "__main__":
    main()
