"""What slicing keeps of the market over time, beside what stands now (`shared/market_state.py`): volume and samples."""

from __future__ import annotations

from itertools import pairwise
from math import isqrt
from statistics import median_low
from typing import Final

from pipeline.domain.market import NBBO, PrintKind, TradePrint
from pipeline.domain.units import NS_PER_S
from pipeline.stages.slicing.entries import SampledMarket
from pipeline.state import State

_ROOT_OF_NS_PER_S: Final = isqrt(NS_PER_S)


class MarketSamples:
    """Keeps the table `markets` in ``state``.

    ``sample_ns``: least event time between two samples. ``sample_count``: how many are kept; the spread's own median
    and the volatility are taken over them.
    """

    def __init__(self, state: State, sample_ns: int, sample_count: int) -> None:
        self._sample_ns = sample_ns
        # Moves grow with the root of time: what they are over a sample is brought to what they are over a second.
        self._samples_a_second_root = isqrt(NS_PER_S * NS_PER_S // sample_ns)
        self._sample_count = sample_count
        self._markets = state.table("markets", SampledMarket)

    def of(self, instrument: str) -> SampledMarket:
        """What is known of an instrument; empty before anything is."""
        return self._markets.get(instrument) or SampledMarket()

    def on_nbbo(self, quote: NBBO) -> None:
        """Sample the quote, when the last sample is old enough by event time and both sides are there."""
        market = self.of(quote.instrument)
        midpoint_px = quote.midpoint_px
        if midpoint_px is None or quote.event_ns - market.sampled_ns < self._sample_ns:
            return
        assert quote.bid_px is not None and quote.offer_px is not None
        market.sampled_ns = quote.event_ns
        market.spreads = [*market.spreads, quote.offer_px - quote.bid_px][-self._sample_count :]
        market.midpoints = [*market.midpoints, midpoint_px][-self._sample_count :]
        moves = [abs(after - before) for before, after in pairwise(market.midpoints)]
        market.median_spread_px = median_low(market.spreads)
        move_px = sum(moves) // len(moves) if moves else 0
        market.volatility_px = move_px * self._samples_a_second_root // _ROOT_OF_NS_PER_S
        self._markets.put(quote.instrument, market)

    def on_print(self, trade: TradePrint) -> None:
        """Volume only grows with trades; what is cancelled later was there when we paced ourselves by it."""
        if trade.kind is PrintKind.TRADE and trade.eligible_volume:
            market = self.of(trade.instrument)
            market.volume_qty += trade.qty
            self._markets.put(trade.instrument, market)

    def on_venue(self, instrument: str, venue: str) -> None:
        """A venue has said something of the instrument."""
        market = self.of(instrument)
        if venue not in market.venues:
            market.venues = sorted([*market.venues, venue])
            self._markets.put(instrument, market)
