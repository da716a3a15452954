"""Case 1: the same work beside a bare copy, the prototype, Kafka Streams, Quix and Faust, on one broker, in turn.

Every row is measured from outside, by the broker's append times of its output records, after as many again to warm up;
and its output is checked: every record once, and the last net position of each instrument.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.case import Bench, Case
from bench.machine import broker_settings
from bench.peers import QUIX, Absent, Peers
from bench.results import Figure, Figures
from bench.same_stage import ORDERS, BenchNet, BenchOrder, BenchSide, SameIds, install, nets_topic
from bench.stand import Failed, Stand, Stored, drained
from bench.watch import Watch
from pipeline.domain.partitioning import partition_of
from pipeline.runtime.contracts.codec import Codec

P = 4
INSTRUMENTS = 100


@dataclass(frozen=True)
class Row:
    """One engine."""

    name: str
    command: Callable[[str], list[str]]
    """From the run's name; raises Absent."""
    measured: int
    warm: int
    does: str
    """What it writes for each message."""
    out: Callable[[str], str] = lambda name: f"{name}.out"
    net_of: Callable[[bytes], int] | None = None
    """The net position in an output value; None: the output is the input."""
    exact: bool = True
    """Whether it must be exactly once: every output there, and none twice."""
    peer: bool = False
    runs: int = 3


def run(bench: Bench) -> None:
    fast, warm = bench.count(300_000, 30_000), bench.count(100_000, 10_000)
    with Stand(P) as stand:
        stand.create(ORDERS.name, "orders", "controls", "journal", "dead-letters")
        try:
            peers: Peers | None = Peers(stand.folder, stand.bootstrap)
        except Absent as error:
            peers = None
            bench.left_out("peers", str(error))
        nets = _load(stand, peers, fast + warm, bench)
        settings: Mapping[str, Figure] = {"P": P, "replication": 1, **broker_settings(stand.bootstrap)}
        rows = [row for row in _rows(stand, peers, fast, warm, bench.options.quick) if bench.wanted(row.name)]
        broken: set[str] = set()
        # Run after run through all rows, so that what the machine does meanwhile meets all of them.
        for number in bench.runs(3):
            for place, row in enumerate(rows):
                if row.name in broken or number > max(row.runs, bench.options.runs or 0):
                    continue
                try:
                    _measure(bench, stand, row, f"w{place}-{number}", nets, settings)
                except (Absent, Failed) as error:
                    bench.left_out(row.name, str(error))
                    broken.add(row.name)


def _rows(stand: Stand, peers: Peers | None, fast: int, warm: int, quick: bool) -> Iterator[Row]:
    here = stand.bootstrap
    slow = (2_000, 500) if quick else (12_000, 3_000)
    python = ["python"]
    codec = Codec(SameIds())

    def ours(form: str) -> Callable[[str], list[str]]:
        return lambda name: [*python, "-m", "bench.processes.same_process", here, name, form, str(stand.folder)]

    def net_of_ours(value: bytes) -> int:
        record = codec.decode(nets_topic("any").name, value)
        assert isinstance(record, BenchNet)
        return record.net

    install(nets_topic("any"))
    yield Row(
        "bare transactional copy",
        lambda name: [*python, "-m", "bench.processes.raw_process", here, "orders", f"{name}.out", name, "2000"],
        fast, warm, "one output, the input's bytes; nothing else",
    )  # fmt: skip
    yield Row(
        "our worker, a changelog record per message", ours("each"), fast, warm,
        "one output (two more fields: writer and number), one changelog record; per transaction and partition one "
        "journal entry with hashes of all inputs and outputs, and the task's place; controls are read beside",
        net_of=net_of_ours,
    )  # fmt: skip
    yield Row(
        "our worker, as it is (per key and batch)", ours("batch"), fast, warm,
        "the same with a changelog record per key and transaction", net_of=net_of_ours,
    )  # fmt: skip
    if peers is None:
        return
    common: Any = peers.common()

    def net_of_theirs(value: bytes) -> int:
        return int(common.dec(common.O, value)["net"])

    yield Row(
        "own loop, the prototype, a changelog record per message",
        lambda name: peers.own_loop(name, 10**12, each=True), fast, warm,
        "one output, one changelog record; no journal, no restore", net_of=net_of_theirs, peer=True, runs=2,
    )  # fmt: skip
    yield Row(
        "own loop, the prototype, per key and batch",
        lambda name: peers.own_loop(name, 10**12, each=False), fast, warm,
        "one output; a changelog record per key and transaction", net_of=net_of_theirs, peer=True, runs=2,
    )  # fmt: skip
    yield Row(
        "Kafka Streams 4.1.0 exactly_once_v2, one thread", peers.kafka_streams, fast, warm,
        "one output, one changelog record; state in memory, commits every 100 ms", net_of=net_of_theirs, peer=True,
    )  # fmt: skip
    yield Row(
        f"Quix Streams {QUIX.partition('==')[2]}, exactly once",
        lambda name: peers.quix(name, 10_000), fast, warm,
        "one output; a changelog record per key and transaction of 10,000 messages; state in RocksDB",
        out=lambda name: f"eos-{name}.out", runs=2, net_of=net_of_theirs, peer=True,
    )  # fmt: skip
    yield Row(
        "Faust 0.15.3, exactly_once", lambda name: peers.faust(name, exactly_once=True), *slow,
        "one output, one changelog record", out=lambda name: f"eos-{name}.out",
        runs=2, exact=False, net_of=net_of_theirs, peer=True,
    )  # fmt: skip
    yield Row(
        "Faust 0.15.3, at least once", lambda name: peers.faust(name, exactly_once=False), *slow,
        "one output, one changelog record", out=lambda name: f"alo-{name}.out",
        runs=2, exact=False, net_of=net_of_theirs, peer=True,
    )  # fmt: skip


