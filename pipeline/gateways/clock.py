"""The clock gateway: publishes market records and ticks together, at the pace of wall time times a rate.

A tick with *now* = t follows all market records of times ≤ t, from the same writer of the same process. Session time is
bound to wall time once, at the start: after an outage it is where the wall says, the records in between come in a
burst, and the next tick shows the gap in its wall time — by which stages know that what waited is stale.
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
"""Session time between ticks, unless that would be more than ten ticks in a second of wall time: every task
commits at every tick, and a transaction costs the broker some milliseconds."""
_WALL_STEP_NS: Final = 100 * NS_PER_MS


@dataclass(frozen=True)
class Wall:
    """The only clock of the house, to be replaced in tests."""

    now_ns: Callable[[], int] = time.time_ns
    sleep: Callable[[float], None] = time.sleep


class Pacer:
    """Binds session time to wall time: ``start_ns`` is now, and it runs ``rate_ppm`` / 1,000,000 times as fast."""

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
        """Session time between two ticks."""
        return max(TICK_NS, _WALL_STEP_NS * self.rate_ppm // PPM_ONE)

    def session_ns(self) -> int:
        """Session time now, by the wall."""
        return self._start_ns + (self._wall.now_ns() - self._start_wall_ns) * self.rate_ppm // PPM_ONE

    def wait_until(self, session_ns: int, stop: Callable[[], bool] = lambda: False) -> bool:
        """Sleep until session time is there; False when told to stop before."""
        while (left_ns := session_ns - self.session_ns()) > 0:
            if stop():
                return False
            self._wall.sleep(min(0.1, left_ns * PPM_ONE / self.rate_ppm / NS_PER_S))
        return not stop()

    def tick(self, now_ns: int, kind: TickKind = TickKind.TICK) -> Tick:
        """A tick of session time ``now_ns``, stamped with the wall's own time."""
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

    The day ends no earlier than ``closed`` says that the books are: without ticks nothing would come home any more.

    ``records`` in order of time (``market.market_records``). Returns how many records of theirs were published; fewer
    than all only when ``stop`` said so. ``told`` hears of each tick: session time and records so far.
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
    """A clock without a market, until told to stop."""
    now_ns = start_ns
    while not stop():
        writer.write([pacer.tick(now_ns)])
        now_ns = _next_tick_ns(now_ns, start_ns, pacer)
        pacer.wait_until(now_ns, stop)


def in_steps(
    records: Iterable[tuple[int, Record]], start_ns: int, end_ns: int, trade_date: int, step_ns: int = TICK_NS
) -> Iterator[Record]:
    """The same stream without a clock, for the memory host: records, and a tick after each ``step_ns``.

    The ticks' wall time is the session time: one day, as fast as it can be computed, always the same.
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
    """The next step; after an outage the last one that the wall has passed: ticks in between are left out."""
    step_ns = pacer.step_ns
    passed = start_ns + (pacer.session_ns() - start_ns) // step_ns * step_ns
    return max(now_ns + step_ns, passed)
