"""Parameters of analytics: what a volume curve is learned from, how often a reference price is told."""

from __future__ import annotations

from typing import Annotated

from pipeline.domain.units import NS_PER_S
from pipeline.parameters import Parameters, count, nanos, ppm


class AnalyticsParameters(Parameters, frozen=True, kw_only=True):
    """Analytics: what a volume curve is learned from, how often a reference price is told."""

    reference_price_ns: Annotated[
        int, nanos("Least session time between two reference prices of an instrument.")
    ] = NS_PER_S  # fmt: skip
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
