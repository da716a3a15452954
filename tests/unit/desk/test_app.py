"""How a worker keeps its tables right: which records it takes from Faust, and what it does when the topics differ."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from faust.types import TP

from pipeline.desk.app import STANDSTILL_S, Desk, run_desk
from pipeline.desk.cross_check import Discrepancy, ShownFigures
from pipeline.desk.peers import address_in, client_id
from pipeline.domain.record import Owned
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.settings import Settings
from tests.unit.desk.records import order

ORDERS_0 = TP("orders", 0)


class Bench:
    """A desk that has orders/0, and the places it asked to be read again from."""

    def __init__(self) -> None:
        self.codec = Codec(LocalIds())
        self.said: list[str] = []
        self.asked: list[Mapping[TP, int]] = []
        self.now_s = 100.0
        self.desk = Desk(self.codec, 2, self.said.append, lambda: self.now_s)
        self.desk.own({ORDERS_0})

    async def read_again(self, places: Mapping[TP, int]) -> None:
        self.asked.append(places)

    def take(self, offset: int, record: Owned | None, topic: str = "orders") -> None:
        value = b"?" if record is None else self.codec.encode(record)
        message = SimpleNamespace(topic=topic, partition=0, offset=offset, timestamp=1.5, value=value)
        asyncio.run(self.desk.take(message, self.read_again))

    def audit(self, behind: bool = False, differences: tuple[str, ...] = ()) -> None:
        shown = ShownFigures.of(self.part)
        asyncio.run(self.desk.audit([Discrepancy(shown, differences, True, behind)], self.read_again))

    @property
    def part(self) -> Any:
        return self.desk.parts["orders", 0]


def test_a_partition_is_read_from_where_its_own_table_is() -> None:
    bench = Bench()
    assert bench.desk.own({ORDERS_0}) == {ORDERS_0: 0}
    bench.take(4, order(1))
    assert bench.desk.own({ORDERS_0, TP("fills", 1)}) == {ORDERS_0: 5, TP("fills", 1): 0}
    bench.desk.own({TP("fills", 1)})
    assert bench.desk.own({ORDERS_0}) == {ORDERS_0: 0}, "another worker had it meanwhile: from the beginning"


def test_what_is_not_its_own_and_what_it_has_is_passed_over() -> None:
    bench = Bench()
    bench.take(0, order(1))
    bench.take(0, order(1))
    bench.take(0, order(1), topic="order-events")
    assert bench.part.totals["all", ""]["orders"] == 1
    assert list(bench.desk.parts) == [("orders", 0)]


def test_a_gap_sends_the_part_back_to_the_beginning() -> None:
    bench = Bench()
    bench.take(0, order(1, seq=1))
    bench.take(2, order(1, seq=3))
    assert bench.asked == [{ORDERS_0: 0}]
    bench.take(3, order(1, seq=4))  # still in flight
    for offset in range(4):
        bench.take(offset, order(1, seq=offset + 1))
    assert (bench.part.totals["all", ""]["orders"], bench.part.holes, len(bench.asked)) == (4, [], 1)


def test_a_gap_in_the_topic_itself_is_read_over_after_one_rebuild() -> None:
    bench = Bench()
    for _ in range(2):
        bench.take(0, order(1, seq=1))
        bench.take(2, order(1, seq=3))
    assert (bench.asked, bench.part.rebuilds, len(bench.part.holes)) == ([{ORDERS_0: 0}], 1, 1)
    assert bench.part.totals["all", ""]["orders"] == 2


def test_bytes_that_are_no_record_are_counted_and_passed_over() -> None:
    bench = Bench()
    bench.take(0, None)
    assert (bench.part.unreadable, bench.part.next_offset) == (1, 1)


def test_a_difference_from_the_books_rebuilds_once_in_a_while() -> None:
    bench = Bench()
    bench.take(0, order(1))
    for _ in range(3):
        bench.audit(differences=("records: shown 1, in the topic 2",))
        bench.now_s += 9
    assert bench.asked == [{ORDERS_0: 0}]
    assert bench.part.rebuilds == 1
    bench.now_s += 9
    bench.audit(differences=("records: shown 1, in the topic 2",))
    assert bench.part.rebuilds == 2
    assert bench.desk.parts_as_json(0)[0]["check"]["differences"] != ()


def test_standing_still_before_a_record_reads_on_from_there_and_again_if_that_did_not_help() -> None:
    bench = Bench()
    bench.take(0, order(1))
    for _ in range(4):
        bench.audit(behind=True)
        bench.now_s += STANDSTILL_S * 0.4
    assert bench.asked == [{ORDERS_0: 1}]
    for _ in range(3):
        bench.audit(behind=True)
        bench.now_s += STANDSTILL_S * 0.4
    assert bench.asked == [{ORDERS_0: 1}] * 2
    bench.audit()
    assert not bench.desk.parts_as_json(0)[0]["check"]["behind"]


def test_who_moves_on_or_is_at_the_end_now_and_then_does_not_stand_still() -> None:
    bench = Bench()
    bench.take(0, order(1))
    bench.audit(behind=True)
    bench.now_s += STANDSTILL_S
    bench.audit()
    bench.audit(behind=True)
    bench.take(1, order(1, seq=2))
    bench.now_s += STANDSTILL_S
    bench.audit(behind=True)
    shown = ShownFigures.of(bench.part)
    bench.take(2, order(1, seq=3))  # while the books were read
    bench.now_s += STANDSTILL_S
    asyncio.run(bench.desk.audit([Discrepancy(shown, (), True, True)], bench.read_again))
    assert bench.asked == []


def test_a_finding_about_what_was_before_a_rebuild_says_nothing() -> None:
    bench = Bench()
    bench.take(0, order(1))
    shown = ShownFigures.of(bench.part)
    bench.part.rebuild()
    asyncio.run(bench.desk.audit([Discrepancy(shown, ("wrong",), True, False)], bench.read_again))
    assert bench.asked == []
    assert bench.desk.parts_as_json(0)[0]["check"] is None


def test_workers_find_each_other_by_client_id() -> None:
    assert address_in(client_id("127.0.0.1", 6066)) == "127.0.0.1:6066"
    for stranger in ("rdkafka", "desk@", "desk@host", "desk@ho st:1", "desk@host:1/evil", "xdesk@host:1"):
        assert address_in(stranger) is None


def test_without_a_broker_it_says_so_and_ends_with_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(kafka: Kafka, timeout_s: float) -> NoReturn:
        raise kafka.unreachable()

    monkeypatch.setattr(Kafka, "require_answer", nobody)
    said: list[str] = []
    settings = Settings("127.0.0.1:1", "http://127.0.0.1:2", 2, (), tmp_path)
    assert run_desk(settings, port=0, say=said.append) == 3
    assert "127.0.0.1:1" in said[0]
