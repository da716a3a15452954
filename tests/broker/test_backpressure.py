"""A slow broker makes a worker wait; it does not make it grow. And a batch is as large as the load, never larger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.domain.partitioning import partition_of
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.worker.worker import APPLY_MAX
from tests.broker.sample_cluster import SampleCluster
from tests.sample_stages import print_of

P = 2
BACKLOG = 60_000
GROWTH_MAX_MIB = 32
"""Measured: 8; with unbounded queues and batches 66 (60,000 records waiting)."""


@pytest.fixture
def cluster(own_kafka: LocalKafka, tmp_path: Path) -> Iterator[SampleCluster]:
    with SampleCluster(own_kafka.bootstrap_servers, P, tmp_path) as made:
        yield made


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def test_a_frozen_broker_stops_a_loaded_worker_and_its_memory_stays_flat(
    cluster: SampleCluster, own_kafka: LocalKafka
) -> None:
    worker = cluster.start("both")
    cluster.wait_for(lambda: "restored in" in cluster.log("both"))
    idle = resident_mib(worker.pid)
    seq = dict.fromkeys(range(P), 0)
    for number in range(BACKLOG):
        instrument = f"I{number % 20}"
        partition = partition_of(instrument, P)
        seq[partition] += 1
        cluster.publish(print_of(instrument, number + 1, qty=1, seq=seq[partition]))
        if number == BACKLOG // 2:
            cluster.producer.flush()
    cluster.producer.flush()
    highest = 0.0
    for _ in range(3):
        own_kafka.pause()  # shorter than the transaction's timeout: what hangs goes on afterwards
        until = time.monotonic() + 2
        while time.monotonic() < until:
            highest = max(highest, resident_mib(worker.pid))
            time.sleep(0.05)
        own_kafka.resume()
        time.sleep(1)

    def all_there() -> bool:
        nonlocal highest
        highest = max(highest, resident_mib(worker.pid))
        return len(cluster.records("bars")) >= BACKLOG

    cluster.wait_for(all_there, every_s=3.0)
    assert cluster.stop(worker) == 0
    assert highest - idle < GROWTH_MAX_MIB, f"{idle:.0f} MiB idle, {highest:.0f} MiB at most"
    entries = [entry for entry in cluster.records("journal") if entry.runs]
    largest = max(sum(run.count for run in entry.runs) for entry in entries)
    assert largest > 64, "under load a transaction takes many records"
    assert largest <= 3 * APPLY_MAX, "but never without bound"
