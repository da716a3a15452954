"""How long a restore takes: a changelog of so many entries on a real broker, adopted by the worker's own code.

python -m ops.measure_restore                       1,000,000 entries of intake, then of netting, on 2 partitions
python -m ops.measure_restore --history             1,000,000 changes of 1,000 rows: before and after compaction

Written in transactions as a worker writes them, into topics with the settings of `pipeline topics apply`.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from pipeline import topology
from pipeline.domain.orders import AccountClass, OrdStatus
from pipeline.runtime.adoption import Adoption
from pipeline.runtime.broker import LocalKafka
from pipeline.runtime.codec import Codec, LocalIds
from pipeline.runtime.kafka import Kafka
from pipeline.runtime.patience import Patience
from pipeline.runtime.restore import ends, read_changelogs
from pipeline.runtime.survey import Surroundings
from pipeline.runtime.task import META_KEY, Place
from pipeline.runtime.topic_admin import wanted
from pipeline.runtime.wiring import Wiring
from pipeline.stages.intake_state import IntakeState, OpenOrder, Request
from pipeline.stages.netting_state import NettingState, Resident
from pipeline.stages.stage import State, Task
from pipeline.topics import changelog_of

P: Final = 2
CHUNK: Final = 2000
"""Rows in a transaction."""

Rows = Iterator[tuple[bytes, bytes | None]]


def fill_intake(state: State, count: int) -> None:
    assert isinstance(state, IntakeState)
    p = state.task.partition
    for n in range(count // 2):
        key = f"20260105/10/rebalancer/c{p}-{n}"
        order_id = f"O{p}-{n}"
        state.requests.put(key, Request(n.to_bytes(16, "big"), order_id, None, OrdStatus.UNKNOWN))
        state.orders.put(order_id, OpenOrder(key, f"ACC{n % 5000}", f"I{n % 500}", 20260105, n % 2 == 0, 10**12 + n))


def fill_netting(state: State, count: int) -> None:
    assert isinstance(state, NettingState)
    p = state.task.partition
    for n in range(count):
        row = Resident(
            instrument=f"I{n % 500}", bucket_id=f"B{p}-{n // 500}", parent_id=f"P{p}-{n // 500}", join_no=n,
            source="rebalancer", account=f"ACC{n % 5000}", account_class=AccountClass.CLIENT, owner=f"own{n % 900}",
            control_group="", consent=True, received_ns=1_767_600_000_000_000_000 + n, arrival_px=10**11 + n,
            contributed_qty=n % 900 + 1, open_qty=n % 900 + 1,
        )  # fmt: skip
        state.orders.put(f"O{p}-{n}", row)


FILLS: Final = {"intake": fill_intake, "netting": fill_netting}


class Written:
    """A changelog written by hand, in transactions."""

    def __init__(self, bootstrap_servers: str, stage: str, config: dict[str, str]) -> None:
        self.topic = changelog_of(stage)
        self.bootstrap_servers = bootstrap_servers
        self.stage = stage
        admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        spec = next(t for t in wanted(P, (), (stage,), 1) if t.name == self.topic)
        wiring = Wiring(stage, [s for s in topology.STAGES if s.name == stage], topology.STAGES)
        topics = [NewTopic(self.topic, P, config={**spec.config, **config})]
        topics += [NewTopic(each.name, P) for each in wiring.outside]
        there = admin.list_topics(timeout=10).topics
        for future in admin.create_topics([topic for topic in topics if topic.topic not in there]).values():
            future.result(30)
        self.producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "transactional.id": f"fill-{stage}", "linger.ms": 5,
             "transaction.timeout.ms": 60_000}
        )  # fmt: skip
        self.producer.init_transactions(30)

    def write(self, partition: int, rows: Sequence[tuple[bytes, bytes | None]], place: Place) -> None:
        """Everything, in transactions of CHUNK rows, each with its `_meta`."""
        meta = msgspec.msgpack.encode(place)
        for start in range(0, len(rows), CHUNK):
            self.producer.begin_transaction()
            for key, value in rows[start : start + CHUNK]:
                while True:
                    try:
                        self.producer.produce(self.topic, value, key, partition)
                        break
                    except BufferError:
                        self.producer.poll(0.05)
            self.producer.produce(self.topic, meta, META_KEY, partition)
            self.producer.commit_transaction(60)


def adopt(bootstrap_servers: str, stage: str) -> tuple[float, float, int]:
    """By the worker's own code, from an assignment to partitions ready to work.

    Returns seconds, seconds of our own processor time, entries restored.
    """
    kafka = Kafka(bootstrap_servers)
    wiring = Wiring(stage, [s for s in topology.STAGES if s.name == stage], topology.STAGES)
    codec = Codec(LocalIds())
    patience = Patience(stage, print, kafka)
    consumer = kafka.consumer({"group.id": stage, "enable.auto.commit": False})
    try:
        started, used = time.perf_counter(), time.process_time()
        adoption = Adoption(wiring, Surroundings(P, frozenset(), "measured", "{}"), codec, f"{stage}-0", patience)
        adopted = adoption.adopt(consumer, range(P))
        took = time.perf_counter() - started
        return (
            took,
            time.process_time() - used,
            sum(len(task.state) for cell in adopted.cells.values() for task in cell.tasks),
        )
    finally:
        consumer.close()


def size(kafka: LocalKafka, topic: str) -> int:
    """Bytes of the topic's segments on disk."""
    return sum(
        file.stat().st_size for folder in (kafka.data_dir / "data").glob(f"{topic}-*") for file in folder.glob("*.log")
    )


