"""The clock gateway: publishes market records and ticks together, at the pace of wall time times a rate.

A tick of session time t is written after all market records of times ≤ t, by the same writer. Session time is bound to
wall time once, at the start. So after an outage of this process session time has gone on with the wall clock: the
records of the gap come in a burst, and the next tick's wall time shows the gap, by which stages know that what waited
is stale.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.record import Owned, Record
from pipeline.domain.units import NS_PER_MS, NS_PER_S, PPM_ONE
from pipeline.runtime.kafka.edge_writer import BATCH_MAX, EdgeWriter

TICK_NS: Final = 250 * NS_PER_MS
"""Session time between ticks, unless that would be more than ten ticks a second of wall time: every task commits at
every tick, and a transaction costs the broker some milliseconds."""
_WALL_STEP_NS: Final = 100 * NS_PER_MS


@dataclass(frozen=True)
class Wall:
    """The clock that session time is bound to; tests replace it."""

    now_ns: Callable[[], int] = time.time_ns
    sleep: Callable[[float], None] = time.sleep


class Pacer:
    """Binds session time to wall time: ``start_ns`` is now, and it runs ``rate_ppm`` / 1,000,000 times as fast.

    Raises ValueError for a rate that is not above 0.
    """

    def __init__(self, start_ns: int, rate_ppm: int, trade_date: int, wall: Wall | None = None) -> None:
        if rate_ppm <= 0:
            raise ValueError(f"the rate must be above 0, not {rate_ppm} ppm")
        self.rate_ppm = rate_ppm
        self.trade_date = trade_date
        self._wall = wall or Wall()
        self._start_ns = start_ns
        self._start_wall_ns = self._wall.now_ns()

    @property
    def step_ns(self) -> int:
        """Session time between two ticks, ns."""
        return max(TICK_NS, _WALL_STEP_NS * self.rate_ppm // PPM_ONE)

    def session_ns(self) -> int:
        """Session time now, ns since 1970, by the wall clock."""
        return self._start_ns + (self._wall.now_ns() - self._start_wall_ns) * self.rate_ppm // PPM_ONE

    def wait_until(self, session_ns: int, stop: Callable[[], bool] = lambda: False) -> bool:
        """Sleep until session time is ``session_ns``; returns False when ``stop`` is true before or then."""
        while (left_ns := session_ns - self.session_ns()) > 0:
            if stop():
                return False
            self._wall.sleep(min(0.1, left_ns * PPM_ONE / self.rate_ppm / NS_PER_S))
        return not stop()

    def tick(self, now_ns: int, kind: TickKind = TickKind.TICK) -> Tick:
        """A tick of session time ``now_ns``, stamped with the wall time of this call."""
        return Tick(
            kind=kind, now_ns=now_ns, wall_ns=self._wall.now_ns(), rate=self.rate_ppm, trade_date=self.trade_date
        )


def replay(
    records: Iterable[tuple[int, Record]],
    writer: EdgeWriter,
    pacer: Pacer,
    start_ns: int,
    end_ns: int,
    drain_ns: int = 30 * NS_PER_S,
    stop: Callable[[], bool] = lambda: False,
    told: Callable[[int, int], None] = lambda now_ns, count: None,
    closed: Callable[[], bool] = lambda: True,
) -> int:
    """Publish a market and its clock, from a DAY_START tick to a DAY_END tick ``drain_ns`` after the end.

    ``records``: event time and record, in order of time (``market.market_records``). The day does not end before
    ``closed`` returns True: orders still open could no longer be finished without ticks. ``told`` is called after
    each tick with session time and the count of records so far. Returns how many of ``records`` were published: fewer
    than all only when ``stop`` returned True.
    """
    waiting = iter(records)
    following: tuple[int, Record] | None = next(waiting, None)
    count = 0
    now_ns = start_ns
    kind = TickKind.DAY_START
    while True:
        batch: list[Owned] = []
        while following is not None and following[0] <= now_ns:
            assert isinstance(following[1], Owned)
            batch.append(following[1])
            following = next(waiting, None)
            count += 1
            if len(batch) == BATCH_MAX - 1:
                writer.write(batch)
                batch = []
        # Stamped as it goes out: what held up the batches before it is in its wall time.
        writer.write(chain(batch, (pacer.tick(now_ns, kind),)))
        told(now_ns, count)
        if kind is TickKind.DAY_END:
            return count
        now_ns = _next_tick_ns(now_ns, start_ns, pacer)
        kind = TickKind.DAY_END if now_ns >= end_ns + drain_ns and closed() else TickKind.TICK
        if not pacer.wait_until(now_ns, stop):
            return count


def ticks_only(pacer: Pacer, writer: EdgeWriter, start_ns: int, stop: Callable[[], bool]) -> None:
    """Publish the clock alone, until ``stop`` returns True."""
    now_ns = start_ns
    while not stop():
        writer.write([pacer.tick(now_ns)])
        now_ns = _next_tick_ns(now_ns, start_ns, pacer)
        pacer.wait_until(now_ns, stop)


def in_steps(
    records: Iterable[tuple[int, Record]], start_ns: int, end_ns: int, trade_date: int, step_ns: int = TICK_NS
) -> Iterator[Record]:
    """The records and their ticks without waiting, for the memory host: a tick after each ``step_ns`` of session time.

    The ticks' wall time is the session time, so the day is the same each time it is run.
    """
    now_ns = start_ns
    kind = TickKind.DAY_START

    def tick() -> Tick:
        return Tick(kind=kind, now_ns=now_ns, wall_ns=now_ns, rate=PPM_ONE, trade_date=trade_date)

    for event_ns, record in records:
        while event_ns > now_ns:
            yield tick()
            kind = TickKind.TICK
            now_ns += step_ns
        yield record
    while now_ns < end_ns:
        yield tick()
        kind = TickKind.TICK
        now_ns += step_ns
    now_ns, kind = max(now_ns, end_ns), TickKind.DAY_END
    yield tick()


def _next_tick_ns(now_ns: int, start_ns: int, pacer: Pacer) -> int:
    """The next step; after an outage the last step that session time has passed: ticks in between are left out."""
    step_ns = pacer.step_ns
    passed = start_ns + (pacer.session_ns() - start_ns) // step_ns * step_ns
    return max(now_ns + step_ns, passed)
