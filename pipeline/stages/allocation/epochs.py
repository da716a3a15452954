"""An epoch while it is open: its statement assembled and verified, its executions added up, its progress reported.

Statement, parent and executions are on different topics, so any of them may be read first. Executions are only added
up here; ``settling.py`` shares them out once routing reports that no child is sent in the epoch any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pipeline.algos.pro_rata import monotone_floor
from pipeline.algos.rounding import average_px
from pipeline.domain.controls import Alert
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.int64 import LONG_MAX
from pipeline.domain.orders import OrderEvent, OrderEventKind
from pipeline.domain.parents import Lineage, ParentKind, ParentOrder
from pipeline.stages.allocation.client_orders import event
from pipeline.stages.allocation.records import broken
from pipeline.stages.allocation.state import (
    AllocationState,
    BrokenBooks,
    Budget,
    ClientOrder,
    Epoch,
    MemberBook,
    MemberChunk,
    chunk_key,
)

# ---------------------------------------------------------------- statements


def on_members(state: AllocationState, lineage: Lineage) -> Iterator[Alert]:
    """A chunk of an epoch's statement; an alert when it, or the complete statement, contradicts what was read before.

    A chunk that is told again changes nothing: by then its members may have been given their shares.
    """
    epoch = state.epoch(lineage.parent_id or "", lineage.epoch_no, lineage.instrument)
    known = state.chunks.get(chunk_key(epoch, lineage.chunk_no))
    told = [(m.order_id, m.account, m.contributed_qty) for m in lineage.members]
    if known is not None and [(m.order_id, m.account, m.contributed_qty) for m in known.members] == told:
        return
    if known is not None or epoch.chunk_count not in (0, lineage.chunk_count):
        yield _contradicts(state, epoch, f"chunk {lineage.chunk_no} of {lineage.chunk_count} is not as it was told")
        return
    if epoch.closed:
        yield _contradicts(state, epoch, "its statement came after it was closed")
        return
    members = [MemberBook(order_id, account, contributed_qty) for order_id, account, contributed_qty in told]
    state.chunks.put(chunk_key(epoch, lineage.chunk_no), MemberChunk(members))
    epoch.chunk_count = lineage.chunk_count
    epoch.chunks_seen += 1
    yield from _verify_if_complete(state, epoch)


def on_parent(state: AllocationState, order: ParentOrder) -> Iterator[Alert]:
    """The parent's own record of an epoch, or of a recall, a cross or the end in it.

    An alert when it contradicts what was read before, the epoch's complete statement above all.
    """
    epoch = state.epoch(order.parent_id, order.epoch_no, order.instrument)
    match order.kind:
        case ParentKind.NEW | ParentKind.EPOCH:
            yield from _state(state, epoch, order)
            return
        case ParentKind.RECALL:
            epoch.recalled = True
        case ParentKind.CROSS_ASK:
            epoch.ask_id = order.ask_id
        case ParentKind.CROSS_DONE:
            if epoch.crossed_done_qty + order.crossed_qty > LONG_MAX:
                yield _contradicts(state, epoch, f"{order.crossed_qty} more crossed than can be counted")
                return
            epoch.crossed_done_qty += order.crossed_qty
            epoch.ask_id = None
        case ParentKind.DONE:
            parent = state.parent(order.parent_id, order.instrument)
            parent.done = True
            state.parents.put(order.parent_id, parent)
        case _:
            pass  # CARRY is not built yet: nobody writes it
    state.epochs.put(epoch.key, epoch)


def _state(state: AllocationState, epoch: Epoch, order: ParentOrder) -> Iterator[Alert]:
    """Take the parent's record of an epoch, once: told again it changes nothing."""
    told = order.order_qty, order.trade_date, order.member_count, order.members_hash
    if epoch.stated:
        if told != (epoch.order_qty, epoch.trade_date, epoch.member_count, epoch.members_hash):
            yield _contradicts(state, epoch, f"its record of {epoch.order_qty} was told again, with {order.order_qty}")
        return
    if epoch.closed:
        yield _contradicts(state, epoch, "its record came after it was closed")
        return
    epoch.stated = True
    epoch.order_qty, epoch.trade_date, epoch.member_count, epoch.members_hash = told
    yield from _verify_if_complete(state, epoch)


