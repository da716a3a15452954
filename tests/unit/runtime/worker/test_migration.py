"""State of another version: migrated entry by entry, or refused in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec
import pytest

from pipeline.domain.market import TradePrint
from pipeline.domain.record import Owned, Record
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.worker.task import META_KEY, EpochFacts, StateMismatch, TaskPlace, TaskRunner
from pipeline.runtime.worker.task_group import read
from pipeline.stage import Meta, Migration, Stage
from pipeline.state import Entry, State, Task
from pipeline.topics import PRINTS
from tests.sample_stages import Adder, Total, print_of

CODEC = Codec(LocalIds())
Changelog = dict[bytes, bytes | None]


class Sums(Entry):
    """Version 2 of the adder's totals, in a table of another name, with the mean kept too."""

    qty: int
    prints: int
    mean_qty: int


class SumsState(State):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.sums = self.table("sums", Sums)


def to_sums(key: str, value: bytes) -> Iterable[tuple[str, bytes]]:
    table, _, instrument = key.partition("/")
    if table != "totals":
        yield key, value
        return
    old = msgspec.msgpack.decode(value, type=Total)
    yield f"sums/{instrument}", msgspec.msgpack.encode(Sums(old.qty, old.prints, old.qty // old.prints))


class AdderV2(Stage[SumsState]):
    """The adder of the next release."""

    name = "adder"
    title = "adds up"
    reads = (TradePrint,)
    writes = ()
    state_version = 2
    migrations: ClassVar[Mapping[int, Migration]] = {1: to_sums}

    def new_state(self, task: Task) -> SumsState:
        return SumsState(task)

    def step(self, state: SumsState, message: Record, meta: Meta) -> Iterator[Owned]:
        assert isinstance(message, TradePrint)
        row = state.sums.get(message.instrument) or Sums(0, 0, 0)
        row.qty += message.qty
        row.prints += 1
        row.mean_qty = row.qty // row.prints
        state.sums.put(message.instrument, row)
        yield from ()


class AdderV2WithoutAWay(AdderV2):
    migrations: ClassVar[Mapping[int, Migration]] = {}


def runner(stage: Stage[Any]) -> TaskRunner:
    return TaskRunner(stage, 0, 1, CODEC, frozenset({"prints"}), "adder")


def applied(task: TaskRunner, first: int, count: int) -> Changelog:
    for n in range(first, first + count):
        task.apply(read(PRINTS, CODEC, 0, n, 1, b"I", CODEC.encode(print_of(f"I{n % 3}", n, qty=n + 1))))
    return dict(task.close().changelog)


def old_changelog() -> Changelog:
    task = runner(Adder())
    task.start(EpochFacts())
    return applied(task, 0, 30)


def merged(changelog: Changelog, later: Iterable[tuple[bytes, bytes | None]]) -> Changelog:
    return {key: value for key, value in {**changelog, **dict(later)}.items() if value is not None}


def place_of(changelog: Changelog) -> TaskPlace:
    return msgspec.msgpack.decode(changelog[META_KEY] or b"", type=TaskPlace)


def test_a_migrated_task_goes_on_as_if_it_had_always_been_of_this_version() -> None:
    before = old_changelog()
    always = runner(AdderV2())
    always.start(EpochFacts())
    applied(always, 0, 30)
    task = runner(AdderV2())
    task.restore(before.items())
    task.start(EpochFacts())
    closed = task.close()
    after = merged(before, closed.changelog)
    assert dict(task.state.dump()) == dict(always.state.dump())
    assert {key for key in after if key.startswith(b"totals/")} == set(), "the old table is gone from the changelog"
    assert place_of(after).state_version == 2 and place_of(after).epoch == place_of(before).epoch + 1
    (entry,) = [output.record for output in closed.journal]
    assert (entry.kind.value, entry.state_version) == ("EPOCH", 2)  # type: ignore[attr-defined]
    applied(always, 30, 30)
    after = merged(after, applied(task, 30, 30).items())
    again = runner(AdderV2())
    again.restore(after.items())
    assert dict(again.state.dump()) == dict(always.state.dump()) == dict(task.state.dump())
    assert again.migrated == [], "once is enough"


def test_until_the_first_transaction_is_committed_the_older_code_can_go_on() -> None:
    before = old_changelog()
    runner(AdderV2()).restore(before.items())
    back = runner(Adder())
    back.restore(before.items())
    assert back.place.state_version == 1


def test_without_a_migration_older_state_is_refused_and_told_what_to_do() -> None:
    with pytest.raises(StateMismatch, match="no migration from 1 to 2"):
        runner(AdderV2WithoutAWay()).restore(old_changelog().items())


def test_older_code_refuses_newer_state() -> None:
    task = runner(AdderV2())
    task.start(EpochFacts())
    with pytest.raises(StateMismatch, match="newer version: state version 2, this code has 1"):
        runner(Adder()).restore(applied(task, 0, 5).items())


def test_two_entries_may_not_become_one() -> None:
    class Merging(AdderV2):
        migrations: ClassVar[Mapping[int, Migration]] = {1: lambda key, value: [("sums/all", value)]}

    with pytest.raises(StateMismatch, match="makes two entries 'sums/all'"):
        runner(Merging()).restore(old_changelog().items())


class Renamed(Adder):
    """A table was renamed, or an entry changed, and nobody thought of the version."""

    def __init__(self, entry: type[Entry], table: str) -> None:
        self._entry, self._table = entry, table

    def new_state(self, task: Task) -> Any:
        state = State(task)
        state.table(self._table, self._entry)
        return state


class Words(Entry):
    qty: str
    prints: str


@pytest.mark.parametrize("stage", [Renamed(Total, "sums"), Renamed(Words, "totals")])
def test_a_changed_table_under_the_same_version_is_refused_before_the_first_record(stage: Renamed) -> None:
    task = runner(stage)
    with pytest.raises(StateMismatch, match="a changed table needs a new state_version"):
        task.restore(old_changelog().items())
        task.start(EpochFacts())


def test_a_changelog_that_has_lost_or_kept_an_entry_too_many_is_not_believed() -> None:
    whole = old_changelog()
    fewer = {key: value for key, value in whole.items() if key != b"totals/I1"}
    for wrong in (fewer, {**whole, b"totals/I9": whole[b"totals/I1"]}):
        with pytest.raises(StateMismatch, match="the changelog is not whole"):
            runner(Adder()).restore(wrong.items())
