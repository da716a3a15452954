"""Replay: a task is fed what the journal says it read, in that order, and must write what the topics say it wrote.

Pure: topics come as a :class:`Log`, the task as a :class:`ReplayedTask`, and findings are returned. Outputs are matched
by (writer, seq); their keys are compared, and their values after the schema id. The order of inputs is the journal's,
and it is checked: each transaction must have begun, on every input, where the one before had stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Final, Protocol

from pipeline.audit.findings import Finding as Finding
from pipeline.audit.findings import FindingKind as FindingKind
from pipeline.audit.findings import short_bytes, shortened
from pipeline.audit.recorded import IN_MEMORY, Cursor, Place, leading
from pipeline.audit.recorded import Log as Log
from pipeline.audit.recorded import Stored as Stored
from pipeline.domain.audit import InputStart, JournalEntry, JournalKind
from pipeline.domain.record import Record
from pipeline.journal import SCHEMA_HEADER, entry_hash


class Written(Protocol):
    """A record the replayed task has written."""

    @property
    def name(self) -> str:
        """The topic's name on the cluster."""
        ...

    @property
    def partition(self) -> int:
        """The partition it goes to."""
        ...

    @property
    def key(self) -> bytes:
        """Its key."""
        ...

    @property
    def value(self) -> bytes:
        """Its value, header first; the schema id in the header may be another than the recorded one."""
        ...


class ReplayedTask(Protocol):
    """The task under replay: the same code as live, from empty state."""

    @property
    def writer(self) -> str:
        """The task's name in its records: ``<stage>/<partition>``."""
        ...

    def start(self, wall_ns: int) -> Sequence[Written]:
        """Start the task at the wall time (ns since 1970) that the epoch record names; the records it writes then."""
        ...

    def apply(self, topic: str, record: Stored, in_memory: bool) -> tuple[bool, Sequence[Written]]:
        """Apply one record. Returns whether it was new (a repeat is skipped, as it was live), and what it caused."""
        ...

    def end(self, recorded: JournalEntry) -> JournalEntry | None:
        """End the transaction; the journal entry the task writes, or None when nothing was applied.

        Its chain goes on from the hash of ``recorded``, so that one altered entry is one finding and not many.
        """
        ...


_COMPARED: Final = (
    "kind", "no", "epoch", "runs", "starts", "input_hash", "outputs", "output_hash", "state_hash",
    "partitions", "state_version",
)  # fmt: skip
"""Fields of an entry that a replay must reproduce; the others describe the host it ran on."""


