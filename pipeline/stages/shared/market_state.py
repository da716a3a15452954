"""The market as a stage knows it: the best quote, each venue's displayed levels, each venue's state.

Part of a stage's state, by instrument and by instrument and venue. Three rules hold for every stage that decides by it:

- Of a venue whose events have a gap nothing is known until its next snapshot: no levels are better than wrong ones. A
  change before any snapshot is such a gap, and so is a record of a kind this version does not know.
- What is older than what is held changes nothing, in whatever order they arrive. Older is: by the sender's time, then
  by the sender's count. Of two that are equal in both, the one that came last holds; a repeat changes nothing.
- What claims to be of a time to come is not known yet: nothing is decided by it, and whatever comes next replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from pipeline.domain.market import NBBO, Depth, DepthKind, Level, QuoteKind, SessionState, VenueStatus
from pipeline.domain.orders import Side
from pipeline.domain.times import age_ns
from pipeline.stages.shared.market_entries import LatestQuote, Levels, Status
from pipeline.state import State

NO_STATUS: Final = Status()

_UNKNOWN: Final = SessionState.UNKNOWN
_TRADING: Final = (SessionState.OPEN, SessionState.AUCTION, SessionState.HALTED)
"""States of a session that has begun and is not over."""


class MarketState:
    """Make one in the constructor of a :class:`State`: it keeps the tables `quotes`, `statuses` and ``levels`` there.

    ``levels``: the name of the table of displayed levels, which is part of the state's version. ``ahead_ns``: how far
    after the last tick a time may lie and still be believed (there is a while between two ticks); before the first
    tick any is.
    """

    def __init__(self, state: State, ahead_ns: int, levels: str = "levels") -> None:
        self._state = state
        self._ahead_ns = ahead_ns
        self._quotes = state.table("quotes", LatestQuote)
        self._levels = state.table(levels, Levels)
        self._statuses = state.table("statuses", Status)

    # ------------------------------------------------------------------ what comes in

    def on_nbbo(self, nbbo: NBBO) -> bool:
        """Take in the best bid and offer; False when it is older than the one held, or the same again."""
        entry = self._quotes.get(nbbo.instrument)
        if entry is not None:
            held = entry.nbbo
            if self._is_late((nbbo.event_ns, nbbo.quote_no), (held.event_ns, held.quote_no)):
                return False
        # Without the stamp of its writer: state is the same whoever fed the quote.
        quote = msgspec.structs.replace(nbbo, writer="", seq=0)
        if entry is not None and entry.nbbo == quote:
            return False
        self._quotes.put(nbbo.instrument, LatestQuote(quote))
        return True

    def on_depth(self, depth: Depth) -> bool:
        """Take in a venue's snapshot, or the levels that have changed; False when it is older than what is held."""
        key = _key(depth.instrument, depth.venue)
        known = self._levels.get(key)
        at_ns, no = depth.event_ns, depth.event_no
        if known is None:
            known = Levels(gap=True)
        elif self._is_late((at_ns, no), (known.event_ns, known.event_no)):
            return False
        if depth.kind is DepthKind.SNAPSHOT:
            levels = Levels(_pairs(depth.bids), _pairs(depth.offers), False, at_ns, no)
        elif known.gap or depth.gap or depth.kind is not DepthKind.CHANGE or self._is_ahead(known.event_ns):
            levels = Levels([], [], True, at_ns, no)
        else:
            bids = _changed(known.bids, depth.bids, best_is_high=True)
            levels = Levels(bids, _changed(known.offers, depth.offers, best_is_high=False), False, at_ns, no)
        self._levels.put(key, levels)
        return True

    def on_status(self, status: VenueStatus) -> bool:
        """Take in a venue's state; False when it is older than the one held."""
        key = _key(status.instrument, status.venue)
        held = self._statuses.get(key) or NO_STATUS
        # Statuses have no count: an older time is all that can tell.
        if self._is_late((status.event_ns, 0), (held.event_ns, 0)):
            return False
        closes = status.state is SessionState.CLOSED and held.state in _TRADING
        self._statuses.put(
            key,
            Status(
                status.state,
                status.lower_band_px,
                status.upper_band_px,
                status.short_restricted,
                status.event_ns,
                status.event_ns if closes else held.closed_ns,
            ),
        )
        return True

    def _is_late(self, told: tuple[int, int], held: tuple[int, int]) -> bool:
        """Whether what is told (time, count) is older than what is held; what is held from the future never counts."""
        return told < held and not self._is_ahead(held[0])

    def _is_ahead(self, event_ns: int) -> bool:
        now_ns = self._state.now_ns
        return now_ns > 0 and age_ns(event_ns, now_ns, self._ahead_ns) is None

    # ------------------------------------------------------------------ what is asked

    def quote(self, instrument: str) -> NBBO | None:
        """The best bid and offer; None before the first, and when its time is not believed."""
        entry = self._quotes.get(instrument)
        return None if entry is None or self._is_ahead(entry.nbbo.event_ns) else entry.nbbo

    def spread_px(self, instrument: str) -> int | None:
        """Offer less bid, 1e-9 currency; None without both, or when the market is locked or crossed."""
        nbbo = self.quote(instrument)
        if nbbo is None or nbbo.bid_px is None or nbbo.offer_px is None or nbbo.offer_px <= nbbo.bid_px:
            return None
        return nbbo.offer_px - nbbo.bid_px

    def status(self, instrument: str, venue: str) -> Status:
        """UNKNOWN, and so not open, before the venue's first record, and when its time is not believed."""
        status = self._statuses.get(_key(instrument, venue)) or NO_STATUS
        return NO_STATUS if self._is_ahead(status.event_ns) else status

    def open_venues(self, instrument: str, venues: Iterable[str]) -> list[str]:
        """Those of ``venues`` that trade it now. Nothing is sent on no knowledge."""
        return [venue for venue in venues if self.status(instrument, venue).state is SessionState.OPEN]

    def is_open(self, instrument: str, venues: Iterable[str]) -> bool:
        """Whether any of these venues trades it now."""
        return bool(self.open_venues(instrument, venues))

    def is_over(self, instrument: str, venues: Iterable[str], session_open_ns: int) -> bool:
        """Whether every one of ``venues`` that has a state has closed since the session opened, early or in time.

        A venue that has not opened yet, is halted, or is down has not closed. False where none has a state.
        """
        known = [status for venue in venues if (status := self.status(instrument, venue)).state is not _UNKNOWN]
        return bool(known) and all(
            status.state is SessionState.CLOSED and status.closed_ns >= session_open_ns > 0 for status in known
        )

    def far_px(self, instrument: str, venue: str, side: Side) -> int | None:
        """Best displayed price an order of ``side`` could take at this venue, 1e-9 currency.

        From its depth; without depth, from the quote when the venue is the one that shows it. None: not known.
        """
        shown = self._shown(instrument, venue, side)
        if shown is not None:
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
        shown = self._shown(instrument, venue, side)
        if shown is not None:
            total_qty = 0
            for px, qty in shown:
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

        Where no venue's depth has any, the size at the best quote, if that is inside and not another venue's; None as
        limit is any price.
        """
        total, names = 0, list(venues)
        for venue in names:
            shown = self._shown(instrument, venue, side)
            if shown:
                total += sum(qty for px, qty in shown if _inside(px, side, limit_px))
        nbbo = self.quote(instrument)
        if total or nbbo is None:
            return total
        buys = side is Side.BUY
        px, qty = (nbbo.offer_px, nbbo.offer_qty) if buys else (nbbo.bid_px, nbbo.bid_qty)
        at = nbbo.offer_venue if buys else nbbo.bid_venue
        is_ours_to_take = bool(names) and (not at or at in names)
        return qty if px is not None and is_ours_to_take and _inside(px, side, limit_px) else 0

    def _shown(self, instrument: str, venue: str, side: Side) -> list[tuple[int, int]] | None:
        """What a venue displays that ``side`` could take, best first; None: not known, as after a gap."""
        levels = self._levels.get(_key(instrument, venue))
        if levels is None or levels.gap or self._is_ahead(levels.event_ns):
            return None
        return levels.offers if side is Side.BUY else levels.bids


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
