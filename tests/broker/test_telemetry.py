"""What operators see of a real worker, and what a rolling restart costs."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from pipeline.runtime.embedded.broker import LocalKafka
from tests.broker.sample_cluster import SampleCluster
from tests.broker.test_worker import Feed, assert_books_balance, assert_replays, done
from tests.broker.worker_process import SESSION_VARIABLE

P = 2
SESSION_S = 60.0
"""Of the members of a group. A place that waits for its member to be given up is empty for so long; a restart takes 1
to 2 s on an idle machine. So far apart, the two are told from each other on a slow machine, too."""


@pytest.fixture
def cluster(own_kafka: LocalKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SampleCluster]:
    monkeypatch.setenv("PIPELINE_LOG", "json")
    monkeypatch.setenv("PIPELINE_METRICS_PORT", "0")
    with SampleCluster(own_kafka.bootstrap_servers, P, tmp_path) as made:
        yield made


class Seen:
    """The endpoint of the worker in ``slot``."""

    def __init__(self, cluster: SampleCluster, slot: str) -> None:
        file = cluster.folder / f"{slot}.metrics"
        cluster.wait_for(file.exists)
        self.address = file.read_text().strip()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.address + path, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples called ``name`` with these labels."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = [sample for family in families for sample in family.samples if sample.name == f"pipeline_{name}"]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def events(cluster: SampleCluster) -> list[dict[str, Any]]:
    return [json.loads(line) for line in cluster.log("both").splitlines() if line.startswith("{")]


def test_an_operator_sees_a_worker_restore_work_and_end(cluster: SampleCluster) -> None:
    # Somebody's open transaction on its changelog: the worker cannot know that its state is complete before it ends.
    foreign = Producer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "transactional.id": "foreign",
            "transaction.timeout.ms": 600_000,
        }
    )
    foreign.init_transactions(30)
    foreign.begin_transaction()
    foreign.produce("changelog.adder", b"x", b"x", 0)
    foreign.flush(30)
    worker = cluster.start("both")
    seen = Seen(cluster, "both-0")
    cluster.wait_for(lambda: "restoring" in seen.get("/ready")[1])
    time.sleep(1)
    assert seen.get("/ready") == (503, "restoring partitions [0, 1]\n")
    assert seen.get("/health")[0] == 200, "it waits, it does not hang"
    assert seen.value("ready") == seen.value("events_total", event="restored") == 0
    assert seen.value("assigned_partitions") == P
    foreign.abort_transaction(30)
    cluster.wait_for(lambda: seen.get("/ready") == (200, "partitions [0, 1]\n"))
    assert seen.value("ready") == seen.value("events_total", event="restored") == 1
    assert seen.value("restore_seconds_sum") > 1, "the waiting too"

    feed = Feed(cluster)
    feed.send(300)
    cluster.producer.produce("prints", b"", b"k", 1)
    cluster.producer.flush()
    feed.send(300)
    cluster.wait_for(lambda: seen.value("dead_letters", stage="adder") == 1)
    cluster.wait_for(lambda: done(cluster, feed.count))
    assert seen.value("records_total") >= feed.count + 1
    assert seen.value("batch_records_sum") == seen.value("records_total")
    assert seen.value("rows_total") > 2 * feed.count, "bars and scores, and the journal"
    assert 0 < seen.value("transaction_p50_seconds") <= seen.value("transaction_p99_seconds") < 60
    cluster.wait_for(lambda: seen.value("lag_records", topic="prints") == 0)
    assert seen.value("state_entries", stage="adder") > 0
    assert seen.value("dead_letters") == 1

    # Kafka is told that the id belongs to another process: the worker is fenced, takes its place back, goes on.
    rival = Producer({"bootstrap.servers": cluster.bootstrap_servers, "transactional.id": "both-0"})
    rival.init_transactions(30)
    feed.send(100)
    cluster.wait_for(lambda: seen.value("events_total", event="fenced") == 1)
    cluster.wait_for(lambda: done(cluster, feed.count))
    cluster.wait_for(lambda: seen.get("/ready")[0] == 200)
    assert seen.value("events_total", event="restored") == 2
    cluster.wait_for(lambda: seen.value("dead_letters") == 1)  # known from the state

    assert cluster.stop(worker) == 0
    assert not (cluster.folder / "both-0.metrics").exists()
    assert len(cluster.records("bars")) == len(cluster.records("venue-scores")) == feed.count
    assert_replays(cluster)
    told = events(cluster)
    life = [line["event"] for line in told if line["event"] not in ("note", "waiting")]
    assert life == [
        "started", "assigned", "restored", "ready", "fenced", "restored", "ready", "stopping", "revoked", "stopped"
    ]  # fmt: skip
    assert {(line["unit"], line["slot"], line["pid"]) for line in told} == {("both", "both-0", worker.pid)}
    assert len({line.get("cluster") for line in told if line["event"] not in ("note", "waiting")}) == 1
    assert [line["epochs"]["adder/0"] for line in told if line["event"] == "restored"] == [1, 2]


def test_a_rolling_restart_loses_nothing_and_no_more_than_a_moment(
    cluster: SampleCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SESSION_VARIABLE, str(SESSION_S))
    workers = [cluster.start("both")]
    Seen(cluster, "both-0")  # so that slots are taken in order
    workers.append(cluster.start("both"))
    slots = [Seen(cluster, f"both-{number}") for number in range(2)]

    def split(slots: list[Seen]) -> bool:
        return all(slot.get("/ready")[0] == 200 and slot.value("assigned_partitions") == 1 for slot in slots)

    cluster.wait_for(lambda: split(slots))
    feed, over = Feed(cluster), threading.Event()

    def keep_feeding() -> None:
        while not over.wait(0.01):
            feed.send(5)

    feeding = threading.Thread(target=keep_feeding)
    feeding.start()
    pauses = []
    try:
        cluster.wait_for(lambda: done(cluster, 200))
        before = len(events(cluster))
        for number in range(2):
            began = time.monotonic()
            assert cluster.stop(workers[number]) == 0
            workers[number] = cluster.start("both")
            slots[number] = Seen(cluster, f"both-{number}")
            cluster.wait_for(lambda: split(slots), every_s=0.05)
            pauses.append(time.monotonic() - began)
        others = [line for line in events(cluster)[before:] if line["event"] in ("revoked", "lost", "assigned")]
        time.sleep(1)
    finally:
        over.set()
        feeding.join()
    cluster.wait_for(lambda: done(cluster, feed.count))
    for worker in workers:
        assert cluster.stop(worker) == 0
    gap_s = max(longest_gap_s(cluster, "bars", partition) for partition in range(P))
    said = ", ".join(f"{pause:.2f}" for pause in pauses)
    print(f"rolling restart: longest gap in the output {gap_s:.2f} s; SIGTERM to ready again {said} s; "
          f"longest gap in the input {max(longest_gap_s(cluster, 'prints', p) for p in range(P)):.2f} s")  # fmt: skip
    assert_books_balance(cluster, feed.count)
    assert_replays(cluster)
    assert gap_s < SESSION_S - 10
    # Each is given its own partitions back; the group moves nothing meanwhile.
    turns = [(line["slot"], line["event"]) for line in others]
    assert turns == [(slot, event) for slot in ("both-0", "both-1") for event in ("revoked", "assigned")]


def longest_gap_s(cluster: SampleCluster, topic: str, partition: int) -> float:
    """Between two records of a partition, as the broker's clock saw them come."""
    log = cluster.read(topic)[partition]
    return max(later.append_ns - earlier.append_ns for earlier, later in pairwise(log)) / 1e9
