"""Case 2: intake and netting, a record at a time: on one core without a broker, and under the real worker on one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.case import Bench, Case
from bench.inside import BATCH, Inside, Raw, timed_s
from bench.machine import broker_settings
from bench.results import Figure
from bench.stand import Drained, Failed, Stand, Stored, drained
from bench.watch import Watch
from bench.world import Pulse, World
from pipeline import topics
from pipeline.domain.orders import OrderKind
from pipeline.domain.parents import LineageKind
from pipeline.domain.record import Kind
from pipeline.domain.units import NS_PER_S

APART_NS = 25_000
"""Between two orders' append times: 40,000 a second of session time."""
TICK_EVERY = 4_000
"""Orders between two ticks: a tick every 100 ms."""


def orders_in(world: World, count: int) -> tuple[list[Raw], int]:
    """That many requests as they stand on `orders-in`, and their bytes."""
    codec = Inside(["intake"]).codec
    raws = []
    for _ in range(count):
        request = world.order()
        raws.append((request.source.encode(), codec.encode(request)))
    return raws, sum(len(value) for _, value in raws)


def intake_inside(world: World) -> Inside:
    """Intake (with credit) on one partition, ready for orders."""
    inside = Inside(["credit", "intake"])
    now_ns = world.base_ns
    inside.keep = {topics.CREDIT.name}
    inside.tell(world.reference(), now_ns)
    inside.close()
    inside.feed(topics.CREDIT, inside.outputs.pop(topics.CREDIT.name), now_ns)
    inside.tell([world.tick(now_ns)], now_ns)
    inside.close()
    return inside


def netting_inside(world: World) -> Inside:
    """Netting on one partition, ready for orders."""
    inside = Inside(["netting"])
    now_ns = world.base_ns
    inside.tell(world.reference(), now_ns)
    inside.tell([*world.open(now_ns), *world.quotes(now_ns), world.tick(now_ns)], now_ns)
    inside.close()
    return inside


def run_intake(inside: Inside, raws: list[Raw], base_ns: int) -> None:
    """The orders, as they come, without ticks between them."""
    inside.feed(topics.ORDERS_IN, raws, base_ns, APART_NS)
    inside.close()


def run_netting(inside: Inside, world: World, raws: list[Raw]) -> None:
    """Orders with a tick every so many, and quotes each second: windows close as they fill or as time passes."""
    now_ns = world.base_ns
    for begin in range(0, len(raws), TICK_EVERY):
        inside.feed(topics.ORDERS, raws[begin : begin + TICK_EVERY], now_ns, APART_NS)
        now_ns += TICK_EVERY * APART_NS
        quotes = [] if begin // TICK_EVERY % 10 else list(world.quotes(now_ns))
        inside.tell([*quotes, world.tick(now_ns)], now_ns)
    inside.close()


def run(bench: Bench) -> None:
    count, warm = bench.count(100_000, 10_000), bench.count(20_000, 1_000)
    for _ in bench.runs(3):
        _inside(bench, count, warm)
    for _ in bench.runs(2):
        if bench.wanted("worker"):
            _on_broker(bench, bench.count(200_000, 20_000), bench.count(40_000, 4_000))


def _inside(bench: Bench, count: int, warm: int) -> None:
    world = World(1)
    raws, size = orders_in(world, count + warm)
    inside = intake_inside(world)
    inside.keep = {topics.ORDERS.name, topics.ORDER_EVENTS.name}
    run_intake(inside, raws[:warm], world.base_ns)
    records, written = inside.out_records, inside.out_bytes
    begun = timed_s()
    run_intake(inside, raws[warm:], inside.append_ns)
    took = timed_s() - begun
    orders = inside.outputs[topics.ORDERS.name]
    if len(orders) != count + warm:
        raise Failed(f"{len(orders)} orders taken of {count + warm}: {inside.records('order-events')[-1]}")
    bench.record(
        "intake, no broker",
        {
            "orders/s": count / took,
            "µs an order": took / count * 1e6,
            "bytes in": size / len(raws),
            "bytes out": (inside.out_bytes - written) / count,
            "records out": (inside.out_records - records) / count,
        },
        {"orders": count, "P": 1, "a transaction": BATCH},
        "decode, checks, encode, journal hashes, changelog; seconds of CPU of the one thread",
    )
    _parts(bench, raws[warm : warm + min(count, 50_000)], orders[warm : warm + min(count, 50_000)])
    netting = netting_inside(world)
    netting.keep = {topics.LINEAGE.name}
    run_netting(netting, world, orders[:warm])
    records, written = netting.out_records, netting.out_bytes
    world.base_ns = netting.append_ns
    begun = timed_s()
    run_netting(netting, world, orders[warm:])
    took = timed_s() - begun
    joined = sum(1 for each in netting.records("lineage") if each.kind is LineageKind.JOINED)
    if joined != count + warm:
        raise Failed(f"{joined} orders joined of {count + warm}")
    bench.record(
        "netting, no broker",
        {
            "orders/s": count / took,
            "µs an order": took / count * 1e6,
            "bytes in": sum(len(value) for _, value in orders) / len(orders),
            "bytes out": (netting.out_bytes - written) / count,
            "records out": (netting.out_records - records) / count,
        },
        {"orders": count, "P": 1, "a transaction": BATCH, "instruments": len(world.instruments)},
        "windows joined, crossed and closed; a tick every 100 ms of session time at 40,000 orders a second",
    )


