"""How an auditor reads recorded topics: forward, one partition at a time, records of all writers or of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

from pipeline.journal import SCHEMA_HEADER

Place = tuple[str, int]
"""A topic's name and a partition."""

IN_MEMORY: Final = -1
"""The offset that the journal gives for records handed on in memory inside a unit."""


class Stored(Protocol):
    """A record as it was read from a topic."""

    @property
    def offset(self) -> int:
        """Its offset in the partition."""
        ...

    @property
    def append_ns(self) -> int:
        """The broker's append time, ns since 1970."""
        ...

    @property
    def key(self) -> bytes | None:
        """Its key as it was sent."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its value as it was sent, the schema id in front; None: a tombstone."""
        ...


class Log(Protocol):
    """The recorded topics: committed records only."""

    def read(self, topic: str, partition: int, offset: int) -> Iterator[Stored]:
        """The records of a partition from ``offset`` on, in order; none for a topic that does not exist."""
        ...


class Cursor:
    """Reads a partition forward: all records, those of one ``writer``, or of writers whose name ends in ``suffix``."""

    def __init__(self, log: Log, topic: str, partition: int, *, writer: str = "", suffix: str = "") -> None:
        self._writer = writer
        self._suffix = suffix
        self._records = log.read(topic, partition, 0)
        self._ahead: deque[Stored] = deque()

    def next(self) -> Stored | None:
        """The next record, or None at the end."""
        return self._ahead.popleft() if self._ahead else self._read()

    def peek(self) -> Stored | None:
        """The record that :meth:`next` will return, or None at the end."""
        if not self._ahead:
            record = self._read()
            if record is None:
                return None
            self._ahead.append(record)
        return self._ahead[0]

    def put_back(self, record: Stored) -> None:
        """Make ``record`` the next one again."""
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
    """Writer and sequence number of a record, read without its schema: every contract of ours begins with them.

    ("", 0) for bytes that are no record of ours.
    """
    value = value or b""
    try:
        length, at = _long(value, SCHEMA_HEADER)
        if length < 0 or at + length > len(value):
            return "", 0
        return value[at : at + length].decode(), _long(value, at + length)[0]
    except (IndexError, UnicodeDecodeError):
        return "", 0


def _long(value: bytes, at: int) -> tuple[int, int]:
    """The Avro long (zigzag, variable length) at ``at``, and the position after it."""
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
