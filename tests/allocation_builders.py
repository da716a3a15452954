"""Records for tests of allocation, and books kept from its outputs alone, by other means than the stage's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pipeline.domain.allocations import Allocation, AllocKind, AllocSource, Reconciliation
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.market import QuoteKind
from pipeline.domain.orders import (
    AccountClass,
    Capacity,
    ClosedOrder,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderKind,
    OrderRequest,
    OrdersClosed,
    RequestKind,
    Side,
)
from pipeline.domain.parents import (
    Cross,
    CrossKind,
    CrossLeg,
    EpochClosed,
    Lineage,
    LineageKind,
    Member,
    ParentKind,
    ParentOrder,
)
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import PriceRule
from pipeline.stages.allocation.parameters import AllocationParameters
from pipeline.stages.allocation.stage import AllocationStage
from pipeline.stages.allocation.state import AllocationState
from tests.stage_bench import Bench

DAY = 20260105
"""A Monday."""
SETTLED = 20260107
"""What the builder's orders say; not what the date alone would give."""
PX = 1_000_000_000
XYZ = "XYZ"
S = 1_000_000_000
Line = tuple[str, str, int]


def order(
    order_id: str, qty: int, side: Side = Side.BUY, account: str = "", kind: OrderKind = OrderKind.NEW, cancel: str = ""
) -> Order:
    """A client's order, or with ``cancel`` (the request's ClOrdID) a cancel of it."""
    request = OrderRequest(
        kind=RequestKind.CANCEL if cancel else RequestKind.NEW,
        source="OMS",
        cl_ord_id=cancel or f"c-{order_id}",
        orig_cl_ord_id=f"c-{order_id}" if cancel else None,
        account=account or f"acc-{order_id}",
        instrument=XYZ,
        side=side,
        order_qty=None if cancel else qty,
    )
    return Order(
        kind=OrderKind.CANCEL if cancel else kind,
        order_id=order_id,
        instrument=XYZ,
        trade_date=DAY,
        append_ns=1,
        received_ns=1,
        accepted_ns=1,
        currency="USD",
        request=request,
        settlement_date=SETTLED,
    )


def cancel(order_id: str, cl_ord_id: str) -> Order:
    return order(order_id, 0, cancel=cl_ord_id)


def statement(
    parent_id: str, lines: Sequence[tuple[str, str, int]], epoch_no: int = 1, chunk: int = 256
) -> list[Lineage]:
    """MEMBERS of (order_id, account, contributed_qty) lines."""
    members = [Member(order_id=o, source="OMS", account=a, contributed_qty=q) for o, a, q in lines]
    chunks = [members[i : i + chunk] for i in range(0, len(members), chunk)]
    return [
        Lineage(
            kind=LineageKind.MEMBERS,
            instrument=XYZ,
            bucket_id="B",
            parent_id=parent_id,
            epoch_no=epoch_no,
            chunk_no=number,
            chunk_count=len(chunks),
            members=tuple(part),
            at_ns=1,
        )
        for number, part in enumerate(chunks, 1)
    ]


def left(
    order_id: str, qty: int, cl_ord_id: str | None = None, parent_id: str | None = "P", expired: bool = False
) -> Lineage:
    return Lineage(
        kind=LineageKind.LEFT,
        instrument=XYZ,
        bucket_id="B",
        parent_id=parent_id,
        order_id=order_id,
        request_cl_ord_id=cl_ord_id,
        left_qty=qty,
        expired=expired,
        at_ns=1,
    )


def parent(
    parent_id: str,
    kind: ParentKind = ParentKind.NEW,
    epoch_no: int = 1,
    lines: Sequence[tuple[str, str, int]] = (),
    crossed_qty: int = 0,
    ask_id: str | None = None,
) -> ParentOrder:
    text = "\n".join(f"{o},{q}" for o, _, q in lines)
    return ParentOrder(
        kind=kind,
        parent_id=parent_id,
        instrument=XYZ,
        bucket_id="B",
        trade_date=DAY,
        epoch_no=epoch_no,
        side=Side.BUY,
        order_qty=sum(q for _, _, q in lines),
        member_count=len(lines),
        members_hash=hashlib.sha256(text.encode()).hexdigest() if lines else "",
        capacity=Capacity.AGENCY,
        currency="USD",
        crossed_qty=crossed_qty,
        ask_id=ask_id,
        at_ns=1,
    )


