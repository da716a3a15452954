"""What clients and post-trade get: allocations, trade reports, the reconciliation."""

from __future__ import annotations

from pipeline.domain.orders import Capacity, Side
from pipeline.domain.record import Kind, Owned
from pipeline.domain.units import Count, Money, Ns, Px, Qty, TradeDate


class AllocKind(Kind):
    """FIX AllocTransType (71)."""

    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    REPLACE = "REPLACE"
    CANCEL = "CANCEL"


class AllocSource(Kind):
    """What is shared out."""

    UNKNOWN = "UNKNOWN"
    EXECUTIONS = "EXECUTIONS"
    CROSS = "CROSS"


class Allocation(Owned, frozen=True, kw_only=True):
    """One client order's share of an epoch's executions, or of a cross. The contract of `allocations`.

    Fit for FIX AllocationInstruction (J): AllocID 70, AllocAccount 79, AllocQty 80, AllocAvgPx 153. All shares of
    an epoch carry the epoch's one average price. A REPLACE or CANCEL names the allocation it restates.
    """

    kind: AllocKind = AllocKind.UNKNOWN
    """New, replacing, or cancelling."""
    alloc_id: str
    """Our id."""
    ref_alloc_id: str | None = None
    """REPLACE, CANCEL: the allocation before it."""
    alloc_source: AllocSource = AllocSource.UNKNOWN
    """Executions of a parent's epoch, or a cross."""
    instrument: str
    """The instrument; the key."""
    parent_id: str | None = None
    """The parent; null for a cross in the window."""
    epoch_no: int = 0
    """The epoch."""
    cross_id: str | None = None
    """The cross."""
    order_id: str
    """The client order."""
    source: str
    """Whose."""
    cl_ord_id: str
    """The client's id of it."""
    alloc_account: str
    """The account."""
    side: Side
    """Side."""
    capacity: Capacity
    """Our seat in it."""
    alloc_qty: Qty
    """Its share."""
    alloc_avg_px: Px
    """The epoch's average price, rounded half up; a cross's own price."""
    net_money: Money
    """alloc_qty times alloc_avg_px."""
    fee: Money
    """Its share of fees and rebates, by carried largest remainder."""
    currency: str
    """Currency."""
    trade_date: TradeDate
    """Trade date."""
    settlement_date: TradeDate
    """Settlement date: two weekdays later (first form: no holidays)."""
    at_ns: Ns
    """Session time."""


class Reconciliation(Owned, frozen=True, kw_only=True):
    """What was executed against what was allocated, for one epoch or one cross. The contract of `reconciliations`.

    executed_money = allocated_money + residual; the residual goes to the named rounding account.
    """

    instrument: str
    """The instrument; the key."""
    parent_id: str | None
    """The parent; null for a cross."""
    epoch_no: int
    """The epoch."""
    cross_id: str | None = None
    """The cross."""
    version: Count
    """1, and one more with each restatement."""
    executed_qty: Qty
    """Executed at venues, or crossed."""
    allocated_qty: Qty
    """Shared out to clients."""
    error_account_qty: Qty
    """Booked to the error account: over-fills beyond what any member had open."""
    error_account: str = ""
    """Who owns error_account_qty, and its money and part of the fees in the lines below; empty when there is none."""
    executed_money: Money
    """Sum of quantity times price of the executions."""
    allocated_money: Money
    """Sum of the allocations' net_money, and of the error account's."""
    residual: Money
    """executed_money - allocated_money: from rounding the average price."""
    rounding_account: str
    """Who gets the residual."""
    executed_fee: Money
    """Fees of the executions."""
    allocated_fee: Money
    """Fees shared out; equal."""
    allocation_count: Count
    """Allocations it speaks of."""
    balanced: bool
    """Every line above holds."""
    at_ns: Ns
    """Session time."""
    part_no: Count = 1
    """Counts the records of one version from 1. Their figures add up: money that fits no single record is in parts."""
    part_count: Count = 1
    """How many there are."""


class TradeReport(Owned, frozen=True, kw_only=True):
    """A report owed for a cross. The contract of `trade-reports`."""

    cross_id: str
    """The cross."""
    instrument: str
    """The instrument; the key."""
    cancelled: bool = False
    """The cross was busted: the report is to be taken back."""
    px: Px
    """Price."""
    qty: Qty
    """Quantity."""
    trade_date: TradeDate
    """Trade date."""
    executed_ns: Ns
    """Session time of the cross."""
    rule_ids: tuple[str, ...]
    """The crossing rules relied on."""
