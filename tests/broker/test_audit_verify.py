"""`pipeline audit verify` on a real broker: good as recorded, after a kill too; a forged decision is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pipeline.domain.partitioning import partition_of
from pipeline.runtime.auditing.verify import verify
from pipeline.runtime.contracts.codec import LocalIds
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.settings import Settings
from tests.broker.sample_cluster import SampleCluster
from tests.broker.worker_process import FLOW
from tests.sample_stages import print_of, tick_of

P = 2


@pytest.fixture
def cluster(own_kafka: LocalKafka, tmp_path: Path) -> Iterator[SampleCluster]:
    with SampleCluster(own_kafka.bootstrap_servers, P, tmp_path) as made:
        yield made


def feed(cluster: SampleCluster, first: int, count: int) -> None:
    for number in range(first, first + count):
        cluster.publish(print_of(f"I{number % 7}", number, qty=number))
        if number % 20 == 0:
            cluster.publish(tick_of(number))
    cluster.producer.flush()


def test_a_cluster_verifies_also_after_a_kill_and_a_forged_decision_is_found(cluster: SampleCluster) -> None:
    settings = Settings(cluster.bootstrap_servers, "http://127.0.0.1:9", P, (), cluster.folder)
    worker = cluster.start("both")
    feed(cluster, 1, 300)
    cluster.wait_for(lambda: len(cluster.records("venue-scores")) >= 100)
    cluster.kill(worker)
    worker = cluster.start("both")
    feed(cluster, 301, 300)
    # While it runs: what is written after the audit has begun is not held against anybody.
    told: list[str] = []
    assert verify(settings, told.append, stages=FLOW, schemas=LocalIds(), processes=1) == 0, "\n".join(told)
    cluster.wait_for(lambda: len(cluster.records("venue-scores")) >= 600)
    assert cluster.stop(worker) == 0
    told = []
    assert verify(settings, told.append, stages=FLOW, schemas=LocalIds(), processes=2) == 0, "\n".join(told)
    assert "VERIFIED: every record" in told[-1]
    assert any("4 of 4 tasks replayed" in line for line in told)

    own = cluster.read("bars")[partition_of("I1", P)][-1].record
    assert own is not None
    forged = msgspec.structs.replace(own, seq=own.seq + 1)  # type: ignore[attr-defined]
    cluster.publish(forged)
    cluster.producer.flush()
    told = []
    assert verify(settings, told.append, stages=FLOW, schemas=LocalIds(), processes=1) == 1
    assert "NOT VERIFIED" in told[-1] and "a record is there that no journal entry explains: bars/" in told[-1]


def test_where_nobody_answers_the_exit_code_is_3_and_the_address_is_named(tmp_path: Path) -> None:
    told: list[str] = []
    settings = Settings("127.0.0.1:9", "http://127.0.0.1:9", P, (), tmp_path)
    assert verify(settings, told.append, stages=FLOW, schemas=LocalIds()) == 3
    assert "127.0.0.1:9" in told[-1]


def test_a_cluster_without_a_journal_is_not_verified(own_kafka: LocalKafka, tmp_path: Path) -> None:
    told: list[str] = []
    settings = Settings(own_kafka.bootstrap_servers, "http://127.0.0.1:9", P, (), tmp_path)
    assert verify(settings, told.append, stages=FLOW, schemas=LocalIds()) == 1
    assert "there is no journal" in told[-1]
