"""Lineage of any id: where it came from and what became of it, from the client's order to the execution and back.

    pipeline audit lineage ID     any id of an order, client request, parent, child, fill, execution, allocation, cross
    pipeline audit explain ID     a child's reasons

Pure: records in, text out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.domain.allocations import Allocation, AllocKind
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind, SourceEvent
from pipeline.domain.parents import Cross, CrossKind, Lineage, LineageKind, ParentKind, ParentOrder, Slice, SliceKind
from pipeline.domain.record import Record
from pipeline.domain.text import moment, money, price

_EXECUTIONS = (FillKind.TRADE, FillKind.BUST, FillKind.CORRECT)
_MEMBERS_SHOWN = 12


class History:
    """Records of the order path, indexed by their ids. Holds every record it is given."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.orders: dict[str, list[Order]] = {}
        self.events: dict[str, list[OrderEvent]] = {}
        self.lineage: dict[str, list[Lineage]] = {}
        self.members: dict[tuple[str, int], list[Lineage]] = {}
        self.parents: dict[str, list[ParentOrder]] = {}
        self.parents_of: dict[str, dict[str, None]] = {}
        self.slices: dict[str, list[Slice]] = {}
        self.children: dict[str, list[ChildOrder]] = {}
        self.children_of: dict[str, dict[str, None]] = {}
        self.fills: dict[str, list[Fill]] = {}
        self.crosses: dict[str, list[Cross]] = {}
        self.allocations: dict[str, list[Allocation]] = {}
        self._by_cl_ord_id: dict[str, dict[str, None]] = {}
        self._by_execution: dict[str, dict[str, None]] = {}
        self._by_allocation: dict[str, str] = {}
        self._crosses_of: dict[str, dict[str, None]] = {}
        self._cross_roots: dict[str, str] = {}
        """Of a cross, bust or correction: the cross that it was in the beginning."""
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Index one record; types that are not of the order path are ignored."""
        match record:
            case Order():
                _push(self.orders, record.order_id, record)
                self._by_cl_ord_id.setdefault(record.request.cl_ord_id, {})[record.order_id] = None
            case SourceEvent():
                pass
            case OrderEvent():
                _push(self.events, record.order_id, record)
                self._by_cl_ord_id.setdefault(record.cl_ord_id, {})[record.order_id] = None
            case Lineage():
                self._on_lineage(record)
            case ParentOrder():
                _push(self.parents, record.parent_id, record)
            case Slice():
                _push(self.slices, record.parent_id, record)
            case ChildOrder():
                _push(self.children, record.child_id, record)
                self.children_of.setdefault(record.parent_id, {})[record.child_id] = None
            case Fill():
                _push(self.fills, record.parent_id, record)
                for execution in (record.fill_id, record.exec_id):
                    if execution and record.kind in _EXECUTIONS:
                        self._by_execution.setdefault(execution, {})[record.parent_id] = None
            case Cross():
                root = record.cross_id if record.kind is CrossKind.TRADE else record.ref_cross_id or record.cross_id
                root = self._cross_roots.setdefault(record.cross_id, self._cross_roots.get(root, root))
                _push(self.crosses, root, record)
                for leg in (*record.buys, *record.sells):
                    self._crosses_of.setdefault(leg.order_id, {})[root] = None
            case Allocation():
                _push(self.allocations, record.order_id, record)
                self._by_allocation[record.alloc_id] = record.order_id
            case _:
                pass

    def _on_lineage(self, record: Lineage) -> None:
        ids = [member.order_id for member in record.members] + ([record.order_id] if record.order_id else [])
        for order_id in ids:
            _push(self.lineage, order_id, record)
            if record.parent_id is not None:
                self.parents_of.setdefault(order_id, {})[record.parent_id] = None
        if record.kind is LineageKind.MEMBERS and record.parent_id is not None:
            self.members.setdefault((record.parent_id, record.epoch_no), []).append(record)

    # ------------------------------------------------------------------ trees

    def tree(self, wanted: str) -> list[str] | None:
        """The tree around ``wanted``, line by line; None for an id that no record has.

        Any id will do: of a cross, parent, child, order, allocation, fill or execution (ExecID), or a ClOrdID.
        """
        if not wanted:
            return None
        if self._cross_roots.get(wanted, wanted) in self.crosses:
            return list(self._cross(self._cross_roots.get(wanted, wanted)))
        if wanted in self.parents:
            return list(self._parent(wanted))
        if wanted in self.children:
            child = self.children[wanted][0]
            return [f"child {wanted} is of parent {child.parent_id}", *self._parent(child.parent_id, only=wanted)]
        if wanted in self.orders or wanted in self.events:
            return list(self._order(wanted))
        if wanted in self._by_allocation:
            order_id = self._by_allocation[wanted]
            return [f"allocation {wanted} is of order {order_id}", *self._order(order_id)]
        if wanted in self._by_execution:
            lines = []
            for parent_id in self._by_execution[wanted]:
                ids = {f.child_id: None for f in self.fills[parent_id] if wanted in (f.fill_id, f.exec_id)}
                for child_id in ids:
                    lines += [f"execution {wanted} is of child {child_id}", *self._parent(parent_id, only=child_id)]
            return lines
        if wanted in self._by_cl_ord_id:
            lines = []
            for order_id in self._by_cl_ord_id[wanted]:
                if order_id:
                    lines += self._order(order_id)
                else:
                    lines += [_refused(event) for event in self.events[""] if event.cl_ord_id == wanted]
            return lines
        return None

    def _order(self, order_id: str) -> Iterator[str]:
        new = next((order for order in self.orders.get(order_id, ()) if order.kind is OrderKind.NEW), None)
        if new is None:
            yield f"order {order_id}: only its events are recorded"
        else:
            request, limit = new.request, "" if new.limit_px is None else f", limit {price(new.limit_px)}"
            yield (
                f"order {order_id}: {request.side} {request.order_qty} {new.instrument}{limit}, {request.strategy}, "
                f"for {request.account} of {request.source} (ClOrdID {request.cl_ord_id}), "
                f"received {moment(new.received_ns)}"
            )
        for event in self.events.get(order_id, ()):
            yield f"├─ {_event(event)}"
        for record in self.lineage.get(order_id, ()):
            yield f"├─ {_joined(record, order_id)}"
        for cross_id in self._crosses_of.get(order_id, ()):
            for cross in self.crosses[cross_id]:
                yield f"├─ crossed: {_cross_line(cross)}"
        for allocation in self.allocations.get(order_id, ()):
            yield f"├─ {_allocation(allocation)}"
        for parent_id in self.parents_of.get(order_id, ()):
            yield f"└─ worked in parent {parent_id}:"
            for line in self._parent(parent_id, of=order_id):
                yield f"   {line}"

    def _parent(self, parent_id: str, only: str = "", of: str = "") -> Iterator[str]:
        """A parent's tree. ``only``: this child alone; ``of``: shown within this order's own
        tree, so without the other members."""
        for record in self.parents.get(parent_id, ()):
            if record.kind in (ParentKind.NEW, ParentKind.EPOCH):
                yield _parent_line(record)
                if not of:
                    yield from self._members(parent_id, record.epoch_no)
            elif record.kind is not ParentKind.CROSS_ASK:
                crossed = f", {record.crossed_qty} crossed" if record.kind is ParentKind.CROSS_DONE else ""
                yield f"├─ {record.kind}, epoch {record.epoch_no}{crossed}, {moment(record.at_ns)}"
        by_slice: dict[int, list[str]] = {}
        for child_id in self.children_of.get(parent_id, ()):
            if only in ("", child_id):
                by_slice.setdefault(self.children[child_id][0].slice_no, []).append(child_id)
        for slice_ in self.slices.get(parent_id, ()):
            if slice_.kind is not SliceKind.SLICE or (only and slice_.slice_no not in by_slice):
                continue
            yield (
                f"├─ slice {slice_.slice_no}, epoch {slice_.epoch_no}: {slice_.qty} {slice_.style}, permitted "
                f"{slice_.permitted_qty}, {moment(slice_.at_ns)}: {slice_.why}"
            )
            for child_id in by_slice.get(slice_.slice_no, ()):
                yield from (f"│  {line}" for line in self._child(child_id))
            for fill in self.fills.get(parent_id, ()):
                if fill.kind is FillKind.RETURNED and fill.slice_no == slice_.slice_no:
                    yield f"│  └─ returned {fill.last_qty}: {fill.reason}"
        if not only and not of:
            for allocation in self._allocations_of(parent_id):
                yield f"└─ {_allocation(allocation)}"

    def _members(self, parent_id: str, epoch_no: int) -> Iterator[str]:
        members = [member for chunk in self.members.get((parent_id, epoch_no), ()) for member in chunk.members]
        for member in members[:_MEMBERS_SHOWN]:
            yield f"│  ├─ {member.contributed_qty} of order {member.order_id} for {member.account} of {member.source}"
        if len(members) > _MEMBERS_SHOWN:
            yield f"│  └─ … and {len(members) - _MEMBERS_SHOWN} more"

    def _allocations_of(self, parent_id: str) -> Iterator[Allocation]:
        for chunks in (self.members[key] for key in sorted(self.members) if key[0] == parent_id):
            for member in (member for chunk in chunks for member in chunk.members):
                for allocation in self.allocations.get(member.order_id, ()):
                    if allocation.parent_id == parent_id and allocation.epoch_no == chunks[0].epoch_no:
                        yield allocation

    def _child(self, child_id: str) -> Iterator[str]:
        for child in self.children[child_id]:
            what = "child" if child.kind is ChildKind.NEW else f"{child.kind} of child"
            limit = "" if child.limit_px is None else f" at {price(child.limit_px)}"
            yield (
                f"├─ {what} {child_id} (on the wire {child.wire_id}): {child.side} {child.order_qty} {child.ord_type}"
                f"{limit} {child.time_in_force} to {child.venue}, {moment(child.sent_ns)}: {child.rule}"
            )
        for fill in self.fills.get(self.children[child_id][0].parent_id, ()):
            if fill.child_id == child_id and fill.kind in _EXECUTIONS:
                yield f"│  ├─ {_execution(fill)}"

    def _cross(self, cross_id: str) -> Iterator[str]:
        for cross in self.crosses[cross_id]:
            yield _cross_line(cross)
            yield (
                f"├─ evidence: {cross.quote_kind} {price(cross.bid_px)} / {price(cross.offer_px)}, quote "
                f"{cross.quote_no} of {moment(cross.quote_ns)}; rules {', '.join(cross.rule_ids)}"
            )
            for word, legs in (("bought", cross.buys), ("sold", cross.sells)):
                for leg in legs:
                    out_of = "its window" if leg.parent_id is None else f"parent {leg.parent_id}"
                    yield f"├─ {leg.account} of {leg.source} {word} {leg.qty} by order {leg.order_id}, out of {out_of}"

    # ------------------------------------------------------------------ why

    def explain(self, child_id: str) -> list[str] | None:
        """Why a child was sent to that venue at that price; None for an id that no child has.

        ``child_id`` may also be a wire id of the child.
        """
        if child_id not in self.children:
            child_id = next((i for i, c in self.children.items() if any(r.wire_id == child_id for r in c)), "")
            if not child_id:
                return None
        child = self.children[child_id][0]
        slices = self.slices.get(child.parent_id, ())
        slice_ = next((s for s in slices if s.slice_no == child.slice_no and s.kind is SliceKind.SLICE), None)
        quote = f"quote {child.quote_no}: {price(child.bid_px)} / {price(child.offer_px)}"
        lines = [
            next(self._child(child_id))[3:],
            f"  quote at the decision   {quote}",
            f"  rule                    {child.rule}",
            f"  scorecard               {child.scorecard_version} executions seen",
        ]
        if slice_ is not None:
            lines.insert(1, f"  slice {slice_.slice_no:<17} {slice_.qty} {slice_.style}: {slice_.why}")
        lines.append("  candidates              venue      cost a unit   fills   verdict")
        for candidate in child.candidates:
            verdict = "chosen" if candidate.venue == child.venue else candidate.excluded or "ranked behind"
            lines.append(
                f"                          {candidate.venue:<8} {price(candidate.cost_px):>13}  "
                f"{candidate.fill_rate / 10_000:>5.1f}%   {verdict}"
            )
        return lines


def _push(into: dict[str, list[Record]] | dict[str, list], key: str, record: Record) -> None:  # type: ignore[type-arg]
    into.setdefault(key, []).append(record)


def _event(event: OrderEvent) -> str:
    last = "" if event.last_px is None else f", {event.last_qty} at {price(event.last_px)}"
    average = "" if event.avg_px is None else f", average {price(event.avg_px)}"
    text = "" if event.text is None else f": {event.text}"
    return (
        f"{moment(event.at_ns)} {event.kind}, now {event.ord_status}{last}, done {event.cum_qty}, open "
        f"{event.leaves_qty}{average}{text}"
    )


def _refused(event: OrderEvent) -> str:
    refused = event.kind is OrderEventKind.REFUSED
    return f"request {event.cl_ord_id} of {event.source} {'was refused' if refused else event.kind}: " + (
        f"{event.reason} ({event.text})" if event.reason is not None else str(event.text)
    )


def _joined(record: Lineage, order_id: str) -> str:
    at = moment(record.at_ns)
    qty = sum(member.contributed_qty for member in record.members if member.order_id == order_id)
    match record.kind:
        case LineageKind.JOINED:
            return f"{at} joined bucket {record.bucket_id} with {qty}"
        case LineageKind.MEMBERS:
            return f"{at} member of parent {record.parent_id}, epoch {record.epoch_no}, with {qty}"
        case LineageKind.LEFT:
            return (
                f"{at} left with {record.left_qty} not worked any more ({'expired' if record.expired else 'cancelled'})"
            )
        case _:
            return f"{at} {record.kind}: {record.reason}"


def _parent_line(parent: ParentOrder) -> str:
    limit = "" if parent.limit_px is None else f", limit {price(parent.limit_px)}"
    crossed = f", {parent.crossed_qty} of {parent.gross_qty} crossed before" if parent.crossed_qty else ""
    return (
        f"parent {parent.parent_id}, epoch {parent.epoch_no}: {parent.side} {parent.order_qty} {parent.instrument}"
        f"{limit}, {parent.strategy} until {moment(parent.end_ns)}, of {parent.member_count} orders{crossed}, bucket "
        f"{parent.bucket_id}, {moment(parent.at_ns)}"
    )


def _cross_line(cross: Cross) -> str:
    of = "" if cross.ref_cross_id is None else f" of {cross.ref_cross_id}"
    return (
        f"cross {cross.cross_id} ({cross.kind}{of}): {cross.qty} {cross.instrument} at {price(cross.px)} "
        f"({cross.price_rule}), {moment(cross.at_ns)}"
    )


def _execution(fill: Fill) -> str:
    late = ", late" if fill.late else ""
    over = f", {fill.overfill_qty} beyond what was permitted" if fill.overfill_qty else ""
    ref = "" if fill.ref_fill_id is None else f" of {fill.ref_fill_id}"
    return (
        f"{fill.kind}{ref} {fill.fill_id}: {fill.last_qty} at {price(fill.last_px)}, {fill.venue} ExecID {fill.exec_id}"
        f", fee {money(fill.fee)}, {moment(fill.venue_ns)}{late}{over}"
    )


def _allocation(allocation: Allocation) -> str:
    ref = "" if allocation.ref_alloc_id is None else f" of {allocation.ref_alloc_id}"
    of = (
        f"cross {allocation.cross_id}"
        if allocation.cross_id
        else f"{allocation.parent_id}, epoch {allocation.epoch_no}"
    )
    kind = "" if allocation.kind is AllocKind.NEW else f" {allocation.kind}{ref}"
    return (
        f"allocation {allocation.alloc_id}{kind}: {allocation.alloc_qty} at {price(allocation.alloc_avg_px)} to "
        f"{allocation.alloc_account} for order {allocation.order_id}, fee {money(allocation.fee)}, of {of}"
    )
