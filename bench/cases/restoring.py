"""Case 7: a million entries restored; a worker killed and working again; a recording replayed."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bench.case import Bench, Case
from bench.cases import history, whole_life
from bench.flow import Flow, Seen
from bench.inside import Inside
from bench.machine import broker_settings
from bench.results import Figure
from bench.stand import Failed, Stand
from bench.watch import Watch
from bench.world import World
from pipeline import topics
from pipeline.domain.audit import JournalEntry, JournalKind
from pipeline.domain.units import NS_PER_S
from pipeline.runtime.worker.task import META_KEY, TaskPlace
from pipeline.stages.netting.state import LiveOrder
from pipeline.topics import changelog_of

P: Final = 4
_RESTORED: Final = re.compile(r"(\d+) entries restored in ([\d.]+) s")
LIGHT_RATE: Final = 100
"""Orders a second while a worker is killed."""


def run(bench: Bench) -> None:
    if bench.wanted("restore"):
        for _ in bench.runs(2):
            _restore(bench, bench.count(1_000_000, 20_000))
    if bench.wanted("history"):
        history.measure(bench, bench.count(1_000_000, 50_000))
    for partitions in (2, 12):
        if bench.wanted(f"kill -9, P = {partitions}"):
            for _ in bench.runs(2):
                _killed(bench, partitions)
    if bench.wanted("replay"):
        _replayed(bench)


# ---------------------------------------------------------------------- a million entries


def changelog(partition: int, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Netting's changelog on a partition: what a cell wrote, its open orders many times over, and `_meta` last."""
    world = World(P)
    inside = Inside(["netting"], partition, P)
    now_ns = world.base_ns
    intake = Inside(["credit", "intake"])
    intake.keep = {topics.CREDIT.name}
    intake.tell(world.reference(), now_ns)
    intake.close()
    intake.feed(topics.CREDIT, intake.outputs.pop(topics.CREDIT.name), now_ns)
    intake.tell([world.tick(now_ns)], now_ns)
    intake.keep = {topics.ORDERS.name}
    requests = [world.order() for _ in range(8_000)]
    intake.feed(topics.ORDERS_IN, [(each.source.encode(), intake.codec.encode(each)) for each in requests], now_ns)
    intake.close()
    inside.tell([*world.reference(), world.tick(now_ns)], now_ns)
    own = [
        record
        for record in intake.records(topics.ORDERS.name)
        if topics.partitions_for(topics.ORDERS, record.instrument, 0, P) == (partition,)
    ]
    inside.tell([msgspec.structs.replace(each, writer="", seq=0) for each in own], now_ns)
    closed = inside.task_group.close()
    written = closed.changelog["netting"]
    residents = [(key, value) for key, value in written if key.startswith(b"orders/") and value is not None]
    others = [(key, value) for key, value in written if key != META_KEY and value is not None]
    yield from others
    decode, encode = msgspec.msgpack.Decoder(LiveOrder).decode, msgspec.msgpack.Encoder().encode
    rows = [decode(value) for _, value in residents]
    for number in range(count - len(others)):
        row = rows[number % len(rows)]
        row.join_no = len(rows) + number + 1
        yield f"orders/Z{partition}-{number}".encode(), encode(row)
    meta = msgspec.msgpack.decode(dict(written)[META_KEY] or b"", type=TaskPlace)
    # It has read nothing of this cluster: the worker goes on from the topics' beginnings.
    meta.offsets, meta.seen, meta.unit = {}, {}, ""
    meta.entries = max(count, len(others))
    yield META_KEY, msgspec.msgpack.encode(meta)


