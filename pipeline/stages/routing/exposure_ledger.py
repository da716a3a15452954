"""The exposure ledger: parents, the slices that are out, the children and what of them may still execute.

    per parent, at all times:   live + filled <= permitted        (what we send; a venue may over-fill)

*live* is the open quantity of every child not known to be dead (new, acknowledged, pending cancel, unknown) and what
a venue owes us executions of. *filled* is net of busts, over all epochs, as slicing's permitted quantity is.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from pipeline.domain.executions import ChildOrder
from pipeline.domain.orders import Side
from pipeline.domain.parents import Slice
from pipeline.stages.routing.child_lifecycle import Life
from pipeline.stages.routing.gate import Resting
from pipeline.stages.routing.gate_counters import GateBook
from pipeline.stages.routing.venue_scorecards import ScoreSums, Unfilled
from pipeline.state import Entry, State


class Ask(Entry):
    """A RECALL or FINISH that waits for its QUIET."""

    slice_no: int
    epoch_no: int
    final: bool
    crossed_qty: int = 0
    """What slicing counts as crossed in the epoch: QUIET passes it on, so that allocation knows what to wait for."""


class ParentExposure(Entry):
    """A parent's exposure."""

    parent_id: str
    instrument: str
    side: Side
    trade_date: int
    permitted_qty: int = 0
    cum_qty: int = 0
    live_qty: int = 0
    asks: list[Ask] = msgspec.field(default_factory=list)
    over: bool = False
    """QUIET for good; kept for what comes late."""


class OpenSlice(Entry):
    """A slice that is out: it has exactly one child that is not over, until it is closed and forgotten."""

    slice: Slice
    executed_qty: int = 0
    """Executed while it was out; busts are the parent's affair and do not come back here."""
    child_id: str = ""
    child_no: int = 0
    tried: list[str] = msgspec.field(default_factory=list)
    """Venues a child of this slice has been sent to; none is asked twice."""
    swept: list[str] = msgspec.field(default_factory=list)
    """Those of them whose displayed price was taken."""
    probed: bool = False
    closing: str = ""
    """Why nothing more is to be sent for it; it closes as its child is over."""
    left: list[Unfilled] = msgspec.field(default_factory=list)


class BookedChild(Entry):
    """A child and what we have booked of it."""

    order: ChildOrder
    life: Life
    trade_date: int
    score_key: str
    touch_px: int
    """The far touch when it was sent."""
    value_px: int
    """At what the gate values it."""
    counted_qty: int = 0
    """Its part in the parent's live quantity and in the gate's open value."""
    tally: ScoreSums = msgspec.field(default_factory=ScoreSums)
    """Its executions, for its venue's score."""
    scored: bool = False
    """It has been over, and stands in the score."""
    cancel_wanted: bool = False
    cancel_sent_ns: int = 0
    over_ns: int = 0
    """When it died, if executions are owed."""
    alerted: bool = False
    declared_key: str = ""
    """An execution the desk declared; the venue's own word replaces it."""
    wire_ids: list[str] = msgspec.field(default_factory=list)


class WireId(Entry):
    """Whose a wire id is."""

    child_id: str
    of_cancel: bool = False


