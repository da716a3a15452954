"""A recorded day as book events of one venue: the messages, and corrections from the order book rows.

A file of N levels has no messages of what happens deeper. So some orders are never introduced (they came before the
window, or deeper), and others leave unseen. The row after each message says what the top N levels really are: where
they differ from what the messages add up to, events of the same moment correct the difference. Quantity that was never
introduced enters as the level's anonymous order; quantity that left unseen is taken out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pipeline.domain.market import BookEvent, BookEventKind
from pipeline.domain.orders import Side
from pipeline.simulator.market.lobster import TapeBook, TapeMessage, TapeType
from pipeline.simulator.venues.book import OrderBook, anonymous_ref, record_only

_KIND: Final = {
    TapeType.ADD: BookEventKind.ADD,
    TapeType.REDUCE: BookEventKind.REDUCE,
    TapeType.DELETE: BookEventKind.DELETE,
    TapeType.EXECUTE: BookEventKind.EXECUTE,
    TapeType.EXECUTE_HIDDEN: BookEventKind.EXECUTE_HIDDEN,
}
_HALTED: Final = -1
_TRADING_AGAIN: Final = 1


class Batch(NamedTuple):
    """Events of one venue in one moment (ns since 1970): between them the book may be inconsistent."""

    event_ns: int
    events: list[BookEvent]


class RecordedBook:
    """Turns rows into book events and keeps the book they make.

    ``midnight_ns``: midnight in New York, ns since 1970; ``levels``: N of the file. ``repair=False`` leaves out the
    corrections that only the rows show; ``repairs`` counts those made.
    """

    def __init__(self, venue: str, instrument: str, midnight_ns: int, levels: int, repair: bool = True) -> None:
        self.book: OrderBook = record_only()
        self.repairs = 0
        self._venue = venue
        self._instrument = instrument
        self._midnight_ns = midnight_ns
        self._levels = levels
        self._repair = repair
        self._event_no = 0

    def batches(self, rows: Iterable[tuple[TapeMessage, TapeBook]], start_ns: int, end_ns: int) -> Iterator[Batch]:
        """Batches of rows with start_ns ≤ time < end_ns, in ns since 1970.

        The book at the start is the row before the window. Where there is none, the first row is taken for it; its
        message is then already in that row, so only a hidden execution, which no row shows, is emitted.
        """
        before: TapeBook | None = None
        started = False
        for message, row in rows:
            at_ns = self._midnight_ns + message.time_ns
            if at_ns < start_ns:
                before = row
                continue
            if at_ns >= end_ns:
                return
            if not started:
                started = True
                yield Batch(start_ns, self._seed(start_ns, row if before is None else before))
                if before is None:
                    if message.type is TapeType.EXECUTE_HIDDEN:
                        yield Batch(at_ns, self._message(at_ns, message))
                    continue
            events = self._message(at_ns, message)
            if self._repair and message.type is not TapeType.HALT:
                events += self._differences(at_ns, Side.SELL, row.offers)
                events += self._differences(at_ns, Side.BUY, row.bids)
            yield Batch(at_ns, events)

    def _seed(self, at_ns: int, row: TapeBook) -> list[BookEvent]:
        events = [self._event(at_ns, BookEventKind.CLEAR, "", Side.UNKNOWN, 0, 0)]
        for side, levels in ((Side.SELL, row.offers), (Side.BUY, row.bids)):
            events += [
                self._event(at_ns, BookEventKind.ADD, anonymous_ref(side, px), side, qty, px) for px, qty in levels
            ]
        return events

    def _message(self, at_ns: int, message: TapeMessage) -> list[BookEvent]:
        if message.type is TapeType.HALT:
            if message.px not in (_HALTED, _TRADING_AGAIN):
                return []
            kind = BookEventKind.HALT if message.px == _HALTED else BookEventKind.RESUME
            return [self._event(at_ns, kind, "", Side.UNKNOWN, 0, 0)]
        known = _KIND.get(message.type)
        if known is None:
            return []
        ref = "" if message.type is TapeType.EXECUTE_HIDDEN else message.order_id
        return [self._event(at_ns, known, ref, message.side, message.qty, message.px)]

    def _differences(self, at_ns: int, side: Side, row: tuple[tuple[int, int], ...]) -> list[BookEvent]:
        if self.book.levels(side, self._levels) == list(row):
            return []
        shown = dict(row)
        # A full row says nothing of what is beyond its last level; a shorter one is the whole side.
        last_px = row[-1][0] if len(row) == self._levels else None
        events = []
        for px in self.book.prices(side):
            if last_px is not None and (px < last_px if side is Side.BUY else px > last_px):
                break
            surplus = sum(qty for _, qty in self.book.orders_at(side, px)) - shown.get(px, 0)
            # The file does not say which order left: take the anonymous quantity first, then the youngest orders.
            orders = self.book.orders_at(side, px)
            unknown = [order for order in orders if order[0].startswith("@")]
            youngest = [order for order in reversed(orders) if not order[0].startswith("@")]
            for ref, qty in unknown + youngest:
                part = min(surplus, qty)
                if part <= 0:
                    break
                surplus -= part
                kind = BookEventKind.DELETE if part == qty else BookEventKind.REDUCE
                events.append(self._event(at_ns, kind, ref, side, part, px))
        for px, qty in row:
            missing = qty - sum(known for _, known in self.book.orders_at(side, px))
            if missing > 0:
                events.append(self._event(at_ns, BookEventKind.ADD, anonymous_ref(side, px), side, missing, px))
        self.repairs += len(events)
        return events

    def _event(self, at_ns: int, kind: BookEventKind, ref: str, side: Side, qty: int, px: int) -> BookEvent:
        self._event_no += 1
        event = BookEvent(
            kind=kind,
            venue=self._venue,
            instrument=self._instrument,
            event_ns=at_ns,
            event_no=self._event_no,
            order_ref=ref,
            side=side,
            qty=qty,
            px=px,
        )
        self.book.apply(event, [])
        return event
