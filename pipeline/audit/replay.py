"""Replay: a task is fed what the journal says it read, in that order, and must write what the topics say it wrote.

Pure: topics come as a :class:`Log`, the task as a :class:`ReplayedTask`; findings go out. Nothing here knows where
either comes from. Outputs are compared by (writer, seq): key, and value after the schema's id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from pipeline.audit.journal import SCHEMA_HEADER, entry_hash
from pipeline.domain.audit import JournalEntry, JournalKind
from pipeline.domain.record import Record

IN_MEMORY: Final = -1
"""Offset of what was handed on inside a unit, as in the journal."""


class Stored(Protocol):
    """A record as it lies on a topic."""

    @property
    def offset(self) -> int: ...
    @property
    def append_ns(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Log(Protocol):
    """The recorded topics: committed records only."""

    def read(self, topic: str, partition: int, offset: int) -> Iterator[Stored]:
        """The records of a partition from ``offset`` on, in order; none for a topic that is not there."""
        ...


class Written(Protocol):
    """A record the replayed task has written."""

    @property
    def name(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes: ...


class ReplayedTask(Protocol):
    """The task under replay: the same code as live, from empty state."""

    @property
    def writer(self) -> str: ...

    def start(self, wall_ns: int) -> Sequence[Written]:
        """A task start, at the wall time the epoch record names."""
        ...

    def apply(self, topic: str, record: Stored, in_memory: bool) -> tuple[bool, Sequence[Written]]:
        """One record; whether it counted (what was applied before is passed over), and what it caused."""
        ...

    def end(self, recorded: JournalEntry) -> JournalEntry | None:
        """End the transaction: the journal entry the task would write. It goes on from the recorded one's hash."""
        ...


class FindingKind(StrEnum):
    """What is wrong."""

    CHAIN = "the journal's chain is broken"
    ENTRY = "the journal says otherwise"
    INPUT_MISSING = "an input is not there any more"
    OUTPUT_DIFFERS = "a record is not what the stage decides"
    OUTPUT_MISSING = "a record the stage decides is not there"
    OUTPUT_UNEXPLAINED = "a record is there that no journal entry explains"
    RAISED = "the stage raises on what it applied live"
    FORGED = "a record is there that no stage can have written"
    ORDER = "a writer's records are not numbered one after the other"
    PARAMETERS = "recorded with other parameters"
    SCHEMA = "written under another schema"


class Finding(NamedTuple):
    """One mismatch, and where it is. ``offset`` -1: at no offset."""

    kind: FindingKind
    writer: str
    entry_no: int
    topic: str
    partition: int
    offset: int
    field: str
    recorded: str
    replayed: str

    def __str__(self) -> str:
        where = f"{self.topic}/{self.partition}" + (f"/{self.offset}" if self.offset >= 0 else "")
        return (
            f"{self.kind.value}: {where}, field {self.field}: recorded {self.recorded}, replayed {self.replayed} "
            f"(task {self.writer}, journal entry {self.entry_no})"
        )


_COMPARED: Final = (
    "kind", "no", "epoch", "runs", "starts", "input_hash", "outputs", "output_hash", "state_hash",
    "partitions", "state_version",
)  # fmt: skip
"""Fields of an entry that a replay must find again; the others tell of the host."""


