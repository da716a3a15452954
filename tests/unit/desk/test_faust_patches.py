"""The mended parts of Faust's consumer, each against the defect it mends (see pipeline/desk/faust_patches.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.desk import faust_patches
from pipeline.desk.faust_patches import CommittedApp

A, B = TP("orders", 0), TP("orders", 1)


class Thread:
    """Stands for aiokafka behind Faust's consumer."""

    def __init__(self) -> None:
        self.sought: list[dict[Any, int]] = []
        self.fetched_for: Any = None

    def assignment(self) -> set[TP]:
        return {A, B}

    async def seek_wait(self, places: Mapping[Any, int]) -> None:
        self.sought.append(dict(places))

    async def getmany(self, active: Any, _timeout: float) -> dict[Any, Any]:
        await asyncio.sleep(0)
        self.fetched_for = active
        return {}


async def consumer_of(place_of: Any) -> tuple[Any, Thread]:
    app = CommittedApp("bench", broker="kafka://127.0.0.1:1", store="memory://", topic_allow_declare=False)
    app.place_of = place_of
    consumer: Any = app.consumer
    thread = Thread()
    consumer._thread = thread
    return consumer, thread


def test_faust_asks_for_uncommitted_records_and_is_given_committed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = SimpleNamespace(_isolation_level="read_uncommitted")
    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_create_worker_consumer", lambda *_: asked)
    thread = faust_patches._Thread.__new__(faust_patches._Thread)
    assert thread._create_worker_consumer(None)._isolation_level == "read_committed"
    with pytest.raises(RuntimeError, match="read_committed by itself"):
        thread._create_worker_consumer(None)


def test_every_resumption_seeks_every_partition_to_the_place_of_its_table() -> None:
    async def run() -> list[dict[Any, int]]:
        consumer, thread = await consumer_of(lambda tps: {tp: 7 * tp.partition for tp in tps})
        await consumer.perform_seek()
        return thread.sought

    assert asyncio.run(run()) == [{tuple(A): 0, tuple(B): 7}], "also the one that nothing was ever committed for"


def test_no_record_is_dropped_for_what_faust_thinks_it_has_read() -> None:
    async def run() -> Any:
        consumer, _ = await consumer_of(lambda tps: {})
        consumer._read_offset[A] = 100  # as its loop does with each record
        consumer._read_offset.update({B: 100})  # as its seeks do
        return consumer._read_offset[A], consumer._read_offset[B]

    assert asyncio.run(run()) == (None, None)


def test_a_set_of_active_partitions_that_empties_during_a_fetch_does_not_open_it_to_all() -> None:
    async def run() -> Any:
        consumer, thread = await consumer_of(lambda tps: {})
        active = {A}
        fetch = asyncio.ensure_future(consumer._getmany(active_partitions=active, timeout=1.0))
        await asyncio.sleep(0)
        active.clear()
        await fetch
        return thread.fetched_for

    assert asyncio.run(run()) == {A}


def test_nothing_is_committed() -> None:
    async def run() -> Any:
        consumer, _ = await consumer_of(lambda tps: {})
        consumer._acked[A] = [1, 2, 3]
        return await consumer.commit()

    assert asyncio.run(run()) is False
