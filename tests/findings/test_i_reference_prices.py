"""I: a market that stands still is not stale, and a reference price is not checked against its own quote only.

Examples: 119 equal quotes gave one price; a crossed quote gave one. Siblings: a quote that only stands, a dead
feed, a closed market, one-sided and locked quotes, stubs with and without a second opinion, a second opinion that is
cancelled or corrected, late quotes, yesterday's sale, both sides far off.
"""

from __future__ import annotations

import pytest

from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.market import NBBO, PrintKind, QuoteKind, ReferencePrice, SessionState, TradePrint, VenueStatus
from pipeline.domain.record import Record
from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.stages.analytics.parameters import AnalyticsParameters, ReferencePriceParameters
from pipeline.stages.analytics.stage import AnalyticsStage
from tests.stage_bench import Bench

S = 10**9
OPEN_NS = 1_767_623_400 * S
PX = 10**9
TODAY = 20260105


def tick(second: int, trade_date: int = TODAY) -> Tick:
    at_ns = OPEN_NS + second * S
    return Tick(kind=TickKind.TICK, now_ns=at_ns, wall_ns=at_ns, trade_date=trade_date)


def quote(
    second: int, bid_px: int | None = 99 * PX, offer_px: int | None = 101 * PX, name: str = "XYZ", quote_no: int = 0
) -> NBBO:
    at_ns = OPEN_NS + second * S
    return NBBO(kind=QuoteKind.NBBO, instrument=name, feed="f", event_ns=at_ns, received_ns=at_ns,
                quote_no=quote_no or second, bid_px=bid_px, bid_qty=1, offer_px=offer_px, offer_qty=1)  # fmt: skip


def status(state: SessionState = SessionState.OPEN, second: int = 0, venue: str = "V") -> VenueStatus:
    at_ns = OPEN_NS + second * S
    return VenueStatus(venue=venue, instrument="XYZ", state=state, event_ns=at_ns, received_ns=at_ns)


def sale(
    print_id: str,
    second: int,
    px: int,
    kind: PrintKind = PrintKind.TRADE,
    ref: str | None = None,
    eligible: bool = True,
) -> TradePrint:
    at_ns = OPEN_NS + second * S
    return TradePrint(kind=kind, instrument="XYZ", venue="V", print_id=print_id, ref_print_id=ref, event_ns=at_ns,
                      received_ns=at_ns, px=px, qty=5, eligible_last=eligible)  # fmt: skip


def instrument(reference_px: int = 100 * PX) -> Instrument:
    return Instrument(
        kind=ReferenceKind.SET, instrument="XYZ", effective_ns=1, tick_px=PX // 100, session_open_ns=OPEN_NS,
        session_close_ns=OPEN_NS + 3600 * S, reference_px=reference_px, daily_volume_qty=1,
    )  # fmt: skip


def bench(**parameters: int) -> Bench:  # type: ignore[type-arg]
    reference = ReferencePriceParameters(**parameters)
    return Bench(AnalyticsStage(AnalyticsParameters(reference_price=reference)), swap_every=7)


