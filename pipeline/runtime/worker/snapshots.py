"""Day-start snapshots: a file per task, so that a restore reads the changelog only from there on.

A snapshot is written while the worker works, a piece after each commit, so it has different rows as of different
moments. That is enough: it names an offset of its changelog such that every record committed below it is in the
snapshot, and a restore applies all records from that offset to the log's end on top. The offset is that of a `_meta`
record of one of our own committed transactions: as the group accepted that transaction, no other worker had written
to the changelog before it.

    magic · frames (length, MessagePack): header, then lists of key, value, key, value … · an empty frame · footer
    footer: number of rows, end of the log so far · SHA-256 of all bytes before it

It is only a short cut. One that is torn, of another cluster, topic or version, beyond the log's end or below its start
is reported in one line of the log, and the changelog is read whole. So too when the number of entries is not the one
in `_meta`: compaction may have removed a tombstone that was needed to delete a row of the snapshot.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.restore import Begin, Place
from pipeline.state import State
from pipeline.topics import changelog_of

MAGIC: Final = b"pipeline snapshot 1\n"
ROWS_AT_ONCE: Final = 2000
"""Rows in a frame. One frame is written between two transactions, in some milliseconds."""
_LENGTH: Final = struct.Struct(">I")
_FOOTER: Final = struct.Struct(">QQ")
_DIGEST_BYTES: Final = 32


class Torn(Exception):
    """The file is not whole, or not what it claims to be."""


class Header(msgspec.Struct, frozen=True):
    """Which task's state a snapshot holds. ``offset``: where in the changelog to read on."""

    stage: str
    partition: int
    partitions: int
    state_version: int
    cluster_id: str
    topic: str
    topic_id: str
    offset: int


class SavedTask(NamedTuple):
    """A task whose state is to be saved."""

    stage: str
    state_version: int
    partition: int
    state: State


def write_file(path: Path, header: Header, rows: Iterable[tuple[bytes, bytes]], until: int) -> None:
    """Write a whole snapshot at once. ``until``: end offset of the changelog so far. Raises OSError."""
    writing = _File(path, header)
    writing.add(list(rows))
    writing.finish(until)


def read_file(path: Path) -> tuple[Header, dict[bytes, bytes], int]:
    """Header, rows, and the end of the log when it was written. Raises Torn, OSError."""
    rows: dict[bytes, bytes] = {}
    digest = hashlib.sha256()

    def take(size: int) -> bytes:
        data = file.read(size)
        if len(data) != size:
            raise Torn("it ends too early")
        digest.update(data)
        return data

    with path.open("rb") as file:
        if take(len(MAGIC)) != MAGIC:
            raise Torn("it is of another format")
        frames = iter(lambda: take(_LENGTH.unpack(take(_LENGTH.size))[0]), b"")
        try:
            header = msgspec.msgpack.decode(next(frames), type=Header)
            for frame in frames:
                flat = msgspec.msgpack.decode(frame, type=list[bytes])
                rows.update(zip(flat[::2], flat[1::2], strict=True))
        except (msgspec.DecodeError, StopIteration, ValueError) as error:
            raise Torn(f"it cannot be read ({error})") from error
        count, until = _FOOTER.unpack(take(_FOOTER.size))
        found = digest.digest()
        if take(_DIGEST_BYTES) != found or count != len(rows) or file.read(1):
            raise Torn("its checksum is wrong")
    return header, rows, until


