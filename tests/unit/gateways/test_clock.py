import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.market import SessionState, VenueStatus
from pipeline.domain.record import Record
from pipeline.gateways.clock import TICK_NS, Pacer, Wall, in_steps, replay, ticks_only
from pipeline.runtime.kafka.edge_writer import EdgeWriter, MemorySink
from tests.unit.runtime.kafka.test_edge_writer import Json

S = 1_000_000_000
START = 1_340_285_400 * S
WALL = 1_700_000_000 * S


class FakeWall:
    """A wall clock that moves only when somebody sleeps, or a commit takes its time."""

    def __init__(self) -> None:
        self.at_ns = WALL

    def sleep(self, seconds: float) -> None:
        self.at_ns += max(1, int(seconds * S))

    def wall(self) -> Wall:
        return Wall(lambda: self.at_ns, self.sleep)


def status(at_ns: int) -> tuple[int, Record]:
    return at_ns, VenueStatus(venue="X", instrument="I", state=SessionState.OPEN, event_ns=at_ns, received_ns=at_ns)


def _published(sink: MemorySink) -> list[dict[str, Any]]:
    return [msgspec.json.decode(row.value) for row in sink.rows]


def _replay(
    clock: FakeWall, sink: MemorySink, records: list[tuple[int, Record]], rate: int = 10, length_s: int = 10
) -> int:
    pacer = Pacer(START, rate * 1_000_000, 20120621, clock.wall())
    writer = EdgeWriter("market", "r", 1, Json(), sink)
    return replay(records, writer, pacer, START, START + length_s * S, drain_ns=2 * S)


def test_a_tick_follows_every_record_up_to_its_time_and_none_after_it() -> None:
    clock, sink = FakeWall(), MemorySink()
    times = [START + n * 37_000_000 for n in range(250)]
    times += [START + n * S // 2 + off for n in range(1, 15) for off in (0, 1)]  # at a tick, and just after it
    assert _replay(clock, sink, [status(at_ns) for at_ns in sorted(times)]) == len(times)
    seen_ns = 0
    ticks = 0
    for record in _published(sink):
        if "now_ns" in record:
            assert seen_ns <= record["now_ns"]
            ticks += 1
            last_tick_ns = record["now_ns"]
        else:
            assert ticks == 0 or record["event_ns"] > last_tick_ns
            seen_ns = record["event_ns"]
    assert ticks > 10


def test_the_day_begins_and_ends_once_and_session_time_keeps_its_rate() -> None:
    clock, sink = FakeWall(), MemorySink()
    _replay(clock, sink, [])
    ticks = _published(sink)
    assert [t["kind"] for t in ticks] == ["DAY_START", *["TICK"] * (len(ticks) - 2), "DAY_END"]
    assert (ticks[0]["now_ns"], ticks[-1]["now_ns"]) == (START, START + 12 * S)
    for tick in ticks:
        due_ns = WALL + (tick["now_ns"] - START) // 10
        assert 0 <= tick["wall_ns"] - due_ns < 20_000_000
    # Ten times as fast, ticks are a second of session time: not more than ten in a second of wall time.
    assert ticks[2]["now_ns"] - ticks[1]["now_ns"] == S


def test_after_an_outage_time_is_where_the_wall_says_and_nothing_is_left_out() -> None:
    clock = FakeWall()

    class Slow(MemorySink):
        def commit(self, rows: Any) -> None:
            super().commit(rows)
            if self.commits == 4:
                clock.at_ns += 40 * S

    sink = Slow()
    records = [status(START + n * S) for n in range(600)]
    assert _replay(clock, sink, records, length_s=600) == 600
    ticks = [r for r in _published(sink) if "now_ns" in r]
    gaps = [b["wall_ns"] - a["wall_ns"] for a, b in itertools.pairwise(ticks)]
    assert sum(gap > 30 * S for gap in gaps) == 1, "the gap is seen once, in the ticks' wall time"
    jump = max(b["now_ns"] - a["now_ns"] for a, b in itertools.pairwise(ticks))
    assert 395 * S < jump < 405 * S
    assert [r["event_ns"] for r in _published(sink) if "event_ns" in r] == [at for at, _ in records]


def test_a_replay_stops_when_told() -> None:
    clock, sink = FakeWall(), MemorySink()
    pacer = Pacer(START, 1_000_000, 20120621, clock.wall())
    writer = EdgeWriter("market", "r", 1, Json(), sink)
    heard: list[tuple[int, int]] = []
    count = replay(
        [status(START + n * S) for n in range(100)], writer, pacer, START, START + 100 * S,
        stop=lambda: clock.at_ns > WALL + 5 * S, told=lambda now, n: heard.append((now, n)),
    )  # fmt: skip
    assert 5 <= count <= 7
    assert heard[-1][1] == count


def test_a_clock_without_a_market_ticks_until_told() -> None:
    clock, sink = FakeWall(), MemorySink()
    pacer = Pacer(WALL, 1_000_000, 20120621, clock.wall())
    ticks_only(pacer, EdgeWriter("clock", "r", 1, Json(), sink), WALL, lambda: clock.at_ns > WALL + S)
    assert [t["now_ns"] - WALL for t in _published(sink)][:4] == [0, TICK_NS, 2 * TICK_NS, 3 * TICK_NS]


def test_a_rate_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="rate"):
        Pacer(START, 0, 20120621)


def test_the_stream_for_the_memory_host_has_the_same_order_without_a_clock() -> None:
    records = [status(START + n * 90_000_000) for n in range(50)]

    def made() -> Iterator[Record]:
        return in_steps(records, START, START + 5 * S, 20120621)

    stream = list(made())
    assert stream == list(made())
    assert [r for r in stream if not isinstance(r, Tick)] == [record for _, record in records]
    ticks = [r for r in stream if isinstance(r, Tick)]
    assert [t.kind for t in ticks] == [TickKind.DAY_START, *[TickKind.TICK] * (len(ticks) - 2), TickKind.DAY_END]
    assert [t.now_ns for t in ticks] == [START + n * TICK_NS for n in range(len(ticks))]
    assert ticks[-1].now_ns == START + 5 * S
    now_ns = 0
    for record in stream:
        if isinstance(record, Tick):
            now_ns = record.now_ns
        else:
            assert isinstance(record, VenueStatus)
            assert now_ns < record.event_ns <= now_ns + TICK_NS or record.event_ns == START
