"""The market as netting needs it: the quote in force at a moment, the recent median, halts, bands, the last sale.

Quotes are kept for some time, in blocks of one second of event time, because two look-ups go back: the midpoint when
an order was received, and the median of recent midpoints that a quote is compared with. The latest event time read is
the watermark that windows wait for. Prices are in 1e-9 currency units.

Event time is the sender's claim: a quote stamped far ahead of the clock stands where it says and pushes nothing out, a
sale or status so stamped gives way to whatever comes next. The same quote told again changes nothing but that it was
confirmed: a market that stands still is not stale.
"""

from __future__ import annotations

from pipeline.algos.crossing import Quote as CrossQuote
from pipeline.domain.market import NBBO, QuoteKind, SessionState, TradePrint, VenueStatus
from pipeline.domain.times import age_ns
from pipeline.domain.units import NS_PER_S
from pipeline.stages.netting.parameters import NettingParameters
from pipeline.stages.shared.print_identity import DAY_NS, PrintIdentity
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
    confirmed_ns: int = 0
    """When the feed last told it again unchanged; 0: it has not."""

    @property
    def place(self) -> tuple[int, int]:
        """Quotes stand in this order."""
        return self.event_ns, self.quote_no

    @property
    def midpoint_px(self) -> int | None:
        """Half way between bid and offer, rounded down; None without both, or when they are locked or crossed."""
        if self.bid_px is None or self.offer_px is None or self.bid_px >= self.offer_px:
            return None
        return (self.bid_px + self.offer_px) // 2 if min(self.bid_qty, self.offer_qty) > 0 else None


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

    The parameters say how far back quotes are kept and over which span the recent median goes, both in event time, and
    how far ahead of the clock a stamp may lie.
    """

    def __init__(self, state: State, parameters: NettingParameters) -> None:
        self._markets = state.table("markets", InstrumentMarket)
        self._blocks = state.table("quotes", Block)
        self._prints = PrintIdentity(state)
        self._parameters = parameters
        self._state = state

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
        while place and block.quotes[place - 1].place > quote.place:
            place -= 1
        if place and block.quotes[place - 1].place == quote.place:
            if self._is_told_again(block.quotes[place - 1], quote, nbbo.received_ns):
                block.quotes[place - 1].confirmed_ns = nbbo.received_ns
                market.seen_ns = max(market.seen_ns, nbbo.received_ns)
                self._blocks.put(key, block)
                self._markets.put(nbbo.instrument, market)
            return  # a number belongs to one quote: what was told first stands
        block.quotes.insert(place, quote)
        self._blocks.put(key, block)
        if second not in market.blocks[-1:]:
            market.blocks = sorted({*market.blocks, second})
            self._prune(nbbo.instrument, market)
        self._markets.put(nbbo.instrument, market)

    def on_print(self, trade: TradePrint) -> None:
        """Keep the last sale; when it is cancelled there is none until the next print.

        Which prints stand is one rule for all who read the tape: what was taken back does not come again.
        """
        market = self.of(trade.instrument)
        market.seen_ns = max(market.seen_ns, trade.event_ns)
        applied = self._prints.apply(trade)
        sold = [kept for kept in applied.on if kept.last]
        day = (market.last_sale_ns or 0) // DAY_NS
        if any(kept.print_id == market.last_sale_id and kept.event_ns // DAY_NS == day for kept in applied.off):
            # The sale before it is not kept, and no last sale is better evidence than one that did not happen.
            market.last_sale_px = sold[0].px if sold else None
            market.last_sale_ns = market.last_sale_ns if sold else None
            market.last_sale_id = sold[0].print_id if sold else ""
        else:
            for kept in sold:
                known_ns, known_id = market.last_sale_ns or 0, market.last_sale_id
                if kept.order >= (known_ns, len(known_id), known_id) or self._is_ahead(known_ns):
                    market.last_sale_px, market.last_sale_ns = kept.px, kept.event_ns
                    market.last_sale_id = kept.print_id
        self._markets.put(trade.instrument, market)

    def on_tick(self, before_ns: int) -> None:
        """When a day has begun since ``before_ns``, drop what is known of prints before yesterday."""
        day = self._state.now_ns // DAY_NS
        if day != before_ns // DAY_NS:
            self._prints.forget_before(day - 1)

    def restored(self) -> None:
        """Rebuild what is derived from the tables."""
        self._prints.restored()

    def on_status(self, status: VenueStatus) -> None:
        """Keep a venue's status, unless a later one is known."""
        market = self.of(status.instrument)
        market.seen_ns = max(market.seen_ns, status.event_ns)
        known = market.venues.get(status.venue)
        if known is None or status.event_ns >= known.event_ns or self._is_ahead(known.event_ns):
            now = VenueNow(status.state, status.event_ns, status.lower_band_px, status.upper_band_px)
            # Sorted by name, so that the row does not depend on the order in which venues were first read.
            market.venues = dict(sorted({**market.venues, status.venue: now}.items()))
        self._markets.put(status.instrument, market)

    def _is_ahead(self, event_ns: int) -> bool:
        """Whether a stamp lies so far ahead of the clock that it is no time."""
        now_ns = self._state.now_ns
        return now_ns > 0 and age_ns(event_ns, now_ns, self._parameters.ahead_ns) is None

    def _is_told_again(self, known: QuoteAt, quote: QuoteAt, received_ns: int) -> bool:
        """Whether it is the same quote, received later than it was known to stand."""
        same = (known.kind, known.bid_px, known.bid_qty, known.offer_px, known.offer_qty) == (
            quote.kind, quote.bid_px, quote.bid_qty, quote.offer_px, quote.offer_qty,
        )  # fmt: skip
        later = received_ns > max(known.event_ns, known.confirmed_ns)
        return same and later and not self._is_ahead(received_ns)

    def _prune(self, instrument: str, market: InstrumentMarket) -> None:
        # By the clock too: one stamp from the future must not push out what is in force now.
        horizon = min(market.seen_ns, self._state.now_ns or market.seen_ns) - self._parameters.history_ns
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
        return None if quote is None else quote.midpoint_px

    def median_px(self, instrument: str, at_ns: int) -> int | None:
        """The median of the midpoints of the last ``median_ns``, each weighted by how long it was in force.

        None without any. By time and not by count, so that many quotes of a microsecond each do not move it.
        """
        since_ns = at_ns - self._parameters.median_ns
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
                    if quote.event_ns <= at_ns - self._parameters.median_ns:
                        return found
        return found

    def for_cross(self, instrument: str, at_ns: int, close_px: int | None) -> tuple[QuoteAt | None, CrossQuote]:
        """The quote in force, and everything the conditions of a cross are checked against.

        The instrument counts as halted when a venue has halted it or is in an auction, or no venue is known to be open.
        The last eligible sale must confirm the quote; before any, the last close ``close_px`` (None: none is known).
        """
        market, parameters = self.of(instrument), self._parameters
        sale_px = None if self._is_ahead(market.last_sale_ns or 0) else market.last_sale_px
        quote = self.quote_at(instrument, at_ns)
        venues = list(market.venues.values())
        halted = any(venue.state in (SessionState.HALTED, SessionState.AUCTION) for venue in venues)
        halted = halted or not any(venue.state is SessionState.OPEN for venue in venues)
        lowers = [venue.lower_band_px for venue in venues if venue.lower_band_px is not None]
        uppers = [venue.upper_band_px for venue in venues if venue.upper_band_px is not None]
        return quote, CrossQuote(
            bid_px=None if quote is None else quote.bid_px,
            bid_qty=0 if quote is None else quote.bid_qty,
            offer_px=None if quote is None else quote.offer_px,
            offer_qty=0 if quote is None else quote.offer_qty,
            quote_ns=0 if quote is None else max(quote.event_ns, quote.confirmed_ns),
            halted=halted,
            recent_median_px=self.median_px(instrument, at_ns),
            lower_band_px=max(lowers, default=None),
            upper_band_px=min(uppers, default=None),
            reference_px=close_px if sale_px is None else sale_px,
            reference_distance_ppm_max=(
                parameters.reference_distance_ppm if sale_px is None else parameters.sale_distance_ppm
            ),
        )


def _block_key(instrument: str, second: int) -> str:
    return f"{instrument}/{second}"
