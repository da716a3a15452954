"""Our orders as a venue keeps them, and what the venue's rules say happens to them."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.domain.executions import Liquidity, ReportKind
from pipeline.domain.orders import OrdStatus, OrdType, Side, TimeInForce
from pipeline.state import Entry


class VenueOrder(Entry):
    """An order of ours at a venue, live or done."""

    venue: str
    instrument: str
    wire_id: str
    no: int
    """Counts our orders at this venue in this instrument: time priority among ours."""
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
        return f"{self.venue}/{self.instrument}/{self.no:09d}"

    @property
    def is_buy(self) -> bool:
        return self.side is Side.BUY

    @property
    def is_live(self) -> bool:
        return self.leaves_qty > 0

    def accepts(self, px: int) -> bool:
        """Whether its limit allows an execution at ``px``."""
        if self.limit_px is None:
            return True
        return px <= self.limit_px if self.is_buy else px >= self.limit_px

    def execute(self, qty: int) -> None:
        """Book an execution of ``qty``, at most what is left."""
        self.cum_qty += qty
        self.leaves_qty -= qty
        self.ord_status = OrdStatus.FILLED if self.leaves_qty == 0 else OrdStatus.PARTIALLY_FILLED

    def end(self, status: OrdStatus) -> None:
        """Nothing is left open, for the reason ``status`` gives."""
        self.leaves_qty = 0
        self.ord_status = status


class Execution(NamedTuple):
    """An execution of one of our orders."""

    order: VenueOrder
    qty: int
    px: int
    liquidity: Liquidity


class Answer(NamedTuple):
    """What a venue says about an order: the order's state at that moment, before latency and report ids."""

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
    """For answers to cancels: the cancel's own; empty otherwise."""


def say(order: VenueOrder, kind: ReportKind, reason: str = "", wire_id: str = "") -> Answer:
    """An answer without an execution."""
    return Answer(kind, order, order.ord_status, order.cum_qty, order.leaves_qty, reason=reason, wire_id=wire_id)


def reject(order: VenueOrder, reason: str) -> Answer:
    """Not taken in: nothing of it is open."""
    order.end(OrdStatus.REJECTED)
    return say(order, ReportKind.REJECTED, reason)


def cancel_rest(order: VenueOrder, reason: str) -> Answer:
    """The venue ends what is left without having been asked."""
    order.end(OrdStatus.CANCELED)
    return say(order, ReportKind.CANCELED, reason)


def traded(execution: Execution) -> Answer:
    """An execution that has just been booked on its order."""
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