def _verify_if_complete(state: AllocationState, epoch: Epoch) -> Iterator[Alert]:
    state.epochs.put(epoch.key, epoch)
    told = epoch.chunk_count == epoch.chunks_seen and (epoch.chunk_count > 0 or epoch.member_count == 0)
    if epoch.unusable or not (epoch.stated and told):
        return
    epoch.complete = True
    members = state.members_of(epoch)
    lines = "\n".join(f"{m.order_id},{m.contributed_qty}" for m in members)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    contributed = sum(m.contributed_qty for m in members)
    if (len(members), digest, contributed) != (epoch.member_count, epoch.members_hash, epoch.order_qty):
        epoch.complete, epoch.unusable = False, True
        state.epochs.put(epoch.key, epoch)
        yield _contradicts(
            state,
            epoch,
            f"the statement is not what the parent says: {len(members)} members of {contributed}, hash {digest}, "
            f"against {epoch.member_count} of {epoch.order_qty}, hash {epoch.members_hash}. Nothing of it is shared "
            f"out; at the day's end what it executed is {state.parameters.error_account}'s",
        )
        return
    state.epochs.put(epoch.key, epoch)
    if epoch.executed_qty:
        mark_for_progress(state, epoch)


def _contradicts(state: AllocationState, epoch: Epoch, text: str) -> Alert:
    text = f"parent {epoch.parent_id}, epoch {epoch.epoch_no}: {text}"
    return broken(epoch.instrument, epoch.parent_id, "CONTRADICTS_STATEMENT", text, state.now_ns)


# ---------------------------------------------------------------- executions


def add_up(state: AllocationState, epoch: Epoch, fill: Fill) -> Iterator[Alert]:
    """Add an execution, its bust or its correction to the epoch's totals; an alert when they could not be true then.

    A bust reduces the over-filled quantity first: it is the parent that is over-filled, not a single execution.
    Raises BrokenBooks for a fill that is no execution: the callers' match lets none through.
    """
    px, prior_px = fill.last_px or 0, fill.prior_px or 0
    match fill.kind:
        case FillKind.TRADE:
            qty, money, fee = fill.last_qty, fill.last_qty * px, fill.fee
        case FillKind.BUST:
            qty, money, fee = -fill.last_qty, -fill.last_qty * px, -fill.prior_fee
        case FillKind.CORRECT:
            qty = fill.last_qty - fill.prior_qty
            money = fill.last_qty * px - fill.prior_qty * prior_px
            fee = fill.fee - fill.prior_fee
        case _:
            raise BrokenBooks(f"{fill.kind} {fill.fill_id} is no execution")
    wrong = _impossible(state, epoch.executed_qty + qty, epoch.executed_money + money, epoch.fee + fee)
    if wrong:
        yield broken(
            fill.instrument,
            fill.fill_id,
            wrong,
            f"{fill.kind} of {fill.ref_fill_id or fill.last_qty}: of parent {fill.parent_id}, epoch {fill.epoch_no}, "
            f"only {epoch.executed_qty} for {epoch.executed_money} with fees of {epoch.fee} are known as executed (an "
            "earlier day's books are closed); nothing was changed",
            state.now_ns,
        )
        return
    epoch.executed_qty += qty
    epoch.executed_money += money
    epoch.fee += fee
    beyond = fill.overfill_qty if qty > 0 else qty
    epoch.overfill_qty = min(epoch.executed_qty, max(0, epoch.overfill_qty + beyond))
    state.epochs.put(epoch.key, epoch)


def _impossible(state: AllocationState, qty: int, money: int, fee: int) -> str:
    """Why an epoch cannot have executed this, as an alert's reason; empty when it can."""
    if qty < 0:
        return "NOTHING_TO_TAKE_BACK"
    if money < 0 or (money > 0) != (qty > 0):
        return "MONEY_DOES_NOT_MATCH"
    beyond = qty > LONG_MAX or abs(fee) > LONG_MAX or money > state.parameters.money_parts_max * LONG_MAX
    if beyond or money > qty * LONG_MAX:
        return "BEYOND_MEASURE"
    return ""


def on_execution(state: AllocationState, epoch: Epoch, fill: Fill, budget: Budget) -> Iterator[Alert | OrderEvent]:
    """An execution of an open epoch: reported in the next round of progress; a bust or correction at once."""
    before = epoch.executed_qty, epoch.executed_money, epoch.fee
    yield from add_up(state, epoch, fill)
    if (epoch.executed_qty, epoch.executed_money, epoch.fee) == before:
        return
    if fill.kind is not FillKind.TRADE:
        busted = fill.kind is FillKind.BUST
        epoch.corrected_by = OrderEventKind.TRADE_CANCEL if busted else OrderEventKind.TRADE_CORRECT
        epoch.restated, epoch.sweep_from = True, 0
        state.epochs.put(epoch.key, epoch)
    mark_for_progress(state, epoch)
    if fill.kind is not FillKind.TRADE:
        yield from report_progress(state, epoch, budget)
        if epoch.sweep_from:
            work = state.work
            work.sweeping = [*(key for key in work.sweeping if key != epoch.key), epoch.key]
            state.works.put("", work)


# ---------------------------------------------------------------- progress


def mark_for_progress(state: AllocationState, epoch: Epoch) -> None:
    """Have its members sent a report in the next round of progress."""
    if not epoch.dirty and not epoch.quiet:
        epoch.dirty = True
        state.epochs.put(epoch.key, epoch)
        work = state.work
        work.dirty = [*work.dirty, epoch.key]
        state.works.put("", work)


