"""Records to bytes and back, in Confluent's wire format: a zero, the schema's id in four bytes, Avro.

The schemas come from an injected :class:`SchemaSource`: the registry (``registry.RegistryIds``), or
:class:`LocalIds` for the memory host and tests. What was written under our own schema is read by compiled code; what
was written under an older or newer compatible one is resolved to ours (``avro_resolve``).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol

import fastavro.schema
import msgspec

from pipeline.domain.audit import DeadLetter
from pipeline.domain.orders import OrderRequest
from pipeline.domain.record import Owned, Record
from pipeline.domain.rejections import DeadLetterReason
from pipeline.domain.validators.table import VALIDATORS
from pipeline.runtime.contracts.avro_code import Decoder, Encoder, compiled, explain, keeps_wire
from pipeline.runtime.contracts.avro_resolve import Resolver
from pipeline.runtime.contracts.schemas import (
    NAMESPACE,
    ContractError,
    contract_text,
    fingerprint_of,
    subject_of,
)
from pipeline.topics import TOPICS, Topic, topic_named, topic_of

MAGIC: Final = 0
HEADER_BYTES: Final = 5
MAX_BYTES: Final = 1_000_000
"""Largest value we write or read; under the broker's default of 1,048,588 with room for key and headers."""
DEAD_LETTER_MAX_BYTES: Final = 4_000_000
"""The same for `dead-letters`, each of which holds a whole record of another topic."""
REQUEST_MAX_BYTES: Final = 65_536
"""The same for `orders-in`: a request must fit into the records that hold it, with whatever is added there."""
_UNKNOWN_IDS_MAX: Final = 1_000
"""How many (topic, id) pairs without a usable schema are remembered, so that bad bytes cannot fill the memory."""

__all__ = ["Codec", "ContractError", "LocalIds", "Registered", "SchemaSource", "Undecodable"]


class Undecodable(Exception):
    """Bytes on a topic that are no record of it: they go to `dead-letters` under ``reason``, whole."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class Registered(NamedTuple):
    """What a registry knows of a schema id."""

    text: str
    subjects: frozenset[str]
    """The subjects it is registered under; empty when that is not known, and then not checked."""


class SchemaSource(Protocol):
    """Where schema ids come from. Both raise ``errors.Unreachable`` when there is no answer to be had."""

    def id_of(self, topic_name: str, text: str) -> int:
        """The id of our schema under the topic's subject. Raises WrongUse when it is not registered there."""

    def lookup(self, schema_id: int) -> Registered | None:
        """What is registered under an id; None when nothing is."""


class LocalIds:
    """Ids without a registry: 1, 2, 3 … in the order of ``pipeline.topics.TOPICS``; sources' own topics share one."""

    def __init__(self) -> None:
        self._ids = {topic.name: no for no, topic in enumerate(TOPICS, 1)}
        self._known: dict[int, Registered] = {}

    def id_of(self, topic_name: str, text: str) -> int:
        return self._ids[topic_named(topic_name).name]

    def lookup(self, schema_id: int) -> Registered | None:
        known = self._known.get(schema_id)
        if known is None and 1 <= schema_id <= len(TOPICS):
            topic = TOPICS[schema_id - 1]
            subjects = frozenset[str]() if topic.per_source else frozenset((subject_of(topic.name),))
            known = self._known[schema_id] = Registered(contract_text(topic.record), subjects)
        return known


_Writer = tuple[bytes, Encoder, bool]
"""Header, encoder, and whether a kind of UNKNOWN is to be refused."""


