"""An epoch is shared out when routing reports that no child is sent in it any more, and again at each restatement.

It reports so by QUIET when none of its children is live, else by CUT: then what they execute yet restates the epoch,
and goes to those members who are still worked in the parent, as far as they have room; only what nobody else has room
for goes to a member that has left or is held since. (Each had joined before those children were sent.)

These records, and what comes later for epochs that are quiet (late executions, busts, corrections), are queued per
instrument in the order of the topic ``fills``. The head of the queue waits until what it needs from other topics has
been read, and everything behind it waits with it: so the carried balances, and with them every first share, are the
same whatever the order in which the topics are read; who is still worked as a late execution comes is as far as has
been read. A pass over many members may take several steps; the queue waits for that too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.algos.rounding import average_px
from pipeline.algos.tie_break import tie_break
from pipeline.domain.allocations import Allocation, AllocSource, Reconciliation
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.orders import OrderEventKind, OrdStatus
from pipeline.domain.parents import EpochClosed, EpochShare
from pipeline.domain.record import Owned
from pipeline.stages.allocation.client_orders import close, close_if_filled, event, report_added
from pipeline.stages.allocation.epochs import add_up, added_px, cap_qty
from pipeline.stages.allocation.records import Share, allocations, in_force, reconciliation
from pipeline.stages.allocation.sharing import share_fee, share_out
from pipeline.stages.allocation.state import (
    AllocationState,
    BrokenBooks,
    Budget,
    ClientOrder,
    Epoch,
    MemberBook,
    ParentBook,
    Queue,
    epoch_key,
)

CLOSING: Final = (FillKind.QUIET, FillKind.CUT)
"""Records on `fills` that close an epoch."""


def queue_fill(state: AllocationState, fill: Fill) -> None:
    """Append it to its instrument's queue."""
    queue = state.queues.get(fill.instrument) or Queue()
    queue.fills = [*queue.fills, fill]
    state.queues.put(fill.instrument, queue)


def settle_queue(
    state: AllocationState, instrument: str, budget: Budget, *, at_day_end: bool = False
) -> Iterator[Owned]:
    """Work off the instrument's queue, as far as the other topics have been read and ``budget`` allows.

    ``at_day_end``: without waiting for other topics, since nothing more will come.
    Raises BrokenBooks when the allocations of an epoch do not add up to its executions.
    """
    while (queue := state.queues.get(instrument)) is not None and queue.fills:
        fill = queue.fills[0]
        epoch = _target(state, fill)
        if epoch is not None:
            if not epoch.settling:
                if fill.kind not in CLOSING:
                    yield from add_up(state, epoch, fill)
                elif not at_day_end and lacks(state, epoch, fill):
                    return
                _share(state, epoch, fill.kind, fill.final, fill.last_qty)
            yield from _settle(state, epoch, budget)
            if epoch.settling:
                _remember(state, instrument)
                return
        elif fill.kind is FillKind.QUIET and fill.final:
            if not at_day_end and not _parent_is_done(state, fill):
                return
            yield from end_parent(state, state.parents[fill.parent_id], fill.epoch_no)
        elif fill.kind in CLOSING:
            epoch = state.epoch(fill.parent_id, fill.epoch_no, fill.instrument)
            epoch.live_qty = fill.last_qty
            state.epochs.put(epoch.key, epoch)
            yield from _told(state, epoch, final=False)
        queue = state.queues[instrument]
        queue.fills = queue.fills[1:]
        state.queues.put(instrument, queue)


def close_unasked(state: AllocationState, epoch: Epoch, *, final: bool) -> Iterator[Owned]:
    """Share out an epoch at the day's end of which routing never said that it is quiet.

    What comes of it later finds the members' orders ended, and is the error account's.
    """
    _share(state, epoch, FillKind.QUIET, final, 0)
    yield from _settle(state, epoch, Budget.without_end())


def _remember(state: AllocationState, instrument: str) -> None:
    work = state.work
    if instrument not in work.settling:
        work.settling = [*work.settling, instrument]
        state.works.put("", work)


# ---------------------------------------------------------------- which epoch, and whether it can be closed


def _target(state: AllocationState, fill: Fill) -> Epoch | None:
    """The epoch that ``fill`` closes or restates; None for a QUIET or CUT that closes none.

    A final QUIET may name an epoch that a recall has closed already; if netting has begun another since, that is the
    one it closes.
    """
    epoch = state.epoch(fill.parent_id, fill.epoch_no, fill.instrument)
    if fill.kind not in CLOSING or not epoch.closed:
        return epoch
    if fill.final:
        latest = state.epochs[epoch_key(fill.parent_id, state.parents[fill.parent_id].epochs[-1])]
        if not latest.closed and latest.stated:
            return latest
    return None


