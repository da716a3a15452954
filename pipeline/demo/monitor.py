"""Watches the topics while the demo runs: what was sent, what came of it, what is open. Committed records only."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import TopicPartition

from pipeline import topics
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import OrderEvent, OrderEventKind
from pipeline.domain.parents import Cross, ParentKind, ParentOrder
from pipeline.domain.record import Record
from pipeline.runtime.contracts.codec import Codec, Undecodable
from pipeline.runtime.kafka.clients import Kafka

_WATCHED: Final = (
    topics.ORDER_EVENTS,
    topics.PARENTS,
    topics.CROSSES,
    topics.FILLS,
    topics.CHILD_ORDERS,
    topics.DEAD_LETTERS,
)


@dataclass
class Counts:
    """Counts so far; quantities in units."""

    events: Counter[str] = field(default_factory=Counter)
    answered: set[tuple[str, str]] = field(default_factory=set)
    """Source and ClOrdID of every request that an event has answered."""
    accepted_ids: set[str] = field(default_factory=set)
    final_ids: set[str] = field(default_factory=set)
    parents: int = 0
    parents_done: int = 0
    crossed_qty: int = 0
    fills: int = 0
    executed_qty: int = 0
    live_qty: dict[str, int] = field(default_factory=dict)
    children: int = 0
    dead_letters: int = 0
    records: int = 0

    @property
    def accepted(self) -> int:
        """Orders accepted."""
        return len(self.accepted_ids)

    @property
    def open_orders(self) -> int:
        """Orders accepted and not finished."""
        return len(self.accepted_ids - self.final_ids)

    def all_finished(self, requests: Set[tuple[str, str]]) -> bool:
        """Whether each of these requests (source, ClOrdID) has its answer, and no order is open.

        Answers are asked for because stages that lag behind have no open orders yet, and are far from finished.
        """
        return requests <= self.answered and self.open_orders == 0

    @property
    def exposure_qty(self) -> int:
        """Quantity of children at venues that are not known to be finished."""
        return sum(self.live_qty.values())


class Monitor:
    """A thread that reads the topics into ``seen``. Use as a context manager."""

    def __init__(self, bootstrap_servers: str, partitions: int, codec: Codec) -> None:
        self.seen = Counts()
        self._codec = codec
        self._stopped = threading.Event()
        self._consumer = Kafka(bootstrap_servers).consumer(
            {
                "group.id": "demo-monitor",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )
        places = [TopicPartition(topic.name, p, 0) for topic in _WATCHED for p in range(partitions)]
        self._consumer.assign(places)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Monitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(10)
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            for message in self._consumer.consume(500, 0.2):
                if message.error() is None:
                    self._take(str(message.topic()), message.value())

    def _take(self, topic: str, value: bytes | str | None) -> None:
        seen = self.seen
        seen.records += 1
        if topic == topics.CHILD_ORDERS.name:
            seen.children += 1
            return
        if topic == topics.DEAD_LETTERS.name:
            seen.dead_letters += 1
            return
        try:
            record: Record = self._codec.decode(topic, value if isinstance(value, bytes) else None)
        except Undecodable:
            return
        match record:
            case OrderEvent():
                seen.events[record.kind] += 1
                seen.answered.add((record.source, record.cl_ord_id))
                if record.kind is OrderEventKind.ACCEPTED:
                    seen.accepted_ids.add(record.order_id)
                elif record.final:
                    seen.final_ids.add(record.order_id)
            case ParentOrder() if record.kind is ParentKind.NEW:
                seen.parents += 1
            case Cross():
                seen.crossed_qty += record.qty
            case Fill():
                if record.kind is FillKind.TRADE:
                    seen.fills += 1
                    seen.executed_qty += record.last_qty
                if record.kind is FillKind.QUIET and record.final:
                    seen.parents_done += 1
                seen.live_qty[record.parent_id] = record.parent_live_qty
            case _:
                pass
