"""Windows: orders join buckets of equal terms and wait; a close crosses them and makes parents of what remains.

An instrument has one window at a time, opened by its first order, so that opposing buckets close together and can
cross. A bucket may close later than its window (its orders do not start before) or earlier (they have little time:
waiting costs an order at most a part of what it has, `wait_part`). A mandate with a section in the parameters has
windows of its own beside that one: its orders meet the others' as working parents, or where two closes coincide. Held
orders do not wait: a bucket of theirs closes at once, and meets the other side only as a working parent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from pipeline.domain.controls import Alert
from pipeline.domain.orders import AccountClass, Completion, Order, OrdType
from pipeline.domain.parents import Cross, Lineage, LineageKind, Member, ParentKind, ParentOrder
from pipeline.domain.validators.faults import QTY_MAX
from pipeline.stages.netting import records as records
from pipeline.stages.netting.crossing import Offer
from pipeline.stages.netting.state import Bucket, Located, NettedParent, NettingState, Terms

Made = Lineage | ParentOrder | Cross | Alert


def terms_of(order: Order, now_ns: int) -> Terms:
    """What must be equal for two orders to share a bucket and later a parent: all that a parent has only one of.

    The list is in docs/design-rules.md, Netting and aggregation. A start that has passed at ``now_ns`` is no start: it
    means as soon as possible.
    """
    request = order.request
    match order.account_class:
        case AccountClass.OWN:
            whose = "OWN"
        case AccountClass.UNKNOWN:
            whose = "UNKNOWN"
        case _:
            whose = "CLIENTS"
    return Terms(
        instrument=order.instrument,
        trade_date=order.trade_date,
        side=request.side,
        capacity=request.capacity,
        currency=order.currency,
        settlement_type=request.settlement_type,
        held=request.held,
        strategy=request.strategy,
        urgency=request.urgency,
        completion=request.completion,
        risk_aversion=request.risk_aversion,
        start_ns=None if request.start_ns is None or order.start_ns <= now_ns else order.start_ns,
        end_ns=order.end_ns,
        limit_px=order.limit_px,
        pegged=request.ord_type is OrdType.PEGGED_MIDPOINT,
        allowed_venues=tuple(sorted(set(request.allowed_venues))),
        dark_allowed=request.dark_allowed,
        min_qty=request.min_qty or 0,
        participation_cap=order.participation_cap,
        directed_broker=request.directed_broker,
        whose=whose,
        alone="" if request.aggregation_consent else order.order_id,
    )


def key_of(terms: Terms, mandate: str = "") -> str:
    """16 hex digits of BLAKE2b (RFC 7693) over the terms' encoding: equal terms, equal key.

    ``mandate``: one with windows of its own, which are no others' buckets.
    """
    return hashlib.blake2b(msgspec.json.encode(terms) + mandate.encode(), digest_size=8).hexdigest()


def join(state: NettingState, order: Order) -> Iterator[Made]:
    """A new order enters its bucket; a held one leaves it at once, and so does a bucket that is full."""
    qty = order.request.order_qty
    if order.order_id in state.orders or not qty or not 0 < qty <= QTY_MAX:
        reason = "QUANTITY_TOO_LARGE" if qty and qty > QTY_MAX else "NO_QUANTITY"
        if order.order_id in state.orders:
            reason = "REPEATED_ORDER"
        text = "intake let through an order that netting cannot take: it is not worked"
        yield records.broken(order.instrument, order.order_id, reason, text, state.now_ns)
        return
    terms = terms_of(order, max(state.now_ns, order.received_ns))
    mandate = state.own_mandate(order)
    key = key_of(terms, mandate)
    bucket_id = state.joinable(key)
    if bucket_id is None:
        bucket_id = f"{terms.instrument}-{terms.side}-{key}-{state.next_number('bucket')}"
        state.open_bucket(bucket_id, _new_bucket(state, terms, key, mandate), mandate)
    state.join(order, bucket_id, qty)
    yield Lineage(
        kind=LineageKind.JOINED,
        instrument=order.instrument,
        bucket_id=bucket_id,
        members=(
            Member(
                order_id=order.order_id,
                source=order.request.source,
                account=order.request.account,
                contributed_qty=qty,
            ),
        ),
        at_ns=state.now_ns,
    )
    if state.now_ns == 0 or state.stopped(order.instrument):
        return  # before the first tick there is no time to stamp records with; the next tick closes what is due
    if terms.held and state.now_ns >= state.buckets[bucket_id].close_ns:
        yield from close(state, order.instrument, [bucket_id])
    elif state.member_count(bucket_id) >= state.parameters.of_mandate(mandate).max_members:
        yield from _release(state, order.instrument, state.same_window(bucket_id))


def _new_bucket(state: NettingState, terms: Terms, key: str, mandate: str) -> Bucket:
    parameters, now_ns = state.parameters.of_mandate(mandate), state.now_ns
    begin_ns = now_ns if terms.start_ns is None else max(now_ns, terms.start_ns)
    _, end_ns = state.span_ns(terms)
    if terms.held:
        return Bucket(terms, key, begin_ns, begin_ns)
    window_close_ns = state.window_close_ns(terms.instrument, mandate)
    if window_close_ns <= now_ns:
        window_close_ns = now_ns + parameters.window_ns
        state.open_window(terms.instrument, mandate, window_close_ns)
    patience_ns = max(0, end_ns - begin_ns) // parameters.wait_part
    close_ns = min(max(window_close_ns, begin_ns), begin_ns + patience_ns)
    return Bucket(terms, key, close_ns, close_ns + min(parameters.max_wait_ns, patience_ns))


def due(state: NettingState) -> list[tuple[str, list[str]]]:
    """Instruments with their buckets that close now, earliest close time first.

    A bucket closes when its time has come and market data has reached that time, or its deadline has passed. Bounded
    by ``close_members``; the rest closes at the next ticks.
    """
    now_ns = state.now_ns
    found: list[tuple[int, str, list[str]]] = []
    for instrument in state.books.keys():
        seen_ns = state.market.of(instrument).seen_ns
        buckets = {bucket_id: state.buckets[bucket_id] for bucket_id in state.book(instrument).buckets}
        ready = [
            bucket_id
            for bucket_id, bucket in buckets.items()
            if now_ns >= bucket.close_ns and (seen_ns >= bucket.close_ns or now_ns >= bucket.deadline_ns)
        ]
        if ready and not state.stopped(instrument):
            found.append((min(buckets[bucket_id].close_ns for bucket_id in ready), instrument, ready))
    chosen: list[tuple[str, list[str]]] = []
    members = 0
    for _, instrument, ready in sorted(found):
        members += sum(state.member_count(bucket_id) for bucket_id in ready)
        if chosen and members > state.parameters.close_members:
            break
        chosen.append((instrument, ready))
    return chosen


def release(state: NettingState, instrument: str) -> Iterator[Made]:
    """Close all windows of the instrument now; what may not start yet goes on waiting."""
    yield from _release(state, instrument, state.book(instrument).buckets)


def _release(state: NettingState, instrument: str, bucket_ids: Sequence[str]) -> Iterator[Made]:
    now = [each for each in bucket_ids if (state.buckets[each].terms.start_ns or 0) <= state.now_ns]
    if now and not state.stopped(instrument):
        state.end_windows(instrument, now)
        yield from close(state, instrument, now)


def expire(state: NettingState, instrument: str, *, day_over: bool) -> Iterator[Made]:
    """Expire waiting orders whose end has come; at the day's end all that wait."""
    for bucket_id in state.book(instrument).buckets:
        terms = state.buckets[bucket_id].terms
        if day_over or state.span_ns(terms)[1] <= state.now_ns:
            if terms.completion is Completion.MUST:
                qty = sum(row.open_qty for _, row in state.members(bucket_id))
                text = (
                    f"{qty} in bucket {bucket_id} must be done and were never worked: their window never closed before "
                    f"their end (a kill, a pause, a stale hold, or no market data)"
                )
                yield records.at_risk(state, bucket_id, terms, "NEVER_WORKED", text)
            for located in state.members(bucket_id):
                yield records.left(located, located.row.open_qty, state.now_ns, expired=True)
                state.drop_order(located.order_id)
            state.drop_bucket(bucket_id)


