"""Publishing: what happened to a source's orders, for that source's own eyes.

- Reads: order-events.
- Keeps: nothing.
- Writes: source-events, one topic per source (same partition, same content).
- Refuses: nothing. What bears no source of ours stays internal: see :func:`has_topic`.
- Conserves: each event goes to exactly its own source, in the order of its partition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar, Final

import msgspec

from pipeline.domain.orders import OrderEvent, SourceEvent
from pipeline.domain.record import Owned, Record
from pipeline.domain.rejections import RejectReason
from pipeline.stages.stage import Meta, Stage, State, Task

# A Kafka topic name is at most 249 of these characters; the prefix takes its part.
_LEGAL_SOURCE: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")


def has_topic(event: OrderEvent) -> bool:
    """Whether the event's source can have a topic of its own.

    A stranger's name is never made a topic: it may not be a legal name, and the topic of a source nobody agreed on
    does not exist. Intake refuses such requests by these two reasons before it looks at anything else.
    """
    stranger = event.reason is RejectReason.UNKNOWN_SOURCE or event.reason is RejectReason.MISSING_SOURCE
    return not stranger and _is_legal(event.source)


@lru_cache(maxsize=4096)
def _is_legal(source: str) -> bool:
    return _LEGAL_SOURCE.fullmatch(source) is not None


_UNSTAMPED: Final = {"writer": "", "seq": 0}


class PublishingStage(Stage[State]):
    """Fans order events out to their sources."""

    name: ClassVar[str] = "publishing"
    title: ClassVar[str] = "gives each source its own order events, and nobody else's"
    reads: ClassVar[tuple[type[Record], ...]] = (OrderEvent,)
    writes: ClassVar[tuple[type[Owned], ...]] = (SourceEvent,)

    def new_state(self, task: Task) -> State:
        return State(task)

    def step(self, state: State, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case OrderEvent():
                if has_topic(message):
                    # Writer and sequence are this stage's own, which the host stamps.
                    yield SourceEvent(**msgspec.structs.asdict(message) | _UNSTAMPED)
            case _:
                raise TypeError(f"publishing does not read {type(message).__name__}")
