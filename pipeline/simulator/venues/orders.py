"""Our orders as a simulated venue keeps them, and its answers about them."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.domain.executions import Liquidity, ReportKind
from pipeline.domain.orders import OrdStatus, OrdType, Side, TimeInForce
from pipeline.state import Entry


class VenueOrder(Entry):
    """An order of ours at a venue, live or done. Prices 1e-9 currency units, quantities units."""

    venue: str
    instrument: str
    wire_id: str
    no: int
    """Number of the order among ours at this venue in this instrument: their time priority."""
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    limit_px: int | None
    order_qty: int
    min_qty: int
    cum_qty: int = 0
    leaves_qty: int = 0
    ahead_qty: int = 0
    """Recorded quantity at its price that must be executed before it."""
    ord_status: OrdStatus = OrdStatus.NEW

    @property
    def key(self) -> str:
        """Its key in the state table; keys of one venue and instrument sort in time order."""
        return f"{self.venue}/{self.instrument}/{self.no:09d}"

    @property
    def is_buy(self) -> bool:
        """Whether it buys; every kind of sale is False."""
        return self.side is Side.BUY

    @property
    def is_live(self) -> bool:
        """Whether any of it is still open."""
        return self.leaves_qty > 0

    def accepts(self, px: int) -> bool:
        """Whether its limit allows an execution at ``px`` (1e-9 currency units)."""
        if self.limit_px is None:
            return True
        return px <= self.limit_px if self.is_buy else px >= self.limit_px

    def execute(self, qty: int) -> None:
        """Book an execution of ``qty`` units, which must not be more than is left."""
        self.cum_qty += qty
        self.leaves_qty -= qty
        self.ord_status = OrdStatus.FILLED if self.leaves_qty == 0 else OrdStatus.PARTIALLY_FILLED

    def end(self, status: OrdStatus) -> None:
        """Close it with ``status``: nothing of it stays open."""
        self.leaves_qty = 0
        self.ord_status = status


class Execution(NamedTuple):
    """An execution of one of our orders."""

    order: VenueOrder
    qty: int
    px: int
    liquidity: Liquidity


class Answer(NamedTuple):
    """A venue's answer about an order, with the order's state at that moment; latency and report ids are added
    later."""

    kind: ReportKind
    order: VenueOrder
    ord_status: OrdStatus
    cum_qty: int
    leaves_qty: int
    last_qty: int = 0
    last_px: int | None = None
    liquidity: Liquidity = Liquidity.UNKNOWN
    reason: str = ""
    wire_id: str = ""
    """For the answer to a cancel: the cancel's own wire id; empty otherwise."""


def say(order: VenueOrder, kind: ReportKind, reason: str = "", wire_id: str = "") -> Answer:
    """An answer without an execution."""
    return Answer(kind, order, order.ord_status, order.cum_qty, order.leaves_qty, reason=reason, wire_id=wire_id)


def reject(order: VenueOrder, reason: str) -> Answer:
    """The answer that rejects ``order``, and closes it."""
    order.end(OrdStatus.REJECTED)
    return say(order, ReportKind.REJECTED, reason)


def cancel_rest(order: VenueOrder, reason: str) -> Answer:
    """The answer that cancels what is left of ``order`` without our request, and closes it."""
    order.end(OrdStatus.CANCELED)
    return say(order, ReportKind.CANCELED, reason)


def traded(execution: Execution) -> Answer:
    """The answer for an execution that has just been booked on its order."""
    order = execution.order
    return Answer(
        ReportKind.TRADE,
        order,
        order.ord_status,
        order.cum_qty,
        order.leaves_qty,
        execution.qty,
        execution.px,
        execution.liquidity,
    )