class Ledger:
    """Keeps its tables in ``state``; the index of live children is rebuilt after a restore."""

    def __init__(self, state: State, gate_book: GateBook) -> None:
        self.parents = state.table("parents", ParentExposure)
        self.out = state.table("out", OpenSlice)
        self.children = state.table("children", BookedChild)
        self.wires = state.table("wires", WireId)
        self._gate_book = gate_book
        self._live: dict[str, dict[str, None]] = {}
        self._live_of: dict[str, dict[str, None]] = {}
        self._resting: dict[tuple[str, int], dict[str, None]] = {}
        self._shown: dict[tuple[str, int], tuple[Resting, ...]] = {}
        self._out_of: dict[str, int] = {}

    # ------------------------------------------------------------------ slices

    def release(self, out: OpenSlice) -> None:
        """A slice has come."""
        self.out.put(slice_key(out.slice), out)
        parent_id = out.slice.parent_id
        self._out_of[parent_id] = self._out_of.get(parent_id, 0) + 1

    def close(self, out: OpenSlice) -> None:
        """A slice is over."""
        self.out.remove(slice_key(out.slice))
        parent_id = out.slice.parent_id
        self._out_of[parent_id] -= 1
        if not self._out_of[parent_id]:
            del self._out_of[parent_id]

    def out_of(self, order: ChildOrder) -> OpenSlice | None:
        """The slice of a child, while it is out."""
        return self.out.get(f"{order.parent_id}/{order.slice_no}")

    # ------------------------------------------------------------------ children

    def settle(self, child: BookedChild) -> ParentExposure:
        """Count what of ``child`` may still execute, and put it back; returns its parent, put back too."""
        parent = self.parents[child.order.parent_id]
        live_qty = child.life.live_qty
        change = live_qty - child.counted_qty
        if change:
            child.counted_qty = live_qty
            parent.live_qty += change
            self._gate_book.opened(child.order.instrument, change * child.value_px)
            self.parents.put(parent.parent_id, parent)
        self.children.put(child.order.child_id, child)
        self._index(child)
        return parent

    def headroom_qty(self, parent: ParentExposure) -> int:
        """What may still be sent for a parent."""
        return max(0, parent.permitted_qty - parent.cum_qty - parent.live_qty)

    def live_in(self, instrument: str) -> list[BookedChild]:
        """Children of an instrument that are not over, by id."""
        return [self.children[child_id] for child_id in sorted(self._live.get(instrument, {}))]

    def live(self) -> list[BookedChild]:
        """All children that are not over, by instrument and id."""
        return [child for instrument in sorted(self._live) for child in self.live_in(instrument)]

    def live_of(self, parent: ParentExposure) -> list[BookedChild]:
        """A parent's children that are not over, by id."""
        return [self.children[child_id] for child_id in sorted(self._live_of.get(parent.parent_id, {}))]

    def resting(self, instrument: str, side: Side) -> tuple[Resting, ...]:
        """What an order of ``side`` could meet of our own: by venue the best price on the other side."""
        key = instrument, -side.sign
        shown = self._shown.get(key)
        if shown is None:
            best: dict[str, int | None] = {}
            for child_id in self._resting.get(key, {}):
                order = self.children[child_id].order
                known = best.get(order.venue, order.limit_px)
                if known is None or order.limit_px is None:
                    best[order.venue] = None  # any price
                else:
                    best[order.venue] = min(known, order.limit_px) if side.sign > 0 else max(known, order.limit_px)
            shown = self._shown[key] = tuple(Resting(venue, best[venue]) for venue in sorted(best))
        return shown

    def quiet(self, parent: ParentExposure) -> bool:
        """No slice of the parent is out, and none of its children can still execute."""
        return parent.live_qty == 0 and parent.parent_id not in self._out_of

    def forget_child(self, child: BookedChild) -> None:
        """What is over can be forgotten once nothing late can come."""
        self.children.remove(child.order.child_id)
        for wire_id in child.wire_ids:
            self.wires.remove(wire_id)

    def restored(self) -> None:
        """Rebuild the indexes."""
        self._live, self._live_of, self._resting, self._shown, self._out_of = {}, {}, {}, {}, {}
        for child_id in self.children.keys():
            self._index(self.children[child_id])
        for key in self.out.keys():
            parent_id = self.out[key].slice.parent_id
            self._out_of[parent_id] = self._out_of.get(parent_id, 0) + 1

    def _index(self, child: BookedChild) -> None:
        order = child.order
        is_live = not child.life.over
        if is_live is (order.child_id in self._live.get(order.instrument, {})):
            return
        side = order.instrument, order.side.sign
        _mark(self._live, order.instrument, order.child_id, is_live)
        _mark(self._live_of, order.parent_id, order.child_id, is_live)
        _mark(self._resting, side, order.child_id, is_live)
        self._shown.pop(side, None)


K = TypeVar("K")


def _mark(index: dict[K, dict[str, None]], key: K, child_id: str, is_in: bool) -> None:
    if is_in:
        index.setdefault(key, {})[child_id] = None
        return
    del index[key][child_id]
    if not index[key]:
        del index[key]


def slice_key(slice_: Slice) -> str:
    """Key of a slice in the table of those that are out."""
    return f"{slice_.parent_id}/{slice_.slice_no}"
