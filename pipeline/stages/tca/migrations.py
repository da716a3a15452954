"""How state of an older version becomes this one's. Entries as older code wrote them are kept here for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from pipeline.domain.units import NS_PER_S
from pipeline.stage import Migration
from pipeline.stages.shared.print_migrations import tape_to_2
from pipeline.stages.tca.midpoints import Midpoints
from pipeline.state import Entry

_encode = msgspec.msgpack.encode


class QuotesV1(Entry):
    """Version 1 of the table `quotes`: midpoints of an instrument as they came, (event time, midpoint)."""

    midpoints: list[tuple[int, int]] = []


def _to_2(key: str, value: bytes) -> Iterable[tuple[str, bytes]]:
    """Midpoints stand in blocks of a second, by event time; prints are known by their day."""
    table, _, instrument = key.partition("/")
    if table != "quotes":
        yield from tape_to_2(key, value)
        return
    blocks: dict[int, list[tuple[int, int, int]]] = {}
    for event_ns, px in sorted(msgspec.msgpack.decode(value, type=QuotesV1).midpoints):
        blocks.setdefault(event_ns // NS_PER_S, []).append((event_ns, 0, px))
    for second, quotes in blocks.items():
        yield f"midpoints/{instrument}@{second}", _encode(Midpoints(instrument, second, quotes))


MIGRATIONS: Final[Mapping[int, Migration]] = {1: _to_2}
