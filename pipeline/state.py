"""State of a task: typed tables in memory, of which the changed entries go to the stage's changelog.

The host (a Kafka worker or the memory host) restores a table from there, one entry after the other. What a stage keeps
outside its tables is lost at a restore, unless :meth:`State.restored` rebuilds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from pipeline.domain.controls import Tick


class Task(NamedTuple):
    """One stage on one partition."""

    stage: str
    partition: int
    partitions: int

    @property
    def writer(self) -> str:
        """The name in ``writer`` of every record it writes: ``<stage>/<partition>``."""
        return f"{self.stage}/{self.partition}"


class Entry(msgspec.Struct, array_like=True, gc=False):
    """A value in a state table. Change it, then ``put`` it back: a change that is not put does not reach the changelog.

    Never part of a reference cycle (it could not be encoded), so Python's cyclic collector need not track it.
    """


V = TypeVar("V", bound=Entry)

_encode = msgspec.msgpack.Encoder().encode


class Table(Generic[V]):
    """A keyed part of a stage's state. What was put or removed since the last drain goes to the changelog.

    Its keys are given sorted only: the order of insertion is another one after a restore, so nothing may depend on it.
    A restored row stays encoded until it is first read: most of a day's rows never are, and bytes take little memory.
    """

    __slots__ = ("_decode", "_dirty", "_rows", "get", "name")

    def __init__(self, name: str, entry: type[V]) -> None:
        self.name = name
        self._rows: dict[str, V | bytes] = {}
        self.get: Callable[[str], V | None] = self._rows.get  # type: ignore[assignment]  # none is encoded yet
        """The value of a key, None where there is none. It is the dict's own ``get``, for speed, until a row is
        restored."""
        self._dirty: dict[str, None] = {}
        self._decode = msgspec.msgpack.Decoder(entry).decode

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def _get(self, key: str) -> V | None:
        row = self._rows.get(key)
        if isinstance(row, bytes):
            row = self._rows[key] = self._decode(row)
        return row

    def __getitem__(self, key: str) -> V:
        row = self._rows[key]
        if isinstance(row, bytes):
            row = self._rows[key] = self._decode(row)
        return row

    def peek(self, key: str) -> V:
        """The value of ``key`` for reading only, as in a pass over all rows after a restore.

        It may be a copy, so do not change or keep it. Raises KeyError for a key that is not there.
        """
        row = self._rows[key]
        return self._decode(row) if isinstance(row, bytes) else row

    def put(self, key: str, value: V) -> None:
        """Set the value of ``key``; it goes to the changelog with the next drain."""
        self._rows[key] = value
        self._dirty[key] = None

    def remove(self, key: str) -> None:
        """Remove ``key``. Raises KeyError when it is not there."""
        del self._rows[key]
        self._dirty[key] = None

    def keys(self) -> list[str]:
        """All keys, sorted."""
        return sorted(self._rows)

    def drain(self) -> Iterator[tuple[str, bytes | None]]:
        """Keys changed since the last drain, with their encoded values (None: removed)."""
        dirty, self._dirty = self._dirty, {}
        for key in dirty:
            row = self._rows.get(key)
            yield key, None if row is None else row if isinstance(row, bytes) else _encode(row)

    def load(self, key: str, value: bytes) -> None:
        """Restore one entry: it does not count as changed. Bytes that cannot be decoded raise only when it is read."""
        self._rows[key] = value
        self.get = self._get

    def unload(self, key: str) -> None:
        """Restore a removal: forget ``key``, if it is there, without counting that as a change."""
        self._rows.pop(key, None)

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """All entries sorted by key, encoded with this version's fields (an older version may have written fewer)."""
        for key in sorted(self._rows):
            yield key, _encode(self.peek(key))

    def fuzzy_dump(self) -> Iterator[tuple[str, bytes]]:
        """All entries, encoded, in no order, for a snapshot while the task goes on: the table may change between two of
        them. An entry that is put or removed meanwhile comes as it is at its turn, or not at all."""
        for key in list(self._rows):
            row = self._rows.get(key)
            if row is not None:
                yield key, row if isinstance(row, bytes) else _encode(row)


class Clock(Entry):
    """The last applied tick: session time and wall time (ns since 1970), rate (ppm), trading date (yyyymmdd)."""

    now_ns: int = 0
    wall_ns: int = 0
    rate: int = 1_000_000
    trade_date: int = 0


class Counter(Entry):
    """A number that only grows; ids are made of it."""

    value: int = 0


