"""Seals: hashes of the whole log at one moment, small enough to keep out of reach of whoever can write to the cluster.

A seal holds the last entry of every task's journal, and for every partition of every topic of ours, inputs too, its
end offset and the SHA-256 of all its records: offsets, append times, keys, values. A seal may continue an earlier one,
which it names by the SHA-256 of its bytes; it then covers the records since. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.audit.recorded import leading
from pipeline.domain.audit import JournalEntry
from pipeline.journal import entry_hash

VERSION: Final = 1
"""Version of the file and of what is hashed. The hash is defined here alone, so that no other change breaks old
seals."""
CHECKPOINT_EVERY: Final = 4_096
"""Records between two checkpoints: the precision with which a difference is located where no replay names it."""

_HEAD: Final = struct.Struct(">qqii")
DecodeEntry = Callable[[bytes | None], JournalEntry]


class BadSeal(ValueError):
    """The bytes are not a seal of this version, or not as a seal is written."""


class Checkpoint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The running hash (hex) over the records below ``end_offset``."""

    end_offset: int
    sha256: str


class SealedPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One partition of one topic: the records in ``[first_offset, end_offset)``."""

    topic: str
    topic_id: str = ""
    """The broker's id of the topic, empty where it gives none. A topic that was deleted and made again has another
    one."""
    partition: int
    first_offset: int
    end_offset: int
    records: int
    sha256: str
    """Over offset, append time (8 bytes each), length of key and value (4 bytes each, -1 for none), key, value of each
    record; numbers big endian."""
    checkpoints: tuple[Checkpoint, ...] = ()


class SealedHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last journal entry of a task. Its hash covers all entries before it, and through them the task's inputs."""

    stage: str
    partition: int
    no: int
    entry_hash: str

    @property
    def task(self) -> str:
        """The task's name: ``<stage>/<partition>``."""
        return f"{self.stage}/{self.partition}"


class Seal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of a seal's file."""

    seal: int = VERSION
    made_at: str
    """When, UTC, by the clock of the machine that made it."""
    commit: str
    """The code that made it."""
    cluster_id: str
    partitions: int
    previous: str = ""
    """SHA-256 of the bytes of the seal that this one continues; empty when it covers the topics from their
    beginning."""
    heads: tuple[SealedHead, ...]
    places: tuple[SealedPlace, ...]


class SealFile(NamedTuple):
    """A seal as it was read: its name for reports, the hash of its bytes, its contents."""

    name: str
    sha256: str
    seal: Seal


# ---------------------------------------------------------------------- the file


def to_bytes(seal: Seal) -> bytes:
    """The one way to write a seal: JSON, keys sorted, no spaces, one line."""
    return msgspec.json.encode(seal, order="sorted") + b"\n"


def from_bytes(name: str, data: bytes) -> SealFile:
    """Read a seal's file; ``name`` is for messages and findings.

    Raises BadSeal for bytes of another version, that cannot be decoded, or that :func:`to_bytes` would not write.
    """
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("seal")
        if version != VERSION:
            raise BadSeal(f"{name}: version {version!r} of a seal; this code knows version {VERSION}")
        seal = msgspec.json.decode(data, type=Seal)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadSeal(f"{name} is no seal: {error}") from error
    if to_bytes(seal) != data:
        raise BadSeal(f"{name} is not as a seal is written: it was edited, or changed on its way")
    return SealFile(name, hashlib.sha256(data).hexdigest(), seal)


# ---------------------------------------------------------------------- making one


class PlaceDigest:
    """The running hash of one partition, from ``first_offset`` on."""

    def __init__(self, topic: str, partition: int, first_offset: int = 0, topic_id: str = "") -> None:
        self._topic, self._partition, self._topic_id = topic, partition, topic_id
        self._digest = hashlib.sha256()
        self.checkpoints: list[Checkpoint] = []
        self.first_offset = self.end_offset = first_offset
        self.records = 0

    def take(self, offset: int, append_ns: int, key: bytes | None, value: bytes | None) -> None:
        """Hash the next record; offsets must rise. ``append_ns``: the broker's append time, ns since 1970."""
        key_size, value_size = -1 if key is None else len(key), -1 if value is None else len(value)
        self._digest.update(_HEAD.pack(offset, append_ns, key_size, value_size) + (key or b"") + (value or b""))
        self.end_offset = offset + 1
        self.records += 1
        if self.records % CHECKPOINT_EVERY == 0:
            self.checkpoints.append(Checkpoint(self.end_offset, self._digest.hexdigest()))

    def sealed(self) -> SealedPlace:
        """The seal's entry for the partition, as far as it has been read."""
        return SealedPlace(
            topic=self._topic,
            topic_id=self._topic_id,
            partition=self._partition,
            first_offset=self.first_offset,
            end_offset=self.end_offset,
            records=self.records,
            sha256=self._digest.hexdigest(),
            checkpoints=tuple(self.checkpoints),
        )


class Heads:
    """Finds the last journal entry of every task while the journal is read."""

    def __init__(self, earlier: Iterable[SealedHead] = ()) -> None:
        self._earlier = {head.task: head for head in earlier}
        self._first: dict[str, bytes] = {}
        self._last: dict[str, bytes] = {}

    def take(self, value: bytes | None) -> None:
        """Note a record of the journal, by its value; records that are not ours are ignored."""
        writer = leading(value)[0]
        if value is not None and writer:
            self._first.setdefault(writer, value)
            self._last[writer] = value

    def sealed(self, decode: DecodeEntry) -> tuple[SealedHead, ...]:
        """Every task's head, sorted by task. Raises ValueError when a journal does not continue that of the earlier
        seal."""
        heads = dict(self._earlier)
        for writer, value in self._last.items():
            first, last, earlier = decode(self._first[writer]), decode(value), self._earlier.get(writer)
            if earlier is not None and first.previous_hash != earlier.entry_hash:
                raise ValueError(
                    f"the journal of {writer} does not go on from entry {earlier.no} of the earlier seal: its entry "
                    f"{first.no} follows {first.previous_hash[:16] or 'nothing'}, sealed was {earlier.entry_hash[:16]}"
                )
            heads[writer] = SealedHead(
                stage=last.stage, partition=last.partition, no=last.no, entry_hash=entry_hash(last)
            )
        return tuple(heads[writer] for writer in sorted(heads))
