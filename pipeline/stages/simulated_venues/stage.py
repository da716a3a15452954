"""The simulated venues: lit books that replay a recorded market, and a dark midpoint venue. A stage like any other.

- Reads: child-orders; book-events, nbbo, venue-status (the recorded market); venues, instruments; clock.
- Keeps: each recorded order and each of ours, messages on their way to a venue and back, sessions, the last quote.
- Writes: venue-reports, each at the first tick at or after the time it reaches us; alerts.
- Refuses: by the venues' rules, as REJECTED or CANCEL_REJECT with a named reason; NOT_SENT while a venue is down.
- Conserves: recorded aggressive volume = what filled us + what filled recorded orders + what met quantity that we had
  taken before; of each order: ordered = executed + open + cancelled or expired; no order of ours executes because of
  what the record shows only after that moment.

It proves nothing about gateways.

First form: no replace (CANCEL_REJECT with a reason), no auctions, no corrections.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from pipeline.domain.controls import Alert, Tick, TickKind
from pipeline.domain.executions import ChildKind, ChildOrder, Liquidity, ReportKind, VenueReport
from pipeline.domain.market import NBBO, BookEvent, BookEventKind, SessionState, VenueStatus
from pipeline.domain.orders import OrdStatus, TimeInForce
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import Instrument, Venue, VenueKind
from pipeline.simulator.venues import dark, lit
from pipeline.simulator.venues.dark import DarkState
from pipeline.simulator.venues.latency import latency_ns
from pipeline.simulator.venues.orders import Answer, VenueOrder, cancel_rest, reject, say, traded
from pipeline.stage import Meta, Stage
from pipeline.stages.simulated_venues import reports as reports
from pipeline.stages.simulated_venues.parameters import VenuesParameters
from pipeline.stages.simulated_venues.state import DARK, LIT, KnownClOrdID, UnderWay, VenuesState
from pipeline.state import Task

_REFUSED_IN: Final = {
    SessionState.UNKNOWN: "MARKET_CLOSED",
    SessionState.PRE_OPEN: "MARKET_CLOSED",
    SessionState.AUCTION: "AUCTION_NOT_SUPPORTED",
    SessionState.HALTED: "HALTED",
    SessionState.CLOSED: "MARKET_CLOSED",
}


class VenuesStage(Stage[VenuesState]):
    """All simulated venues; one task simulates them for the instruments of its partition."""

    name: ClassVar[str] = "venues"
    title: ClassVar[str] = "simulated venues: our orders against recorded books and hidden interest"
    reads: ClassVar[tuple[type[Record], ...]] = (ChildOrder, BookEvent, NBBO, VenueStatus, Venue, Instrument, Tick)
    writes: ClassVar[tuple[type[Owned], ...]] = (VenueReport, Alert)

    parameters: VenuesParameters

    def __init__(self, parameters: VenuesParameters = VenuesParameters()) -> None:  # noqa: B008 - a frozen constant
        self.parameters = parameters

    def new_state(self, task: Task) -> VenuesState:
        return VenuesState(task)

    def step(self, state: VenuesState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case ChildOrder():
                self._send(state, message)
            case BookEvent():
                self._record(state, message)
            case NBBO():
                self._quote(state, message)
            case VenueStatus():
                self._status(state, message)
            case Venue():
                state.venues.put(message, state.now_ns)
            case Instrument():
                state.instruments.put(message, state.now_ns)
            case Tick():
                yield from self._tick(state, message)
            case _:
                raise TypeError(f"venues do not read {type(message).__name__}")

    # ---------------------------------------------------------------- the record and the clock

    def _record(self, state: VenuesState, event: BookEvent) -> None:
        lane = f"{LIT}/{event.instrument}"
        self._advance(state, lane, event.event_ns - 1)
        market = state.market(event.instrument)
        market.book_ns = max(market.book_ns, event.event_ns)
        state.markets.put(event.instrument, market)
        at_ns = state.lane_now_ns(lane)
        if event.kind in (BookEventKind.HALT, BookEventKind.RESUME):
            session = state.session(event.venue, event.instrument)
            session.state = SessionState.HALTED if event.kind is BookEventKind.HALT else SessionState.OPEN
            state.put_session(event.venue, event.instrument, session)
        changed: list[VenueOrder] = []
        executions = state.book(event.venue, event.instrument).apply(event, changed)
        for order in changed:
            state.orders.put(order.key, order)
        for execution in executions:
            self._answer(state, traded(execution), at_ns)

    def _quote(self, state: VenuesState, quote: NBBO) -> None:
        lane = f"{DARK}/{quote.instrument}"
        self._advance(state, lane, quote.event_ns - 1)
        market = state.market(quote.instrument)
        if quote.event_ns < market.quote_ns:
            return  # older than the one held
        market.quote_ns = quote.event_ns
        market.bid_px, market.offer_px = quote.bid_px, quote.offer_px
        state.markets.put(quote.instrument, market)
        at_ns = state.lane_now_ns(lane)
        for venue in self._dark_resting(state, quote.instrument):
            self._match_dark(state, venue, quote.instrument, at_ns, Liquidity.ADDED)

    def _status(self, state: VenuesState, status: VenueStatus) -> None:
        # Status comes on another topic than book events and quotes: it is queued by its own time among them.
        lane = state.lane(status.venue, status.instrument)
        state.send(UnderWay(max(status.event_ns, state.lane_now_ns(lane)), lane, status=status))

    def _change_status(self, state: VenuesState, status: VenueStatus, at_ns: int) -> None:
        session = state.session(status.venue, status.instrument)
        session.state = status.state
        state.put_session(status.venue, status.instrument, session)
        if status.state is SessionState.CLOSED:
            self._expire(state, status.venue, status.instrument, at_ns)

    def _tick(self, state: VenuesState, tick: Tick) -> Iterator[VenueReport]:
        state.apply_tick(tick)
        for lane in state.lanes_under_way():
            self._advance(state, lane, state.now_ns)
        if tick.kind is TickKind.DAY_END:
            for key in state.orders.keys():
                order = state.orders[key]
                if order.is_live:
                    self._expire(state, order.venue, order.instrument, state.now_ns)
        elif tick.kind is TickKind.DAY_START:
            _forget_yesterday(state)
        while (report := state.next_due()) is not None:
            yield report

    def _advance(self, state: VenuesState, lane: str, until_ns: int) -> None:
        """Apply in order of time what reaches the venues of ``lane`` up to ``until_ns``: messages, hidden interest."""
        kind, _, instrument = lane.partition("/")
        while True:
            arrival_ns = state.next_arrival_ns(lane)
            if arrival_ns is not None and arrival_ns > until_ns:
                arrival_ns = None
            horizon_ns = until_ns if arrival_ns is None else arrival_ns - 1
            if kind == DARK and self._next_interest(state, instrument, horizon_ns):
                continue
            if arrival_ns is None:
                return
            self._arrive(state, state.arrived(lane))

    # ---------------------------------------------------------------- our messages

    def _send(self, state: VenuesState, child: ChildOrder) -> None:
        venue = state.venues.get(child.venue, state.now_ns)
        way_ns = 0 if venue is None else latency_ns(venue, self.parameters.seed, "out", child.wire_id)
        session = state.session(child.venue, child.instrument)
        lane = state.lane(child.venue, child.instrument)
        at_ns = max(child.sent_ns + way_ns, state.lane_now_ns(lane), session.last_arrival_ns)
        session.last_arrival_ns = at_ns
        state.put_session(child.venue, child.instrument, session)
        state.send(UnderWay(at_ns, lane, child))

    def _arrive(self, state: VenuesState, row: UnderWay) -> None:
        if row.busted is not None:
            reports.bust(state, self.parameters.seed, self.parameters.faults, row)
            return
        if row.status is not None:
            self._change_status(state, row.status, row.at_ns)
            return
        child = row.child
        assert child is not None
        match child.kind:
            case ChildKind.NEW:
                self._new(state, child, row.at_ns)
            case ChildKind.CANCEL:
                self._cancel(state, child, row.at_ns)
            case ChildKind.STATUS:
                self._say_status(state, child, row.at_ns)
            case ChildKind.REPLACE | ChildKind.UNKNOWN:
                order = _order_of(child, 0, child.orig_wire_id or child.wire_id)
                order.ord_status = OrdStatus.REJECTED
                self._answer(
                    state, say(order, ReportKind.CANCEL_REJECT, "REPLACE_NOT_SUPPORTED", child.wire_id), row.at_ns
                )

    def _new(self, state: VenuesState, child: ChildOrder, at_ns: int) -> None:
        venue = state.venues.get(child.venue, state.now_ns)
        wire_key = f"{child.venue}/{child.wire_id}"
        wire = state.wires.get(wire_key)
        order = _order_of(child, state.next_number(f"order/{child.venue}/{child.instrument}"), child.wire_id)
        session = state.session(child.venue, child.instrument).state
        if session is SessionState.DOWN:
            order.end(OrdStatus.REJECTED)
            self._answer(state, say(order, ReportKind.NOT_SENT, "VENUE_DOWN"), at_ns)
            return
        if wire is not None and (venue is None or venue.checks_repeats):
            # The order that has this id stays as it is; only the repeated message is rejected.
            self._answer(state, reject(order, "DUPLICATE_CL_ORD_ID"), at_ns)
            return
        state.wires.put(wire_key, KnownClOrdID([*(wire.orders if wire else ()), order.key]))
        instrument = state.instruments.get(child.instrument, state.now_ns)
        reason = _refusal(child, venue, instrument, session)
        if not reason and self.parameters.faults.rejects(self.parameters.seed, child.wire_id):
            reason = "SIMULATED_REJECT"
        if reason:
            answers = [reject(order, reason)]
        elif venue is not None and venue.venue_kind is VenueKind.DARK:
            answers = self._new_dark(state, order, child.post_only, at_ns)
        else:
            answers = lit.arrive(state.book(child.venue, child.instrument), order, child.post_only)
        state.orders.put(order.key, order)
        for answer in answers:
            self._answer(state, answer, at_ns)

    def _cancel(self, state: VenuesState, child: ChildOrder, at_ns: int) -> None:
        original = child.orig_wire_id or ""
        venue = state.venues.get(child.venue, state.now_ns)
        wire_key = f"{child.venue}/{child.wire_id}"
        repeated = wire_key in state.wires and (venue is None or venue.checks_repeats)
        order = _latest(state, f"{child.venue}/{original}")
        kind, reason = ReportKind.CANCEL_REJECT, ""
        if state.session(child.venue, child.instrument).state is SessionState.DOWN:
            kind, reason = ReportKind.NOT_SENT, "VENUE_DOWN"
        elif repeated:
            reason = "DUPLICATE_CL_ORD_ID"
        elif order is None:
            reason = "UNKNOWN_ORDER"
        elif not order.is_live:
            reason = "TOO_LATE_TO_CANCEL"
        if kind is not ReportKind.NOT_SENT and wire_key not in state.wires:
            state.wires.put(wire_key, KnownClOrdID([]))
        if order is None:
            order = _order_of(child, 0, original)
            order.ord_status = OrdStatus.REJECTED
        elif not reason:
            kind = ReportKind.CANCELED
            state.book(order.venue, order.instrument).withdraw(order)
            order.end(OrdStatus.CANCELED)
            state.orders.put(order.key, order)
        self._answer(state, say(order, kind, reason, child.wire_id), at_ns)

    def _say_status(self, state: VenuesState, child: ChildOrder, at_ns: int) -> None:
        """How the order of a status request stands; a venue that is down says nothing."""
        if state.session(child.venue, child.instrument).state is SessionState.DOWN:
            return
        original, reason = child.orig_wire_id or "", ""
        order = _latest(state, f"{child.venue}/{original}")
        if order is None:
            order, reason = _order_of(child, 0, original), "UNKNOWN_ORDER"
            order.ord_status = OrdStatus.REJECTED
        self._answer(state, say(order, ReportKind.ORDER_STATUS, reason), at_ns)

    def _expire(self, state: VenuesState, venue: str, instrument: str, at_ns: int) -> None:
        book = state.book(venue, instrument)
        for order in list(book.own):
            book.withdraw(order)
            order.end(OrdStatus.EXPIRED)
            state.orders.put(order.key, order)
            self._answer(state, say(order, ReportKind.EXPIRED, "SESSION_ENDED"), at_ns)

    # ---------------------------------------------------------------- the dark venue

    def _new_dark(self, state: VenuesState, order: VenueOrder, post_only: bool, at_ns: int) -> list[Answer]:
        reason = dark.refusal(order, post_only)
        if reason:
            return [reject(order, reason)]
        answers = [say(order, ReportKind.NEW)]
        book = state.book(order.venue, order.instrument)
        # Orders of ours that rest here had their chance at this interest before the new one.
        answers += self._meet(state, order.venue, order.instrument, [order], at_ns, Liquidity.REMOVED)
        if order.is_live and order.time_in_force is TimeInForce.IOC:
            answers.append(cancel_rest(order, "IMMEDIATE_OR_CANCEL"))
        elif order.is_live:
            book.resume(order)
        return answers

    def _match_dark(self, state: VenuesState, venue: str, instrument: str, at_ns: int, liquidity: Liquidity) -> None:
        book = state.book(venue, instrument)
        orders = list(book.own)
        for answer in self._meet(state, venue, instrument, orders, at_ns, liquidity):
            if not answer.order.is_live:
                book.withdraw(answer.order)
            state.orders.put(answer.order.key, answer.order)
            self._answer(state, answer, at_ns)

    def _meet(
        self,
        state: VenuesState,
        venue: str,
        instrument: str,
        orders: list[VenueOrder],
        at_ns: int,
        liquidity: Liquidity,
    ) -> list[Answer]:
        """Executions of ``orders`` against the hidden interest present at ``at_ns``."""
        key = f"{venue}/{instrument}"
        remembered = state.dark.get(key) or DarkState()
        remembered.looked_ns = max(remembered.looked_ns, at_ns)
        answers: list[Answer] = []
        facts = state.instruments.get(instrument, state.now_ns)
        midpoint_px = state.market(instrument).midpoint_px
        open_now = state.session(venue, instrument).state is SessionState.OPEN
        if facts is not None and midpoint_px is not None and open_now:
            parameters = self.parameters.hidden
            cell = at_ns // parameters.cell_ns
            interest = dark.interest_of(cell, parameters, self.parameters.seed, venue, facts)
            if interest is not None and interest.from_ns <= at_ns:
                # One by one, so that each answer states its order as it was right after that execution.
                for order in orders:
                    answers += map(traded, dark.match([order], midpoint_px, interest, remembered, liquidity))
        state.dark.put(key, remembered)
        return answers

    def _next_interest(self, state: VenuesState, instrument: str, until_ns: int) -> bool:
        """Match the next hidden interest up to ``until_ns`` with our resting orders; whether there was one."""
        facts = state.instruments.get(instrument, state.now_ns)
        found: tuple[int, str] | None = None
        for venue in self._dark_resting(state, instrument) if facts is not None else ():
            assert facts is not None
            looked_ns = (state.dark.get(f"{venue}/{instrument}") or DarkState()).looked_ns
            at_ns = dark.next_arrival_ns(
                looked_ns, until_ns, self.parameters.hidden, self.parameters.seed, venue, facts
            )
            if at_ns is not None and (found is None or (at_ns, venue) < found):
                found = (at_ns, venue)
        if found is None:
            return False
        self._match_dark(state, found[1], instrument, found[0], Liquidity.ADDED)
        return True

    @staticmethod
    def _dark_resting(state: VenuesState, instrument: str) -> list[str]:
        """The dark venues at which an order of ours rests in ``instrument``."""
        found = []
        for code in state.venues.keys():
            if state.book(code, instrument).own and state.is_dark(code):
                found.append(code)
        return found

    def _answer(self, state: VenuesState, answer: Answer, at_ns: int) -> None:
        reports.answer(state, self.parameters.seed, self.parameters.faults, answer, at_ns)


def _refusal(child: ChildOrder, venue: Venue | None, instrument: Instrument | None, session: SessionState) -> str:
    """The reason why the venue rejects the order; empty when it accepts it."""
    if venue is None:
        return "UNKNOWN_VENUE"
    if instrument is None:
        return "UNKNOWN_SYMBOL"
    if session is not SessionState.OPEN:
        return _REFUSED_IN[session]
    if child.order_qty < max(1, venue.min_qty):
        return "BELOW_MINIMUM_QUANTITY"
    step_px = instrument.tick_px // 2 if venue.venue_kind is VenueKind.DARK else instrument.tick_px
    if child.limit_px is not None and (child.limit_px <= 0 or child.limit_px % step_px):
        return "PRICE_NOT_ON_TICK"
    return ""


def _order_of(child: ChildOrder, no: int, wire_id: str) -> VenueOrder:
    return VenueOrder(
        child.venue,
        child.instrument,
        wire_id,
        no,
        child.side,
        child.ord_type,
        child.time_in_force,
        child.limit_px,
        child.order_qty,
        child.min_qty,
        leaves_qty=child.order_qty if child.kind is ChildKind.NEW else 0,
    )


def _latest(state: VenuesState, wire_key: str) -> VenueOrder | None:
    """The order of a ClOrdID: of several (not every venue checks for duplicates) the last live one, else the last."""
    wire = state.wires.get(wire_key)
    if wire is None or not wire.orders:
        return None
    orders = [order for key in wire.orders if (order := state.orders.get(key)) is not None]
    live = [order for order in orders if order.is_live]
    return (live or orders)[-1] if orders else None


def _forget_yesterday(state: VenuesState) -> None:
    """Forget yesterday's orders and their ids: day orders expired at the day's end."""
    for key in state.orders.keys():
        if not state.orders[key].is_live:
            state.orders.remove(key)
    for key in state.wires.keys():
        if not any(order in state.orders for order in state.wires[key].orders):
            state.wires.remove(key)
