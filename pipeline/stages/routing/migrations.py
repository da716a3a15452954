"""How routing's state of an older version becomes this one's. Entries as older code wrote them are kept here for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from pipeline.domain.parents import Slice
from pipeline.stage import Migration
from pipeline.stages.routing.open_slice import OpenSlice
from pipeline.stages.routing.venue_scorecards import Unfilled
from pipeline.state import Entry


class OpenSliceV1(Entry):
    """Version 1 of the table `out`: a slice had exactly one child that could still execute."""

    slice: Slice
    executed_qty: int = 0
    child_id: str = ""
    child_no: int = 0
    tried: list[str] = msgspec.field(default_factory=list)
    swept: list[str] = msgspec.field(default_factory=list)
    probed: bool = False
    closing: str = ""
    left: list[Unfilled] = msgspec.field(default_factory=list)


def _to_2(key: str, value: bytes) -> Iterable[tuple[str, bytes]]:
    """An open slice names all its children that can still execute: here the one there was."""
    if not key.startswith("out/"):
        yield key, value
        return
    old = msgspec.msgpack.decode(value, type=OpenSliceV1)
    new = OpenSlice(
        slice=old.slice,
        executed_qty=old.executed_qty,
        child_ids=[old.child_id] if old.child_id else [],
        child_no=old.child_no,
        tried=old.tried,
        swept=old.swept,
        probed=old.probed,
        closing=old.closing,
        left=old.left,
    )
    yield key, msgspec.msgpack.encode(new)


MIGRATIONS: Final[Mapping[int, Migration]] = {1: _to_2}
