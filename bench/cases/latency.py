"""Case 4: how long an order takes to its first child order, without the waiting that is by design."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from bench.case import Bench, Case
from bench.flow import Flow, Seen
from bench.machine import broker_settings
from bench.results import Figure, Figures
from bench.stand import Failed, Stand
from pipeline import topics
from pipeline.domain.controls import Tick
from pipeline.domain.executions import ChildKind, ChildOrder
from pipeline.domain.orders import Order
from pipeline.domain.parents import Lineage, LineageKind, ParentKind, ParentOrder
from pipeline.domain.units import NS_PER_S

RATE = 1_000
INSTRUMENTS = 24
HELD_A_SECOND = 10
UNITS = ("intake", "engine", "venues")
WATCHED = (topics.ORDERS, topics.LINEAGE, topics.PARENTS, topics.CHILD_ORDERS, topics.CLOCK)


class Setting(NamedTuple):
    """A row."""

    name: str
    partitions: int
    brokers: int = 1
    rate: int = RATE
    verified: bool = True
    """Whether the broker verifies each partition of a transaction with its coordinator."""


SETTINGS: Final = (
    Setting("P = 2", 2),
    Setting("P = 12", 12),
    Setting("P = 2, broker verification off", 2, verified=False),
    Setting("P = 2, 3 brokers, replication 3", 2, brokers=3),
    Setting("P = 2, 3 brokers, replication 3, 100 orders/s", 2, brokers=3, rate=100),
)


def run(bench: Bench) -> None:
    for setting in SETTINGS:
        if bench.wanted(setting.name):
            try:
                _measure(bench, setting)
            except Failed as error:  # three brokers on two cores may be more than they can do
                bench.left_out(setting.name, str(error))


def _measure(bench: Bench, setting: Setting) -> None:
    name, partitions, brokers = setting.name, setting.partitions, setting.brokers
    rate, seconds, warm_s = bench.options.rate or setting.rate, bench.count(30, 10), bench.count(25, 5)
    own = {} if setting.verified else {"transaction.partition.verification.enable": "false"}
    with Stand(partitions, brokers=brokers, heap_mb=512 if brokers > 1 else 1024, settings=own) as stand:
        flow = Flow(stand, instruments=INSTRUMENTS, seconds=600, units=UNITS)
        seen = Seen(stand, *(topic.name for topic in WATCHED))
        sender = flow.send(rate, seconds + warm_s, held_every=rate // HELD_A_SECOND, held_live_s=5)
        with flow.watch() as watch:
            seen.until(flow.start_ns + (seconds + warm_s + 8) * NS_PER_S)
        flow.check()
        if sender.poll() != 0:
            raise Failed(f"the sender: {stand.said('sender')[-500:]}")
        records = seen.records()
        seen.close()
        settings: dict[str, Figure] = {
            "P": partitions, "replication": brokers, "orders/s": rate, "seconds": seconds, "instruments": INSTRUMENTS,
            **broker_settings(stand.bootstrap),
        }  # fmt: skip
        begin_ns = flow.start_ns + warm_s * NS_PER_S
        joined, first_child, raw = latencies(records, begin_ns)
        if len(first_child) < seconds * HELD_A_SECOND * 0.9:
            raise Failed(f"{name}: {len(first_child)} of {seconds * HELD_A_SECOND} held orders had a child")
        end_s = flow.start_ns / 1e9 + seconds + warm_s
        cpu: Figures = {
            f"{unit} CPU": f"{watch.cpu_s(unit, begin_ns / 1e9, end_s) / seconds:.0%}"
            for unit in (*UNITS, *stand.broker_pids)
        }
        bench.record(f"{name}: order-in to its first child", {**quantiles(first_child), **cpu}, settings)
        bench.record(f"{name}: the same with what waits for a tick", quantiles(raw), settings)
        bench.record(f"{name}: order-in to joined in netting", quantiles(joined), settings)
        flow.stop()


def latencies(records: Sequence[tuple[int, Any]], begin_ns: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds: to the window, to the first child without waiting for a tick, and with it.

    Of orders due from ``begin_ns`` on. The wait that is taken off: from the moment the parent was seen to the wall time
    of the tick that let its first slice go, where that is later.
    """
    due: dict[str, int] = {}
    held: set[str] = set()
    ticks: dict[int, int] = {}
    joined: list[float] = []
    bucket_of: dict[str, str] = {}
    parent: dict[str, tuple[int, str]] = {}
    child: dict[str, tuple[int, int]] = {}
    for at_ns, record in records:
        match record:
            case Order() if record.request.transact_ns is not None and record.request.transact_ns >= begin_ns:
                due[record.order_id] = record.request.transact_ns
                if record.request.held:
                    held.add(record.order_id)
            case Tick():
                ticks.setdefault(record.now_ns, record.wall_ns)
            case ParentOrder() if record.kind is ParentKind.NEW:
                parent[record.parent_id] = at_ns, record.bucket_id
            case ChildOrder() if record.kind is ChildKind.NEW:
                child.setdefault(record.parent_id, (at_ns, record.sent_ns))
            case _:
                pass
    for at_ns, record in records:
        if isinstance(record, Lineage) and record.kind is LineageKind.JOINED:
            order_id = record.members[0].order_id
            if order_id in due:
                joined.append((at_ns - due[order_id]) / 1e6)
                if order_id in held:
                    bucket_of[record.bucket_id] = order_id
    working, whole = [], []
    for parent_id, (seen_ns, bucket_id) in parent.items():
        order_id = bucket_of.get(bucket_id, "")
        if order_id and parent_id in child:
            child_ns, tick_ns = child[parent_id]
            waited_ns = max(0, ticks.get(tick_ns, seen_ns) - seen_ns)
            working.append((child_ns - due[order_id] - waited_ns) / 1e6)
            whole.append((child_ns - due[order_id]) / 1e6)
    return joined, working, whole


def quantiles(found: Sequence[float]) -> Figures:
    """Median, 99th percentile and maximum of ``found`` (ms). Raises Failed for fewer than two."""
    if len(found) < 2:
        raise Failed("nothing was seen")
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    return {"p50 ms": cuts[49], "p99 ms": cuts[98], "max ms": max(found), "orders": len(found)}


CASE = Case(
    "latency",
    "Latency, order-in to child-order-out, at 1,000 orders a second",
    "window wait excluded, at P = 2: p50 ≤ 25 ms, p99 ≤ 100 ms; the same at P = 12; once with three brokers, "
    "replication 3",
    "Units intake, engine and venues, a simulated market of 24 instruments, its clock ticks every 250 ms. Ten "
    "orders a second are *held* and short-lived: the window of such a one is now, so it is a parent at once and a part "
    "of it is due at once. They are timed from the moment they were due at the sender (whose client waits 5 ms for "
    "company, as is its default) to the moment a read-committed reader has their parent's first child. Where that "
    "child came with a later tick, the time from when the reader saw the parent to the wall time in that tick is "
    "waiting by design, like the window, and taken off; the second row has it. The third row is of all orders: due at "
    "the sender to JOINED seen, two transactional hops. All clocks are this machine's; its two cores have the broker "
    "or brokers, the units, the market, the sender and the reader.",
    run,
)
