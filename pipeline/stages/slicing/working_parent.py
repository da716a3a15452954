"""A parent while slicing works it: how much is executed, outstanding, set aside, and how much may still be released.

The one sum that must hold at all times:

    outstanding + executed + taken + set aside <= order_qty        (of the current epoch)

*Outstanding* (``out``) is what was released in slices and neither executed nor returned yet; *taken* is what was
crossed inside. Children of an earlier epoch may still be out when a new one begins: they are outstanding like its own,
and what they execute reduces the epoch's quantity. An over-fill by a venue is booked and may break the sum; it only
ever reduces what is still to be released.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Side
from pipeline.domain.parents import ParentOrder, Slice, SliceKind, Style
from pipeline.state import Entry


class WorkingParent(Entry):
    """A parent at work."""

    order: ParentOrder
    """Its first record on `parents`."""
    epoch_no: int
    order_qty: int
    """The epoch's quantity."""
    volume_before: int
    """The market's volume when its window began: the participation cap counts from there."""
    own_before: int
    """What all parents of its instrument and side had executed by then."""
    executed_qty: int = 0
    taken_qty: int = 0
    set_aside_qty: int = 0
    earlier_executed_qty: int = 0
    earlier_taken_qty: int = 0
    """Executed and crossed in earlier epochs, so that the schedule goes on where it was."""
    slice_no: int = 0
    out: list[tuple[int, int]] = []
    """Outstanding slices: (number, quantity not executed yet)."""
    released_ns: int = 0
    in_vain: int = 0
    """Slices in a row that came back with unexecuted quantity, without an execution since."""
    ask_id: str | None = None
    recalled: bool = False
    finishing: bool = False
    at_risk: bool = False
    """The desk has been told that it may not be completed."""
    came_ns: int = 0
    """Session time at which it came; 0 when that was before the first tick."""
    counted_ns: int = 0
    """From when on the market's volume and our own count for its cap, session time; 0: not yet."""
    from_ns: int = 0
    """From when its schedule runs: since work began, or went on after it stood still; 0: it has not begun."""
    from_qty: int = 0
    """What was due by then, earlier epochs included."""
    until_ns: int = 0
    """When it really ends: as asked, or with the session; 0: not known yet."""
    stands_still: bool = False
    """It may not be worked at the moment, so nothing more comes due."""
    since_cut_qty: int = 0
    """Executed in the epoch since it was closed: its successor's quantity does not know of it."""
    cut_epoch_no: int = 0
    """The last epoch whose close to new children (CUT or QUIET) has been read."""
    uncut_qty: int = 0
    """Executed in an earlier epoch whose close has not been read: taken off this one's quantity until it is."""
    resting: bool = False
    """The epoch has no members: everybody left in the parent is held or waits for earlier children to end."""

    @property
    def begin_ns(self) -> int:
        """When its schedule begins, as far as that is known; never before the parent came."""
        return self.from_ns or max(self.order.start_ns, self.came_ns)

    @property
    def ends_ns(self) -> int:
        """When it ends, as far as that is known: as asked, or earlier with the session."""
        return self.until_ns or self.order.end_ns

    @property
    def end_ns(self) -> int:
        """When its schedule ends; never before it begins."""
        begin_ns, ends_ns = self.begin_ns, self.ends_ns
        return ends_ns if ends_ns > begin_ns else begin_ns

    @property
    def out_qty(self) -> int:
        """Units outstanding: released, and neither executed nor returned yet."""
        return sum([qty for _, qty in self.out]) if self.out else 0

    @property
    def unreleased_qty(self) -> int:
        """What may still be released or set aside."""
        return max(0, self.order_qty - self.executed_qty - self.taken_qty - self.out_qty - self.set_aside_qty)

    @property
    def unexecuted_qty(self) -> int:
        """Units still to be executed, outstanding ones included."""
        return max(0, self.order_qty - self.executed_qty - self.taken_qty)

    @property
    def permitted_qty(self) -> int:
        """The most that routing may have live and filled, over all epochs."""
        return max(0, self.earlier_executed_qty + self.order_qty - self.taken_qty - self.set_aside_qty)

    @property
    def min_qty(self) -> int:
        """The client's least quantity of one execution, as far as it still applies.

        Once so much is executed the minimum is met; when less than it is left, all of that is the minimum.
        """
        least_qty = self.order.min_qty
        if self.earlier_qty + self.executed_qty + self.taken_qty >= least_qty:
            return 0
        return min(least_qty, self.unexecuted_qty)

    @property
    def earlier_qty(self) -> int:
        """Executed or crossed in earlier epochs."""
        return self.earlier_executed_qty + self.earlier_taken_qty

    @property
    def done(self) -> bool:
        """Nothing is left to execute, outstanding or set aside."""
        return self.unexecuted_qty == 0 and not self.out and self.set_aside_qty == 0 and not self.resting

    def begin_epoch(self, order: ParentOrder) -> None:
        """Begin a new epoch: its quantity is new, the schedule goes on."""
        self.earlier_executed_qty += self.executed_qty
        self.earlier_taken_qty += self.taken_qty
        self.epoch_no, self.order_qty = order.epoch_no, order.order_qty - self.since_cut_qty
        self.executed_qty = self.taken_qty = self.since_cut_qty = 0
        self.recalled = False
        self.resting = order.member_count == 0

    def apply(self, fill: Fill) -> None:
        """Book an execution, bust, correction or returned quantity of this parent."""
        match fill.kind:
            case FillKind.TRADE if fill.epoch_no < self.epoch_no:
                self.earlier_executed_qty += fill.last_qty
                self.order_qty -= fill.last_qty
                if fill.epoch_no > self.cut_epoch_no:
                    self.uncut_qty += fill.last_qty
                self._reduce(fill.slice_no, fill.last_qty)
            case FillKind.TRADE:
                self.in_vain = 0
                self._count(fill.last_qty)
                self._reduce(fill.slice_no, fill.last_qty)
            case FillKind.BUST if fill.epoch_no == self.epoch_no:
                self._count(-fill.last_qty)
            case FillKind.CORRECT if fill.epoch_no == self.epoch_no:
                self._count(fill.last_qty - fill.prior_qty)
            case FillKind.CUT | FillKind.QUIET if fill.epoch_no > self.cut_epoch_no:
                # What was executed before its epoch's close is in the new epoch's quantity already: topics may be read
                # in such an order.
                self.cut_epoch_no = fill.epoch_no
                self.order_qty += self.uncut_qty
                self.uncut_qty = 0
            case FillKind.RETURNED:
                # What is returned as its epoch ends was not in vain: nobody is to wait for that.
                self.in_vain += fill.last_qty > 0 and fill.epoch_no == self.epoch_no
                self.out = [(no, qty) for no, qty in self.out if no != fill.slice_no]
            case _:
                pass

    def _count(self, qty: int) -> None:
        self.executed_qty += qty
        if self.cut_epoch_no == self.epoch_no:
            self.since_cut_qty += qty

    def _reduce(self, slice_no: int, qty: int) -> None:
        self.out = [(no, max(0, open_qty - qty) if no == slice_no else open_qty) for no, open_qty in self.out]

    def next_slice(
        self,
        kind: SliceKind,
        now_ns: int,
        qty: int = 0,
        style: Style = Style.PASSIVE,
        expire_ns: int = 0,
        why: str = "",
        ask_id: str | None = None,
    ) -> Slice:
        """The next record on `slices` for this parent; a SLICE is outstanding from here on."""
        self.slice_no += 1
        if kind is SliceKind.SLICE:
            self.out = [*self.out, (self.slice_no, qty)]
            self.released_ns = now_ns
        order = self.order
        return Slice(
            kind=kind,
            parent_id=order.parent_id,
            slice_no=self.slice_no,
            epoch_no=self.epoch_no,
            instrument=order.instrument,
            side=order.side,
            qty=qty,
            permitted_qty=self.permitted_qty,
            limit_px=order.limit_px,
            style=style,
            expire_ns=expire_ns,
            min_qty=min(self.min_qty, qty),
            allowed_venues=order.allowed_venues,
            dark_allowed=order.dark_allowed,
            capacity=order.capacity,
            ask_id=ask_id,
            strategy=order.strategy,
            parent_order_qty=max(0, self.order_qty),
            crossed_qty=self.taken_qty if kind in (SliceKind.RECALL, SliceKind.FINISH) else 0,
            why=why,
            at_ns=now_ns,
        )


