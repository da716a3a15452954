"""A stage on a bench: feed it messages, look at what comes out. Every step is checked by the restore oracle.

After each message the changelog so far is loaded into a fresh state, which must equal the live one byte for byte; and
every ``swap_every`` messages the restored state takes the live one's place, so that what follows is decided by it.
After the first hundred messages this is done at every tenth: a whole state is written each time, and long days would be
nothing but that. What an earlier message did and did not put is found at the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

import msgspec

from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.record import Owned, Record
from pipeline.stage import Meta, Stage
from pipeline.state import State, Task

EACH_OF_FIRST: Final = 100
EVERY: Final = 10

S = TypeVar("S", bound=State)
R = TypeVar("R", bound=Record)


class Bench(Generic[S]):
    """One task of a stage, alone."""

    def __init__(self, stage: Stage[S], partition: int = 0, partitions: int = 1, swap_every: int = 1) -> None:
        self.stage = stage
        self.task = Task(stage.name, partition, partitions)
        self.state = stage.new_state(self.task)
        self.changelog: dict[str, bytes] = {}
        self.out: list[Owned] = []
        self._swap_every = swap_every
        self._steps = self._checks = 0

    def feed(self, *messages: Record, append_ns: int = 0) -> list[Owned]:
        """Apply messages one by one; returns what they caused, in order."""
        caused: list[Owned] = []
        for message in messages:
            # What is written must be what the schema can carry: exact types, nothing more.
            for record in self.stage.take(self.state, message, Meta(append_ns)):
                assert type(record) in self.stage.writes, f"{type(record).__name__} is not in {self.stage.name}.writes"
                msgspec.convert(msgspec.to_builtins(record, builtin_types=(bytes,)), type(record), strict=True)
                caused.append(record)
            self._check_restore()
        self.out.extend(caused)
        return caused

    def tick(self, now_ns: int, wall_ns: int | None = None, kind: TickKind = TickKind.TICK) -> list[Owned]:
        wall = now_ns if wall_ns is None else wall_ns
        return self.feed(Tick(kind=kind, now_ns=now_ns, wall_ns=wall, trade_date=20260105))

    def all(self, record_type: type[R], records: Iterable[Record] | None = None) -> list[R]:
        """The records of a type among all outputs so far (or among ``records``)."""
        return [r for r in (self.out if records is None else records) if isinstance(r, record_type)]

    def _check_restore(self) -> None:
        self._steps += 1
        if self._steps > EACH_OF_FIRST and self._steps % EVERY:
            return
        for key, value in self.state.drain():
            if value is None:
                self.changelog.pop(key, None)
            else:
                self.changelog[key] = value
        restored = self.stage.new_state(self.task)
        for key in sorted(self.changelog):
            restored.load(key, self.changelog[key])
        restored.restored()
        assert dict(restored.dump()) == dict(self.state.dump()), "an entry was changed and not put"
        self._checks += 1
        if self._swap_every and self._checks % self._swap_every == 0:
            self.state = restored