def start_round(state: AllocationState, progress_ns: int) -> None:
    """Begin a round of progress for every marked epoch, if the last round began at least ``progress_ns`` ago.

    An epoch whose last round is still under way stays marked for the next one, so that the last of its many members
    get a report before the first get a second one.
    """
    work = state.work
    if not work.dirty or state.now_ns - work.progress_ns < progress_ns:
        return
    due = [key for key in work.dirty if key not in work.sweeping]
    for key in due:
        epoch = state.epochs[key]
        epoch.dirty, epoch.sweep_from = False, 0
        state.epochs.put(key, epoch)
    work.dirty = [key for key in work.dirty if key in work.sweeping]
    work.sweeping = [*work.sweeping, *due]
    work.progress_ns = state.now_ns
    state.works.put("", work)


def continue_progress(state: AllocationState, budget: Budget) -> Iterator[OrderEvent]:
    """Go on with the round of progress, as far as ``budget`` allows."""
    while (work := state.work).sweeping and not budget.spent:
        epoch = state.epochs[work.sweeping[0]]
        yield from report_progress(state, epoch, budget)
        if epoch.sweep_from == 0:
            work.sweeping = work.sweeping[1:]
            state.works.put("", work)


def report_progress(state: AllocationState, epoch: Epoch, budget: Budget) -> Iterator[OrderEvent]:
    """Send TRADE to members whose floor has risen; after a bust or correction, the new state to all it changes.

    ``sweep_from`` is 0 again when all have been sent theirs. A member's floor is its exact, capped entitlement rounded
    down: it never falls while executions are only added, and never exceeds the final share.
    """
    if epoch.quiet or not epoch.complete:
        epoch.sweep_from = 0
        state.epochs.put(epoch.key, epoch)
        return
    members = state.members_of(epoch)
    orders = [state.orders.get(member.order_id) for member in members]
    weights = [member.contributed_qty for member in members]
    caps = [cap_qty(member, order) for member, order in zip(members, orders, strict=True)]
    floors = monotone_floor(weights, epoch.shareable_qty, caps)
    for index in range(epoch.sweep_from, len(members)):
        if budget.spent:
            epoch.sweep_from = index
            state.epochs.put(epoch.key, epoch)
            return
        order = orders[index]
        if order is not None and order.end is None:
            yield from _report_member(state, epoch, order, floors[index], budget)
    epoch.sweep_from, epoch.corrected_by = 0, None
    state.epochs.put(epoch.key, epoch)


def cap_qty(member: MemberBook, order: ClientOrder | None) -> int:
    """The most the epoch may give a member: what it contributed, less what it has got otherwise since."""
    return member.contributed_qty if order is None else min(member.contributed_qty, order.room_qty)


def _report_member(
    state: AllocationState, epoch: Epoch, order: ClientOrder, floor: int, budget: Budget
) -> Iterator[OrderEvent]:
    added, money = floor - order.open_qty, order.open_money
    last_px = added_px(epoch, order) if added > 0 else None
    if added == 0 and not epoch.corrected_by:
        return
    set_shown(epoch, order, floor)
    if added == 0 and order.open_money == money:
        state.orders.put(order.order_id, order)
        return
    kind = OrderEventKind.TRADE if added > 0 else OrderEventKind.TRADE_CORRECT
    if added < 0 and epoch.corrected_by is not None:
        kind = epoch.corrected_by
    yield event(state, order, kind, last_qty=added, last_px=last_px)
    budget.spend(1)


def set_shown(epoch: Epoch, order: ClientOrder, qty: int) -> None:
    """Record that the client has been shown ``qty`` of the open epoch, at the epoch's average price so far."""
    order.open_qty = qty
    order.open_money = qty * average_px(epoch.executed_money, epoch.executed_qty).avg_px if qty else 0
    order.seen_qty, order.seen_money = epoch.executed_qty, epoch.executed_money


def added_px(epoch: Epoch, order: ClientOrder) -> int:
    """Average price of the epoch's executions since the client's last report; after a restatement, of all of them."""
    qty, money = epoch.executed_qty - order.seen_qty, epoch.executed_money - order.seen_money
    if qty <= 0 or epoch.restated:
        qty, money = epoch.executed_qty, epoch.executed_money
    return average_px(money, qty).avg_px


def reduce_shown(state: AllocationState, order: ClientOrder, qty: int) -> Iterator[OrderEvent]:
    """Reduce what the client was shown of the open epoch to ``qty``, and report it."""
    added = qty - order.open_qty
    order.open_money = order.open_money * qty // order.open_qty
    order.open_qty = qty
    yield event(state, order, OrderEventKind.TRADE_CORRECT, last_qty=added)