def _parent_is_done(state: AllocationState, fill: Fill) -> bool:
    parent = state.parents[fill.parent_id]
    return parent.done or parent.ended


def lacks(state: AllocationState, epoch: Epoch, quiet: Fill | None) -> str:
    """What the epoch still waits for before it is shared out, in words; empty when nothing is missing.

    ``quiet``: routing's word that no child of it is live. All that happened before it must have been read: statement,
    orders, crosses.
    """
    if epoch.unusable:
        return "a statement that is what the parent says"
    if not epoch.complete:
        return "its statement" if epoch.stated else "the parent's own record"
    if quiet is None:
        return "routing's word that none of its children can execute any more"
    if epoch.ask_id is not None:
        return f"the answer to {epoch.ask_id}"
    if not (quiet.final or epoch.recalled):
        return "its recall"
    parent = state.parents[epoch.parent_id]
    done = [(no, state.epochs[epoch_key(epoch.parent_id, no)].crossed_done_qty) for no in parent.epochs]
    before = sum(qty for no, qty in done if no < epoch.epoch_no)
    in_this = dict(done)[epoch.epoch_no]
    if quiet.epoch_no == epoch.epoch_no:
        in_this = max(in_this, quiet.crossed_qty)
    if parent.crossed_qty < before + in_this:
        return f"crosses of {before + in_this - parent.crossed_qty} out of it"
    for member in state.members_of(epoch):
        order = state.orders.get(member.order_id)
        if order is None:
            return f"order {member.order_id}"
        # For later epochs this holds already: the first one was not closed without the crosses of the window.
        if epoch.epoch_no == 1 and order.crossed_gross_qty < order.order_qty - member.contributed_qty:
            return f"crosses of order {member.order_id}"
    return ""


def end_parent(state: AllocationState, parent: ParentBook, epoch_no: int) -> Iterator[EpochClosed]:
    """End a parent whose last epoch was closed by a recall that left nothing to work."""
    if parent.ended:
        return
    parent.ended = True
    state.parents.put(parent.parent_id, parent)
    yield EpochClosed(
        parent_id=parent.parent_id,
        instrument=parent.instrument,
        epoch_no=epoch_no,
        final=True,
        chunk_no=1,
        chunk_count=1,
        executed_qty=0,
        shares=(),
        at_ns=state.now_ns,
    )


# ---------------------------------------------------------------- shares


def _share(state: AllocationState, epoch: Epoch, cause: FillKind, final: bool, live_qty: int) -> None:
    """Compute every member's share of the epoch's totals; :func:`_settle` then writes the records.

    ``cause``: QUIET or CUT closes the epoch (``live_qty`` of it may still execute), and with ``final`` its parent; any
    other restates it. An epoch without a usable
    statement has no members: all of it is the error account's.
    """
    if cause in CLOSING and any(each.order_id not in state.orders for each in state.members_of(epoch)):
        epoch.complete, epoch.unusable = False, True  # at a day's end only: else it waits for them
    chunks = state.chunks_of(epoch)
    members = [member for _, chunk in chunks for member in chunk.members]
    orders = [state.orders[member.order_id] for member in members]
    closed: list[int] | None = None
    if cause in CLOSING:
        _note_balances_and_caps(state, epoch, members, orders)
        epoch.final, epoch.quiet, epoch.live_qty = final, True, live_qty
        caps = rooms = [member.cap_qty for member in members]
    else:
        rooms = [_restated_cap(member, order) for member, order in zip(members, orders, strict=True)]
        closed = [member.closed_qty for member in members]
        worked = _still_worked(state, epoch)
        caps = [
            room if worked is None or member.order_id in worked else min(room, max(member.share_qty, member.closed_qty))
            for member, room in zip(members, rooms, strict=True)
        ]
    ties = [tie_break(epoch.parent_id, member.order_id) for member in members]
    weights, carried = [member.contributed_qty for member in members], [member.carried for member in members]
    shared = share_out(weights, caps, epoch.shareable_qty, carried, ties, closed)
    if shared.unplaced and caps != rooms:
        shared = share_out(weights, rooms, epoch.shareable_qty, carried, ties, shared.shares)
    epoch.error_qty = epoch.overfill_qty + shared.unplaced
    fees = share_fee(
        [*shared.shares, epoch.error_qty],
        epoch.fee,
        [*(member.carried_fee for member in members), epoch.error_carried_fee],
        [*ties, 2**64],  # the error account loses every tie
    )
    for member, share, change, fee, fee_change in zip(
        members, shared.shares, shared.changes, fees.shares[:-1], fees.changes[:-1], strict=True
    ):
        state.change_balance(
            member.account, epoch.instrument, change - member.carried_change, fee_change - member.carried_fee_change
        )
        member.share_qty, member.carried_change = share, change
        member.share_fee, member.carried_fee_change = fee, fee_change
    epoch.error_fee, error_change = fees.shares[-1] + fees.unplaced, fees.changes[-1]
    state.change_balance(_ERROR, epoch.instrument, 0, error_change - epoch.error_carried_fee_change)
    epoch.error_carried_fee_change = error_change
    epoch.px = average_px(epoch.executed_money, epoch.executed_qty).avg_px if epoch.executed_qty else 0
    epoch.version += 1
    epoch.cause, epoch.settling, epoch.cursor = cause, True, 0
    for key, chunk in chunks:
        state.chunks.put(key, chunk)
    state.epochs.put(epoch.key, epoch)


