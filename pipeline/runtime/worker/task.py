"""One stage on one partition, whatever the host: applies records, numbers its outputs, keeps its offsets and journal.

The place of a task is in its own state: the changelog entry ``_meta`` carries the next offset of every outside input,
the last number of every writer, its own output counters and the journal's number and hash. What a stage writes never
depends on where a transaction ended; only journal entries and changelog records do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from msgspec.structs import force_setattr, replace

from pipeline.domain.audit import DeadLetter, InputRun, InputStart, JournalEntry, JournalKind, OutputSpan
from pipeline.domain.controls import Control, ControlKind, Resumed, Tick, TickKind
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Owned, Record
from pipeline.domain.rejections import DeadLetterReason
from pipeline.domain.validators.table import VALIDATORS
from pipeline.errors import PipelineError
from pipeline.journal import entry_hash, hash_of, input_frame, output_frame, output_head
from pipeline.runtime.worker.migration import StateMismatch as StateMismatch
from pipeline.runtime.worker.migration import migrated
from pipeline.runtime.worker.wiring import AnyStage
from pipeline.stage import Meta
from pipeline.state import Task
from pipeline.topics import CLOCK, CONTROLS, JOURNAL, Spread, Topic, partitions_for, topic_of

META_KEY: Final = b"_meta"
LETTER_BYTES_MAX: Final = 3_900_000
"""More than any record a broker of ours takes; the topic `dead-letters` and the codec allow 4 MB and a little."""
IN_MEMORY: Final = -1
"""Offset of a record that was handed on inside its unit."""


class SequenceGap(PipelineError):
    """Records of one of our writers are missing: nothing may be decided on what is left."""


class RecordEncoder(Protocol):
    """What a task needs of the codec."""

    def encode(self, record: Record) -> bytes:
        """The record's value on its topic. Raises ContractError for what its schema cannot carry."""
        ...


class Unread(NamedTuple):
    """Why a record could not be decoded."""

    reason: DeadLetterReason
    detail: str


class Message(msgspec.Struct, gc=False):
    """A record for the tasks of one partition; decoded, and framed for the journal, once for all of them."""

    topic: Topic
    partition: int
    offset: int
    append_ns: int
    key: bytes | None
    value: bytes | None
    record: Record | None
    unread: Unread | None = None
    frame: bytes = b""
    """The bytes that journals hash for it; empty until the first reader has made them."""
    not_understood: tuple[str, ...] = ()
    """What of the record this version does not understand: see :class:`~pipeline.stage.Meta`."""

    @property
    def position(self) -> str:
        """``topic/partition/offset``, as a SKIP names it."""
        return f"{self.topic.name}/{self.partition}/{self.offset}"


class Output(NamedTuple):
    """An output with writer and seq set. ``name``: its topic's name, a source's own one included. ``value`` is empty
    when the host does not encode."""

    topic: Topic
    name: str
    partition: int
    key: bytes
    value: bytes
    record: Owned


_output: Final = partial(tuple.__new__, Output)
"""Makes an Output of its six fields faster than its own constructor, which is a Python function."""


class Route(NamedTuple):
    """Where records of one topic and key go: one of these for each partition."""

    partition: int
    key: bytes
    head: bytes
    """The beginning of the journal's frame of such a record."""
    place: tuple[str, int]
    """Topic's name and partition."""
    written: dict[int, int]
    """Of the topic: partition to our last number in it."""


_ROUTES_MOST: Final = 1 << 16
"""Cache bound: number of keys whose routes are kept."""


class TaskPlace(msgspec.Struct):
    """The entry ``_meta``: the offsets and numbers that a task has reached, and its journal's hash."""

    stage: str
    partition: int
    partitions: int
    state_version: int
    unit: str = ""
    offsets: dict[str, int] = {}
    """Next offset of each outside input."""
    seen: dict[str, dict[str, int]] = {}
    """Input, writer: its last number applied."""
    unread: dict[str, int] = {}
    """Input to number of unreadable records that no gap in a writer's numbers has been explained by yet."""
    written: dict[str, dict[int, int]] = {}
    """Output, partition: our last number in it."""
    skips: dict[str, str] = {}
    """Positions the desk has ordered to be skipped, with who and why."""
    no: int = 0
    epoch: int = 0
    last_hash: str = ""
    entries: int = -1
    """Entries of the state: a restore that finds another number is not complete. -1: not counted (older code)."""


class EpochFacts(NamedTuple):
    """What an epoch record says about the host. ``wall_ns`` 0: no live start, so the stage gets no :class:`Resumed`."""

    wall_ns: int = 0
    commit: str = ""
    lock_hash: str = ""
    python: str = ""
    config: str = ""
    schemas: str = ""
    cluster_id: str = ""


