"""Routing on the bench: two lit venues, a dark one, one instrument; short words for slicing, venues and desk."""

from __future__ import annotations

from typing import Any

from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, ControlScope
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind, Liquidity, ReportKind, VenueReport
from pipeline.domain.market import NBBO, QuoteKind, SessionState, VenueStatus
from pipeline.domain.orders import OrdStatus, Side
from pipeline.domain.parents import Slice, SliceKind, Style
from pipeline.domain.record import Owned
from pipeline.domain.reference import Instrument, ReferenceKind, Venue, VenueKind
from pipeline.domain.units import NS_PER_S
from pipeline.stages.routing.parameters import GateParameters, RoutingParameters
from pipeline.stages.routing.stage import RoutingStage
from pipeline.stages.routing.state import RoutingState
from tests.stage_bench import Bench

PX = 10_000_000
"""One cent."""
BID, OFFER = 10_000 * PX, 10_002 * PX
S = NS_PER_S
SECRET = b"a secret of tests, no other"
DATE = 20260105


class RoutingBench(Bench[RoutingState]):
    """At 1,000 s, all venues open, 100.00 bid, 100.02 offered at LITA."""

    def __init__(
        self,
        *,
        gate: GateParameters | None = None,
        swap_every: int = 1,
        lit: tuple[str, ...] = ("LITA", "LITB"),
        router: str = "SEQUENTIAL",
    ):
        params = RoutingParameters(wire_secret=SECRET, gate=gate or GateParameters(), router=router)
        super().__init__(RoutingStage(params), swap_every=swap_every)
        self.slice_no = 0
        self._exec_no = 0
        self.tick(1_000 * S)
        self.feed(
            Instrument(
                kind=ReferenceKind.SET,
                instrument="A",
                effective_ns=0,
                tick_px=PX,
                session_open_ns=0,
                session_close_ns=10**18,
                reference_px=BID,
                daily_volume_qty=1_000_000,
            )
        )
        for venue in lit:
            self.venue(venue, VenueKind.LIT, taker_fee_px=3_000_000, maker_fee_px=-2_000_000)
        self.venue("DARK", VenueKind.DARK, taker_fee_px=1_000_000, maker_fee_px=1_000_000)
        self.quote()

    # ------------------------------------------------------------------ what comes in

    def venue(self, venue: str, kind: VenueKind, **more: Any) -> None:
        self.feed(
            Venue(
                kind=ReferenceKind.SET,
                venue=venue,
                effective_ns=0,
                venue_kind=kind,
                latency_ns=0,
                latency_jitter_ns=0,
                **more,
            )
        )
        self.status(venue)

    def status(self, venue: str, state: SessionState = SessionState.OPEN, **more: Any) -> list[Owned]:
        return self.feed(VenueStatus(venue=venue, instrument="A", state=state, event_ns=0, received_ns=0, **more))

    def quote(
        self, bid_px: int | None = BID, offer_px: int | None = OFFER, bid_venue: str = "LITA", offer_venue: str = "LITA"
    ) -> None:
        self.feed(
            NBBO(
                kind=QuoteKind.NBBO,
                instrument="A",
                feed="test",
                event_ns=self.state.now_ns,
                received_ns=self.state.now_ns,
                quote_no=1,
                bid_px=bid_px,
                bid_qty=100,
                bid_venue=bid_venue,
                offer_px=offer_px,
                offer_qty=100,
                offer_venue=offer_venue,
            )
        )

    def slice(
        self,
        qty: int = 100,
        style: Style = Style.PASSIVE,
        *,
        parent: str = "P0-1",
        permitted_qty: int = 1_000,
        side: Side = Side.BUY,
        kind: SliceKind = SliceKind.SLICE,
        lasts_s: int = 60,
        epoch_no: int = 1,
        **more: Any,
    ) -> list[Owned]:
        self.slice_no += 1
        more.setdefault("dark_allowed", False)
        return self.feed(
            Slice(
                kind=kind,
                parent_id=parent,
                slice_no=self.slice_no,
                epoch_no=epoch_no,
                instrument="A",
                side=side,
                qty=qty if kind is SliceKind.SLICE else 0,
                permitted_qty=permitted_qty,
                style=style,
                expire_ns=self.state.now_ns + lasts_s * S,
                parent_order_qty=permitted_qty,
                at_ns=self.state.now_ns,
                **more,
            )
        )

    def report(self, child: ChildOrder, kind: ReportKind, status: OrdStatus, **more: Any) -> VenueReport:
        """A report about an order of ours, unless said otherwise by wire_id."""
        self._exec_no += 1
        more.setdefault("exec_id", f"X{self._exec_no}")
        more.setdefault("wire_id", child.wire_id)
        more.setdefault("side", child.side)
        return VenueReport(
            kind=kind,
            venue=child.venue,
            session_id="S1",
            instrument=child.instrument,
            ord_status=status,
            venue_ns=self.state.now_ns,
            received_ns=self.state.now_ns,
            trade_date=DATE,
            **more,
        )

    def ack(self, child: ChildOrder) -> list[Owned]:
        return self.feed(self.report(child, ReportKind.NEW, OrdStatus.NEW))

    def trade(self, child: ChildOrder, qty: int, px: int | None = None, **more: Any) -> list[Owned]:
        return self.feed(self.trade_report(child, qty, px, **more))

    def trade_report(self, child: ChildOrder, qty: int, px: int | None = None, **more: Any) -> VenueReport:
        return self.report(
            child,
            ReportKind.TRADE,
            OrdStatus.PARTIALLY_FILLED,
            last_qty=qty,
            last_px=px or child.limit_px or (BID + OFFER) // 2,
            last_liquidity_ind=Liquidity.ADDED,
            fee=qty * 1_000,
            **more,
        )

    def canceled(self, child: ChildOrder, cancel: ChildOrder | None = None, **more: Any) -> list[Owned]:
        if cancel is not None:
            more |= {"wire_id": cancel.wire_id, "orig_wire_id": child.wire_id}
        return self.feed(self.report(child, ReportKind.CANCELED, OrdStatus.CANCELED, **more))

    def expired(self, child: ChildOrder, **more: Any) -> list[Owned]:
        return self.feed(self.report(child, ReportKind.EXPIRED, OrdStatus.EXPIRED, **more))

    def rejected(self, child: ChildOrder) -> list[Owned]:
        return self.feed(self.report(child, ReportKind.REJECTED, OrdStatus.REJECTED, reason="CLOSED"))

    def control(
        self, kind: ControlKind, scope: ControlScope = ControlScope.ALL, scope_id: str = "", **more: Any
    ) -> list[Owned]:
        return self.feed(
            Control(kind=kind, control_id="C1", scope=scope, scope_id=scope_id, who="desk", why="test", at_ns=1, **more)
        )

    def after(self, seconds: int) -> list[Owned]:
        return self.tick(self.state.now_ns + seconds * S)

    # ------------------------------------------------------------------ what comes out

    def sent(self, records: list[Owned] | None = None) -> list[ChildOrder]:
        return [child for child in self.all(ChildOrder, records) if child.kind is ChildKind.NEW]

    def cancels(self, records: list[Owned] | None = None) -> list[ChildOrder]:
        return [child for child in self.all(ChildOrder, records) if child.kind is ChildKind.CANCEL]

    def fills(self, kind: FillKind, records: list[Owned] | None = None) -> list[Fill]:
        return [fill for fill in self.all(Fill, records) if fill.kind is kind]

    def one_child(self, records: list[Owned]) -> ChildOrder:
        (child,) = self.sent(records)
        return child


def kinds(records: list[Owned]) -> list[str]:
    return [f"{type(r).__name__}:{r.kind}" for r in records if hasattr(r, "kind")]


def alerts(bench: RoutingBench, records: list[Owned] | None = None) -> list[AlertKind]:
    return [alert.kind for alert in bench.all(Alert, records)]