def _still_worked(state: AllocationState, epoch: Epoch) -> set[str] | None:
    """The orders of the parent's latest epoch; None when that is ``epoch`` itself, or its statement is not complete."""
    latest = state.epochs[epoch_key(epoch.parent_id, state.parents[epoch.parent_id].epochs[-1])]
    if latest.epoch_no == epoch.epoch_no or not latest.complete:
        return None
    return {member.order_id for member in state.members_of(latest)}


_ERROR = ""
"""The error account's row among the balances: no client's account has this name."""


def _note_balances_and_caps(
    state: AllocationState, epoch: Epoch, members: list[MemberBook], orders: list[ClientOrder]
) -> None:
    """Keep balances and caps as they are at the close: later restatements compute from the same ones."""
    for member, order in zip(members, orders, strict=True):
        balance = state.balance(member.account, epoch.instrument)
        member.carried, member.carried_fee = balance.qty, balance.fee
        member.cap_qty = cap_qty(member, order)
    epoch.error_carried_fee = state.balance(_ERROR, epoch.instrument).fee


def _restated_cap(member: MemberBook, order: ClientOrder) -> int:
    """The most a restatement may give a member: what his order has not got elsewhere. One that has ended gets back what
    a bust took, never more than it had at its end."""
    if member.closed_qty < 0:
        member.closed_qty = member.share_qty
    if order.end is not None and member.end_qty < 0:
        member.end_qty = member.share_qty
    room_qty = max(0, member.share_qty + order.order_qty - order.cum_qty)
    cap = min(member.cap_qty, room_qty)
    return cap if order.end is None else min(cap, member.end_qty)


# ---------------------------------------------------------------- records


def _settle(state: AllocationState, epoch: Epoch, budget: Budget) -> Iterator[Owned]:
    """Write allocations and events of the members from the cursor on; after the last, reconcile and close the epoch."""
    index = 0
    for key, chunk in state.chunks_of(epoch):
        touched = False
        for member in chunk.members:
            index += 1
            if index <= epoch.cursor:
                continue
            if budget.spent:
                break
            touched = True
            for record in _report_member(state, epoch, member):
                budget.spend(1)
                yield record
            epoch.cursor = index
        if touched:
            state.chunks.put(key, chunk)
        if budget.spent:
            break
    if epoch.cursor == (epoch.member_count if epoch.complete else 0):
        epoch.settling = False
        members = state.members_of(epoch)
        yield from _reconciliation(state, epoch, members)
        if epoch.error_qty:
            yield _overfill(state, epoch)
        if not epoch.closed:
            epoch.closed = True
            if epoch.final:
                parent = state.parents[epoch.parent_id]
                parent.ended = True
                state.parents.put(parent.parent_id, parent)
            yield from _told(state, epoch, final=epoch.final)
    state.epochs.put(epoch.key, epoch)


def _report_member(state: AllocationState, epoch: Epoch, member: MemberBook) -> Iterator[Owned]:
    order = state.orders[member.order_id]
    old_qty, old_money = member.alloc_qty, member.alloc_qty * member.alloc_px
    money = member.share_qty * epoch.px
    yield from _allocations(state, epoch, member, order)
    order.closed_qty += member.share_qty - old_qty
    order.closed_money += money - old_money
    if epoch.version == 1:
        shown, last_px = order.open_qty, added_px(epoch, order) if epoch.executed_qty else None
        order.open_qty = order.open_money = order.seen_qty = order.seen_money = 0
        state.orders.put(order.order_id, order)
        added = member.share_qty - shown
        if added > 0:
            yield from report_added(state, order, OrderEventKind.TRADE, added, last_px)
        elif added < 0 or (epoch.corrected_by is not None and member.share_qty):
            taken = added < 0 and epoch.corrected_by is not None
            kind = epoch.corrected_by if taken and epoch.corrected_by else OrderEventKind.TRADE_CORRECT
            yield event(state, order, kind, last_qty=added)
    else:
        added = member.share_qty - old_qty
        if added or money != old_money:
            kind = _restated_as(epoch.cause, added, ended=order.end is not None)
            yield event(state, order, kind, last_qty=added, last_px=epoch.px)
    yield from close_if_filled(state, order)
    if epoch.version == 1 and epoch.final and order.end is None:
        yield from close(state, order, OrdStatus.EXPIRED)


