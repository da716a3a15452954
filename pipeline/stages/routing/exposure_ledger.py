"""The exposure ledger: parents, their open slices, the children and what of them may still execute.

    per parent, at all times:   live + filled <= permitted        (what we send; a venue may over-fill)

*live* is the open quantity of every child not known to have ended (new, acknowledged, pending cancel, unknown), and
what a venue has executed of ended ones without reporting it yet. *filled* is net of busts, over all epochs, as
slicing's permitted quantity is. Quantities are in units.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from pipeline.domain.executions import ChildOrder
from pipeline.domain.orders import Side
from pipeline.stages.routing.child_lifecycle import Life
from pipeline.stages.routing.gate import Resting
from pipeline.stages.routing.gate_counters import GateBook
from pipeline.stages.routing.open_slice import OpenSlice, slice_key, slice_key_of_child
from pipeline.stages.routing.venue_scorecards import ScoreSums
from pipeline.state import Entry, State


class Ask(Entry):
    """A RECALL or FINISH that QUIET has not answered yet."""

    slice_no: int
    epoch_no: int
    final: bool
    crossed_qty: int = 0
    """What slicing counts as crossed in the epoch: QUIET passes it on, so that allocation waits for those crosses."""
    told_qty: int = -1
    """What CUT last said may still execute; negative: it has not been written."""


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
    """Its last QUIET has been written (FINISH); the row stays for reports that come late."""
    unconfirmed_qty: int = 0
    """What was live and filled beyond ``permitted_qty`` as that was lowered, and has not been cancelled yet: if it
    executes it is no over-fill, but whose cancel is not confirmed."""

    @property
    def excess_qty(self) -> int:
        """By how much live and filled exceed what is permitted."""
        return max(0, self.cum_qty + self.live_qty - self.permitted_qty)

    def permit(self, qty: int) -> None:
        """From now on ``qty`` is permitted, over all epochs. What is out beyond a lower one is to be taken back."""
        if qty < self.permitted_qty:
            self.unconfirmed_qty = max(0, self.cum_qty + self.live_qty - qty)
        self.permitted_qty = qty


class BookedChild(Entry):
    """A child order, with its state and what is booked for it."""

    order: ChildOrder
    life: Life
    trade_date: int
    score_key: str
    touch_px: int
    """The far touch when it was sent, 1e-9 currency units."""
    value_px: int
    """The price at which the gate values it (`gate.value_px`)."""
    counted_qty: int = 0
    """Its part in the parent's live quantity and in the gate's open value."""
    tally: ScoreSums = msgspec.field(default_factory=ScoreSums)
    """Its executions, for its venue's score."""
    scored: bool = False
    """It has ended once, and is counted in its venue's score."""
    cancel_wanted: bool = False
    """It is to be cancelled: a cancel the venue rejects is sent again."""
    cancel_sent_ns: int = 0
    """When the last cancel was sent, session time."""
    over_ns: int = 0
    """When it ended, session time, if the venue has executed more of it than it has reported."""
    alerted: bool = False
    """The desk has been alerted that its fate is unknown."""
    declared_key: str = ""
    """Key of an execution the desk declared; the venue's own report replaces it."""
    wire_ids: list[str] = msgspec.field(default_factory=list)
    """Every ClOrdID sent for it: its own, then those of its cancels and status requests."""
    differs: str = ""
    """In what the venue's newest statement and our books differ (`child_lifecycle.difference`); empty: in nothing."""
    differs_ns: int = 0
    """Since when, session time."""
    asked_ns: int = 0
    """When the venue was last asked how the order stands, session time; 0: never."""
    left_open: bool = False
    """Its day ended while it could still execute; the desk has been alerted."""


class WireId(Entry):
    """Maps a wire id (ClOrdID at the venue) to its child order."""

    child_id: str
    of_cancel: bool = False
    """The ClOrdID is that of a cancel request of ours for the child."""
    of_status: bool = False
    """The ClOrdID is that of a status request of ours for the child."""


