"""What a price is held against beside the quote it comes from: the recent middles of the market, and the last close.

A quote cannot vouch for itself: a stub offer of 1,000 where the market was 100 makes every collar around it
meaningless. So routing remembers, for each instrument, the middle that stood at the end of each of the last intervals
of session time, and takes the median. Then a price that has stood for a moment weighs nothing, one that has stood for
half the time is the market, and a market that stands still goes on counting. Where less is known than that, the last
close of the reference data stands in for what is missing. A quote without two sides, crossed, or wider than any market
in use is no witness: while it stands nothing is learned.

The same table says how old a quote is. A market that stands still is not stale: its quote is as old as its feed has
been silent in all instruments, and never younger than it was when it arrived.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from pipeline.domain.market import NBBO
from pipeline.domain.reference import Instrument
from pipeline.domain.units import MILLI_BPS_ONE, NS_PER_S
from pipeline.parameters import Allowed, Parameters, count, nanos
from pipeline.state import Entry, State


class SecondOpinionParameters(Parameters, frozen=True, kw_only=True):
    """What routing remembers of the market, to hold a price against."""

    interval_ns: Annotated[
        int, nanos("One middle is remembered for each interval of this length; session time.", 1)
    ] = NS_PER_S
    intervals: Annotated[
        int, count("How many middles are remembered: their median moves when more than half of them have.", 1)
    ] = 31  # fmt: skip
    widest_spread: Annotated[
        int, Allowed("A quote that is wider than this is no witness of the market.", "1e-3 bps", 1, MILLI_BPS_ONE)
    ] = 1_000_000  # fmt: skip


class RecentMiddles(Entry):
    """An instrument's middles, 1e-9 currency, and its last quote."""

    interval_no: int = 0
    """The present interval of session time; the middles are those of the ones before it."""
    middles: list[int] = msgspec.field(default_factory=list)
    """Oldest first; at most as many as are remembered."""
    standing_px: int = 0
    """The middle of the last quote; 0 when it has none that counts."""
    late_ns: int = 0
    """How old the last quote was when it arrived, by its sender's time."""


class FeedHeard(Entry):
    """When a feed's last quote arrived, of whatever instrument; session time."""

    heard_ns: int


class SecondOpinion:
    """Make one in the constructor of a :class:`State`: it keeps its tables there."""

    def __init__(self, state: State, parameters: SecondOpinionParameters) -> None:
        self._state = state
        self._interval_ns, self._intervals = parameters.interval_ns, parameters.intervals
        self._widest_spread = parameters.widest_spread
        self._middles = state.table("middles", RecentMiddles)
        self._feeds = state.table("feeds", FeedHeard)

    def on_nbbo(self, quote: NBBO, *, is_held: bool) -> None:
        """Take in a quote: it is remembered once it has stood for a while. ``is_held``: it is the market now, neither
        older than the one before it nor the same again; else it only shows that its feed talks."""
        now_ns = self._state.now_ns
        heard = self._feeds.get(quote.feed)
        if heard is None or heard.heard_ns != now_ns:
            self._feeds.put(quote.feed, FeedHeard(now_ns))
        if not is_held:
            return
        recent = self._middles.get(quote.instrument) or RecentMiddles()
        interval_no, standing_px = now_ns // self._interval_ns, self._witnessed_px(quote)
        late_ns = max(0, now_ns - quote.event_ns)
        if interval_no != recent.interval_no:
            recent.middles, recent.interval_no = self._up_to_now(recent), interval_no
        elif (standing_px, late_ns) == (recent.standing_px, recent.late_ns):
            return
        recent.standing_px, recent.late_ns = standing_px, late_ns
        self._middles.put(quote.instrument, recent)

    def px(self, instrument: Instrument) -> int | None:
        """The price that others are held against, 1e-9 currency; None when nothing at all is known."""
        recent = self._middles.get(instrument.instrument)
        middles = [] if recent is None else self._up_to_now(recent)
        if instrument.reference_px > 0:
            middles += [instrument.reference_px] * (self._intervals - len(middles))
        return sorted(middles)[len(middles) // 2] if middles else None

    def quote_age_ns(self, quote: NBBO) -> int:
        """How old a quote is: as it was when it arrived, or as long as its feed has told nothing since; 0 at least."""
        recent, heard = self._middles.get(quote.instrument), self._feeds.get(quote.feed)
        silent_ns = 0 if heard is None else max(0, self._state.now_ns - heard.heard_ns)
        return max(silent_ns, 0 if recent is None else recent.late_ns)

    def _up_to_now(self, recent: RecentMiddles) -> list[int]:
        """The middles of the intervals that are over, the standing one's among them."""
        most = self._intervals
        over = self._state.now_ns // self._interval_ns - recent.interval_no
        if not recent.standing_px or over <= 0:
            return list(recent.middles)
        return [*recent.middles, *[recent.standing_px] * min(over, most)][-most:]

    def _witnessed_px(self, quote: NBBO) -> int:
        bid_px, offer_px = quote.bid_px, quote.offer_px
        if bid_px is None or offer_px is None or bid_px <= 0 or bid_px > offer_px:
            return 0
        middle_px = (bid_px + offer_px) // 2
        wide = (offer_px - bid_px) * MILLI_BPS_ONE > self._widest_spread * middle_px
        return 0 if wide else middle_px


def beyond(px: int, reference_px: int, collar: int, sign: int) -> bool:
    """Whether a price is worse for us than the reference by more than ``collar`` (1e-3 bps): above it for a buy (sign
    +1), below it for a sale (-1). Compared without division, so that nothing is rounded."""
    return sign * (px - reference_px) * MILLI_BPS_ONE > collar * reference_px