class Replay:
    """The replay of one task. :meth:`run` yields findings; the counts say how much was compared."""

    def __init__(self, task: ReplayedTask, partition: int, log: Log, decode: Callable[[str, bytes], Record]) -> None:
        self.entries = 0
        self.inputs = 0
        self.outputs = 0
        self.last_hash = ""
        self.unread = 0
        """Records at the ends of its inputs that no journal entry covers: the task had not read them yet."""
        self._task = task
        self._partition = partition
        self._log = log
        self._decode = decode
        self._digest = hashlib.sha256()
        self._reading: dict[tuple[str, bool], Cursor] = {}
        self._written: dict[Place, Cursor] = {}
        self._read: dict[str, tuple[int, int]] = {}
        """Of the current entry: each input's first and last offset read."""
        self._last_read: dict[str, bool] = {}
        """Of each input: whether it was handed on in memory when it was last read."""
        self._entry_no = 0

    @property
    def digest(self) -> str:
        """SHA-256 over every output byte of the replay, in order."""
        return self._digest.hexdigest()

    def run(self, entries: Iterable[JournalEntry], also: Iterable[Place] = ()) -> Iterator[Finding]:
        """Replay the task's entries, in order; yields findings.

        ``also``: more partitions to search for records of this writer that no entry explains. Ends early when the
        inputs are not those the task had read, or the stage raises: nothing after that could be judged.
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
        for place, cursor in self._written.items():
            left = cursor.next()
            if left is not None:
                yield self._unexplained(place, left)
        for (topic, in_memory), reader in self._reading.items():
            if self._last_read.get(topic) == in_memory:
                while reader.next() is not None:
                    self.unread += 1

    # ------------------------------------------------------------------ inputs

    def _check_chain(self, entry: JournalEntry) -> Iterator[Finding]:
        if entry_hash(entry) != entry.entry_hash:
            yield self._of_journal(FindingKind.CHAIN, "entry_hash", entry.entry_hash, entry_hash(entry))
        if self.entries and entry.previous_hash != self.last_hash:
            yield self._of_journal(FindingKind.CHAIN, "previous_hash", entry.previous_hash, self.last_hash)
        if entry.no != self.entries + 1:
            yield self._of_journal(FindingKind.CHAIN, "no", str(entry.no), str(self.entries + 1))
        # Entries are looked up by their writer, so one whose fields name another task would never be checked.
        named = f"{entry.stage}/{entry.partition}"
        if named != self._task.writer:
            yield self._of_journal(FindingKind.CHAIN, "stage, partition", named, self._task.writer)

    def _feed(self, entry: JournalEntry, outputs: list[Written]) -> Generator[Finding, None, bool]:
        """Feed the entry's inputs; returns whether to stop."""
        self._read = {}
        if entry.kind is JournalKind.EPOCH:
            outputs.extend(self._task.start(entry.wall_ns))
            return False
        starts = {start.topic: start for start in entry.starts}
        for run in entry.runs:
            start = starts.get(run.topic)
            if start is None:
                yield self._of_journal(FindingKind.ENTRY, "starts", f"none of {run.topic}", "one")
                return True
            self._last_read[run.topic] = start.offset == IN_MEMORY
            for read in range(run.count):
                wrong = self._feed_one(start, run.count, read, outputs)
                if wrong is not None:
                    yield wrong
                    return True
                self.inputs += 1
        return False

    def _feed_one(self, start: InputStart, due: int, read: int, outputs: list[Written]) -> Finding | None:
        """Feed the next new record of an input; repeats are skipped, as they were live."""
        topic, in_memory = start.topic, start.offset == IN_MEMORY
        reader = self._reader(topic, in_memory)
        while True:
            record = reader.next()
            if record is None:
                found, missing = str(due), f"{read}; cannot verify from here on"
                return self._finding(FindingKind.INPUT_MISSING, topic, self._partition, -1, "count", found, missing)
            # The first one shows whether the task went on where it had stopped; records in memory have no offsets.
            first = topic not in self._read and not in_memory
            if first and record.offset > start.offset:
                found = str(start.offset)
                missing = f"the next is at {record.offset}; cannot verify from here on"
                return self._finding(
                    FindingKind.INPUT_MISSING, topic, self._partition, start.offset, "offset", found, missing
                )
            passed = first and record.offset < start.offset
            try:
                counted, caused = self._task.apply(topic, record, in_memory)
            except Exception as error:
                if passed:
                    return self._passed(topic, record, start)
                raised = f"{type(error).__name__}: {error}"
                return self._finding(FindingKind.RAISED, topic, self._partition, record.offset, "-", "applied", raised)
            if counted:
                if passed:
                    return self._passed(topic, record, start)
                outputs.extend(caused)
                self._read[topic] = self._read.get(topic, (record.offset, 0))[0], record.offset
                return None

    def _passed(self, topic: str, record: Stored, start: InputStart) -> Finding:
        read = f"read on from {start.offset}"
        due = "read in its turn; cannot verify from here on"
        return self._finding(FindingKind.INPUT_PASSED, topic, self._partition, record.offset, "offset", read, due)

    def _reader(self, topic: str, in_memory: bool) -> Cursor:
        cursor = self._reading.get((topic, in_memory))
        if cursor is None:
            # Only records of tasks of the same partition were handed on in memory; the topic has others' records too.
            suffix = f"/{self._partition}" if in_memory else ""
            cursor = self._reading[topic, in_memory] = Cursor(self._log, topic, self._partition, suffix=suffix)
        return cursor

    # ------------------------------------------------------------------ outputs

    def _outputs_of(self, place: Place) -> Cursor:
        cursor = self._written.get(place)
        if cursor is None:
            cursor = self._written[place] = Cursor(self._log, *place, writer=self._task.writer)
        return cursor

    def _compare(self, output: Written) -> Iterator[Finding]:
        self.outputs += 1
        self._digest.update(output.key + output.value[SCHEMA_HEADER:])
        place = output.name, output.partition
        due = leading(output.value)[1]
        cursor = self._outputs_of(place)
        while True:
            recorded = cursor.next()
            number = 0 if recorded is None else leading(recorded.value)[1]
            if recorded is None or number > due:
                # A higher number means that the record is missing, unless the one after it has the right number again:
                # then this one's number was altered.
                following = None if recorded is None else cursor.peek()
                if recorded is None or following is None or leading(following.value)[1] != due + 1:
                    if recorded is not None:
                        cursor.put_back(recorded)
                    yield self._missing(place, recorded, output)
                    return
            elif number < due:
                following = cursor.peek()
                if following is None or leading(following.value)[1] != due + 1:
                    yield self._unexplained(place, recorded)
                    continue
            break
        if recorded.key != output.key:
            was, now = shortened(recorded.key, output.key)
            yield self._finding(FindingKind.OUTPUT_DIFFERS, *place, recorded.offset, "key", was, now)
        value = recorded.value or b""
        if value[SCHEMA_HEADER:] != output.value[SCHEMA_HEADER:]:
            for field, was, now in self._differences(output.name, value, output.value):
                yield self._finding(FindingKind.OUTPUT_DIFFERS, *place, recorded.offset, field, was, now)

    def _missing(self, place: Place, instead: Stored | None, output: Written) -> Finding:
        at = -1 if instead is None else instead.offset
        found = "nothing" if instead is None else f"number {leading(instead.value)[1]} in its place"
        replayed = f"number {leading(output.value)[1]}, {short_bytes(output.value)}"
        return self._finding(FindingKind.OUTPUT_MISSING, *place, at, "(whole record)", found, replayed)

    def _unexplained(self, place: Place, record: Stored) -> Finding:
        number = str(leading(record.value)[1])
        return self._finding(FindingKind.OUTPUT_UNEXPLAINED, *place, record.offset, "seq", number, "nothing")

    def _differences(self, topic: str, recorded: bytes, replayed: bytes) -> list[tuple[str, str, str]]:
        now = self._decode(topic, replayed)
        try:
            was = self._decode(topic, recorded)
        except Exception as error:
            return [("(whole record)", f"unreadable, {error}", short_bytes(replayed))]
        found = [
            (field, *shortened(getattr(was, field), getattr(now, field)))
            for field in now.__struct_fields__
            if getattr(was, field) != getattr(now, field)
        ]
        return found or [("(bytes)", *shortened(recorded, replayed))]

    def _compare_entry(self, entry: JournalEntry, rebuilt: JournalEntry | None) -> Iterator[Finding]:
        if rebuilt is None:
            yield self._of_journal(FindingKind.ENTRY, "-", "an entry", "nothing was read")
            return
        for field in _COMPARED:
            was, now = getattr(entry, field), getattr(rebuilt, field)
            if was != now:
                recorded, replayed = shortened(was, now)
                if field == "input_hash":
                    replayed += f" over {self._read_text()}"
                yield self._of_journal(FindingKind.ENTRY, field, recorded, replayed)

    def _read_text(self) -> str:
        """The offsets of the entry's inputs: one of these records is not as it was when it was read."""
        places = [
            f"{topic}/{self._partition}/{first}" + (f"…{last}" if last != first else "")
            for topic, (first, last) in self._read.items()
        ]
        return ", ".join(places[:6]) + (f" and {len(places) - 6} more" if len(places) > 6 else "")

    def _of_journal(self, kind: FindingKind, field: str, recorded: str, replayed: str) -> Finding:
        return self._finding(kind, "journal", self._partition, -1, field, recorded, replayed)

    def _finding(
        self, kind: FindingKind, topic: str, partition: int, offset: int, field: str, recorded: str, replayed: str
    ) -> Finding:
        return Finding(kind, self._task.writer, self._entry_no, topic, partition, offset, field, recorded, replayed)
