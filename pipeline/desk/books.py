"""The books: what the topics really hold, counted again by another client and other arithmetic.

A small committed reader on librdkafka follows each partition that a worker shows, exactly as far as the worker has come,
and compares. It also looks one record further: a worker that stands still before a committed record has lost it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.desk.windows import Part
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind
from pipeline.domain.record import Record
from pipeline.runtime.codec import Codec, Undecodable
from pipeline.topics import topic_named

_BATCH: Final = 1_000
_QUIET_S: Final = 3.0
"""A partition that shows neither record nor end for so long is looked at again next time."""

Figure = tuple[str, str, str]
"""Dimension, thing, measure."""


class Shown(NamedTuple):
    """What a worker shows of a partition, at one moment."""

    topic: str
    partition: int
    next_offset: int
    records: int
    rebuilds: int
    totals: Mapping[tuple[str, str], Mapping[str, int]]

    @staticmethod
    def of(part: Part) -> Shown:
        totals = {cell: dict(amounts) for cell, amounts in part.totals.items()}
        return Shown(part.topic, part.partition, part.next_offset, part.records, part.rebuilds, totals)


class Finding(NamedTuple):
    """What the books say to that."""

    shown: Shown
    differences: tuple[str, ...]
    """In words; empty when every figure is the same, or none could be compared."""
    compared: bool
    behind: bool
    """There is at least one committed record that the worker had not counted."""


class Book:
    """The figures of one partition, up to ``next_offset``."""

    def __init__(self) -> None:
        self.next_offset = 0
        self.records = 0
        self.figures: Counter[Figure] = Counter()

    def add(self, record: Record | None) -> None:
        """Count one more committed record; None is one that cannot be read."""
        self.records += 1
        add = self.figures.update
        if isinstance(record, Order) and record.kind is OrderKind.NEW:
            qty = record.request.order_qty or 0
            add({("source", record.request.source, "orders"): 1, ("source", record.request.source, "order_qty"): qty})
        elif isinstance(record, OrderEvent):
            source = ("source", record.source)
            if record.kind is OrderEventKind.ACCEPTED:
                add({(*source, "accepted"): 1, (*source, "accepted_qty"): record.order_qty})
            elif record.kind is OrderEventKind.REFUSED:
                add({(*source, "refused"): 1})
            add({(*source, "done_qty"): record.last_qty})
        elif isinstance(record, Fill):
            qty, px = record.last_qty, record.last_px or 0
            old_qty, old_px = record.prior_qty, record.prior_px or 0
            venue = ("venue", record.venue)
            if record.kind is FillKind.TRADE:
                add({(*venue, "fills"): 1, (*venue, "fill_qty"): qty, (*venue, "fill_money"): qty * px})
            elif record.kind is FillKind.BUST:
                add({(*venue, "fill_qty"): -qty, (*venue, "fill_money"): -qty * px})
            elif record.kind is FillKind.CORRECT:
                add({(*venue, "fill_qty"): qty - old_qty, (*venue, "fill_money"): qty * px - old_qty * old_px})

    def differences(self, shown: Shown) -> tuple[str, ...]:
        """Where ``shown`` says otherwise."""
        found = []
        if shown.records != self.records:
            found.append(f"records: shown {shown.records}, in the topic {self.records}")
        for (dimension, thing, measure), amount in sorted(self.figures.items()):
            said = shown.totals.get((dimension, thing), {}).get(measure, 0)
            if said != amount:
                found.append(f"{measure} of {dimension} {thing}: shown {said}, in the topic {amount}")
        return tuple(found)


class Books:
    """The books of all partitions a worker shows. For one thread; has a codec and a consumer of its own."""

    def __init__(self, bootstrap_servers: str, codec: Codec, group: str) -> None:
        self._codec = codec
        self._books: dict[tuple[str, int], Book] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"{group}.books",  # asked for by the client; nothing is joined or committed
                "client.id": f"{group}.books",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "queued.min.messages": 2000,
                "log_level": 0,
            }
        )

    def check(self, shown: Shown, stopped: Callable[[], bool] = lambda: False) -> Finding:
        """Compare. Raises KafkaException when the broker cannot be read, Unreachable when the registry cannot."""
        book = self._books.setdefault((shown.topic, shown.partition), Book())
        behind = self._read(shown, book, stopped)
        compared = book.next_offset == shown.next_offset and behind is not None
        return Finding(shown, book.differences(shown) if compared else (), compared, behind is not False)

    def _read(self, shown: Shown, book: Book, stopped: Callable[[], bool]) -> bool | None:
        """Read on to where ``shown`` is; whether a record follows there (None: not come so far)."""
        if shown.next_offset < book.next_offset:
            return None  # it is being rebuilt
        self._consumer.assign([TopicPartition(shown.topic, shown.partition, book.next_offset)])
        try:
            while not stopped():
                messages = self._consumer.consume(_BATCH, _QUIET_S)
                if not messages:
                    return None
                for message in messages:
                    error = message.error()
                    if error is not None:
                        if error.code() != KafkaError._PARTITION_EOF:
                            raise KafkaException(error)
                        book.next_offset = shown.next_offset
                        return False
                    offset = int(message.offset() or 0)
                    if offset >= shown.next_offset:
                        book.next_offset = shown.next_offset
                        return True
                    book.add(self._decoded(shown.topic, message.value()))
                    book.next_offset = offset + 1
            return None
        finally:
            self._consumer.unassign()

    def _decoded(self, topic: str, value: Any) -> Record | None:
        try:
            return self._codec.decode(topic_named(topic).name, value)
        except Undecodable:
            return None

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
