"""What slicing keeps of the market over time, beside what stands now (`shared/market_state.py`): volume and samples.

A sample of its quote is what stood at a moment, and the moments are equally far apart whether quotes are many or few:
the same path of prices gives the same samples at any rate of quotes. A moment without a spread to speak of (a side
missing, a locked or crossed market, outside the session) is a sample of nothing, and no move is measured from or to it.

Source: the volatility is realised variance by elapsed time, as in Andersen and Bollerslev (1998), Answering the
skeptics, International Economic Review 39(4): the sum of the squared moves, over the time they took.
"""

from __future__ import annotations

from itertools import pairwise
from math import isqrt
from statistics import median_low

from pipeline.domain.market import NBBO
from pipeline.domain.reference import Instrument
from pipeline.domain.units import NS_PER_S
from pipeline.stages.slicing.entries import SampledMarket
from pipeline.state import State


class MarketSamples:
    """Keeps the table `markets` in ``state``.

    ``sample_ns``: time between two samples. ``sample_count``: how many are kept; the spread's own median and the
    volatility are taken over them.
    """

    def __init__(self, state: State, sample_ns: int, sample_count: int) -> None:
        self._sample_ns = sample_ns
        self._sample_count = sample_count
        self._markets = state.table("markets", SampledMarket)

    def of(self, instrument: str) -> SampledMarket:
        """What is known of an instrument; empty before anything is."""
        return self._markets.get(instrument) or SampledMarket()

    def until(self, at_ns: int, symbol: str, held: NBBO | None, instrument: Instrument | None) -> None:
        """Sample the quote ``held`` at each moment since the last sample and before ``at_ns`` (session time).

        Call it before another quote takes its place. Without a quote nothing is sampled; outside the session of
        ``instrument``, where that is known, nothing stands.
        """
        market = self.of(symbol)
        last_ns = (at_ns - 1) // self._sample_ns * self._sample_ns
        if last_ns <= market.sampled_ns:
            return
        first_ns = max(
            market.sampled_ns // self._sample_ns * self._sample_ns + self._sample_ns,
            last_ns - (self._sample_count - 1) * self._sample_ns,
        )
        known = bool(market.midpoints)
        if held is None or (not known and held.event_ns > last_ns):
            return  # nothing has stood at any of these moments yet
        if not known:
            first_ns = max(first_ns, -(-held.event_ns // self._sample_ns) * self._sample_ns)
        spread_px, midpoint_px = _spread_and_midpoint(held)
        for moment_ns in range(first_ns, last_ns + 1, self._sample_ns):
            stands = instrument is None or instrument.session_open_ns <= moment_ns < instrument.session_close_ns
            market.spreads.append(spread_px if stands else 0)
            market.midpoints.append(midpoint_px if stands else 0)
        market.sampled_ns = last_ns
        del market.spreads[: -self._sample_count], market.midpoints[: -self._sample_count]
        self._measure(market)
        self._markets.put(symbol, market)

    def add_volume(self, instrument: str, qty: int) -> None:
        """So many more units were traded, as far as prints tell now; minus for what was taken back."""
        market = self.of(instrument)
        market.volume_qty += qty
        self._markets.put(instrument, market)

    def on_venue(self, instrument: str, venue: str) -> None:
        """A venue has said something of the instrument."""
        market = self.of(instrument)
        if venue not in market.venues:
            market.venues = sorted([*market.venues, venue])
            self._markets.put(instrument, market)

    def _measure(self, market: SampledMarket) -> None:
        spreads = [spread_px for spread_px in market.spreads if spread_px]
        market.median_spread_px = median_low(spreads) if spreads else 0
        squares = [(after - before) ** 2 for before, after in pairwise(market.midpoints) if before and after]
        taken_ns = len(squares) * self._sample_ns
        market.volatility_px = isqrt(sum(squares) * NS_PER_S // taken_ns) if squares else 0


def _spread_and_midpoint(quote: NBBO) -> tuple[int, int]:
    """Both in 1e-9 currency units; zeros when there is no spread: a side is missing, or it is locked or crossed."""
    if quote.bid_px is None or quote.offer_px is None or not 0 < quote.bid_px < quote.offer_px:
        return 0, 0
    return quote.offer_px - quote.bid_px, (quote.bid_px + quote.offer_px) // 2
