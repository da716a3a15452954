"""L: odd lots protect nothing, a limit inside the spread is posted, a locked market is no reason to do nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.controls import ControlKind, ControlScope
from pipeline.domain.executions import ChildOrder, FillKind
from pipeline.domain.market import Depth, DepthKind, Level
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.domain.parents import Style
from pipeline.domain.reference import Instrument, ReferenceKind
from tests.unit.stages.routing.routing_bench import BID, OFFER, PX, RoutingBench

BUY, SELL = Side.BUY, Side.SELL
MID = (BID + OFFER) // 2


def depth(bench: RoutingBench, venue: str, side: Side, *levels: tuple[int, int]) -> None:
    """What a venue shows on the side that ``side`` takes from: (price, size), best first; the other side is far."""
    shown = tuple(Level(px=px, qty=qty) for px, qty in levels)
    other = (Level(px=BID - 9 * PX if side is BUY else OFFER + 9 * PX, qty=100),)
    bids, offers = (other, shown) if side is BUY else (shown, other)
    bench.feed(
        Depth(
            kind=DepthKind.SNAPSHOT, venue=venue, instrument="A", event_ns=0, received_ns=0, event_no=1, bids=bids,
            offers=offers,
        )
    )  # fmt: skip


def far(side: Side, ticks_beyond: int = 0) -> int:
    """The far touch, and ticks beyond it (negative: better)."""
    return OFFER + ticks_beyond * PX if side is BUY else BID - ticks_beyond * PX


def one(bench: RoutingBench, style: Style, side: Side, **more: Any) -> ChildOrder:
    return bench.one_child(bench.slice(100, style, side=side, **more))


def block(bench: RoutingBench, *venues: str) -> None:
    """The desk blocks venues: what they display is still there."""
    for venue in venues:
        bench.control(ControlKind.BLOCK_VENUE, ControlScope.VENUE, venue)


# ---------------------------------------------------------------------- odd lots


@pytest.mark.parametrize("side", [BUY, SELL])
def test_an_odd_lot_inside_the_nbbo_does_not_stop_a_take(side: Side) -> None:
    bench = RoutingBench(lit=("LITA", "LITB", "LITC"))
    depth(bench, "LITA", side, (far(side), 500))
    depth(bench, "LITB", side, (far(side, -1), 5), (far(side, 1), 500))
    depth(bench, "LITC", side, (far(side, -1), 60), (far(side), 39), (far(side, 1), 1))
    block(bench, "LITB", "LITC")
    child = one(bench, Style.CROSS, side)
    assert (child.venue, child.limit_px, child.time_in_force) == ("LITA", far(side), TimeInForce.IOC)


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("levels", [((-1, 100),), ((-2, 60), (-1, 40))])
def test_a_round_lot_inside_the_nbbo_is_protected_however_it_is_made_up(
    side: Side, levels: tuple[tuple[int, int], ...]
) -> None:
    bench = RoutingBench()
    depth(bench, "LITA", side, (far(side), 500))
    depth(bench, "LITB", side, *((far(side, ticks), qty) for ticks, qty in levels))
    block(bench, "LITB")
    out = bench.slice(100, Style.CROSS, side=side)
    assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["GATE_TRADE_THROUGH"]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_the_round_lot_is_the_instruments_own(side: Side) -> None:
    bench = RoutingBench()
    bench.feed(
        Instrument(
            kind=ReferenceKind.SET, instrument="A", effective_ns=1, tick_px=PX, round_lot_qty=10, session_open_ns=0,
            session_close_ns=10**18, reference_px=BID, daily_volume_qty=1_000_000,
        )
    )  # fmt: skip
    depth(bench, "LITA", side, (far(side), 500))
    depth(bench, "LITB", side, (far(side, -1), 10))
    block(bench, "LITB")
    out = bench.slice(100, Style.CROSS, side=side)
    assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["GATE_TRADE_THROUGH"]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_sweep_is_not_held_by_an_odd_lot_where_it_cannot_go_and_takes_one_where_it_can(side: Side) -> None:
    for blocked in (True, False):
        bench = RoutingBench()
        depth(bench, "LITA", side, (far(side), 500))
        depth(bench, "LITB", side, (far(side, -1), 5))
        if blocked:
            block(bench, "LITB")
        child = one(bench, Style.SWEEP, side, limit_px=far(side, 3))
        expected = ("LITA", far(side, 3)) if blocked else ("LITB", far(side))
        assert (child.venue, child.limit_px) == expected


# ---------------------------------------------------------------------- a limit inside the spread


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("style", [Style.PASSIVE, Style.MIDPOINT, Style.CROSS, Style.SWEEP])
@pytest.mark.parametrize("where", ["near", "middle", "behind", "off tick"])
@pytest.mark.parametrize("dark", [False, True])
def test_a_limit_that_does_not_reach_the_far_touch_rests_in_the_market(
    side: Side, style: Style, where: str, dark: bool
) -> None:
    bench = RoutingBench()
    near = BID if side is BUY else OFFER
    limit_px, posted_px = {
        "near": (near, near),
        "middle": (MID, MID),
        "behind": (near - side.sign * 5 * PX, near - side.sign * 5 * PX),
        "off tick": (near + side.sign * PX // 2, near),
    }[where]
    child = one(bench, style, side, limit_px=limit_px, dark_allowed=dark)
    if where == "middle" and dark and style is not Style.PASSIVE:
        assert (child.venue, child.ord_type, child.limit_px) == ("DARK", OrdType.PEGGED_MIDPOINT, MID)
        return
    if style is Style.PASSIVE and where == "middle":
        posted_px = near
    assert (child.venue, child.ord_type, child.time_in_force) == ("LITA", OrdType.LIMIT, TimeInForce.DAY)
    assert (child.limit_px, child.post_only) == (posted_px, True)


def test_what_was_probed_in_the_dark_is_posted_after_it() -> None:
    bench = RoutingBench()
    probe = one(bench, Style.CROSS, BUY, limit_px=MID, dark_allowed=True)
    assert (probe.rule, probe.limit_px) == ("DARK_PROBE", MID)
    child = bench.one_child(bench.expired(probe))
    assert (child.rule, child.limit_px, child.order_qty) == ("POST_AT_LIMIT", MID, 100)


# ---------------------------------------------------------------------- locked and crossed markets


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("style", [Style.PASSIVE, Style.MIDPOINT, Style.CROSS, Style.SWEEP])
@pytest.mark.parametrize(("bid_px", "offer_px"), [(BID, BID), (OFFER, OFFER), (OFFER, BID)])
@pytest.mark.parametrize("dark", [False, True])
def test_a_locked_or_crossed_market_sends_children_and_none_of_them_to_a_middle(
    side: Side, style: Style, bid_px: int, offer_px: int, dark: bool
) -> None:
    bench = RoutingBench()
    bench.quote(bid_px, offer_px, bid_venue="LITB", offer_venue="LITB")
    child = one(bench, style, side, dark_allowed=dark)
    assert child.ord_type is OrdType.LIMIT
    taken = offer_px if side is BUY else bid_px
    if style in (Style.CROSS, Style.SWEEP):
        assert child.time_in_force is TimeInForce.IOC and child.venue == "LITB"
    else:
        assert (child.post_only, child.limit_px) == (True, taken - side.sign * PX), "it locks nothing"


# ---------------------------------------------------------------------- minimum quantities


def test_a_minimum_applies_to_what_is_left_only_as_far_as_it_can() -> None:
    bench = RoutingBench()
    first = bench.one_child(bench.slice(501, Style.CROSS, permitted_qty=1_000, min_qty=500))
    assert first.min_qty == 500
    bench.trade(first, 501, OFFER)
    rest = bench.one_child(bench.slice(499, Style.CROSS, permitted_qty=1_000, min_qty=500))
    assert (rest.order_qty, rest.min_qty) == (499, 499)
    out = bench.slice(100, Style.CROSS, parent="P0-2", permitted_qty=1_000, min_qty=500)
    assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["BELOW_MIN_QTY"], "more can be had together"
