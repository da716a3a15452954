"""Case 8: one unit's rate with one, two and four workers on twelve partitions."""

from __future__ import annotations

import re
from typing import Final

from bench.case import Bench, Case
from bench.machine import broker_settings
from bench.results import Figures
from bench.stand import Failed, Stand, Stored, drained
from bench.watch import Watch
from bench.world import Pulse, World
from pipeline import topics

P: Final = 12
WORKERS: Final = (1, 2, 4)


def run(bench: Bench) -> None:
    for workers in WORKERS:
        for _ in bench.runs(1):
            if bench.wanted(f"{workers} worker"):
                _measure(bench, workers)


def _measure(bench: Bench, workers: int) -> None:
    count = bench.count(160_000, 24_000)
    world = World(P, sources=2 * P)
    with Stand(P) as stand:
        stand.topics(world.sources)
        stand.edge("reference").write(world.reference())
        processes = [stand.unit("intake", slot) for slot in range(workers)]
        with Pulse(stand, world):
            # Every worker has its share once the last log lines of all slots name P partitions together.
            stand.wait(lambda: _assigned(stand.said("intake"), workers) == P, 90, "the partitions are not shared out")
            stand.until_read("intake", topics.CREDIT.name)
            rows = []
            for _ in range(count):
                request = world.order()
                partition, key = world.place_of(request)
                rows.append((topics.ORDERS_IN.name, partition, key, stand.codec.encode(request)))
            pids = {f"worker{slot}": process.pid for slot, process in enumerate(processes)}
            with Watch(**pids, **stand.broker_pids) as watch:
                stand.pour(rows)
                stand.until_written(topics.ORDERS.name, count, 300, processes[0])
            for process in processes:
                stand.stop(process)
        times: list[float] = []

        def take(stored: Stored) -> None:
            times.append(stored.append_s)

        stand.read(topics.ORDERS.name, take)
        if len(times) != count:
            raise Failed(f"{len(times)} orders of {count}")
        # Without the load's own time at the beginning, and without the end, where some have nothing left.
        found = drained(sorted(times)[: count * 9 // 10], count * 3 // 10)
        cpu = sum(watch.cpu_s(name, found.begin_s, found.end_s) for name in pids)
        figures: Figures = {
            "orders/s": found.rate,
            "workers' cores": cpu / (found.end_s - found.begin_s),
            "broker's cores": watch.cpu_s("broker", found.begin_s, found.end_s) / (found.end_s - found.begin_s),
            "worker µs an order": cpu / found.records * 1e6,
        }
        bench.record(
            f"{workers} worker{'s' * (workers > 1)}", figures,
            {"P": P, "replication": 1, "orders": count, **broker_settings(stand.bootstrap)},
        )  # fmt: skip


_READY: Final = re.compile(r"(\S+): ready, on partitions \[([\d, ]*)\]")


def _assigned(said: str, workers: int) -> int:
    """How many partitions the slots' last log lines name."""
    last = {slot: len(numbers.split(",")) if numbers else 0 for slot, numbers in _READY.findall(said)}
    return sum(last.values()) if len(last) == workers else 0


CASE = Case(
    "scale-out",
    "Scale-out: intake with 1, 2 and 4 workers on 12 partitions",
    "the rate, as far as two cores can show",
    "All workers have their partitions before the load comes, which is put on `orders-in` as fast as it goes; orders a "
    "second by append times between 30 % and 90 % of them. The broker needs a part of the two cores: what the workers "
    "and the broker really used is in the table, and where their sum is near the machine's cores, the machine is full.",
    run,
)