class SetAside(Entry):
    """What of one topic, reason and instrument was not believed: see :mod:`pipeline.door`."""

    count: int = 0
    told: int = 0
    """How many of them the desk has been told of, and when, session time."""
    told_ns: int = 0
    text: str = ""
    """What was wrong with the last one."""
    effect: str = ""


class State:
    """A task's state: its tables, which the constructor of a stage's own subclass makes with ``self.table``."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._tables: dict[str, Table[Any]] = {}
        self._clock = self.table("clock", Clock)
        self.clock = Clock()
        """The last applied tick. Only :meth:`apply_tick` changes it."""
        self.now_ns = 0
        """Session time of the last applied tick, ns since 1970; 0 before the first."""
        self._counters = self.table("counters", Counter)
        self.set_aside = self.table("set-aside", SetAside)
        """Records from outside that were not believed, by ``topic/reason/instrument``; kept by the door."""

    def table(self, name: str, entry: type[V]) -> Table[V]:
        """A new table of this state. Its name begins its changelog keys: renaming it needs a new state version."""
        table = Table(name, entry)
        self._tables[name] = table
        return table

    def apply_tick(self, tick: Tick) -> None:
        """Set the clock to ``tick``; a tick earlier than the last one is ignored, so time never runs backwards."""
        if tick.now_ns >= self.now_ns:
            self._clock.put("", Clock(tick.now_ns, tick.wall_ns, tick.rate, tick.trade_date))
            self._read_clock()

    def _read_clock(self) -> None:
        # Read several times for each message: attributes are cheaper than a look-up in the table each time.
        self.clock = self._clock.get("") or Clock()
        self.now_ns = self.clock.now_ns

    def session_ns(self, wall_ns: int) -> int:
        """Session time of a moment of wall time (both ns since 1970), by the last tick and its rate."""
        clock = self.clock
        return clock.now_ns + (wall_ns - clock.wall_ns) * clock.rate // 1_000_000

    def next_number(self, name: str) -> int:
        """The next of 1, 2, 3 … for ``name``; ids are made of it. Never given twice, since the counter is restored
        too."""
        counter = self._counters.get(name) or Counter()
        counter.value += 1
        self._counters.put(name, counter)
        return counter.value

    def next_id(self, prefix: str) -> str:
        """An id that is the same whenever this task is replayed: ``<prefix><partition>-<number>``."""
        return f"{prefix}{self.task.partition}-{self.next_number(prefix)}"

    def made_here(self, made_id: str) -> bool:
        """Whether an id is one that this task would have made, or begins with one (``P3-17/2``). What is no id at all
        is the first partition's, so that exactly one task answers for each."""
        number = made_id[1:].partition("-")[0]
        partition = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
        return self.task.partition == (partition if partition < self.task.partitions else 0)

    def restored(self) -> None:
        """Called once after a restore: rebuild what is derived from the tables (indexes), if there is any."""

    # ---------------------------------------------------------------- for hosts

    def drain(self) -> Iterator[tuple[str, bytes | None]]:
        """Changed entries as changelog keys ``table/key`` and values."""
        for name, table in self._tables.items():
            for key, value in table.drain():
                yield f"{name}/{key}", value

    def load(self, key: str, value: bytes | None) -> None:
        """Restore one changelog record (None: a removal). Raises KeyError for a table this version does not have."""
        name, _, row = key.partition("/")
        if value is None:
            self._tables[name].unload(row)
        else:
            self._tables[name].load(row, value)
        if name == self._clock.name:
            self._read_clock()

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """All entries of all tables, sorted by changelog key, with their values encoded."""
        for name in sorted(self._tables):
            for key, value in self._tables[name].dump():
                yield f"{name}/{key}", value

    def fuzzy_dump(self) -> Iterator[tuple[str, bytes]]:
        """All entries of all tables, while they may change between two of them (:meth:`Table.fuzzy_dump`)."""
        for name, table in self._tables.items():
            for key, value in table.fuzzy_dump():
                yield f"{name}/{key}", value

    def digest(self) -> str:
        """SHA-256 (hex) over :meth:`dump`: equal states have equal digests, however they came about."""
        digest = hashlib.sha256()
        for key, value in self.dump():
            digest.update(f"{len(key)}:{key}:{len(value)}:".encode())
            digest.update(value)
        return digest.hexdigest()

    def __len__(self) -> int:
        """Entries in all tables."""
        return sum(len(table) for table in self._tables.values())
