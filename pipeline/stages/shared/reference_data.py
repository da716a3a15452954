"""Effective-dated facts in a stage's state: of the versions of a key, the one that holds at a moment.

A version holds from its ``effective_ns`` until a later version's; of two with the same moment, the one put last.
Future versions wait; those that can never hold again are dropped as the next one of their key is put. A version put
late for a moment before the standing one changes nothing. A removal is a version too: it stays, so that what was
removed does not come back by a restore or a late record.
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
    """A record that holds from a moment on."""

    @property
    def effective_ns(self) -> int: ...


class ReferenceRecord(DatedRecord, Protocol):
    """A dated record that sets or removes its key."""

    @property
    def kind(self) -> ReferenceKind: ...


D = TypeVar("D", bound=DatedRecord)
R = TypeVar("R", bound=ReferenceRecord)


class Versions(Entry, Generic[D]):
    """All versions of one key that hold or will hold, by effective time."""

    records: tuple[D, ...]


class Dated(Generic[D]):
    """Versions of records by key, in a table of ``state``."""

    __slots__ = ("_key", "_table")

    def __init__(self, state: State, name: str, record: type[D], key: Callable[[D], str]) -> None:
        # The type of the entry is made of a value: mypy has no word for that.
        self._table: Table[Versions[D]] = state.table(name, Versions[record])  # type: ignore[valid-type]
        self._key = key

    def __len__(self) -> int:
        """Keys that have a version, removed ones included."""
        return len(self._table)

    def keys(self) -> list[str]:
        """All keys that have a version, sorted; whether one stands is for ``get`` to say."""
        return self._table.keys()

    def next_change_ns(self, now_ns: int) -> int | None:
        """When the first of the versions that wait begins to hold; None when none waits. Walks over the table."""
        moments = (r.effective_ns for key in self._table.keys() for r in self._table[key].records)
        return min((at_ns for at_ns in moments if at_ns > now_ns), default=None)

    def put(self, record: D, now_ns: int) -> None:
        """Take in a version; drop those of its key that have passed."""
        key = self._key(record)
        row = self._table.get(key)
        records = (record,) if row is None else _in_order((*row.records, record))
        standing = 0
        for place, version in enumerate(records):
            if version.effective_ns <= now_ns:
                standing = place
        self._table.put(key, Versions(records[standing:]))

    def get(self, key: str, now_ns: int) -> D | None:
        """The version that holds at ``now_ns``; None before the first."""
        row = self._table.get(key)
        if row is not None:
            for record in row.records[::-1]:
                if record.effective_ns <= now_ns:
                    return record
        return None


class Effective(Dated[R]):
    """Reference data by key: ``get`` gives what is set at a moment, None for what is removed or not known yet."""

    __slots__ = ()

    def put(self, record: R, now_ns: int) -> None:
        """Take in a SET or a REMOVE. A kind of a later version of ours is not understood and changes nothing."""
        if record.kind is not ReferenceKind.UNKNOWN:
            super().put(record, now_ns)

    def get(self, key: str, now_ns: int) -> R | None:
        """What is set for ``key`` at ``now_ns``."""
        record = super().get(key, now_ns)
        return record if record is not None and record.kind is ReferenceKind.SET else None

    def standing(self, now_ns: int) -> list[R]:
        """Everything set at ``now_ns``, by key. Costs a walk over the table: not for each message."""
        records = [self.get(key, now_ns) for key in self.keys()]
        return [record for record in records if record is not None]


def _in_order(records: tuple[D, ...]) -> tuple[D, ...]:
    # sorted() is stable: of two with the same moment the one put last stays behind, and so holds.
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
