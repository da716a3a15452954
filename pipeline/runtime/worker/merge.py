"""In which order a task group on one partition takes its inputs. One rule, no clock of its own; the journal records it.

1. Controls, as soon as they are there.
2. At start-up reference data (all that its topics hold), before anything that is checked against it.
3. Our own stages' messages that are not later than the next tick.
4. Outside inputs by append time, ties by rank: reference data, market data, orders.
5. A tick is a barrier. It is applied when every other input has a later record, or has been at its end for a moment;
   and nothing later than a waiting tick is applied before it. So records and ticks keep their order in time, and
   catching up after an outage goes through the same moments as live.

The time of a record is its append time at the broker (ops/decisions/0002-merge-by-append-time.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, Generic, TypeVar

from pipeline.domain import market, reference
from pipeline.topics import CLOCK, CONTROLS, ORDERS_IN, Topic

M = TypeVar("M")

GRACE_NS: Final = 10_000_000
"""How long an input must have been at its end, after the tick was read, before the tick is applied: 10 ms, the time of
a few fetches, because records of the same moment may come with the next answer of the broker."""


class Rank(IntEnum):
    """Which goes first among inputs of the same time."""

    CONTROL = 0
    OWN = 1
    REFERENCE = 2
    MARKET = 3
    ORDERS = 4
    CLOCK = 5


def rank_of(topic: Topic, owned: frozenset[str]) -> Rank:
    """The rank of an input; ``owned``: names of the topics that stages write."""
    if topic is CONTROLS:
        return Rank.CONTROL
    if topic is CLOCK:
        return Rank.CLOCK
    if topic.name in owned:
        return Rank.OWN
    if topic.record.__module__ == reference.__name__:
        return Rank.REFERENCE
    if topic.record.__module__ == market.__name__:
        return Rank.MARKET
    # Venue reports come from gateways but answer our own orders: they rank with our own stages' messages.
    return Rank.ORDERS if topic is ORDERS_IN else Rank.OWN


class Input(Generic[M]):
    """The buffered records of one input, as (append time in ns, record)."""

    __slots__ = ("at_end_since_ns", "name", "rank", "records")

    def __init__(self, name: str, rank: Rank) -> None:
        self.name = name
        self.rank = rank
        self.records: deque[tuple[int, M]] = deque()
        self.at_end_since_ns: int | None = None
        """Host's clock when the host last learned that the input is at its end; None: there may be more records."""


class Merge(Generic[M]):
    """Merges the inputs of one partition. The host pushes what it fetched and reports when an input is at its end.

    ``inputs``: names with their ranks. ``grace_ns``: see :data:`GRACE_NS`.
    """

    def __init__(self, inputs: Iterable[tuple[str, Rank]], grace_ns: int = GRACE_NS) -> None:
        self._inputs = {name: Input[M](name, rank) for name, rank in inputs}
        self._grace_ns = grace_ns
        by_rank = sorted(self._inputs.values(), key=lambda each: (each.rank, each.name))
        self._controls = [each for each in by_rank if each.rank is Rank.CONTROL]
        self._own = [each for each in by_rank if each.rank is Rank.OWN]
        self._reference = [each for each in by_rank if each.rank is Rank.REFERENCE]
        self._outside = [each for each in by_rank if each.rank in (Rank.REFERENCE, Rank.MARKET, Rank.ORDERS)]
        self._clocks = [each for each in by_rank if each.rank is Rank.CLOCK]
        self._primed = False
        self._tick_since_ns: int | None = None
        self.buffered = 0
        """Records waiting in all inputs."""

    def push(self, name: str, append_ns: int, record: M) -> None:
        """Add a fetched record, in the order of its input's log. ``append_ns``: its append time at the broker."""
        each = self._inputs[name]
        each.records.append((append_ns, record))
        each.at_end_since_ns = None
        self.buffered += 1

    def at_end(self, name: str, now_ns: int) -> None:
        """The input has nothing more for now. ``now_ns``: the host's clock."""
        self._inputs[name].at_end_since_ns = now_ns

    def size(self, name: str) -> int:
        """How many records of an input wait."""
        return len(self._inputs[name].records)

    def names(self) -> list[str]:
        """Names of all inputs."""
        return list(self._inputs)

    def pop(self, now_ns: int) -> M | None:
        """The next record, or None when none may be applied yet. ``now_ns``: the host's clock, only for the grace."""
        for each in self._controls:
            if each.records:
                return self._take(each)
        if not self._primed:
            for each in self._reference:
                if each.records:
                    return self._take(each)
            if not all(self._stands(each) for each in (*self._controls, *self._reference)):
                return None
            self._primed = True
        tick_ns: int | None = None
        for clock in self._clocks:
            if clock.records:
                tick_ns = clock.records[0][0]
            elif not self._stands(clock):
                return None  # catching up: the next tick is not fetched yet, and may be older than what is buffered
        found = self._earliest(self._own, tick_ns) or self._earliest(self._outside, tick_ns)
        if found is not None:
            return self._take(found)
        if tick_ns is None:
            return None
        if self._tick_since_ns is None:
            self._tick_since_ns = now_ns
        for each in (*self._own, *self._outside):
            if not each.records:
                if each.at_end_since_ns is None:
                    return None
                if now_ns - max(each.at_end_since_ns, self._tick_since_ns) < self._grace_ns:
                    return None
        self._tick_since_ns = None
        return self._take(self._clocks[0])

    @staticmethod
    def _earliest(inputs: list[Input[M]], tick_ns: int | None) -> Input[M] | None:
        """The input whose head has the smallest time, not later than ``tick_ns``; ties go by rank and name."""
        found: Input[M] | None = None
        for each in inputs:
            if each.records:
                at_ns = each.records[0][0]
                if (tick_ns is None or at_ns <= tick_ns) and (found is None or at_ns < found.records[0][0]):
                    found = each
        return found

    @staticmethod
    def _stands(each: Input[M]) -> bool:
        return each.at_end_since_ns is not None

    def _take(self, each: Input[M]) -> M:
        self.buffered -= 1
        return each.records.popleft()[1]