def cross(
    cross_id: str,
    buys: Sequence[tuple[str, int, str | None]],
    sells: Sequence[tuple[str, int, str | None]],
    px: int = 100 * PX,
    kind: CrossKind = CrossKind.TRADE,
    ref: str | None = None,
) -> Cross:
    """Legs are (order_id, qty, parent_id)."""

    def legs(rows: Sequence[tuple[str, int, str | None]]) -> tuple[CrossLeg, ...]:
        return tuple(
            CrossLeg(
                order_id=o, source="OMS", account=f"acc-{o}", account_class=AccountClass.CLIENT, parent_id=p, qty=q
            )
            for o, q, p in rows
        )

    return Cross(
        kind=kind,
        cross_id=cross_id,
        ref_cross_id=ref,
        instrument=XYZ,
        trade_date=DAY,
        px=px,
        qty=sum(q for _, q, _ in buys),
        buys=legs(buys),
        sells=legs(sells),
        price_rule=PriceRule.MIDPOINT,
        rule_ids=("R1",),
        quote_kind=QuoteKind.NBBO,
        bid_px=px - PX,
        offer_px=px + PX,
        quote_no=1,
        quote_ns=1,
        currency="USD",
        at_ns=1,
    )


def fill(
    fill_id: str,
    qty: int,
    px: int = 100 * PX,
    fee: int = 0,
    parent_id: str = "P",
    epoch_no: int = 1,
    kind: FillKind = FillKind.TRADE,
    prior: Fill | None = None,
    overfill_qty: int = 0,
) -> Fill:
    """An execution; with ``prior`` the correction of that one."""
    return Fill(
        kind=FillKind.CORRECT if prior else kind,
        fill_id=fill_id,
        parent_id=parent_id,
        epoch_no=epoch_no,
        slice_no=1,
        instrument=XYZ,
        side=Side.BUY,
        ref_fill_id=prior.fill_id if prior else None,
        last_qty=qty,
        last_px=px,
        prior_qty=prior.last_qty if prior else 0,
        prior_px=prior.last_px if prior else None,
        prior_fee=prior.fee if prior else 0,
        fee=fee,
        overfill_qty=overfill_qty,
        parent_cum_qty=0,
        parent_live_qty=0,
        trade_date=DAY,
        at_ns=1,
    )


def bust(fill_id: str, of: Fill) -> Fill:
    return Fill(
        kind=FillKind.BUST,
        fill_id=fill_id,
        parent_id=of.parent_id,
        epoch_no=of.epoch_no,
        slice_no=1,
        instrument=XYZ,
        side=Side.BUY,
        ref_fill_id=of.fill_id,
        last_qty=of.last_qty,
        last_px=of.last_px,
        prior_fee=of.fee,
        parent_cum_qty=0,
        parent_live_qty=0,
        trade_date=DAY,
        at_ns=1,
    )


def quiet(parent_id: str = "P", epoch_no: int = 1, final: bool = True, crossed_qty: int = 0) -> Fill:
    return Fill(
        kind=FillKind.QUIET,
        fill_id=f"q-{parent_id}-{epoch_no}",
        parent_id=parent_id,
        epoch_no=epoch_no,
        slice_no=9,
        instrument=XYZ,
        side=Side.BUY,
        crossed_qty=crossed_qty,
        parent_cum_qty=0,
        parent_live_qty=0,
        final=final,
        trade_date=DAY,
        at_ns=1,
    )


def bench(**parameters: int) -> Bench[AllocationState]:
    return Bench(AllocationStage(AllocationParameters(**parameters)))  # type: ignore[arg-type]


def begin(weights: list[int], parent_id: str = "P", epoch_no: int = 1) -> tuple[list[Line], list[Record]]:
    """Orders of these quantities in one parent: the statement's lines, and everything that starts it."""
    lines = [(f"O{i}", f"acc-O{i}", weight) for i, weight in enumerate(weights)]
    orders = [order(order_id, weight, account=account) for order_id, account, weight in lines]
    members = statement(parent_id, lines, epoch_no)
    return lines, [*orders, *members, parent(parent_id, ParentKind.NEW, epoch_no, lines)]


