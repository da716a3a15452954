"""Reads what was written under another version of a contract as a record of ours: Avro's schema resolution.

Slow, and as strict as the compiled decoders (fastavro silently truncates a number beyond 64 bits). Fields we do not
have are skipped, fields that were not written get our defaults, unknown symbols become UNKNOWN, and what is then not of
our type is refused.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pipeline.domain.record import Kind, Record
from pipeline.runtime.contracts.avro_code import Decoder, read_array, read_length, read_long, read_string
from pipeline.runtime.contracts.schemas import field_types

_Read = Callable[[bytes, int], tuple[Any, int]]


def resolving(text: str, record_type: type[Record]) -> Decoder:
    """A decoder for what was written under the schema ``text``. Raises ValueError when that is no Avro schema.

    The decoder raises msgspec.ValidationError for values that are not of our types.
    """
    read = _Writer(_kinds(record_type)).reader(json.loads(text), "")

    def decode(buffer: bytes, at: int) -> tuple[Any, int]:
        values, end = read(buffer, at)
        return msgspec.convert(values, record_type, strict=True, builtin_types=(bytes,)), end

    return decode


def _kinds(record_type: type[Any]) -> dict[str, frozenset[str]]:
    """The symbols of every enum of ours within a record type, by the enum's name."""
    kinds: dict[str, frozenset[str]] = {}
    for field in field_types(record_type).values():
        if issubclass(field.of, Kind):
            kinds[field.of.__name__] = frozenset(member.value for member in field.of)
        elif issubclass(field.of, Record):
            kinds |= _kinds(field.of)
    return kinds


class _Writer:
    """Makes a reader from a writer's schema. It supports all of Avro, because fields we do not have must be skipped."""

    def __init__(self, kinds: dict[str, frozenset[str]]) -> None:
        self._kinds = kinds
        self._named: dict[str, _Read] = {}

    def reader(self, schema: Any, namespace: str) -> _Read:
        if isinstance(schema, list):
            return _union([self.reader(branch, namespace) for branch in schema])
        if isinstance(schema, str):
            if schema in _PRIMITIVES:
                return _PRIMITIVES[schema]
            full = schema if "." in schema else f"{namespace}.{schema}"
            # Looked up when it is called: a record may contain itself.
            return lambda buffer, at: self._reference(full)(buffer, at)
        if not isinstance(schema, dict) or "type" not in schema:
            raise ValueError(f"{schema!r} is no Avro schema")
        kind = schema["type"]
        if kind == "array":
            return _array(self.reader(schema["items"], namespace))
        if kind == "map":
            return _map(self.reader(schema["values"], namespace))
        if kind not in ("record", "enum", "fixed"):
            return self.reader(kind, namespace)
        name = str(schema.get("name", ""))
        full = name if "." in name else f"{schema.get('namespace', namespace)}.{name}"
        namespace, _, short = full.rpartition(".")
        read: _Read
        if kind == "enum":
            read = _enum([str(symbol) for symbol in schema["symbols"]], self._kinds.get(short))
        elif kind == "fixed":
            read = _fixed(int(schema["size"]))
        else:
            read = _record([(str(field["name"]), self.reader(field["type"], namespace)) for field in schema["fields"]])
        self._named[full] = read
        return read

    def _reference(self, full: str) -> _Read:
        if full not in self._named:
            raise ValueError(f"{full} is not a type of the writer's schema")
        return self._named[full]


def _record(fields: list[tuple[str, _Read]]) -> _Read:
    def read(buffer: bytes, at: int) -> tuple[Any, int]:
        values = {}
        for name, read_field in fields:
            values[name], at = read_field(buffer, at)
        return values, at

    return read


def _enum(symbols: list[str], ours: frozenset[str] | None) -> _Read:
    def read(buffer: bytes, at: int) -> tuple[Any, int]:
        number, at = read_long(buffer, at)
        if not 0 <= number < len(symbols):
            raise ValueError(f"symbol {number} of {len(symbols)}")
        symbol = symbols[number]
        return symbol if ours is None or symbol in ours else "UNKNOWN", at

    return read


def _union(branches: list[_Read]) -> _Read:
    def read(buffer: bytes, at: int) -> tuple[Any, int]:
        number, at = read_long(buffer, at)
        if not 0 <= number < len(branches):
            raise ValueError(f"branch {number} of {len(branches)}")
        return branches[number](buffer, at)

    return read


def _array(item: _Read) -> _Read:
    return lambda buffer, at: read_array(item, buffer, at)


def _map(item: _Read) -> _Read:
    def entry(buffer: bytes, at: int) -> tuple[Any, int]:
        key, at = read_string(buffer, at)
        value, at = item(buffer, at)
        return (key, value), at

    def read(buffer: bytes, at: int) -> tuple[Any, int]:
        entries, at = read_array(entry, buffer, at)
        return dict(entries), at

    return read


def _fixed(size: int) -> _Read:
    def read(buffer: bytes, at: int) -> tuple[bytes, int]:
        if at + size > len(buffer):
            raise IndexError("a value is cut")
        return buffer[at : at + size], at + size

    return read


def _read_bytes(buffer: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_length(buffer, at)
    return _fixed(size)(buffer, at)


def _read_boolean(buffer: bytes, at: int) -> tuple[bool, int]:
    return (False, True)[buffer[at]], at + 1


def _real(form: str) -> _Read:
    size = struct.calcsize(form)

    def read(buffer: bytes, at: int) -> tuple[float, int]:
        octets, end = _fixed(size)(buffer, at)
        return struct.unpack(form, octets)[0], end

    return read


_PRIMITIVES: Final[dict[str, _Read]] = {
    "null": lambda _, at: (None, at),
    "boolean": _read_boolean,
    "int": read_long,
    "long": read_long,
    "float": _real("<f"),
    "double": _real("<d"),
    "bytes": _read_bytes,
    "string": read_string,
}
