"""Netting on a bench with a market open, one rule live, and short words for what comes in."""

from __future__ import annotations

from typing import Any

from pipeline.domain.controls import Alert, Control, ControlKind, ControlScope, TickKind
from pipeline.domain.market import NBBO, QuoteKind, SessionState, VenueStatus
from pipeline.domain.orders import AccountClass, Order, OrderKind, OrderRequest, RequestKind, Side
from pipeline.domain.parents import (
    Cross,
    EpochClosed,
    EpochShare,
    Lineage,
    LineageKind,
    ParentKind,
    ParentOrder,
    Slice,
    SliceKind,
)
from pipeline.domain.record import Owned
from pipeline.domain.reference import CrossingRule, Instrument, PriceRule, ReferenceKind
from pipeline.stages.netting.parameters import NettingParameters
from pipeline.stages.netting.stage import NettingStage
from pipeline.stages.netting.state import NettingState
from tests.stage_bench import Bench

S = 1_000_000_000
PX = 1_000_000_000
T0 = 1_000 * S
END = 20_000 * S
DAY = 20260105
SYM = "AMZN"


def config(**changes: Any) -> NettingParameters:
    """Parameters the tests are written for, whatever the defaults are."""
    pinned = {
        "window_ns": 5 * S,
        "max_wait_ns": 2 * S,
        "cross_interval_ns": 5 * S,
        "median_ns": 10 * S,
        "history_ns": 30 * S,
        "chunk_members": 256,
    }
    return NettingParameters(**{**pinned, **changes})


def rule(rule_id: str = "client-client", **changes: Any) -> CrossingRule:
    values: dict[str, Any] = {
        "kind": ReferenceKind.SET,
        "rule_id": rule_id,
        "effective_ns": 0,
        "one_class": AccountClass.CLIENT,
        "other_class": AccountClass.CLIENT,
        "allowed": True,
        "price_rule": PriceRule.MIDPOINT,
        "max_quote_age_ns": 60 * S,
        "max_spread": 1_000_000,
        "max_move": 500_000,
        "authority": "test",
    }
    return CrossingRule(**{**values, **changes})


def instrument(**changes: Any) -> Instrument:
    values: dict[str, Any] = {
        "kind": ReferenceKind.SET,
        "instrument": SYM,
        "effective_ns": 0,
        "tick_px": PX // 100,
        "session_open_ns": 0,
        "session_close_ns": END,
        "reference_px": 100 * PX,
        "daily_volume_qty": 1_000_000,
    }
    return Instrument(**{**values, **changes})


