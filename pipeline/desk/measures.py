"""What each record adds to the desk's tables. Pure; integers only.

A record becomes changes: amounts of named measures, added to cells. A cell is (dimension, thing): ("all", ""),
("instrument", "AMZN"), ("venue", "XLIT"), ("source", "rebalancer"). Measures ending in `_qty` are units of the
instrument, in `_money` 1e-9 currency units of money (price times quantity); the others count.

    orders          orders, order_qty, cancel_requests                                instrument, source
    order-events    accepted, accepted_qty, done_qty, open_buy_qty, open_sell_qty     instrument, source
                    refused, repeated, cancels_refused                                source
    fills           fills, busts, corrections, fill_qty, fill_money, fee_money        instrument, venue
    crosses         crosses, crossed_qty                                              instrument, source
    venue-reports   reports, live_qty                                                 instrument, venue
    bars            market_qty                                                        instrument
    alerts          alerts                                                            instrument

Exposure: `open_*_qty` is accepted quantity that is neither done nor cancelled (the leaves in client orders' own
events); `live_qty` is the open quantity at venues by their last reports. A cross counts once for its instrument, and
for each source with what that source bought and sold in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.domain.analytics import Bar
from pipeline.domain.controls import Alert
from pipeline.domain.executions import Fill, FillKind, ReportKind, VenueReport
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind, Side
from pipeline.domain.parents import Cross, CrossKind
from pipeline.domain.record import Record

Cell = tuple[str, str]
Amounts = dict[str, int]

ALL: Final[Cell] = ("all", "")
DIMENSIONS: Final = ("all", "instrument", "venue", "source")

_ENDED_KEPT: Final = 20_000
"""Finished children remembered, so that a late or repeated report does not count them as open again."""
_SAYS_NOTHING_OF_LEAVES: Final = frozenset({ReportKind.BUST, ReportKind.CORRECT, ReportKind.CANCEL_REJECT})
_ENDING: Final = frozenset(
    {ReportKind.REJECTED, ReportKind.CANCELED, ReportKind.EXPIRED, ReportKind.DONE_FOR_DAY, ReportKind.NOT_SENT}
)


class Change(NamedTuple):
    """``amounts`` are added to each of ``cells``, at ``event_ns`` (session time; 0 when the record has none)."""

    event_ns: int
    cells: tuple[Cell, ...]
    amounts: Amounts


class ChildAtVenue(NamedTuple):
    """Executed and open quantity (units) of a child, by the venue's last report."""

    cum_qty: int
    leaves_qty: int


class Memory:
    """What must be remembered to turn the levels in records (leaves, volume so far) into changes."""

    def __init__(self) -> None:
        self.open_orders: dict[str, int] = {}
        """Order id to leaves; orders without leaves are not kept."""
        self.crosses: dict[str, Cross] = {}
        self.bars: dict[tuple[str, int], tuple[int, int]] = {}
        """Instrument and minute to revision and volume."""
        self.closes: dict[str, tuple[int, int]] = {}
        """Instrument to the minute and price of its last close."""
        self.children: dict[tuple[str, str, str], ChildAtVenue] = {}
        """Venue, session and wire id to what rests."""
        self.ended: dict[tuple[str, str, str], None] = {}


def changes_of(memory: Memory, record: Record) -> Iterator[Change]:
    """The changes that ``record`` makes; updates ``memory``. None for records that the desk does not count."""
    match record:
        case Order():
            yield from _order(record)
        case OrderEvent():
            yield from _order_event(memory, record)
        case Fill():
            yield from _fill(record)
        case Cross():
            yield from _cross(memory, record)
        case VenueReport():
            yield from _venue_report(memory, record)
        case Bar():
            yield from _bar(memory, record)
        case Alert():
            yield Change(record.at_ns, cells(instrument=record.instrument), {"alerts": 1})


def cells(*, instrument: str = "", venue: str = "", source: str = "") -> tuple[Cell, ...]:
    """The cells that a record counts in: always ALL, and one for each argument that is not empty."""
    named = (("instrument", instrument), ("venue", venue), ("source", source))
    return (ALL, *(cell for cell in named if cell[1]))


def _order(order: Order) -> Iterator[Change]:
    where = cells(instrument=order.instrument, source=order.request.source)
    if order.kind is OrderKind.NEW:
        yield Change(order.accepted_ns, where, {"orders": 1, "order_qty": order.request.order_qty or 0})
    elif order.kind is OrderKind.CANCEL:
        yield Change(order.accepted_ns, where, {"cancel_requests": 1})


_ANSWERS: Final = {
    OrderEventKind.REFUSED: "refused",
    OrderEventKind.REPEATED: "repeated",
    OrderEventKind.CANCEL_REFUSED: "cancels_refused",
}
"""Kinds that answer a request and are no event of an accepted order: their instrument need not exist, so they count for
the source only."""


