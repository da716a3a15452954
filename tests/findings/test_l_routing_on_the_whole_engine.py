"""L: what a limit, an odd lot or a locked market once made of an order: nothing was sent, and nobody told."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.executions import ChildKind, ChildOrder
from pipeline.domain.market import Depth, DepthKind, Level
from pipeline.domain.orders import Completion, Side, Strategy, TimeInForce, Urgency
from tests.scripted_desk import PX, TICK_PX, Desk, S, fills, rests

BUY, SELL = Side.BUY, Side.SELL
BID, OFFER, MID = 100 * PX - TICK_PX, 100 * PX + TICK_PX, 100 * PX


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("where", ["near", "middle"])
@pytest.mark.parametrize("strategy", [Strategy.TWAP, Strategy.VWAP])
@pytest.mark.parametrize("urgency", [Urgency.LOW, Urgency.HIGH])
def test_a_limit_at_the_near_touch_or_the_middle_rests_in_the_market(
    side: Side, where: str, strategy: Strategy, urgency: Urgency
) -> None:
    desk = Desk(rests)
    limit_px = MID if where == "middle" else BID if side is BUY else OFFER
    desk.order("o", "x1", 600, side, limit_px=limit_px, end_s=400, strategy=strategy, urgency=urgency)
    desk.run(300)
    children = desk.children()
    assert children and {c.limit_px for c in children if c.post_only} <= {limit_px, BID if side is BUY else OFFER}
    since = [c for c in desk.children(desk.now - 60 * S) if c.post_only and c.time_in_force is TimeInForce.DAY]
    assert since, "and goes on resting"
    assert all(side.sign * ((c.limit_px or 0) - limit_px) <= 0 for c in children), "never beyond the limit"


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("strategy", [Strategy.TWAP, Strategy.VWAP])
def test_a_locked_market_is_never_met_with_silence_where_an_order_must_be_done(side: Side, strategy: Strategy) -> None:
    desk = Desk(fills)
    desk.quote(MID, MID)
    desk.order("o", "x1", 600, side, completion=Completion.MUST, end_s=120, strategy=strategy)
    desk.run(130)
    assert desk.children() or ("COMPLETION_AT_RISK", "NO_SPREAD") in desk.alerts(), "children, or the desk is told"


@pytest.mark.parametrize("side", [BUY, SELL])
def test_an_odd_lot_inside_the_nbbo_at_one_venue_stops_no_take(side: Side) -> None:
    def takes(desk: Desk, child: ChildOrder) -> None:
        """Only what takes is filled: posts rest."""
        (fills if child.kind is ChildKind.NEW and child.time_in_force is TimeInForce.IOC else rests)(desk, child)

    desk = Desk(takes)
    desk.order("o", "x1", 600, side, completion=Completion.MUST, end_s=120)
    for _ in range(130):
        desk.run(1)
        inside = (Level(px=OFFER - TICK_PX, qty=5),) if side is BUY else (Level(px=BID + TICK_PX, qty=5),)
        other = (Level(px=BID - 5 * TICK_PX, qty=500),) if side is BUY else (Level(px=OFFER + 5 * TICK_PX, qty=500),)
        when: dict[str, Any] = {"event_ns": desk.now, "received_ns": desk.now, "event_no": 10**6 + desk.now // S}
        bids, offers = (other, inside) if side is BUY else (inside, other)
        desk.publish(Depth(kind=DepthKind.SNAPSHOT, venue="LITB", instrument="A", bids=bids, offers=offers, **when))
    assert "GATE_TRADE_THROUGH" not in {f"GATE_{reason}" for _, reason in desk.alerts()}
    assert desk.last("o").cum_qty == 600


@pytest.mark.parametrize(("side", "bid_px", "offer_px"), [(BUY, BID, 1_000 * PX), (SELL, PX // 100, OFFER)])
def test_a_stub_quote_is_not_traded_at_and_the_desk_is_told(side: Side, bid_px: int, offer_px: int) -> None:
    desk = Desk(fills)
    desk.run(40)
    desk.bid_px, desk.offer_px = bid_px, offer_px
    desk.order("o", "x1", 600, side, completion=Completion.MUST, end_s=120)
    desk.run(90)
    worst_px = 105 * PX if side is BUY else 95 * PX
    for fill in desk.fills():
        assert fill.last_px is not None and side.sign * (fill.last_px - worst_px) <= 0
    assert desk.last("o").cum_qty == 600 or ("GATE_REFUSED", "OFF_REFERENCE") in desk.alerts() or desk.alerts()
