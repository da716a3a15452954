"""Intake: turns clients' requests into orders, or refuses them with a named reason.

- Reads: orders-in, orders-rerouted, order-closures, controls, clock, reference-prices, credit; reference data:
  instruments, accounts, venues, limits.
- Keeps: each request of the day (who, content, answer), open orders with the credit they hold, switches, reference
  data, leases and the last midpoints.
- Writes: orders; order-events ACCEPTED, REFUSED, REPEATED and CANCEL_REFUSED; orders-rerouted; alerts.
- Refuses: with every reason in ``checks.py``; unknown senders and kinds; a ClOrdID used again with other content;
  replaces (first form).
- Conserves: one request (source, trade date, ClOrdID) is booked at most once, and answered each time it is sent;
  on each account and side, credit reserved <= credit leased at the moment of reserving; released once, when closed.

A request on another partition than its source's own is only forwarded, unchanged, so that one task sees all requests
of a source whatever partitioner the sender has. Cancels of open orders always pass: under kill, pause, any limit. They
are matched by source and orig_cl_ord_id alone, so that no slip in another field keeps an order alive.

A request has an identity once it has a known source and a ClOrdID, and has it for the trading day; refused requests
and cancels have one too. A repeat is a duplicate only if all its content is the same, transact_ns included.

First form: no GTC, so no identity beyond the day; requests of a day are forgotten, some per tick, once the clock shows
another day. Credit is counted in one currency.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from pipeline.domain.controls import Alert, AlertKind, Control, CreditLease, Tick
from pipeline.domain.market import ReferencePrice
from pipeline.domain.orders import (
    Order,
    OrderEvent,
    OrderEventKind,
    OrderKind,
    OrderRequest,
    OrderRerouted,
    OrdersClosed,
    OrdStatus,
    RequestKind,
    Side,
)
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import Account, Instrument, Limit, LimitScope, ReferenceKind, Venue
from pipeline.domain.rejections import RejectReason, fix_code
from pipeline.domain.settlement import knows_settlement, settlement_date
from pipeline.stage import Meta, Stage
from pipeline.stages.intake.checks import end_ns, order_value, refusal
from pipeline.stages.intake.parameters import IntakeParameters
from pipeline.stages.intake.refusal_texts import text_of
from pipeline.stages.intake.state import IntakeState, OpenOrder, Request, SourceKnown
from pipeline.state import Task

_encode = msgspec.msgpack.Encoder().encode


class IntakeStage(Stage[IntakeState]):
    """Accepts orders or refuses them; holds the credit of those that are open."""

    name: ClassVar[str] = "intake"
    title: ClassVar[str] = "validates, normalises, enriches, recognises repeats, refuses by name, re-keys by instrument"
    reads: ClassVar[tuple[type[Record], ...]] = (
        OrderRequest,
        OrderRerouted,
        Control,
        Tick,
        Instrument,
        Account,
        Venue,
        Limit,
        CreditLease,
        ReferencePrice,
        OrdersClosed,
    )
    writes: ClassVar[tuple[type[Owned], ...]] = (OrderRerouted, Order, OrderEvent, Alert)

    parameters: IntakeParameters

    def __init__(self, parameters: IntakeParameters = IntakeParameters()) -> None:  # noqa: B008 - a frozen constant
        self.parameters = parameters

    def new_state(self, task: Task) -> IntakeState:
        return IntakeState(task)

    def step(self, state: IntakeState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case OrderRequest():
                yield from _receive(state, message, meta.append_ns)
            case OrderRerouted():
                yield from _take(state, message.request, message.append_ns)
            case OrdersClosed():
                yield from _close(state, message)
            case Tick():
                state.pass_time(message, self.parameters.forget_per_tick)
                yield from _assumed_settlements(state)
            case ReferencePrice():
                state.learn_price(message)
            case Control():
                state.switches.apply(message)
            case Instrument():
                state.learn(state.instruments, message)
            case Account():
                if message.kind is ReferenceKind.SET and message.source not in state.sources:
                    state.sources.put(message.source, SourceKnown())
                state.learn(state.accounts, message)
            case Venue():
                state.venues.put(message, state.now_ns)
            case Limit():
                if message.scope is not LimitScope.GATE:
                    state.learn(state.limits, message)
            case CreditLease():
                if message.partition == state.task.partition:
                    state.learn(state.leases, message)
            case _:
                raise TypeError(f"intake does not read {type(message).__name__}")


# -------------------------------------------------------------------- requests


def _receive(state: IntakeState, r: OrderRequest, append_ns: int) -> Iterator[Owned]:
    if partition_of(r.source, state.task.partitions) == state.task.partition:
        yield from _take(state, r, append_ns)
    else:
        yield OrderRerouted(source=r.source, append_ns=append_ns, origin_partition=state.task.partition, request=r)


def _take(state: IntakeState, r: OrderRequest, append_ns: int) -> Iterator[Owned]:
    """Answer a request of a source of this partition."""
    nameless = _nameless(state, r)
    if nameless is not None:
        yield _refused(state, r, *nameless)
        return
    key = state.request_key(r.source, r.cl_ord_id)
    digest = hashlib.blake2b(_encode(msgspec.structs.astuple(r)), digest_size=16).digest()
    first = state.requests.get(key)
    if first is not None:
        if first.digest == digest:
            yield _repeated(state, r, first)
        else:
            text = f"cl_ord_id {r.cl_ord_id} was used today with other content; what it first asked for stands"
            yield _refused(state, r, RejectReason.CONFLICTING_REPEAT, text, "", OrdStatus.UNKNOWN)
        return
    match r.kind:
        case RequestKind.NEW:
            yield from _new(state, r, append_ns, key, digest)
        case RequestKind.CANCEL:
            yield from _cancel(state, r, append_ns, key, digest)
        case RequestKind.REPLACE:
            text = "replace is not supported yet: cancel the order and send a new one"
            # UNKNOWN, because intake does not follow an order's status: allocation does.
            yield _refuse(state, r, key, digest, RejectReason.REPLACE_NOT_SUPPORTED, text, "", OrdStatus.UNKNOWN)
        case _:
            text = "kind is not one of NEW, CANCEL, REPLACE"
            yield _refuse(state, r, key, digest, RejectReason.UNKNOWN_KIND, text)


def _nameless(state: IntakeState, r: OrderRequest) -> tuple[RejectReason, str] | None:
    """The reason and text when a request has no identity (it is then refused every time it is sent), else None."""
    if not r.source:
        return RejectReason.MISSING_SOURCE, "source is missing"
    if r.source not in state.sources:
        # Checked first: nothing is stored for unknown senders, and publishing recognises them by this reason.
        return RejectReason.UNKNOWN_SOURCE, f"source {r.source!r} is not known: no account names it"
    if not r.cl_ord_id:
        return RejectReason.MISSING_CL_ORD_ID, "cl_ord_id is missing"
    if state.now_ns == 0:
        return RejectReason.MARKET_CLOSED, "the clock has not started: send again"
    return None


def _new(state: IntakeState, r: OrderRequest, append_ns: int, key: str, digest: bytes) -> Iterator[Owned]:
    received_ns = state.session_ns(append_ns)
    facts = state.facts(r, received_ns)
    reason = refusal(r, facts)
    if reason is not None:
        yield _refuse(state, r, key, digest, reason, text_of(reason, r, facts))
        return
    account, instrument, order_qty = facts.account, facts.instrument, r.order_qty
    assert account is not None and instrument is not None and order_qty is not None, "the guards have seen to it"
    order_id = state.next_id("O")
    trade_date = state.clock.trade_date
    if not knows_settlement(instrument, trade_date):
        state.note_assumed_settlement(r.instrument)
    state.requests.put(key, Request(digest, order_id, None, OrdStatus.UNKNOWN))
    state.open(
        order_id,
        OpenOrder(key, r.account, r.instrument, trade_date, r.side is Side.BUY, order_value(r, facts)),
    )
    yield Order(
        kind=OrderKind.NEW,
        order_id=order_id,
        instrument=r.instrument,
        trade_date=trade_date,
        append_ns=append_ns,
        received_ns=received_ns,
        accepted_ns=facts.now_ns,
        account_class=account.account_class,
        owner=account.owner,
        control_group=account.control_group,
        currency=instrument.currency,
        limit_px=r.limit_px,
        start_ns=received_ns if r.start_ns is None else r.start_ns,
        end_ns=end_ns(r, instrument),
        participation_cap=r.participation_cap or 0,
        request=r,
        settlement_date=settlement_date(instrument, r.settlement_type, trade_date),
    )
    yield OrderEvent(
        kind=OrderEventKind.ACCEPTED,
        source=r.source,
        order_id=order_id,
        cl_ord_id=r.cl_ord_id,
        account=r.account,
        instrument=r.instrument,
        side=r.side,
        ord_status=OrdStatus.NEW,
        order_qty=order_qty,
        leaves_qty=order_qty,
        event_no=1,
        at_ns=facts.now_ns,
    )


def _cancel(state: IntakeState, r: OrderRequest, append_ns: int, key: str, digest: bytes) -> Iterator[Owned]:
    asked = state.requests.get(state.request_key(r.source, r.orig_cl_ord_id or ""))
    if asked is None or not asked.order_id or asked.is_cancel:
        text = f"orig_cl_ord_id {r.orig_cl_ord_id!r} is no order accepted from {r.source} today"
        yield _refuse(state, r, key, digest, RejectReason.UNKNOWN_ORDER, text)
        return
    order = state.orders.get(asked.order_id)
    if order is None:
        text = f"order {asked.order_id} is done: {asked.ord_status}, {asked.cum_qty} executed"
        yield _refuse(
            state,
            r,
            key,
            digest,
            RejectReason.TOO_LATE_TO_CANCEL,
            text,
            asked.order_id,
            asked.ord_status,
            asked.cum_qty,
        )
        return
    state.requests.put(key, Request(digest, asked.order_id, None, OrdStatus.UNKNOWN, is_cancel=True))
    yield Order(
        kind=OrderKind.CANCEL,
        order_id=asked.order_id,
        instrument=order.instrument,
        trade_date=order.trade_date,
        append_ns=append_ns,
        received_ns=state.session_ns(append_ns),
        accepted_ns=state.now_ns,
        request=r,
    )


# -------------------------------------------------------------------- answers


def _refuse(
    state: IntakeState,
    r: OrderRequest,
    key: str,
    digest: bytes,
    reason: RejectReason,
    text: str,
    order_id: str = "",
    ord_status: OrdStatus = OrdStatus.REJECTED,
    cum_qty: int = 0,
) -> OrderEvent:
    """Refuse a request and store the answer, for repeats of it."""
    is_cancel = r.kind is RequestKind.CANCEL
    state.requests.put(key, Request(digest, order_id, reason, ord_status, cum_qty, is_cancel))
    return _refused(state, r, reason, text, order_id, ord_status, cum_qty)


def _refused(
    state: IntakeState,
    r: OrderRequest,
    reason: RejectReason,
    text: str,
    order_id: str = "",
    ord_status: OrdStatus = OrdStatus.REJECTED,
    cum_qty: int = 0,
) -> OrderEvent:
    """The refusal as an order event. Its event_no is 0: it is no event in the life of an order."""
    of_cancel = r.kind in (RequestKind.CANCEL, RequestKind.REPLACE)
    return OrderEvent(
        kind=OrderEventKind.CANCEL_REFUSED if of_cancel else OrderEventKind.REFUSED,
        source=r.source,
        order_id=order_id,
        cl_ord_id=r.cl_ord_id,
        orig_cl_ord_id=r.orig_cl_ord_id,
        account=r.account,
        instrument=r.instrument or r.source,
        side=r.side,
        ord_status=ord_status,
        order_qty=r.order_qty or 0,
        cum_qty=cum_qty,
        reason=reason,
        fix_code=fix_code(reason, of_cancel=of_cancel),
        text=text,
        at_ns=state.now_ns,
        # After a conflict more events of this ClOrdID may follow: those of the first request's order.
        final=not of_cancel and reason is not RejectReason.CONFLICTING_REPEAT,
    )


def _repeated(state: IntakeState, r: OrderRequest, first: Request) -> OrderEvent:
    """The answer to a repeat: what the first one was answered, in short. The order's own events give its state.

    Keyed by the instrument of the request as it was sent, so it follows the first answer in the same partition.
    """
    of_cancel = r.kind in (RequestKind.CANCEL, RequestKind.REPLACE)
    return OrderEvent(
        kind=OrderEventKind.REPEATED,
        source=r.source,
        order_id=first.order_id,
        cl_ord_id=r.cl_ord_id,
        orig_cl_ord_id=r.orig_cl_ord_id,
        account=r.account,
        instrument=r.instrument or r.source,
        side=r.side,
        ord_status=first.ord_status,
        order_qty=r.order_qty or 0,
        cum_qty=first.cum_qty,
        reason=first.reason,
        fix_code=None if first.reason is None else fix_code(first.reason, of_cancel=of_cancel),
        text="a repeat of a request that was refused" if first.reason else "a repeat of a request that was taken",
        at_ns=state.now_ns,
    )


# -------------------------------------------------------------------- the rest


def _close(state: IntakeState, closed: OrdersClosed) -> Iterator[Owned]:
    for order in closed.orders:
        if not state.close(order):
            yield Alert(
                kind=AlertKind.BREAK,
                instrument=closed.instrument,
                subject_id=order.order_id,
                reason="CLOSED_NOT_OPEN",
                text="an order was closed that is not open here; no credit was given back. Look for two closures of it",
                at_ns=state.now_ns,
            )


def _assumed_settlements(state: IntakeState) -> Iterator[Alert]:
    for instrument in state.assumed_settlements():
        yield Alert(
            kind=AlertKind.BREAK,
            instrument=instrument,
            subject_id=instrument,
            reason="SETTLEMENT_DATE_ASSUMED",
            text=f"no record of {instrument} says when its trades of the day settle: its orders were given dates by "
            "weekdays, holidays not skipped. Load the record of the day (`pipeline reference sessions` makes it)",
            at_ns=state.now_ns,
        )