def _parts(bench: Bench, raws: list[Raw], orders: list[Raw]) -> None:
    """The codec's part of that time."""
    codec = Inside(["intake"]).codec
    name = topics.ORDERS_IN.name
    begun = timed_s()
    for _, value in raws:
        codec.decode(name, value)
    decoded = timed_s() - begun
    taken = [codec.decode(topics.ORDERS.name, value) for _, value in orders]
    begun = timed_s()
    for record in taken:
        codec.encode(record)
    encoded = timed_s() - begun
    bench.record(
        "of it: decoding an order-in, encoding an order",
        {"µs an order": (decoded + encoded) / len(raws) * 1e6, "decode µs": decoded / len(raws) * 1e6,
         "encode µs": encoded / len(raws) * 1e6},
        note="the codec alone, the same records",
    )  # fmt: skip


def _on_broker(bench: Bench, count: int, warm: int) -> None:
    """`orders-in` is full before the worker starts; what it and then netting make of it is timed by append times."""
    world = World(2)
    with Stand(2) as stand:
        stand.topics(world.sources)
        stand.edge("reference").write(world.reference())
        settings: Mapping[str, Figure] = {"P": 2, "replication": 1, "orders": count, **broker_settings(stand.bootstrap)}
        with Pulse(stand, world) as pulse:
            intake = stand.unit("intake")
            stand.ready("intake")
            stand.wait(lambda: len(pulse.ticks) > 5, 20, "no ticks")
            stand.until_read("intake", topics.CREDIT.name)
            stand.stop(intake)
            rows = []
            for _ in range(count + warm):
                request = world.order()
                partition, key = world.place_of(request)
                rows.append((topics.ORDERS_IN.name, partition, key, stand.codec.encode(request)))
            stand.pour(rows)
            intake = stand.unit("intake")
            with Watch(worker=intake.pid, **stand.broker_pids) as watch:
                stand.until_written(topics.ORDERS.name, count + warm, 180, intake)
                stand.stop(intake)
            times = _times(stand, topics.ORDERS.name, OrderKind.NEW, count + warm)
            _told(bench, "intake, worker on the broker", drained(times, warm), watch, settings)
            netting = stand.unit("netting")
            with Watch(worker=netting.pid, **stand.broker_pids) as watch:
                stand.until_written(topics.LINEAGE.name, count + warm, 180, netting)
                stand.stop(netting)
        times = _times(stand, topics.LINEAGE.name, LineageKind.JOINED, count + warm)
        _told(bench, "netting, worker on the broker", drained(times, warm), watch, settings)


def _times(stand: Stand, topic: str, kind: Kind, due: int) -> list[float]:
    """Append times of the records of a kind. Raises Failed unless their number is the expected one."""
    times: list[float] = []

    def take(stored: Stored) -> None:
        record: Any = stand.codec.decode(topic, stored.value)
        if record.kind is kind:
            times.append(stored.append_s)

    stand.read(topic, take)
    if len(times) != due:
        raise Failed(f"{topic}: {len(times)} records of kind {kind} of {due}")
    return times


def _told(bench: Bench, row: str, found: Drained, watch: Watch, settings: Mapping[str, Figure]) -> None:
    cpu = watch.cpu_s("worker", found.begin_s, found.end_s)
    bench.record(
        row,
        {
            "orders/s": found.rate,
            "µs an order": cpu / found.records * 1e6,
            "broker µs an order": watch.cpu_s("broker", found.begin_s, found.end_s) / found.records * 1e6,
            "worker peak MB": watch.peak_mb("worker"),
        },
        settings,
        "the topic was full before; µs are CPU of the whole worker process",
    )


CASE = Case(
    "intake",
    "Intake and netting",
    "intake at least 40,000 orders a second on one core, netting at least 25,000",
    "Orders of 24 fields, all accepted, two thirds of them buys over 100 instruments. Without a broker: the unit's own "
    "cell on one partition, CPU seconds of its thread, so that what else runs does not count. On the broker: P = 2, "
    "one worker, `orders-in` (then `orders`) full before it starts; orders a second between the output records' append "
    f"times after a warm-up. {NS_PER_S // TICK_EVERY // APART_NS} ticks a second.",
    run,
)
