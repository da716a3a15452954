"""Reference prices: the midpoint, told while its quote stands, and only where a second opinion agrees with it.

Intake is partitioned by source and does not see quotes; its collars read these prices and refuse what is stale. So:

- A price is told again while it does not change: at each new quote that confirms it, and while a venue has the
  instrument open and market data of any instrument still come (a dead feed confirms nothing).
- Of quotes the latest holds, by event time and then by number; what comes late changes nothing.
- A crossed or one-sided quote has no midpoint. A locked one has: bid and offer agree.
- A midpoint far from the last sale (before the first one: from the reference price of the instrument) is not told, and
  neither is that of a quote so wide that nobody means it. Without either opinion the quote must be narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.domain.int64 import nearest
from pipeline.domain.market import NBBO, ReferencePrice, SessionState, VenueStatus
from pipeline.domain.units import NS_PER_S, PPM_ONE
from pipeline.stages.analytics.parameters import ReferencePriceParameters
from pipeline.stages.shared.print_identity import Applied, KeptPrint
from pipeline.stages.shared.print_tape import trade_date_of
from pipeline.state import Entry, State


class Midpoint(Entry):
    """The latest quote of an instrument, and the last price told."""

    px: int
    """Its midpoint; 0 when it has none."""
    quote_ns: int
    published_px: int = 0
    published_ns: int = 0
    quote_no: int = 0
    width_px: int = 0
    """Offer less bid."""
    told_ns: int = 0
    """``quote_ns`` of the last price told."""


class Sale(Entry):
    """The last sale of an instrument."""

    px: int
    event_ns: int
    print_id: str


class Opened(Entry):
    """Venues of an instrument by name: event time of the last status, and whether it is open."""

    venues: dict[str, tuple[int, bool]]


class LastTold(Entry):
    """The latest second of event time (since 1970) of any market data."""

    second: int


class ReferencePrices:
    """The reference prices of a task; keeps its tables in ``state``."""

    def __init__(self, state: State, parameters: ReferencePriceParameters) -> None:
        self._parameters = parameters
        self._midpoints = state.table("midpoints", Midpoint)
        self._sales = state.table("sales", Sale)
        self._opened = state.table("opened", Opened)
        self._feed = state.table("feed", LastTold)

    # ---------------------------------------------------------------- what comes in

    def on_quote(self, quote: NBBO) -> None:
        """Take in a quote, unless a later one is known."""
        self.on_data(quote.event_ns)
        known = self._midpoints.get(quote.instrument) or Midpoint(0, -1)
        if (quote.event_ns, quote.quote_no) < (known.quote_ns, known.quote_no):
            return
        known.px = quote.midpoint_px or 0
        known.width_px = nearest((quote.offer_px or 0) - (quote.bid_px or 0))
        known.quote_ns, known.quote_no = quote.event_ns, quote.quote_no
        self._midpoints.put(quote.instrument, known)

    def on_status(self, status: VenueStatus) -> None:
        """Take in a venue's state, unless a later one is known."""
        self.on_data(status.event_ns)
        opened = self._opened.get(status.instrument) or Opened({})
        known = opened.venues.get(status.venue)
        if known is None or known[0] <= status.event_ns:
            now = status.event_ns, status.state is SessionState.OPEN
            # Sorted, so that the row does not depend on the order in which venues were first read.
            self._opened.put(status.instrument, Opened(dict(sorted({**opened.venues, status.venue: now}.items()))))

    def on_prints(
        self, instrument: str, applied: Applied, trade_date: int, last_sale: Callable[[str], KeptPrint | None]
    ) -> None:
        """Take in what has changed of the prints; only sales of ``trade_date`` (yyyymmdd) or later say anything.

        ``last_sale`` looks through all prints that are kept: it is asked only when the one known is taken back.
        """
        known = self._sales.get(instrument)
        sold = [kept for kept in applied.on if kept.last]
        told = None if known is None else (known.event_ns, known.print_id)
        if any((kept.event_ns, kept.print_id) == told for kept in applied.off):
            self._sales.remove(instrument)
            known = None
            left = last_sale(instrument)
            sold = [] if left is None else [left]
        for kept in sold:
            later = known is None or kept.order >= (known.event_ns, len(known.print_id), known.print_id)
            if later and trade_date_of(kept.event_ns) >= trade_date:
                self._sales.put(instrument, Sale(kept.px, kept.event_ns, kept.print_id))

    def on_data(self, event_ns: int) -> None:
        """The feed lives: it has told of something at this time."""
        second = event_ns // NS_PER_S
        known = self._feed.get("")
        if known is None or known.second < second:
            self._feed.put("", LastTold(second))

    def begin_day(self) -> None:
        """Forget the last sales: they are yesterday's."""
        for instrument in self._sales.keys():
            self._sales.remove(instrument)

    # ---------------------------------------------------------------- what goes out

    def due(self, now_ns: int, reference_px: dict[str, int]) -> Iterator[ReferencePrice]:
        """The prices to be told at ``now_ns`` (session time).

        ``reference_px``: the reference price of each instrument (1e-9 currency units), from reference data.
        """
        feed = self._feed.get("")
        feed_lives = feed is not None and now_ns - feed.second * NS_PER_S <= self._parameters.feed_silence_ns
        for instrument in self._midpoints.keys():
            midpoint = self._midpoints[instrument]
            since_ns = now_ns - midpoint.published_ns
            if not midpoint.px or since_ns < self._parameters.every_ns:
                continue
            # Never before the time last told, which may be a tick's: readers let no earlier time displace a later.
            quote_ns = max(midpoint.quote_ns, midpoint.told_ns)
            changed = midpoint.px != midpoint.published_px
            if midpoint.quote_ns <= midpoint.told_ns and not changed:
                stands = feed_lives and since_ns >= self._parameters.standing_every_ns and self._is_open(instrument)
                if not stands:
                    continue
                quote_ns = max(quote_ns, now_ns)
            if not self._believed(midpoint, instrument, reference_px.get(instrument, 0)):
                continue
            midpoint.published_px, midpoint.published_ns, midpoint.told_ns = midpoint.px, now_ns, quote_ns
            self._midpoints.put(instrument, midpoint)
            yield ReferencePrice(instrument=instrument, px=midpoint.px, quote_ns=quote_ns)

    def _is_open(self, instrument: str) -> bool:
        opened = self._opened.get(instrument)
        return opened is not None and any(is_open for _, is_open in opened.venues.values())

    def _believed(self, midpoint: Midpoint, instrument: str, reference_px: int) -> bool:
        """Whether something other than the quote itself speaks for its midpoint."""
        sale = self._sales.get(instrument)
        opinion_px = reference_px if sale is None else sale.px
        if opinion_px <= 0:
            return midpoint.width_px * PPM_ONE <= self._parameters.widest_alone_ppm * midpoint.px
        distance_px = abs(midpoint.px - opinion_px)
        return (
            midpoint.width_px * PPM_ONE <= self._parameters.widest_ppm * midpoint.px
            and distance_px * PPM_ONE <= self._parameters.farthest_ppm * opinion_px
        )
