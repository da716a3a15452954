"""Case 3: the whole life, orders-in to allocations, everything on the same two cores as the broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from bench.case import Bench, Case
from bench.flow import ALL, Flow
from bench.machine import broker_settings
from bench.results import Figure, Figures
from bench.stand import Failed, Stand, Stored
from pipeline import topics
from pipeline.domain.allocations import Allocation
from pipeline.domain.orders import Order, OrderKind, OrdersClosed
from pipeline.domain.parents import Lineage, LineageKind

P = 2
INSTRUMENTS = 6
LARGEST_QTY = 6
ASKED = 10_000
LIVE_S = 20
"""An order lives 20 to 30 seconds, and its window closes after a tenth of that."""
LATE_S = 2.0
"""How late the last orders may be taken in and joined for the rate to count as sustained."""


class Day(NamedTuple):
    """What the topics hold after the run."""

    offered: int
    accepted: int
    joined: int
    closed: int
    allocations: int
    allocated_qty: int
    taken_in_time: int
    """Accepted before the last order was due."""
    joined_in_time: int
    intake_late_s: float
    """From the append of an order-in to that of its order, the largest of the last second's."""
    engine_late_s: float
    """From the append of an order to that of its JOINED, the largest of the last second's."""

    @property
    def sustained(self) -> bool:
        return max(self.intake_late_s, self.engine_late_s) <= LATE_S