class Codec:
    """Encodes and decodes the records of all topics. Not for several threads at once."""

    def __init__(self, schemas: SchemaSource) -> None:
        self._schemas = schemas
        self._ids: dict[str, int] = {}
        self._writers: dict[type[Record], _Writer] = {}
        self._source_writers: dict[str, _Writer] = {}
        self._readers: dict[tuple[str, bytes], Decoder | Resolver] = {}
        """By topic and header, of schemas that can be read."""
        self._refused: dict[tuple[str, int], tuple[DeadLetterReason, str]] = {}

    def encode(self, record: Record) -> bytes:
        """The value of ``record`` for its topic. Raises ContractError for what its schema cannot carry exactly."""
        record_type = type(record)
        header, write, of_known_kind = self._writers.get(record_type) or self._writer_for(record)
        try:
            value = header + write(record)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ContractError(explain(record)) from error
        if of_known_kind and record.kind == "UNKNOWN":  # type: ignore[attr-defined]
            raise ContractError(f"{record_type.__name__}.kind: is UNKNOWN; say what the record is")
        if len(value) > REQUEST_MAX_BYTES and len(value) > (most := _most_bytes(record_type)):
            raise ContractError(f"{record_type.__name__}: {len(value)} bytes, more than {most}: write it in chunks")
        return value

    def encode_body(self, record: Record) -> bytes:
        """The Avro bytes alone, without the schema's id; of parts of messages too. Raises ContractError."""
        try:
            return compiled(type(record)).encode(record)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ContractError(explain(record)) from error

    def decode(self, topic_name: str, value: bytes | None) -> Record:
        """The record that ``value`` is, read from ``topic_name``. Raises Undecodable, with a reason, for others."""
        return self.read(topic_name, value)[0]

    def read(self, topic_name: str, value: bytes | None) -> tuple[Record, tuple[str, ...]]:
        """As :meth:`decode`, and what of the record this version does not understand: see :mod:`.avro_resolve`.

        A newer writer's kind is Undecodable, UNKNOWN_KIND; but not where somebody answers for it: intake for a client's
        request, the door (:mod:`pipeline.door`) for records from outside, of which a gap must stay visible.
        """
        if value is None:
            raise Undecodable(DeadLetterReason.NO_VALUE, f"a record of {topic_name} has a value; this one has none")
        size = len(value)
        if size > REQUEST_MAX_BYTES and size > (most := _most_bytes(topic_named(topic_name).record)):
            raise Undecodable(DeadLetterReason.TOO_LARGE, f"{size} bytes; {most} is the most")
        header = value[:HEADER_BYTES]
        read = self._readers.get((topic_name, header)) or self._reader_for(topic_name, header)
        not_understood: tuple[str, ...] = ()
        try:
            if isinstance(read, Resolver):
                record, end, not_understood = read.decode(value, HEADER_BYTES)
            else:
                record, end = read(value, HEADER_BYTES)
        except msgspec.ValidationError as error:
            raise Undecodable(DeadLetterReason.BAD_VALUE, f"schema {_id_in(header)}: {error}") from error
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise Undecodable(
                DeadLetterReason.UNDECODABLE,
                f"not a record of schema {_id_in(header)}: {type(error).__name__}: {error}",
            ) from error
        if end != size:
            if end > size:
                raise Undecodable(DeadLetterReason.UNDECODABLE, f"not a record of schema {_id_in(header)}: cut short")
            raise Undecodable(DeadLetterReason.TRAILING_BYTES, f"{size - end} bytes after the record's end")
        if getattr(record, "kind", None) == "UNKNOWN" and type(record) not in _ANSWERED:
            said = ", ".join(not_understood) or "none"
            raise Undecodable(
                DeadLetterReason.UNKNOWN_KIND, f"a {type(record).__name__} of a kind this version does not know: {said}"
            )
        return record, not_understood

    def encode_key(self, key: str) -> bytes:
        """A key as bytes, as on a topic (UTF-8)."""
        return key.encode()

    def decode_key(self, key: bytes | None) -> str:
        """A key as text. Raises Undecodable (BAD_VALUE) for none, and for what is no UTF-8."""
        if key is None:
            raise Undecodable(DeadLetterReason.BAD_VALUE, "the record has no key")
        try:
            return key.decode()
        except UnicodeDecodeError as error:
            raise Undecodable(DeadLetterReason.BAD_VALUE, f"the key is no UTF-8: {error}") from error

    def schema_id(self, topic_name: str) -> int:
        """The id our records carry on a topic. Raises WrongUse when its schema is not registered."""
        known = self._ids.get(topic_name)
        if known is None:
            text = contract_text(topic_named(topic_name).record)
            known = self._ids[topic_name] = self._schemas.id_of(topic_name, text)
        return known

    def schemas_as_json(self, topics: Iterable[Topic] = TOPICS) -> str:
        """Schema id and fingerprint of every topic's contract, for the journal; without sources' own topics."""
        rows = {
            topic.name: [self.schema_id(topic.name), fingerprint_of(contract_text(topic.record))]
            for topic in topics
            if not topic.per_source
        }
        return json.dumps(rows, sort_keys=True, separators=(",", ":"))

    # ---------------------------------------------------------------- schemas, looked up once

    def _writer_for(self, record: Record) -> _Writer:
        record_type = type(record)
        try:
            topic = topic_of(record_type)
        except KeyError:
            raise ContractError(f"{record_type.__name__} is on no topic") from None
        name = topic.name_for(record)
        writer = self._source_writers.get(name)
        if writer is None:
            # No reader could take a record of ours of kind UNKNOWN.
            of_known_kind = issubclass(record_type, Owned) and "kind" in record_type.__struct_fields__
            header = struct.pack(">bI", MAGIC, self.schema_id(name))
            writer = header, compiled(record_type).encode, of_known_kind
            if topic.per_source:
                self._source_writers[name] = writer
            else:
                self._writers[record_type] = writer
        return writer

    def _reader_for(self, topic_name: str, header: bytes) -> Decoder | Resolver:
        if len(header) < HEADER_BYTES or header[0] != MAGIC:
            raise Undecodable(
                DeadLetterReason.NO_SCHEMA_ID,
                f"begins with {header.hex() or 'nothing'}; a zero and four bytes of schema id are due",
            )
        schema_id = _id_in(header)
        asked = topic_name, schema_id
        refused = self._refused.get(asked)
        if refused is None:
            found = self._schemas.lookup(schema_id)
            refused = self._refusal(topic_name, schema_id, found)
            if refused is None:
                assert found is not None
                try:
                    reader = _reader(found.text, topic_named(topic_name).record)
                except ValueError as error:
                    refused = DeadLetterReason.WRONG_SCHEMA, f"schema {schema_id} cannot be read as ours: {error}"
                else:
                    self._readers[topic_name, header] = reader
                    return reader
            if len(self._refused) >= _UNKNOWN_IDS_MAX:
                self._refused.pop(next(iter(self._refused)))
            self._refused[asked] = refused
        raise Undecodable(*refused)

    def _refusal(
        self, topic_name: str, schema_id: int, found: Registered | None
    ) -> tuple[DeadLetterReason, str] | None:
        if found is None:
            return DeadLetterReason.UNKNOWN_SCHEMA_ID, f"no schema is registered under id {schema_id}"
        due, subject = f"{NAMESPACE}.{topic_named(topic_name).record.__name__}", subject_of(topic_name)
        name = _name_in(found.text)
        if name != due or (found.subjects and subject not in found.subjects):
            return (
                DeadLetterReason.WRONG_SCHEMA,
                f"schema {schema_id} is {name} of {', '.join(sorted(found.subjects)) or 'no subject'}; "
                f"{topic_name} carries {due} of {subject}",
            )
        return None


