"""Parameters of analytics: what a volume curve is learned from, how often a reference price is told."""

from __future__ import annotations

from typing import Annotated

from pipeline.domain.units import NS_PER_S, PPM_ONE
from pipeline.parameters import Parameters, count, nanos, ppm


class ReferencePriceParameters(Parameters, frozen=True, kw_only=True):
    """Which midpoints are told as reference prices, and how often."""

    every_ns: Annotated[int, nanos("Least session time between two reference prices of an instrument.")] = NS_PER_S
    standing_every_ns: Annotated[
        int, nanos("The same, for a quote that no other has confirmed: it stands while a venue is open.")
    ] = 5 * NS_PER_S
    feed_silence_ns: Annotated[
        int,
        nanos(
            "After so long without market data of any instrument a quote stands no more, and its price grows old: the "
            "feed may be dead."
        ),
    ] = 60 * NS_PER_S
    farthest_ppm: Annotated[
        int,
        ppm(
            "Farthest that a midpoint may be from the last sale of the day, or before it from the instrument's "
            "reference price: the collar must not hang on a quote that nothing speaks for."
        ),
    ] = 250_000
    widest_ppm: Annotated[
        int,
        ppm("Widest quote, offer less bid over their midpoint, that is more than a stub.", most=2 * PPM_ONE),
    ] = PPM_ONE
    widest_alone_ppm: Annotated[
        int, ppm("The same, while there is neither a sale nor a reference price.", most=2 * PPM_ONE)
    ] = 100_000  # fmt: skip


class AnalyticsParameters(Parameters, frozen=True, kw_only=True):
    """Analytics: what a volume curve is learned from, how often a reference price is told."""

    reference_price: ReferencePriceParameters = ReferencePriceParameters()
    days_kept: Annotated[int, count("Earlier days a volume curve is learned from.", most=260)] = 20
    quiet_tail_ppm: Annotated[
        int,
        ppm(
            "A day silent for more than this last part of the session closed early, or its record broke off: no curve "
            "is learned from it. A US half day is silent for 46 % of a full day; the last tenth of one is its busiest."
        ),
    ] = 100_000
    bars_per_tick: Annotated[
        int, count("Bars published at one tick: a loaded history is published over several.")
    ] = 500  # fmt: skip
