"""The journal's hashes: what is hashed, how, and how entries form a chain. Used by the worker and by the auditor.

Every part is framed by its length (4 bytes, big endian; 0xFFFFFFFF for "none"), so that no two lists of parts have the
same bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

import msgspec

from pipeline.domain.audit import JournalEntry

SCHEMA_HEADER: Final = 5
"""Bytes of the wire format's header (magic byte, schema id). The id is the registry's choice, so outputs are hashed and
compared without it."""

_NONE: Final = b"\xff\xff\xff\xff"
_encode = msgspec.json.Encoder().encode
_size = struct.Struct(">I").pack


def input_frame(key: bytes | None, value: bytes | None) -> bytes:
    """The bytes hashed for one record that a task has read: key and value, each with its length."""
    return _frame(key) + _frame(value)


def output_head(topic: str, partition: int, key: bytes | None) -> bytes:
    """The first part of the bytes hashed for a record that a task has written: topic, partition, key."""
    return _frame(topic.encode()) + partition.to_bytes(4, "big") + _frame(key)


def output_frame(head: bytes, value: bytes) -> bytes:
    """The bytes hashed for one record written: ``head`` (of :func:`output_head`), and ``value`` after its header."""
    return head + _size(len(value) - SCHEMA_HEADER) + value[SCHEMA_HEADER:]


def hash_of(frames: Iterable[bytes]) -> str:
    """SHA-256 of the frames, hex; the empty string when there are none."""
    hashed = b"".join(frames)
    return hashlib.sha256(hashed).hexdigest() if hashed else ""


def entry_hash(entry: JournalEntry) -> str:
    """SHA-256 over the entry's other fields, as JSON in the order of the schema."""
    return hashlib.sha256(_encode(msgspec.structs.replace(entry, entry_hash=""))).hexdigest()


def _frame(part: bytes | None) -> bytes:
    return _NONE if part is None else _size(len(part)) + part
