"""What the worker promises on a real broker: each record once, whatever dies, and books that an auditor can replay."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.domain.controls import Control, ControlKind
from pipeline.domain.partitioning import partition_of
from pipeline.domain.rejections import DeadLetterReason
from pipeline.runtime.auditing.replaying import MemoryLog, journal_of, places_of, replay_of
from pipeline.runtime.embedded.broker import LocalKafka
from tests.broker.sample_cluster import TOPICS, SampleCluster
from tests.broker.worker_process import FLOW
from tests.sample_stages import POISON, print_of, tick_of
from tests.waiting import GIVE_UP_S

P = 2
INSTRUMENTS = 7


@pytest.fixture
def cluster(own_kafka: LocalKafka, tmp_path: Path) -> Iterator[SampleCluster]:
    with SampleCluster(own_kafka.bootstrap_servers, P, tmp_path) as made:
        yield made


class Feed:
    """Prints with a counted writer, and a tick now and then."""

    def __init__(self, cluster: SampleCluster) -> None:
        self.cluster = cluster
        self.count = 0
        self._seq: dict[int, int] = {}

    def send(self, count: int, pause_s: float = 0.0) -> None:
        for _ in range(count):
            self.count += 1
            instrument = f"I{self.count % INSTRUMENTS}"
            partition = partition_of(instrument, P)
            self._seq[partition] = self._seq.get(partition, 0) + 1
            self.cluster.publish(print_of(instrument, self.count, qty=self.count, seq=self._seq[partition]))
            if self.count % 50 == 0:
                self.cluster.publish(tick_of(self.count))
                time.sleep(pause_s)
        self.cluster.producer.flush()


def assert_books_balance(cluster: SampleCluster, sent: int) -> None:
    """Knows nothing of the worker: recomputes from the inputs what the topics must hold."""
    bars, scores = cluster.read("bars"), cluster.read("venue-scores")
    expected: dict[str, list[tuple[int, int]]] = {}
    for log in cluster.read("prints").values():
        for stored in log:
            rows = expected.setdefault(stored.record.instrument, [])  # type: ignore[union-attr]
            rows.append((len(rows) + 1, (rows[-1][1] if rows else 0) + stored.record.qty))  # type: ignore[union-attr]
    got: dict[str, list[tuple[int, int]]] = {}
    for log in bars.values():
        for stored in log:
            bar = stored.record
            got.setdefault(bar.instrument, []).append((bar.revision, bar.volume_qty))  # type: ignore[union-attr]
    assert got == expected, "lost, doubled or reordered"
    assert sum(len(rows) for rows in got.values()) == sent
    for partition, log in scores.items():
        assert [(s.record.instrument, s.record.sent_qty) for s in log] == [  # type: ignore[union-attr]
            (b.record.instrument, b.record.volume_qty)  # type: ignore[union-attr]
            for b in bars[partition]
        ]
    for topic in ("bars", "venue-scores", "reference-prices", "alerts", "journal"):
        for log in cluster.read(topic).values():
            seen: dict[str, int] = {}
            for stored in log:
                record = stored.record
                assert record.seq == seen.get(record.writer, 0) + 1, f"{topic}: gap or repeat"  # type: ignore[union-attr]
                seen[record.writer] = record.seq  # type: ignore[union-attr]


def assert_replays(cluster: SampleCluster) -> int:
    """Every task, replayed from the topics, writes the same bytes. Returns the number of journal entries."""
    log = MemoryLog({(topic, p): records for topic in TOPICS for p, records in cluster.read(topic).items()})
    entries = 0
    for stage in FLOW:
        for partition in range(P):
            replay = replay_of(stage, partition, P, cluster.codec, FLOW, log)
            found = replay.run(journal_of(stage.name, partition, log, cluster.codec), places_of(stage, partition, P))
            assert [str(finding) for finding in found] == []
            entries += replay.entries
    return entries


def done(cluster: SampleCluster, count: int) -> bool:
    return len(cluster.records("venue-scores")) >= count


def test_killed_again_and_again_nothing_is_lost_doubled_or_reordered(cluster: SampleCluster) -> None:
    chance = random.Random(4711)
    feed = Feed(cluster)
    worker = cluster.start("both")
    for _ in range(5):
        feed.send(1000, pause_s=0.02)
        time.sleep(chance.uniform(0.0, 1.5))
        cluster.kill(worker)
        worker = cluster.start("both")
    cluster.wait_for(lambda: done(cluster, feed.count))
    assert cluster.stop(worker) == 0
    assert_books_balance(cluster, feed.count)
    assert_replays(cluster)


def test_from_one_unit_per_stage_to_one_for_both_and_back(cluster: SampleCluster) -> None:
    feed = Feed(cluster)
    apart = [cluster.start("adder"), cluster.start("repeater")]
    feed.send(500)
    cluster.wait_for(lambda: len(cluster.records("bars")) >= 100)
    cluster.kill(apart[1])  # bars wait for the repeater, which will find them on a topic that is handed on in memory
    feed.send(500)
    cluster.wait_for(lambda: len(cluster.records("bars")) >= feed.count)
    cluster.stop(apart[0])
    together = cluster.start("both")
    feed.send(500)
    cluster.wait_for(lambda: done(cluster, feed.count))
    assert "of bars taken over from an earlier deployment" in cluster.log("both")
    cluster.stop(together)
    apart = [cluster.start("adder"), cluster.start("repeater")]
    feed.send(500)
    cluster.wait_for(lambda: done(cluster, feed.count))
    for worker in apart:
        assert cluster.stop(worker) == 0
    assert_books_balance(cluster, feed.count)
    assert_replays(cluster)


def test_a_stage_does_not_run_in_two_units_at_once(cluster: SampleCluster) -> None:
    first = cluster.start("both")
    cluster.wait_for(lambda: "restored" in cluster.log("both"))
    second = cluster.start("adder")
    assert second.wait(GIVE_UP_S) == 2
    assert "still running: adder in unit both" in cluster.log("adder")
    assert cluster.stop(first) == 0


def test_poison_is_refused_again_until_the_desk_says_skip(cluster: SampleCluster) -> None:
    feed = Feed(cluster)
    worker = cluster.start("both")
    feed.send(100)
    cluster.wait_for(lambda: done(cluster, 100))
    cluster.publish(print_of(POISON, 1))
    cluster.producer.flush()
    feed.send(100)
    assert worker.wait(GIVE_UP_S) == 1
    partition = partition_of(POISON, P)
    offset = next(s.offset for s in cluster.read("prints")[partition] if s.record.instrument == POISON)  # type: ignore[union-attr]
    position = f"prints/{partition}/{offset}"
    assert f"adder/{partition} cannot apply the record at {position}" in cluster.log("both")
    before = len(cluster.records("bars"))
    again = cluster.start("both")
    assert again.wait(GIVE_UP_S) == 1
    assert cluster.log("both").count(f"the record at {position}") == 2
    assert all(bar.instrument != POISON for bar in cluster.records("bars")) and len(cluster.records("bars")) >= before
    cluster.publish(
        Control(kind=ControlKind.SKIP, control_id="c1", scope_id=position, who="ann", why="bad tape", at_ns=1)
    )
    cluster.producer.flush()
    worker = cluster.start("both")
    cluster.wait_for(lambda: done(cluster, 200))
    assert cluster.stop(worker) == 0
    (letter,) = cluster.records("dead-letters")
    assert letter.reason is DeadLetterReason.SKIPPED_BY_DESK and letter.detail == "c1 by ann: bad tape"
    assert_replays(cluster)


def test_unreadable_bytes_go_to_the_dead_letters_and_the_rest_goes_on(cluster: SampleCluster) -> None:
    feed = Feed(cluster)
    worker = cluster.start("both")
    feed.send(20)
    junk = [(b"", DeadLetterReason.NO_SCHEMA_ID), (None, DeadLetterReason.NO_VALUE),
            (b"\x00\x00\x00\xff\xff", DeadLetterReason.UNKNOWN_SCHEMA_ID)]  # fmt: skip
    for value, _ in junk:
        cluster.producer.produce("prints", value, b"k", 1)
    cluster.producer.flush()
    feed.send(20)
    cluster.wait_for(lambda: done(cluster, 40))
    assert cluster.stop(worker) == 0
    letters = cluster.records("dead-letters")
    assert [(letter.value, letter.reason) for letter in letters] == junk
    assert {(letter.topic, letter.partition, letter.key, letter.stage) for letter in letters} == {
        ("prints", 1, b"k", "adder")
    }
    assert_replays(cluster)


def test_the_broker_goes_away_in_the_middle_and_comes_back(cluster: SampleCluster, own_kafka: LocalKafka) -> None:
    feed = Feed(cluster)
    worker = cluster.start("both")
    feed.send(300)
    cluster.wait_for(lambda: len(cluster.records("venue-scores")) >= 100)
    own_kafka.kill()
    time.sleep(7)
    own_kafka.start()
    feed.send(300)

    aborted = False

    def all_there() -> bool:
        nonlocal worker, aborted
        # The client library aborts the process now and then when its broker dies in the middle of a request (an
        # assertion on eonce->refcnt): what a supervisor does then, starting it again, is done here.
        if worker.poll() == -signal.SIGABRT:
            aborted = True
            worker = cluster.start("both")
        return done(cluster, feed.count)

    cluster.wait_for(all_there)
    assert worker.poll() is None, "it goes on, or was started again after an abort of the client library"
    # Which words depends on what the outage met: a fetch, a transaction, or the library's abort before any word.
    words = ("does not answer", "unknown", "taken back", "waiting")
    assert aborted or any(each in cluster.log("both") for each in words)
    assert cluster.stop(worker) == 0
    assert_books_balance(cluster, feed.count)
    assert_replays(cluster)


def test_a_worker_started_before_its_broker_waits_for_it(own_kafka: LocalKafka, tmp_path: Path) -> None:
    with SampleCluster(own_kafka.bootstrap_servers, P, tmp_path) as cluster:
        own_kafka.stop()
        worker = cluster.start("both")
        cluster.wait_for(lambda: "Waiting for it" in cluster.log("both"))
        own_kafka.start()
        feed = Feed(cluster)
        feed.send(10)
        cluster.wait_for(lambda: done(cluster, 10))
        assert cluster.stop(worker) == 0


def test_workers_come_and_go_and_one_that_slept_too_long_writes_nothing(cluster: SampleCluster) -> None:
    feed = Feed(cluster)
    first = cluster.start("both")
    feed.send(500)
    cluster.wait_for(lambda: done(cluster, 100))
    second = cluster.start("both")  # takes a partition over in the middle
    feed.send(1000, pause_s=0.05)
    cluster.wait_for(lambda: done(cluster, feed.count))
    cluster.kill(second)
    feed.send(500, pause_s=0.05)
    second = cluster.start("both")  # the same slot again: it is the same member
    cluster.wait_for(lambda: done(cluster, feed.count))
    first.send_signal(signal.SIGSTOP)  # longer than its session: its partitions go to the other
    feed.send(500, pause_s=0.05)
    cluster.wait_for(lambda: done(cluster, feed.count))
    first.send_signal(signal.SIGCONT)
    feed.send(500, pause_s=0.05)
    cluster.wait_for(lambda: done(cluster, feed.count))
    for worker in (first, second):
        if worker.poll() is None:
            assert cluster.stop(worker) == 0
    assert_books_balance(cluster, feed.count)
    assert_replays(cluster)
