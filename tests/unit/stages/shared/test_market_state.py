"""One contract for what a stage knows of the market, kept by each stage that decides by it.

Every message goes through the stage's own step, and every step through the bench's restore oracle.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.market import NBBO, Depth, DepthKind, Level, QuoteKind, SessionState, VenueStatus
from pipeline.domain.orders import Side
from pipeline.domain.units import NS_PER_S
from pipeline.stages.routing.parameters import RoutingParameters
from pipeline.stages.routing.stage import RoutingStage
from pipeline.stages.shared.market_state import MarketState
from pipeline.stages.slicing.stage import SlicingStage
from tests.stage_bench import Bench

Levels = tuple[tuple[int, int], ...]


class Market:
    """A stage on the bench, of which only the market is looked at: instrument A, venues V and W."""

    def __init__(self, bench: Bench[Any]) -> None:
        self._bench = bench

    @property
    def state(self) -> MarketState:
        market = self._bench.state.market  # another one after each restore
        assert isinstance(market, MarketState)
        return market

    def tick(self, now_ns: int) -> None:
        self._bench.tick(now_ns)

    def snapshot(self, bids: Levels, offers: Levels, venue: str = "V", gap: bool = False, **stamp: int) -> None:
        self._depth(DepthKind.SNAPSHOT, bids, offers, venue, gap, **stamp)

    def change(self, bids: Levels, offers: Levels, venue: str = "V", gap: bool = False, **stamp: int) -> None:
        self._depth(DepthKind.CHANGE, bids, offers, venue, gap, **stamp)

    def unknown(self, bids: Levels, offers: Levels) -> None:
        self._depth(DepthKind.UNKNOWN, bids, offers, "V", False)

    def _depth(
        self,
        kind: DepthKind,
        bids: Levels,
        offers: Levels,
        venue: str,
        gap: bool,
        event_ns: int = 0,
        event_no: int = 1,
    ) -> None:
        self._bench.feed(
            Depth(
                kind=kind,
                venue=venue,
                instrument="A",
                event_ns=event_ns,
                received_ns=event_ns,
                event_no=event_no,
                gap=gap,
                bids=tuple(Level(px=px, qty=qty) for px, qty in bids),
                offers=tuple(Level(px=px, qty=qty) for px, qty in offers),
            )
        )

    def quote(
        self,
        bid_px: int | None = 8,
        offer_px: int | None = 12,
        event_ns: int = 0,
        bid_qty: int = 40,
        offer_qty: int = 60,
        quote_no: int = 1,
        kind: QuoteKind = QuoteKind.NBBO,
    ) -> None:
        self._bench.feed(
            NBBO(
                kind=kind,
                instrument="A",
                feed="f",
                event_ns=event_ns,
                received_ns=event_ns,
                quote_no=quote_no,
                bid_px=bid_px,
                bid_qty=bid_qty,
                bid_venue="V",
                offer_px=offer_px,
                offer_qty=offer_qty,
                offer_venue="W",
                writer="feed@1",
                seq=7,
            )
        )

    def status(self, state: SessionState, venue: str = "V", event_ns: int = 0, **more: Any) -> None:
        self._bench.feed(
            VenueStatus(venue=venue, instrument="A", state=state, event_ns=event_ns, received_ns=event_ns, **more)
        )

    def touch(self, venue: str = "V") -> tuple[int | None, int | None]:
        """What a seller and a buyer could take at a venue."""
        return self.state.far_px("A", venue, Side.SELL), self.state.far_px("A", venue, Side.BUY)

    def inside(self, side: Side, limit_px: int | None = None) -> int:
        return self.state.depth_inside_qty("A", ["V", "W"], side, limit_px)


@pytest.fixture(params=["routing", "slicing"])
def market(request: pytest.FixtureRequest) -> Market:
    if request.param == "routing":
        return Market(Bench(RoutingStage(RoutingParameters(wire_secret=b"a secret of tests, no other"))))
    return Market(Bench(SlicingStage()))


# ---------------------------------------------------------------------- depth


def test_changes_replace_remove_and_insert_levels_in_order(market: Market) -> None:
    market.snapshot(((9, 1), (8, 1)), ((11, 1),))
    assert market.touch() == (9, 11)
    market.change(((9, 0),), ((10, 5),))
    assert market.touch() == (8, 10)
    market.change((), ((10, 0), (11, 0)))
    assert market.touch() == (8, None)


def test_a_snapshot_stands_for_itself_whatever_was_missed_before_it(market: Market) -> None:
    market.snapshot(((9, 1),), ((11, 1),))
    market.snapshot(((10, 0), (7, 2)), ((13, 3),), gap=True)
    assert market.touch() == (7, 13)
    assert (market.inside(Side.SELL), market.inside(Side.BUY)) == (2, 3)


def test_after_a_gap_the_quote_is_all_that_is_known_until_the_next_snapshot(market: Market) -> None:
    market.snapshot(((9, 10),), ((11, 20),))
    market.change(((7, 1),), (), gap=True)
    market.change(((6, 1),), ())
    assert market.touch() == (None, None)
    assert (market.inside(Side.SELL), market.inside(Side.BUY)) == (0, 0)
    market.quote()
    assert market.touch() == (8, None), "W shows the offer"
    assert (market.inside(Side.SELL), market.inside(Side.BUY)) == (40, 60)
    market.snapshot(((9, 10),), ((11, 20),))
    assert market.touch() == (9, 11)
    assert (market.inside(Side.SELL), market.inside(Side.BUY)) == (10, 20)


def test_changes_before_any_snapshot_tell_nothing(market: Market) -> None:
    market.change(((9, 1),), ((11, 1),))
    assert market.touch() == (None, None)
    assert market.inside(Side.BUY) == 0


def test_depth_of_a_kind_of_a_later_version_tells_nothing_until_the_next_snapshot(market: Market) -> None:
    market.snapshot(((9, 1),), ((11, 1),))
    market.unknown(((9, 5),), ((11, 5),))
    assert market.touch() == (None, None)
    assert market.inside(Side.BUY) == 0


def test_a_gap_at_one_venue_takes_only_its_own_levels_away(market: Market) -> None:
    market.snapshot(((9, 10),), ((11, 20),), venue="V")
    market.snapshot(((9, 1),), ((11, 2),), venue="W")
    assert market.inside(Side.BUY) == 22
    market.change((), (), venue="V", gap=True)
    assert (market.touch("V"), market.touch("W")) == ((None, None), (9, 11))
    assert market.inside(Side.BUY) == 2


@pytest.mark.parametrize(
    ("side", "limit_px", "qty"),
    [
        (Side.BUY, None, 70),
        (Side.BUY, 12, 30),  # the limit itself is inside
        (Side.SELL, None, 12),
        (Side.SELL, 8, 5),
        (Side.SELL, 7, 12),
    ],
)
def test_what_is_displayed_inside_the_limit(market: Market, side: Side, limit_px: int | None, qty: int) -> None:
    market.snapshot(((8, 5), (7, 7)), ((12, 30), (13, 40)))
    assert market.inside(side, limit_px) == qty


@pytest.mark.parametrize(
    ("levels", "round_lot_qty", "px"),
    [
        (((100, 60), (101, 39), (102, 1)), 100, 102),  # together they make a round lot
        (((100, 60), (101, 40)), 100, 101),
        (((100, 99),), 100, None),  # an odd lot protects nothing
        (((100, 99),), 10, 100),
        (((100, 1),), 1, 100),
        ((), 100, None),
    ],
)
def test_a_protected_price_is_that_of_a_round_lot(
    market: Market, levels: tuple[tuple[int, int], ...], round_lot_qty: int, px: int | None
) -> None:
    market.quote(bid_px=90, offer_px=95, event_ns=1)
    market.snapshot(tuple((150 - level_px, qty) for level_px, qty in levels), levels, "W")
    assert market.state.protected_px("A", "W", Side.BUY, round_lot_qty) == px
    assert market.state.protected_px("A", "W", Side.SELL, round_lot_qty) == (None if px is None else 150 - px)


def test_without_depth_a_consolidated_quote_is_protected_and_one_venues_own_if_it_is_a_round_lot(
    market: Market,
) -> None:
    market.quote(bid_px=90, offer_px=95, event_ns=1)
    assert market.state.protected_px("A", "W", Side.BUY, 100) == 95
    assert market.state.protected_px("A", "V", Side.SELL, 100) == 90
    assert market.state.protected_px("A", "V", Side.BUY, 100) is None, "it is not the one that shows it"
    market.quote(bid_px=90, offer_px=95, event_ns=2, kind=QuoteKind.BBO)
    assert market.state.protected_px("A", "W", Side.BUY, 60) == 95
    assert market.state.protected_px("A", "W", Side.BUY, 61) is None
    assert market.state.protected_px("A", "V", Side.SELL, 40) == 90
    assert market.state.protected_px("A", "V", Side.SELL, 41) is None


def test_no_depth_inside_the_limit_leaves_the_quote_if_that_is_inside(market: Market) -> None:
    market.snapshot(((8, 5),), ((13, 40),))
    market.quote(bid_px=8, offer_px=12)
    assert market.inside(Side.BUY, 12) == 60
    assert market.inside(Side.BUY, 11) == 0


# ---------------------------------------------------------------------- quotes and venue states


@pytest.mark.parametrize(
    ("bid_px", "offer_px", "spread_px"),
    [(8, 12, 4), (None, 12, None), (8, None, None), (12, 12, None), (13, 12, None)],
    ids=["two sides", "no bid", "no offer", "locked", "crossed"],
)
def test_a_market_without_two_apart_sides_has_no_spread(
    market: Market, bid_px: int | None, offer_px: int | None, spread_px: int | None
) -> None:
    assert market.state.spread_px("A") is None, "before the first quote"
    market.quote(bid_px, offer_px)
    assert market.state.spread_px("A") == spread_px


def test_an_older_quote_never_takes_the_place_of_a_newer_one(market: Market) -> None:
    market.quote(8, 12, event_ns=5_000_000_000, quote_no=2)
    market.quote(9, 11, event_ns=4_000_000_000, quote_no=3)
    market.quote(7, 13, event_ns=5_000_000_000, quote_no=1)
    quote = market.state.quote("A")
    assert quote is not None and (quote.bid_px, quote.offer_px, quote.event_ns) == (8, 12, 5_000_000_000)
    assert (quote.writer, quote.seq) == ("", 0), "state is the same whoever fed it"


def test_of_quotes_with_one_stamp_the_one_that_came_last_holds(market: Market) -> None:
    market.quote(8, 12, event_ns=5)
    market.quote(9, 11, event_ns=5)
    quote = market.state.quote("A")
    assert quote is not None and (quote.bid_px, quote.offer_px) == (9, 11)


@given(
    quotes=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=6, unique=True),
    order=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=30)
def test_any_order_of_arrival_and_any_repeat_ends_at_the_newest_quote(
    quotes: list[tuple[int, int]], order: Random
) -> None:
    market = Market(Bench(SlicingStage()))
    arriving = quotes * 2
    order.shuffle(arriving)
    for event_ns, quote_no in arriving:
        market.quote(8 * event_ns, 90 + quote_no, event_ns=event_ns, quote_no=quote_no)
    quote = market.state.quote("A")
    newest_ns, newest_no = max(quotes)
    assert quote is not None and (quote.bid_px, quote.offer_px) == (8 * newest_ns, 90 + newest_no)


def test_a_quote_from_the_future_is_no_quote_and_freezes_nothing(market: Market) -> None:
    now_ns = 1_700_000_000 * NS_PER_S
    market.tick(now_ns)
    market.quote(8, 12, event_ns=now_ns + NS_PER_S // 2)
    assert market.state.spread_px("A") == 4, "between two ticks a quote is a little ahead"
    market.quote(80, 120, event_ns=now_ns + 3600 * NS_PER_S)
    assert market.state.quote("A") is None and market.state.spread_px("A") is None
    market.quote(9, 11, event_ns=now_ns + NS_PER_S)
    assert market.state.spread_px("A") == 2


def test_older_depth_changes_nothing(market: Market) -> None:
    market.snapshot(((9, 1),), ((11, 1),), event_ns=7, event_no=70)
    market.snapshot(((5, 9),), ((15, 9),), event_ns=6, event_no=60)
    market.change(((8, 9),), ((10, 9),), event_ns=7, event_no=69)
    market.change((), (), gap=True, event_ns=5, event_no=50)
    assert (market.touch(), market.inside(Side.BUY), market.inside(Side.SELL)) == ((9, 11), 1, 1)
    market.change(((9, 4),), ((11, 4),), event_ns=7, event_no=71)
    assert (market.touch(), market.inside(Side.BUY), market.inside(Side.SELL)) == ((9, 11), 4, 4)


def test_depth_from_the_future_is_not_known_and_freezes_nothing(market: Market) -> None:
    now_ns = 1_700_000_000 * NS_PER_S
    market.tick(now_ns)
    market.snapshot(((9, 1),), ((11, 1),), event_ns=now_ns + 3600 * NS_PER_S)
    assert (market.touch(), market.inside(Side.BUY)) == ((None, None), 0)
    market.change(((8, 1),), ((12, 1),), event_ns=now_ns)
    assert market.touch() == (None, None), "a change of what is not known tells nothing"
    market.snapshot(((7, 1),), ((13, 1),), event_ns=now_ns)
    assert market.touch() == (7, 13)


def test_a_quote_of_a_venue_that_is_not_asked_for_is_no_depth(market: Market) -> None:
    market.quote(8, 12)  # W shows the offer, V the bid
    depth = market.state.depth_inside_qty
    assert (depth("A", ["W"], Side.BUY, None), depth("A", ["V"], Side.BUY, None)) == (60, 0)
    assert (depth("A", ["V"], Side.SELL, None), depth("A", ["W"], Side.SELL, None)) == (40, 0)
    assert depth("A", [], Side.BUY, None) == 0


@pytest.mark.parametrize("late", [SessionState.OPEN, SessionState.HALTED, SessionState.CLOSED])
@pytest.mark.parametrize("held", [SessionState.OPEN, SessionState.HALTED, SessionState.CLOSED, SessionState.UNKNOWN])
def test_an_older_status_neither_opens_nor_closes(market: Market, held: SessionState, late: SessionState) -> None:
    market.status(held, event_ns=9)
    market.status(late, event_ns=8, short_restricted=True)
    status = market.state.status("A", "V")
    assert (status.state, status.event_ns, status.short_restricted) == (held, 9, False)
    assert market.state.is_open("A", ["V"]) is (held is SessionState.OPEN)


def test_a_status_from_the_future_is_not_open_and_freezes_nothing(market: Market) -> None:
    now_ns = 1_700_000_000 * NS_PER_S
    market.tick(now_ns)
    market.status(SessionState.OPEN, event_ns=now_ns + 3600 * NS_PER_S)
    assert not market.state.is_open("A", ["V"])
    market.status(SessionState.OPEN, event_ns=now_ns)
    assert market.state.is_open("A", ["V"])


def test_a_session_is_over_when_every_venue_has_closed_since_it_opened(market: Market) -> None:
    def over() -> bool:
        return market.state.is_over("A", ["V", "W"], 100)

    assert not over(), "nothing is known"
    market.status(SessionState.CLOSED, "V", event_ns=50)
    market.status(SessionState.CLOSED, "W", event_ns=50)
    assert not over(), "it has not opened yet"
    market.status(SessionState.CLOSED, "V", event_ns=105)
    assert not over(), "nor now: the same is said again"
    market.status(SessionState.OPEN, "V", event_ns=110)
    market.status(SessionState.OPEN, "W", event_ns=110)
    market.status(SessionState.CLOSED, "V", event_ns=120)
    assert not over(), "W is open"
    market.status(SessionState.DOWN, "W", event_ns=120)
    assert not over(), "W may come back"
    market.status(SessionState.HALTED, "W", event_ns=121)
    market.status(SessionState.CLOSED, "W", event_ns=122)
    assert over()
    market.status(SessionState.CLOSED, "W", event_ns=123)
    assert over(), "said again"


def test_a_venue_that_has_said_nothing_is_not_open(market: Market) -> None:
    assert market.state.status("A", "V").state is SessionState.UNKNOWN
    assert not market.state.is_open("A", ["V", "W"])


def test_one_open_venue_is_an_open_market(market: Market) -> None:
    market.status(SessionState.HALTED)
    assert not market.state.is_open("A", ["V", "W"])
    market.status(SessionState.OPEN, venue="W")
    assert market.state.is_open("A", ["V", "W"])
    assert not market.state.is_open("A", ["V"])


def test_a_status_brings_its_bands_and_its_short_sale_restriction(market: Market) -> None:
    market.status(SessionState.OPEN, lower_band_px=5, upper_band_px=15, short_restricted=True)
    status = market.state.status("A", "V")
    assert (status.state, status.lower_band_px, status.upper_band_px, status.short_restricted) == (
        SessionState.OPEN, 5, 15, True,
    )  # fmt: skip