def kinds(records: list[Any], order_id: str) -> list[OrderEventKind]:
    return [r.kind for r in records if isinstance(r, OrderEvent) and r.order_id == order_id]


CORRECTIONS = (OrderEventKind.TRADE_CANCEL, OrderEventKind.TRADE_CORRECT)
ENDS = (OrderEventKind.FILLED, OrderEventKind.EXPIRED, OrderEventKind.CANCELED)

SUMMED = (
    "executed_qty", "allocated_qty", "error_account_qty", "executed_money", "allocated_money", "residual",
    "executed_fee", "allocated_fee", "allocation_count",
)  # fmt: skip
"""Figures of a reconciliation that add up over its parts."""

Share = tuple[int, int, int]
"""(alloc_qty, alloc_avg_px, fee)."""


class Books:
    """What a reader of allocation's topics knows. ``add`` checks each record against what was before it."""

    def __init__(self, records: Iterable[Owned] = ()) -> None:
        self.events: dict[str, list[OrderEvent]] = {}
        self.standing: dict[str, Allocation] = {}
        self.seen: set[str] = set()
        self.reconciliations: dict[tuple[str | None, int, str | None], Reconciliation] = {}
        self.closed: dict[str, ClosedOrder] = {}
        self.epochs: dict[tuple[str, int], list[EpochClosed]] = {}
        self.add(records)

    def add(self, records: Iterable[Owned]) -> None:
        for record in records:
            if isinstance(record, OrderEvent):
                self._event(record)
            elif isinstance(record, Allocation):
                self._allocation(record)
            elif isinstance(record, Reconciliation):
                self._reconciliation(record)
            elif isinstance(record, OrdersClosed):
                assert record.orders
                for closed in record.orders:
                    assert closed.order_id not in self.closed, "closed twice"
                    (last,) = (event for event in self.events[closed.order_id] if event.kind in ENDS)
                    assert last.final and last.cum_qty == closed.cum_qty and last.ord_status is closed.ord_status
                    assert (last.source, last.account, last.instrument) == (
                        record.source,
                        closed.account,
                        record.instrument,
                    )
                    self.closed[closed.order_id] = closed
            elif isinstance(record, EpochClosed):
                self.epochs.setdefault((record.parent_id, record.epoch_no), []).append(record)

    def _event(self, event: OrderEvent) -> None:
        mine = self.events.setdefault(event.order_id, [])
        assert event.event_no == len(mine) + 2, "event numbers go on from intake's 1"
        before = mine[-1] if mine else None
        cum = before.cum_qty if before else 0
        assert event.cum_qty == cum + event.last_qty, "events add up"
        assert 0 <= event.cum_qty <= event.order_qty, "no order beyond its quantity"
        assert event.leaves_qty == (0 if event.final else event.order_qty - event.cum_qty)
        assert event.last_qty >= 0 or event.kind in CORRECTIONS, "nothing is taken back but by a correction"
        assert (event.avg_px is None) == (event.cum_qty == 0)
        if event.kind is OrderEventKind.FILLED:
            assert event.cum_qty == event.order_qty
        if before is not None and before.final:
            late_cancel = OrderEventKind.CANCEL_REFUSED
            assert event.kind in (*CORRECTIONS, late_cancel) and event.final, "only corrections after the end"
        else:
            assert event.final == (event.kind in ENDS)
        mine.append(event)

    def _reconciliation(self, told: Reconciliation) -> None:
        key = told.parent_id, told.epoch_no, told.cross_id
        before = self.reconciliations.get(key)
        assert told.balanced and 1 <= told.part_no <= told.part_count
        if told.part_no == 1:
            assert before is None or before.part_no == before.part_count
            assert told.version == (1 if before is None else before.version + 1)
            self.reconciliations[key] = told
            return
        assert before is not None and (before.version, before.part_no) == (told.version, told.part_no - 1)
        sums = {name: getattr(before, name) + getattr(told, name) for name in SUMMED}
        self.reconciliations[key] = msgspec.structs.replace(told, **sums)

    def _allocation(self, allocation: Allocation) -> None:
        assert allocation.alloc_id not in self.seen, "an id is used once"
        self.seen.add(allocation.alloc_id)
        if allocation.kind is AllocKind.NEW:
            assert allocation.ref_alloc_id is None
        else:
            assert allocation.ref_alloc_id is not None
            old = self.standing.pop(allocation.ref_alloc_id)
            assert old.order_id == allocation.order_id and old.epoch_no == allocation.epoch_no
        assert allocation.net_money == allocation.alloc_qty * allocation.alloc_avg_px
        assert allocation.settlement_date == SETTLED
        if allocation.kind is AllocKind.CANCEL:
            assert (allocation.alloc_qty, allocation.net_money, allocation.fee) == (0, 0, 0)
        else:
            assert allocation.alloc_qty > 0
            self.standing[allocation.alloc_id] = allocation

    def cum(self, order_id: str) -> int:
        events = self.events.get(order_id)
        return events[-1].cum_qty if events else 0

    def of_epoch(self, parent_id: str, epoch_no: int) -> dict[str, Allocation]:
        return {
            a.order_id: a
            for a in self.standing.values()
            if a.alloc_source is AllocSource.EXECUTIONS and (a.parent_id, a.epoch_no) == (parent_id, epoch_no)
        }

    def shares(self) -> dict[tuple[str, str, int, str], Share]:
        """Everything that stands, by what it is a share of; ids left aside."""
        return {
            (a.order_id, a.parent_id or "", a.epoch_no, a.cross_id or ""): (a.alloc_qty, a.alloc_avg_px, a.fee)
            for a in self.standing.values()
        }

    def ends(self) -> dict[str, tuple[str, int]]:
        return {o: (c.ord_status.value, self.cum(o)) for o, c in self.closed.items()}

    def check_epoch(self, parent_id: str, epoch_no: int, fills: Sequence[Fill]) -> None:
        """Quantity, money and fees of an epoch against its executions, to the last unit."""
        qty, money, fee = totals(fills, parent_id, epoch_no)
        shares = self.of_epoch(parent_id, epoch_no).values()
        told = self.reconciliations[parent_id, epoch_no, None]
        assert (told.executed_qty, told.executed_money, told.executed_fee) == (qty, money, fee)
        assert told.allocated_qty == sum(a.alloc_qty for a in shares)
        assert told.allocated_qty + told.error_account_qty == qty
        assert told.executed_money == told.allocated_money + told.residual
        assert 2 * abs(told.residual) <= qty
        assert told.allocated_fee == fee
        assert told.allocation_count == len(shares)
        prices = {a.alloc_avg_px for a in shares}
        assert len(prices) <= 1, "one average price"
        if told.error_account_qty == 0:
            assert sum(a.net_money for a in shares) + told.residual == money
            assert sum(a.fee for a in shares) == (fee if qty else 0)

    def check_orders(self) -> None:
        """What clients were told is what is allocated to them."""
        for order_id, events in self.events.items():
            mine = [a for a in self.standing.values() if a.order_id == order_id]
            if events[-1].final:
                qty, money = sum(a.alloc_qty for a in mine), sum(a.net_money for a in mine)
                assert events[-1].cum_qty == qty, order_id
                if qty:
                    avg = events[-1].avg_px
                    assert avg is not None and 2 * abs(avg * qty - money) <= qty


def totals(fills: Iterable[Fill], parent_id: str, epoch_no: int) -> tuple[int, int, int]:
    """(quantity, money, fees) that stand: the last word on each fill."""
    standing: dict[str, tuple[int, int, int]] = {}
    for f in fills:
        if (f.parent_id, f.epoch_no) != (parent_id, epoch_no):
            continue
        assert f.last_px is not None or f.kind is FillKind.QUIET
        if f.kind is FillKind.TRADE:
            standing[f.fill_id] = f.last_qty, f.last_qty * (f.last_px or 0), f.fee
        elif f.kind is FillKind.BUST:
            del standing[f.ref_fill_id or ""]
        elif f.kind is FillKind.CORRECT:
            standing[f.ref_fill_id or ""] = f.last_qty, f.last_qty * (f.last_px or 0), f.fee
    rows = list(standing.values())
    return sum(r[0] for r in rows), sum(r[1] for r in rows), sum(r[2] for r in rows)
