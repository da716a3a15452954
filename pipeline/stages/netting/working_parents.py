"""Working parents: who leaves or is held by a recall and a new epoch, the end, and crossing by ask and answer.

    WORKING --cancel, kill, pause, resume--> RECALL sent --EpochClosed--> a new epoch of who may be worked (or DONE)
    WORKING --tick--> CROSS_ASK sent --all have answered--> crosses, CROSS_DONE --> WORKING
    any --EpochClosed(final)--> forgotten

The new epoch begins at once, children of the old one or not: what they may still execute is reserved for them out of
what the new epoch's members have. Who leaves is gone at once too, unless more is live than the others have room for:
then it waits until that is cancelled. Who is held (source or account killed or paused) stays in the parent without
being worked, until it is resumed, cancelled or at its end. With nobody to be worked the epoch has no members.

A recall waits until an open ask is answered, and serves all cancels that come meanwhile; clients' cancels recall a
parent of many members at most once in ``epoch_interval_ns``. After slicing's FINISH neither
begins any more: the final EpochClosed decides what is pending.

What a member may cross out of a working parent is its part of what slicing set aside, not all that it has open: the
parent's executed and outstanding quantity belongs to all members in proportion, and what was reported to a client as
executed must not be crossed as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.algos.pro_rata import share_with_caps
from pipeline.algos.tie_break import tie_break
from pipeline.domain.controls import Alert
from pipeline.domain.orders import Completion
from pipeline.domain.parents import Cross, EpochClosed, Lineage, ParentKind, ParentOrder, Slice, SliceKind
from pipeline.domain.rejections import RejectReason
from pipeline.stages.netting import records as records
from pipeline.stages.netting.crossing import Offer
from pipeline.stages.netting.state import Located, NettedParent, NettingState, Round

Made = Lineage | ParentOrder | Cross | Alert

# -------------------------------------------------------------------- cancels, epochs, the end


def leave(state: NettingState, located: Located, cl_ord_id: str) -> Iterator[Made]:
    """A client cancels an order that is in a parent."""
    order_id, row = located
    reason: RejectReason | None = None
    if row.leaving and row.leaving_cl_ord_id is not None:
        reason = RejectReason.ALREADY_PENDING
    elif not (row.open_qty or row.outside):
        reason = RejectReason.TOO_LATE_TO_CANCEL  # all of it was crossed
    if reason is not None:
        yield records.cancel_refused(row.instrument, order_id, cl_ord_id, reason, state.now_ns, row)
        return
    row.leaving, row.leaving_cl_ord_id = True, cl_ord_id
    state.orders.put(order_id, row)
    yield from _want_recall(state, row.parent_id, at_once=False)


def cancel_parent(state: NettingState, parent_id: str) -> Iterator[Made]:
    """The desk cancels a parent: every member leaves."""
    for order_id, row in state.members(parent_id):
        if (row.open_qty or row.outside) and not row.leaving:
            row.leaving = True
            state.orders.put(order_id, row)
    yield from _want_recall(state, parent_id)


def hold_or_resume(state: NettingState) -> Iterator[Made]:
    """A source or account was stopped or resumed: a new epoch in every parent with a member that it concerns."""
    for parent_id in state.parents.keys():
        members = state.members(parent_id)
        if any(not row.leaving and row.outside is not state.barred(row.source, row.account) for _, row in members):
            yield from _want_recall(state, parent_id)


def _want_recall(state: NettingState, parent_id: str, *, at_once: bool = True) -> Iterator[Made]:
    """A new epoch is wanted; one that need not begin at once waits for its time, and joins others."""
    parent = state.parents[parent_id]
    parent.recall_wanted = True
    if at_once:
        parent.recall_ns = 0
    state.parents.put(parent_id, parent)
    yield from _recall_if_free(state, parent_id)


def _recall_if_free(state: NettingState, parent_id: str) -> Iterator[Made]:
    parent = state.parents[parent_id]
    if not parent.recall_wanted or parent.recalled:
        return
    many = state.member_count(parent_id) > state.parameters.epoch_members
    too_soon = many and state.now_ns < parent.recall_ns + state.parameters.epoch_interval_ns
    if parent.ending or parent.ask_id or too_soon:
        state.waiting_recalls[parent_id] = None
        return
    parent.recalled, parent.recall_ns = True, state.now_ns
    state.waiting_recalls.pop(parent_id, None)
    state.parents.put(parent_id, parent)
    yield records.parent_record(ParentKind.RECALL, parent_id, parent, state.now_ns)


def recall_due(state: NettingState) -> Iterator[Made]:
    """Send the recalls whose time has come."""
    for parent_id in sorted(state.waiting_recalls):
        yield from _recall_if_free(state, parent_id)


def on_epoch_closed(state: NettingState, closed: EpochClosed) -> Iterator[Made]:
    """A chunk of allocation's statement that closes an epoch: what each member executed and has left.

    With the last chunk the next epoch begins, or the parent is forgotten. What is told of an earlier epoch says how far
    its last children have come.
    """
    parent_id = closed.parent_id
    parent = state.parents.get(parent_id)
    if parent is None:
        return  # the close that follows DONE: the parent is forgotten already
    for share in closed.shares:
        row = state.orders.get(share.order_id)
        if row is not None and row.parent_id == parent_id:
            row.remaining_qty = share.remaining_qty
            if closed.epoch_no == parent.epoch_no:
                row.told_epoch = closed.epoch_no
            state.orders.put(share.order_id, row)
    if closed.epoch_no != parent.epoch_no:
        if closed.chunk_no == closed.chunk_count:
            yield from _let_go(state, parent_id, closed.live_qty)
        return
    parent.chunks = [*parent.chunks, closed.chunk_no]
    state.parents.put(parent_id, parent)
    if len(parent.chunks) < closed.chunk_count:
        return
    if closed.final:
        yield from _end(state, parent_id)
        return
    told = closed.epoch_no
    missing = sum(row.told_epoch != told and not row.outside for _, row in state.members(parent_id))
    if missing:
        text = f"allocation closed epoch {closed.epoch_no} without {missing} of its members: the parent stays recalled"
        yield records.broken(closed.instrument, parent_id, "MEMBERS_UNTOLD", text, state.now_ns)
        return
    yield from _next_epoch(state, parent_id, closed.live_qty)


def _end(state: NettingState, parent_id: str) -> Iterator[Made]:
    """End the parent: allocation reports to the epoch's members; their pending cancels came too late.

    Who is outside the epoch ends here: by its cancel, or expired.
    """
    parent = state.parents[parent_id]
    parent.ending = True
    state.parents.put(parent_id, parent)
    yield from _answer(state, parent_id, 0)
    for located in state.members(parent_id):
        if located.row.outside:
            yield from _leave_now(state, located)
        elif located.row.leaving_cl_ord_id is not None:
            yield _too_late(state, located)
    state.drop_parent(parent_id)


def _next_epoch(state: NettingState, parent_id: str, live_qty: int) -> Iterator[Made]:
    """Begin the next epoch, of every member that may be worked, or end the parent.

    ``live_qty``: what children of earlier epochs may still execute.
    """
    members = state.members(parent_id)
    worked = {each.order_id for each in members if _may_be_worked(state, each)}
    room_qty = sum(each.row.remaining_qty for each in members if each.order_id in worked)
    for each in members:
        row = each.row
        if not row.remaining_qty:
            if row.leaving_cl_ord_id is not None:
                yield _too_late(state, each)
            state.drop_order(each.order_id)
        elif row.leaving and live_qty <= room_qty:
            yield from _leave_now(state, each)
        else:
            row.contributed_qty = row.open_qty = row.remaining_qty if each.order_id in worked else 0
            state.orders.put(each.order_id, row)
    parent = state.parents[parent_id]
    parent.order_qty = room_qty
    parent.crossed_qty, parent.recall_wanted, parent.recalled, parent.chunks = 0, False, False, []
    state.parents.put(parent_id, parent)
    if not state.member_count(parent_id):
        yield from _done(state, parent_id)
        return
    parent.epoch_no += 1
    state.parents.put(parent_id, parent)
    yield from _held_at_risk(state, parent_id, parent)
    yield from records.begin_epoch(state, ParentKind.EPOCH, parent_id)


def _held_at_risk(state: NettingState, parent_id: str, parent: NettedParent) -> Iterator[Made]:
    """What is held of a parent that must be done may end undone: told as it changes."""
    held_qty = sum(row.remaining_qty for _, row in state.members(parent_id) if row.outside and not row.leaving)
    if held_qty == parent.held_qty:
        return
    parent.held_qty = held_qty
    state.parents.put(parent_id, parent)
    if held_qty and parent.terms.completion is Completion.MUST:
        text = (
            f"{held_qty} of parent {parent_id} are held, as their source or account is killed or paused: they end "
            f"unfilled with it unless the desk resumes them"
        )
        yield records.at_risk(state, parent_id, parent.terms, "HELD", text)


def _may_be_worked(state: NettingState, located: Located) -> bool:
    row = located.row
    return not row.leaving and not state.barred(row.source, row.account)


def _let_go(state: NettingState, parent_id: str, live_qty: int) -> Iterator[Made]:
    """Fewer children of earlier epochs are live: who waits to leave goes once the others have room for the rest."""
    members = state.members(parent_id)
    room_qty = sum(row.remaining_qty for _, row in members if not row.outside)
    if live_qty > room_qty:
        return
    for each in members:
        if each.row.outside and each.row.leaving:
            yield from _leave_now(state, each)
    if not state.member_count(parent_id):
        yield from _done(state, parent_id)


def _leave_now(state: NettingState, located: Located) -> Iterator[Made]:
    """An order outside the epoch leaves with all it has: by its cancel or the desk's, else expired; or it is full."""
    row = located.row
    if row.remaining_qty:
        cl_ord_id = row.leaving_cl_ord_id
        yield records.left(located, row.remaining_qty, state.now_ns, cl_ord_id=cl_ord_id, expired=not row.leaving)
    elif row.leaving_cl_ord_id is not None:
        yield _too_late(state, located)
    state.drop_order(located.order_id)


