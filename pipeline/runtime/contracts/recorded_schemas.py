"""Schemas of recorded topics: from our own copies on the topic ``schemas``, else from the registry.

All are looked up beforehand, so that replaying needs no registry and every process of an audit uses the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pipeline.domain.audit import SchemaCopy
from pipeline.runtime.contracts.avro_code import compiled
from pipeline.runtime.contracts.codec import HEADER_BYTES, Registered, SchemaSource
from pipeline.runtime.contracts.schemas import contract_text, fingerprint_of, subject_of
from pipeline.topics import TOPICS, topic_named

_OWN_ID: Final = 0xFFFF_0000
"""First of the ids given to our own contracts where no recorded record has their schema: replayed records carry them
until they are compared."""


@dataclass(frozen=True)
class RecordedSchemas:
    """A source of schemas that needs no registry. Can be pickled for other processes."""

    texts: dict[int, Registered]
    ids: dict[str, int]
    """Topic to the id of our own contract among the recorded ones."""

    def id_of(self, topic_name: str, text: str) -> int:
        topic = topic_named(topic_name)
        return self.ids.get(topic_name, _OWN_ID + TOPICS.index(topic))

    def lookup(self, schema_id: int) -> Registered | None:
        number = schema_id - _OWN_ID
        if 0 <= number < len(TOPICS):
            return Registered(contract_text(TOPICS[number].record), frozenset())
        return self.texts.get(schema_id)


def recorded_schemas(
    copies: Iterable[bytes], ids: Iterable[tuple[str, int]], registry: SchemaSource
) -> RecordedSchemas:
    """The schemas of a recording.

    ``copies``: values of the topic ``schemas``; ``ids``: (topic, schema id) pairs found on topics.
    Raises Unreachable when an id has no copy and the registry does not answer.
    """
    texts: dict[int, Registered] = {}
    for value in copies:
        copy = _copy(value)
        if copy is not None and fingerprint_or_none(copy.text) == copy.fingerprint != "":
            known = texts.get(copy.schema_id)
            subjects = frozenset((copy.subject,)) | (known.subjects if known is not None else frozenset())
            texts[copy.schema_id] = Registered(copy.text, subjects)
    own: dict[str, int] = {}
    for topic_name, schema_id in sorted(ids):
        if schema_id not in texts:
            found = registry.lookup(schema_id)
            if found is None:
                continue
            texts[schema_id] = found
        known = texts[schema_id]
        due = fingerprint_of(contract_text(topic_named(topic_name).record))
        fits = not known.subjects or subject_of(topic_name) in known.subjects
        if fits and fingerprint_or_none(known.text) == due:
            own[topic_name] = schema_id
    return RecordedSchemas(texts, own)


def _copy(value: bytes) -> SchemaCopy | None:
    # Copies are decoded with our own contract, without looking up their schema: it could only be found in a copy.
    try:
        record, end = compiled(SchemaCopy).decode(value, HEADER_BYTES)
    except Exception:  # the topic may hold any bytes: what is no copy is left out, whatever is wrong with it
        return None
    return record if isinstance(record, SchemaCopy) and end == len(value) else None


def fingerprint_or_none(text: str) -> str:
    """The fingerprint of a schema found in a registry; empty for a text that is no Avro schema."""
    try:
        return fingerprint_of(text)
    except Exception:  # a registry may hold schemas of others that are no Avro
        return ""