def quote(event_ns: int = T0, bid: int | None = 100 * PX, offer: int | None = 100 * PX + PX // 10, **more: Any) -> NBBO:
    values: dict[str, Any] = {
        "kind": QuoteKind.BBO,
        "instrument": SYM,
        "feed": "test",
        "event_ns": event_ns,
        "received_ns": event_ns,
        "quote_no": event_ns // 1_000_000,
        "bid_px": bid,
        "bid_qty": 100,
        "offer_px": offer,
        "offer_qty": 100,
    }
    return NBBO(**{**values, **more})


MID = 100 * PX + PX // 20


def status(
    state: SessionState = SessionState.OPEN, event_ns: int = T0, venue: str = "XNAS", **more: Any
) -> VenueStatus:
    values: dict[str, Any] = {"instrument": SYM, "event_ns": event_ns, "received_ns": event_ns}
    return VenueStatus(venue=venue, state=state, **{**values, **more})


def order(order_id: str, side: Side = Side.BUY, qty: int = 100, **changes: Any) -> Order:
    """A consenting client's order; ``owner`` and the rest may be changed, request fields with ``r_`` before them."""
    request: dict[str, Any] = {
        "kind": RequestKind.NEW,
        "source": "alpha",
        "cl_ord_id": f"c-{order_id}",
        "account": f"acc-{order_id}",
        "instrument": SYM,
        "side": side,
        "order_qty": qty,
        "crossing_consent": True,
    }
    values: dict[str, Any] = {
        "kind": OrderKind.NEW,
        "order_id": order_id,
        "instrument": SYM,
        "trade_date": DAY,
        "append_ns": T0,
        "received_ns": T0,
        "accepted_ns": T0,
        "account_class": AccountClass.CLIENT,
        "owner": f"owner-{order_id}",
        "control_group": f"group-{order_id}",
        "currency": "USD",
        "start_ns": T0,
        "end_ns": END,
    }
    for name, value in changes.items():
        (request if name.startswith("r_") else values)[name.removeprefix("r_")] = value
    return Order(**values, request=OrderRequest(**request))


def cancel(order_id: str, cl_ord_id: str = "") -> Order:
    return Order(
        kind=OrderKind.CANCEL,
        order_id=order_id,
        instrument=SYM,
        trade_date=DAY,
        append_ns=T0,
        received_ns=T0,
        accepted_ns=T0,
        request=OrderRequest(
            kind=RequestKind.CANCEL, source="alpha", cl_ord_id=cl_ord_id or f"x-{order_id}", orig_cl_ord_id="c"
        ),
    )


def control(kind: ControlKind, scope: ControlScope = ControlScope.ALL, scope_id: str = "") -> Control:
    return Control(kind=kind, control_id="k", scope=scope, scope_id=scope_id, who="desk", why="test", at_ns=T0)


def aside(asked: ParentOrder, qty: int) -> Slice:
    """Slicing's answer to an ask."""
    return slice_of(asked, SliceKind.SET_ASIDE, qty, asked.ask_id)


def slice_of(parent: ParentOrder, kind: SliceKind, qty: int = 0, ask_id: str | None = None) -> Slice:
    return Slice(
        kind=kind,
        parent_id=parent.parent_id,
        slice_no=1,
        epoch_no=parent.epoch_no,
        instrument=parent.instrument,
        side=parent.side,
        qty=qty,
        permitted_qty=0,
        ask_id=ask_id,
        at_ns=T0,
    )


def closed(
    parent: ParentOrder,
    shares: dict[str, tuple[int, int]],
    *,
    final: bool = False,
    chunk: tuple[int, int] = (1, 1),
    live_qty: int = 0,
) -> EpochClosed:
    """Allocation's word on an epoch: order → (executed, remaining); ``live_qty``: what may still execute."""
    return EpochClosed(
        parent_id=parent.parent_id,
        instrument=parent.instrument,
        epoch_no=parent.epoch_no,
        final=final,
        chunk_no=chunk[0],
        chunk_count=chunk[1],
        executed_qty=sum(executed for executed, _ in shares.values()),
        shares=tuple(
            EpochShare(order_id=order_id, executed_qty=executed, remaining_qty=remaining)
            for order_id, (executed, remaining) in shares.items()
        ),
        at_ns=T0,
        live_qty=live_qty,
    )


class NettingBench(Bench[NettingState]):
    """A bench whose market is open and quoted at T0, with rules as given (one by default)."""

    def __init__(
        self,
        rules: tuple[CrossingRule, ...] | None = None,
        config: NettingParameters = config(),  # noqa: B008 - a frozen constant
        market: bool = True,
        swap_every: int = 1,
    ) -> None:
        super().__init__(NettingStage(config), swap_every=swap_every)
        self.tick(T0)
        self.feed(instrument(), *((rule(),) if rules is None else rules))
        if market:
            self.feed(status(), quote())

    def tick(self, now_ns: int, wall_ns: int | None = None, kind: TickKind = TickKind.TICK) -> list[Owned]:
        """As if a recorded day ran fast: wall time moves a second at most, so that no outage is seen in a jump."""
        clock = self.state.clock
        return super().tick(
            now_ns, min(now_ns, clock.wall_ns + S) if wall_ns is None and clock.wall_ns else wall_ns, kind
        )

    def to(self, now_ns: int) -> list[Owned]:
        """The same quote again at this time, and a tick."""
        last = self.state.market.quote_at(SYM, now_ns)
        if last is not None:
            self.feed(quote(now_ns, last.bid_px, last.offer_px))
        return self.tick(now_ns)

    def crosses(self) -> list[Cross]:
        return self.all(Cross)

    def parents(self, kind: ParentKind | None = None, records: list[Owned] | None = None) -> list[ParentOrder]:
        return [p for p in self.all(ParentOrder, records) if kind is None or p.kind is kind]

    def lineage(self, kind: LineageKind, records: list[Owned] | None = None) -> list[Lineage]:
        return [entry for entry in self.all(Lineage, records) if entry.kind is kind]

    def reasons(self, records: list[Owned] | None = None) -> list[str]:
        return [alert.reason for alert in self.all(Alert, records)]

    def live_rows(self) -> int:
        """Rows that speak of orders: all must be gone once they are done."""
        state = self.state
        return (
            len(state.orders) + len(state.buckets) + len(state.parents) + len(state.books) + len(state.mandate_windows)
        )


def crossed(crosses: list[Cross]) -> dict[str, int]:
    """Order → crossed quantity."""
    total: dict[str, int] = {}
    for each in crosses:
        for leg in (*each.buys, *each.sells):
            total[leg.order_id] = total.get(leg.order_id, 0) + leg.qty
    return total