def _too_late(state: NettingState, located: Located) -> Lineage:
    row, reason = located.row, RejectReason.TOO_LATE_TO_CANCEL
    return records.cancel_refused(
        row.instrument, located.order_id, row.leaving_cl_ord_id or "", reason, state.now_ns, row
    )


def _done(state: NettingState, parent_id: str) -> Iterator[Made]:
    """Nobody is left in the parent."""
    yield records.parent_record(ParentKind.DONE, parent_id, state.parents[parent_id], state.now_ns)
    state.drop_parent(parent_id)


# -------------------------------------------------------------------- crossing


def to_ask(state: NettingState) -> list[tuple[str, list[str]]]:
    """Instruments with the parents to be asked now whether they would cross, the longest due first.

    Bounded by ``ask_members``; the rest is asked at the next ticks.
    """
    due = []
    for instrument in state.books.keys():
        book = state.books[instrument]
        if book.parents and book.round is None and state.now_ns >= book.next_cross_ns and not state.stopped(instrument):
            due.append((book.next_cross_ns, instrument))
    chosen: list[tuple[str, list[str]]] = []
    looked_at = 0
    for _, instrument in sorted(due):
        free = _free(state, instrument)
        if not free:
            continue
        looked_at += sum(state.member_count(parent_id) for parent_id in free)
        if chosen and looked_at > state.parameters.ask_members:
            break
        chosen.append((instrument, free))
    return chosen


