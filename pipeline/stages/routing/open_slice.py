"""A slice that is being worked: what its router keeps of it until it is closed."""

from __future__ import annotations

import msgspec

from pipeline.domain.executions import ChildOrder
from pipeline.domain.parents import Slice
from pipeline.stages.routing.venue_scorecards import Unfilled
from pipeline.state import Entry


class OpenSlice(Entry):
    """A slice from when it is read until its RETURNED. At least one of its children can still execute."""

    slice: Slice
    executed_qty: int = 0
    """Units executed while it was open, without busts: those are booked on the parent only."""
    child_ids: list[str] = msgspec.field(default_factory=list)
    """Its children that can still execute, in the order they were sent."""
    child_no: int = 0
    """Children sent for it so far."""
    tried: list[str] = msgspec.field(default_factory=list)
    """Venues that a child of this slice was sent to; each gets at most one."""
    swept: list[str] = msgspec.field(default_factory=list)
    """Those of them whose displayed price was taken."""
    probed: bool = False
    """A dark probe has been sent for it."""
    closing: str = ""
    """Why nothing more is sent for it, else empty; then it closes when its last child has ended."""
    left: list[Unfilled] = msgspec.field(default_factory=list)
    """What its earlier children left unfilled: the cost of executing it elsewhere counts in their venues' scores."""


def slice_key(slice_: Slice) -> str:
    """Key of a slice in the table of open ones."""
    return f"{slice_.parent_id}/{slice_.slice_no}"


def slice_key_of_child(order: ChildOrder) -> str:
    """The same key, from a child of the slice."""
    return f"{order.parent_id}/{order.slice_no}"


def last_child_id(open_slice: OpenSlice) -> str:
    """Id of the child sent last for a slice; empty before the first."""
    return child_id_of(open_slice.slice, open_slice.child_no) if open_slice.child_no else ""


def child_id_of(slice_: Slice, child_no: int) -> str:
    """Id of a slice's child number ``child_no``, from 1: derived, so that a refused one uses up no number."""
    return f"{slice_.parent_id}/{slice_.slice_no}.{child_no}"
