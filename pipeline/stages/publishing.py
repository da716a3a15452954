"""Publishing: copies each order event to a topic that only its own source reads.

- Reads: order-events.
- Keeps: nothing.
- Writes: source-events, one topic per source (same partition, same content).
- Refuses: nothing. An event whose source is not one of ours is not published: see :func:`has_topic`.
- Conserves: each event goes to exactly its own source, in the order of its partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pipeline.domain.orders import OrderEvent, SourceEvent
from pipeline.domain.record import Owned, Record
from pipeline.domain.rejections import RejectReason
from pipeline.domain.validators.reference import is_source_name
from pipeline.stage import Meta, Stage
from pipeline.state import State, Task


def has_topic(event: OrderEvent) -> bool:
    """Whether the event's source can have a topic of its own.

    An unknown sender's name never becomes a topic name: it may not be a legal one, and topics exist only for sources
    that reference data names. Intake refuses such requests with the two reasons below before any other check.
    """
    unknown = event.reason is RejectReason.UNKNOWN_SOURCE or event.reason is RejectReason.MISSING_SOURCE
    return not unknown and is_source_name(event.source)


class PublishingState(State):
    """No table beyond those of every state."""


class PublishingStage(Stage[PublishingState]):
    """Fans order events out to their sources."""

    name: ClassVar[str] = "publishing"
    title: ClassVar[str] = "gives each source its own order events, and nobody else's"
    reads: ClassVar[tuple[type[Record], ...]] = (OrderEvent,)
    writes: ClassVar[tuple[type[Owned], ...]] = (SourceEvent,)

    def new_state(self, task: Task) -> PublishingState:
        return PublishingState(task)

    def step(self, state: PublishingState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case OrderEvent():
                if has_topic(message):
                    yield _copy(message)
            case _:
                raise TypeError(f"publishing does not read {type(message).__name__}")


def _copy(event: OrderEvent) -> SourceEvent:
    """The same content; writer and sequence are this stage's own.

    Field by field, because a loop over the fields takes twice the time.
    """
    return SourceEvent(
        kind=event.kind,
        source=event.source,
        order_id=event.order_id,
        cl_ord_id=event.cl_ord_id,
        orig_cl_ord_id=event.orig_cl_ord_id,
        account=event.account,
        instrument=event.instrument,
        side=event.side,
        ord_status=event.ord_status,
        order_qty=event.order_qty,
        cum_qty=event.cum_qty,
        leaves_qty=event.leaves_qty,
        avg_px=event.avg_px,
        last_qty=event.last_qty,
        last_px=event.last_px,
        crossed_qty=event.crossed_qty,
        reason=event.reason,
        fix_code=event.fix_code,
        text=event.text,
        event_no=event.event_no,
        at_ns=event.at_ns,
        final=event.final,
    )
