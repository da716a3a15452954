"""Effective-dated records in a stage's state: each key has versions, of which one is in force at any time.

A version is in force from its ``effective_ns`` until the next version's; of two with the same time, the one put last.
Future versions are kept until their time. Versions that can never be in force again are dropped when the next one of
their key is put; one put late, for a time before that of the version in force, changes nothing. A removal is a version
too and is kept, so that a restore or a late record does not bring back what was removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from pipeline.domain.reference import (
    Account,
    CrossingRule,
    Instrument,
    Limit,
    LimitScope,
    ReferenceKind,
    Venue,
)
from pipeline.state import Entry, State, Table


class DatedRecord(Protocol):
    """A record that is in force from some time on."""

    @property
    def effective_ns(self) -> int:
        """From when on, in session time."""
        ...


class ReferenceRecord(DatedRecord, Protocol):
    """A dated record that sets or removes its key."""

    @property
    def kind(self) -> ReferenceKind:
        """SET or REMOVE; UNKNOWN for a kind that this version does not know."""
        ...


D = TypeVar("D", bound=DatedRecord)
R = TypeVar("R", bound=ReferenceRecord)


class Versions(Entry, Generic[D]):
    """The versions of one key that are or will be in force, by effective time."""

    records: tuple[D, ...]


class Dated(Generic[D]):
    """Versions of records by key, in a table of ``state``."""

    __slots__ = ("_key", "_table")

    def __init__(self, state: State, name: str, record: type[D], key: Callable[[D], str]) -> None:
        # mypy cannot express a type parameter that is known only as a value (`record`).
        self._table: Table[Versions[D]] = state.table(name, Versions[record])  # type: ignore[valid-type]
        self._key = key

    def __len__(self) -> int:
        """Number of keys that have a version, removed ones included."""
        return len(self._table)

    def keys(self) -> list[str]:
        """All keys that have a version, sorted, removed ones included."""
        return self._table.keys()

    def next_change_ns(self, now_ns: int) -> int | None:
        """When the next future version comes into force; None when there is none. Walks over the whole table."""
        moments = (r.effective_ns for key in self._table.keys() for r in self._table[key].records)
        return min((at_ns for at_ns in moments if at_ns > now_ns), default=None)

    def put(self, record: D, now_ns: int) -> None:
        """Add a version; drop those of its key that are no longer in force at ``now_ns``."""
        key = self._key(record)
        row = self._table.get(key)
        records = (record,) if row is None else _in_order((*row.records, record))
        in_force = 0
        for place, version in enumerate(records):
            if version.effective_ns <= now_ns:
                in_force = place
        self._table.put(key, Versions(records[in_force:]))

    def get(self, key: str, now_ns: int) -> D | None:
        """The version in force at ``now_ns``; None before the first."""
        row = self._table.get(key)
        if row is not None:
            for record in row.records[::-1]:
                if record.effective_ns <= now_ns:
                    return record
        return None

    def later(self, key: str, now_ns: int) -> list[D]:
        """The versions of ``key`` that are known and come into force after ``now_ns``, by effective time."""
        row = self._table.get(key)
        return [] if row is None else [record for record in row.records if record.effective_ns > now_ns]


class Effective(Dated[R]):
    """Reference data by key: ``get`` gives the record set at a time, None when it is removed or not known yet."""

    __slots__ = ()

    def put(self, record: R, now_ns: int) -> None:
        """Add a SET or a REMOVE. An UNKNOWN kind, which a later version of ours may write, changes nothing."""
        if record.kind is not ReferenceKind.UNKNOWN:
            super().put(record, now_ns)

    def get(self, key: str, now_ns: int) -> R | None:
        """The record set for ``key`` at ``now_ns``; None when it is removed or not known yet."""
        record = super().get(key, now_ns)
        return record if record is not None and record.kind is ReferenceKind.SET else None

    def standing(self, now_ns: int) -> list[R]:
        """All records set at ``now_ns``, by key. Walks over the whole table: not for every message."""
        records = [self.get(key, now_ns) for key in self.keys()]
        return [record for record in records if record is not None]


def _in_order(records: tuple[D, ...]) -> tuple[D, ...]:
    # sorted() is stable: of two with the same time the one put last comes last, and so is the one in force.
    return tuple(sorted(records, key=lambda record: record.effective_ns))


def limit_key(scope: LimitScope, scope_id: str = "") -> str:
    """The key of a limit, the same as on its topic."""
    return scope + "/" + scope_id


def instruments(state: State) -> Effective[Instrument]:
    """The table ``instruments``, by symbol."""
    return Effective(state, "instruments", Instrument, lambda record: record.instrument)


def accounts(state: State) -> Effective[Account]:
    """The table ``accounts``, by account."""
    return Effective(state, "accounts", Account, lambda record: record.account)


def venues(state: State) -> Effective[Venue]:
    """The table ``venues``, by code."""
    return Effective(state, "venues", Venue, lambda record: record.venue)


def limits(state: State) -> Effective[Limit]:
    """The table ``limits``, by :func:`limit_key`."""
    return Effective(state, "limits", Limit, lambda record: limit_key(record.scope, record.scope_id))


def crossing_rules(state: State) -> Effective[CrossingRule]:
    """The table ``crossing-rules``, by rule id."""
    return Effective(state, "crossing-rules", CrossingRule, lambda record: record.rule_id)
