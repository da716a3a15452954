"""The books of a day, kept from the records alone: each quantity that was accepted is found in one place, and once.

Nothing here knows how a stage works; each line compares what one topic says with what another says. Records of
different topics may come in any order; those of one topic and partition must come in theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.audit.venue_books import VenueBooks
from pipeline.domain.allocations import Allocation, AllocKind, AllocSource, Reconciliation
from pipeline.domain.controls import Alert, Tick, TickKind
from pipeline.domain.executions import Fill, FillKind, VenueReport
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind, SourceEvent
from pipeline.domain.parents import Cross, CrossKind, Lineage, LineageKind, Slice, SliceKind
from pipeline.domain.record import Record

ENDS = (OrderEventKind.FILLED, OrderEventKind.CANCELED, OrderEventKind.EXPIRED)


class Line(NamedTuple):
    """One line of the books: two figures that must be equal, found in different places."""

    name: str
    left: int
    right: int
    parts: tuple[tuple[str, int], ...] = ()
    """What the right side is made of."""

    @property
    def holds(self) -> bool:
        """Whether both figures are equal."""
        return self.left == self.right

    def __str__(self) -> str:
        made_of = "" if not self.parts else " = " + " + ".join(f"{qty:,} {name}" for name, qty in self.parts)
        sign = "=" if self.holds else "≠"
        return f"{'ok ' if self.holds else 'OFF'}  {self.name}: {self.left:,} {sign} {self.right:,}{made_of}"


class _ClientOrder:
    def __init__(self) -> None:
        self.side = ""
        self.qty: int | None = None
        self.last: OrderEvent | None = None
        self.ends = 0
        self.crossed = 0
        self.executed = 0


class _Epoch:
    def __init__(self) -> None:
        self.executed = 0
        self.money = 0
        self.fee = 0
        self.allocated = 0
        self.allocated_money = 0
        self.allocated_fee = 0
        self.side = ""
        self.reconciled: Reconciliation | None = None


class _Parent:
    def __init__(self) -> None:
        self.cum = 0
        self.overfilled = 0
        self.permitted = 0
        self.most_used = 0
        self.miscounted = 0


class Books:
    """Add every record of the day, then call :meth:`lines`. Memory: a few figures per order, execution and epoch."""

    def __init__(self) -> None:
        self._orders: dict[str, _ClientOrder] = {}
        self._in_parent: dict[str, None] = {}
        self._crosses: dict[str, Cross | None] = {}
        self._allocations: dict[str, Allocation] = {}
        self._restated: dict[str, None] = {}
        self._reconciled: dict[tuple[str, int, str], Reconciliation] = {}
        self._epochs: dict[tuple[str, int], _Epoch] = {}
        self._parents: dict[str, _Parent] = {}
        self._slices: dict[tuple[str, int], int] = {}
        self._out: dict[tuple[str, int], int] = {}
        self._returned: dict[tuple[str, int], tuple[int, int]] = {}
        self._venues = VenueBooks()
        self._accepted_events = 0
        self._over = False

    def add(self, record: Record) -> None:
        """Enter one record; types that the books do not need are ignored."""
        match record:
            case Order():
                if record.kind is OrderKind.NEW:
                    order = self._order(record.order_id)
                    order.side, order.qty = str(record.request.side), record.request.order_qty or 0
            case SourceEvent():
                pass  # a copy of an order event, for the client's own topic
            case OrderEvent():
                self._on_event(record)
            case Lineage():
                if record.kind is LineageKind.MEMBERS:
                    for member in record.members:
                        self._in_parent[member.order_id] = None
            case Cross():
                root = record.cross_id if record.kind is CrossKind.TRADE else record.ref_cross_id or ""
                self._crosses[root] = None if record.kind is CrossKind.BUST else record
            case Allocation():
                if record.kind is not AllocKind.CANCEL:
                    self._allocations[record.alloc_id] = record
                if record.ref_alloc_id is not None:
                    self._restated[record.ref_alloc_id] = None
            case Reconciliation():
                key = record.parent_id or "", record.epoch_no, record.cross_id or ""
                known = self._reconciled.get(key)
                if known is None or record.version > known.version:
                    self._reconciled[key] = record
            case Slice():
                parent = self._parent(record.parent_id)
                parent.permitted = max(parent.permitted, record.permitted_qty)
                if record.kind is SliceKind.SLICE:
                    self._slices[record.parent_id, record.slice_no] = record.qty
            case Fill():
                self._on_fill(record)
            case VenueReport():
                self._venues.on_report(record)
            case Alert():
                self._venues.on_alert(record)
            case Tick():
                self._over = self._over or record.kind is TickKind.DAY_END
            case _:
                pass

    def _on_event(self, event: OrderEvent) -> None:
        if not event.order_id or event.event_no == 0:
            return  # the answer to a refused or repeated request: it belongs to no accepted order
        order = self._order(event.order_id)
        self._accepted_events += event.kind is OrderEventKind.ACCEPTED
        order.ends += event.kind in ENDS
        if order.last is None or event.event_no > order.last.event_no:
            order.last = event

    def _on_fill(self, fill: Fill) -> None:
        parent = self._parent(fill.parent_id)
        slice_key = fill.parent_id, fill.slice_no
        if fill.kind is FillKind.RETURNED:
            self._returned[slice_key] = self._out.get(slice_key, 0), fill.last_qty
        elif fill.kind not in (FillKind.QUIET, FillKind.CUT):
            self._venues.on_fill(fill)
            qty, money, fee = booked(fill)
            epoch = self._epoch(fill.parent_id, fill.epoch_no)
            epoch.side = str(fill.side)
            epoch.executed += qty
            epoch.money += money
            epoch.fee += fee
            parent.cum += qty
            parent.overfilled += fill.overfill_qty
            if fill.kind is FillKind.TRADE and slice_key not in self._returned:
                self._out[slice_key] = self._out.get(slice_key, 0) + qty
        parent.miscounted += parent.cum != fill.parent_cum_qty
        parent.most_used = max(parent.most_used, fill.parent_cum_qty + fill.parent_live_qty - parent.overfilled)

    # ------------------------------------------------------------------ the lines

    def lines(self) -> list[Line]:
        """Every line, from the records added so far: quantities in units, money and fees in 1e-9 currency units."""
        self._share_out()
        return [
            Line("orders taken in, and events saying so", self._count_of_orders(), self._accepted_events),
            *self._by_side(),
            Line("orders whose own books are off", sum(map(self._is_off, self._orders.values())), 0),
            *self._ends(),
            *self._crossed(),
            *self._executed(),
            *self._cash(),
            *self._exposure(),
            *(Line(*row) for row in self._venues.lines()),
        ]

    def _share_out(self) -> None:
        for order in self._orders.values():
            order.crossed = order.executed = 0
        for epoch in self._epochs.values():
            epoch.allocated = epoch.allocated_money = epoch.allocated_fee = 0
        for alloc_id, allocation in self._allocations.items():
            if alloc_id in self._restated:
                continue
            order = self._order(allocation.order_id)
            if allocation.alloc_source is AllocSource.CROSS:
                order.crossed += allocation.alloc_qty
            else:
                order.executed += allocation.alloc_qty
                epoch = self._epoch(allocation.parent_id or "", allocation.epoch_no)
                epoch.allocated += allocation.alloc_qty
                epoch.allocated_money += allocation.net_money
                epoch.allocated_fee += allocation.fee
        for (parent_id, epoch_no, cross_id), reconciliation in self._reconciled.items():
            if not cross_id:
                self._epoch(parent_id, epoch_no).reconciled = reconciliation

    def _count_of_orders(self) -> int:
        return sum(1 for order in self._orders.values() if order.qty is not None)

    def _by_side(self) -> list[Line]:
        lines = []
        for side in sorted({order.side for order in self._orders.values()}):
            own = [(order_id, order) for order_id, order in self._orders.items() if order.side == side]
            parts = dict.fromkeys(
                ("crossed", "executed", "reported, not yet allocated", "in parents", "waiting", "ended"), 0
            )
            for order_id, order in own:
                parts["crossed"] += order.crossed
                parts["executed"] += order.executed
                last = order.last
                if last is None:
                    continue
                if order.ends:
                    parts["ended"] += last.order_qty - last.cum_qty
                else:
                    parts["reported, not yet allocated"] += last.cum_qty - order.crossed - order.executed
                    parts["in parents" if order_id in self._in_parent else "waiting"] += last.leaves_qty
            accepted = sum(order.qty or 0 for _, order in own)
            name = f"accepted to {side or 'an unknown side'}"
            lines.append(Line(name, accepted, sum(parts.values()), tuple(parts.items())))
        return lines

    def _is_off(self, order: _ClientOrder) -> bool:
        last = order.last
        if order.qty is None or last is None or last.order_qty != order.qty or last.crossed_qty != order.crossed:
            return True
        allocated = order.crossed + order.executed
        if order.ends:
            return last.cum_qty != allocated or last.leaves_qty != 0 or not last.final
        return last.cum_qty + last.leaves_qty != order.qty or last.cum_qty < allocated

    def _ends(self) -> list[Line]:
        lines = [Line("orders that ended more than once", sum(o.ends > 1 for o in self._orders.values()), 0)]
        if self._over:
            ended = sum(order.ends > 0 for order in self._orders.values())
            lines.append(Line("orders, and orders ended when the day is over", self._count_of_orders(), ended))
        return lines

    def _crossed(self) -> list[Line]:
        standing = [cross for cross in self._crosses.values() if cross is not None]
        bought = sum(leg.qty for cross in standing for leg in cross.buys)
        sold = sum(leg.qty for cross in standing for leg in cross.sells)
        allocated = sum(order.crossed for order in self._orders.values())
        # A cross can only fail to reach an order that is full; how much, its reconciliation says for the worse side.
        beyond = sum(r.error_account_qty for (_, _, cross_id), r in self._reconciled.items() if cross_id)
        lines = [Line("crossed to buy, and to sell", bought, sold)]
        if not beyond:
            lines.append(Line("crossed on both sides, and allocated of it", bought + sold, allocated))
        return lines

    def _executed(self) -> list[Line]:
        lines = []
        # An epoch without a side has no fill; if it was allocated all the same, the line after this loop shows it.
        for side in sorted({epoch.side for epoch in self._epochs.values()} - {""}):
            own = [epoch for epoch in self._epochs.values() if epoch.side == side]
            shared = [(epoch, epoch.reconciled) for epoch in own if epoch.reconciled is not None]
            parts = (
                ("allocated", sum(epoch.allocated for epoch, _ in shared)),
                ("error account", sum(reconciled.error_account_qty for _, reconciled in shared)),
                ("not yet allocated", sum(epoch.executed for epoch in own if epoch.reconciled is None)),
            )
            executed = sum(epoch.executed for epoch in own)
            lines.append(Line(f"executed to {side}", executed, sum(qty for _, qty in parts), parts))
        off = sum(_is_off(epoch) for epoch in self._epochs.values())
        lines.append(Line("epochs whose reconciliation is not what fills and allocations say", off, 0))
        return lines

    def _cash(self) -> list[Line]:
        """Money in 1e-9 currency units: of executions and of both sides of crosses, against that of their
        allocations."""
        shared = [(epoch, epoch.reconciled) for epoch in self._epochs.values() if epoch.reconciled is not None]
        parts = (
            ("allocated", sum(epoch.allocated_money for epoch, _ in shared)),
            ("error account", sum(r.allocated_money - epoch.allocated_money for epoch, r in shared)),
            ("residual of rounded prices", sum(r.residual for _, r in shared)),
        )
        fees = (
            ("allocated", sum(epoch.allocated_fee for epoch, _ in shared)),
            ("error account", sum(r.allocated_fee - epoch.allocated_fee for epoch, r in shared)),
        )
        executed, paid = sum(epoch.money for epoch, _ in shared), sum(epoch.fee for epoch, _ in shared)
        crosses = sum(2 * cross.qty * cross.px for cross in self._crosses.values() if cross is not None)
        booked_crosses = sum(
            allocation.net_money
            for alloc_id, allocation in self._allocations.items()
            if alloc_id not in self._restated and allocation.alloc_source is AllocSource.CROSS
        )
        beyond = any(r.error_account_qty for (_, _, cross_id), r in self._reconciled.items() if cross_id)
        lines = [
            Line("money of executions allocated, 1e-9", executed, sum(money for _, money in parts), parts),
            Line("fees of executions allocated, 1e-9", paid, sum(fee for _, fee in fees), fees),
        ]
        if not beyond:
            lines.append(Line("money of crosses, both sides, and of their allocations, 1e-9", crosses, booked_crosses))
        return lines

    def _exposure(self) -> list[Line]:
        parents = self._parents.values()
        off = sum(
            self._slices.get(key) is None or returned != max(0, self._slices[key] - executed)
            for key, (executed, returned) in self._returned.items()
        )
        lines = [
            Line(
                "parents with more live and filled than permitted", sum(p.most_used > p.permitted for p in parents), 0
            ),
            Line(
                "fills whose count of their parent is not the sum of its fills", sum(p.miscounted for p in parents), 0
            ),
            Line("slices that came back with more or less than was not executed", off, 0),
        ]
        if self._over:
            lines.append(Line("slices released, and slices that came back", len(self._slices), len(self._returned)))
        return lines

    def _order(self, order_id: str) -> _ClientOrder:
        return self._orders.setdefault(order_id, _ClientOrder())

    def _epoch(self, parent_id: str, epoch_no: int) -> _Epoch:
        return self._epochs.setdefault((parent_id, epoch_no), _Epoch())

    def _parent(self, parent_id: str) -> _Parent:
        return self._parents.setdefault(parent_id, _Parent())


def booked(fill: Fill) -> tuple[int, int, int]:
    """Quantity (units), money and fee (1e-9 currency units) that an execution, bust or correction adds to the books.

    A bust and a correction to less add negative amounts; any other kind of fill adds nothing.
    """
    qty, px, fee = fill.last_qty, fill.last_px or 0, fill.fee
    if fill.kind is FillKind.TRADE:
        return qty, qty * px, fee
    if fill.kind is FillKind.BUST:
        return -qty, -qty * px, -fill.prior_fee
    if fill.kind is FillKind.CORRECT:
        return qty - fill.prior_qty, qty * px - fill.prior_qty * (fill.prior_px or 0), fee - fill.prior_fee
    return 0, 0, 0


def _is_off(epoch: _Epoch) -> bool:
    reconciled = epoch.reconciled
    if reconciled is None:
        return bool(epoch.allocated)
    said = reconciled.executed_qty, reconciled.executed_money, reconciled.executed_fee, reconciled.allocated_qty
    no_error = reconciled.error_account_qty == 0 and reconciled.error_account == ""
    return (
        said != (epoch.executed, epoch.money, epoch.fee, epoch.allocated)
        or not reconciled.balanced
        or epoch.executed != epoch.allocated + reconciled.error_account_qty
        or (
            no_error
            and (reconciled.allocated_money, reconciled.allocated_fee) != (epoch.allocated_money, epoch.allocated_fee)
        )
        or 2 * abs(reconciled.residual) > reconciled.executed_qty
    )


def books(records: Iterable[Record]) -> list[Line]:
    """The lines of the books over all ``records``."""
    kept = Books()
    for record in records:
        kept.add(record)
    return kept.lines()
