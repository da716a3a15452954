"""Intake's answers: the order events for what is refused or was answered before, and what they say of the order.

An answer to a cancel or replace tells of the order that it names (FIX OrderCancelReject: OrderID and OrdStatus of that
order), any other of the request's own order. Intake knows that an order is open or how it ended, not what is executed
meanwhile: of an open order it says NEW and no quantities; allocation's events have them.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.domain.orders import OrderEvent, OrderEventKind, OrderRequest, OrdStatus, RequestKind
from pipeline.domain.rejections import RejectReason, fix_code
from pipeline.stages.intake.state import IntakeState, Request


class KnownOrder(NamedTuple):
    """An order as far as intake knows. Without an id there is no such order."""

    order_id: str = ""
    ord_status: OrdStatus = OrdStatus.REJECTED
    cum_qty: int = 0


def known_order(asked: Request | None) -> KnownOrder:
    """The order that a request of today has created; none for a cancel, or a request that was refused."""
    if asked is None or asked.is_cancel or not asked.order_id:
        return KnownOrder()
    is_open = asked.ord_status is OrdStatus.UNKNOWN
    return KnownOrder(asked.order_id, OrdStatus.NEW if is_open else asked.ord_status, asked.cum_qty)


def is_of_cancel(r: OrderRequest) -> bool:
    """Whether a request is about another request's order: a cancel or a replace."""
    return r.kind is RequestKind.CANCEL or r.kind is RequestKind.REPLACE


def order_key(state: IntakeState, r: OrderRequest) -> str:
    """The key of the request whose order this one is about: its own, or the one that a cancel or replace names."""
    return state.request_key(r.source, (r.orig_cl_ord_id or "") if is_of_cancel(r) else r.cl_ord_id)


def refuse(
    state: IntakeState,
    r: OrderRequest,
    key: str,
    digest: bytes,
    reason: RejectReason,
    text: str,
    order: KnownOrder | None = None,
) -> OrderEvent:
    """Refuse a request and store the answer, for repeats of it. ``order``: as in :func:`refused`."""
    event = refused(state, r, reason, text, order)
    of_cancel = is_of_cancel(r)
    request = Request(digest, event.order_id, reason, event.ord_status, event.cum_qty, of_cancel)
    state.requests.put(key, request)
    return event


def refused(
    state: IntakeState, r: OrderRequest, reason: RejectReason, text: str, order: KnownOrder | None = None
) -> OrderEvent:
    """The refusal as an order event. Its event_no is 0: it is no event in the life of an order.

    ``order``: the order it is about; None: the one that the request names today.
    """
    of_cancel = is_of_cancel(r)
    if order is None:
        order = known_order(state.requests.get(order_key(state, r)))
    return OrderEvent(
        kind=OrderEventKind.CANCEL_REFUSED if of_cancel else OrderEventKind.REFUSED,
        source=r.source,
        order_id=order.order_id,
        cl_ord_id=r.cl_ord_id,
        orig_cl_ord_id=r.orig_cl_ord_id,
        account=r.account,
        instrument=r.instrument or r.source,
        side=r.side,
        ord_status=order.ord_status,
        order_qty=_order_qty(r),
        cum_qty=order.cum_qty,
        reason=reason,
        fix_code=fix_code(reason, of_cancel=of_cancel),
        text=text,
        at_ns=state.now_ns,
        # After a conflict more events of this ClOrdID may follow: those of the first request's order.
        final=not of_cancel and reason is not RejectReason.CONFLICTING_REPEAT,
    )


def repeated(state: IntakeState, r: OrderRequest, first: Request) -> OrderEvent:
    """The answer to a repeat: what the first one was answered, in short, and the order as it stands.

    Keyed by the instrument of the request as it was sent, so it follows the first answer in the same partition.
    """
    of_cancel = is_of_cancel(r)
    order = known_order(state.requests.get(order_key(state, r)))
    if first.reason is not None:
        text = "a repeat of a request that was refused"
    elif first.order_id:
        text = "a repeat of a request that was taken"
    else:
        text, order = "a repeat of a cancel that waits for its order", KnownOrder("", OrdStatus.UNKNOWN)
    return OrderEvent(
        kind=OrderEventKind.REPEATED,
        source=r.source,
        order_id=order.order_id,
        cl_ord_id=r.cl_ord_id,
        orig_cl_ord_id=r.orig_cl_ord_id,
        account=r.account,
        instrument=r.instrument or r.source,
        side=r.side,
        ord_status=order.ord_status,
        order_qty=_order_qty(r),
        cum_qty=order.cum_qty,
        reason=first.reason,
        fix_code=None if first.reason is None else fix_code(first.reason, of_cancel=of_cancel),
        text=text,
        at_ns=state.now_ns,
    )


def _order_qty(r: OrderRequest) -> int:
    """What an order asks for. A replace asks for another quantity than was ordered: that is not told as the order's."""
    return 0 if is_of_cancel(r) else r.order_qty or 0
