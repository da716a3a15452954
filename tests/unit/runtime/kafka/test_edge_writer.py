from typing import Any

import msgspec
import pytest

from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.market import SessionState, VenueStatus
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Owned
from pipeline.runtime.kafka.edge_writer import BATCH_MAX, EdgeWriter, MemorySink, Row


class Json:
    """Stands in for the codec: what is tested here is what is written, not how."""

    def encode(self, record: Any) -> bytes:
        return msgspec.json.encode(record)

    def encode_key(self, key: str) -> bytes:
        return key.encode()


def status(instrument: str, at_ns: int = 1) -> VenueStatus:
    return VenueStatus(venue="X", instrument=instrument, state=SessionState.OPEN, event_ns=at_ns, received_ns=at_ns)


def tick(now_ns: int) -> Tick:
    return Tick(kind=TickKind.TICK, now_ns=now_ns, wall_ns=now_ns, trade_date=20120621)


def _numbers(rows: list[Row], topic: str, partition: int) -> list[int]:
    return [msgspec.json.decode(r.value)["seq"] for r in rows if (r.topic, r.partition) == (topic, partition)]


def test_numbers_have_no_gap_in_any_partition() -> None:
    sink = MemorySink()
    writer = EdgeWriter("market", "r1", 3, Json(), sink)
    names = [f"I{n}" for n in range(20)]
    for _ in range(3):
        assert writer.write([*(status(name) for name in names), tick(5)]) == 20 + 3
    for partition in range(3):
        mine = 3 * sum(partition_of(name, 3) == partition for name in names)
        assert _numbers(sink.rows, "venue-status", partition) == list(range(1, mine + 1))
        assert _numbers(sink.rows, "clock", partition) == [1, 2, 3]
    assert {msgspec.json.decode(row.value)["writer"] for row in sink.rows} == {"market@r1"}
    assert all(row.partition == partition_of(row.key.decode(), 3) for row in sink.rows if row.topic != "clock")


def test_the_copies_of_a_record_are_never_in_two_transactions() -> None:
    commits: list[list[Row]] = []

    class Sink(MemorySink):
        def commit(self, rows: Any) -> None:
            commits.append(list(rows))

    EdgeWriter("clock", "r", 4, Json(), Sink()).write(tick(n) for n in range(BATCH_MAX + 1))
    assert [len(rows) for rows in commits] == [4 * BATCH_MAX, 4]


def test_a_record_that_cannot_be_encoded_takes_no_number() -> None:
    class Fails(Json):
        def encode(self, record: Any) -> bytes:
            if record.venue == "bad":
                raise ValueError("cannot")
            return super().encode(record)

    sink = MemorySink()
    writer = EdgeWriter("market", "r", 1, Fails(), sink)
    with pytest.raises(ValueError, match="cannot"):
        writer.write([status("A"), msgspec.structs.replace(status("A"), venue="bad")])
    assert sink.rows == []
    writer.write([status("A")])
    assert _numbers(sink.rows, "venue-status", 0) == [1]


def test_nothing_to_write_is_no_transaction() -> None:
    sink = MemorySink()
    none: list[Owned] = []
    assert EdgeWriter("market", "r", 1, Json(), sink).write(none) == 0
    assert sink.commits == 0
