"""The market and the orders of the demo, sent to a real broker at an accelerated pace."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from pipeline.commands.deployment import edge
from pipeline.commands.order_producer import OrderProducer
from pipeline.demo.orders import Sending
from pipeline.demo.scenario import Scenario
from pipeline.domain.partitioning import partition_of
from pipeline.gateways.clock import Pacer, replay
from pipeline.runtime.settings import Settings

DRAIN_NS: Final = 5_000_000_000
"""Least session time from the market's end to the day's end, for reports still on their way."""


class Live:
    """Two threads on one clock: the market edge and the upstream systems. Use as a context manager.

    ``rate``: session time over wall time; ``closed``: whether every order is finished, so that the day may end.
    """

    def __init__(
        self,
        scenario: Scenario,
        settings: Settings,
        rate: int,
        say: Callable[[str], None],
        closed: Callable[[], bool],
    ) -> None:
        self._scenario = scenario
        self._closed = closed
        self._settings = settings
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self.now_ns = scenario.day.open_ns
        self.market_records = 0
        self.sent = 0
        self._writer = edge(settings, "market", say, self._stop.is_set)
        self._producer = OrderProducer(settings, say)
        # Earlier days first. This also opens the connection: the clock must not start before a tick can be sent.
        self._writer.write(scenario.earlier())
        self._pacer = Pacer(scenario.day.open_ns, rate * 1_000_000, scenario.day.trade_date)
        self._threads = [threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in self._works()]

    def __enter__(self) -> Live:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def over(self) -> bool:
        """Whether both threads have sent all they had. Raises the exception that ended one of them."""
        if self._failures:
            raise self._failures[0]
        return not any(thread.is_alive() for thread in self._threads)

    def _works(self) -> Sequence[Callable[[], None]]:
        return (self._market, self._orders)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._failures.append(error)

    def _market(self) -> None:
        def told(now_ns: int, count: int) -> None:
            self.now_ns, self.market_records = now_ns, count

        scenario = self._scenario
        market = scenario.market_window()
        start_ns, end_ns = scenario.day.open_ns, scenario.end_ns
        replay(
            market,
            self._writer,
            self._pacer,
            start_ns,
            end_ns,
            DRAIN_NS,
            stop=self._stop.is_set,
            told=told,
            closed=lambda: self.sent == len(scenario.sendings) and self._closed(),
        )

    def _orders(self) -> None:
        for sending in self._scenario.sendings:
            if not self._pacer.wait_until(sending.at_ns, self._stop.is_set):
                return
            self._send(sending)
            self.sent += 1
        self._producer.close()

    def _send(self, sending: Sending) -> None:
        own = partition_of(sending.source, self._settings.partitions)
        partition = (own + 1) % self._settings.partitions if sending.misplaced else own
        if sending.request is not None:
            self._producer.send(sending.request, partition)
        else:
            self._producer.send_raw(sending.source, sending.raw or b"", partition)
