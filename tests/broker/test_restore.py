"""Where a worker begins, on a real broker: snapshots, older state, places without group offsets, two of one stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from pipeline.domain.controls import TickKind
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker.assignment import Assigner
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.preflight import ClusterFacts
from pipeline.runtime.worker.task_group import TaskGroup
from pipeline.runtime.worker.wiring import Wiring
from pipeline.runtime.worker.worker import Deployment, Worker
from pipeline.topics import changelog_of
from tests.broker.sample_cluster import SampleCluster
from tests.broker.test_worker import Feed, P, assert_books_balance, assert_replays, done
from tests.broker.worker_process import FLOW, UNITS
from tests.sample_stages import Repeater, tick_of
from tests.unit.runtime.worker.test_migration import AdderV2
from tests.waiting import GIVE_UP_S


@pytest.fixture
def cluster(own_kafka: LocalKafka, tmp_path: Path) -> Iterator[SampleCluster]:
    with SampleCluster(own_kafka.bootstrap_servers, P, tmp_path) as made:
        yield made


def forget_groups(cluster: SampleCluster) -> None:
    """Delete every unit's group with its offsets, as a cluster does by itself a week after the last commit."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    left = set(UNITS)
    deadline = time.monotonic() + GIVE_UP_S
    while left:
        assert time.monotonic() < deadline, f"groups {left} are not empty"
        for name, future in admin.delete_consumer_groups(sorted(left)).items():
            try:
                future.result(10)
                left.discard(name)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                    left.discard(name)
                elif error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                    raise
        time.sleep(0.3)


def test_units_move_without_group_offsets_with_a_backlog_and_from_different_places(cluster: SampleCluster) -> None:
    feed = Feed(cluster)
    apart = [cluster.start("adder"), cluster.start("repeater")]
    feed.send(500)
    cluster.wait_for(lambda: done(cluster, 100))
    # The repeater stops: from here on the two changelogs tell of different places, on the clock and among the bars.
    cluster.kill(apart[1])
    feed.send(500)
    cluster.wait_for(lambda: len(cluster.records("bars")) >= feed.count)
    cluster.kill(apart[0])
    feed.send(300)  # and of these neither has seen any
    forget_groups(cluster)
    together = cluster.start("both")
    cluster.wait_for(lambda: done(cluster, feed.count))
    assert "of bars taken over from an earlier deployment" in cluster.log("both")
    feed.send(500)
    cluster.wait_for(lambda: done(cluster, feed.count - 300))
    cluster.kill(together)  # in the middle
    feed.send(300)
    forget_groups(cluster)
    apart = [cluster.start("repeater"), cluster.start("adder")]
    cluster.wait_for(lambda: done(cluster, feed.count))
    cluster.kill(apart[1])  # this time the adder is behind, and the repeater's bars are all read
    feed.send(300)
    for worker in apart[:1]:
        assert cluster.stop(worker) == 0
    forget_groups(cluster)
    together = cluster.start("both")
    feed.send(100)
    cluster.wait_for(lambda: done(cluster, feed.count))
    assert cluster.stop(together) == 0
    assert_books_balance(cluster, feed.count)
    assert_replays(cluster)


def test_two_units_of_one_stage_started_at_the_same_moment_are_kept_apart(cluster: SampleCluster) -> None:
    feed = Feed(cluster)
    feed.send(200)
    workers = {name: cluster.start(name) for name in ("both", "adder")}
    cluster.wait_for(lambda: any(worker.poll() is not None for worker in workers.values()))
    (lost,) = [name for name, worker in workers.items() if worker.poll() is not None]
    (kept,) = set(workers) - {lost}
    assert workers[lost].returncode == 2
    assert f"still running: adder in unit {kept}" in cluster.log(lost)
    feed.send(200)
    cluster.wait_for(lambda: len(cluster.records("bars")) >= feed.count)
    assert cluster.stop(workers[kept]) == 0
    if kept == "adder":
        repeater = cluster.start("repeater")
        cluster.wait_for(lambda: done(cluster, feed.count))
        assert cluster.stop(repeater) == 0
    assert_books_balance(cluster, feed.count)
    assert_replays(cluster)


def test_a_day_start_snapshot_shortens_a_restore_and_a_torn_one_does_not_hurt(cluster: SampleCluster) -> None:
    feed = Feed(cluster)
    worker = cluster.start("both")
    feed.send(500)
    cluster.wait_for(lambda: done(cluster, feed.count))
    cluster.publish(tick_of(feed.count, TickKind.DAY_START))
    files = [
        cluster.folder / "snapshots" / f"{stage}-{p}.snapshot" for stage in ("adder", "repeater") for p in range(P)
    ]

    def written() -> bool:
        feed.send(50)  # a task is saved from its next transaction on, so there must be one, however slow the worker is
        return all(file.exists() for file in files)

    cluster.wait_for(written)
    feed.send(500)
    cluster.kill(worker)
    worker = cluster.start("both")
    feed.send(100)
    cluster.wait_for(lambda: done(cluster, feed.count))
    assert "4 of 4 changelogs read over a snapshot" in cluster.log("both")
    cluster.kill(worker)
    files[0].write_bytes(files[0].read_bytes()[:-40])
    worker = cluster.start("both")
    feed.send(100)
    cluster.wait_for(lambda: done(cluster, feed.count))
    assert "snapshot adder-0.snapshot is not used, the changelog is read whole" in cluster.log("both")
    assert "3 of 4 changelogs read over a snapshot" in cluster.log("both")
    assert cluster.stop(worker) == 0
    assert_books_balance(cluster, feed.count)
    assert_replays(cluster)


