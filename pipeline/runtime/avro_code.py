"""Avro's binary encoding of a record type, compiled to two Python functions.

``compiled(Order)`` writes the source of an encoder and a decoder, field by field, and executes it. They are strict
where fastavro is not: an encoder takes exact types only (no 1.7, True or StrEnum for what is none), a decoder refuses
numbers beyond 64 bits and lengths below zero. Their bytes are fastavro's and confluent-kafka's: tests hold them to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pipeline.domain.record import Kind, Record
from pipeline.runtime.contracts import ContractError, FieldType, field_types

Encoder = Callable[[Any], bytes]
"""Record to bytes. Raises TypeError, ValueError or KeyError for what is not exactly of the field's type."""
Decoder = Callable[[bytes, int], tuple[Any, int]]
"""(buffer, position) to (record, position after it). Raises IndexError, KeyError, ValueError for other bytes.

The position may lie beyond the buffer's end when it was cut within the last string: the caller compares.
"""

_LOW14: Final = (1 << 14) - 1
_GROUPS: Final = tuple(bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << 14))
_LAST: Final = tuple(bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1 << 14))


def long(value: int) -> bytes:
    """A zigzag varint. Raises TypeError for what is not exactly an int, ValueError beyond 64 bits."""
    if value.__class__ is not int:
        raise TypeError(f"a whole number was expected, not {value!r}")
    z = (value << 1) ^ (value >> 63)
    if z < 1 << 14:
        return _LAST[z]
    if z < 1 << 28:
        return _GROUPS[z & _LOW14] + _LAST[z >> 14]
    if z < 1 << 42:
        return _GROUPS[z & _LOW14] + _GROUPS[z >> 14 & _LOW14] + _LAST[z >> 28]
    groups = _GROUPS[z & _LOW14] + _GROUPS[z >> 14 & _LOW14] + _GROUPS[z >> 28 & _LOW14]
    if z < 1 << 56:
        return groups + _LAST[z >> 42]
    if z >= 1 << 64:
        raise ValueError(f"{value} does not fit 64 bits")
    return groups + _GROUPS[z >> 42 & _LOW14] + _LAST[z >> 56]


def string(value: str) -> bytes:
    """Length and UTF-8."""
    if value.__class__ is not str:
        raise TypeError(f"text was expected, not {value!r}")
    encoded = value.encode()
    return long(len(encoded)) + encoded


def octets(value: bytes) -> bytes:
    """Length and bytes."""
    if value.__class__ is not bytes:
        raise TypeError(f"bytes were expected, not {value!r}")
    return long(len(value)) + value