class Replay:
    """The replay of one task. :meth:`run` yields findings; the counts say how much was compared."""

    def __init__(self, task: ReplayedTask, partition: int, log: Log, decode: Callable[[str, bytes], Record]) -> None:
        self.entries = 0
        self.inputs = 0
        self.outputs = 0
        self.last_hash = ""
        self._task = task
        self._partition = partition
        self._log = log
        self._decode = decode
        self._digest = hashlib.sha256()
        self._reading: dict[tuple[str, bool], _Cursor] = {}
        self._written: dict[tuple[str, int], _Cursor] = {}
        self._entry_no = 0

    @property
    def digest(self) -> str:
        """SHA-256 over every output byte of the replay, in order."""
        return self._digest.hexdigest()

    def run(self, entries: Iterable[JournalEntry], also: Iterable[tuple[str, int]] = ()) -> Iterator[Finding]:
        """Replay the task's entries, in order. ``also``: more places where nothing of this writer may be left over.

        Ends early when an input is missing or the stage raises: nothing after that could be judged.
        """
        for entry in entries:
            self._entry_no = entry.no
            yield from self._check_chain(entry)
            outputs: list[Written] = []
            stop = yield from self._feed(entry, outputs)
            for output in outputs:
                yield from self._compare(output)
            if stop:
                return
            rebuilt = self._task.end(entry)
            self.entries += 1
            self.last_hash = entry.entry_hash
            yield from self._compare_entry(entry, rebuilt)
        for place in also:
            self._outputs_of(place)
        for (topic, partition), cursor in self._written.items():
            left = cursor.next()
            if left is not None:
                yield self._finding(
                    FindingKind.OUTPUT_UNEXPLAINED,
                    topic,
                    partition,
                    left.offset,
                    "seq",
                    str(leading(left)[1]),
                    "nothing",
                )

    # ------------------------------------------------------------------ inputs

    def _check_chain(self, entry: JournalEntry) -> Iterator[Finding]:
        if entry_hash(entry) != entry.entry_hash:
            yield self._of_journal(FindingKind.CHAIN, "entry_hash", entry.entry_hash, entry_hash(entry))
        if self.entries and entry.previous_hash != self.last_hash:
            yield self._of_journal(FindingKind.CHAIN, "previous_hash", entry.previous_hash, self.last_hash)
        if entry.no != self.entries + 1:
            yield self._of_journal(FindingKind.CHAIN, "no", str(entry.no), str(self.entries + 1))

    def _feed(self, entry: JournalEntry, outputs: list[Written]) -> Generator[Finding, None, bool]:
        """Feed the entry's inputs; returns whether to stop."""
        task = self._task
        if entry.kind is JournalKind.EPOCH:
            outputs.extend(task.start(entry.wall_ns))
            return False
        starts = {start.topic: start for start in entry.starts}
        for name, start in starts.items():
            if start.offset != IN_MEMORY and not self._reader(name, False).seek(start.offset):
                yield self._finding(
                    FindingKind.INPUT_MISSING, name, self._partition, start.offset, "offset", str(start.offset),
                    "cannot verify from here on",
                )  # fmt: skip
                return True
        for run in entry.runs:
            in_memory = starts[run.topic].offset == IN_MEMORY
            reader, left = self._reader(run.topic, in_memory), run.count
            while left:
                record = reader.next()
                if record is None:
                    yield self._finding(
                        FindingKind.INPUT_MISSING, run.topic, self._partition, -1, "count", str(run.count),
                        f"{run.count - left}; cannot verify from here on",
                    )  # fmt: skip
                    return True
                try:
                    counted, caused = task.apply(run.topic, record, in_memory)
                except Exception as error:
                    yield self._finding(
                        FindingKind.RAISED, run.topic, self._partition, record.offset, "-", "applied",
                        f"{type(error).__name__}: {error}",
                    )  # fmt: skip
                    return True
                outputs.extend(caused)
                if counted:
                    left -= 1
                    self.inputs += 1
        return False

    def _reader(self, topic: str, in_memory: bool) -> _Cursor:
        cursor = self._reading.get((topic, in_memory))
        if cursor is None:
            # In memory only what a task of the same partition wrote was handed on; others' bytes on the topic were not.
            suffix = f"/{self._partition}" if in_memory else ""
            cursor = self._reading[topic, in_memory] = _Cursor(self._log, topic, self._partition, suffix=suffix)
        return cursor

    # ------------------------------------------------------------------ outputs

    def _outputs_of(self, place: tuple[str, int]) -> _Cursor:
        cursor = self._written.get(place)
        if cursor is None:
            cursor = self._written[place] = _Cursor(self._log, *place, writer=self._task.writer)
        return cursor

    def _compare(self, output: Written) -> Iterator[Finding]:
        self.outputs += 1
        body = output.value[SCHEMA_HEADER:]
        self._digest.update(output.key + body)
        place = output.name, output.partition
        recorded = self._outputs_of(place).next()
        if recorded is None:
            yield self._finding(FindingKind.OUTPUT_MISSING, *place, -1, "-", "nothing", _short(output.value))
            return
        if recorded.key != output.key:
            yield self._finding(
                FindingKind.OUTPUT_DIFFERS, *place, recorded.offset, "key", repr(recorded.key), repr(output.key)
            )
        value = recorded.value or b""
        if value[SCHEMA_HEADER:] != body:
            for field, was, now in self._differences(output.name, value, output.value):
                yield self._finding(FindingKind.OUTPUT_DIFFERS, *place, recorded.offset, field, was, now)

    def _differences(self, topic: str, recorded: bytes, replayed: bytes) -> list[tuple[str, str, str]]:
        now = self._decode(topic, replayed)
        try:
            was = self._decode(topic, recorded)
        except Exception as error:
            return [("(whole record)", f"unreadable, {error}", _short(replayed))]
        found = [
            (field, repr(getattr(was, field)), repr(getattr(now, field)))
            for field in now.__struct_fields__
            if getattr(was, field) != getattr(now, field)
        ]
        return found or [("(bytes)", _short(recorded), _short(replayed))]

    def _compare_entry(self, entry: JournalEntry, rebuilt: JournalEntry | None) -> Iterator[Finding]:
        if rebuilt is None:
            yield self._of_journal(FindingKind.ENTRY, "-", "an entry", "nothing was read")
            return
        for field in _COMPARED:
            was, now = getattr(entry, field), getattr(rebuilt, field)
            if was != now:
                yield self._of_journal(FindingKind.ENTRY, field, repr(was), repr(now))

    def _of_journal(self, kind: FindingKind, field: str, recorded: str, replayed: str) -> Finding:
        return self._finding(kind, "journal", self._partition, -1, field, recorded, replayed)

    def _finding(
        self, kind: FindingKind, topic: str, partition: int, offset: int, field: str, recorded: str, replayed: str
    ) -> Finding:
        return Finding(kind, self._task.writer, self._entry_no, topic, partition, offset, field, recorded, replayed)