def _order_event(memory: Memory, event: OrderEvent) -> Iterator[Change]:
    answer = _ANSWERS.get(event.kind)
    if answer is not None:
        yield Change(event.at_ns, cells(source=event.source), {answer: 1})
        return
    amounts: Amounts = {"done_qty": event.last_qty}
    if event.kind is OrderEventKind.ACCEPTED:
        amounts |= {"accepted": 1, "accepted_qty": event.order_qty}
    opened = event.leaves_qty - memory.open_orders.pop(event.order_id, 0)
    if event.leaves_qty:
        memory.open_orders[event.order_id] = event.leaves_qty
    amounts["open_buy_qty" if event.side is Side.BUY else "open_sell_qty"] = opened
    yield Change(event.at_ns, cells(instrument=event.instrument, source=event.source), amounts)


def _fill(fill: Fill) -> Iterator[Change]:
    money = fill.last_qty * (fill.last_px or 0)
    match fill.kind:
        case FillKind.TRADE:
            amounts = {"fills": 1, "fill_qty": fill.last_qty, "fill_money": money, "fee_money": fill.fee}
        case FillKind.BUST:
            amounts = {"busts": 1, "fill_qty": -fill.last_qty, "fill_money": -money, "fee_money": -fill.prior_fee}
        case FillKind.CORRECT:
            amounts = {
                "corrections": 1,
                "fill_qty": fill.last_qty - fill.prior_qty,
                "fill_money": money - fill.prior_qty * (fill.prior_px or 0),
                "fee_money": fill.fee - fill.prior_fee,
            }
        case _:
            return
    yield Change(fill.at_ns, cells(instrument=fill.instrument, venue=fill.venue), amounts)


def _cross(memory: Memory, cross: Cross) -> Iterator[Change]:
    if cross.kind is CrossKind.TRADE:
        memory.crosses[cross.cross_id] = cross
        yield from _crossed(cross, 1, cross.at_ns)
        return
    before = memory.crosses.pop(cross.ref_cross_id or "", None)
    if cross.kind is CrossKind.CORRECT:
        memory.crosses[cross.cross_id] = cross
        yield from _crossed(cross, 1, cross.at_ns)
        if before is not None:
            yield from _crossed(before, -1, cross.at_ns)
    elif cross.kind is CrossKind.BUST:
        yield from _crossed(before or cross, -1, cross.at_ns)


def _crossed(cross: Cross, sign: int, at_ns: int) -> Iterator[Change]:
    yield Change(at_ns, cells(instrument=cross.instrument), {"crosses": sign, "crossed_qty": sign * cross.qty})
    by_source: dict[str, int] = {}
    for leg in (*cross.buys, *cross.sells):
        by_source[leg.source] = by_source.get(leg.source, 0) + leg.qty
    for source in sorted(by_source):
        yield Change(at_ns, (("source", source),), {"crosses": sign, "crossed_qty": sign * by_source[source]})


def _venue_report(memory: Memory, report: VenueReport) -> Iterator[Change]:
    yield Change(
        report.received_ns,
        cells(instrument=report.instrument, venue=report.venue),
        {"reports": 1, "live_qty": _live_change(memory, report)},
    )


def _live_change(memory: Memory, report: VenueReport) -> int:
    """Reports come late, twice and in any order: the one that has seen most executed knows best what is left."""
    if report.kind in _SAYS_NOTHING_OF_LEAVES:
        return 0
    child_key = (report.venue, report.session_id, report.orig_wire_id or report.wire_id)
    if child_key in memory.ended:
        return 0
    known = memory.children.get(child_key, ChildAtVenue(0, 0))
    if report.cum_qty < known.cum_qty:
        return 0
    leaves_qty = 0 if report.kind in _ENDING else report.leaves_qty
    if leaves_qty:
        memory.children[child_key] = ChildAtVenue(report.cum_qty, leaves_qty)
    else:
        memory.children.pop(child_key, None)
        memory.ended[child_key] = None
        if len(memory.ended) > _ENDED_KEPT:
            memory.ended.pop(next(iter(memory.ended)))
    return leaves_qty - known.leaves_qty


def _bar(memory: Memory, bar: Bar) -> Iterator[Change]:
    minute = bar.instrument, bar.start_ns
    revision, volume_qty = memory.bars.get(minute, (0, 0))
    if bar.revision <= revision:
        return
    memory.bars[minute] = bar.revision, bar.volume_qty
    if bar.close_px is not None and bar.start_ns >= memory.closes.get(bar.instrument, (0, 0))[0]:
        memory.closes[bar.instrument] = bar.start_ns, bar.close_px
    yield Change(bar.start_ns, cells(instrument=bar.instrument), {"market_qty": bar.volume_qty - volume_qty})