def run(bench: Bench) -> None:
    if bench.options.rate:
        measure(bench, bench.options.rate, bench.count(60, 10), f"{bench.options.rate:,} orders/s offered")
        return
    rate, trial_s = bench.count(ASKED, 500), bench.count(20, 8)
    day = measure(bench, rate, trial_s, f"overload, {rate:,} orders/s offered for {trial_s} s")
    # What was done while it was offered is what the machine can do; a little is left for the end of the minute.
    rate = rate if day.sustained else max(50, int(day.joined_in_time / trial_s * 0.85) // 50 * 50)
    for _ in range(3):
        seconds = bench.count(60, 10)
        day = measure(bench, rate, seconds, f"sustained: {rate:,} orders/s offered for {seconds} s")
        if day.sustained:
            return
        rate = int(rate * 0.8) // 50 * 50


def measure(bench: Bench, rate: int, seconds: int, row: str, after: Callable[[Stand, Day], None] | None = None) -> Day:
    """Offer ``rate`` for ``seconds``, wait until all orders are over, count what came of them.

    ``after``: what is to be done with the cluster then; every unit has stopped.
    """
    drain_s = LIVE_S + 15
    with Stand(P) as stand:
        flow = Flow(stand, instruments=INSTRUMENTS, seconds=3_600)
        empty_bytes = stand.log_bytes()
        sender = flow.send(rate, seconds, live_s=LIVE_S, largest_qty=LARGEST_QTY)
        begin_s = flow.start_ns / 1e9
        end_s = begin_s + seconds
        with flow.watch() as watch:
            _sleep_until(end_s)
            backlog = sum(stand.ends(topics.ORDERS_IN.name)) - sum(stand.ends(topics.ORDERS.name))
            _sleep_until(end_s + drain_s)
        flow.check()
        if sender.poll() != 0:
            raise Failed(f"the sender: {stand.said('sender')[-500:]}")
        day = _count(stand, rate * seconds, end_s)
        figures: Figures = {
            "orders/s offered": rate,
            "orders/s taken in": day.taken_in_time / seconds,
            "orders/s joined": day.joined_in_time / seconds,
            "latest intake s": day.intake_late_s,
            "latest engine s": day.engine_late_s,
            "sustained": "yes" if day.sustained else "no",
            "orders over": f"{day.closed / max(day.accepted, 1):.1%}",
            "allocations": day.allocations,
            "allocated qty": day.allocated_qty,
        }
        for name in (*ALL, "market", *stand.broker_pids):
            figures[f"{name} CPU"] = f"{watch.cpu_s(name, begin_s, end_s) / seconds:.0%}"
        figures["log bytes an order"] = (stand.log_bytes() - empty_bytes) / max(day.accepted, 1)
        figures["engine peak MB"] = watch.peak_mb("engine")
        settings: dict[str, Figure] = {
            "P": P, "replication": 1, "seconds": seconds, "instruments": INSTRUMENTS, "orders live s": LIVE_S,
            **broker_settings(stand.bootstrap),
        }  # fmt: skip
        note = f"about {max(backlog, 0)} orders waited for intake when the last was sent; {day.accepted} accepted"
        bench.record(row, figures, settings, note)
        flow.stop()
        if after is not None:
            after(stand, day)
        return day


def _count(stand: Stand, offered: int, end_s: float) -> Day:
    appended: dict[str, tuple[float, float]] = {}
    joined: dict[str, float] = {}
    closed = allocations = allocated_qty = 0

    def order(stored: Stored) -> None:
        record = stand.codec.decode(topics.ORDERS.name, stored.value)
        assert isinstance(record, Order)
        if record.kind is OrderKind.NEW:
            appended[record.order_id] = record.append_ns / 1e9, stored.append_s

    def lineage(stored: Stored) -> None:
        record = stand.codec.decode(topics.LINEAGE.name, stored.value)
        assert isinstance(record, Lineage)
        if record.kind is LineageKind.JOINED:
            joined[record.members[0].order_id] = stored.append_s

    def allocation(stored: Stored) -> None:
        nonlocal allocations, allocated_qty
        record = stand.codec.decode(topics.ALLOCATIONS.name, stored.value)
        assert isinstance(record, Allocation)
        allocations += 1
        allocated_qty += record.alloc_qty

    def closure(stored: Stored) -> None:
        nonlocal closed
        record = stand.codec.decode(topics.ORDER_CLOSURES.name, stored.value)
        assert isinstance(record, OrdersClosed)
        closed += len(record.orders)

    stand.read(topics.ORDERS.name, order)
    stand.read(topics.LINEAGE.name, lineage)
    stand.read(topics.ORDER_CLOSURES.name, closure)
    stand.read(topics.ALLOCATIONS.name, allocation)
    intake_late = [at - sent for sent, at in appended.values() if sent >= end_s - 1]
    engine_late = [joined.get(each, end_s + 999) - at for each, (sent, at) in appended.items() if sent >= end_s - 1]
    if not intake_late:
        raise Failed(f"no order of the last second was taken in; {len(appended)} of {offered} were")
    return Day(
        offered=offered,
        accepted=len(appended),
        joined=len(joined),
        closed=closed,
        allocations=allocations,
        allocated_qty=allocated_qty,
        taken_in_time=sum(at <= end_s for _, at in appended.values()),
        joined_in_time=sum(at <= end_s for at in joined.values()),
        intake_late_s=max(intake_late),
        engine_late_s=max(engine_late),
    )


def _sleep_until(moment_s: float) -> None:
    while (left := moment_s - time.time()) > 0:
        time.sleep(min(left, 0.5))


CASE = Case(
    "whole-life",
    "The whole life of an order, orders-in to allocations, exactly once",
    "at least 10,000 small orders a second sustained for a minute, the broker on the same two cores "
    "(the best published figure for a full open order system is 300 a second)",
    "All four units, a worker each, the broker, a simulated market of 6 instruments with its clock, and the sender, on "
    "the machine's cores. Small orders (1 to 6), 60 % buys, all with consent to cross; each lives 20 to 30 s, so that "
    "windows close within 3 s, cross, and what remains is worked at venues. *Sustained*: of the last second's orders "
    "none is taken in, and none joined, more than 2 s after the hop before; *orders over*: orders closed "
    f"{LIVE_S + 15} s after the last order. CPU is of one core, while orders are offered. First an overload to find "
    f"what the machine can do, then a minute at 85 % of it, less if that is not sustained. `--rate` offers that rate.",
    run,
)
