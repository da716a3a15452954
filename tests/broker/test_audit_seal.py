"""Seals of a real broker's topics, and the same day on a broker and in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from pipeline.audit.seal import SealFile
from pipeline.domain.audit import JournalEntry, JournalKind
from pipeline.domain.controls import TickKind
from pipeline.domain.market import TradePrint
from pipeline.errors import Unreachable, WrongUse
from pipeline.runtime.auditing.seal import load, seal
from pipeline.runtime.auditing.verify import verify
from pipeline.runtime.contracts.codec import LocalIds
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.memory.host import MemoryHost, StoredRecord
from pipeline.runtime.settings import Settings
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.restore import read_changelogs
from pipeline.runtime.worker.task import TaskRunner
from tests.broker.sample_cluster import SampleCluster
from tests.broker.worker_process import FLOW
from tests.sample_stages import print_of, tick_of
from tests.waiting import GIVE_UP_S

Image = list[tuple[bytes | None, bytes | None]]


@pytest.fixture
def cluster(own_kafka: LocalKafka, tmp_path: Path) -> Iterator[SampleCluster]:
    with SampleCluster(own_kafka.bootstrap_servers, 1, tmp_path) as made:
        yield made


def feed(cluster: SampleCluster, first: int, count: int) -> None:
    for number in range(first, first + count):
        cluster.publish(print_of(f"I{number % 5}", number, qty=number))
        if number % 20 == 0:
            cluster.publish(tick_of(number))
    cluster.producer.flush()


def checked(settings: Settings, *seals: Path) -> tuple[int, str]:
    told: list[str] = []
    code = verify(settings, told.append, stages=FLOW, schemas=LocalIds(), processes=1, seals=load(seals))
    return code, told[-1]


def made_anew(cluster: SampleCluster, topic: str, records: list[StoredRecord]) -> None:
    """What somebody who may do anything on the cluster can do: the topic deleted, made again, and written again."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    for future in admin.delete_topics([topic]).values():
        future.result(30)
    deadline = time.monotonic() + GIVE_UP_S
    while topic in admin.list_topics(timeout=60).topics:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for future in admin.create_topics([NewTopic(topic, 1)]).values():
        future.result(30)
    for stored in records:
        cluster.producer.produce(topic, stored.value, stored.key, 0)
    cluster.producer.flush()


def test_seals_hold_while_the_cluster_lives_and_find_what_is_rewritten(cluster: SampleCluster, tmp_path: Path) -> None:
    settings = Settings(cluster.bootstrap_servers, "http://127.0.0.1:9", 1, (), cluster.folder)
    noon, evening = tmp_path / "noon.seal", tmp_path / "evening.seal"
    worker = cluster.start("both")
    feed(cluster, 1, 150)
    cluster.wait_for(lambda: len(cluster.records("venue-scores")) >= 80)
    told: list[str] = []
    assert seal(settings, noon, None, told.append, schemas=LocalIds()) == 0, "also while it runs"
    feed(cluster, 151, 150)
    cluster.wait_for(lambda: len(cluster.records("venue-scores")) >= 300)
    assert cluster.stop(worker) == 0
    assert seal(settings, evening, noon, told.append, schemas=LocalIds()) == 0

    first, second = load((noon, evening))
    assert any(first.sha256 in line for line in told) and second.seal.previous == first.sha256
    assert first.seal.cluster_id and all(place.topic_id for place in first.seal.places)
    assert [head.task for head in first.seal.heads] == ["adder/0", "repeater/0"]
    with pytest.raises(WrongUse, match="never written over"):
        seal(settings, noon, None, told.append, schemas=LocalIds())
    code, text = checked(settings, noon, evening)
    assert code == 0, text
    assert "SEALED by 2 seals" in text and "from the beginning" in text
    assert checked(settings)[1].count("without a seal") == 1

    # One print with another id, everything else as it was; the append times cannot be. The seal says where to look.
    prints = cluster.read("prints")[0]
    other = prints[9].record
    assert isinstance(other, TradePrint)
    changed = msgspec.structs.replace(other, print_id="other")
    forged = [StoredRecord(9, 0, prints[9].key, cluster.codec.encode(changed))]
    made_anew(cluster, "prints", [*prints[:9], *forged, *prints[10:]])
    code, text = checked(settings)
    assert code == 1 and "NOT VERIFIED" in text, text
    code, text = checked(settings, noon)
    assert code == 1 and "the topic was made anew" in text, text
    assert "the log is not what was sealed: prints/0/0, field sha256 of offsets 0 to " in text, text
    _needs_the_earlier_one(settings, tmp_path, second)


