"""Makes the records that netting writes from its rows: lineage, statements, parents, crosses with their evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.int64 import LONG_MAX
from pipeline.domain.parents import (
    Cross,
    CrossKind,
    CrossLeg,
    Lineage,
    LineageKind,
    Member,
    ParentKind,
    ParentOrder,
)
from pipeline.domain.rejections import RejectReason
from pipeline.stages.netting.crossing import CrossOutcome, CrossPart, Offer, cross, in_bounds
from pipeline.stages.netting.eligibility import CrossRefusal, Rights
from pipeline.stages.netting.quote_history import QuoteAt
from pipeline.stages.netting.state import LiveOrder, Located, NettedParent, NettingState, Terms

# -------------------------------------------------------------------- lineage and statements


def left(
    located: Located, left_qty: int, at_ns: int, *, cl_ord_id: str | None = None, expired: bool = False
) -> Lineage:
    """LEFT: ``left_qty`` of an order is worked no more, by the cancel ``cl_ord_id`` or because it expired."""
    row = located.row
    return Lineage(
        kind=LineageKind.LEFT,
        instrument=row.instrument,
        bucket_id=row.bucket_id,
        parent_id=row.parent_id or None,
        order_id=located.order_id,
        request_cl_ord_id=cl_ord_id,
        left_qty=left_qty,
        expired=expired,
        at_ns=at_ns,
    )


def cancel_refused(
    instrument: str, order_id: str, cl_ord_id: str, reason: RejectReason, at_ns: int, row: LiveOrder | None = None
) -> Lineage:
    """CANCEL_REFUSED: a client's cancel that cannot be done. ``row``: the order's row, None when it has none."""
    return Lineage(
        kind=LineageKind.CANCEL_REFUSED,
        instrument=instrument,
        bucket_id="" if row is None else row.bucket_id,
        parent_id=None if row is None else row.parent_id or None,
        order_id=order_id,
        request_cl_ord_id=cl_ord_id,
        reason=reason,
        at_ns=at_ns,
    )


def member(located: Located) -> Member:
    """The order's line in a statement."""
    row = located.row
    return Member(
        order_id=located.order_id, source=row.source, account=row.account, contributed_qty=row.contributed_qty
    )


def members_hash(members: Sequence[Member]) -> str:
    """SHA-256, in hex, over the statement's lines ``order_id,contributed_qty`` joined by newlines, in order."""
    return hashlib.sha256("\n".join(f"{m.order_id},{m.contributed_qty}" for m in members).encode()).hexdigest()


