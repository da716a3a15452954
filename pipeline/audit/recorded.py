"""Recorded topics as an auditor reads them: forward, one partition at a time, of all writers or of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

from pipeline.journal import SCHEMA_HEADER

Place = tuple[str, int]
"""A topic's name and a partition."""

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


class Cursor:
    """Reads a partition forward; of one writer, or of writers whose name ends so, when given."""

    def __init__(self, log: Log, topic: str, partition: int, *, writer: str = "", suffix: str = "") -> None:
        self._writer = writer
        self._suffix = suffix
        self._records = log.read(topic, partition, 0)
        self._ahead: deque[Stored] = deque()

    def next(self) -> Stored | None:
        """The next record, or None at the end."""
        return self._ahead.popleft() if self._ahead else self._read()

    def peek(self) -> Stored | None:
        """The record that :meth:`next` will give."""
        if not self._ahead:
            record = self._read()
            if record is None:
                return None
            self._ahead.append(record)
        return self._ahead[0]

    def put_back(self, record: Stored) -> None:
        """Give it again next time."""
        self._ahead.appendleft(record)

    def _read(self) -> Stored | None:
        for record in self._records:
            if not self._writer and not self._suffix:
                return record
            name = leading(record.value)[0]
            if (self._writer and name == self._writer) or (self._suffix and name.endswith(self._suffix)):
                return record
        return None


def leading(value: bytes | None) -> tuple[str, int]:
    """Writer and number of a record: every contract of ours begins with them. Empty for what is not ours."""
    value = value or b""
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