def _restated_as(cause: FillKind, added: int, *, ended: bool) -> OrderEventKind:
    """How a client is told; after an order's end nothing but what corrects it may come."""
    if cause is FillKind.TRADE and added > 0 and not ended:
        return OrderEventKind.TRADE
    if cause is FillKind.BUST and added < 0:
        return OrderEventKind.TRADE_CANCEL
    return OrderEventKind.TRADE_CORRECT


def _allocations(state: AllocationState, epoch: Epoch, member: MemberBook, order: ClientOrder) -> list[Allocation]:
    """The member's new allocations; none when those in force already say the same."""
    px = epoch.px if member.share_qty else 0
    fee = member.share_fee if member.share_qty else 0
    if (member.share_qty, px, fee) == (member.alloc_qty, member.alloc_px, member.alloc_fee):
        return []
    share = Share(
        AllocSource.EXECUTIONS, epoch.parent_id, epoch.epoch_no, None, epoch.trade_date, member.share_qty, px, fee
    )
    made = list(allocations(state, order, share, member.alloc_ids))
    member.alloc_ids = in_force(made)
    member.alloc_qty, member.alloc_px, member.alloc_fee = member.share_qty, px, fee
    return made


def _reconciliation(
    state: AllocationState, epoch: Epoch, members: list[MemberBook]
) -> Iterator[Reconciliation | Alert]:
    """What was executed against what the allocations say. Raises BrokenBooks when they differ: that is our bug."""
    qty = sum(member.alloc_qty for member in members)
    money = sum(member.alloc_qty * member.alloc_px for member in members) + epoch.error_qty * epoch.px
    fee = sum(member.alloc_fee for member in members) + epoch.error_fee
    residual = epoch.executed_money - money
    balanced = (
        qty + epoch.error_qty == epoch.executed_qty and fee == epoch.fee and 2 * abs(residual) <= epoch.executed_qty
    )
    if not balanced:
        raise BrokenBooks(
            f"parent {epoch.parent_id}, epoch {epoch.epoch_no}: executed {epoch.executed_qty} for "
            f"{epoch.executed_money}, fees {epoch.fee}; allocated {qty}, to the error account {epoch.error_qty}, "
            f"for {money}, fees {fee}"
        )
    yield from reconciliation(
        Reconciliation(
            instrument=epoch.instrument,
            parent_id=epoch.parent_id,
            epoch_no=epoch.epoch_no,
            version=epoch.version,
            executed_qty=epoch.executed_qty,
            allocated_qty=qty,
            error_account_qty=epoch.error_qty,
            error_account=state.parameters.error_account if epoch.error_qty or epoch.error_fee else "",
            executed_money=epoch.executed_money,
            allocated_money=money,
            residual=residual,
            rounding_account=state.parameters.rounding_account,
            executed_fee=epoch.fee,
            allocated_fee=fee,
            allocation_count=sum(len(member.alloc_ids) for member in members if member.alloc_qty),
            balanced=balanced,
            at_ns=state.now_ns,
        )
    )


def _told(state: AllocationState, epoch: Epoch, *, final: bool) -> Iterator[EpochClosed]:
    """What became of each member of a closed epoch, and what its children may still execute, for netting."""
    shares = []
    for member in state.members_of(epoch):
        order = state.orders[member.order_id]
        remaining = order.order_qty - order.cum_qty if order.end is OrdStatus.EXPIRED else order.leaves_qty
        shares.append(EpochShare(order_id=member.order_id, executed_qty=member.share_qty, remaining_qty=remaining))
    size = state.parameters.chunk_shares
    chunk_count = max(1, -(-len(shares) // size))
    for number in range(1, chunk_count + 1):
        yield EpochClosed(
            parent_id=epoch.parent_id,
            instrument=epoch.instrument,
            epoch_no=epoch.epoch_no,
            final=final,
            chunk_no=number,
            chunk_count=chunk_count,
            executed_qty=epoch.executed_qty,
            shares=tuple(shares[(number - 1) * size : number * size]),
            at_ns=state.now_ns,
            live_qty=epoch.live_qty,
        )


def _overfill(state: AllocationState, epoch: Epoch) -> Alert:
    return Alert(
        kind=AlertKind.OVERFILL,
        instrument=epoch.instrument,
        subject_id=epoch.parent_id,
        reason="BOOKED_TO_ERROR_ACCOUNT",
        text=f"epoch {epoch.epoch_no}: {epoch.error_qty} of {epoch.executed_qty} executed are beyond what its members "
        f"had open; they are {state.parameters.error_account}'s",
        at_ns=state.now_ns,
    )