_ANSWERED: Final = frozenset({OrderRequest, *VALIDATORS})


def _most_bytes(record_type: type[Record]) -> int:
    if record_type is OrderRequest:
        return REQUEST_MAX_BYTES
    return DEAD_LETTER_MAX_BYTES if record_type is DeadLetter else MAX_BYTES


def _id_in(header: bytes) -> int:
    return int.from_bytes(header[1:], "big")


def _name_in(text: str) -> str:
    try:
        schema = json.loads(text)
    except ValueError:
        return "not an Avro schema"
    if not isinstance(schema, dict):
        return str(schema)
    name = str(schema.get("name", schema.get("type", "?")))
    return name if "." in name or not schema.get("namespace") else f"{schema['namespace']}.{name}"


def _reader(text: str, record_type: type[Record]) -> Decoder | Resolver:
    """Raises ValueError for a text that is no Avro schema."""
    try:
        if fingerprint_of(text) == fingerprint_of(contract_text(record_type)):
            return _with_wire(compiled(record_type).decode) if keeps_wire(record_type) else compiled(record_type).decode
    except (fastavro.schema.SchemaParseException, KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return Resolver(text, record_type)


def _with_wire(decode: Decoder) -> Decoder:
    """Also keeps the record's own bytes, for the encoder to copy where the record is nested in another as it came."""

    def decode_and_keep(buffer: bytes, at: int) -> tuple[Any, int]:
        record, end = decode(buffer, at)
        record.__dict__["wire"] = buffer[at:end]
        return record, end

    return decode_and_keep
