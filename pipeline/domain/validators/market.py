"""Validators of market data: what cannot be believed becomes unknown, never zero and never what was before it.

Each gives the record back as far as it holds. An *unknown* quote has no side, an unknown depth is a gap until the
venue's next snapshot, an unknown status is not open: nothing is decided on what was said before, since the record that
would have changed it was not understood. A print that cannot be believed is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from msgspec.structs import replace

from pipeline.domain.int64 import LONG_MAX
from pipeline.domain.market import (
    NBBO,
    BookEvent,
    BookEventKind,
    Depth,
    DepthKind,
    Level,
    PrintKind,
    QuoteKind,
    SessionState,
    TradePrint,
    VenueStatus,
)
from pipeline.domain.validators.faults import (
    Checked,
    Fault,
    SetAsideReason,
    name_fault,
    price_fault,
    quantity_fault,
    time_fault,
)

# ---------------------------------------------------------------------- quotes


def check_nbbo(quote: NBBO) -> Checked[NBBO]:
    """A side with an impossible price or size becomes unknown; the other side holds. Crossed sides hold: they are said
    so, and have no midpoint. A quote of unknown kind has no side; one without instrument or time is left out."""
    fault = name_fault(instrument=quote.instrument) or time_fault(quote.event_ns, "event_ns")
    if fault is not None:
        return Checked(None, (fault,))
    if quote.kind is QuoteKind.UNKNOWN:
        return Checked(unknown_nbbo(quote), (Fault(SetAsideReason.UNKNOWN_KIND, "kind is neither NBBO nor BBO"),))
    bid = _side_fault(quote.bid_px, quote.bid_qty, "bid")
    offer = _side_fault(quote.offer_px, quote.offer_qty, "offer")
    if bid is None and offer is None:
        return Checked(quote)
    if bid is not None:
        quote = replace(quote, bid_px=None, bid_qty=0, bid_venue="")
    if offer is not None:
        quote = replace(quote, offer_px=None, offer_qty=0, offer_venue="")
    return Checked(quote, tuple(fault for fault in (bid, offer) if fault is not None))


def unknown_nbbo(quote: NBBO) -> NBBO:
    """The quote with both sides unknown."""
    return replace(quote, bid_px=None, bid_qty=0, bid_venue="", offer_px=None, offer_qty=0, offer_venue="")


def _side_fault(px: int | None, qty: int, side: str) -> Fault | None:
    if px is None:
        return None
    return price_fault(px, f"{side}_px") or quantity_fault(qty, f"{side}_qty")


# ---------------------------------------------------------------------- depth


def check_depth(depth: Depth) -> Checked[Depth]:
    """Depth with anything impossible in it is a gap: the venue's levels are unknown until its next snapshot."""
    fault = name_fault(instrument=depth.instrument, venue=depth.venue)
    if fault is not None:
        return Checked(None, (fault,))
    fault = time_fault(depth.event_ns, "event_ns")
    if fault is not None:
        return Checked(None, (fault,))
    if depth.kind is DepthKind.UNKNOWN:
        fault = Fault(SetAsideReason.UNKNOWN_KIND, "kind is neither SNAPSHOT nor CHANGE")
    else:
        fault = next(_depth_faults(depth), None)
    return Checked(depth) if fault is None else Checked(unknown_depth(depth), (fault,))


def unknown_depth(depth: Depth) -> Depth:
    """A gap in place of the record."""
    return replace(depth, kind=DepthKind.CHANGE, gap=True, bids=(), offers=())


def untimed_depth(depth: Depth, latest_ns: int) -> Depth:
    """A gap, at the latest time possible: what the record says may belong before levels that came already."""
    return replace(unknown_depth(depth), event_ns=latest_ns)


def _depth_faults(depth: Depth) -> Iterator[Fault]:
    for side, levels, sign in (("bids", depth.bids, -1), ("offers", depth.offers, 1)):
        for number, level in enumerate(levels):
            where = f"{side}[{number}]"
            fault = price_fault(level.px, f"{where}.px") or quantity_fault(level.qty, f"{where}.qty")
            if fault is not None:
                yield fault
        if depth.kind is DepthKind.SNAPSHOT and not _best_first(levels, sign):
            yield Fault(SetAsideReason.LEVELS_NOT_IN_ORDER, f"{side} of a snapshot are not best first")
    if depth.kind is DepthKind.SNAPSHOT and depth.bids and depth.offers and depth.bids[0].px >= depth.offers[0].px:
        bid_px, offer_px = depth.bids[0].px, depth.offers[0].px
        yield Fault(SetAsideReason.BOOK_CROSSED, f"best bid {bid_px} is not below best offer {offer_px}")


