"""Compares what parents may have live and filled with what they had, and how each parent and slice ended."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.audit.line import Line
from pipeline.audit.share_books import booked
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Completion
from pipeline.domain.parents import EpochClosed, ParentKind, ParentOrder, Slice, SliceKind


class _Parent:
    def __init__(self) -> None:
        self.cum = 0
        self.overfilled = 0
        self.miscounted = 0
        self.permitted: list[tuple[int, int]] = []
        """By slices: from when (session time) how much was permitted."""
        self.used: list[tuple[int, int]] = []
        """By fills: when (session time) how much was live and filled, without what a venue over-filled."""
        self.begun = False
        self.must = False
        self.over = False
        self.left = 0
        """What of it had expired when it was over."""


class ExposureBooks:
    """Memory: a few figures per parent, slice and fill."""

    def __init__(self) -> None:
        self._parents: dict[str, _Parent] = {}
        self._slices: dict[tuple[str, int], int] = {}
        self._out: dict[tuple[str, int], int] = {}
        self._returned: dict[tuple[str, int], tuple[int, int]] = {}
        self._told_of: dict[str, None] = {}

    def on_parent(self, order: ParentOrder) -> None:
        """Enter a parent's record; its first one says whether it must be completed."""
        parent = self._parent(order.parent_id)
        if order.kind is ParentKind.NEW:
            parent.begun, parent.must = True, order.completion is Completion.MUST

    def on_epoch_closed(self, closed: EpochClosed) -> None:
        """Enter a chunk of what allocation says of an epoch that is over."""
        if closed.final:
            parent = self._parent(closed.parent_id)
            parent.over = True
            parent.left += sum(share.remaining_qty for share in closed.shares)

    def on_slice(self, slice_: Slice) -> None:
        """Enter a slice, or another word of slicing's: each says what is permitted from then on."""
        self._parent(slice_.parent_id).permitted.append((slice_.at_ns, slice_.permitted_qty))
        if slice_.kind is SliceKind.SLICE:
            self._slices[slice_.parent_id, slice_.slice_no] = slice_.qty

    def on_alert(self, alert: Alert) -> None:
        """Enter an alert; COMPLETION_AT_RISK, and a BREAK at the day's end, name their parent."""
        if alert.kind in (AlertKind.COMPLETION_AT_RISK, AlertKind.BREAK):
            self._told_of[alert.subject_id] = None

    def on_fill(self, fill: Fill) -> None:
        """Enter any fill."""
        parent = self._parent(fill.parent_id)
        slice_key = fill.parent_id, fill.slice_no
        if fill.kind is FillKind.RETURNED:
            self._returned[slice_key] = self._out.get(slice_key, 0), fill.last_qty
        elif fill.kind not in (FillKind.QUIET, FillKind.CUT):
            qty = booked(fill)[0]
            parent.cum += qty
            parent.overfilled = max(0, parent.overfilled + (fill.overfill_qty if qty > 0 else qty))
            if fill.kind is FillKind.TRADE and slice_key not in self._returned:
                self._out[slice_key] = self._out.get(slice_key, 0) + qty
        parent.miscounted += parent.cum != fill.parent_cum_qty
        parent.used.append((fill.at_ns, fill.parent_cum_qty + fill.parent_live_qty - parent.overfilled))

    def lines(self, over: bool) -> Iterator[Line]:
        """The lines, in units. ``over``: the day is over, and with it every parent and slice."""
        parents = self._parents.values()
        off = sum(
            self._slices.get(key) is None or returned != max(0, self._slices[key] - executed)
            for key, (executed, returned) in self._returned.items()
        )
        yield Line("parents with more live and filled than permitted", sum(map(_exceeds, parents)), 0)
        miscounted = sum(parent.miscounted for parent in parents)
        yield Line("fills whose count of their parent is not the sum of its fills", miscounted, 0)
        yield Line("slices that came back with more or less than was not executed", off, 0)
        silent = sum(p.must and p.left > 0 and name not in self._told_of for name, p in self._parents.items())
        yield Line("parents that had to be completed, were not, and nobody was told", silent, 0)
        if over:
            yield Line("slices released, and slices that came back", len(self._slices), len(self._returned))
            begun = sum(parent.begun for parent in parents)
            yield Line("parents begun, and parents that are over", begun, sum(p.begun and p.over for p in parents))

    def _parent(self, parent_id: str) -> _Parent:
        return self._parents.setdefault(parent_id, _Parent())


def _exceeds(parent: _Parent) -> bool:
    """Whether live and filled was ever above what was permitted then, and not only because less was permitted since.

    A reduction takes effect as cancels confirm: until then what was there before may stay, but nothing may be added.
    Of what happened in one moment the order is not known: anything permitted in it counts.
    """
    permitted = sorted(parent.permitted, key=lambda each: each[0])
    before, first, end = 0, 0, 0
    for at_ns, used in parent.used:
        while end < len(permitted) and permitted[end][0] <= at_ns:
            end += 1
        if used > max([before, *(qty for _, qty in permitted[first:end])]):
            return True
        # The next one is judged by what was permitted at this moment, by the last word before it, and by later ones.
        before = used
        while first + 1 < end and permitted[first + 1][0] < at_ns:
            first += 1
    return False
