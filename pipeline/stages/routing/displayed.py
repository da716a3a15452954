"""What routing sees of the market: the best quote, each venue's displayed levels, each venue's state.

Part of a stage's state, by instrument and by instrument and venue.
"""

from __future__ import annotations

import msgspec

from pipeline.domain.market import NBBO, Depth, DepthKind, Level, SessionState, VenueStatus
from pipeline.domain.orders import Side
from pipeline.state import Entry, State


class LatestQuote(Entry):
    """The latest best bid and offer of an instrument."""

    nbbo: NBBO


class Levels(Entry):
    """What a venue displays, (price, quantity), best first. `gap`: events are missing, nothing is known."""

    bids: list[tuple[int, int]] = msgspec.field(default_factory=list)
    offers: list[tuple[int, int]] = msgspec.field(default_factory=list)
    gap: bool = False


class Status(Entry):
    """State of an instrument at a venue."""

    state: SessionState = SessionState.UNKNOWN
    lower_band_px: int | None = None
    upper_band_px: int | None = None
    short_restricted: bool = False


NO_STATUS = Status()


class Displayed:
    """Keeps its tables in ``state``."""

    def __init__(self, state: State) -> None:
        self._quotes = state.table("quotes", LatestQuote)
        self._levels = state.table("levels", Levels)
        self._statuses = state.table("statuses", Status)

    def on_nbbo(self, nbbo: NBBO) -> None:
        # Without the stamp of its writer: state is the same whoever fed the quote.
        self._quotes.put(nbbo.instrument, LatestQuote(msgspec.structs.replace(nbbo, writer="", seq=0)))

    def on_depth(self, depth: Depth) -> None:
        key = _key(depth.instrument, depth.venue)
        if depth.kind is DepthKind.SNAPSHOT:
            self._levels.put(key, Levels(_pairs(depth.bids), _pairs(depth.offers)))
            return
        known = self._levels.get(key) or Levels(gap=True)
        if known.gap or depth.gap or depth.kind is not DepthKind.CHANGE:
            self._levels.put(key, Levels(gap=True))  # until the next snapshot
            return
        self._levels.put(
            key, Levels(_changed(known.bids, depth.bids, True), _changed(known.offers, depth.offers, False))
        )

    def on_status(self, status: VenueStatus) -> None:
        self._statuses.put(
            _key(status.instrument, status.venue),
            Status(status.state, status.lower_band_px, status.upper_band_px, status.short_restricted),
        )

    def quote(self, instrument: str) -> NBBO | None:
        """The best bid and offer; None before the first."""
        entry = self._quotes.get(instrument)
        return None if entry is None else entry.nbbo

    def status(self, instrument: str, venue: str) -> Status:
        """UNKNOWN, and so not open, before the first word of the venue."""
        return self._statuses.get(_key(instrument, venue)) or NO_STATUS

    def far_px(self, instrument: str, venue: str, side: Side) -> int | None:
        """Best displayed price an order of ``side`` could take at this venue.

        From its depth; without depth, from the quote when the venue is the one that shows it. None: not known.
        """
        levels = self._levels.get(_key(instrument, venue))
        if levels is not None and not levels.gap:
            shown = levels.offers if side is Side.BUY else levels.bids
            return shown[0][0] if shown else None
        nbbo = self.quote(instrument)
        if nbbo is None:
            return None
        px, at = (nbbo.offer_px, nbbo.offer_venue) if side is Side.BUY else (nbbo.bid_px, nbbo.bid_venue)
        return px if at == venue else None


def _key(instrument: str, venue: str) -> str:
    return f"{instrument}@{venue}"


def _pairs(levels: tuple[Level, ...]) -> list[tuple[int, int]]:
    return [(level.px, level.qty) for level in levels if level.qty > 0]


def _changed(known: list[tuple[int, int]], changes: tuple[Level, ...], best_is_high: bool) -> list[tuple[int, int]]:
    levels = dict(known)
    levels.update({level.px: level.qty for level in changes})
    return sorted(((px, qty) for px, qty in levels.items() if qty > 0), reverse=best_is_high)
