"""The recent middles of the market: what counts, what does not, and how old a quote is."""

from __future__ import annotations

import pytest

from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.market import NBBO, QuoteKind
from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.domain.units import NS_PER_S as S
from pipeline.stages.routing.second_opinion import RecentMiddles, SecondOpinion, SecondOpinionParameters, beyond
from pipeline.state import State, Task

CLOSE = 1_000
FACTS = Instrument(
    kind=ReferenceKind.SET, instrument="A", effective_ns=0, tick_px=2, session_open_ns=0, session_close_ns=10**18,
    reference_px=CLOSE, daily_volume_qty=1,
)  # fmt: skip


class Market(State):
    """Five middles of a second each are remembered."""

    def __init__(self) -> None:
        super().__init__(Task("some", 0, 1))
        self.opinion = SecondOpinion(self, SecondOpinionParameters(intervals=5))
        self.at(100)

    def at(self, second: int) -> None:
        self.apply_tick(Tick(kind=TickKind.TICK, now_ns=second * S, wall_ns=second * S, trade_date=20260105))

    def quote(self, bid_px: int | None, offer_px: int | None, *, late_s: int = 0, held: bool = True) -> NBBO:
        quote = NBBO(
            kind=QuoteKind.NBBO, instrument="A", feed="F", event_ns=self.now_ns - late_s * S, received_ns=self.now_ns,
            quote_no=1, bid_px=bid_px, offer_px=offer_px,
        )  # fmt: skip
        self.opinion.on_nbbo(quote, is_held=held)
        return quote

    @property
    def px(self) -> int | None:
        return self.opinion.px(FACTS)

    @property
    def middles(self) -> list[int]:
        return (self.opinion._middles.get("A") or RecentMiddles()).middles


def test_the_last_close_stands_in_for_what_is_not_known() -> None:
    market = Market()
    assert market.px == CLOSE
    market.quote(1_200, 1_202)
    assert market.px == CLOSE, "a quote does not vouch for itself"
    market.at(102)
    assert market.px == CLOSE
    market.at(103)
    assert market.px == 1_201, "three of five"


def test_what_stood_at_the_end_of_each_interval_is_remembered_and_a_still_market_counts() -> None:
    market = Market()
    market.quote(1_200, 1_202)
    market.quote(1_210, 1_212)
    market.at(101)
    market.quote(5_000, 5_002)
    market.quote(1_220, 1_222)
    market.at(103)
    market.quote(1_230, 1_232)
    assert market.middles == [1_211, 1_221, 1_221]
    market.at(1_000)
    market.quote(9_000, 9_002)
    assert market.middles == [1_231] * 5 and market.px == 1_231


@pytest.mark.parametrize(
    ("bid_px", "offer_px"), [(None, 1_202), (1_202, None), (None, None), (1_204, 1_202), (1, 1_202), (1_000, 99_000)]
)
def test_a_quote_that_is_no_witness_teaches_nothing_while_it_stands(bid_px: int | None, offer_px: int | None) -> None:
    market = Market()
    market.quote(1_200, 1_202)
    market.at(102)
    market.quote(bid_px, offer_px)
    market.at(110)
    market.quote(1_220, 1_222)
    assert market.middles == [1_201, 1_201]


def test_a_locked_market_has_a_middle_and_ten_percent_are_no_stub() -> None:
    market = Market()
    market.quote(1_200, 1_200)
    market.at(101)
    market.quote(950, 1_050)
    market.at(102)
    market.quote(949, 1_051)
    market.at(103)
    assert market.middles == [1_200, 1_000] and market.px == 1_000


def test_a_quote_that_is_not_held_only_shows_that_its_feed_talks() -> None:
    market = Market()
    held = market.quote(1_200, 1_202)
    market.at(130)
    assert market.opinion.quote_age_ns(held) == 30 * S
    market.quote(5_000, 5_002, held=False)
    assert market.opinion.quote_age_ns(held) == 0
    market.at(131)
    assert market.px == 1_201 and market.opinion.quote_age_ns(held) == S


def test_a_quote_is_never_younger_than_it_was_when_it_came_and_never_of_less_than_no_age() -> None:
    market = Market()
    assert market.opinion.quote_age_ns(market.quote(1_200, 1_202, late_s=7)) == 7 * S
    market.at(110)
    assert market.opinion.quote_age_ns(market.quote(1_200, 1_202, late_s=-7)) == 0


def test_without_any_reference_the_middles_alone_speak() -> None:
    market = Market()
    nothing = Instrument(
        kind=ReferenceKind.SET, instrument="A", effective_ns=0, tick_px=2, session_open_ns=0, session_close_ns=10**18,
        reference_px=0, daily_volume_qty=1,
    )  # fmt: skip
    assert market.opinion.px(nothing) is None
    market.quote(1_200, 1_202)
    market.at(101)
    assert market.opinion.px(nothing) == 1_201


@pytest.mark.parametrize(
    ("px", "sign", "is_beyond"), [(1_050, 1, False), (1_051, 1, True), (950, -1, False), (949, -1, True), (2, 1, False)]
)
def test_beyond_is_worse_for_us_by_more_than_the_collar(px: int, sign: int, is_beyond: bool) -> None:
    assert beyond(px, CLOSE, 500_000, sign) is is_beyond
