"""Kind I: a cross is priced by a quote that something other than itself confirms, of a sound and recent market."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.market import PrintKind, SessionState, TradePrint
from pipeline.domain.orders import Side
from pipeline.domain.parents import ParentKind
from tests.unit.stages.netting.netting_bench import MID, PX, SYM, T0, NettingBench, S, crossed, order, quote, status

HOUR = 3_600 * S


def sale(px: int, event_ns: int, print_id: str = "p", **more: Any) -> TradePrint:
    values: dict[str, Any] = {"kind": PrintKind.TRADE, "received_ns": event_ns, "qty": 100}
    return TradePrint(instrument=SYM, venue="XNAS", print_id=print_id, event_ns=event_ns, px=px, **{**values, **more})


def both_sides(bench: NettingBench) -> None:
    bench.feed(order("b", Side.BUY), order("s", Side.SELL))


@pytest.mark.parametrize("mid", [550 * PX, 10 * PX])
def test_a_stub_quote_that_stood_longer_than_the_median_looks_back_prices_no_cross(mid: int) -> None:
    """Narrow, steady, twenty seconds old: sound alone. The last sale says otherwise, or before any the last close."""
    for last_sale in (True, False):
        bench = NettingBench()
        if last_sale:
            bench.feed(sale(MID, T0))
        for second in range(1, 21):
            bench.feed(quote(T0 + second * S, mid - PX // 100, mid + PX // 100))
            bench.tick(T0 + second * S)
        both_sides(bench)
        for second in range(21, 28):
            bench.feed(quote(T0 + second * S, mid - PX // 100, mid + PX // 100))
            bench.tick(T0 + second * S)
        assert bench.crosses() == []
        assert "TOO_FAR_FROM_REFERENCE" in bench.reasons()
        assert len(bench.parents(ParentKind.NEW)) == 2, "all goes to market"


def test_a_market_that_moved_with_its_sales_is_believed() -> None:
    bench = NettingBench()
    mid = 150 * PX
    both_sides(bench)
    for second in range(1, 20):
        bench.feed(sale(mid, T0 + second * S, f"p{second}"), quote(T0 + second * S, mid - PX // 100, mid + PX // 100))
        bench.tick(T0 + second * S)
        if second == 4:
            assert bench.crosses() == []
    both_again = (order("b2", Side.BUY), order("s2", Side.SELL))
    bench.feed(*both_again)
    for second in range(20, 26):
        bench.feed(quote(T0 + second * S, mid - PX // 100, mid + PX // 100))
        bench.tick(T0 + second * S)
    assert crossed(bench.crosses())["b2"] == 100


@pytest.mark.parametrize(("bid", "offer"), [(101 * PX, 99 * PX), (100 * PX, 100 * PX)])
def test_a_crossed_or_locked_quote_has_no_midpoint_and_moves_no_median(bid: int, offer: int) -> None:
    bench = NettingBench()
    market = bench.state.market
    for second in range(1, 20):
        market.on_quote(quote(T0 + second * S, bid, offer))
    assert market.midpoint_at(SYM, T0 + 19 * S) is None
    latest = market.quote_at(SYM, T0 + 19 * S)
    assert latest is not None and latest.midpoint_px is None
    assert market.median_px(SYM, T0 + 19 * S) is None
    both_sides(bench)
    bench.tick(T0 + 19 * S)
    assert bench.crosses() == [] and set(bench.reasons()) <= {"CROSSED", "LOCKED", "MISSING"}


def test_a_quote_with_nothing_behind_it_moves_no_median() -> None:
    bench = NettingBench()
    for second in range(1, 20):
        bench.state.market.on_quote(quote(T0 + second * S, 549 * PX, 551 * PX, bid_qty=0))
    assert bench.state.market.median_px(SYM, T0 + 19 * S) is None


def test_one_quote_stamped_an_hour_ahead_freezes_nothing() -> None:
    bench = NettingBench()
    bench.feed(*(quote(T0 + HOUR + second * S, 500 * PX, 501 * PX) for second in range(3)))
    both_sides(bench)
    for second in range(1, 6):
        bench.to(T0 + second * S)
    assert crossed(bench.crosses()) == {"b": 100, "s": 100}
    (cross,) = bench.crosses()
    assert (cross.px, cross.quote_ns) == (MID, T0 + 5 * S)


def test_a_sale_or_status_stamped_an_hour_ahead_freezes_nothing() -> None:
    bench = NettingBench()
    bench.feed(sale(500 * PX, T0 + HOUR), status(SessionState.HALTED, T0 + HOUR))
    bench.feed(status(SessionState.OPEN, T0 + S), sale(MID, T0 + S, "q"))
    both_sides(bench)
    for second in range(1, 6):
        bench.to(T0 + second * S)
    (cross,) = bench.crosses()
    assert (cross.px, cross.last_sale_px, cross.last_sale_ns) == (MID, MID, T0 + S)


def test_quotes_stand_in_the_order_of_their_time_and_number_and_a_repeat_changes_nothing() -> None:
    bench = NettingBench()
    market = bench.state.market
    market.on_quote(quote(T0 + 2 * S, 99 * PX, 101 * PX, quote_no=7))
    market.on_quote(quote(T0 + S, 89 * PX, 91 * PX, quote_no=6))
    market.on_quote(quote(T0 + 2 * S, 98 * PX, 100 * PX, quote_no=5))
    before = bench.state.digest()
    market.on_quote(quote(T0 + 2 * S, 99 * PX, 101 * PX, quote_no=7))
    assert bench.state.digest() == before
    assert market.midpoint_at(SYM, T0 + 2 * S) == 100 * PX and market.midpoint_at(SYM, T0 + S) == 90 * PX


def test_a_still_market_is_not_stale_while_the_feed_repeats_its_quote() -> None:
    """The same quote, told again with the time it was made: it still stands."""
    bench = NettingBench()
    both_sides(bench)
    told = quote(T0)
    for second in range(1, 101):
        bench.feed(quote(T0, received_ns=T0 + second * S))
        bench.tick(T0 + second * S)
    bench.feed(order("b2", Side.BUY), order("s2", Side.SELL))
    for second in range(101, 108):
        bench.feed(quote(T0, received_ns=T0 + second * S))
        bench.tick(T0 + second * S)
    done = crossed(bench.crosses())
    assert done == {"b": 100, "s": 100, "b2": 100, "s2": 100}
    assert {cross.quote_ns for cross in bench.crosses()} == {told.event_ns}


def test_a_quote_that_is_not_repeated_grows_stale() -> None:
    bench = NettingBench()
    bench.tick(T0 + 100 * S)
    both_sides(bench)
    bench.tick(T0 + 108 * S)
    assert bench.crosses() == [] and "STALE" in bench.reasons()
