"""Repairs of Faust 0.15.3 that the desk relies on: committed records only, read from offsets that we choose.

Found by experiment on Kafka 4.1, over Faust's aiokafka transport:

1. Its worker consumer reads uncommitted. Here the level is set before it starts.
2. Its commits stall on transactional topics (a gap left by a transaction's marker counts one record too far). Nothing
   is committed here, and no acknowledgement is kept: the channel is made with ``acks=False``.
3. It loses records at rebalances: what was fetched is dropped when its flow stops or an agent's queue is cleared, and a
   partition without a committed offset is never sought afterwards; and when its own mutable set of active partitions
   empties during a fetch, records of every partition are fetched and dropped. Here **every** resumption seeks to the
   offsets that the tables have reached (:attr:`CommittedApp.place_of`), whatever Faust thinks it has read; records that
   come twice are skipped by the tables; the fetch is handed a copy of the set; and Faust's own filter of "already
   read" offsets, which would drop what is read again, is out of use.
4. Its confluent transport does not start and knows no transactions: not used.

Without tables of Faust's own there is no recovery phase, where most of 3 was seen: on a real broker no gap was provoked
here, with these repairs or without them, so they are proved one by one (tests/unit/desk/test_faust_patches.py). What
would still be lost is noticed by :mod:`pipeline.desk.windows` (a gap) or :mod:`pipeline.desk.cross_check` (a
standstill, a difference) and read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import faust
from faust.transport.consumer import ensure_TPset
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.web.drivers.aiohttp import Web

Place = Callable[[set[TP]], Mapping[TP, int]]


class CommittedApp(faust.App):
    """A Faust app whose consumer reads committed records from the offsets that :attr:`place_of` returns."""

    place_of: Place
    """Called with the partitions this worker now has; returns the offset each is to be read from (0: the beginning)."""

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    def _new_web(self) -> Any:
        return _Web(self)

    async def read_again(self, places: Mapping[TP, int]) -> None:
        """Seek to these offsets now, while assigned."""
        await cast(_Consumer, self.consumer).go_to(places)


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        if consumer._isolation_level != "read_uncommitted":
            raise RuntimeError(f"Faust asks for {consumer._isolation_level} by itself: look at this class again")
        consumer._isolation_level = "read_committed"  # handed on to the fetcher when the consumer starts
        return consumer


class _NoReadOffsets(dict[TP, int | None]):
    """Faust drops records below what it thinks it has read; the tables know better."""

    def __getitem__(self, _key: TP) -> None:
        return None

    def __setitem__(self, _key: TP, _value: int | None) -> None:
        pass


class _Consumer(driver.Consumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NoReadOffsets()

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        await self.go_to(cast(CommittedApp, self.app).place_of(ensure_TPset(self.assignment())))

    async def go_to(self, places: Mapping[TP, int]) -> None:
        if places:
            await self._thread.seek_wait({driver.ensure_aiokafka_TP(tp): offset for tp, offset in places.items()})

    async def _getmany(self, active_partitions: Iterable[TP] | None, timeout: float) -> Any:
        active = None if active_partitions is None else set(active_partitions)
        return await super()._getmany(active, timeout)

    async def commit(self, *_args: Any, **_kwargs: Any) -> bool:
        return False

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust would complain that nothing is committed."""


class _Transport(driver.Transport):
    Consumer = _Consumer


class _Web(Web):
    """None of Faust's own pages: tables, router, statistics, graph, index."""

    default_blueprints = ()
    production_blueprints = ()
    debug_blueprints = ()
    optional_blueprints = ()
