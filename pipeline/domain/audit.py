"""What the machine writes for auditors and operators: the journal, dead letters, our own copy of the schemas."""

from __future__ import annotations

from pipeline.domain.record import Kind, Owned, Record
from pipeline.domain.rejections import DeadLetterReason
from pipeline.domain.units import Count, Ns


class DeadLetter(Owned, frozen=True, kw_only=True):
    """A record that could not be read, whole, and why. The contract of `dead-letters`."""

    stage: str
    """The stage that met it."""
    topic: str
    """Where it was found."""
    partition: int
    """Where it was found."""
    offset: int
    """Where it was found."""
    append_ns: Ns
    """The broker's append time of it."""
    reason: DeadLetterReason = DeadLetterReason.UNKNOWN
    """Why."""
    detail: str
    """What exactly was wrong, and what to do."""
    key: bytes | None
    """Its key, as it was."""
    value: bytes | None
    """Its value, as it was."""


class JournalKind(Kind):
    """A transaction, or the start of a task."""

    UNKNOWN = "UNKNOWN"
    TRANSACTION = "TRANSACTION"
    EPOCH = "EPOCH"


class InputRun(Record, frozen=True, kw_only=True):
    """So many committed records of one input, applied one after the other."""

    topic: str
    """The input."""
    count: Count
    """How many records of it (records handed on in memory count as records of their topic)."""


class InputStart(Record, frozen=True, kw_only=True):
    """Where a transaction began to read an input."""

    topic: str
    """The input."""
    offset: int
    """Offset of the first record it read; -1 when they were handed on in memory."""
    writer: str = ""
    """For records of our own stages: the first one's writer."""
    seq: int = 0
    """And its number."""


class OutputSpan(Record, frozen=True, kw_only=True):
    """What a transaction wrote to one partition."""

    topic: str
    """The output."""
    partition: int
    """Its partition."""
    first_seq: int
    """First number of this writer in it."""
    count: Count
    """How many."""


class JournalEntry(Owned, frozen=True, kw_only=True):
    """What a task read, in which order, and what it wrote, in one transaction. The contract of `journal`.

    Entries of a task form a chain: each carries the hash of the one before.
    """

    kind: JournalKind = JournalKind.UNKNOWN
    """A transaction, or the start of a task (EPOCH)."""
    stage: str
    """The task's stage."""
    partition: int
    """The task's partition."""
    no: Count
    """Counts the task's entries from 1."""
    epoch: Count
    """Counts the task's starts from 1."""
    previous_hash: str
    """entry_hash of the entry before; empty for the first."""
    runs: tuple[InputRun, ...] = ()
    """What was read, in the order applied."""
    starts: tuple[InputStart, ...] = ()
    """Where reading began, per input."""
    input_hash: str = ""
    """SHA-256 over key and value of every record read, in the order applied."""
    outputs: tuple[OutputSpan, ...] = ()
    """What was written."""
    output_hash: str = ""
    """SHA-256 over topic, partition, key and value (after the schema id) of every record written, in order."""
    state_hash: str = ""
    """SHA-256 of the task's state after it; at day ends and task starts only."""
    entry_hash: str = ""
    """SHA-256 over this entry's other fields."""
    wall_ns: Ns
    """EPOCH: the host's clock, handed to the stage as Resumed. TRANSACTION: 0."""
    commit: str = ""
    """EPOCH: the code's commit."""
    lock_hash: str = ""
    """EPOCH: SHA-256 of the dependency lock."""
    python: str = ""
    """EPOCH: interpreter and machine."""
    config: str = ""
    """EPOCH: configuration values, as JSON with sorted keys."""
    schemas: str = ""
    """EPOCH: topic, schema id and fingerprint of every contract, as JSON."""
    cluster_id: str = ""
    """EPOCH: the cluster."""
    partitions: int = 0
    """EPOCH: P."""
    state_version: int = 0
    """EPOCH: version of the stage's state."""


class SchemaCopy(Owned, frozen=True, kw_only=True):
    """Our own copy of a registered schema, so that the topics alone are enough. The contract of `schemas`."""

    subject: str
    """The registry's subject; the key."""
    schema_id: int
    """The registry's id, as in the wire format."""
    version: int
    """Version within the subject."""
    fingerprint: str
    """SHA-256 of the parsing canonical form."""
    text: str
    """The schema."""
