"""Records with any field at its extremes, made from the record types themselves: a new field is covered by itself.

What may stand in a field follows from its type: every symbol of an enum, none where it may be none, the ends of 64 bits
and what lies around the units in use, names that the day knows and names it does not.
"""

from __future__ import annotations

import functools
import random
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from pipeline.domain.record import Kind, Record
from pipeline.domain.units import UnitOfMeasure

R = TypeVar("R", bound=Record)

LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1
NUMBERS: Final = (
    LOWEST, -(2**31), -1_000_000_000, -10_000_000, -1, 0, 1, 2, 99, 100, 101, 1_000_000, 10_000_000, 1_000_000_000,
    2**31 - 1, 10**12, 10**15, 4 * 10**18, HIGHEST - 1, HIGHEST,
)  # fmt: skip
"""The ends of 64 bits, a feed's "none", the wholes of the units in use, and numbers whose products do not fit."""
TIMES_NS: Final = (-86_400 * 10**9, -3_600 * 10**9, -(10**9), -1, 0, 1, 10**9, 3_600 * 10**9, 86_400 * 10**9)
"""Around a moment that the day knows."""
TEXTS: Final = ("", " ", "*", "NOBODY", "a/b", "a:b|c,d\n", "0", "ÿ😀", "x" * 300, "\x00")
FACTORS: Final = (-1, 2, 10, 1_000)
OF_TIME: Final = frozenset({"nanoseconds since 1970-01-01T00:00:00Z"})
KNOWN_MOST: Final = 400
"""Values that are kept of each field of the day's records."""


class Field(NamedTuple):
    """A field: its type, the unit of its number, whether it may be none and whether it is a list."""

    name: str
    of: type[Any]
    unit: str
    optional: bool
    listed: bool


@functools.cache
def fields_of(record_type: type[Record]) -> tuple[Field, ...]:
    """The fields of a record type. Raises TypeError for a type that this generator does not know."""
    hints = typing.get_type_hints(record_type, include_extras=True)
    return tuple(_field(field.name, hints[field.name]) for field in msgspec.structs.fields(record_type))


def _field(name: str, hint: Any, unit: str = "", optional: bool = False, listed: bool = False) -> Field:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        units = [each.text for each in args[1:] if isinstance(each, UnitOfMeasure)]
        return _field(name, args[0], units[0] if units else unit, optional, listed)
    if origin in (typing.Union, types.UnionType):
        (some,) = (each for each in args if each is not type(None))
        return _field(name, some, unit, True, listed)
    if origin is tuple:
        return _field(name, args[0], unit, optional, True)
    if not (isinstance(hint, type) and issubclass(hint, int | str | bytes | Record)):
        raise TypeError(f"{name}: nothing is known of {hint!r}: say in tests/fuzz/records.py what may stand in it")
    return Field(name, hint, unit, optional, listed)


class Vocabulary:
    """What the day's own records have in their fields, by the field's name, so that garbage speaks of real things."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records: dict[type[Record], list[Record]] = {}
        self._values: dict[str, dict[Any, None]] = {}
        for record in records:
            self.records.setdefault(type(record), []).append(record)
            self._note(record)
        self._lists = {name: tuple(values) for name, values in self._values.items()}

    def _note(self, record: Record) -> None:
        for field in fields_of(type(record)):
            value = getattr(record, field.name)
            for each in value if field.listed else (value,):
                if isinstance(each, Record):
                    self._note(each)
                elif isinstance(each, int | str) and not isinstance(each, bool | Kind):
                    known = self._values.setdefault(field.name, {})
                    if len(known) < KNOWN_MOST:
                        known[each] = None

    def of(self, name: str) -> Sequence[Any]:
        """Values of the fields of that name."""
        return self._lists.get(name, ())


class Generator:
    """Draws records. The same ``draw``, the same records."""

    def __init__(self, draw: random.Random, known: Vocabulary, now_ns: int) -> None:
        self._draw = draw
        self._known = known
        self._now_ns = now_ns

    def record(self, record_type: type[R]) -> R:
        """A record with every field drawn."""
        return record_type(**{field.name: self._value(field, None) for field in fields_of(record_type)})

    def changed(self, record: R, most: int = 3) -> R:
        """The record with one field changed, or a few."""
        fields = fields_of(type(record))
        chosen = self._draw.sample(fields, min(len(fields), self._draw.randint(1, most)))
        return msgspec.structs.replace(
            record, **{field.name: self._value(field, getattr(record, field.name)) for field in chosen}
        )

    def like(self, record_type: type[R]) -> R:
        """A record of the type: one of the day's as it is, one with some fields changed, or one drawn whole."""
        of_the_day = typing.cast(list[R], self._known.records.get(record_type, []))
        way = self._draw.random()
        if not of_the_day or way < 0.15:
            return self.record(record_type)
        base = self._draw.choice(of_the_day)
        return base if way < 0.25 else self.changed(base)

    def _value(self, field: Field, was: Any) -> Any:
        draw = self._draw
        if field.listed:
            if was and draw.random() < 0.6:
                some = list(was)
                some[draw.randrange(len(some))] = self._one(field, some[0])
                return tuple(some + some[-1:] if draw.random() < 0.2 else some)
            return tuple(self._one(field, None) for _ in range(draw.choice((0, 1, 2, 12))))
        if field.optional and draw.random() < 0.2:
            return None
        return self._one(field, was)

    def _one(self, field: Field, was: Any) -> Any:
        draw = self._draw
        if issubclass(field.of, Kind):
            return draw.choice(list(field.of))
        if issubclass(field.of, bool):
            return draw.random() < 0.5
        if issubclass(field.of, Record):
            return self.record(field.of) if was is None or draw.random() < 0.3 else self.changed(was, 1)
        if issubclass(field.of, bytes):
            return draw.randbytes(draw.choice((0, 1, 40)))
        known = self._known.of(field.name)
        if issubclass(field.of, str):
            return draw.choice(known) if known and draw.random() < 0.6 else draw.choice(TEXTS)
        return self._number(field, known, was)

    def _number(self, field: Field, known: Sequence[Any], was: Any) -> int:
        draw = self._draw
        way = draw.random()
        if known and way < 0.25:
            return int(draw.choice(known))
        if field.unit in OF_TIME and way < 0.7:
            about = self._now_ns if was is None or draw.random() < 0.5 else int(was)
            return _within(about + draw.choice(TIMES_NS))
        if was and way < 0.5:
            return _within(int(was) * draw.choice(FACTORS) + draw.choice((-1, 0, 1)))
        return draw.choice(NUMBERS)


def _within(number: int) -> int:
    return max(LOWEST, min(HIGHEST, number))