def begin_epoch(
    state: NettingState,
    kind: ParentKind,
    parent_id: str,
    gross_qty: int = 0,
    crossed_qty: int = 0,
    first_received_ns: int = 0,
    arrival_px: int | None = None,
) -> Iterator[Lineage | ParentOrder | Alert]:
    """The statement of the parent's epoch, in chunks, and the record that begins it.

    An alert before them when a part of its quantity is below a lot: it can be neither sent nor crossed.
    """
    parent, at_ns, size = state.parents[parent_id], state.now_ns, state.parameters.chunk_members
    odd_qty = parent.order_qty % state.lot_qty(parent.terms.instrument)
    if odd_qty != parent.odd_qty:
        parent.odd_qty = odd_qty
        state.parents.put(parent_id, parent)
        if odd_qty:
            yield _below_lot(state, parent_id, parent)
    members = [member(located) for located in state.members(parent_id) if not located.row.outside]
    chunk_count = -(-len(members) // size)
    for no in range(chunk_count):
        yield Lineage(
            kind=LineageKind.MEMBERS,
            instrument=parent.terms.instrument,
            bucket_id=parent.bucket_id,
            parent_id=parent_id,
            epoch_no=parent.epoch_no,
            chunk_no=no + 1,
            chunk_count=chunk_count,
            members=tuple(members[no * size : (no + 1) * size]),
            at_ns=at_ns,
        )
    yield parent_record(
        kind,
        parent_id,
        parent,
        at_ns,
        gross_qty=gross_qty,
        crossed_qty=crossed_qty,
        member_count=len(members),
        hash_of_members=members_hash(members),
        first_received_ns=first_received_ns,
        arrival_px=arrival_px,
    )


def parent_record(
    kind: ParentKind,
    parent_id: str,
    parent: NettedParent,
    at_ns: int,
    *,
    gross_qty: int = 0,
    crossed_qty: int = 0,
    member_count: int = 0,
    hash_of_members: str = "",
    ask_id: str | None = None,
    ask_qty: int = 0,
    first_received_ns: int = 0,
    arrival_px: int | None = None,
) -> ParentOrder:
    """A record on `parents`. Each one repeats the terms that all members have in common."""
    terms = parent.terms
    return ParentOrder(
        kind=kind,
        parent_id=parent_id,
        instrument=terms.instrument,
        bucket_id=parent.bucket_id,
        trade_date=terms.trade_date,
        epoch_no=parent.epoch_no,
        side=terms.side,
        order_qty=parent.order_qty,
        gross_qty=gross_qty,
        crossed_qty=crossed_qty,
        member_count=member_count,
        members_hash=hash_of_members,
        strategy=terms.strategy,
        urgency=terms.urgency,
        completion=terms.completion,
        capacity=terms.capacity,
        currency=terms.currency,
        limit_px=terms.limit_px,
        start_ns=parent.start_ns,
        end_ns=parent.end_ns or terms.end_ns,
        participation_cap=terms.participation_cap,
        min_qty=terms.min_qty,
        allowed_venues=terms.allowed_venues,
        dark_allowed=terms.dark_allowed,
        ask_id=ask_id,
        ask_qty=ask_qty,
        first_received_ns=first_received_ns,
        arrival_px=arrival_px,
        at_ns=at_ns,
    )


def at_risk(state: NettingState, subject_id: str, terms: Terms, reason: str, text: str) -> Alert:
    """What must be done may not be, or not all of it: told once it is known, not at its end."""
    return Alert(
        kind=AlertKind.COMPLETION_AT_RISK,
        instrument=terms.instrument,
        subject_id=subject_id,
        reason=reason,
        text=text,
        at_ns=state.now_ns,
    )


def _below_lot(state: NettingState, parent_id: str, parent: NettedParent) -> Alert:
    instrument = parent.terms.instrument
    text = (
        f"{parent.odd_qty} of {parent.order_qty} in parent {parent_id} are below the lot of "
        f"{state.lot_qty(instrument)}: they cannot be sent, and end unfilled with their orders; cancel them, or change "
        f"the lot"
    )
    return at_risk(state, parent_id, parent.terms, "BELOW_LOT", text)


def arrival_px(state: NettingState, members: Sequence[Located]) -> int | None:
    """Midpoint at receipt in 1e-9 currency units, weighted by what each contributes, rounded half up.

    None when it is unknown for one of them.
    """
    money = qty = 0
    for _, row in members:
        px = state.market.midpoint_at(row.instrument, row.received_ns)
        px = row.arrival_px if px is None else px
        if px is None:
            return None
        money += px * row.contributed_qty
        qty += row.contributed_qty
    return (2 * money + qty) // (2 * qty) if qty else None


# -------------------------------------------------------------------- crossing


def offer(located: Located, terms: Terms, qty: int) -> Offer:
    """What an order offers to cross (``qty``), with everything that decides whether it may."""
    row = located.row
    bar = ""
    if terms.pegged:
        bar = CrossRefusal.PEGGED
    elif terms.min_qty:
        bar = CrossRefusal.MINIMUM_QUANTITY
    elif terms.directed_broker is not None:
        bar = CrossRefusal.DIRECTED_BROKER
    return Offer(
        order_id=located.order_id,
        parent_id=row.parent_id or None,
        source=row.source,
        account=row.account,
        account_class=row.account_class,
        owner=row.owner,
        control_group=row.control_group,
        consent=row.consent,
        capacity=terms.capacity,
        currency=terms.currency,
        settlement=terms.settlement_type,
        limit_px=terms.limit_px,
        bar=bar,
        qty=qty,
    )


def cross_now(
    state: NettingState,
    instrument: str,
    buys: Sequence[Offer],
    sells: Sequence[Offer],
    salt: str,
    *,
    dry: bool = False,
) -> tuple[CrossOutcome, list[Cross]]:
    """Cross two sides at the conditions of this moment. The caller must reduce the orders' rows by what crossed.

    salt   breaks ties between orders; see :func:`~pipeline.stages.netting.crossing.cross`
    dry    only see what would cross: no record is made, no id used up

    Short sales need no check of their own: under the short-sale price test (Rule 201 of Regulation SHO) they may
    execute only above the best bid, and the midpoint of a market that is neither locked nor crossed is above it.
    """
    if not buys or not sells:
        return CrossOutcome([], {}), []
    now_ns = state.now_ns
    known = state.instruments.get(instrument, now_ns)
    quote, conditions = state.market.for_cross(instrument, now_ns, None if known is None else known.reference_px)
    rights = Rights(state.rules.standing(now_ns), conditions, known, now_ns)
    px, lot_qty = None if quote is None else quote.midpoint_px, state.lot_qty(instrument)
    if px is not None and px * lot_qty > LONG_MAX:
        return CrossOutcome([], {str(CrossRefusal.BEYOND_64_BITS): 1}), []
    outcome = cross(buys, sells, px, rights, salt, state.parameters.max_parties, lot_qty)
    if dry or quote is None or px is None:
        return outcome, []
    return outcome, _cross_records(state, instrument, outcome, quote, px)


def _cross_records(state: NettingState, instrument: str, outcome: CrossOutcome, quote: QuoteAt, px: int) -> list[Cross]:
    assert quote.bid_px is not None and quote.offer_px is not None, "a midpoint has both sides"
    market, lot_qty = state.market.of(instrument), state.lot_qty(instrument)
    # No piece is of more money than a field of a message can carry; both its sides together are written nowhere.
    most_qty = LONG_MAX // px // lot_qty * lot_qty
    pieces = [piece for met in outcome.met for piece in in_bounds(met, state.parameters.max_legs, most_qty)]
    return [
        Cross(
            kind=CrossKind.TRADE,
            cross_id=state.next_id("X"),
            instrument=instrument,
            trade_date=state.clock.trade_date,
            px=px,
            qty=sum(part.qty for part in piece.buys),
            buys=_legs(piece.buys),
            sells=_legs(piece.sells),
            price_rule=piece.rule.price_rule,
            rule_ids=(piece.rule.rule_id,),
            quote_kind=quote.kind,
            bid_px=quote.bid_px,
            offer_px=quote.offer_px,
            quote_no=quote.quote_no,
            quote_ns=quote.event_ns,
            last_sale_px=market.last_sale_px,
            last_sale_ns=market.last_sale_ns,
            currency=piece.buys[0].offer.currency,
            trade_report_owed=piece.rule.trade_report_owed,
            at_ns=state.now_ns,
        )
        for piece in pieces
    ]


def _legs(parts: Sequence[CrossPart]) -> tuple[CrossLeg, ...]:
    return tuple(
        CrossLeg(
            order_id=part.offer.order_id,
            source=part.offer.source,
            account=part.offer.account,
            account_class=part.offer.account_class,
            parent_id=part.offer.parent_id,
            qty=part.qty,
        )
        for part in parts
    )


def refusals(
    instrument: str, subject_id: str, outcome: CrossOutcome, at_ns: int, already: Sequence[str] = ()
) -> Iterator[Alert]:
    """One alert for each reason that is not in ``already``, however many pairs were refused for it."""
    for reason, pairs in outcome.refused.items():
        if reason not in already:
            yield Alert(
                kind=AlertKind.CROSS_REFUSED,
                instrument=instrument,
                subject_id=subject_id,
                reason=reason,
                text=f"{pairs} pair(s) of parties with quantity left on both sides did not cross: it goes to market",
                at_ns=at_ns,
            )


def broken(instrument: str, subject_id: str, reason: str, text: str, at_ns: int) -> Alert:
    """Alert for a record that breaks the contract between stages; the record is ignored."""
    return Alert(
        kind=AlertKind.BREAK, instrument=instrument, subject_id=subject_id, reason=reason, text=text, at_ns=at_ns
    )
