"""The market as a stage knows it: the best quote, each venue's displayed levels, each venue's state.

Part of a stage's state, by instrument and by instrument and venue. Two rules hold for every stage that decides by it:

- Of a venue whose events have a gap nothing is known until its next snapshot: no levels are better than wrong ones. A
  change before any snapshot is such a gap, and so is a record of a kind this version does not know.
- What came last holds, whatever its event time: a topic has one writer, and its order is the order of the market.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from pipeline.domain.market import NBBO, Depth, DepthKind, Level, QuoteKind, SessionState, VenueStatus
from pipeline.domain.orders import Side
from pipeline.stages.shared.market_entries import LatestQuote, Levels, Status
from pipeline.state import State

NO_STATUS: Final = Status()


class MarketState:
    """Make one in the constructor of a :class:`State`: it keeps the tables `quotes`, `statuses` and ``levels`` there.

    ``levels``: the name of the table of displayed levels, which is part of the state's version.
    """

    def __init__(self, state: State, levels: str = "levels") -> None:
        self._quotes = state.table("quotes", LatestQuote)
        self._levels = state.table(levels, Levels)
        self._statuses = state.table("statuses", Status)

    # ------------------------------------------------------------------ what comes in

    def on_nbbo(self, nbbo: NBBO) -> None:
        """Take in the best bid and offer."""
        # Without the stamp of its writer: state is the same whoever fed the quote.
        self._quotes.put(nbbo.instrument, LatestQuote(msgspec.structs.replace(nbbo, writer="", seq=0)))

    def on_depth(self, depth: Depth) -> None:
        """Take in a venue's snapshot, or the levels that have changed."""
        key = _key(depth.instrument, depth.venue)
        if depth.kind is DepthKind.SNAPSHOT:
            self._levels.put(key, Levels(_pairs(depth.bids), _pairs(depth.offers)))
            return
        known = self._levels.get(key) or Levels(gap=True)
        if known.gap or depth.gap or depth.kind is not DepthKind.CHANGE:
            self._levels.put(key, Levels(gap=True))
            return
        self._levels.put(
            key,
            Levels(
                _changed(known.bids, depth.bids, best_is_high=True),
                _changed(known.offers, depth.offers, best_is_high=False),
            ),
        )

    def on_status(self, status: VenueStatus) -> None:
        """Take in a venue's state."""
        self._statuses.put(
            _key(status.instrument, status.venue),
            Status(status.state, status.lower_band_px, status.upper_band_px, status.short_restricted),
        )

    # ------------------------------------------------------------------ what is asked

    def quote(self, instrument: str) -> NBBO | None:
        """The best bid and offer; None before the first."""
        entry = self._quotes.get(instrument)
        return None if entry is None else entry.nbbo

    def spread_px(self, instrument: str) -> int | None:
        """Offer less bid, 1e-9 currency; None without both, or when the market is locked or crossed."""
        nbbo = self.quote(instrument)
        if nbbo is None or nbbo.bid_px is None or nbbo.offer_px is None or nbbo.offer_px <= nbbo.bid_px:
            return None
        return nbbo.offer_px - nbbo.bid_px

    def status(self, instrument: str, venue: str) -> Status:
        """UNKNOWN, and so not open, before the venue's first record."""
        return self._statuses.get(_key(instrument, venue)) or NO_STATUS

    def is_open(self, instrument: str, venues: Iterable[str]) -> bool:
        """Whether any of these venues trades it now. Nothing is sent on no knowledge."""
        return any(self.status(instrument, venue).state is SessionState.OPEN for venue in venues)

    def far_px(self, instrument: str, venue: str, side: Side) -> int | None:
        """Best displayed price an order of ``side`` could take at this venue, 1e-9 currency.

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

    def protected_px(self, instrument: str, venue: str, side: Side, round_lot_qty: int) -> int | None:
        """The displayed price at this venue that an order of ``side`` elsewhere may not trade through, 1e-9 currency.

        Odd lots are not protected (SEC Rule 611 speaks of quotations, which are of round lots): it is the price at
        which what is displayed, best first, makes up a round lot. Without depth, from a quote of that size when the
        venue is the one that shows it. None: none, or not known.
        """
        levels = self._levels.get(_key(instrument, venue))
        if levels is not None and not levels.gap:
            total_qty = 0
            for px, qty in levels.offers if side is Side.BUY else levels.bids:
                total_qty += qty
                if total_qty >= round_lot_qty:
                    return px
            return None
        nbbo = self.quote(instrument)
        if nbbo is None:
            return None
        buys = side is Side.BUY
        shown_qty = nbbo.offer_qty if buys else nbbo.bid_qty
        # A consolidated quote is of a round lot by definition; one venue's best may be of any size.
        if nbbo.kind is not QuoteKind.NBBO and shown_qty < round_lot_qty:
            return None
        return self.far_px(instrument, venue, side)

    def depth_inside_qty(self, instrument: str, venues: Iterable[str], side: Side, limit_px: int | None) -> int:
        """Units displayed at these venues that an order of ``side`` could take at or inside its limit.

        Where no venue's depth has any, the size at the best quote, if that is inside; None as limit is any price.
        """
        total = 0
        for venue in venues:
            levels = self._levels.get(_key(instrument, venue))
            if levels is not None:
                shown = levels.offers if side is Side.BUY else levels.bids
                total += sum(qty for px, qty in shown if _inside(px, side, limit_px))
        nbbo = self.quote(instrument)
        if total or nbbo is None:
            return total
        px, qty = (nbbo.offer_px, nbbo.offer_qty) if side is Side.BUY else (nbbo.bid_px, nbbo.bid_qty)
        return qty if px is not None and _inside(px, side, limit_px) else 0


def _key(instrument: str, venue: str) -> str:
    return f"{instrument}@{venue}"


def _inside(px: int, side: Side, limit_px: int | None) -> bool:
    return limit_px is None or (px <= limit_px if side is Side.BUY else px >= limit_px)


def _pairs(levels: tuple[Level, ...]) -> list[tuple[int, int]]:
    return [(level.px, level.qty) for level in levels if level.qty > 0]


def _changed(known: list[tuple[int, int]], changes: tuple[Level, ...], *, best_is_high: bool) -> list[tuple[int, int]]:
    levels = dict(known)
    levels.update({level.px: level.qty for level in changes})
    return sorted(((px, qty) for px, qty in levels.items() if qty > 0), reverse=best_is_high)
