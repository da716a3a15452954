"""Avro's binary encoding of a record type, compiled to two Python functions.

``compiled(Order)`` writes the source of an encoder and a decoder, field by field, and executes it. They are strict
where fastavro is not: an encoder takes exact types only (no 1.7, True or StrEnum for what is none), a decoder refuses
numbers beyond 64 bits and lengths below zero. Their bytes are fastavro's and confluent-kafka's: tests hold them to it.

Most values repeat: instruments, accounts, the time of the last tick, prices. So their encodings are cached
(:class:`Kept`), which replaces a Python call by a dict look-up; and a run of enums, flags and nulls, a byte each, is
read in one look-up. What does not repeat, sequence numbers and order ids, is encoded each time.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pipeline.domain import units
from pipeline.domain.record import Kind, Record
from pipeline.runtime.contracts.schemas import ContractError, FieldType, field_types

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
    """Length and UTF-8. Raises TypeError for what is not exactly a str."""
    if value.__class__ is not str:
        raise TypeError(f"text was expected, not {value!r}")
    encoded = value.encode()
    return long(len(encoded)) + encoded


def octets(value: bytes) -> bytes:
    """Length and bytes. Raises TypeError for what is not exactly bytes."""
    if value.__class__ is not bytes:
        raise TypeError(f"bytes were expected, not {value!r}")
    return long(len(value)) + value


K = TypeVar("K")
V = TypeVar("V")

_KEPT_MOST: Final = 1 << 15
_KEPT_LENGTH_MAX: Final = 64


class Kept(dict[K, V], Generic[K, V]):
    """A cache of ``make``'s results by value. Bounded: when it is full it is cleared."""

    def __init__(self, make: Callable[[K], V]) -> None:
        self._make = make

    def __missing__(self, value: K) -> V:
        made = self._make(value)
        if value.__class__ is int or len(value) <= _KEPT_LENGTH_MAX:  # type: ignore[arg-type]
            if len(self) >= _KEPT_MOST:
                self.clear()
            self[value] = made
        return made


# Their keys must be of exactly the field's type (a dict takes True for 1): generated code checks the type before it
# looks one up.
_LONGS: Final = Kept[int, bytes](long)
_SOME_LONGS: Final = Kept[int, bytes](lambda value: b"\2" + long(value))
_STRINGS: Final = Kept[str, bytes](string)
_SOME_STRINGS: Final = Kept[str, bytes](lambda value: b"\2" + string(value))
_TEXTS: Final = Kept[bytes, str](bytes.decode)


def read_long(buffer: bytes, at: int) -> tuple[int, int]:
    """The zigzag varint at a position, and the position after it. Raises ValueError beyond 64 bits, IndexError when
    it is cut short."""
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


def long_reader(length: int) -> Callable[[bytes, int], tuple[int, int]]:
    """A :func:`read_long` with a cache of numbers that are ``length`` bytes long."""
    known: dict[bytes, int] = {}
    get = known.get

    def read(buffer: bytes, at: int) -> tuple[int, int]:
        octets = buffer[at : at + length]
        value = get(octets)
        if value is not None:
            return value, at + length
        value, end = read_long(buffer, at)
        if end == at + length:
            if len(known) >= _KEPT_MOST:
                known.clear()
            known[octets] = value
        return value, end

    return read


read_date: Final = long_reader(4)
"""Most are dates (yyyymmdd)."""
read_px: Final = long_reader(6)
"""Most are prices, from 17 to 2,199 currency units."""
read_ns: Final = long_reader(9)
"""Most are nanoseconds since 1970."""


def read_length(buffer: bytes, at: int) -> tuple[int, int]:
    """A length and the position after it. Raises ValueError when it is negative or larger than the buffer."""
    n, at = read_long(buffer, at)
    if not 0 <= n <= len(buffer):
        raise ValueError(f"a length of {n} in {len(buffer)} bytes")
    return n, at


