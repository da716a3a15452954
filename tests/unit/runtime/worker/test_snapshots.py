"""A snapshot and what follows it in the changelog are the same state as the changelog alone; or it is not used."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker import snapshots
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.snapshots import SavedTask, Snapshots, read_file
from pipeline.runtime.worker.task import META_KEY, StateMismatch, TaskPlace, TaskRunner
from pipeline.topics import changelog_of
from tests.sample_stages import Adder, AdderState, Total

LOG = changelog_of("adder")


class NoKafka(Kafka):
    """Knows the topics' ids, nothing else."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self.ids = "the-id"

    def topic_ids(self, names: list[str]) -> dict[str, str]:
        return dict.fromkeys(names, self.ids)


class Machine:
    """A task, its changelog as a list, and the snapshots beside it."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.kafka = NoKafka()
        self.folder = folder
        self.log: list[tuple[bytes, bytes | None]] = []
        self.start = 0
        self.state = AdderState(TaskRunner(Adder(), 0, 1, None, frozenset()).task)
        self.snapshots = self.restarted()
        self.no = 0

    def restarted(self, cluster_id: str = "c") -> Snapshots:
        made = Snapshots(self.folder, cluster_id, 1, WorkerContext("w", self.said.append, self.kafka))
        made.find({(LOG, 0): ("adder", 1)}, self.ends)
        return made

    def ends(self) -> dict[tuple[str, int], tuple[int, int]]:
        return {(LOG, 0): (self.start, len(self.log))}

    @property
    def path(self) -> Path:
        return self.folder / "snapshots" / "adder-0.snapshot"

    def commit(self) -> None:
        """A transaction: what has changed, then `_meta`, then its marker."""
        self.no += 1
        self.log += [(key.encode(), value) for key, value in self.state.drain()]
        place = TaskPlace("adder", 0, 1, 1, no=self.no, entries=len(self.state))
        if self.snapshots.wants_offsets:
            self.snapshots.on_meta(LOG, 0, len(self.log))
        self.log.append((META_KEY, msgspec.msgpack.encode(place)))
        self.log.append((b"marker", None))
        self.snapshots.committed()

    def change(self, chance: random.Random, count: int) -> None:
        for _ in range(count):
            key = f"I{chance.randrange(40)}"
            if key in self.state.totals and chance.random() < 0.3:
                self.state.totals.remove(key)
            else:
                self.state.totals.put(key, Total(chance.randrange(10**6)))

    def begin(self) -> None:
        self.snapshots.begin([SavedTask("adder", 1, 0, self.state)])

    def save(self) -> None:
        self.begin()
        self.commit()
        while self.snapshots.wants_offsets:
            self.snapshots.go_on()
        self.snapshots.wait()

    def restore(self, found: Snapshots | None = None) -> TaskRunner:
        """From the snapshot if there is a good one."""
        begins = (found or self.restarted()).find({(LOG, 0): ("adder", 1)}, self.ends)
        rows: dict[bytes, bytes | None] = {}
        offset = 0
        if begins:
            begin = begins[LOG, 0]
            rows.update(begin.rows)
            offset = begin.offset
        rows.update(self.log[offset:])
        task = TaskRunner(Adder(), 0, 1, None, frozenset())
        task.restore(rows.items())
        return task


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.change(random.Random(1), 100)
    made.commit()
    return made


@pytest.mark.parametrize("seed", range(60))
def test_a_snapshot_and_its_tail_are_the_changelog(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(snapshots, "ROWS_AT_ONCE", chance.choice((1, 3, 7, 1000)))
    machine = Machine(tmp_path)
    for _ in range(chance.randrange(60)):
        machine.change(chance, chance.randrange(12))
        machine.commit()
        if chance.random() < 0.1:
            machine.begin()
        if chance.random() < 0.03:
            machine.snapshots.drop()  # a transaction was taken back
        machine.snapshots.go_on()
    machine.snapshots.wait()
    restored = machine.restore()
    assert dict(restored.state.dump()) == dict(machine.state.dump())
    assert restored.place.no == machine.no


def test_it_reads_only_what_follows(machine: Machine) -> None:
    machine.save()
    before = len(machine.log)
    machine.state.totals.put("new", Total(1))
    machine.commit()
    begin = machine.restarted().find({(LOG, 0): ("adder", 1)}, machine.ends)[LOG, 0]
    assert begin.offset == before - 2, "from the `_meta` it began with"
    assert len(begin.rows) == len(machine.state) - 1
    assert machine.said == []


def test_a_piece_takes_the_worker_no_longer_than_it_must(machine: Machine) -> None:
    for n in range(3 * snapshots.ROWS_AT_ONCE):
        machine.state.totals.put(f"many{n}", Total(n))
    machine.begin()
    machine.commit()
    pieces = 0
    while machine.snapshots.wants_offsets:
        machine.snapshots.go_on()
        pieces += 1
    assert pieces >= 4
    machine.snapshots.wait()
    assert len(read_file(machine.path)[1]) == len(machine.state)


def test_nothing_is_there_before_it_is_whole(machine: Machine) -> None:
    for n in range(2 * snapshots.ROWS_AT_ONCE):
        machine.state.totals.put(f"many{n}", Total(n))
    machine.begin()
    machine.commit()
    machine.snapshots.go_on()
    assert not machine.path.exists()
    machine.snapshots.drop()
    assert list(machine.path.parent.iterdir()) == []


@pytest.mark.parametrize("damage", [
    lambda data: data[: len(data) // 2],
    lambda data: data[:-1],
    lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
    lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
    lambda data: b"pipeline snapshot 2\n" + data[20:],
    lambda data: data + b"\0",
    lambda data: b"",
])  # fmt: skip
def test_a_torn_file_is_said_and_not_used(machine: Machine, damage: Callable[[bytes], bytes]) -> None:
    machine.save()
    machine.path.write_bytes(damage(machine.path.read_bytes()))
    restored = machine.restore()
    assert dict(restored.state.dump()) == dict(machine.state.dump())
    assert machine.said and all("the changelog is read whole" in line for line in machine.said)


def not_used(machine: Machine, found: Snapshots, because: str) -> None:
    machine.said.clear()
    assert found.find({(LOG, 0): ("adder", 1)}, machine.ends) == {}
    (line,) = machine.said
    assert "adder-0.snapshot is not used, the changelog is read whole" in line and because in line


def test_of_another_cluster(machine: Machine) -> None:
    machine.save()
    not_used(machine, machine.restarted("another"), "cluster_id='c'")


def test_of_a_topic_that_was_deleted_and_made_anew(machine: Machine) -> None:
    machine.save()
    machine.kafka.ids = "another-id"
    not_used(machine, machine.restarted(), "topic_id='the-id'")


def test_older_than_the_beginning_of_the_log(machine: Machine) -> None:
    machine.save()
    machine.start = len(machine.log)
    not_used(machine, machine.restarted(), f"the changelog begins at {machine.start}")


def test_beyond_the_end_of_the_log(machine: Machine) -> None:
    machine.save()
    del machine.log[2:]
    not_used(machine, machine.restarted(), "the changelog ends at 2")


def test_a_tombstone_cleaned_away_since_is_noticed(machine: Machine) -> None:
    """The snapshot is older than the hour that tombstones stay: the row would be back from the dead."""
    machine.save()
    machine.state.totals.remove(machine.state.totals.keys()[0])
    machine.commit()
    machine.log = [(key, value) if value is not None else (b"gap", None) for key, value in machine.log]
    with pytest.raises(StateMismatch, match="the changelog is not whole"):
        machine.restore()