class Snapshots:
    """The snapshots of a worker in ``folder``; with None, none are written or read."""

    def __init__(self, folder: Path | None, cluster_id: str, partitions: int, context: WorkerContext) -> None:
        self._folder: Final = folder
        self._cluster_id: Final = cluster_id
        self._partitions: Final = partitions
        self._context: Final = context
        self._topic_ids: dict[str, str] = {}
        self._tasks: list[SavedTask] = []
        self._sent: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}
        self._writing: Iterator[None] | None = None
        self._file: _File | None = None
        self._ends: list[threading.Thread] = []

    # ------------------------------------------------------------------ reading

    def find(
        self, places: Mapping[Place, tuple[str, int]], ends: Callable[[], Mapping[Place, tuple[int, int]]]
    ) -> dict[Place, Begin]:
        """For each changelog that has a usable snapshot, its rows and where to read on.

        ``places``: changelogs with their stage and its state version; ``ends`` returns their first and end offsets. An
        unusable snapshot is reported in the log and left out.
        """
        if self._folder is None:
            return {}
        # Looked up now also for the headers written later: at that point it would hold up the worker.
        self._topic_ids = self._context.kafka.topic_ids(sorted({topic for topic, _ in places}))
        found = {}
        asked: Mapping[Place, tuple[int, int]] = {}
        for place, (stage, state_version) in places.items():
            path = self._path(self._folder, stage, place[1])
            if not path.exists():
                continue
            asked = asked or ends()
            low, high = asked[place]
            try:
                header, rows, until = read_file(path)
                wanted = self._header(stage, place[1], state_version, header.offset)
                if header != wanted:
                    raise Torn(f"it is of {header}, not of {wanted}")
                if header.offset < low:
                    raise Torn(f"the changelog begins at {low}, it ends at {header.offset}")
                if until > high:
                    raise Torn(f"the changelog ends at {high}, it goes to {until}")
            except (Torn, OSError) as error:
                self._context.say(f"snapshot {path.name} is not used, the changelog is read whole: {error}")
                continue
            found[place] = Begin(rows, header.offset)
        return found

    # ------------------------------------------------------------------ writing

    @property
    def wants_offsets(self) -> bool:
        """Whether :meth:`on_meta` is to be called with the offsets of the worker's `_meta` records."""
        return bool(self._tasks)

    def on_meta(self, topic: str, partition: int, offset: int) -> None:
        """The broker has stored a `_meta` record there; whether it will be committed is not known yet."""
        self._sent[topic, partition] = offset

    def begin(self, tasks: Iterable[SavedTask]) -> None:
        """Save these tasks, from the next commit on: a day has begun."""
        if self._folder is not None:
            self.drop()
            self._tasks = list(tasks)

    def committed(self) -> None:
        """A transaction was committed: states and topics agree now."""
        self._committed.update(self._sent)
        self._sent.clear()
        if self._writing is None and self._tasks and self._folder is not None:
            self._writing = self._write(self._folder)

    def go_on(self) -> None:
        """Write one more frame. To be called only while all of the states is committed."""
        if self._writing is None:
            return
        try:
            next(self._writing)
        except StopIteration:
            self._writing = None
            self._tasks = []
        except OSError as error:
            self._context.say(f"no snapshots are written: {error}")
            self.drop()

    def drop(self) -> None:
        """Give up the snapshot being written: the states are about to be dropped."""
        if self._file is not None:
            self._file.give_up()
        self._file = None
        self._writing = None
        self._tasks = []
        self._sent.clear()
        self._committed.clear()

    def wait(self) -> None:
        """Wait until all files written are on the disk."""
        for end in self._ends:
            end.join()
        self._ends.clear()

    def _write(self, folder: Path) -> Iterator[None]:
        waiting = deque(self._tasks)
        while waiting:
            task = waiting.popleft()
            place = changelog_of(task.stage), task.partition
            if place not in self._committed:  # no transaction of this task yet: its offset is not known
                waiting.append(task)
                yield
                continue
            path = self._path(folder, task.stage, task.partition)
            path.parent.mkdir(parents=True, exist_ok=True)
            header = self._header(task.stage, task.partition, task.state_version, self._committed[place])
            file = self._file = _File(path, header)
            rows: list[tuple[bytes, bytes]] = []
            for key, value in task.state.fuzzy_dump():
                rows.append((key.encode(), value))
                if len(rows) == ROWS_AT_ONCE:
                    file.add(rows)
                    rows = []
                    yield
            file.add(rows)
            self._file = None
            # In a thread, because fsync may take long.
            until = self._committed[place] + 1
            end = threading.Thread(target=self._finish, args=(file, until), name="snapshot-end", daemon=True)
            self._ends = [each for each in self._ends if each.is_alive()] + [end]
            end.start()
            yield

    def _finish(self, file: _File, until: int) -> None:
        try:
            file.finish(until)
        except OSError as error:
            self._context.say(f"snapshot {file.path.name} could not be written: {error}")

    @staticmethod
    def _path(folder: Path, stage: str, partition: int) -> Path:
        return folder / "snapshots" / f"{stage}-{partition}.snapshot"

    def _header(self, stage: str, partition: int, state_version: int, offset: int) -> Header:
        topic = changelog_of(stage)
        return Header(
            stage, partition, self._partitions, state_version, self._cluster_id, topic, self._topic_ids[topic], offset
        )


class _File:
    """A snapshot while it is written: under another name until it is whole and on disk."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path: Final = path
        for left in path.parent.glob(f"{path.stem}.*.part"):  # by a process that was killed
            left.unlink(missing_ok=True)
        self._part: Final = path.with_suffix(f".{os.getpid()}.part")
        self._file: Final[IO[bytes]] = self._part.open("wb")
        self._digest: Final = hashlib.sha256()
        self._count = 0
        self._put(MAGIC)
        self._frame(msgspec.msgpack.encode(header))

    def add(self, rows: list[tuple[bytes, bytes]]) -> None:
        if rows:
            self._count += len(rows)
            self._frame(msgspec.msgpack.encode([each for row in rows for each in row]))

    def finish(self, until: int) -> None:
        self._frame(b"")
        self._put(_FOOTER.pack(self._count, until))
        self._put(self._digest.digest())
        with self._file as file:
            file.flush()
            os.fsync(file.fileno())
        self._part.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def give_up(self) -> None:
        self._file.close()
        with contextlib.suppress(OSError):
            self._part.unlink()

    def _frame(self, data: bytes) -> None:
        self._put(_LENGTH.pack(len(data)))
        self._put(data)

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)