def _needs_the_earlier_one(settings: Settings, tmp_path: Path, last: SealFile) -> None:
    with pytest.raises(Exception, match="made anew"):
        seal(settings, tmp_path / "next.seal", Path(last.name), lambda _: None, schemas=LocalIds())
    assert not (tmp_path / "next.seal").exists()


def test_where_nobody_answers_nothing_is_sealed(tmp_path: Path) -> None:
    settings = Settings("127.0.0.1:9", "http://127.0.0.1:9", 1, (), tmp_path)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        seal(settings, tmp_path / "a.seal", None, lambda _: None)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- Kafka or memory


def bodies(records: list[StoredRecord]) -> Image:
    return [(stored.key, (stored.value or b"")[5:]) for stored in records]


def test_the_same_inputs_in_the_recorded_order_give_the_same_bytes_on_kafka_and_in_memory(
    cluster: SampleCluster,
) -> None:
    worker = cluster.start("both")
    feed(cluster, 1, 100)
    cluster.wait_for(lambda: len(cluster.records("venue-scores")) >= 60)
    cluster.publish(tick_of(1_000, TickKind.DAY_END))
    feed(cluster, 101, 50)
    cluster.producer.flush()
    # Every price told to all comes back to the adder, too: it is in its state when its place is beyond them all.
    cluster.wait_for(lambda: len(cluster.records("venue-scores")) >= 150)
    cluster.wait_for(lambda: _references_read(cluster) == len(cluster.records("reference-prices")))
    assert cluster.stop(worker) == 0

    entries = cluster.records("journal")
    epoch = next(entry for entry in entries if entry.kind is JournalKind.EPOCH)
    host = MemoryHost(FLOW, 1, cluster.codec, units=[["adder", "repeater"]], resumed_ns=epoch.wall_ns)
    for stored, topic in in_recorded_order(cluster, entries):
        assert stored.record is not None
        host.publish(stored.record, host_time(host, stored, topic), 0)
    host.run()
    host.commit()

    for topic in ("bars", "venue-scores", "alerts", "reference-prices"):
        on_kafka, in_memory = bodies(cluster.read(topic)[0]), bodies(host.topics[topic, 0])
        assert len(on_kafka) > 10 and on_kafka == in_memory, topic
    kept = read_changelogs(
        [(f"changelog.{stage.name}", 0) for stage in FLOW],
        WorkerContext("test", lambda _: None, Kafka(cluster.bootstrap_servers)),
    )
    digests = []
    for stage in FLOW:
        task = TaskRunner(stage, 0, 1, cluster.codec, frozenset())
        task.restore(sorted(kept[f"changelog.{stage.name}", 0].items()))
        digests.append(task.state.digest())
    assert "\n".join(digests) == host.state_digest()


def _references_read(cluster: SampleCluster) -> int:
    return sum(
        run.count
        for entry in cluster.records("journal")
        if entry.stage == "adder"
        for run in entry.runs
        if run.topic == "reference-prices"
    )


def in_recorded_order(cluster: SampleCluster, entries: list[JournalEntry]) -> Iterator[tuple[StoredRecord, str]]:
    """Outside records as the adder read them; what stages wrote comes of itself."""
    logs = {topic: iter(cluster.read(topic)[0]) for topic in ("prints", "clock")}
    for entry in entries:
        if entry.stage == "adder":
            for run in entry.runs:
                for _ in range(run.count if run.topic in logs else 0):
                    yield next(logs[run.topic]), run.topic
    assert [next(log, None) for log in logs.values()] == [None, None]


def host_time(host: MemoryHost, stored: StoredRecord, topic: str) -> int:
    """Append times are part of a bar; a tick's are of nothing, and must only not go back."""
    last = host._outside[-1][-1] if host._outside else 0
    return stored.append_ns if topic == "prints" else last