def _best_first(levels: tuple[Level, ...], sign: int) -> bool:
    return all(sign * one.px < sign * next_one.px for one, next_one in pairwise(levels))


# ---------------------------------------------------------------------- prints


def check_print(trade: TradePrint) -> Checked[TradePrint]:
    """A print must name itself, what it takes back, and a price and size that are possible. A CANCEL needs neither
    price nor size: feeds leave them out."""
    fault = (
        name_fault(instrument=trade.instrument, venue=trade.venue, print_id=trade.print_id)
        or time_fault(trade.event_ns, "event_ns")
        or _print_fault(trade)
    )
    return Checked(trade) if fault is None else Checked(None, (fault,))


def untimed_print(trade: TradePrint, latest_ns: int) -> TradePrint | None:
    """A CANCEL takes back what it names, whenever that was; a trade of no known time is in no interval."""
    return replace(trade, event_ns=latest_ns) if trade.kind is PrintKind.CANCEL else None


def _print_fault(trade: TradePrint) -> Fault | None:
    match trade.kind:
        case PrintKind.UNKNOWN:
            return Fault(SetAsideReason.UNKNOWN_KIND, "kind is none of TRADE, CANCEL, CORRECT")
        case PrintKind.CANCEL:
            return _reference_fault(trade)
        case PrintKind.CORRECT:
            return _reference_fault(trade) or _size_fault(trade)
        case PrintKind.TRADE:
            return _size_fault(trade)


def _reference_fault(trade: TradePrint) -> Fault | None:
    if trade.ref_print_id:
        return None
    return Fault(SetAsideReason.MISSING_REFERENCE, f"a {trade.kind} without ref_print_id")


def _size_fault(trade: TradePrint) -> Fault | None:
    fault = price_fault(trade.px, "px") or quantity_fault(trade.qty, "qty", least=1)
    if fault is None and trade.px * trade.qty > LONG_MAX:
        return Fault(SetAsideReason.OUT_OF_RANGE, f"px {trade.px} times qty {trade.qty} does not fit 64 bits")
    return fault


# ---------------------------------------------------------------------- venue states


def check_status(status: VenueStatus) -> Checked[VenueStatus]:
    """A status that is not known, or whose bands cannot be, is not open: nothing is sent there until the venue says
    more."""
    fault = name_fault(instrument=status.instrument, venue=status.venue) or time_fault(status.event_ns, "event_ns")
    if fault is not None:
        return Checked(None, (fault,))
    fault = _status_fault(status)
    return Checked(status) if fault is None else Checked(unknown_status(status), (fault,))


def unknown_status(status: VenueStatus) -> VenueStatus:
    """The status with its state unknown and without bands; a restriction of short sales stays."""
    return replace(status, state=SessionState.UNKNOWN, lower_band_px=None, upper_band_px=None)


def untimed_status(status: VenueStatus, latest_ns: int) -> VenueStatus | None:
    """What closes or halts holds, as of the latest time possible; what opens does not."""
    return None if status.state is SessionState.OPEN else replace(status, event_ns=latest_ns)


def _status_fault(status: VenueStatus) -> Fault | None:
    if status.state is SessionState.UNKNOWN:
        return Fault(SetAsideReason.UNKNOWN_KIND, "state is none that this version knows")
    lower_px, upper_px = status.lower_band_px, status.upper_band_px
    for px, field in ((lower_px, "lower_band_px"), (upper_px, "upper_band_px")):
        fault = None if px is None else price_fault(px, field)
        if fault is not None:
            return fault
    if lower_px is not None and upper_px is not None and lower_px > upper_px:
        return Fault(SetAsideReason.BANDS_CROSSED, f"lower_band_px {lower_px} is above upper_band_px {upper_px}")
    return None


# ---------------------------------------------------------------------- book events

_WITH_SIZE = frozenset({BookEventKind.ADD, BookEventKind.REDUCE, BookEventKind.EXECUTE, BookEventKind.EXECUTE_HIDDEN})


def check_book_event(event: BookEvent) -> Checked[BookEvent]:
    """An event that adds, takes away or executes has a size, and one that adds or executes a price."""
    fault = name_fault(instrument=event.instrument, venue=event.venue) or time_fault(event.event_ns, "event_ns")
    if fault is None and event.kind is BookEventKind.UNKNOWN:
        fault = Fault(SetAsideReason.UNKNOWN_KIND, "kind is none that this version knows")
    if fault is None and event.kind in _WITH_SIZE:
        fault = quantity_fault(event.qty, "qty", least=1)
        if fault is None and event.kind is not BookEventKind.REDUCE:
            fault = price_fault(event.px, "px")
    return Checked(event) if fault is None else Checked(None, (fault,))