def measure_entries(kafka: LocalKafka, stage: str, entries: int, runs: int) -> None:
    written = Written(kafka.bootstrap_servers, stage, {})
    (made,) = (each for each in topology.STAGES if each.name == stage)
    for partition in range(P):
        state = made.new_state(Task(stage, partition, P))
        FILLS[stage](state, entries // P)
        rows = [(key.encode(), value) for key, value in state.drain()]
        written.write(partition, rows, Place(stage, partition, P, made.state_version, stage))
    for run in range(runs):
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        took, used, found = adopt(kafka.bootstrap_servers, stage)
        print(
            f"{stage}: run {run + 1}: {found:,} entries, {size(kafka, written.topic) / 1e6:.0f} MB of changelog: "
            f"{took:.2f} s, {used:.2f} s of it our own processor's (peak memory before {rss} MiB, after "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB)"
        )


def measure_history(kafka: LocalKafka, changes: int, rows: int) -> None:
    """Before and after the cleaner has come by; with segments that are closed after seconds instead of minutes."""
    short = {"segment.ms": "3000", "segment.bytes": "4194304", "max.compaction.lag.ms": "5000"}
    written = Written(kafka.bootstrap_servers, "intake", short)
    place = Place("intake", 0, P, 1, "intake")
    value = msgspec.msgpack.encode(OpenOrder("20260105/10/rebalancer/c0-1", "ACC1", "I1", 20260105, True, 10**12))
    written.write(0, [(b"orders/O0-%d" % (n % rows), value) for n in range(changes)], place)
    patience = Patience("measure", print, Kafka(kafka.bootstrap_servers))

    def restore() -> tuple[float, int]:
        started = time.perf_counter()
        found = read_changelogs([(written.topic, 0)], patience)
        return time.perf_counter() - started, len(found[written.topic, 0])

    before = size(kafka, written.topic)
    took, found = restore()
    print(f"{changes:,} changes of {rows:,} rows: {before / 1e6:.1f} MB, restored in {took:.2f} s, {found} entries")
    deadline = time.monotonic() + 180
    while size(kafka, written.topic) > before / 20 and time.monotonic() < deadline:
        time.sleep(3.5)
        written.write(0, [(b"orders/O0-0", value)], place)  # what closes a segment is the next write
    (_, end) = ends(Kafka(kafka.bootstrap_servers), [(written.topic, 0)])[written.topic, 0]
    took, found = restore()
    print(f"after compaction: {size(kafka, written.topic) / 1e6:.1f} MB, end offset {end:,}, "
          f"restored in {took:.2f} s, {found} entries")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--stage", choices=sorted(FILLS), action="append")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--history", action="store_true")
    given = parser.parse_args()
    with LocalKafka() as kafka:
        if given.history:
            measure_history(kafka, given.entries, 1000)
        else:
            for stage in given.stage or ("intake", "netting"):
                measure_entries(kafka, stage, given.entries, given.runs)


if __name__ == "__main__":
    main()
