"""The cross-check counts the topics by itself, and says where a worker's tables differ."""

from __future__ import annotations

import pytest

from pipeline.desk.cross_check import PartitionFigures, ShownFigures
from pipeline.desk.windows import PartitionTables
from pipeline.domain.executions import FillKind
from pipeline.domain.orders import OrderEventKind
from pipeline.domain.record import Record
from tests.unit.desk.records import PX, bar, event, fill, order

LOGS: dict[str, list[Record | None]] = {
    "orders": [order(5, seq=1), order(7, source="beta", seq=2), None],
    "order-events": [
        event(OrderEventKind.ACCEPTED, order_qty=10, leaves=10, seq=1),
        event(OrderEventKind.REFUSED, source="beta", seq=2),
        event(OrderEventKind.TRADE, leaves=6, last=4, writer="allocation/0", seq=1),
        event(OrderEventKind.TRADE_CANCEL, leaves=8, last=-2, writer="allocation/0", seq=2),
    ],
    "fills": [
        fill(10, seq=1),
        fill(4, venue="XDRK", seq=2),
        fill(10, kind=FillKind.BUST, seq=3),
        fill(5, kind=FillKind.CORRECT, venue="XDRK", prior=(4, PX), px=PX + 1, seq=4),
    ],
    "bars": [bar(100, seq=1), bar(90, revision=2, seq=2)],
}


@pytest.mark.parametrize("topic", LOGS)
def test_tables_and_books_are_of_one_mind_and_every_single_loss_shows(topic: str) -> None:
    book, part = PartitionFigures(), PartitionTables(topic, 0)
    for offset, record in enumerate(LOGS[topic]):
        book.add(record)
        part.apply(offset, 1, record)
    assert book.differences(ShownFigures.of(part)) == ()
    for lost in range(len(LOGS[topic])):
        lossy = PartitionFigures()
        for offset, record in enumerate(LOGS[topic]):
            if offset != lost:
                lossy.add(record)
        assert lossy.differences(ShownFigures.of(part)) != ()


def test_a_difference_names_the_figure() -> None:
    book, part = PartitionFigures(), PartitionTables("fills", 0)
    book.add(fill(10))
    part.apply(0, 1, fill(9))
    assert book.differences(ShownFigures.of(part)) == (
        f"fill_money of venue XLIT: shown {9 * PX}, in the topic {10 * PX}",
        "fill_qty of venue XLIT: shown 9, in the topic 10",
    )


def test_what_was_shown_stays_as_it_was_at_that_moment() -> None:
    part = PartitionTables("fills", 0)
    part.apply(0, 1, fill(10))
    shown = ShownFigures.of(part)
    part.apply(1, 1, fill(10, seq=2))
    assert (shown.next_offset, shown.totals["venue", "XLIT"]["fill_qty"]) == (1, 10)
