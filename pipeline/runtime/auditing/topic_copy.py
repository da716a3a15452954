"""Topics copied to files of our own, so that they can be read again and again, from anywhere, in bounded memory.

A record is: offset, append time, length of key and of value (-1 for none), key, value.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.errors import DiskFull

_HEADER: Final = struct.Struct(">qqii")
_BUFFER_BYTES: Final = 131_072
"""Buffered per partition before it is written to its file: 540 partitions (45 topics of 12) make 70 MB."""
_MARK_EVERY: Final = 1_024
"""The file position of one in so many records is kept: a seek reads at most so many records for nothing."""

Place = tuple[str, int]


class CopiedRecord(NamedTuple):
    """A record as it is on a topic."""

    offset: int
    append_ns: int
    key: bytes | None
    value: bytes | None


class CopiedLog:
    """The copied topics, as an :class:`~pipeline.audit.recorded.Log`. Can be pickled for other processes."""

    def __init__(self, folder: Path, marks: Mapping[Place, list[tuple[int, int]]], files: Mapping[Place, str]) -> None:
        self._folder = folder
        self._marks = marks
        self._files = files

    def read(self, topic: str, partition: int, offset: int) -> Iterator[CopiedRecord]:
        place = topic, partition
        if place not in self._files:
            return
        marks = self._marks[place]
        low, high = 0, len(marks)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if marks[middle][0] <= offset else (low, middle)
        with (self._folder / self._files[place]).open("rb", buffering=_BUFFER_BYTES) as file:
            if low:
                file.seek(marks[low - 1][1])
            read = file.read
            while header := read(_HEADER.size):
                at, append_ns, key_size, value_size = _HEADER.unpack(header)
                key = None if key_size < 0 else read(key_size)
                value = None if value_size < 0 else read(value_size)
                if at >= offset:
                    yield CopiedRecord(at, append_ns, key, value)


class TopicCopy:
    """Writes records to files in ``folder``, each partition's in order; :meth:`close` returns them as a log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buffers: dict[Place, bytearray] = {}
        self._sizes: dict[Place, int] = {}
        self._counts: dict[Place, int] = {}
        self._marks: dict[Place, list[tuple[int, int]]] = {}
        self._files: dict[Place, str] = {}

    def take(
        self, topic: str, partition: int, offset: int, append_ns: int, key: bytes | None, value: bytes | None
    ) -> None:
        """Append one record. Raises DiskFull."""
        place = topic, partition
        buffer = self._buffers.get(place)
        if buffer is None:
            buffer = self._buffers[place] = bytearray()
            self._sizes[place] = self._counts[place] = 0
            self._marks[place] = []
            self._files[place] = f"{len(self._files)}.records"
        if self._counts[place] % _MARK_EVERY == 0:
            self._marks[place].append((offset, self._sizes[place] + len(buffer)))
        self._counts[place] += 1
        key_size, value_size = -1 if key is None else len(key), -1 if value is None else len(value)
        buffer += _HEADER.pack(offset, append_ns, key_size, value_size) + (key or b"") + (value or b"")
        if len(buffer) >= _BUFFER_BYTES:
            self._flush(place)

    def count(self, topic: str, partition: int) -> int:
        """Records taken of a partition."""
        return self._counts.get((topic, partition), 0)

    @property
    def total(self) -> int:
        """Records taken."""
        return sum(self._counts.values())

    def close(self) -> CopiedLog:
        """Everything copied, to be read as long as the folder exists. Raises DiskFull."""
        for place in self._buffers:
            self._flush(place)
        return CopiedLog(self._folder, self._marks, self._files)

    def _flush(self, place: Place) -> None:
        buffer = self._buffers[place]
        try:
            with (self._folder / self._files[place]).open("ab") as file:
                file.write(buffer)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull("a copy of the topics", self._folder) from error
            raise
        self._sizes[place] += len(buffer)
        buffer.clear()