def _free(state: NettingState, instrument: str) -> list[str]:
    """Parents that may be asked; empty unless there are some on both sides."""
    free = [parent_id for parent_id in state.book(instrument).parents if _may_ask(state, parent_id)]
    return free if len({state.parents[parent_id].terms.side.sign for parent_id in free}) == 2 else []


def ask(state: NettingState, instrument: str, free: Sequence[str]) -> Iterator[Made]:
    """See what these opposing parents would cross now, and ask slicing to set that much unreleased quantity aside."""
    book, now_ns = state.book(instrument), state.now_ns
    sides: dict[int, list[Offer]] = {1: [], -1: []}
    for parent_id in free:
        terms = state.parents[parent_id].terms
        sides[terms.side.sign].extend(
            records.offer(each, terms, each.row.open_qty) for each in _may_cross(state, parent_id)
        )
    outcome, _ = records.cross_now(state, instrument, sides[1], sides[-1], instrument, dry=True)
    book.next_cross_ns = now_ns + state.parameters.cross_interval_ns
    yield from records.refusals(instrument, instrument, outcome, now_ns, book.refused)
    book.refused = list(outcome.refused)
    wanted = _wanted(state, outcome.crossed)
    asked = [parent_id for parent_id in free if parent_id in wanted]
    if asked:
        book.round = Round(state.next_id("A"), asked, {})
    state.books.put(instrument, book)
    for parent_id in asked:
        assert book.round is not None
        parent = state.parents[parent_id]
        parent.ask_id = book.round.ask_id
        state.parents.put(parent_id, parent)
        yield records.parent_record(
            ParentKind.CROSS_ASK, parent_id, parent, now_ns, ask_id=parent.ask_id, ask_qty=wanted[parent_id]
        )


def _may_ask(state: NettingState, parent_id: str) -> bool:
    parent = state.parents[parent_id]
    return (
        not (parent.recall_wanted or parent.ending or parent.ask_id)
        and parent.order_qty > parent.crossed_qty
        and _may_meet(state, parent_id)
    )


def _may_meet(state: NettingState, parent_id: str) -> bool:
    parent = state.parents[parent_id]
    return (
        parent.start_ns <= state.now_ns < (parent.end_ns or parent.terms.end_ns)
        and not state.switches.killed(parent=parent_id)
        and not state.switches.paused(parent=parent_id)
    )


def _may_cross(state: NettingState, parent_id: str) -> list[Located]:
    return [
        each
        for each in state.members(parent_id)
        if each.row.open_qty and not each.row.leaving and not state.barred(each.row.source, each.row.account)
    ]