def read_array(item: Callable[[bytes, int], tuple[Any, int]], buffer: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    """Avro's blocks of items up to an empty one, and the position after it. A negative count is followed by the
    block's size in bytes. Raises ValueError for more items than bytes are left."""
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
    """A string and the position after it. Raises ValueError or IndexError when it is no UTF-8 or cut short."""
    n, at = read_length(buffer, at)
    if at + n > len(buffer):
        raise IndexError("a text is cut")
    return buffer[at : at + n].decode(), at + n


class Compiled(NamedTuple):
    """A record type's two functions, and their source for reading."""

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


_REPEATING: Final = frozenset(
    (
        *("account", "alloc_account", "bid_venue", "bucket_id", "control_group", "cross_id", "currency"),
        *("directed_broker", "error_account", "feed", "instrument", "mandate", "offer_venue", "owner", "parent_id"),
        *("rounding_account", "rule_id", "session_id", "source", "stage", "topic", "venue", "writer"),
    )
)
"""Text fields whose values come again and again. Others are as many as orders: to keep them would cost, not save."""
_UNIT_READERS: Final = {
    typing.get_args(units.TradeDate)[1]: "read_date",
    typing.get_args(units.Px)[1]: "read_px",
    typing.get_args(units.Ns)[1]: "read_ns",
}
_MONEY: Final = typing.get_args(units.Money)[1]
_RUN_LENGTH_MIN: Final = 3
_RUNS_MOST: Final = 1_024


class _Code:
    """Writes the source for one record type; what it refers to is in ``names``."""

    def __init__(self, record_type: type[Record]) -> None:
        self.fields = field_types(record_type)
        self.units = {
            name: next((part for part in _parts(hint) if isinstance(part, units.UnitOfMeasure)), None)
            for name, hint in typing.get_type_hints(record_type, include_extras=True).items()
        }
        self.names: dict[str, Any] = {
            "new": record_type,
            "long": long,
            "string": string,
            "octets": octets,
            "read_long": read_long,
            "read_date": read_date,
            "read_px": read_px,
            "read_ns": read_ns,
            "read_length": read_length,
            "read_array": read_array,
            "wrong": _wrong,
            "LONGS": _LONGS,
            "SOME_LONGS": _SOME_LONGS,
            "STRINGS": _STRINGS,
            "SOME_STRINGS": _SOME_STRINGS,
            "TEXTS": _TEXTS,
            "BOOL": {True: b"\x01", False: b"\x00"},
            "BOOL_IN": (False, True),
            "SMALL": tuple(z >> 1 ^ -(z & 1) for z in range(128)),
        }

    def encoder(self) -> list[str]:
        parts = []
        for name, field in self.fields.items():
            kept = self._kept(name, field)
            if kept:
                value = f"(v := r.{name})"
                null = f'b"\\0" if {value} is None else ' if field.nullable else ""
                kept = f"SOME_{kept}" if field.nullable else kept
                first = "v" if field.nullable else value
                parts.append(f"{null}{kept}[v] if {first}.__class__ is {field.of.__name__} else wrong(v)")
            elif not field.nullable and not field.array and field.of in (int, str, bytes):
                parts.append(self._write(field, f"r.{name}"))
            elif field.nullable:
                parts.append(f'b"\\0" if (v := r.{name}) is None else b"\\2" + ({self._write(field, "v")})')
            else:
                parts.append(self._write(field, "v", f"(v := r.{name})"))
        return ["def encode(r):", '    return b"".join((', *(f"        {part}," for part in parts), "    ))"]

    def _kept(self, name: str, field: FieldType) -> str:
        """The name of the cache of the field's encodings; empty when there is none."""
        if field.array:
            return ""
        if field.of is str:
            return "STRINGS" if name in _REPEATING else ""
        if field.of is int and name != "seq" and self.units[name] != _MONEY:
            return "LONGS"
        return ""

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
        written = f"write_{name}({value})"
        if keeps_wire(part):
            written = f'{value}.__dict__.get("wire") or {written}'
        return f"{written} if {first}.__class__ is {name} else wrong({value})"

    def decoder(self) -> list[str]:
        lines = ["def decode(b, p):"]
        fields = [(f"f{no}", name, field) for no, (name, field) in enumerate(self.fields.items())]
        while fields:
            length = next((n for n, (_, _, field) in enumerate(fields) if not _mostly_a_byte(field)), len(fields))
            if length >= _RUN_LENGTH_MIN:
                lines += [f"    {line}" for line in self._read_run(fields[:length])]
            else:
                length = max(length, 1)
                for to, name, field in fields[:length]:
                    lines += [f"    {line}" for line in self._read_field(to, name, field)]
            del fields[:length]
        lines.append(f"    return new({', '.join(f'{name}=f{no}' for no, name in enumerate(self.fields))}), p")
        return lines

    def _read_run(self, fields: list[tuple[str, str, FieldType]]) -> list[str]:
        """Fields that are mostly a byte each: when all are, and these bytes were met before, one look gives them all.

        Bytes are read in one way only, so the same bytes are the same values.
        """
        run, length = f"RUN_{fields[0][0]}", len(fields)
        self.names[run] = {}
        values = ", ".join(to for to, _, _ in fields)
        lines = [f"t = {run}.get(b[p:p + {length}])", "if t is not None:", f"    {values} = t", f"    p += {length}"]
        lines += ["else:", "    s = p"]
        for to, name, field in fields:
            lines += [f"    {line}" for line in self._read_field(to, name, field)]
        return [
            *lines,
            f"    if p == s + {length} and len({run}) < {_RUNS_MOST}:",
            f"        {run}[b[s:p]] = {values}",
        ]

    def _read_field(self, to: str, name: str, field: FieldType) -> list[str]:
        read = self._read(field, to, name)
        if not field.nullable:
            return read
        return [
            *("n = b[p]", "p += 1", "if n == 2:"),
            *(f"    {line}" for line in read),
            *("elif n == 0:", f"    {to} = None", "else:", "    wrong(n)"),
        ]

    def _read(self, field: FieldType, to: str, called: str) -> list[str]:
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
                f"    {to}, p = {_UNIT_READERS.get(self.units[called], 'read_long')}(b, p)",
            ]
        if field.of in (str, bytes):
            # 1 marks a length below zero, 128 one of more than a byte.
            head = ["n = b[p]", "if n & 129:", "    n, p = read_length(b, p)", "else:", "    n >>= 1", "    p += 1"]
            octets = "b[p:e]" if field.of is bytes else "b[p:e].decode()"
            octets = "TEXTS[b[p:e]]" if field.of is str and called in _REPEATING else octets
            return [*head, "e = p + n", f"{to} = {octets}", "p = e"]
        if field.of is bool:
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
            return "read_long"
        if issubclass(of, Record):
            self.names[f"read_{of.__name__}"] = compiled(of).decode
            return f"read_{of.__name__}"
        raise ContractError(f"arrays of {of.__name__} are not in messages yet")


def keeps_wire(record_type: type[Record]) -> bool:
    """Whether records of this type carry the bytes they were read from, to be copied where they are nested."""
    return bool(record_type.__dictoffset__)


def _mostly_a_byte(field: FieldType) -> bool:
    return field.nullable or field.array or field.of is bool or issubclass(field.of, Kind)


def _parts(hint: Any) -> Iterator[Any]:
    """A type hint and all type hints inside it."""
    yield hint
    for part in (*typing.get_args(hint), *getattr(hint, "__metadata__", ())):
        yield from _parts(part)


def _wrong(value: Any) -> bytes:
    raise TypeError(f"{value!r} is of the wrong type")