class _Cursor:
    """Reads a partition forward; of one writer, or of writers whose name ends so, when given."""

    def __init__(self, log: Log, topic: str, partition: int, *, writer: str = "", suffix: str = "") -> None:
        self._log = log
        self._place = topic, partition
        self._writer = writer
        self._suffix = suffix
        self._records = log.read(topic, partition, 0)
        self._peeked: Stored | None = None

    def next(self) -> Stored | None:
        if self._peeked is not None:
            record, self._peeked = self._peeked, None
            return record
        for record in self._records:
            if not self._writer and not self._suffix:
                return record
            name = leading(record)[0]
            if (self._writer and name == self._writer) or (self._suffix and name.endswith(self._suffix)):
                return record
        return None

    def seek(self, offset: int) -> bool:
        """Stand before the record at ``offset``; whether it is there."""
        self._peeked = self.next()
        if self._peeked is None or self._peeked.offset != offset:
            self._records, self._peeked = self._log.read(*self._place, offset), None
            self._peeked = self.next()
        return self._peeked is not None and self._peeked.offset == offset


def leading(record: Stored) -> tuple[str, int]:
    """Writer and number of a record: every contract of ours begins with them. Empty for what is not ours."""
    value = record.value or b""
    try:
        length, at = _long(value, SCHEMA_HEADER)
        if length < 0 or at + length > len(value):
            return "", 0
        return value[at : at + length].decode(), _long(value, at + length)[0]
    except (IndexError, UnicodeDecodeError):
        return "", 0


def _long(value: bytes, at: int) -> tuple[int, int]:
    """Avro's zigzag number at ``at``, and where it ends."""
    number = shift = 0
    while True:
        byte = value[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
        shift += 7
        if shift > 63:
            raise IndexError("no number")


def _short(value: bytes) -> str:
    text = value.hex()
    return text if len(text) <= 80 else f"{text[:77]}..."