def _restore(bench: Bench, count: int) -> None:
    with Stand(P) as stand:
        stand.topics(World(P).sources)
        name = changelog_of("netting")
        size = 0

        def rows() -> Iterator[tuple[str, int, bytes, bytes]]:
            nonlocal size
            for partition in range(P):
                for key, value in changelog(partition, count // P):
                    size += len(key) + len(value)
                    yield name, partition, key, value

        stand.pour(rows())
        begun = time.monotonic()
        worker = stand.unit("netting")
        with Watch(worker=worker.pid, **stand.broker_pids) as watch:
            stand.ready("netting", timeout_s=300)
        since_start = time.monotonic() - begun
        found = _RESTORED.search(stand.said("netting"))
        if found is None or int(found[1]) < count * 0.99:
            raise Failed(f"not what was to be restored: {stand.said('netting')[-500:]}")
        bench.record(
            f"restore of {count:,} entries",
            {
                "seconds": float(found[2]),
                "entries/s": int(found[1]) / float(found[2]),
                "s since the process's start": since_start,
                "MB read": size / 1e6,
                "peak MB": watch.peak_mb("worker"),
                "worker CPU s": watch.cpu_s("worker"),
            },
            {"P": P, "replication": 1, **broker_settings(stand.bootstrap)},
            "netting's open orders, from the changelog through the real worker's start; seconds by its own words",
        )


# ---------------------------------------------------------------------- kill -9


def _killed(bench: Bench, partitions: int) -> None:
    seconds = 25
    with Stand(partitions) as stand:
        flow = Flow(stand, instruments=2 * partitions, seconds=600, units=("intake", "engine"))
        flow.send(LIGHT_RATE, seconds)
        journal = Seen(stand, topics.JOURNAL.name)
        journal.until(flow.start_ns + 5 * NS_PER_S)
        engine = flow.processes["engine"]
        restored = stand.said("engine").count(" restored in ")
        killed_ns = time.time_ns()
        engine.send_signal(signal.SIGKILL)
        engine.wait(10)
        flow.processes["engine"] = stand.unit("engine")
        journal.until(killed_ns + 12 * NS_PER_S)
        flow.check()
        first: dict[int, int] = {}
        for at_ns, entry in journal.records():
            if (
                isinstance(entry, JournalEntry)
                and entry.stage == "netting"
                and entry.kind is JournalKind.TRANSACTION
                and entry.epoch > 1
            ):
                first.setdefault(entry.partition, at_ns)
        journal.close()
        if len(first) != partitions:
            raise Failed(f"{len(first)} of {partitions} partitions work 12 s after the kill: {stand.said('engine')}")
        said = _RESTORED.findall(stand.said("engine"))[restored:]
        bench.record(
            f"kill -9, P = {partitions}",
            {
                "s to the first partition": (min(first.values()) - killed_ns) / 1e9,
                "s to all": (max(first.values()) - killed_ns) / 1e9,
                "entries": int(said[0][0]) if said else 0,
            },
            {"P": partitions, "replication": 1, "orders/s": LIGHT_RATE, **broker_settings(stand.bootstrap)},
            "the engine's worker is killed and started again at once, as its supervisor would; until a reader has seen "
            "a new transaction's journal entry of every partition",
        )
        flow.stop()


# ---------------------------------------------------------------------- replay


def _replayed(bench: Bench) -> None:
    """A recording is made, then audited with all cores: copied from the broker, replayed, compared byte by byte."""
    seconds = bench.count(20, 8)
    rate = bench.options.rate or bench.count(2_000, 200)

    def audit(stand: Stand, day: whole_life.Day) -> None:
        for number in (1, 2):
            arguments = (stand.bootstrap, str(stand.partitions))
            process = stand.process("bench.processes.replay_process", *arguments, log=f"audit{number}")
            if process.wait(600):
                raise Failed(f"the audit found something: {stand.said(f'audit{number}')[-2000:]}")
            told: dict[str, Any] = json.loads(stand.said(f"audit{number}").splitlines()[-1])
            figures: dict[str, Figure] = {
                "orders/s": day.accepted / told["seconds"],
                "× the rate it was made at": day.accepted / told["seconds"] / rate,
                "seconds": told["seconds"],
                "peak MB": told["peak_mb"],
            }
            bench.record(
                "replay of a recording", figures,
                {"P": whole_life.P, "orders": day.accepted, "made at orders/s": rate},
                "`pipeline audit verify` from the broker, all stages, a process per core; its peak is of one process",
            )  # fmt: skip

    whole_life.measure(bench, rate, seconds, "the recording that is replayed", audit)


CASE = Case(
    "restoring",
    "Restore, kill -9, replay",
    "restore of 1,000,000 state entries ≤ 15 s; kill -9 of a worker to all partitions working again ≤ 5 s at small "
    "state; replay at least 5 × the live rate with flat memory",
    "See the rows. The live rate of this machine is the one the whole life is sustained at.",
    run,
)
