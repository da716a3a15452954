"""Contracts of tomorrow: a record type's schema with more symbols or fields, records written under it, a registry of
both."""

from __future__ import annotations

import io
import json
import struct
from typing import Any, Final

import fastavro
import msgspec

from pipeline.domain.record import Kind, Record
from pipeline.runtime.contracts.codec import LocalIds, Registered
from pipeline.runtime.contracts.schemas import field_types, schema_of, subject_of
from pipeline.topics import topic_of

TOMORROW: Final = "TOMORROW"
"""A symbol that no enum of ours has."""
_FIRST_ID: Final = 90_001


def kind_fields(record_type: type[Record]) -> list[str]:
    """The names of a record type's fields that hold an enum."""
    return [name for name, field in field_types(record_type).items() if issubclass(field.of, Kind)]


def number_fields(record_type: type[Record]) -> list[str]:
    """The names of a record type's fields that hold a number."""
    return [name for name, field in field_types(record_type).items() if field.of is int]


class Tomorrow:
    """A source of schemas that knows today's, and tomorrow's under ids of their own."""

    def __init__(self) -> None:
        self._today = LocalIds()
        self._tomorrow: list[Registered] = []

    def id_of(self, topic_name: str, text: str) -> int:
        return self._today.id_of(topic_name, text)

    def lookup(self, schema_id: int) -> Registered | None:
        number = schema_id - _FIRST_ID
        return self._tomorrow[number] if 0 <= number < len(self._tomorrow) else self._today.lookup(schema_id)

    def write(self, record: Record, symbols: tuple[str, ...] = (), added: tuple[dict[str, Any], ...] = ()) -> bytes:
        """The value of a record in which the enum fields ``symbols`` hold a symbol of tomorrow, and that has the fields
        ``added``: each as in a schema, with the ``value`` to write."""
        schema = schema_of(type(record))
        plain = msgspec.to_builtins(record, builtin_types=(bytes,))
        for field in schema["fields"]:
            if field["name"] in symbols:
                _enum_of(schema, field["type"])["symbols"].append(TOMORROW)
                plain[field["name"]] = TOMORROW
        for field in added:
            schema["fields"].append({key: value for key, value in field.items() if key != "value"})
            if "value" in field:
                plain[field["name"]] = field["value"]
        return self.written(schema, plain, topic_of(type(record)).name)

    def written(self, schema: Any, plain: Any, topic_name: str) -> bytes:
        """The value of a record under a schema, which is registered for the topic."""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), plain)
        text = json.dumps(schema)
        known = [each.text for each in self._tomorrow]
        if text not in known:
            self._tomorrow.append(Registered(text, frozenset((subject_of(topic_name),))))
            known.append(text)
        return b"\0" + struct.pack(">I", _FIRST_ID + known.index(text)) + out.getvalue()


def _enum_of(schema: Any, kind: Any) -> dict[str, Any]:
    """The enum that a field's type is; it may be written out where it was used first."""
    if isinstance(kind, list):
        kind = kind[-1]
    if isinstance(kind, dict):
        return kind
    for field in schema["fields"]:
        of = field["type"][-1] if isinstance(field["type"], list) else field["type"]
        if isinstance(of, dict) and of.get("name") == kind:
            return of
    raise AssertionError(f"no enum {kind}")
