"""Case 5: what a transaction costs by the partitions it touches; and how soon a kill is a kill, under full load."""

from __future__ import annotations

import statistics
import time
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from bench.case import Bench, Case
from bench.flow import Flow, Seen
from bench.machine import broker_settings
from bench.results import Figure
from bench.stand import Failed, Stand
from pipeline.domain.controls import Control, ControlKind, ControlScope
from pipeline.domain.executions import ChildKind, ChildOrder
from pipeline.domain.units import NS_PER_S
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.transaction import Transactions
from pipeline.topics import CHILD_ORDERS

TOUCHED: Final = (1, 12, 48, 120)
APART_S: Final = 0.030
"""What the worker leaves between commits under load."""
VALUE: Final = b"x" * 200
KILL_INSTRUMENTS: Final = 12


def run(bench: Bench) -> None:
    with Stand(max(TOUCHED)) as stand:
        stand.create("in", "out")
        settings: dict[str, Figure] = {"replication": 1, **broker_settings(stand.bootstrap)}
        for touched in TOUCHED:
            for apart_s in (0.0, APART_S):
                row = f"{touched} partitions, " + (f"{apart_s * 1000:.0f} ms apart" if apart_s else "back to back")
                for _ in bench.runs(1 if apart_s else 2):
                    if bench.wanted(row):
                        _measure(bench, stand, row, touched, apart_s, settings)
    if bench.wanted("kill"):
        for _ in bench.runs(1):
            _kill(bench)


def _measure(bench: Bench, stand: Stand, row: str, touched: int, apart_s: float, settings: dict[str, Figure]) -> None:
    consumer = Consumer({"bootstrap.servers": stand.bootstrap, "group.id": f"bench-{touched}", "log_level": 0})
    consumer.subscribe(["in"])
    deadline = time.monotonic() + 30
    while not consumer.assignment():
        consumer.poll(0.1)
        if time.monotonic() > deadline:
            raise Failed("the group was not joined")
    transactions = Transactions(f"bench-{touched}", WorkerContext("bench", lambda text: None, Kafka(stand.bootstrap)))
    transactions.open()
    took = []
    for number in range(bench.count(60, 20) + 10):
        rows = [("out", partition, b"k", VALUE) for partition in range(touched)]
        begun = time.perf_counter()
        transactions.write(rows, [TopicPartition("in", 0, number)], consumer.consumer_group_metadata())
        took.append((time.perf_counter() - begun) * 1e3)
        time.sleep(apart_s)
    transactions.close()
    consumer.close()
    took = took[10:]
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    bench.record(
        row,
        {"p50 ms": cuts[49], "p99 ms": cuts[98], "max ms": max(took), "ms a partition": cuts[49] / touched},
        {**settings, "transactions": len(took)},
    )


def _kill(bench: Bench) -> None:
    """Overload, then KILL for all: how long after it a reader still sees a new child order."""
    rate, seconds = bench.options.rate or bench.count(10_000, 500), bench.count(30, 12)
    kill_after_s = seconds * 2 // 3
    with Stand(2) as stand:
        flow = Flow(stand, instruments=KILL_INSTRUMENTS, seconds=600)
        desk = stand.edge("desk")
        seen = Seen(stand, CHILD_ORDERS.name)
        flow.send(rate, seconds, held_every=50, held_live_s=20)
        seen.until(flow.start_ns + kill_after_s * NS_PER_S)
        killed_ns = time.time_ns()
        control = Control(
            kind=ControlKind.KILL, control_id="bench", scope=ControlScope.ALL, who="bench", why="measured",
            at_ns=killed_ns,
        )  # fmt: skip
        desk.write([control])
        written_ns = time.time_ns()
        seen.until(flow.start_ns + (seconds + 10) * NS_PER_S)
        flow.check()
        new = [at for at, record in seen.records() if isinstance(record, ChildOrder) and record.kind is ChildKind.NEW]
        seen.close()
        before = [at for at in new if killed_ns - NS_PER_S <= at < killed_ns]
        if not before:
            raise Failed("no child was sent in the second before the kill: it shows nothing")
        bench.record(
            "kill, to the last child seen",
            {
                "ms": (max([killed_ns, *new]) - killed_ns) / 1e6,
                "ms to write it": (written_ns - killed_ns) / 1e6,
                "children/s before": len(before),
                "orders/s": rate,
            },
            {"P": 2, "replication": 1, "instruments": KILL_INSTRUMENTS, **broker_settings(stand.bootstrap)},
            "from the desk's call to the last new child a read-committed reader sees; the control's own transaction "
            "counts",
        )
        flow.stop()


CASE = Case(
    "transactions",
    "Transactions: milliseconds by partitions touched; a kill under full load",
    "milliseconds per transaction against partitions touched; from a kill control to the last child at full load ≤ 1 s",
    "The worker's own `Transactions.write`: begin, one record of 200 bytes to each partition, flush, send offsets, "
    "commit. The kill: all units at P = 2 under more orders than they can take, one in fifty held so that "
    "children flow all the time; KILL of everything in the middle of it.",
    run,
)