def told(b: Bench, *records: Record) -> list[tuple[int, int]]:  # type: ignore[type-arg]
    """(price in currency units, second of the quote) of the reference prices that these cause."""
    return [(price.px // PX, (price.quote_ns - OPEN_NS) // S) for price in b.all(ReferencePrice, b.feed(*records))]


def test_a_quote_that_says_the_same_again_makes_the_reference_price_young_again() -> None:
    b = bench()
    found = [told(b, quote(second), tick(second)) for second in range(1, 120)]
    assert found == [[(100, second)] for second in range(1, 120)]


def test_it_is_told_once_a_second_however_often_it_is_quoted() -> None:
    b = bench()
    half = Tick(kind=TickKind.TICK, now_ns=OPEN_NS + 3 * S // 2, wall_ns=OPEN_NS, trade_date=TODAY)
    assert told(b, quote(1), tick(1), quote(1, 100 * PX, 102 * PX, quote_no=2), half) == [(100, 1)]
    assert told(b, tick(2)) == [(101, 1)]


def test_a_quote_that_stands_in_an_open_market_stays_young_while_the_feed_lives() -> None:
    b = bench(standing_every_ns=5 * S, feed_silence_ns=20 * S)
    b.feed(status(), quote(0), tick(0))
    found = [told(b, quote(second, name="ABC"), tick(second)) for second in range(1, 41)]
    own = [[each for each in second if each[0] == 100] for second in found]
    assert sum(map(len, own)) == 40 + 8, "ABC's each second, XYZ's each fifth"
    b = bench(standing_every_ns=5 * S, feed_silence_ns=20 * S)
    b.feed(status(), quote(0), tick(0))
    dead = [told(b, tick(second)) for second in range(1, 120)]
    assert [(second, each) for second, each in enumerate(dead, 1) if each] == [
        (5, [(100, 5)]), (10, [(100, 10)]), (15, [(100, 15)]), (20, [(100, 20)]),
    ], "a feed that is silent for longer confirms nothing"  # fmt: skip


@pytest.mark.parametrize("state", [SessionState.HALTED, SessionState.CLOSED, SessionState.DOWN, SessionState.UNKNOWN])
def test_a_quote_does_not_stand_where_no_venue_is_open(state: SessionState) -> None:
    b = bench()
    b.feed(status(), quote(0), tick(0), status(state, 1), status(SessionState.OPEN, 0))
    assert [told(b, quote(second, name="ABC"), tick(second)) for second in (10, 20)] == [[(100, 10)], [(100, 20)]], (
        "only ABC's; the older OPEN was read late"
    )
    assert told(b, status(SessionState.OPEN, 21, "W"), tick(21)) == [(100, 21)], "another venue is open"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((200 * PX, 100 * PX), id="crossed"),
        pytest.param((None, 100 * PX), id="no bid"),
        pytest.param((100 * PX, None), id="no offer"),
        pytest.param((-1, 0), id="minus one and zero"),
        pytest.param((PX // 100, 1_000 * PX), id="a stub on both sides"),
        pytest.param((PX // 100, 101 * PX), id="a stub bid"),
        pytest.param((99 * PX, 1_000 * PX), id="a stub offer"),
    ],
)
@pytest.mark.parametrize("opinion", ["none", "reference data", "a sale"])
def test_what_is_no_price_is_not_told(bad: tuple[int | None, int | None], opinion: str) -> None:
    b = bench()
    b.feed(tick(0), status())
    if opinion == "reference data":
        b.feed(instrument())
    elif opinion == "a sale":
        b.feed(sale("1", 0, 100 * PX))
    assert told(b, quote(1), tick(1)) == [(100, 1)]
    assert [told(b, quote(second, *bad), tick(second)) for second in (2, 3, 10)] == [[], [], []]
    assert told(b, quote(11), tick(11)) == [(100, 11)]


def test_a_locked_quote_has_a_price() -> None:
    assert told(bench(), quote(1, 100 * PX, 100 * PX), tick(1)) == [(100, 1)]


def test_a_narrow_quote_far_from_the_last_sale_is_not_believed_until_a_sale_confirms_it() -> None:
    b = bench()
    b.feed(tick(0), instrument(), sale("1", 0, 100 * PX), sale("2", 0, 1_000 * PX, eligible=False))
    assert told(b, quote(1, 999 * PX, 1_001 * PX), tick(1)) == []
    assert told(b, sale("3", 2, 1_000 * PX), tick(2)) == [(1_000, 1)]
    assert told(b, sale("4", 3, 1, PrintKind.CANCEL, "3"), quote(3, 999 * PX, 1_001 * PX), tick(3)) == [], (
        "the sale is taken back, so the one before it holds"
    )
    b.feed(sale("5", 4, 950 * PX, PrintKind.CORRECT, "1"))
    assert told(b, quote(4, 999 * PX, 1_001 * PX), tick(4)) == [(1_000, 4)], "it was a sale at 950 all along"


def test_a_wide_quote_of_a_cheap_name_is_believed_where_its_sales_are() -> None:
    b = bench()
    cheap = (2 * PX, 4 * PX)
    assert told(b, quote(1, *cheap), tick(1)) == []
    assert told(b, sale("1", 1, 3 * PX), tick(2)) == [(3, 1)]


def test_the_latest_quote_by_its_own_time_holds_whatever_is_read_last() -> None:
    b = bench()
    assert told(b, quote(5, 109 * PX, 111 * PX), quote(1), quote(5, 1 * PX, 1 * PX, quote_no=4), tick(5)) == [(110, 5)]
    assert told(b, quote(2), tick(6)) == []


def test_yesterdays_sale_speaks_for_no_quote_of_today() -> None:
    b = bench()
    b.feed(tick(0), sale("1", 0, 400 * PX), tick(60))
    day = 86_400
    b.feed(tick(day, TODAY + 1), sale("2", 1, 400 * PX), instrument(100 * PX))
    assert told(b, quote(day + 1), tick(day + 1, TODAY + 1)) == [(100, day + 1)], "split four for one over night"