def leave(state: NettingState, located: Located, cl_ord_id: str | None) -> Iterator[Made]:
    """Cancel a waiting order, all of it."""
    yield records.left(located, located.row.open_qty, state.now_ns, cl_ord_id=cl_ord_id)
    state.drop_order(located.order_id)
    if not state.member_count(located.row.bucket_id):
        state.drop_bucket(located.row.bucket_id)


def close(state: NettingState, instrument: str, bucket_ids: Sequence[str]) -> Iterator[Made]:
    """Cross the opposing buckets among these and make a parent of what remains in each, with its statement.

    Orders whose source or account is stopped stay in their bucket, so that they do not delay the others.
    """
    taking_part = {
        bucket_id: [each for each in state.members(bucket_id) if not state.barred(each.row.source, each.row.account)]
        for bucket_id in bucket_ids
    }
    sides: dict[int, list[Offer]] = {1: [], -1: []}
    for bucket_id in bucket_ids:
        terms = state.buckets[bucket_id].terms
        sides[terms.side.sign].extend(records.offer(each, terms, each.row.open_qty) for each in taking_part[bucket_id])
    if sides[1] and sides[-1]:
        window = f"{instrument}-C{state.next_number('close')}"
        outcome, crosses = records.cross_now(state, instrument, sides[1], sides[-1], window)
        yield from crosses
        yield from records.refusals(instrument, window, outcome, state.now_ns)
        for order_id, qty in outcome.crossed.items():
            row = state.orders[order_id]
            row.open_qty -= qty
            state.orders.put(order_id, row)
        book = state.book(instrument)
        book.refused = sorted({*book.refused, *outcome.refused})  # not alerted again for the parents made here
        state.books.put(instrument, book)
    for bucket_id in bucket_ids:
        yield from _make_parent(state, bucket_id, taking_part[bucket_id])
        if state.member_count(bucket_id):
            state.close_to_newcomers(bucket_id)
        else:
            state.drop_bucket(bucket_id)


def _make_parent(state: NettingState, bucket_id: str, members: Sequence[Located]) -> Iterator[Made]:
    gross_qty = sum(each.row.contributed_qty for each in members)
    order_qty = sum(each.row.open_qty for each in members)
    remaining = [each for each in members if each.row.open_qty]
    for each in members:
        if not each.row.open_qty:
            state.drop_order(each.order_id)
    if not remaining:
        return
    terms = state.buckets[bucket_id].terms
    parent_id = state.next_id("P")
    start_ns, end_ns = state.span_ns(terms)
    state.open_parent(parent_id, NettedParent(terms, bucket_id, start_ns, 1, order_qty, end_ns=end_ns))
    for each in remaining:
        state.move(each.order_id, parent_id)
    yield from records.begin_epoch(
        state,
        ParentKind.NEW,
        parent_id,
        gross_qty=gross_qty,
        crossed_qty=gross_qty - order_qty,
        first_received_ns=min(each.row.received_ns for each in remaining),
        arrival_px=records.arrival_px(state, remaining),
    )
