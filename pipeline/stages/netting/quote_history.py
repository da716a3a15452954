"""The market as netting needs it: the quote in force at a moment, the recent median, halts, bands, the last sale.

Quotes are kept for some time, in blocks of one second of event time, because two look-ups go back: the midpoint when
an order was received, and the median of recent midpoints that a quote is compared with. The latest event time read is
the watermark that windows wait for. Prices are in 1e-9 currency units.
"""

from __future__ import annotations

from pipeline.algos.crossing import Quote as CrossQuote
from pipeline.domain.market import NBBO, PrintKind, QuoteKind, SessionState, TradePrint, VenueStatus
from pipeline.domain.units import NS_PER_S
from pipeline.state import Entry, State


class QuoteAt(Entry):
    """A quote as published."""

    event_ns: int
    quote_no: int
    kind: QuoteKind
    bid_px: int | None
    bid_qty: int
    offer_px: int | None
    offer_qty: int

    @property
    def midpoint_px(self) -> int | None:
        """Half way between bid and offer, rounded down; None without both."""
        if self.bid_px is None or self.offer_px is None:
            return None
        return (self.bid_px + self.offer_px) // 2


class Block(Entry):
    """The quotes of one second of event time, by time and number."""

    quotes: list[QuoteAt]


class VenueNow(Entry):
    """A venue's last status of the instrument: session state and price bands."""

    state: SessionState
    event_ns: int
    lower_band_px: int | None
    upper_band_px: int | None


class InstrumentMarket(Entry):
    """One instrument's market."""

    seen_ns: int = 0
    """Latest event time of any market data read: the watermark."""
    blocks: list[int] = []
    """Seconds of event time that have a block, ascending."""
    venues: dict[str, VenueNow] = {}
    last_sale_px: int | None = None
    last_sale_ns: int | None = None
    last_sale_id: str = ""