def _wanted(state: NettingState, crossed: dict[str, int]) -> dict[str, int]:
    """What each parent must set aside so that its orders can cross ``crossed``: every member owns a part of it."""
    total: dict[str, list[int]] = {}
    for order_id, qty in crossed.items():
        row = state.orders[order_id]
        sums = total.setdefault(row.parent_id, [0, 0])
        sums[0] += qty
        sums[1] += row.open_qty
    wanted = {}
    for parent_id, (qty, open_qty) in total.items():
        parent = state.parents[parent_id]
        whole, lot_qty = parent.order_qty - parent.crossed_qty, state.lot_qty(parent.terms.instrument)
        needed = -(-qty * whole // open_qty)
        wanted[parent_id] = min(whole // lot_qty * lot_qty, -(-needed // lot_qty) * lot_qty)
    return wanted


def on_slice(state: NettingState, message: Slice) -> Iterator[Made]:
    """Slicing's answer to an ask (SET_ASIDE), or its FINISH of a parent."""
    parent = state.parents.get(message.parent_id)
    if parent is None:
        return
    match message.kind:
        case SliceKind.SET_ASIDE if parent.ask_id and parent.ask_id == message.ask_id:
            yield from _answer(state, message.parent_id, message.qty)
        case SliceKind.SET_ASIDE if message.ask_id is not None and message.qty:
            # The ask was closed before this answer. Close it for slicing too, so that nothing stays set aside.
            yield records.parent_record(
                ParentKind.CROSS_DONE, message.parent_id, parent, state.now_ns, ask_id=message.ask_id
            )
        case SliceKind.FINISH:
            parent.ending = True
            state.parents.put(message.parent_id, parent)
            yield from _answer(state, message.parent_id, 0)
        case _:
            pass


def _answer(state: NettingState, parent_id: str, qty: int) -> Iterator[Made]:
    """Note a parent's answer (only its first one counts); after the last one of the round, cross."""
    instrument = state.parents[parent_id].terms.instrument
    book = state.book(instrument)
    if book.round is None or parent_id not in book.round.parent_ids or parent_id in book.round.answers:
        return
    book.round.answers[parent_id] = qty
    # By id, so that the row is the same in whatever order answers came.
    book.round.answers = dict(sorted(book.round.answers.items()))
    state.books.put(instrument, book)
    if len(book.round.answers) == len(book.round.parent_ids):
        yield from _cross_round(state, instrument, book.round)


def _cross_round(state: NettingState, instrument: str, asked: Round) -> Iterator[Made]:
    sides: dict[int, list[Offer]] = {1: [], -1: []}
    for parent_id in [] if state.stopped(instrument) else asked.parent_ids:
        if not _may_meet(state, parent_id):
            continue
        parent = state.parents[parent_id]
        parts = _parts(state, parent_id, parent, asked.answers[parent_id])
        sides[parent.terms.side.sign].extend(
            records.offer(each, parent.terms, parts[each.order_id])
            for each in _may_cross(state, parent_id)
            if parts[each.order_id]
        )
    outcome, crosses = records.cross_now(state, instrument, sides[1], sides[-1], asked.ask_id)
    yield from crosses
    crossed_of = dict.fromkeys(asked.parent_ids, 0)
    for order_id, qty in outcome.crossed.items():
        row = state.orders[order_id]
        row.open_qty -= qty
        crossed_of[row.parent_id] += qty
        state.orders.put(order_id, row)
    book = state.books[instrument]
    book.round = None
    state.books.put(instrument, book)
    for parent_id in asked.parent_ids:
        parent = state.parents[parent_id]
        parent.crossed_qty += crossed_of[parent_id]
        parent.ask_id = ""
        state.parents.put(parent_id, parent)
        yield records.parent_record(
            ParentKind.CROSS_DONE,
            parent_id,
            parent,
            state.now_ns,
            ask_id=asked.ask_id,
            crossed_qty=crossed_of[parent_id],
        )
        yield from _recall_if_free(state, parent_id)


def _parts(state: NettingState, parent_id: str, parent: NettedParent, aside_qty: int) -> dict[str, int]:
    """Each member's part of what was set aside: its open quantity less its share of what is executed or outstanding.

    Allocation shares by the same weights and caps, so a leg never takes what a member was reported as executed.
    """
    members: Sequence[Located] = state.members(parent_id)
    whole = sum(row.open_qty for _, row in members)
    shared = share_with_caps(
        [row.contributed_qty for _, row in members],
        [row.open_qty for _, row in members],
        max(0, whole - aside_qty),
        None,
        [tie_break(parent_id, order_id) for order_id, _ in members],
    )
    return {each.order_id: each.row.open_qty - share for each, share in zip(members, shared.shares, strict=True)}
