"""A record of every type with every field filled, always the same; and hypothesis strategies for any record."""

from __future__ import annotations

import zlib
from typing import Any, TypeVar

from hypothesis import strategies as st

from pipeline.domain.record import Kind, Record
from pipeline.runtime.contracts.schemas import FieldType, field_types

R = TypeVar("R", bound=Record)

LONGS = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from(
    [edge + step for bits in (0, 6, 7, 13, 27, 41, 55, 62) for edge in (1 << bits, -(1 << bits)) for step in (-1, 0, 1)]
)


def sample(record_type: type[R]) -> R:
    """The one sample of a type. What it holds depends on the names of its fields only, so that it never changes."""
    values = {name: _value(f"{record_type.__name__}.{name}", field) for name, field in field_types(record_type).items()}
    return record_type(**values)


def _value(name: str, field: FieldType) -> Any:
    if field.array:
        return tuple(_value(f"{name}{no}", FieldType(field.of)) for no in (1, 2))
    crc = zlib.crc32(name.encode())
    if field.of is int:
        return (crc << (crc % 32)) * (-1 if crc % 7 == 0 else 1)
    if field.of is bool:
        return True
    if field.of is bytes:
        return b"\x00\xff" + name.encode()
    if field.of is str:
        return f"{name} é"
    if issubclass(field.of, Kind):
        return list(field.of)[1]
    part: Any = field.of
    return sample(part)


def records(record_type: type[R]) -> st.SearchStrategy[R]:
    """Any record of a type whose kind is known."""
    fields = field_types(record_type)
    return st.builds(record_type, **{name: _values(name, field) for name, field in fields.items()})


def _values(name: str, field: FieldType) -> st.SearchStrategy[Any]:
    if field.array:
        return st.lists(_values("", FieldType(field.of)), max_size=3).map(tuple)
    values: st.SearchStrategy[Any]
    if field.of is int:
        values = LONGS
    elif field.of is bool:
        values = st.booleans()
    elif field.of is bytes:
        values = st.binary(max_size=200)
    elif field.of is str:
        values = st.text(max_size=80)
    elif issubclass(field.of, Kind):
        values = st.sampled_from(list(field.of)[1 if name == "kind" else 0 :])
    else:
        part: Any = field.of
        values = records(part)
    return st.none() | values if field.nullable else values
