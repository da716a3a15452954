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
    """One instrument's market over time: its volume, and samples of its quote, equally far apart."""

    volume_qty: int = 0
    """Units printed while a parent with a participation cap was at work, by the prints that stand."""
    sampled_ns: int = 0
    """Moment of the last sample."""
    spreads: list[int] = []
    """The last samples' spreads, 1e-9 currency, oldest first; 0: there was none at that moment."""
    midpoints: list[int] = []
    """The same of the midpoints."""
    median_spread_px: int = 0
    """Low median of ``spreads``; 0: not known."""
    volatility_px: int = 0
    """Standard deviation of the midpoint's move in a second, 1e-9 currency; 0: not known, or it stood still."""
    venues: list[str] = []
    """Venues that have said anything of it, by code."""
