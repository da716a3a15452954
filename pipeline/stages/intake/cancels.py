"""Cancels: of open orders they always pass; those that overtook their orders wait for them.

An order that its sender has put on another partition than its source's own takes a longer way than a cancel that was
put on the right one, so the cancel may come first. It then waits, unanswered, for a stated time (``cancel_wait_ns``).
The order that comes meanwhile is accepted and cancelled at once. After that time the cancel is refused UNKNOWN_ORDER;
but that is no last word: sent again, it is judged anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipeline.domain.orders import Order, OrderEvent, OrderKind, OrderRequest, OrdStatus, RequestKind
from pipeline.domain.record import Owned
from pipeline.domain.rejections import RejectReason
from pipeline.domain.units import NS_PER_S
from pipeline.stages.intake.answers import KnownOrder, known_order, order_key, refuse, refused
from pipeline.stages.intake.checks import long_text
from pipeline.stages.intake.parameters import IntakeParameters
from pipeline.stages.intake.state import EarlyCancel, IntakeState, Request


def take_cancel(
    state: IntakeState, r: OrderRequest, append_ns: int, key: str, digest: bytes, parameters: IntakeParameters
) -> Iterator[Owned]:
    """Judge a cancel that is new, or sent again after UNKNOWN_ORDER: pass it on, let it wait or refuse it."""
    if not may_still_come(state, r, key, parameters):
        yield _judged(state, r, append_ns, state.session_ns(append_ns), key, digest)
        return
    state.requests.put(key, Request(digest, "", None, OrdStatus.UNKNOWN, is_cancel=True))
    # A copy, because the request keeps the bytes it was read from, and these do not survive a restore: the cancel that
    # is written later must be the same either way.
    waiting = EarlyCancel(
        request=msgspec.structs.replace(r),
        key=key,
        digest=digest,
        append_ns=append_ns,
        received_ns=state.session_ns(append_ns),
        until_ns=state.now_ns + parameters.cancel_wait_ns,
    )
    state.let_wait(order_key(state, r), waiting)


def may_still_come(state: IntakeState, r: OrderRequest, key: str, parameters: IntakeParameters) -> bool:
    """Whether the order that a cancel names is unknown, could come, and may be waited for."""
    of = order_key(state, r)
    return (
        bool(r.orig_cl_ord_id)
        and of != key
        and of not in state.requests
        and parameters.cancel_wait_ns > 0
        and state.waiting_of(r.source) < parameters.cancels_waiting
        and long_text(r, parameters.longest_text) is None
    )


def is_judged_anew(state: IntakeState, r: OrderRequest, key: str, first: Request, parameters: IntakeParameters) -> bool:
    """Whether a repeat is no mere repeat: the cancel of an order that was not known, and is now or could come yet."""
    if r.kind is not RequestKind.CANCEL or first.reason is not RejectReason.UNKNOWN_ORDER:
        return False
    known = known_order(state.requests.get(order_key(state, r)))
    return bool(known.order_id) or may_still_come(state, r, key, parameters)


def settle(state: IntakeState, key: str) -> Iterator[Owned]:
    """The request ``key`` was just decided: what has waited for it is judged now."""
    for each in state.stop_waiting(key):
        yield _judged(state, each.request, each.append_ns, each.received_ns, each.key, each.digest)


def give_up(state: IntakeState, parameters: IntakeParameters, *, day_ends: bool) -> Iterator[Owned]:
    """Refuse the cancels that have waited for the whole of their time, at the day's end all. Called at a tick."""
    for key in state.early.keys():
        waiting = state.early[key].waiting
        late = [each for each in waiting if day_ends or each.until_ns <= state.now_ns]
        if not late:
            continue
        still = waiting[len(late) :]  # who came first has waited longest
        state.stop_waiting(key)
        for each in still:
            state.let_wait(key, each)
        for each in late:
            text = (
                f"orig_cl_ord_id {each.request.orig_cl_ord_id!r} did not come from {each.request.source} within "
                f"{parameters.cancel_wait_ns / NS_PER_S:g} s: send the cancel again when in doubt, it is judged anew"
            )
            # Another day may have begun. Its orders are not meant; and to the requests of the day that is over, which
            # are on their way out, nothing is added.
            reason, none = RejectReason.UNKNOWN_ORDER, KnownOrder()
            if each.key in state.requests:
                yield refuse(state, each.request, each.key, each.digest, reason, text, none)
            else:
                yield refused(state, each.request, reason, text, none)


def _judged(
    state: IntakeState, r: OrderRequest, append_ns: int, received_ns: int, key: str, digest: bytes
) -> Order | OrderEvent:
    """The cancel of an order that is known or never will be: passed on while the order is open, else refused."""
    known = known_order(state.requests.get(order_key(state, r)))
    if not known.order_id:
        text = f"orig_cl_ord_id {r.orig_cl_ord_id!r} is no order accepted from {r.source} today"
        return refuse(state, r, key, digest, RejectReason.UNKNOWN_ORDER, text)
    order = state.orders.get(known.order_id)
    if order is None:
        text = f"order {known.order_id} is done: {known.ord_status}, {known.cum_qty} executed"
        return refuse(state, r, key, digest, RejectReason.TOO_LATE_TO_CANCEL, text)
    state.requests.put(key, Request(digest, known.order_id, None, OrdStatus.UNKNOWN, is_cancel=True))
    return Order(
        kind=OrderKind.CANCEL,
        order_id=known.order_id,
        instrument=order.instrument,
        trade_date=order.trade_date,
        append_ns=append_ns,
        received_ns=received_ns,
        accepted_ns=state.now_ns,
        request=r,
    )