class Ledger:
    """Keeps its tables in ``state``; the index of live children is rebuilt after a restore."""

    def __init__(self, state: State, gate_book: GateBook) -> None:
        self.parents = state.table("parents", ParentExposure)
        self.open_slices = state.table("out", OpenSlice)
        self.children = state.table("children", BookedChild)
        self.wires = state.table("wires", WireId)
        self._gate_book = gate_book
        self._live: dict[str, dict[str, None]] = {}
        self._live_of: dict[str, dict[str, None]] = {}
        self._resting: dict[tuple[str, int], dict[str, None]] = {}
        self._shown: dict[tuple[str, int], tuple[Resting, ...]] = {}
        self._open_of: dict[str, dict[str, None]] = {}
        """Keys of the open slices of each parent that has any."""
        self._changed: dict[str, None] = {}
        """Parents whose live, filled or permitted quantity has changed in this step."""

    # ------------------------------------------------------------------ parents

    def put_parent(self, parent: ParentExposure) -> None:
        """Write a parent whose live, filled or permitted quantity has changed. No other way leads there, so that what
        must follow from such a change follows from all of them (`permitted.py`)."""
        self.parents.put(parent.parent_id, parent)
        self._changed[parent.parent_id] = None

    @property
    def has_changed(self) -> bool:
        """Whether any parent has, in this step."""
        return bool(self._changed)

    def take_changed(self) -> list[ParentExposure]:
        """The parents that have changed since the last call, in the order they did."""
        changed, self._changed = self._changed, {}
        return [parent for parent_id in changed if (parent := self.parents.get(parent_id)) is not None]

    # ------------------------------------------------------------------ slices

    def open(self, open_slice: OpenSlice) -> None:
        """Add a new slice."""
        self.open_slices.put(slice_key(open_slice.slice), open_slice)
        _mark(self._open_of, open_slice.slice.parent_id, slice_key(open_slice.slice), True)

    def close(self, open_slice: OpenSlice) -> None:
        """Remove a slice that was closed with RETURNED."""
        self.open_slices.remove(slice_key(open_slice.slice))
        _mark(self._open_of, open_slice.slice.parent_id, slice_key(open_slice.slice), False)

    def slice_of(self, order: ChildOrder) -> OpenSlice | None:
        """The slice a child belongs to, while it is open."""
        return self.open_slices.get(slice_key_of_child(order))

    # ------------------------------------------------------------------ children

    def settle(self, child: BookedChild) -> ParentExposure:
        """Bring the parent's live quantity up to date with ``child`` and write both; returns the parent."""
        parent = self.parents[child.order.parent_id]
        live_qty = child.life.live_qty
        change = live_qty - child.counted_qty
        if change:
            child.counted_qty = live_qty
            parent.live_qty += change
            self._gate_book.opened(child.order.instrument, change * child.value_px)
            self.put_parent(parent)
        self.children.put(child.order.child_id, child)
        self._index(child)
        return parent

    def headroom_qty(self, parent: ParentExposure) -> int:
        """Units that may still be sent for a parent."""
        return max(0, parent.permitted_qty - parent.cum_qty - parent.live_qty)

    def live_in(self, instrument: str) -> list[BookedChild]:
        """Children of an instrument that can still execute, by id."""
        return [self.children[child_id] for child_id in sorted(self._live.get(instrument, {}))]

    def live(self) -> list[BookedChild]:
        """All children that can still execute, by instrument and id."""
        return [child for instrument in sorted(self._live) for child in self.live_in(instrument)]

    def live_of(self, parent: ParentExposure) -> list[BookedChild]:
        """A parent's children that can still execute, by id."""
        return [self.children[child_id] for child_id in sorted(self._live_of.get(parent.parent_id, {}))]

    def resting(self, instrument: str, side: Side) -> tuple[Resting, ...]:
        """Our own orders that an order of ``side`` could execute against: by venue the best price of the other side."""
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
        """Whether no slice of the parent is open and none of its children can still execute."""
        return parent.live_qty == 0 and parent.parent_id not in self._open_of

    def live_until(self, parent: ParentExposure, epoch_no: int) -> list[BookedChild]:
        """A parent's children of this epoch and of earlier ones that can still execute, by id."""
        return [child for child in self.live_of(parent) if child.order.epoch_no <= epoch_no]

    def open_of(self, parent: ParentExposure) -> list[OpenSlice]:
        """A parent's open slices, by number."""
        found = [self.open_slices[key] for key in self._open_of.get(parent.parent_id, ())]
        return sorted(found, key=lambda each: each.slice.slice_no)

    def forget_child(self, child: BookedChild) -> None:
        """Drop a child that has ended, once nothing late can come for it."""
        self.children.remove(child.order.child_id)
        for wire_id in child.wire_ids:
            self.wires.remove(wire_id)

    def restored(self) -> None:
        """Rebuild the indexes."""
        self._live, self._live_of, self._resting, self._shown, self._open_of = {}, {}, {}, {}, {}
        for child_id in self.children.keys():
            self._index(self.children[child_id])
        for key in self.open_slices.keys():
            _mark(self._open_of, self.open_slices[key].slice.parent_id, key, True)

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
