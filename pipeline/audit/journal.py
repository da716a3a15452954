"""The journal's arithmetic: what is hashed, how, and how one entry hangs on the one before. Used by writer and auditor.

Every part is framed by its length (4 bytes, big endian; 0xFFFFFFFF for "none"), so that no two lists of parts have the
same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from pipeline.domain.audit import JournalEntry

SCHEMA_HEADER: Final = 5
"""Length of the wire format's header. Its schema id is a registry's choice: outputs are compared after it."""

_NONE: Final = b"\xff\xff\xff\xff"
_encode = msgspec.json.Encoder().encode


def input_frame(key: bytes | None, value: bytes | None) -> bytes:
    """The bytes hashed for one record read."""
    return _frame(key) + _frame(value)


def output_frame(topic: str, partition: int, key: bytes | None, value: bytes) -> bytes:
    """The bytes hashed for one record written."""
    return _frame(topic.encode()) + partition.to_bytes(4, "big") + _frame(key) + _frame(value[SCHEMA_HEADER:])


def hash_of(frames: Iterable[bytes]) -> str:
    """SHA-256 of the frames, hex; the empty string when there are none."""
    digest = None
    for frame in frames:
        digest = digest or hashlib.sha256()
        digest.update(frame)
    return "" if digest is None else digest.hexdigest()


def entry_hash(entry: JournalEntry) -> str:
    """SHA-256 over the entry's other fields, as JSON in the order of the schema."""
    return hashlib.sha256(_encode(msgspec.structs.replace(entry, entry_hash=""))).hexdigest()


def _frame(part: bytes | None) -> bytes:
    return _NONE if part is None else len(part).to_bytes(4, "big") + part
