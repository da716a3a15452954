"""What allocation writes of a share-out: allocations, reconciliations, alerts; each whole, in parts where it must be.

An amount of money that no record holds (``amounts.py``) is told by several records that add up to it, and by an alert.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from pipeline.domain.allocations import Allocation, AllocKind, AllocSource, Reconciliation
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.orders import SettlementType
from pipeline.domain.settlement import assumed_date
from pipeline.stages.allocation.amounts import parts_that_fit, quantities_that_fit, spread
from pipeline.stages.allocation.state import AllocationState, ClientOrder


def settles_on(order: ClientOrder, trade_date: int) -> int:
    """When an allocation of ``trade_date`` to this order settles (both yyyymmdd)."""
    return order.settlement_date or assumed_date(order.currency, SettlementType.REGULAR, trade_date)


class Share(NamedTuple):
    """What an order gets of an epoch's executions or of a cross: ``qty`` at ``px``, and ``fee`` (units of records)."""

    alloc_source: AllocSource
    parent_id: str | None
    epoch_no: int
    cross_id: str | None
    trade_date: int
    qty: int
    px: int
    fee: int


def allocations(
    state: AllocationState, order: ClientOrder, share: Share, standing: Sequence[str]
) -> Iterator[Allocation]:
    """The allocations that put ``share`` in force, in place of those with the ids ``standing``.

    Each of these is replaced or cancelled by exactly one. A share of nothing only cancels.
    """
    quantities = quantities_that_fit(share.qty, share.px)
    fees = spread(share.fee, len(quantities)) if quantities else []
    for number in range(max(len(quantities), len(standing))):
        ref_alloc_id = standing[number] if number < len(standing) else None
        qty, fee = (quantities[number], fees[number]) if number < len(quantities) else (0, 0)
        kind = AllocKind.NEW if ref_alloc_id is None else AllocKind.REPLACE if qty else AllocKind.CANCEL
        yield Allocation(
            kind=kind,
            alloc_id=state.next_id("A"),
            ref_alloc_id=ref_alloc_id,
            alloc_source=share.alloc_source,
            instrument=order.instrument,
            parent_id=share.parent_id,
            epoch_no=share.epoch_no,
            cross_id=share.cross_id,
            order_id=order.order_id,
            source=order.source,
            cl_ord_id=order.cl_ord_id,
            alloc_account=order.account,
            side=order.side,
            capacity=order.capacity,
            alloc_qty=qty,
            alloc_avg_px=share.px,
            net_money=qty * share.px,
            fee=fee,
            currency=order.currency,
            trade_date=share.trade_date,
            settlement_date=settles_on(order, share.trade_date),
            at_ns=state.now_ns,
        )


def in_force(made: Sequence[Allocation]) -> tuple[str, ...]:
    """The ids of those of ``made`` that stand for a quantity."""
    return tuple(allocation.alloc_id for allocation in made if allocation.kind is not AllocKind.CANCEL)


def reconciliation(told: Reconciliation) -> Iterator[Reconciliation | Alert]:
    """``told`` itself when its money fits; else parts of it, each balanced by itself, and an alert that says so."""
    count = parts_that_fit(told.allocated_money, told.residual)
    if count == 1:
        yield told
        return
    rows = zip(
        spread(told.allocated_qty, count),
        spread(told.error_account_qty, count),
        spread(told.allocated_money, count),
        spread(told.residual, count),
        spread(told.allocated_fee, count),
        spread(told.allocation_count, count),
        strict=True,
    )
    for number, (qty, error_qty, money, residual, fee, allocation_count) in enumerate(rows, 1):
        yield replace(
            told,
            executed_qty=qty + error_qty,
            allocated_qty=qty,
            error_account_qty=error_qty,
            executed_money=money + residual,
            allocated_money=money,
            residual=residual,
            executed_fee=fee,
            allocated_fee=fee,
            allocation_count=allocation_count,
            part_no=number,
            part_count=count,
        )
    what = f"cross {told.cross_id}" if told.cross_id is not None else f"parent {told.parent_id}, epoch {told.epoch_no}"
    yield broken(
        told.instrument,
        told.cross_id or told.parent_id or "",
        "MONEY_IN_PARTS",
        f"{what}: {told.executed_qty} for {told.executed_money} in 1e-9 currency units is more than one record holds; "
        f"{count} records on reconciliations add up to it, and so do the allocations of whoever got too much for one. "
        "Check that the venue meant it",
        told.at_ns,
    )


def broken(instrument: str, subject_id: str, reason: str, text: str, at_ns: int) -> Alert:
    """An alert that something in the books needs a person: ``reason`` is its name, ``text`` what to do."""
    return Alert(
        kind=AlertKind.BREAK, instrument=instrument, subject_id=subject_id, reason=reason, text=text, at_ns=at_ns
    )
