"""Checks a worker's tables against the topics, with another Kafka client and other arithmetic.

A small read-committed reader on librdkafka counts each partition that a worker shows up to the same offset, and
compares. It also looks one record further: a worker that does not get past a committed record has lost it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from pipeline.desk.windows import PartitionTables
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind
from pipeline.domain.record import Record
from pipeline.runtime.contracts.codec import Codec, Undecodable
from pipeline.runtime.kafka.clients import Kafka
from pipeline.topics import topic_named

_BATCH: Final = 1_000
_QUIET_S: Final = 3.0
"""When nothing comes for this long, the partitions that have not been read to their offset are left for the next
check."""

Figure = tuple[str, str, str]
"""Dimension, thing, measure."""


class ShownFigures(NamedTuple):
    """The figures a worker shows of a partition at one moment."""

    topic: str
    partition: int
    next_offset: int
    records: int
    rebuilds: int
    totals: Mapping[tuple[str, str], Mapping[str, int]]

    @staticmethod
    def of(part: PartitionTables) -> ShownFigures:
        """A copy of the figures in ``part``, safe to hand to another thread."""
        totals = {cell: dict(amounts) for cell, amounts in part.totals.items()}
        return ShownFigures(part.topic, part.partition, part.next_offset, part.records, part.rebuilds, totals)


class Discrepancy(NamedTuple):
    """The result of comparing one partition's figures with its topic."""

    shown: ShownFigures
    differences: tuple[str, ...]
    """In words; empty when every figure is the same, or none could be compared."""
    compared: bool
    behind: bool
    """There is at least one committed record that the worker had not counted."""


class PartitionFigures:
    """The figures of one partition's records below ``next_offset``, counted from the topic."""

    def __init__(self) -> None:
        self.next_offset = 0
        self.records = 0
        self.figures: Counter[Figure] = Counter()
        self.answer: bool | None = None
        """Whether a record follows at the worker's offset; None when the last check did not read that far."""

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

    def differences(self, shown: ShownFigures) -> tuple[str, ...]:
        """Each figure that ``shown`` has otherwise, in words."""
        found = []
        if shown.records != self.records:
            found.append(f"records: shown {shown.records}, in the topic {self.records}")
        for (dimension, thing, measure), amount in sorted(self.figures.items()):
            said = shown.totals.get((dimension, thing), {}).get(measure, 0)
            if said != amount:
                found.append(f"{measure} of {dimension} {thing}: shown {said}, in the topic {amount}")
        return tuple(found)


class CrossCheck:
    """Checks all partitions a worker shows. Use from one thread; it has a codec and a consumer of its own."""

    def __init__(self, bootstrap_servers: str, codec: Codec, group: str) -> None:
        self._codec = codec
        self._books: dict[tuple[str, int], PartitionFigures] = {}
        self._consumer = Kafka(bootstrap_servers).consumer(
            {
                "group.id": f"{group}.books",  # the client requires one; nothing is joined or committed
                "client.id": f"{group}.books",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "queued.min.messages": 2000,
            }
        )

    def check(self, shown: Sequence[ShownFigures], stopped: Callable[[], bool] = lambda: False) -> list[Discrepancy]:
        """Compare ``shown`` with the topics; ``stopped`` ends the reading early.

        Raises KafkaException when the broker cannot be read, Unreachable when the registry cannot.
        """
        self._read({(each.topic, each.partition): each for each in shown}, stopped)
        findings = []
        for each in shown:
            book = self._books[each.topic, each.partition]
            compared = book.answer is not None
            differences = book.differences(each) if compared else ()
            findings.append(Discrepancy(each, differences, compared, book.answer is not False))
        return findings

    def _read(self, shown: Mapping[tuple[str, int], ShownFigures], stopped: Callable[[], bool]) -> None:
        """Count each partition up to the offset that ``shown`` has reached, and find out whether a record follows
        there."""
        places = []
        for place, each in shown.items():
            book = self._books.setdefault(place, PartitionFigures())
            book.answer = None
            if each.next_offset >= book.next_offset:  # else it is being rebuilt
                places.append(TopicPartition(*place, book.next_offset))
        waiting = {(place.topic, place.partition) for place in places}
        self._consumer.assign(places)
        try:
            while waiting and not stopped():
                first = self._consumer.poll(_QUIET_S)  # consume(n, t) would wait for all n, or all of t
                if first is None:
                    return
                for message in (first, *self._consumer.consume(_BATCH, 0)):
                    place = str(message.topic()), int(message.partition() or 0)
                    if place in waiting and self._answers(message, shown[place], self._books[place]):
                        waiting.discard(place)
                        self._consumer.pause([TopicPartition(*place)])
        finally:
            self._consumer.resume(places)  # a pause outlives the assignment
            self._consumer.unassign()

    def _answers(self, message: Message, shown: ShownFigures, book: PartitionFigures) -> bool:
        """Count a message; True when it is the first that the worker has not counted, or the end of the partition."""
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            book.next_offset, book.answer = shown.next_offset, False
            return True
        offset = int(message.offset() or 0)
        if offset >= shown.next_offset:
            book.next_offset, book.answer = shown.next_offset, True
            return True
        if offset >= book.next_offset:
            book.add(self._decoded(shown.topic, message.value()))
            book.next_offset = offset + 1
        return False

    def _decoded(self, topic: str, value: Any) -> Record | None:
        try:
            return self._codec.decode(topic_named(topic).name, value)
        except Undecodable:
            return None

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()
