"""Publishing's promise: each source its own events, whole, and nobody else's; strangers get no topic."""

from __future__ import annotations

import msgspec
import pytest

from pipeline.domain.orders import OrderEvent, OrderEventKind, OrdStatus, Side, SourceEvent
from pipeline.domain.rejections import RejectReason
from pipeline.stages.publishing import PublishingStage
from pipeline.topics import SOURCE_EVENTS, partitions_for
from tests.stage_bench import Bench


def event(source: str = "S1", reason: RejectReason | None = None) -> OrderEvent:
    return OrderEvent(
        writer="intake/1",
        seq=7,
        kind=OrderEventKind.TRADE,
        source=source,
        order_id="O0-1",
        cl_ord_id="C1",
        orig_cl_ord_id="C0",
        account="A",
        instrument="AMZN",
        side=Side.SELL,
        ord_status=OrdStatus.PARTIALLY_FILLED,
        order_qty=10,
        cum_qty=4,
        leaves_qty=6,
        avg_px=5,
        last_qty=3,
        last_px=6,
        crossed_qty=1,
        reason=reason,
        fix_code=99,
        text="words",
        event_no=2,
        at_ns=9,
        final=True,
    )


def test_the_copy_is_whole_but_for_writer_and_sequence() -> None:
    (copy,) = Bench(PublishingStage()).feed(event())
    assert type(copy) is SourceEvent
    expected = msgspec.structs.asdict(event()) | {"writer": "", "seq": 0}
    assert msgspec.structs.asdict(copy) == expected


def test_each_source_has_its_own_topic_and_the_partition_stays() -> None:
    copies = Bench(PublishingStage()).feed(event("S1"), event("S2"), event("S1"))
    names = [SOURCE_EVENTS.name_for(copy) for copy in copies]
    assert names == [f"{SOURCE_EVENTS.name}.{source}" for source in ("S1", "S2", "S1")]
    assert tuple(partitions_for(SOURCE_EVENTS, "AMZN", 3, 4)) == (3,)


@pytest.mark.parametrize(
    "stranger",
    [
        event("", RejectReason.MISSING_SOURCE),
        event("S9", RejectReason.UNKNOWN_SOURCE),
        event("not/legal"),
        event("new\nline"),
        event("line\n"),
        event("x" * 201),
        event(""),
    ],
)
def test_a_stranger_gets_no_topic(stranger: OrderEvent) -> None:
    assert Bench(PublishingStage()).feed(stranger) == []


def test_a_refusal_of_a_known_source_is_published() -> None:
    assert len(Bench(PublishingStage()).feed(event(reason=RejectReason.KILLED))) == 1
