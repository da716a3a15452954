"""What of a record cannot be booked, by name: it is set aside with an alert, and the rest of the books goes on.

All these records are our own stages', so each refusal here is a fault of ours to look for; but the books of the others
must not stop for it. Stateless: what contradicts the books is found where it would be booked.
"""

from __future__ import annotations

from pipeline.domain.dates import is_date
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import Order, OrderKind
from pipeline.domain.parents import Cross, CrossKind, Lineage, LineageKind, ParentKind, ParentOrder
from pipeline.domain.record import Record


def unusable(record: Record) -> str:
    """What is wrong with a record, in words; empty when it can be booked."""
    match record:
        case Order():
            return _order(record)
        case Lineage():
            return _lineage(record)
        case ParentOrder():
            return _parent(record)
        case Cross():
            return _cross(record)
        case Fill():
            return _fill(record)
        case _:
            return ""


def subject_of(record: Record) -> tuple[str, str]:
    """Instrument, and id of what a record of those above speaks of; two empty texts for any other record."""
    match record:
        case Order():
            return record.instrument, record.order_id
        case Lineage():
            return record.instrument, record.order_id or record.parent_id or ""
        case ParentOrder():
            return record.instrument, record.parent_id
        case Cross():
            return record.instrument, record.cross_id
        case Fill():
            return record.instrument, record.fill_id
        case _:
            return "", ""


def _order(order: Order) -> str:
    match order.kind:
        case OrderKind.NEW:
            return "" if (order.request.order_qty or 0) > 0 else f"its quantity is {order.request.order_qty}"
        case OrderKind.CANCEL:
            return ""
        case _:
            return "replaces are not built yet, and intake refuses them"


def _lineage(lineage: Lineage) -> str:
    match lineage.kind:
        case LineageKind.JOINED:
            return ""
        case LineageKind.MEMBERS:
            if lineage.parent_id is None:
                return "a statement without a parent"
            if not 1 <= lineage.chunk_no <= lineage.chunk_count:
                return f"chunk {lineage.chunk_no} of {lineage.chunk_count}"
            below = next((member for member in lineage.members if member.contributed_qty < 0), None)
            return "" if below is None else f"order {below.order_id} contributes {below.contributed_qty}"
        case LineageKind.LEFT | LineageKind.CANCEL_REFUSED:
            return "it names no order" if lineage.order_id is None else ""
        case _:
            return f"its kind is {lineage.kind}"


def _parent(order: ParentOrder) -> str:
    match order.kind:
        case ParentKind.NEW | ParentKind.EPOCH:
            return "" if is_date(order.trade_date) else f"its trade date is {order.trade_date}"
        case ParentKind.CROSS_DONE:
            return "" if order.crossed_qty >= 0 else f"{order.crossed_qty} were crossed"
        case ParentKind.RECALL | ParentKind.CROSS_ASK | ParentKind.DONE:
            return ""
        case _:
            return f"{order.kind} is not built yet"


def _cross(cross: Cross) -> str:
    if cross.kind is CrossKind.BUST:
        return ""
    if cross.kind is CrossKind.UNKNOWN:
        return f"its kind is {cross.kind}"
    bought, sold = sum(leg.qty for leg in cross.buys), sum(leg.qty for leg in cross.sells)
    if not bought == sold == cross.qty:
        return f"a cross of {cross.qty} that buys {bought} and sells {sold}"
    below = next((leg for leg in (*cross.buys, *cross.sells) if leg.qty <= 0), None)
    if below is not None:
        return f"order {below.order_id} has {below.qty} of it"
    if len({leg.order_id for leg in (*cross.buys, *cross.sells)}) < len(cross.buys) + len(cross.sells):
        return "an order has two legs of it"
    if cross.px <= 0:
        return f"its price is {cross.px}"
    return "" if is_date(cross.trade_date) else f"its trade date is {cross.trade_date}"


def _fill(fill: Fill) -> str:
    qty, px = fill.last_qty, fill.last_px or 0
    match fill.kind:
        case FillKind.TRADE | FillKind.BUST:
            wrong = qty <= 0 or px <= 0
        case FillKind.CORRECT:
            before = fill.prior_qty, fill.prior_px or 0
            wrong = qty < 0 or px < 0 or min(before) < 0 or (qty > 0 and px == 0) or (before[0] > 0 and before[1] == 0)
        case FillKind.QUIET | FillKind.CUT:
            if fill.last_qty < 0:
                return f"{fill.last_qty} may still execute"
            return "" if fill.crossed_qty >= 0 else f"{fill.crossed_qty} were crossed"
        case FillKind.RETURNED:
            return ""
        case _:
            return f"its kind is {fill.kind}"
    if wrong:
        was = f", until now {fill.prior_qty} at {fill.prior_px}" if fill.kind is FillKind.CORRECT else ""
        return f"{fill.kind} of {fill.last_qty} at {fill.last_px}{was}"
    over = fill.overfill_qty
    return "" if 0 <= over <= qty else f"{over} of {qty} are beyond what its parent permitted"
