"""A whole engine in memory with scripted venues: orders, cancels and controls in; the books checked at the end.

Two lit venues, one second a tick, the quote repeated each second. What the venues do with a child is a function of the
test's own (:data:`Venue`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pipeline.audit.invariants import Books
from pipeline.domain.controls import Alert, Control, ControlKind, ControlScope, Tick, TickKind
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind, ReportKind, VenueReport
from pipeline.domain.market import (
    NBBO,
    Depth,
    DepthKind,
    Level,
    PrintKind,
    QuoteKind,
    SessionState,
    TradePrint,
    VenueStatus,
)
from pipeline.domain.orders import (
    AccountClass,
    OrderEvent,
    OrderRequest,
    OrdStatus,
    OrdType,
    RequestKind,
    Side,
    TimeInForce,
)
from pipeline.domain.parents import ParentKind, ParentOrder
from pipeline.domain.record import Record
from pipeline.domain.reference import (
    Account,
    CrossingRule,
    Instrument,
    Limit,
    LimitScope,
    PriceRule,
    ReferenceKind,
    Venue,
    VenueKind,
)
from pipeline.runtime.memory.host import MemoryHost
from pipeline.stages.allocation.stage import AllocationStage
from pipeline.stages.credit import CreditStage
from pipeline.stages.intake.stage import IntakeStage
from pipeline.stages.netting.parameters import NettingParameters
from pipeline.stages.netting.stage import NettingStage
from pipeline.stages.routing.parameters import RoutingParameters
from pipeline.stages.routing.stage import RoutingStage
from pipeline.stages.slicing.parameters import SlicingParameters
from pipeline.stages.slicing.stage import SlicingStage

S = 1_000_000_000
PX = 1_000_000_000
TICK_PX = PX // 100
OPEN_NS = 1_340_285_400 * S
DAY = 20120621
A_DAY_S = 23_400

R = TypeVar("R", bound=Record)
Answer = Callable[["Desk", ChildOrder], None]
"""What the venues do as a child order (new or a cancel) reaches them."""


def fills(desk: Desk, child: ChildOrder) -> None:
    """Every child is filled at once, whole."""
    if child.kind is ChildKind.NEW:
        desk.acknowledge(child)
        desk.trade(child, child.order_qty)
    else:
        desk.reject_cancel(child)


def rests(desk: Desk, child: ChildOrder) -> None:
    """What may rest does, unfilled, until it is cancelled; cancels are confirmed at once."""
    if child.kind is ChildKind.CANCEL:
        desk.canceled(child)
        return
    desk.acknowledge(child)
    if child.time_in_force is TimeInForce.IOC:
        desk.canceled(child)


def is_silent(desk: Desk, child: ChildOrder) -> None:
    """No answer, ever."""


class Desk:
    """The engine: one partition, two clients' sources `x` and `y` with accounts `x1`, `y1` and so on."""

    def __init__(
        self,
        venues: Answer = fills,
        *,
        window_s: int = 15,
        session_s: int = A_DAY_S,
        lot_qty: int = 1,
        rules: bool = True,
        netting: NettingParameters | None = None,
        slicing: SlicingParameters | None = None,
        routing: RoutingParameters | None = None,
        quote_qty: int = 100_000,
    ) -> None:
        self.host = MemoryHost(
            [
                CreditStage(),
                IntakeStage(),
                NettingStage(netting or NettingParameters(window_ns=window_s * S)),
                SlicingStage(slicing or SlicingParameters()),
                RoutingStage(routing or RoutingParameters(wire_secret=b"0123456789abcdef")),
                AllocationStage(),
            ],
            1,
            encode=False,
        )
        self.now = OPEN_NS
        self.venues = venues
        self.bid_px, self.offer_px = 100 * PX - TICK_PX, 100 * PX + TICK_PX
        self._quote_qty = quote_qty
        self._numbers = dict.fromkeys(("quote", "print", "exec", "control"), 0)
        self._answered = 0
        self._done: dict[str, int] = {}
        self._over: set[str] = set()
        self._before = OPEN_NS - 86_400 * S
        self._reference(session_s, lot_qty, rules)
        self.tick(TickKind.DAY_START)
        self.status()
        self.quote()

    def _reference(self, session_s: int, lot_qty: int, rules: bool) -> None:
        given: dict[str, Any] = {"kind": ReferenceKind.SET, "effective_ns": self._before}
        self.publish(
            Instrument(
                instrument="A", tick_px=TICK_PX, lot_qty=lot_qty, session_open_ns=OPEN_NS,
                session_close_ns=OPEN_NS + session_s * S, reference_px=100 * PX, daily_volume_qty=1_000_000, **given,
            )
        )  # fmt: skip
        for venue in ("LITA", "LITB"):
            fees: dict[str, Any] = {"maker_fee_px": -2_000_000, "taker_fee_px": 3_000_000}
            self.publish(
                Venue(venue=venue, venue_kind=VenueKind.LIT, latency_ns=0, latency_jitter_ns=0, **fees, **given)
            )
        for source in "xyz":
            for number in range(1, 9):
                name = f"{source}{number}"
                whose: dict[str, Any] = {"account_class": AccountClass.CLIENT, "owner": f"own-{name}"}
                self.publish(Account(account=name, source=source, control_group="", **whose, **given))
                self.publish(Limit(scope=LimitScope.ACCOUNT, scope_id=name, max_exposure=10**18, **given))
        self.publish(Limit(scope=LimitScope.FIRM, max_order_qty=10**7, collar=None, max_backlog_ns=10**15, **given))
        if rules:
            self.publish(
                CrossingRule(
                    rule_id="cc", one_class=AccountClass.CLIENT, other_class=AccountClass.CLIENT, allowed=True,
                    price_rule=PriceRule.MIDPOINT, max_quote_age_ns=5 * S, max_spread=300_000, max_move=500_000,
                    authority="test", **given,
                )
            )  # fmt: skip

    # ------------------------------------------------------------------ what comes in

    def publish(self, record: Record) -> None:
        """Publish a record now; the venues answer what it causes."""
        self.host.publish(record, self.now)
        self.host.run()
        self.answer()

    def status(self, state: SessionState = SessionState.OPEN) -> None:
        for venue in ("LITA", "LITB"):
            self.publish(VenueStatus(venue=venue, instrument="A", state=state, event_ns=self.now, received_ns=self.now))

    def quote(self, bid_px: int | None = None, offer_px: int | None = None) -> None:
        """The quote, again or a new one, with its depth at both venues."""
        self.bid_px, self.offer_px = bid_px or self.bid_px, offer_px or self.offer_px
        no, qty = self._next("quote"), self._quote_qty
        when: dict[str, Any] = {"event_ns": self.now, "received_ns": self.now}
        self.publish(
            NBBO(
                kind=QuoteKind.NBBO, instrument="A", feed="t", quote_no=no, bid_px=self.bid_px, bid_qty=qty,
                bid_venue="LITA", offer_px=self.offer_px, offer_qty=qty, offer_venue="LITA", **when,
            )
        )  # fmt: skip
        for venue in ("LITA", "LITB"):
            bids, offers = (Level(px=self.bid_px, qty=qty),), (Level(px=self.offer_px, qty=qty),)
            self.publish(
                Depth(
                    kind=DepthKind.SNAPSHOT, venue=venue, instrument="A", event_no=no, bids=bids, offers=offers, **when
                )
            )

    def print(self, qty: int, px: int = 100 * PX) -> None:
        number = str(self._next("print"))
        self.publish(
            TradePrint(
                kind=PrintKind.TRADE, instrument="A", venue="LITA", print_id=number, event_ns=self.now,
                received_ns=self.now, px=px, qty=qty,
            )
        )  # fmt: skip

    def tick(self, kind: TickKind = TickKind.TICK) -> None:
        self.publish(Tick(kind=kind, now_ns=self.now, wall_ns=self.now, trade_date=DAY))

    def run(self, seconds: int, *, quotes: bool = True) -> None:
        """So many seconds pass, a quote and a tick in each."""
        for _ in range(seconds):
            self.now += S
            if quotes:
                self.quote()
            self.tick()

    def end_day(self) -> None:
        """A second later the day is over."""
        self.now += S
        self.tick(TickKind.DAY_END)

    def order(self, name: str, account: str, qty: int, side: Side = Side.BUY, *, end_s: int = 0, **more: Any) -> None:
        """A client's order; ``end_s``: its end in seconds from the open."""
        if end_s:
            more["end_ns"] = OPEN_NS + end_s * S
        more.setdefault("ord_type", OrdType.LIMIT if more.get("limit_px") else OrdType.MARKET)
        more.setdefault("crossing_consent", True)
        self.publish(
            OrderRequest(
                kind=RequestKind.NEW, source=account[0], cl_ord_id=name, account=account, instrument="A", side=side,
                order_qty=qty, **more,
            )
        )  # fmt: skip

    def cancel(self, name: str, account: str) -> None:
        self.publish(
            OrderRequest(
                kind=RequestKind.CANCEL, source=account[0], cl_ord_id=f"{name}-C", orig_cl_ord_id=name,
                account=account, instrument="A",
            )
        )  # fmt: skip

    def control(self, kind: ControlKind, scope: ControlScope, scope_id: str = "", **more: Any) -> None:
        number = f"c{self._next('control')}"
        self.publish(
            Control(
                kind=kind, control_id=number, scope=scope, scope_id=scope_id, who="desk", why="test", at_ns=self.now,
                **more,
            )
        )  # fmt: skip

    # ------------------------------------------------------------------ the venues

    def answer(self) -> None:
        """Let the venues answer every child order that has not been answered."""
        while True:
            sent = self.host.records(ChildOrder)
            if self._answered >= len(sent):
                return
            self._answered += 1
            self.venues(self, sent[self._answered - 1])

    def acknowledge(self, child: ChildOrder) -> None:
        self._report(child, ReportKind.NEW, OrdStatus.NEW)

    def trade(self, child: ChildOrder, qty: int) -> None:
        """An execution of so much of a new order, at its limit or the middle."""
        order = self.child(child.child_id)
        self._done[order.child_id] = done = self._done.get(order.child_id, 0) + qty
        status = OrdStatus.FILLED if done >= order.order_qty else OrdStatus.PARTIALLY_FILLED
        px = order.limit_px or (self.bid_px + self.offer_px) // 2
        self._report(order, ReportKind.TRADE, status, last_qty=qty, last_px=px)

    def canceled(self, cancel: ChildOrder) -> None:
        """The order is cancelled, as the cancel request (or an order that ends by itself) says."""
        order = self.child(cancel.child_id)
        self._over.add(order.child_id)
        ids = {} if cancel is order else {"wire_id": cancel.wire_id, "orig_wire_id": order.wire_id}
        self._report(order, ReportKind.CANCELED, OrdStatus.CANCELED, **ids)

    def reject_cancel(self, cancel: ChildOrder) -> None:
        order = self.child(cancel.child_id)
        ids = {"wire_id": cancel.wire_id, "orig_wire_id": order.wire_id}
        self._report(order, ReportKind.CANCEL_REJECT, OrdStatus.FILLED, **ids)

    def done_qty(self, order: ChildOrder) -> int:
        """What the venue has executed of an order."""
        return self._done.get(order.child_id, 0)

    def is_over(self, order: ChildOrder) -> bool:
        """Whether the venue has cancelled it or filled it."""
        return order.child_id in self._over or self.done_qty(order) >= order.order_qty

    def _report(self, child: ChildOrder, kind: ReportKind, status: OrdStatus, **more: Any) -> None:
        done = self._done.get(child.child_id, 0)
        ended = status in (OrdStatus.CANCELED, OrdStatus.FILLED)
        values: dict[str, Any] = {
            "wire_id": child.wire_id, "exec_id": f"E{self._next('exec')}", "side": child.side, "cum_qty": done,
            "leaves_qty": 0 if ended else max(0, child.order_qty - done), "trade_date": DAY,
        }  # fmt: skip
        self.publish(
            VenueReport(
                kind=kind, venue=child.venue, session_id="S1", instrument="A", ord_status=status, venue_ns=self.now,
                received_ns=self.now, **(values | more),
            )
        )  # fmt: skip

    # ------------------------------------------------------------------ looking

    def all(self, of: type[R]) -> list[R]:
        return self.host.records(of)

    def child(self, child_id: str) -> ChildOrder:
        return next(each for each in self.children() if each.child_id == child_id)

    def children(self, since_ns: int = 0) -> list[ChildOrder]:
        """New orders sent to venues, from a moment on."""
        return [each for each in self.all(ChildOrder) if each.kind is ChildKind.NEW and each.sent_ns >= since_ns]

    def order_events(self) -> list[OrderEvent]:
        return self.all(OrderEvent)

    def events(self, name: str) -> list[OrderEvent]:
        return [each for each in self.all(OrderEvent) if name in (each.cl_ord_id, each.orig_cl_ord_id)]

    def last(self, name: str) -> OrderEvent:
        """The order's last event."""
        return self.events(name)[-1]

    def all_alerts(self) -> list[Alert]:
        return self.all(Alert)

    def alerts(self) -> list[tuple[str, str]]:
        return [(str(each.kind), each.reason) for each in self.all(Alert)]

    def fills(self, kind: FillKind = FillKind.TRADE) -> list[Fill]:
        return [each for each in self.all(Fill) if each.kind is kind]

    def parents(self, kind: ParentKind = ParentKind.NEW) -> list[ParentOrder]:
        return [each for each in self.all(ParentOrder) if each.kind is kind]

    def seconds(self, at_ns: int) -> int:
        """A moment, in seconds from the open."""
        return (at_ns - OPEN_NS) // S

    def off(self) -> list[str]:
        """Lines of the day's books that do not hold, from the records alone."""
        books = Books()
        for place in sorted(self.host.topics):
            for stored in self.host.topics[place]:
                if stored.record is not None:
                    books.add(stored.record)
        return [str(line) for line in books.lines() if not line.holds]

    def _next(self, what: str) -> int:
        self._numbers[what] += 1
        return self._numbers[what]


def names(events: Sequence[OrderEvent]) -> list[str]:
    """The kinds of events, in order."""
    return [str(each.kind) for each in events]