class Markets:
    """The market data of a task's instruments, in the tables `markets` and `quotes` of ``state``.

    ``history_ns``: how far back quotes are kept; ``median_ns``: span of the recent median. Both in event time.
    """

    def __init__(self, state: State, history_ns: int, median_ns: int) -> None:
        self._markets = state.table("markets", InstrumentMarket)
        self._blocks = state.table("quotes", Block)
        self._history_ns = history_ns
        self._median_ns = median_ns

    def of(self, instrument: str) -> InstrumentMarket:
        """The instrument's market; an empty one when nothing was read yet."""
        return self._markets.get(instrument) or InstrumentMarket()

    # ---------------------------------------------------------------- what comes in

    def on_quote(self, nbbo: NBBO) -> None:
        """Keep a quote, in its place by event time and quote number; one older than the history is dropped."""
        market = self.of(nbbo.instrument)
        market.seen_ns = max(market.seen_ns, nbbo.event_ns)
        second = nbbo.event_ns // NS_PER_S
        if market.blocks and second < market.blocks[0]:
            return  # older than all that is kept: nothing is priced by it any more
        quote = QuoteAt(
            nbbo.event_ns, nbbo.quote_no, nbbo.kind, nbbo.bid_px, nbbo.bid_qty, nbbo.offer_px, nbbo.offer_qty
        )
        key = _block_key(nbbo.instrument, second)
        block = self._blocks.get(key) or Block([])
        place = len(block.quotes)
        while place and (block.quotes[place - 1].event_ns, block.quotes[place - 1].quote_no) > (
            quote.event_ns,
            quote.quote_no,
        ):
            place -= 1
        block.quotes.insert(place, quote)
        self._blocks.put(key, block)
        if second not in market.blocks[-1:]:
            market.blocks = sorted({*market.blocks, second})
            self._prune(nbbo.instrument, market)
        self._markets.put(nbbo.instrument, market)

    def on_print(self, trade: TradePrint) -> None:
        """Keep the last sale; when it is cancelled there is none until the next print."""
        market = self.of(trade.instrument)
        market.seen_ns = max(market.seen_ns, trade.event_ns)
        if trade.kind is PrintKind.TRADE:
            if trade.eligible_last and trade.event_ns >= (market.last_sale_ns or 0):
                market.last_sale_px, market.last_sale_ns = trade.px, trade.event_ns
                market.last_sale_id = _print_id(trade.venue, trade.print_id)
        elif trade.ref_print_id is not None and _print_id(trade.venue, trade.ref_print_id) == market.last_sale_id:
            # The sale before it is not kept, and no last sale is better evidence than one that did not happen.
            market.last_sale_px = trade.px if trade.kind is PrintKind.CORRECT else None
            if market.last_sale_px is None:
                market.last_sale_ns, market.last_sale_id = None, ""
        self._markets.put(trade.instrument, market)

    def on_status(self, status: VenueStatus) -> None:
        """Keep a venue's status, unless a later one is known."""
        market = self.of(status.instrument)
        market.seen_ns = max(market.seen_ns, status.event_ns)
        known = market.venues.get(status.venue)
        if known is None or status.event_ns >= known.event_ns:
            now = VenueNow(status.state, status.event_ns, status.lower_band_px, status.upper_band_px)
            # Sorted by name, so that the row does not depend on the order in which venues were first read.
            market.venues = dict(sorted({**market.venues, status.venue: now}.items()))
        self._markets.put(status.instrument, market)

    def _prune(self, instrument: str, market: InstrumentMarket) -> None:
        horizon = market.seen_ns - self._history_ns
        # The first block goes only when the one after begins before the horizon: the quote in force there stays known.
        while len(market.blocks) > 1 and (market.blocks[1] + 1) * NS_PER_S <= horizon:
            self._blocks.remove(_block_key(instrument, market.blocks[0]))
            market.blocks = market.blocks[1:]

    # ---------------------------------------------------------------- look-ups

    def quote_at(self, instrument: str, at_ns: int) -> QuoteAt | None:
        """The quote in force at a moment; None where none is known."""
        for second in reversed(self.of(instrument).blocks):
            if second * NS_PER_S <= at_ns:
                for quote in reversed(self._blocks[_block_key(instrument, second)].quotes):
                    if quote.event_ns <= at_ns:
                        return quote
        return None

    def midpoint_at(self, instrument: str, at_ns: int) -> int | None:
        """The midpoint in force at a moment; None where there was none, or the market was locked or crossed."""
        quote = self.quote_at(instrument, at_ns)
        if quote is None or quote.bid_px is None or quote.offer_px is None or quote.bid_px >= quote.offer_px:
            return None
        return quote.midpoint_px

    def median_px(self, instrument: str, at_ns: int) -> int | None:
        """The median of the midpoints of the last ``median_ns``, each weighted by how long it was in force.

        None without any. By time and not by count, so that many quotes of a microsecond each do not move it.
        """
        since_ns = at_ns - self._median_ns
        ends_ns, stood = at_ns, []
        newest: int | None = None
        for quote in self._backwards(instrument, at_ns):
            midpoint = quote.midpoint_px
            if midpoint is not None:
                newest = midpoint if newest is None else newest
                stood.append((midpoint, ends_ns - max(quote.event_ns, since_ns)))
            ends_ns = quote.event_ns
            if ends_ns <= since_ns:
                break
        half, passed = sum(length for _, length in stood), 0
        for midpoint, length in sorted(stood):
            passed += length
            if length and 2 * passed >= half:
                return midpoint
        return newest

    def _backwards(self, instrument: str, at_ns: int) -> list[QuoteAt]:
        """Quotes up to a moment, newest first, back to the one in force when the median's time begins."""
        found: list[QuoteAt] = []
        for second in reversed(self.of(instrument).blocks):
            for quote in reversed(self._blocks[_block_key(instrument, second)].quotes):
                if quote.event_ns <= at_ns:
                    found.append(quote)
                    if quote.event_ns <= at_ns - self._median_ns:
                        return found
        return found

    def for_cross(self, instrument: str, at_ns: int) -> tuple[QuoteAt | None, CrossQuote]:
        """The quote in force, and everything the conditions of a cross are checked against.

        The instrument counts as halted when a venue has halted it or is in an auction, or no venue is known to be open.
        """
        quote = self.quote_at(instrument, at_ns)
        venues = list(self.of(instrument).venues.values())
        halted = any(venue.state in (SessionState.HALTED, SessionState.AUCTION) for venue in venues)
        halted = halted or not any(venue.state is SessionState.OPEN for venue in venues)
        lowers = [venue.lower_band_px for venue in venues if venue.lower_band_px is not None]
        uppers = [venue.upper_band_px for venue in venues if venue.upper_band_px is not None]
        return quote, CrossQuote(
            bid_px=None if quote is None else quote.bid_px,
            bid_qty=0 if quote is None else quote.bid_qty,
            offer_px=None if quote is None else quote.offer_px,
            offer_qty=0 if quote is None else quote.offer_qty,
            quote_ns=0 if quote is None else quote.event_ns,
            halted=halted,
            recent_median_px=self.median_px(instrument, at_ns),
            lower_band_px=max(lowers, default=None),
            upper_band_px=min(uppers, default=None),
        )


def _block_key(instrument: str, second: int) -> str:
    return f"{instrument}/{second}"


def _print_id(venue: str, print_id: str) -> str:
    return f"{venue}/{print_id}"
