"""What slicing's tables keep beside its working parents."""

from __future__ import annotations

from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.orders import Side
from pipeline.state import Entry


class InstrumentTotals(Entry):
    """The parents of one instrument, in the order they came, and what each side has executed today."""

    parent_ids: list[str] = []
    own_buy_qty: int = 0
    own_sell_qty: int = 0

    def own_qty(self, side: Side) -> int:
        """Units this side has executed today."""
        return self.own_buy_qty if side is Side.BUY else self.own_sell_qty


class Curve(Entry):
    """The volume curve in force."""

    curve: VolumeCurve


class SampledMarket(Entry):
    """One instrument's market over time: its volume, and about a sample of its quote a second."""

    volume_qty: int = 0
    """Units printed since the first print seen."""
    sampled_ns: int = 0
    """Event time of the last sample."""
    spreads: list[int] = []
    """The last samples' spreads, 1e-9 currency, oldest first."""
    midpoints: list[int] = []
    """The same of the midpoints."""
    median_spread_px: int = 0
    """Low median of ``spreads``; 0 before the first sample."""
    volatility_px: int = 0
    """Mean absolute move of the midpoint in a second, 1e-9 currency; 0: not known."""
    venues: list[str] = []
    """Venues that have said anything of it, by code."""