def read_long(buffer: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint at a position, and the position after it."""
    z = shift = 0
    while True:
        byte = buffer[at]
        at += 1
        z |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 63:
            raise ValueError("a number longer than ten bytes")
    if z >= 1 << 64:
        raise ValueError("a number beyond 64 bits")
    return z >> 1 ^ -(z & 1), at


_MARKS: Final = sum(128 << 7 * n for n in range(8))
"""What the continuation bits of eight bytes add to the number."""


def read_big_long(buffer: bytes, at: int) -> tuple[int, int]:
    """The same, quicker for numbers of nine bytes: nanoseconds since 1970 are that long."""
    nine = buffer[at : at + 9]
    if len(nine) == 9:
        a, b, c, d, e, f, g, h, i = nine
        if i < 128 and a > 127 and b > 127 and c > 127 and d > 127 and e > 127 and f > 127 and g > 127 and h > 127:
            z = (
                a
                + (b << 7)
                + (c << 14)
                + (d << 21)
                + (e << 28)
                + (f << 35)
                + (g << 42)
                + (h << 49)
                + (i << 56)
                - _MARKS
            )
            return z >> 1 ^ -(z & 1), at + 9
    return read_long(buffer, at)


def read_length(buffer: bytes, at: int) -> tuple[int, int]:
    """A length: a number that is not below zero and not beyond the buffer."""
    n, at = read_long(buffer, at)
    if not 0 <= n <= len(buffer):
        raise ValueError(f"a length of {n} in {len(buffer)} bytes")
    return n, at


def read_array(item: Callable[[bytes, int], tuple[Any, int]], buffer: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    """Blocks of items until an empty block; a block below zero has its size in bytes before its items."""
    items: list[Any] = []
    while True:
        count, at = read_long(buffer, at)
        if count == 0:
            return tuple(items), at
        if count < 0:
            count = -count
            _, at = read_length(buffer, at)
        # An item of ours takes a byte at least, so this bounds the loop before it begins.
        if count > len(buffer) - at:
            raise ValueError(f"{count} items in {len(buffer) - at} bytes")
        for _ in range(count):
            value, at = item(buffer, at)
            items.append(value)


def read_string(buffer: bytes, at: int) -> tuple[str, int]:
    """A string and the position after it."""
    n, at = read_length(buffer, at)
    if at + n > len(buffer):
        raise IndexError("a text is cut")
    return buffer[at : at + n].decode(), at + n


class Compiled(NamedTuple):
    """A record type's two functions, and their source for those who want to read it."""

    encode: Encoder
    decode: Decoder
    source: str


@functools.cache
def compiled(record_type: type[Any]) -> Compiled:
    """The encoder and decoder of a record type (writer's schema = reader's schema)."""
    code = _Code(record_type)
    source = "\n".join([*code.encoder(), "", *code.decoder()]) + "\n"
    names: dict[str, Any] = code.names
    exec(compile(source, f"<avro code of {record_type.__name__}>", "exec"), names)
    return Compiled(names["encode"], names["decode"], source)


def explain(record: Record) -> str:
    """Which field of a record cannot be written, and why; slow, for the error's text."""
    where = type(record).__name__
    for name, field in field_types(type(record)).items():
        value = getattr(record, name)
        try:
            _check(field, value)
        except ContractError as error:
            return f"{where}.{name}: {error}"
        except (TypeError, ValueError) as error:
            return f"{where}.{name}: {error}"
    return f"{where}: cannot be written"


def _check(field: FieldType, value: Any) -> None:
    if value is None and field.nullable:
        return
    if field.array:
        if value.__class__ is not tuple:
            raise TypeError(f"a tuple was expected, not {value!r}")
        for item in value:
            _check(FieldType(field.of), item)
    elif issubclass(field.of, Record):
        if value.__class__ is not field.of:
            raise TypeError(f"{field.of.__name__} was expected, not {value!r}")
        try:
            compiled(field.of).encode(value)
        except (TypeError, ValueError, KeyError) as error:
            raise ContractError(explain(value)) from error
    elif issubclass(field.of, Kind):
        if value.__class__ is not field.of:
            raise TypeError(f"{field.of.__name__} was expected, not {value!r}")
    elif field.of is bool:
        if value.__class__ is not bool:
            raise TypeError(f"true or false was expected, not {value!r}")
    elif field.of is int:
        long(value)
    elif field.of is str:
        string(value)
    else:
        octets(value)


class _Code:
    """Writes the source for one record type; what it refers to is in ``names``."""

    def __init__(self, record_type: type[Record]) -> None:
        self.fields = field_types(record_type)
        self.names: dict[str, Any] = {
            "new": record_type,
            "long": long,
            "string": string,
            "octets": octets,
            "read_long": read_long,
            "read_big_long": read_big_long,
            "read_length": read_length,
            "read_array": read_array,
            "wrong": _wrong,
            "BOOL": {True: b"\x01", False: b"\x00"},
            "SMALL": tuple(z >> 1 ^ -(z & 1) for z in range(128)),
        }

    def encoder(self) -> list[str]:
        parts = []
        for name, field in self.fields.items():
            if not field.nullable and not field.array and field.of in (int, str, bytes):
                parts.append(self._write(field, f"r.{name}"))
            elif field.nullable:
                parts.append(f'b"\\0" if (v := r.{name}) is None else b"\\2" + ({self._write(field, "v")})')
            else:
                parts.append(self._write(field, "v", f"(v := r.{name})"))
        return ["def encode(r):", '    return b"".join((', *(f"        {part}," for part in parts), "    ))"]

    def _write(self, field: FieldType, value: str, first: str = "") -> str:
        """An expression for the bytes of ``value``; ``first`` is what its first use is to be (an assignment)."""
        first = first or value
        if field.array:
            item = self._write(FieldType(field.of), "i")
            return (
                f"wrong({value}) if {first}.__class__ is not tuple else "
                f'long(len({value})) + b"".join([{item} for i in {value}]) + b"\\0" if {value} else b"\\0"'
            )
        if field.of in (int, str, bytes):
            return f"{ {int: 'long', str: 'string', bytes: 'octets'}[field.of] }({value})"
        name = field.of.__name__
        if field.of is bool:
            return f"BOOL[{value}] if {first}.__class__ is bool else wrong({value})"
        self.names[name] = field.of
        if issubclass(field.of, Kind):
            self.names[f"{name}_OUT"] = {member: long(no) for no, member in enumerate(field.of)}
            return f"{name}_OUT[{value}] if {first}.__class__ is {name} else wrong({value})"
        part: Any = field.of
        self.names[f"write_{name}"] = compiled(part).encode
        return f"write_{name}({value}) if {first}.__class__ is {name} else wrong({value})"

    def decoder(self) -> list[str]:
        lines = ["def decode(b, p):"]
        for no, field in enumerate(self.fields.values()):
            if field.nullable:
                lines += ["    n = b[p]", "    p += 1", "    if n == 2:"]
                lines += [f"        {line}" for line in self._read(field, f"f{no}")]
                lines += ["    elif n == 0:", f"        f{no} = None", "    else:", "        wrong(n)"]
            else:
                lines += [f"    {line}" for line in self._read(field, f"f{no}")]
        lines.append(f"    return new({', '.join(f'{name}=f{no}' for no, name in enumerate(self.fields))}), p")
        return lines

    def _read(self, field: FieldType, to: str) -> list[str]:
        name = field.of.__name__
        if field.array:
            return [f"{to}, p = read_array({self._reader(field.of)}, b, p)"]
        if field.of is int:
            return [
                "n = b[p]",
                "if n < 128:",
                f"    {to} = SMALL[n]",
                "    p += 1",
                "else:",
                f"    {to}, p = read_big_long(b, p)",
            ]
        if field.of in (str, bytes):
            # 1 marks a length below zero, 128 one of more than a byte.
            head = ["n = b[p]", "if n & 129:", "    n, p = read_length(b, p)", "else:", "    n >>= 1", "    p += 1"]
            return [*head, "e = p + n", f"{to} = b[p:e]{'.decode()' if field.of is str else ''}", "p = e"]
        if field.of is bool:
            self.names["BOOL_IN"] = (False, True)
            return [f"{to} = BOOL_IN[b[p]]", "p += 1"]
        if issubclass(field.of, Kind):
            members = list(field.of)
            # Most enums have at most 64 symbols, whose numbers are one byte, twice the symbol's number.
            if len(members) <= 64:
                self.names[f"{name}_IN"] = {no << 1: member for no, member in enumerate(members)}
                return [f"{to} = {name}_IN[b[p]]", "p += 1"]
            self.names[f"{name}_IN"] = dict(enumerate(members))
            return ["n, p = read_long(b, p)", f"{to} = {name}_IN[n]"]
        return [f"{to}, p = {self._reader(field.of)}(b, p)"]

    def _reader(self, of: type) -> str:
        if of is str:
            self.names["read_string"] = read_string
            return "read_string"
        if of is int:
            return "read_big_long"
        if issubclass(of, Record):
            self.names[f"read_{of.__name__}"] = compiled(of).decode
            return f"read_{of.__name__}"
        raise ContractError(f"arrays of {of.__name__} are not in messages yet")


def _wrong(value: Any) -> bytes:
    raise TypeError(f"{value!r} is of the wrong type")