def _load(stand: Stand, peers: Peers | None, count: int, bench: Bench) -> dict[bytes, int]:
    """The same orders on two topics: ours, and the peers' (whose enum has no UNKNOWN). Returns each key's last net."""
    draw = random.Random(1)
    codec = Codec(SameIds())
    common: Any = None if peers is None else peers.common()
    instruments = [f"I{number:03d}" for number in range(INSTRUMENTS)]
    partitions = {each: partition_of(each, P) for each in instruments}
    nets: dict[bytes, int] = dict.fromkeys((each.encode() for each in instruments), 0)

    def rows() -> Iterator[tuple[str, int, bytes, bytes]]:
        for number in range(count):
            instrument, buys = draw.choice(instruments), draw.random() < 0.6
            qty, at_us = draw.randint(1, 100), 1_767_607_200_000_000 + number
            order = BenchOrder(
                order_id=f"O{number:09d}", source="OMS1", account=f"ACC{number % 50}", instrument=instrument,
                side=BenchSide.BUY if buys else BenchSide.SELL, quantity=qty, limit_price=None, strategy="VWAP",
                ts=at_us,
            )  # fmt: skip
            key = instrument.encode()
            nets[key] += qty if buys else -qty
            value = codec.encode(order)
            yield ORDERS.name, partitions[instrument], key, value
            if common is not None:
                fields = {
                    "order_id": order.order_id, "source": order.source, "account": order.account, "limit_price": None,
                    "instrument": instrument, "side": order.side.value, "quantity": qty, "strategy": "VWAP",
                    "ts": at_us,
                }  # fmt: skip
                value = common.enc(common.S, fields)
            yield "orders", partitions[instrument], key, value

    install(nets_topic("any"))
    stand.pour(rows())
    bench.say(f"{count} orders loaded")
    return nets


def _measure(
    bench: Bench, stand: Stand, row: Row, name: str, nets: dict[bytes, int], settings: Mapping[str, Figure]
) -> None:
    out = row.out(name)
    stand.create(out)
    if not row.peer:
        stand.create(f"changelog.{name}", config={"cleanup.policy": "compact"})
    elif "prototype" in row.name:
        stand.create(f"{name}.chg", config={"cleanup.policy": "compact"})
    command = row.command(name)
    if command[0] == "python":
        process = stand.process(command[2], *command[3:], log=name)
    else:
        folder = stand.folder / "peers"
        process = stand.command(command, name, cwd=folder)
    count = row.measured + row.warm
    journaled = sum(stand.ends("journal"))
    with Watch(worker=process.pid, **stand.broker_pids) as watch:
        stand.until_written(out, count, 240 if row.measured > 50_000 else 120, process)
        times: list[float] = []
        last: dict[bytes, bytes] = {}

        def take(stored: Stored) -> None:
            times.append(stored.append_s)
            last[stored.key] = stored.value

        stand.read(out, take)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    _check(row, times, last, nets, count)
    found = drained(sorted(times)[:count], row.warm)
    figures: Figures = {
        "messages/s": found.rate,
        "worker CPU s per 100,000": watch.cpu_s("worker", found.begin_s, found.end_s) / found.records * 100_000,
        "broker CPU s per 100,000": watch.cpu_s("broker", found.begin_s, found.end_s) / found.records * 100_000,
        "worker peak MB": watch.peak_mb("worker"),
    }
    # A transaction leaves a journal entry and a marker on each partition it had records of.
    transactions = (sum(stand.ends("journal")) - journaled) / 2 / P
    if transactions >= 1:
        figures["messages a transaction"] = count / transactions
    bench.record(row.name, figures, {**settings, "messages": row.measured, "warm-up": row.warm}, row.does)


def _check(row: Row, times: list[float], last: dict[bytes, bytes], nets: dict[bytes, int], count: int) -> None:
    """Check an engine's outputs: each once, and the last position of every instrument right."""
    if not row.exact:
        return
    if len(times) != count:
        raise Failed(f"{len(times)} outputs of {count}: {'lost' if len(times) < count else 'some twice'}")
    net_of = row.net_of
    if net_of is not None:
        wrong = {key: (net_of(last[key]), net) for key, net in nets.items() if net_of(last[key]) != net}
        if wrong:
            raise Failed(f"wrong positions: {wrong}")


CASE = Case(
    "same-work",
    "The same work: 300,000 Avro orders, decode → net position by key → encode → output",
    "at least 1.0 × Kafka Streams exactly_once_v2 on one thread, 2 × Quix, 20 × Faust",
    "Messages a second by the broker's append times of the output records, after a warm-up of as many as stated; one "
    "process each, one after the other on the same broker; what came out is read back and checked (every output once, "
    "the last position of each instrument). CPU is of the measured part; peak memory of the process's whole life. "
    "Kafka Streams and Quix read with auto-tuned clients of their own, settings as their programs have them.",
    run,
)
