"""Intake: turns clients' requests into orders, or refuses them with a named reason.

- Reads: orders-in, orders-rerouted, order-closures, controls, clock, reference-prices, credit; reference data:
  instruments, accounts, venues, limits.
- Keeps: each request of the day (who, content, answer), cancels that wait for their orders, open orders with the credit
  they hold, switches, reference data, leases and the last midpoints.
- Writes: orders; order-events ACCEPTED, REFUSED, REPEATED and CANCEL_REFUSED; orders-rerouted; alerts.
- Refuses: with every reason in ``checks.py``; unknown senders and kinds; what a newer contract says and this version
  does not understand; a ClOrdID used again with other content; replaces (first form).
- Conserves: one request (source, trade date, ClOrdID) is booked at most once, and answered each time it is sent;
  on each account and side, credit reserved <= credit leased at the moment of reserving; released once, when closed.

A request on another partition than its source's own is only forwarded, unchanged, so that one task sees all requests
of a source whatever partitioner the sender has. Cancels of open orders always pass: under kill, pause, any limit. They
are matched by source and orig_cl_ord_id alone, so that no slip in another field keeps an order alive. One that comes
before its order waits for it (``cancels.py``).

A request has an identity once it has a known source and a ClOrdID, and has it for the trading day; refused requests
and cancels have one too. A repeat is a duplicate only if all its content is the same, transact_ns included. Only the
cancel of an order that was not known is judged anew when it is sent again.

First form: no GTC, so no identity beyond the day; requests of a day are forgotten, some per tick, once the clock shows
another day. Credit is counted in one currency.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, CreditLease, Tick, TickKind
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
from pipeline.domain.rejections import RejectReason
from pipeline.domain.settlement import knows_settlement, settlement_date
from pipeline.stage import Meta, Stage
from pipeline.stages.intake.answers import refuse, refused, repeated
from pipeline.stages.intake.cancels import give_up, is_judged_anew, settle, take_cancel
from pipeline.stages.intake.checks import end_ns, order_value, refusal
from pipeline.stages.intake.parameters import IntakeParameters
from pipeline.stages.intake.refusal_texts import text_of
from pipeline.stages.intake.state import IntakeState, OpenOrder, Request, SourceKnown
from pipeline.stages.shared.switches import SWITCH_KINDS
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
    answers: ClassVar[tuple[type[Record], ...]] = (OrderRequest, OrderRerouted)

    parameters: IntakeParameters

    def __init__(self, parameters: IntakeParameters = IntakeParameters()) -> None:  # noqa: B008 - a frozen constant
        self.parameters = parameters

    def new_state(self, task: Task) -> IntakeState:
        return IntakeState(task)

    def step(self, state: IntakeState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case OrderRequest():
                yield from _receive(state, message, meta.append_ns, meta.not_understood, self.parameters)
            case OrderRerouted():
                # What forwarded it did not understand, and what we do not understand of what it forwarded.
                ours = tuple(each.removeprefix("request.") for each in meta.not_understood)
                not_understood = (*message.not_understood, *ours)
                yield from _take(state, message.request, message.append_ns, not_understood, self.parameters)
            case OrdersClosed():
                yield from _close(state, message)
            case Tick():
                state.pass_time(message, self.parameters.forget_per_tick)
                yield from give_up(state, self.parameters, day_ends=message.kind is TickKind.DAY_END)
                yield from _assumed_settlements(state)
            case ReferencePrice():
                state.learn_price(message, self.parameters.reference_ahead_ns)
            case Control():
                yield from _obey(state, message)
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


def _receive(
    state: IntakeState, r: OrderRequest, append_ns: int, not_understood: tuple[str, ...], p: IntakeParameters
) -> Iterator[Owned]:
    if partition_of(r.source, state.task.partitions) == state.task.partition:
        yield from _take(state, r, append_ns, not_understood, p)
        return
    yield OrderRerouted(
        source=r.source,
        append_ns=append_ns,
        origin_partition=state.task.partition,
        request=r,
        not_understood=not_understood,
    )


def _take(
    state: IntakeState, r: OrderRequest, append_ns: int, not_understood: tuple[str, ...], p: IntakeParameters
) -> Iterator[Owned]:
    """Answer a request of a source of this partition."""
    nameless = _nameless(state, r, p)
    if nameless is not None:
        yield refused(state, r, *nameless)
        return
    key = state.request_key(r.source, r.cl_ord_id)
    digest = _digest(r, not_understood)
    first = state.requests.get(key)
    if first is not None and first.digest != digest:
        text = f"cl_ord_id {r.cl_ord_id} was used today with other content; what it first asked for stands"
        yield refused(state, r, RejectReason.CONFLICTING_REPEAT, text)
        return
    if first is not None and not is_judged_anew(state, r, key, first, p):
        yield repeated(state, r, first)
        return
    strange = _strange(r, not_understood)
    if r.kind is RequestKind.UNKNOWN:
        what = ", ".join(not_understood) or "kind"
        text = f"kind is not one of NEW, CANCEL, REPLACE: {what}"
        yield refuse(state, r, key, digest, RejectReason.UNKNOWN_KIND, text)
    elif strange:
        text = (
            f"not understood here: {', '.join(strange)}. Nothing was done: send it without, or ask for a newer release"
        )
        yield refuse(state, r, key, digest, RejectReason.NOT_UNDERSTOOD, text)
    else:
        match r.kind:
            case RequestKind.NEW:
                yield from _new(state, r, append_ns, key, digest, p)
            case RequestKind.CANCEL:
                yield from take_cancel(state, r, append_ns, key, digest, p)
            case RequestKind.REPLACE:
                text = "replace is not supported yet: cancel the order and send a new one"
                yield refuse(state, r, key, digest, RejectReason.REPLACE_NOT_SUPPORTED, text)
    yield from settle(state, key)


def _digest(r: OrderRequest, not_understood: tuple[str, ...]) -> bytes:
    """The same for the same content only; what we cannot read of it belongs to it."""
    content = msgspec.structs.astuple(r)
    return hashlib.blake2b(_encode((*content, not_understood) if not_understood else content), digest_size=16).digest()


def _strange(r: OrderRequest, not_understood: tuple[str, ...]) -> tuple[str, ...]:
    """What of a request must be understood before it is acted on, and is not.

    Of a cancel only fields that we do not have, which may say something else than *cancel all of it*: the symbols of
    fields that we know mean nothing in a cancel, and no slip there keeps an order alive.
    """
    if r.kind is not RequestKind.CANCEL:
        return not_understood
    return tuple(each for each in not_understood if each.partition("=")[0] not in OrderRequest.__struct_fields__)


def _nameless(state: IntakeState, r: OrderRequest, p: IntakeParameters) -> tuple[RejectReason, str] | None:
    """The reason and text when a request has no identity (it is then refused every time it is sent), else None."""
    if not r.source:
        return RejectReason.MISSING_SOURCE, "source is missing"
    if r.source not in state.sources:
        # Checked first: nothing is stored for unknown senders, and publishing recognises them by this reason.
        return RejectReason.UNKNOWN_SOURCE, f"source {r.source!r} is not known: no account names it"
    if not r.cl_ord_id:
        return RejectReason.MISSING_CL_ORD_ID, "cl_ord_id is missing"
    if len(r.cl_ord_id) > p.longest_text:
        return RejectReason.BAD_VALUE, f"cl_ord_id has {len(r.cl_ord_id)} characters, {p.longest_text} are the most"
    if state.now_ns == 0:
        return RejectReason.MARKET_CLOSED, "the clock has not started: send again"
    return None


def _new(
    state: IntakeState, r: OrderRequest, append_ns: int, key: str, digest: bytes, p: IntakeParameters
) -> Iterator[Owned]:
    received_ns = state.session_ns(append_ns)
    facts = state.facts(r, append_ns, received_ns, p)
    reason = refusal(r, facts)
    if reason is not None:
        yield refuse(state, r, key, digest, reason, text_of(reason, r, facts))
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


# -------------------------------------------------------------------- the rest


def _obey(state: IntakeState, control: Control) -> Iterator[Owned]:
    """Apply a switch, and tell the desk when it names what is not known: it believes that something was stopped."""
    state.switches.apply(control)
    if control.kind is ControlKind.CHANGE_PARENT and state.task.partition == 0:
        yield Alert(
            kind=AlertKind.BREAK,
            instrument=control.scope_id,
            subject_id=control.control_id,
            reason="CHANGE_PARENT_NOT_BUILT",
            text=f"control {control.control_id} of {control.who} was not done: a parent at work cannot be changed yet",
            at_ns=state.now_ns,
        )
    if control.kind not in SWITCH_KINDS or state.now_ns == 0 or state.task.partition != 0:
        return  # the first partition tells it for all, once reference data have come
    if state.is_known(control.scope, control.scope_id):
        return
    yield Alert(
        kind=AlertKind.BREAK,
        instrument=control.scope_id,
        subject_id=control.control_id,
        reason="UNKNOWN_SCOPE_ID",
        text=f"{control.kind} by {control.who}: no {control.scope} {control.scope_id!r} is known now. The switch is "
        f"set, for when it comes; if the name is a slip, nothing was changed yet",
        at_ns=state.now_ns,
    )


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
            "weekdays, holidays not skipped (none at all outside of USD). Load the record of the day (`pipeline "
            "reference sessions` makes it)",
            at_ns=state.now_ns,
        )
