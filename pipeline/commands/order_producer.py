"""The upstream systems' end of `orders-in`: a producer that knows which orders the broker has acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError, Message

from pipeline import topics
from pipeline.commands.deployment import codec_for
from pipeline.domain.orders import OrderRequest
from pipeline.domain.partitioning import partition_of
from pipeline.errors import PipelineError
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.settings import Settings

Say = Callable[[str], None]
_FLUSH_S: Final = 60.0
_LOOK_S: Final = 0.5
"""While acknowledgements are waited for: how often we look whether the broker lets us in."""


class OrderProducer:
    """Puts requests on `orders-in`, on their source's partition, each acknowledged by the broker before the end."""

    def __init__(self, settings: Settings, say: Say = print) -> None:
        self._settings = settings
        self._codec = codec_for(settings)
        self._kafka = Kafka(settings.bootstrap_servers)
        self._producer = self._kafka.producer(
            {
                "enable.idempotence": True,
                "linger.ms": 2,
                "delivery.timeout.ms": 300_000,
                "error_cb": self._trouble,
            }
        )
        self._say = say
        self._waiting = False
        self.failures: list[str] = []
        self.delivered = 0

    def send(self, request: OrderRequest, partition: int | None = None) -> None:
        """Send an order; `partition` None is the source's own."""
        self.send_raw(request.source, self._codec.encode(request), partition)

    def send_raw(self, source: str, value: bytes, partition: int | None = None) -> None:
        """Bytes as they are; `partition` None is the source's own. Raises AccessRefused."""
        where = partition_of(source, self._settings.partitions) if partition is None else partition
        while True:
            try:
                self._producer.produce(
                    topics.ORDERS_IN.name, value, source.encode(), where, on_delivery=self._delivered
                )
                break
            except BufferError:
                self._poll(0.1)
        self._poll(0)

    def close(self, timeout_s: float = _FLUSH_S) -> None:
        """Wait for every acknowledgement. Raises PipelineError naming how many orders are not known to be taken.

        Raises AccessRefused when the broker has taken none, as it does not let us in.
        """
        deadline = time.monotonic() + timeout_s
        while (left := self._producer.flush(_LOOK_S)) and time.monotonic() < deadline:
            self._poll(0)
        if left or self.failures:
            first = f"; the first: {self.failures[0]}" if self.failures else ""
            raise PipelineError(
                f"{left + len(self.failures)} orders were not acknowledged by the broker{first}. Send the file again: "
                "what did arrive is recognised as a repeat."
            )

    def _poll(self, wait_s: float) -> None:
        self._producer.poll(wait_s)
        if not self.delivered and self._kafka.refused is not None:
            raise self._kafka.refused

    def _trouble(self, error: KafkaError) -> None:
        if not self._waiting and error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._waiting = True
            self._say(f"Kafka is not reachable at {self._settings.bootstrap_servers}: orders wait here until it is")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered += 1
            self._waiting = False
        else:
            self.failures.append(str(error))
