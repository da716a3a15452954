"""Market data: order-by-order events, depth, the best bid and offer, others' trades, the state of a venue."""

from __future__ import annotations

from pipeline.domain.orders import Side
from pipeline.domain.record import Kind, Owned, Record
from pipeline.domain.units import Count, Ns, Px, Qty


class BookEventKind(Kind):
    """What happened in a venue's book (LOBSTER types 1 to 5 and 7)."""

    UNKNOWN = "UNKNOWN"
    CLEAR = "CLEAR"
    ADD = "ADD"
    REDUCE = "REDUCE"
    DELETE = "DELETE"
    EXECUTE = "EXECUTE"
    EXECUTE_HIDDEN = "EXECUTE_HIDDEN"
    HALT = "HALT"
    RESUME = "RESUME"


class BookEvent(Owned, frozen=True, kw_only=True):
    """One event in a venue's book, order by order. The contract of `book-events`; only simulated venues read it."""

    kind: BookEventKind = BookEventKind.UNKNOWN
    """What happened."""
    venue: str
    """Where."""
    instrument: str
    """The instrument; the key."""
    event_ns: Ns
    """The venue's time of it."""
    event_no: Count
    """Counts the venue's events in this instrument."""
    order_ref: str = ""
    """The recorded order's id at the venue; empty for hidden executions."""
    side: Side = Side.UNKNOWN
    """Side of the *resting* order."""
    qty: Qty = 0
    """Size added, taken away or executed."""
    px: Px = 0
    """Its price."""


class Level(Record, frozen=True, kw_only=True):
    """One price level of a book."""

    px: Px
    """Price."""
    qty: Qty
    """Displayed size."""


class DepthKind(Kind):
    """Whether depth stands for itself or changes what was."""

    UNKNOWN = "UNKNOWN"
    SNAPSHOT = "SNAPSHOT"
    CHANGE = "CHANGE"


class Depth(Owned, frozen=True, kw_only=True):
    """Displayed depth of one venue. The contract of `depth`."""

    kind: DepthKind = DepthKind.UNKNOWN
    """SNAPSHOT replaces what was known; CHANGE replaces the levels it names (qty 0 removes one)."""
    venue: str
    """Where."""
    instrument: str
    """The instrument; the key."""
    event_ns: Ns
    """The venue's time of it."""
    received_ns: Ns
    """When our edge had it."""
    event_no: Count
    """The venue's event this is the state after."""
    gap: bool = False
    """Events are missing before this one."""
    bids: tuple[Level, ...] = ()
    """Best first."""
    offers: tuple[Level, ...] = ()
    """Best first."""


def midpoint_of(bid_px: int | None, offer_px: int | None) -> int | None:
    """Half way between bid and offer (1e-9 currency units), exact where prices are even in 1e-9.

    None without both, or when the bid is above the offer: no price between them is anybody's. Where they lock, both
    agree on it.
    """
    if bid_px is None or offer_px is None or bid_px > offer_px:
        return None
    return (bid_px + offer_px) // 2


class QuoteKind(Kind):
    """Whether a quote is the consolidated market's or one venue's."""

    UNKNOWN = "UNKNOWN"
    NBBO = "NBBO"
    BBO = "BBO"


class NBBO(Owned, frozen=True, kw_only=True):
    """The best bid and offer. The contract of `nbbo`. On a one-venue record its kind is BBO, and says so."""

    kind: QuoteKind = QuoteKind.UNKNOWN
    """Whether it is the consolidated best (NBBO), or the best of the venues we have a record of (BBO)."""
    instrument: str
    """The instrument; the key."""
    feed: str
    """Which feed says so."""
    event_ns: Ns
    """The feed's time of it."""
    received_ns: Ns
    """When our edge had it."""
    quote_no: Count
    """Counts the feed's quotes in this instrument."""
    bid_px: Px | None = None
    """Best bid; null when there is none."""
    bid_qty: Qty = 0
    """Size at the best bid."""
    bid_venue: str = ""
    """Who shows it."""
    offer_px: Px | None = None
    """Best offer; null when there is none."""
    offer_qty: Qty = 0
    """Size at the best offer."""
    offer_venue: str = ""
    """Who shows it."""

    @property
    def midpoint_px(self) -> int | None:
        """Half way between bid and offer: see :func:`midpoint_of`."""
        return midpoint_of(self.bid_px, self.offer_px)


class PrintKind(Kind):
    """Whether a print stands, is taken back or is corrected."""

    UNKNOWN = "UNKNOWN"
    TRADE = "TRADE"
    CANCEL = "CANCEL"
    CORRECT = "CORRECT"


class TradePrint(Owned, frozen=True, kw_only=True):
    """A trade in the market, ours or others'. The contract of `prints`."""

    kind: PrintKind = PrintKind.UNKNOWN
    """TRADE, or a CANCEL or CORRECT of an earlier print (ref_print_id)."""
    instrument: str
    """The instrument; the key."""
    venue: str
    """Where it was done (FIX LastMkt)."""
    print_id: str
    """The feed's id of this print, unique in the day and venue."""
    ref_print_id: str | None = None
    """The print that is cancelled or corrected."""
    event_ns: Ns
    """The time of the trade."""
    received_ns: Ns
    """When our edge had it."""
    px: Px
    """Price."""
    qty: Qty
    """Size."""
    conditions: tuple[str, ...] = ()
    """Sale conditions, as the feed names them."""
    eligible_vwap: bool = True
    """Counts in VWAP."""
    eligible_last: bool = True
    """May be the last sale."""
    eligible_volume: bool = True
    """Counts in volume."""
    hidden: bool = False
    """Executed against hidden interest."""


class SessionState(Kind):
    """What a venue does with an instrument now."""

    UNKNOWN = "UNKNOWN"
    PRE_OPEN = "PRE_OPEN"
    OPEN = "OPEN"
    AUCTION = "AUCTION"
    HALTED = "HALTED"
    CLOSED = "CLOSED"
    DOWN = "DOWN"


class VenueStatus(Owned, frozen=True, kw_only=True):
    """State of an instrument at a venue. The contract of `venue-status`."""

    venue: str
    """Where."""
    instrument: str
    """The instrument; the key."""
    state: SessionState = SessionState.UNKNOWN
    """Session, auction, halt, closed, or the venue is down."""
    event_ns: Ns
    """The venue's time of it."""
    received_ns: Ns
    """When our edge had it."""
    lower_band_px: Px | None = None
    """LULD lower band."""
    upper_band_px: Px | None = None
    """LULD upper band."""
    short_restricted: bool = False
    """The short-sale price test is in force."""


class ReferencePrice(Owned, frozen=True, kw_only=True):
    """The midpoint, about once a second, for those who do not see the instrument's partition.

    The contract of `reference-prices`. Intake is partitioned by source, quotes by instrument; its collars read this.
    """

    instrument: str
    """The instrument."""
    px: Px
    """The midpoint."""
    quote_ns: Ns
    """Time of the quote it is of."""
