"""Reads what was written under another version of a contract as a record of ours: Avro's schema resolution.

Slow, and as strict as the compiled decoders (fastavro silently truncates a number beyond 64 bits). Unknown symbols
become UNKNOWN, fields that were not written get our defaults, fields that we do not have are skipped, and what is then
not of our type is refused.

What is lost on the way is named, so that nobody takes what is left for the whole: each symbol that we do not know, and
each field that we do not have, unless its value is the writer's own default (it then says what an older version would
have said) or the writer's schema marks the field ``"informative": true`` (whoever does not read it decides the same).
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.domain.record import Kind, Record
from pipeline.runtime.contracts.avro_code import read_array, read_length, read_long, read_string
from pipeline.runtime.contracts.schemas import FieldType, field_types

_Read = Callable[[bytes, int], tuple[Any, int]]

_SHOWN_CHARACTERS: Final = 60
"""How much of a value is named as it is; of a longer one its beginning and a hash, so that others have other names."""


class Resolved(NamedTuple):
    """A record of ours, the position after it, and what of it we could not understand (``ord_type=TRAILING_STOP``)."""

    record: Any
    end: int
    not_understood: tuple[str, ...]


class Resolver:
    """Reads records written under the schema ``text``. Raises ValueError when that is no Avro schema."""

    def __init__(self, text: str, record_type: type[Record]) -> None:
        self._read = _Writer().reader(json.loads(text), "")
        self._record_type = record_type
        self._ours = _fields_within(record_type)

    def decode(self, buffer: bytes, at: int) -> Resolved:
        """The record at a position. Raises msgspec.ValidationError for values that are not of our types."""
        written, end = self._read(buffer, at)
        lost: dict[str, None] = {}
        values = self._as_ours(written, self._record_type, "", lost)
        record = msgspec.convert(values, self._record_type, strict=True, builtin_types=(bytes,))
        return Resolved(record, end, tuple(lost))

    def _as_ours(self, written: Any, record_type: type[Any], path: str, lost: dict[str, None]) -> Any:
        """The values of a record of ours; what they leave out is added to ``lost``, once, by its path."""
        if not isinstance(written, _Written):
            return written
        ours = self._ours[record_type]
        values: dict[str, Any] = {}
        for field in written.fields:
            value = written.values[field.name]
            if field.name in ours:
                values[field.name] = self._value(value, ours[field.name], f"{path}{field.name}", lost)
            elif not field.informative and (field.default is _NONE or _plain(value) != field.default):
                lost[f"{path}{field.name}={_shown(value)}"] = None
        return values

    def _value(self, value: Any, field: FieldType, path: str, lost: dict[str, None]) -> Any:
        if field.array and isinstance(value, tuple):
            return tuple(self._value(item, FieldType(field.of), path, lost) for item in value)
        if issubclass(field.of, Kind) and isinstance(value, str) and value not in field.of.__members__:
            lost[f"{path}={_shown(value)}"] = None
            return "UNKNOWN"
        if issubclass(field.of, Record):
            return self._as_ours(value, field.of, f"{path}.", lost)
        return value


def _fields_within(record_type: type[Record]) -> dict[type[Any], dict[str, FieldType]]:
    """The fields of a record type, and of every one within it."""
    found: dict[type[Any], dict[str, FieldType]] = {record_type: field_types(record_type)}
    for field in found[record_type].values():
        if issubclass(field.of, Record):
            found |= _fields_within(field.of)
    return found


def _plain(value: Any) -> Any:
    """A value as a schema's JSON gives defaults: lists for arrays, characters up to 255 for bytes."""
    if isinstance(value, _Written):
        return {name: _plain(part) for name, part in value.values.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _shown(value: Any) -> str:
    plain = _plain(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({hashlib.sha256(text.encode()).hexdigest()[:16]})"


# ---------------------------------------------------------------- their values

_NONE: Final = object()
"""No default: a JSON null is one."""


class _Field(NamedTuple):
    """A field of the writer's."""

    name: str
    read: _Read
    default: Any
    informative: bool


class _Written(NamedTuple):
    """A record as it was written."""

    values: dict[str, Any]
    fields: tuple[_Field, ...]


class _Writer:
    """Makes a reader from a writer's schema. It supports all of Avro, because fields we do not have must be skipped."""

    def __init__(self) -> None:
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
        namespace = full.rpartition(".")[0]
        read: _Read
        if kind == "enum":
            read = _enum([str(symbol) for symbol in schema["symbols"]])
        elif kind == "fixed":
            read = _fixed(int(schema["size"]))
        else:
            read = _record(tuple(self._fields(schema["fields"], namespace)))
        self._named[full] = read
        return read

    def _fields(self, fields: list[dict[str, Any]], namespace: str) -> Iterator[_Field]:
        for field in fields:
            read = self.reader(field["type"], namespace)
            yield _Field(str(field["name"]), read, field.get("default", _NONE), field.get("informative") is True)

    def _reference(self, full: str) -> _Read:
        if full not in self._named:
            raise ValueError(f"{full} is not a type of the writer's schema")
        return self._named[full]


def _record(fields: tuple[_Field, ...]) -> _Read:
    def read(buffer: bytes, at: int) -> tuple[Any, int]:
        values = {}
        for field in fields:
            values[field.name], at = field.read(buffer, at)
        return _Written(values, fields), at

    return read


def _enum(symbols: list[str]) -> _Read:
    def read(buffer: bytes, at: int) -> tuple[Any, int]:
        number, at = read_long(buffer, at)
        if not 0 <= number < len(symbols):
            raise ValueError(f"symbol {number} of {len(symbols)}")
        return symbols[number], at

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