def recorded_config(stages: Iterable[AnyStage]) -> str:
    """The parameters of these stages as an epoch record holds them: JSON, stage to dotted name to value."""
    return json.dumps({stage.name: stage.config() for stage in stages}, sort_keys=True, separators=(",", ":"))


class Closed(NamedTuple):
    """The end of a transaction: journal entries to write after the outputs, and the changelog with its ``_meta``."""

    journal: list[Output]
    changelog: list[tuple[bytes, bytes | None]]


class TaskRunner:
    """Runs a task. ``fronts``: topics for which it writes dead letters. ``codec`` None: records only, no bytes and no
    journal (for speed, where only records matter)."""

    def __init__(
        self,
        stage: AnyStage,
        partition: int,
        partitions: int,
        codec: RecordEncoder | None,
        fronts: frozenset[str],
        unit: str = "",
    ) -> None:
        self.stage = stage
        self.task = Task(stage.name, partition, partitions)
        self.state = stage.new_state(self.task)
        self.place = TaskPlace(stage.name, partition, partitions, stage.state_version, unit)
        self.touched = False
        self.day_began = False
        """A day has begun in this transaction."""
        self.counted = 0
        """Records applied, without those skipped because they had been applied before."""
        self._unit = unit
        self._codec = codec
        self._fronts = fronts
        self._reads = frozenset(stage.reads)
        self._writes = frozenset(stage.writes)
        self._writer = self.task.writer
        self._journal: list[Output] = []
        self.migrated: list[tuple[bytes, bytes | None]] = []
        """Changelog records of a migration made at the restore; the next :meth:`close` writes them."""
        self._routes: dict[tuple[str, str], tuple[Route, ...]] = {}
        self._meta = Meta(0)
        self._begin()

    def _begin(self) -> None:
        self._runs: list[list[Any]] = []
        self._starts: dict[str, InputStart] = {}
        self._spans: dict[tuple[str, int], list[int]] = {}
        self._input_frames: list[bytes] = []
        self._output_frames: list[bytes] = []
        self._day_ended = False

    # ------------------------------------------------------------------ applying

    def start(self, epoch: EpochFacts) -> list[Output]:
        """Start the task: an epoch record, and :class:`Resumed` for a stage that reads it; returns what that causes.

        Call after :meth:`restore`. Raises StateMismatch for an entry that this code cannot read, RuntimeError inside a
        transaction.
        """
        if self._runs or self._spans:
            raise RuntimeError("a task starts between transactions")
        self.place.epoch += 1
        self.place.unit = self._unit
        outputs: list[Output] = []
        if epoch.wall_ns and Resumed in self._reads:
            outputs = self._step(Resumed(wall_ns=epoch.wall_ns), Meta(0))
        self.touched = True
        try:
            self._seal(JournalKind.EPOCH, epoch)  # its state hash decodes every entry for the first time
        except msgspec.DecodeError as error:
            raise self._unreadable(error) from error
        return outputs

    def apply(self, message: Message) -> list[Output]:
        """Apply one record; returns its outputs, numbered, in order. A record applied before is skipped.

        Raises SequenceGap, or whatever the stage raises: then nothing of this transaction may be written.
        """
        topic, offset, record = message.topic, message.offset, message.record
        name, place = topic.name, self.place
        outside = offset != IN_MEMORY
        if outside:
            if offset < place.offsets.get(name, 0):
                return []
            place.offsets[name] = offset + 1
            self.touched = True
        writer, seq = (record.writer, record.seq) if isinstance(record, Owned) else ("", 0)
        if writer and not self._is_next(name, writer, seq, message):
            return []
        self._note(name, writer, seq, message)
        if record is None:
            place.unread[name] = place.unread.get(name, 0) + 1
            unread = message.unread
            if name not in self._fronts or unread is None:
                return []
            return self._dead_letter(message, unread.reason, unread.detail)
        if outside:
            skip = place.skips.pop(message.position, None) if place.skips else None
            if skip is not None:
                return self._dead_letter(message, DeadLetterReason.SKIPPED_BY_DESK, skip)
            astray = self._astray(message, record) if topic.spread is Spread.KEYED else ""
            if astray:
                return (
                    self._dead_letter(message, DeadLetterReason.WRONG_PARTITION, astray) if name in self._fronts else []
                )
        if topic is CONTROLS:
            assert isinstance(record, Control), "one record type per topic"
            if record.kind is ControlKind.SKIP and not message.not_understood:
                place.skips[record.scope_id] = f"{record.control_id} by {record.who}: {record.why}"
        elif topic is CLOCK:
            assert isinstance(record, Tick), "one record type per topic"
            if record.kind is not TickKind.TICK:
                self._day_ended = self._day_ended or record.kind is TickKind.DAY_END
                self.day_began = self.day_began or record.kind is TickKind.DAY_START
        if type(record) not in self._reads:
            return []
        if message.not_understood and not self._answers_for(type(record)):
            what = f"not understood: {', '.join(message.not_understood)}"
            return self._dead_letter(message, DeadLetterReason.NOT_UNDERSTOOD, what) if name in self._fronts else []
        meta, front, not_understood = self._meta, name in self._fronts, message.not_understood
        if message.append_ns != meta.append_ns or front is not meta.front or not_understood != meta.not_understood:
            self._meta = Meta(message.append_ns, front, not_understood)
        return self._step(record, self._meta)

    def _is_next(self, name: str, writer: str, seq: int, message: Message) -> bool:
        """Whether this is the writer's next record; False when it was applied before."""
        seen = self.place.seen.get(name)
        if seen is None:
            seen = self.place.seen[name] = {}
        last = seen.get(writer, 0)
        if seq <= last:
            return False
        missing = seq - last - 1
        if missing:
            # Unreadable records have no writer or number, and are in the dead letters: they may explain the gap.
            unread = self.place.unread.get(name, 0)
            if missing > unread:
                raise SequenceGap(
                    f"{self._writer}: {message.position}: record {seq} of {writer} follows its record {last}: "
                    f"{missing} missing. Nothing was written. Find what removed or overtook them before a new start."
                )
            self.place.unread[name] = unread - missing
        seen[writer] = seq
        return True

    def _note(self, name: str, writer: str, seq: int, message: Message) -> None:
        """Add the record to the journal entry of this transaction."""
        self.touched = True
        self.counted += 1
        runs = self._runs
        if runs and runs[-1][0] == name:
            runs[-1][1] += 1
        else:
            runs.append([name, 1])
        if name not in self._starts:
            self._starts[name] = InputStart(topic=name, offset=message.offset, writer=writer, seq=seq)
        if self._codec is not None:
            if not message.frame:
                message.frame = input_frame(message.key, message.value)
            self._input_frames.append(message.frame)

    def _answers_for(self, record_type: type[Record]) -> bool:
        """Whether somebody says what becomes of a record of which parts are not understood: the door, or the stage."""
        return record_type in VALIDATORS or record_type in self.stage.answers

    def _astray(self, message: Message, record: Record) -> str:
        """What is wrong with the partition a record with a key was found on; empty when nothing is."""
        key = message.topic.key(record)
        right = partition_of(key, self.task.partitions)
        if right == message.partition:
            return ""
        return (
            f"key {key!r} belongs to partition {right}: send with murmur2(key) mod {self.task.partitions}, explicitly"
        )

    def _dead_letter(self, message: Message, reason: DeadLetterReason, detail: str) -> list[Output]:
        value = message.value
        if value is not None and len(value) > LETTER_BYTES_MAX:
            # A dead letter must fit into a record itself. The original stays on its topic, at the position named.
            detail = f"{len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()}, the beginning kept: {detail}"
            value = value[:LETTER_BYTES_MAX]
        letter = DeadLetter(
            stage=self.stage.name,
            topic=message.topic.name,
            partition=message.partition,
            offset=message.offset,
            append_ns=message.append_ns,
            reason=reason,
            detail=detail[:2000],
            key=message.key,
            value=value,
        )
        return self._emit(letter, [])

    def _step(self, record: Record, meta: Meta) -> list[Output]:
        outputs: list[Output] = []
        writes, emit = self._writes, self._emit
        for caused in self.stage.take(self.state, record, meta):
            if type(caused) not in writes:
                raise TypeError(f"{self.stage.name} wrote a {type(caused).__name__}, which is not in its writes")
            emit(caused, outputs)
        return outputs

    def _emit(self, record: Owned, outputs: list[Output]) -> list[Output]:
        """Set writer and seq of ``record`` for each of its partitions and append it to ``outputs``."""
        topic = topic_of(type(record))
        name = topic.name_for(record) if topic.per_source else topic.name
        key = topic.key(record)
        codec, spans = self._codec, self._spans
        for partition, raw_key, head, place, written in self._routes.get((name, key)) or self._route(topic, name, key):
            seq = written[partition] = written.get(partition, 0) + 1
            if record.writer:  # numbered already: a copy for another partition, or a record that the stage kept
                record = replace(record, writer=self._writer, seq=seq)
            else:
                force_setattr(record, "writer", self._writer)
                force_setattr(record, "seq", seq)
            span = spans.get(place)
            if span is None:
                spans[place] = [seq, 1]
            else:
                span[1] += 1
            value = b""
            if codec is not None:
                value = codec.encode(record)
                self._output_frames.append(output_frame(head, value))
            outputs.append(_output((topic, name, partition, raw_key, value, record)))
        return outputs

    def _route(self, topic: Topic, name: str, key: str) -> tuple[Route, ...]:
        """Where records of a topic with this key go; kept for the next one."""
        written = self.place.written.setdefault(name, {})
        raw_key = key.encode()
        routes = tuple(
            Route(partition, raw_key, output_head(name, partition, raw_key), (name, partition), written)
            for partition in partitions_for(topic, key, self.task.partition, self.task.partitions)
        )
        if len(self._routes) >= _ROUTES_MOST:
            self._routes.clear()
        self._routes[name, key] = routes
        return routes

    # ------------------------------------------------------------------ transactions

    def close(self) -> Closed:
        """End the transaction: its journal entries, and what changed in the state with ``_meta`` as the last record."""
        if self._runs:
            self._seal(JournalKind.TRANSACTION, EpochFacts())
        journal, self._journal = self._journal, []
        changelog, self.migrated = self.migrated, []
        changelog.extend((key.encode(), value) for key, value in self.state.drain())
        if self.touched:
            self.place.entries = len(self.state)
            changelog.append((META_KEY, self.meta()))
        self.touched = self.day_began = False
        return Closed(journal, changelog)

    def meta(self) -> bytes:
        """The entry ``_meta`` as it is now."""
        return msgspec.msgpack.encode(self.place)

    def _seal(self, kind: JournalKind, epoch: EpochFacts) -> None:
        place = self.place
        place.no += 1
        starting = kind is JournalKind.EPOCH
        if self._codec is not None:
            partitions = place.written.setdefault(JOURNAL.name, {})
            seq = partitions.get(self.task.partition, 0) + 1
            partitions[self.task.partition] = seq
            entry = JournalEntry(
                writer=self._writer,
                seq=seq,
                kind=kind,
                stage=self.stage.name,
                partition=self.task.partition,
                no=place.no,
                epoch=place.epoch,
                previous_hash=place.last_hash,
                runs=tuple(InputRun(topic=topic, count=count) for topic, count in self._runs),
                starts=tuple(self._starts.values()),
                input_hash=hash_of(self._input_frames),
                outputs=tuple(
                    OutputSpan(topic=topic, partition=partition, first_seq=first, count=count)
                    for (topic, partition), (first, count) in self._spans.items()
                ),
                output_hash=hash_of(self._output_frames),
                state_hash=self.state.digest() if starting or self._day_ended else "",
                wall_ns=epoch.wall_ns,
                commit=epoch.commit,
                lock_hash=epoch.lock_hash,
                python=epoch.python,
                config=epoch.config,
                schemas=epoch.schemas,
                cluster_id=epoch.cluster_id,
                partitions=self.task.partitions if starting else 0,
                state_version=self.stage.state_version if starting else 0,
            )
            force_setattr(entry, "entry_hash", entry_hash(entry))
            place.last_hash = entry.entry_hash
            key = JOURNAL.key(entry).encode()
            value = self._codec.encode(entry)
            self._journal.append(Output(JOURNAL, JOURNAL.name, self.task.partition, key, value, entry))
        self._begin()

    def restore(self, changelog: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Load a changelog (keys and values, oldest first) into a new task. Raises StateMismatch.

        State of an older version is migrated where the stage has migrations (:mod:`pipeline.runtime.worker.migration`).
        """
        rows = {key: value for key, value in dict(changelog).items() if value is not None}
        meta = rows.pop(META_KEY, None)
        if meta is None and rows:
            raise StateMismatch(f"{self._writer}: {len(rows)} entries and no place: the changelog is not whole.")
        if meta is not None:
            place = msgspec.msgpack.decode(meta, type=TaskPlace)
            want = (self.stage.name, self.task.partition, self.task.partitions)
            if (place.stage, place.partition, place.partitions) != want:
                raise StateMismatch(
                    f"{self._writer}: the changelog is of {place.stage}/{place.partition} of {place.partitions}; "
                    f"this task is {want[0]}/{want[1]} of {want[2]}."
                )
            if place.entries not in (-1, len(rows)):
                raise StateMismatch(
                    f"{self._writer}: {len(rows)} entries were restored, the state had {place.entries}: the changelog "
                    f"is not whole. Nothing was written."
                )
            if place.state_version != self.stage.state_version:
                rows, self.migrated = migrated(self.stage, place.state_version, rows)
                place.state_version = self.stage.state_version
            self.place = place
            self._routes.clear()  # they refer to the counters of the former place
        try:
            for key, value in rows.items():
                self.state.load(key.decode(), value)
            self.state.restored()
        except (KeyError, msgspec.DecodeError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> StateMismatch:
        return StateMismatch(
            f"{self._writer}: the restored state cannot be read by this code, though both say version "
            f"{self.stage.state_version} ({type(error).__name__}: {error}). Run the code that wrote it; a changed "
            f"table needs a new state_version and a migration. Nothing was written."
        )