class Totals(NamedTuple):
    """Sums over all parents of an instrument and side: they share one participation cap."""

    out_qty: int
    unexecuted_qty: int


_NONE: Final = Totals(0, 0)


class Siblings:
    """The totals of each instrument and side, updated as parents change; derived, so rebuilt after a restore."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, Side], Totals] = {}
        self._counted: dict[str, Totals] = {}
        self._capped: dict[str, dict[str, None]] = {}
        """By instrument the parents with a participation cap."""

    def of(self, parent: WorkingParent) -> Totals:
        """The totals of the parent's instrument and side, itself included."""
        return self._totals.get((parent.order.instrument, parent.order.side), _NONE)

    def capped(self, instrument: str) -> Iterable[str]:
        """The parents of an instrument, of either side, that have a participation cap; in no order."""
        return self._capped.get(instrument, ())

    def count(self, parent: WorkingParent) -> None:
        """Count a parent that is new or has changed."""
        order = parent.order
        self._change(parent, Totals(parent.out_qty, parent.unexecuted_qty))
        if order.participation_cap > 0:
            self._capped.setdefault(order.instrument, {})[order.parent_id] = None

    def forget(self, parent: WorkingParent) -> None:
        """Take a parent that has ended off the totals."""
        order = parent.order
        self._change(parent, _NONE)
        del self._counted[order.parent_id]
        capped = self._capped.get(order.instrument, {})
        capped.pop(order.parent_id, None)
        if not capped:
            self._capped.pop(order.instrument, None)

    def clear(self) -> None:
        """Forget all parents."""
        self._totals.clear()
        self._counted.clear()
        self._capped.clear()

    def _change(self, parent: WorkingParent, now: Totals) -> None:
        before = self._counted.get(parent.order.parent_id, _NONE)
        if now != before:
            key = parent.order.instrument, parent.order.side
            total = self._totals.get(key, _NONE)
            self._totals[key] = Totals(
                total.out_qty + now.out_qty - before.out_qty,
                total.unexecuted_qty + now.unexecuted_qty - before.unexecuted_qty,
            )
        self._counted[parent.order.parent_id] = now


def working(order: ParentOrder, volume_before: int, own_before: int, came_ns: int = 0) -> WorkingParent:
    """A new parent at work. ``volume_before``, ``own_before``, ``came_ns``: see :class:`WorkingParent`."""
    return WorkingParent(
        order=order,
        epoch_no=order.epoch_no,
        order_qty=order.order_qty,
        volume_before=volume_before,
        own_before=own_before,
        came_ns=came_ns,
    )
