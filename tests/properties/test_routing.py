"""Whatever venues do, in any order: exposure holds, slices close once, quantity is conserved, nothing is booked twice.

A venue of the bench keeps its own truth of each order and says it in an order hypothesis chooses: fills before
acknowledgements, repeats, silence, rejects, unsolicited cancels, and (unfair ones) late and over-fills. Busts and
corrections, and a permitted quantity that changes, are not in here; the first are in the unit tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain.controls import ControlKind, ControlScope
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind, ReportKind, VenueReport
from pipeline.domain.market import SessionState
from pipeline.domain.orders import OrdStatus, Side, TimeInForce
from pipeline.domain.parents import SliceKind, Style
from pipeline.domain.record import Owned
from tests.unit.stages.routing.routing_bench import BID, OFFER, RoutingBench


@dataclass
class Order:
    """A venue's own truth of one order."""

    child: ChildOrder
    cum_qty: int = 0
    dead: bool = False
    cancel: ChildOrder | None = None
    unsaid: list[VenueReport] = field(default_factory=list)
    said: list[VenueReport] = field(default_factory=list)


class World:
    """Routing, slicing's demands and the venues, steered by numbers."""

    PERMITTED = 300

    def __init__(self, fair: bool) -> None:
        self.bench = RoutingBench(swap_every=3)
        self.fair = fair
        self.orders: list[Order] = []
        self.slices: dict[tuple[str, int], int] = {}
        self.returned: dict[tuple[str, int], int] = {}
        self.traded: dict[tuple[str, int], int] = {}
        self.quiet = 0

    # ------------------------------------------------------------------ what routing did

    def see(self, records: list[Owned]) -> None:
        for record in records:
            if isinstance(record, ChildOrder) and record.kind is ChildKind.NEW:
                self.orders.append(Order(record))
            elif isinstance(record, ChildOrder) and record.kind is ChildKind.CANCEL:
                order = next(o for o in self.orders if o.child.wire_id == record.orig_wire_id)
                order.cancel = record
            elif isinstance(record, Fill):
                self._see_fill(record)
        self.check()

    def _see_fill(self, fill: Fill) -> None:
        key = (fill.parent_id, fill.slice_no)
        if fill.kind is FillKind.RETURNED:
            assert key not in self.returned, "a slice closes once"
            self.returned[key] = fill.last_qty
        elif fill.kind is FillKind.TRADE and key not in self.returned:
            self.traded[key] = self.traded.get(key, 0) + fill.last_qty
        elif fill.kind is FillKind.QUIET:
            self.quiet += 1
            assert fill.parent_live_qty == 0
            if self.fair:
                for order in self.orders:
                    assert order.child.parent_id != fill.parent_id or order.dead, "QUIET means that none is live"

    def check(self) -> None:
        for parent_id in ("P0-1", "P0-2"):
            parent = self.bench.state.ledger.parents.get(parent_id)
            if parent is None:
                continue
            if self.fair:
                assert parent.live_qty + parent.cum_qty <= self.PERMITTED
                # The venues' own truth, not our books: what they could still do to us, and have done.
                mine = [o for o in self.orders if o.child.parent_id == parent_id]
                worst = sum(o.cum_qty if o.dead else o.child.order_qty for o in mine)
                assert worst <= self.PERMITTED
            children = [c for c in self.bench.state.ledger.live() if c.order.parent_id == parent_id]
            assert parent.live_qty == sum(c.life.live_qty for c in children)
            assert self.bench.state.ledger.live_of(parent) == children
        self._check_indexes()

    def _check_indexes(self) -> None:
        """What is looked up is what counting everything gives."""
        ledger = self.bench.state.ledger
        live = [ledger.children[key] for key in ledger.children.keys() if not ledger.children[key].life.over]
        assert live == ledger.live() == ledger.live_in("A")
        bids = {c.order.venue: c.order.limit_px for c in sorted(live, key=lambda c: c.order.limit_px or 10**18)}
        assert {own.venue: own.limit_px for own in ledger.resting("A", Side.SELL)} == bids, "the best bid of a venue"
        assert ledger.resting("A", Side.BUY) == (), "we only buy in here"

    # ------------------------------------------------------------------ what can happen

    def slice(self, n: int) -> None:
        style = (Style.PASSIVE, Style.MIDPOINT, Style.CROSS, Style.SWEEP)[n % 4]
        parent_id, qty = ("P0-1", "P0-2")[n // 4 % 2], 1 + n % 120
        out = self.bench.slice(
            qty, style, parent=parent_id, permitted_qty=self.PERMITTED, dark_allowed=n % 3 == 0, lasts_s=1 + n % 7
        )
        self.slices[(parent_id, self.bench.slice_no)] = qty
        self.see(out)

    def execute(self, n: int) -> None:
        order = self._order(n, dead=False)
        if order is None:
            return
        qty = 1 + n % (order.child.order_qty - order.cum_qty)
        order.cum_qty += qty
        order.dead = order.cum_qty == order.child.order_qty
        order.unsaid.append(self.bench.trade_report(order.child, qty, BID if order.child.limit_px is None else None))

    def end(self, n: int) -> None:
        """An unsolicited cancel, a reject of what has not executed, an IOC's end, or the answer to our cancel."""
        order = self._order(n, dead=False)
        if order is None:
            return
        order.dead = True
        kind, status = ReportKind.CANCELED, OrdStatus.CANCELED
        if order.child.time_in_force is TimeInForce.IOC:
            kind, status = ReportKind.EXPIRED, OrdStatus.EXPIRED
        elif order.cum_qty == 0 and n % 5 == 0:
            kind, status = ReportKind.REJECTED, OrdStatus.REJECTED
        order.unsaid.append(self.bench.report(order.child, kind, status, cum_qty=order.cum_qty))

    def acknowledge(self, n: int) -> None:
        order = self._order(n, dead=False)
        if order is not None:
            order.unsaid.append(self.bench.report(order.child, ReportKind.NEW, OrdStatus.NEW))

    def reject_cancel(self, n: int) -> None:
        order = self._order(n, dead=None)
        if order is not None and order.cancel is not None:
            status = OrdStatus.FILLED if order.cum_qty == order.child.order_qty else OrdStatus.NEW
            if order.dead and status is not OrdStatus.FILLED:
                return
            wire_id, order.cancel = order.cancel.wire_id, None
            order.unsaid.append(
                self.bench.report(
                    order.child, ReportKind.CANCEL_REJECT, status, wire_id=wire_id, orig_wire_id=order.child.wire_id
                )
            )

    def say(self, n: int) -> None:
        """The next report reaches us; in any order (reports may overtake each other)."""
        waiting = [o for o in self.orders if o.unsaid]
        if waiting:
            order = waiting[n % len(waiting)]
            report = order.unsaid.pop(n // 7 % len(order.unsaid))
            order.said.append(report)
            self.see(self.bench.feed(report))

    def repeat(self, n: int) -> None:
        said = [o for o in self.orders if o.said]
        if said:
            order = said[n % len(said)]
            report = order.said[n // 3 % len(order.said)]
            if report.kind is not ReportKind.CANCEL_REJECT:
                self.see(self.bench.feed(report))

    def wait(self, n: int) -> None:
        self.see(self.bench.after(1 + n % 6))

    def recall(self, n: int) -> None:
        parent_id = ("P0-1", "P0-2")[n % 2]
        self.see(self.bench.slice(kind=SliceKind.RECALL, parent=parent_id, permitted_qty=self.PERMITTED))

    def switch(self, n: int) -> None:
        scope, scope_id = ((ControlScope.ALL, ""), (ControlScope.VENUE, "LITA"), (ControlScope.PARENT, "P0-1"))[n % 3]
        self.see(self.bench.control(ControlKind.KILL, scope, scope_id))
        self.see(self.bench.control(ControlKind.RESUME, scope, scope_id))

    def halt(self, n: int) -> None:
        venue = ("LITA", "LITB", "DARK")[n % 3]
        self.see(self.bench.status(venue, SessionState.HALTED))
        self.see(self.bench.status(venue, SessionState.OPEN))

    def move(self, n: int) -> None:
        self.bench.quote(BID + n % 3 * 10_000_000, OFFER + n % 3 * 10_000_000, offer_venue=("LITA", "LITB")[n % 2])

    def misbehave(self, n: int) -> None:
        """A fill after the end, or beyond the order: never from a fair venue."""
        order = self._order(n, dead=None)
        if order is not None and not self.fair:
            report = self.bench.trade_report(order.child, 1 + n % 50, BID if order.child.limit_px is None else None)
            self.see(self.bench.feed(report))

    def _order(self, n: int, dead: bool | None) -> Order | None:
        those = [o for o in self.orders if dead is None or o.dead is dead]
        return those[n % len(those)] if those else None

    # ------------------------------------------------------------------ the end

    def settle(self) -> None:
        """The venues say all they have to say, and end what is left; then no slice may be open."""
        for _ in range(10_000):
            if any(order.unsaid for order in self.orders):
                self.say(0)
            elif any(not order.dead for order in self.orders):
                self.end(0)
            else:
                break
        assert len(self.bench.state.ledger.open_slices) == 0, "every slice has closed"


ACTIONS: list[Callable[[World, int], None]] = [
    World.slice,
    World.slice,
    World.execute,
    World.execute,
    World.end,
    World.acknowledge,
    World.reject_cancel,
    World.say,
    World.say,
    World.say,
    World.repeat,
    World.wait,
    World.recall,
    World.switch,
    World.halt,
    World.move,
    World.misbehave,
]

SCRIPT = st.lists(st.tuples(st.integers(0, len(ACTIONS) - 1), st.integers(0, 10_000)), min_size=5, max_size=60)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(SCRIPT)
def test_with_fair_venues_exposure_holds_and_quantity_is_conserved(script: list[tuple[int, int]]) -> None:
    world = World(fair=True)
    for action, n in script:
        ACTIONS[action](world, n)
    world.settle()
    assert set(world.returned) == set(world.slices), "every slice closes exactly once"
    for key, qty in world.slices.items():
        assert world.traded.get(key, 0) + world.returned[key] == qty
    executed = sum(o.cum_qty for o in world.orders)
    booked = sum(f.last_qty for f in world.bench.fills(FillKind.TRADE))
    assert booked == executed, "each execution is booked once"
    assert not any(f.late or f.overfill_qty for f in world.bench.all(Fill))


@QUICK
@given(SCRIPT)
def test_with_unfair_venues_all_is_booked_flagged_and_still_closes(script: list[tuple[int, int]]) -> None:
    world = World(fair=False)
    for action, n in script:
        ACTIONS[action](world, n)
    world.settle()
    assert set(world.returned) == set(world.slices)
    for parent_id in ("P0-1", "P0-2"):
        parent = world.bench.state.ledger.parents.get(parent_id)
        trades = [f for f in world.bench.fills(FillKind.TRADE) if f.parent_id == parent_id]
        if parent is not None:
            assert parent.cum_qty == sum(f.last_qty for f in trades)
            assert sum(f.overfill_qty for f in trades) == max(0, parent.cum_qty - parent.permitted_qty)
