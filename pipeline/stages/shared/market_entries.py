"""What a stage's tables keep of the market: entries of :class:`market_state.MarketState`."""

from __future__ import annotations

import msgspec

from pipeline.domain.market import NBBO, SessionState
from pipeline.state import Entry


class LatestQuote(Entry):
    """The latest best bid and offer of an instrument, without the stamp of its writer."""

    nbbo: NBBO


class Levels(Entry):
    """What a venue displays of an instrument: (price in 1e-9 currency, units), best first."""

    bids: list[tuple[int, int]] = msgspec.field(default_factory=list)
    offers: list[tuple[int, int]] = msgspec.field(default_factory=list)
    gap: bool = False
    """Events are missing: nothing is known until the venue's next snapshot."""
    event_ns: int = 0
    event_no: int = 0
    """Which of the venue's events this is the state after."""


class Status(Entry):
    """State of an instrument at a venue."""

    state: SessionState = SessionState.UNKNOWN
    lower_band_px: int | None = None
    upper_band_px: int | None = None
    """LULD price bands, 1e-9 currency; None where there are none."""
    short_restricted: bool = False
    """SEC Rule 201 restricts short sales."""
    event_ns: int = 0
    """The venue's time of it."""
    closed_ns: int = 0
    """When it last went from trading (or a halt of it) to CLOSED, by the venue's time; 0: not seen yet."""