def test_older_state_is_migrated_in_the_first_transaction_and_older_code_then_refuses_it(
    cluster: SampleCluster,
) -> None:
    feed = Feed(cluster)
    old = cluster.start("adder")
    feed.send(300)
    cluster.wait_for(lambda: len(cluster.records("bars")) >= feed.count)
    assert cluster.stop(old) == 0

    def run_new(until: int) -> list[str]:
        said: list[str] = []
        stage = AdderV2()
        deployment = Deployment(Kafka(cluster.bootstrap_servers), cluster.folder, (stage, Repeater()), UNITS)
        worker = Worker("adder", [stage], deployment, Codec(LocalIds()), "adder-0", said.append)
        thread = threading.Thread(target=worker.run)
        thread.start()
        cluster.wait_for(lambda: worker.committed >= until)
        worker.stop()
        thread.join(GIVE_UP_S)
        assert not thread.is_alive()
        return said

    feed.send(300)
    said = run_new(300)
    assert any("state of an older version" in line for line in said)
    feed.send(300)
    assert not any("older version" in line for line in run_new(300)), "once is enough"
    back = cluster.start("adder")
    assert back.wait(GIVE_UP_S) == 1
    assert "newer version: state version 2, this code has 1. Run the newer code" in cluster.log("adder")


def test_a_record_larger_than_its_topic_takes_stops_the_worker_in_words(cluster: SampleCluster) -> None:
    feed = Feed(cluster)
    worker = cluster.start("both")
    feed.send(50)
    cluster.wait_for(lambda: done(cluster, feed.count))
    # As a dead letter it is a little larger than where it came from, and the sample's topics all take the same.
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "message.max.bytes": 2_000_000})
    producer.produce("prints", b"\xff" * 1_048_500, b"k", 1)
    producer.flush()
    for _ in range(2):
        assert worker.wait(GIVE_UP_S) == 1
        worker = cluster.start("both")
    assert worker.wait(GIVE_UP_S) == 1
    told = [line for line in cluster.log("both").splitlines() if "more than the topic takes" in line]
    assert len(told) == 3
    assert "adder/1 makes a record of 1048" in told[0] and "for dead-letters/1" in told[0]
    assert cluster.records("dead-letters") == []


def test_state_is_kept_over_a_rebalance_only_while_nobody_else_has_written(cluster: SampleCluster) -> None:
    kafka = Kafka(cluster.bootstrap_servers)
    cluster_facts = ClusterFacts(P, frozenset(), "c", "{}")
    assigner = Assigner(
        Wiring("both", FLOW), cluster_facts, Codec(LocalIds()), "both-0", WorkerContext("both-0", print, kafka)
    )
    consumer = kafka.consumer({"group.id": "both", "enable.auto.commit": False})

    def prepare(kept: dict[int, TaskGroup]) -> dict[int, TaskGroup]:
        """And what the worker then commits; without transactions, which a restore reads as well."""
        task_groups = assigner.prepare(consumer, range(P), kept).task_groups
        for partition, task_group in task_groups.items():
            for stage, rows in task_group.close().changelog.items():
                for key, value in rows:
                    cluster.producer.produce(changelog_of(stage), value, key, partition)
        cluster.producer.flush()
        return task_groups

    first = prepare({})
    assert prepare({1: first[1]})[1] is first[1]
    other = prepare({})  # somebody else had it
    again = prepare({0: other[0], 1: first[1]})
    assert again[0] is other[0] and again[1] is not first[1]
    assert again[1].tasks[0].place.epoch == 4, "a start each time, the first one's two included"
    consumer.close()


def test_a_worker_that_joins_leaves_the_idle_one_its_state(cluster: SampleCluster) -> None:
    feed = Feed(cluster)
    first = cluster.start("both")
    feed.send(300)
    cluster.wait_for(lambda: done(cluster, feed.count))
    time.sleep(1)
    second = cluster.start("both")
    cluster.wait_for(lambda: "both-1: ready" in cluster.log("both"))
    cluster.wait_for(lambda: "kept: nobody has written since" in cluster.log("both"))
    feed.send(300)
    cluster.wait_for(lambda: done(cluster, feed.count))
    for worker in (first, second):
        assert cluster.stop(worker) == 0
    assert_books_balance(cluster, feed.count)
    assert_replays(cluster)
