"""I: at the gate and in pegs a price is held against something else than the quote it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import ChildOrder, FillKind
from pipeline.domain.market import NBBO, QuoteKind
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.domain.parents import Style
from pipeline.domain.reference import Limit, LimitScope, ReferenceKind
from tests.unit.stages.routing.routing_bench import BID, OFFER, PX, RoutingBench, S

STUB_OFFER, STUB_BID = 100_000 * PX, PX
BUY, SELL = Side.BUY, Side.SELL


def refused(
    bench: RoutingBench, style: Style, side: Side, **more: Any
) -> tuple[list[ChildOrder], list[str], list[str]]:
    """Children, the reasons of the gate's alerts, and why the slice came back."""
    out = bench.slice(100, style, side=side, **more)
    told = [a.reason for a in bench.all(Alert, out) if a.kind is AlertKind.GATE_REFUSED]
    return bench.sent(out), told, [f.reason for f in bench.fills(FillKind.RETURNED, out)]


def wait(bench: RoutingBench, seconds: int) -> None:
    """Ticks as they come: a longer silence would be an outage."""
    for _ in range(seconds // 20):
        bench.after(20)


@pytest.mark.parametrize("stood_s", [0, 1, 10])
@pytest.mark.parametrize("style", [Style.CROSS, Style.SWEEP])
@pytest.mark.parametrize(
    ("side", "bid_px", "offer_px"),
    [(BUY, BID, STUB_OFFER), (SELL, STUB_BID, OFFER), (BUY, STUB_BID, STUB_OFFER), (SELL, STUB_BID, STUB_OFFER),
     (BUY, 10 * BID, 10 * OFFER), (SELL, BID // 10, OFFER // 10)],
)  # fmt: skip
def test_nothing_is_taken_at_a_stub_quote(side: Side, bid_px: int, offer_px: int, style: Style, stood_s: int) -> None:
    bench = RoutingBench()
    bench.quote(bid_px, offer_px)
    if stood_s:
        bench.after(stood_s)
    assert refused(bench, style, side) == ([], ["OFF_REFERENCE"], ["GATE_OFF_REFERENCE"])


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize(("bid_px", "offer_px"), [(BID, STUB_OFFER), (STUB_BID, OFFER), (STUB_BID, STUB_OFFER)])
def test_no_peg_follows_a_stub_quote(side: Side, bid_px: int, offer_px: int) -> None:
    bench = RoutingBench()
    bench.quote(bid_px, offer_px)
    for style in (Style.MIDPOINT, Style.CROSS, Style.SWEEP):
        children, _, _ = refused(bench, style, side, dark_allowed=True)
        assert not [c for c in children if c.ord_type is OrdType.PEGGED_MIDPOINT], style


@pytest.mark.parametrize(("side", "worst_px"), [(BUY, 105_010_500_000), (SELL, 95_009_500_000)])
def test_a_resting_peg_has_a_limit_so_that_no_later_quote_carries_it_along(side: Side, worst_px: int) -> None:
    bench = RoutingBench()
    wait(bench, 60)
    bench.quote()
    (peg,), _, _ = refused(bench, Style.MIDPOINT, side, dark_allowed=True)
    assert (peg.venue, peg.ord_type, peg.time_in_force) == ("DARK", OrdType.PEGGED_MIDPOINT, TimeInForce.DAY)
    assert peg.limit_px is not None and abs(peg.limit_px - worst_px) < PX, "5 % from the middle, on a tick"
    assert side.sign * (peg.limit_px - worst_px) <= 0


@pytest.mark.parametrize(("side", "bid_px", "offer_px"), [(BUY, 10 * BID, 10 * OFFER), (SELL, BID // 10, OFFER // 10)])
def test_a_passive_post_at_a_strange_near_touch_is_refused(side: Side, bid_px: int, offer_px: int) -> None:
    bench = RoutingBench()
    bench.quote(bid_px, offer_px)
    assert refused(bench, Style.PASSIVE, side) == ([], ["OFF_REFERENCE"], ["GATE_OFF_REFERENCE"])


def test_a_price_that_has_stood_for_half_the_time_is_the_market() -> None:
    bench = RoutingBench()
    bench.quote(12_000 * PX, 12_002 * PX)  # 20 % above the last close
    bench.after(15)
    assert refused(bench, Style.CROSS, BUY)[1] == ["OFF_REFERENCE"]
    bench.after(1)
    assert len(refused(bench, Style.CROSS, BUY)[0]) == 1


def test_a_market_that_stands_still_goes_on_counting() -> None:
    bench = RoutingBench()
    bench.quote(12_000 * PX, 12_002 * PX)
    wait(bench, 3_600)  # nothing is told for an hour
    assert len(refused(bench, Style.CROSS, BUY)[0]) == 1
    bench.quote(12_000 * PX, STUB_OFFER)
    assert refused(bench, Style.CROSS, BUY)[1] == ["OFF_REFERENCE"]


def test_a_stub_quote_that_stands_teaches_nothing() -> None:
    bench = RoutingBench()
    bench.quote(BID, STUB_OFFER)
    wait(bench, 600)
    assert refused(bench, Style.CROSS, BUY)[1] == ["OFF_REFERENCE"]
    bench.quote()
    assert len(refused(bench, Style.CROSS, BUY)[0]) == 1, "the market is back, and was not forgotten"


def feed(bench: RoutingBench, instrument: str, event_ns: int) -> None:
    bench.feed(
        NBBO(
            kind=QuoteKind.NBBO, instrument=instrument, feed="test", event_ns=event_ns, received_ns=event_ns,
            quote_no=9, bid_px=BID, bid_qty=100, bid_venue="LITA", offer_px=OFFER, offer_qty=100, offer_venue="LITA",
        )
    )  # fmt: skip


def with_age_limit() -> RoutingBench:
    bench = RoutingBench()
    bench.feed(Limit(kind=ReferenceKind.SET, scope=LimitScope.GATE, effective_ns=0, max_reference_age_ns=5 * S))
    return bench


def test_a_still_market_is_not_stale_while_its_feed_talks() -> None:
    bench = with_age_limit()
    wait(bench, 600)
    assert refused(bench, Style.CROSS, BUY)[1] == ["STALE_QUOTE"], "the feed is silent"
    feed(bench, "B", bench.state.now_ns)
    assert len(refused(bench, Style.CROSS, BUY)[0]) == 1
    bench.after(5)
    assert len(refused(bench, Style.CROSS, BUY, parent="P0-2")[0]) == 1
    bench.after(1)
    assert refused(bench, Style.CROSS, BUY, parent="P0-3")[1] == ["STALE_QUOTE"]


def test_a_quote_that_was_old_when_it_came_stays_old() -> None:
    bench = with_age_limit()
    wait(bench, 600)
    feed(bench, "A", bench.state.now_ns - 60 * S)
    assert refused(bench, Style.CROSS, BUY)[1] == ["STALE_QUOTE"]


@pytest.mark.parametrize("limited", [False, True])
def test_a_quote_of_a_time_to_come_has_no_age(limited: bool) -> None:
    bench = with_age_limit() if limited else RoutingBench()
    feed(bench, "A", bench.state.now_ns + 3_600 * S)
    children, _, reasons = refused(bench, Style.CROSS, BUY)
    assert not children and reasons[0] in ("GATE_STALE_QUOTE", "NO_QUOTE")
    feed(bench, "A", bench.state.now_ns + 3_601 * S)
    bench.after(1)
    bench.quote()
    assert len(refused(bench, Style.CROSS, BUY)[0]) == 1, "and is forgotten with the next one"
