"""The screen at the end of a demo: orders and what became of them, whether the books balance, what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline import topics
from pipeline.audit.invariants import Books
from pipeline.demo.scenario import Scenario
from pipeline.domain.allocations import Allocation
from pipeline.domain.analytics import TCARow
from pipeline.domain.audit import DeadLetter
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.market import QuoteKind
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind, SourceEvent
from pipeline.domain.parents import Cross, CrossKind, ParentKind, ParentOrder
from pipeline.domain.record import Record
from pipeline.domain.text import money
from pipeline.runtime.auditing.verify import Recording
from pipeline.runtime.contracts.codec import Codec, Undecodable
from pipeline.tca.report import bps, report
from pipeline.tca.savings import savings

_SKIPPED: Final = frozenset(
    topic.name
    for topic in (
        topics.BOOK_EVENTS,
        topics.DEPTH,
        topics.NBBO,
        topics.PRINTS,
        topics.JOURNAL,
        topics.SCHEMAS,
        topics.ORDERS_IN,
        topics.REFERENCE_PRICES,
        topics.BARS,
    )
)
"""Topics that the books do not need: market data, the worker's own, and `orders-in` (its bytes may not decode)."""

COSTED: Final = (Order, TCARow, Allocation, Cross, ChildOrder, Fill)
"""Records that costs and savings are computed from."""


@dataclass
class DayBooks:
    """All that the screen shows, from one pass over the records; quantities in units."""

    books: Books = field(default_factory=Books)
    events: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    ordered_qty: int = 0
    parents: int = 0
    parent_qty: int = 0
    crosses: int = 0
    crossed_qty: int = 0
    crossed_at_bbo_qty: int = 0
    children: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)
    unfilled_qty: int = 0
    kept: list[Record] = field(default_factory=list)
    """Records that costs and savings are computed from."""

    def add(self, record: Record) -> None:
        """Count one record."""
        self.books.add(record)
        if isinstance(record, COSTED):
            self.kept.append(record)
        match record:
            case SourceEvent():
                pass
            case OrderEvent():
                self.events[record.kind] += 1
                if record.reason is not None:
                    self.refused[f"{record.reason}{' (cancel)' if record.kind == 'CANCEL_REFUSED' else ''}"] += 1
                if record.final and record.kind in (OrderEventKind.EXPIRED, OrderEventKind.CANCELED):
                    self.unfilled_qty += record.order_qty - record.cum_qty
            case Order() if record.kind is OrderKind.NEW:
                self.ordered_qty += record.request.order_qty or 0
            case ParentOrder() if record.kind is ParentKind.NEW:
                self.parents += 1
                self.parent_qty += record.order_qty
            case Cross() if record.kind is CrossKind.TRADE:
                self.crosses += 1
                self.crossed_qty += record.qty
                self.crossed_at_bbo_qty += record.qty if record.quote_kind is QuoteKind.BBO else 0
            case ChildOrder() if record.kind is ChildKind.NEW:
                self.children[record.venue] += 1
            case Fill() if record.kind is FillKind.TRADE:
                self.filled[record.venue] += record.last_qty
            case DeadLetter():
                self.dead[record.reason] += 1
            case _:
                pass


def read_books(recording: Recording) -> DayBooks:
    """Read the recorded topics once."""
    day = DayBooks()
    codec = Codec(recording.schemas)
    for topic in recording.topics:
        if topic not in _SKIPPED:
            for partition in range(recording.partitions):
                for record in _records(recording, codec, topic, partition):
                    day.add(record)
    return day


def _records(recording: Recording, codec: Codec, topic: str, partition: int) -> Iterator[Record]:
    for stored in recording.log.read(topic, partition, 0):
        try:
            yield codec.decode(topic, stored.value)
        except Undecodable:
            continue  # there is a dead letter for it, and dead letters are counted


def balanced(day: DayBooks) -> bool:
    """Whether every line of the books holds."""
    return all(line.holds for line in day.books.lines())


def lines(today: Scenario, day: DayBooks, restarts: dict[str, int]) -> list[str]:
    """The screen, line by line. ``restarts``: unit to how often it was started again."""
    executed = sum(day.filled.values())
    text = [
        f"THE DAY: {today.title}",
        f"  requests sent {len(today.sendings):,}   accepted {day.events['ACCEPTED']:,}   "
        f"repeated {day.events['REPEATED']:,}   refused {day.events['REFUSED']:,}   "
        f"cancels refused {day.events['CANCEL_REFUSED']:,}   undecodable {sum(day.dead.values()):,}",
        *_wrapped("refused by reason", day.refused),
        *_wrapped("dead letters", day.dead),
        f"  ordered {day.ordered_qty:,} = crossed {2 * day.crossed_qty:,} (both sides) + executed {executed:,} "
        f"+ unfilled {day.unfilled_qty:,}",
        f"  {day.events['ACCEPTED']:,} orders became {day.parents:,} parents of {day.parent_qty:,} in all, "
        f"{day.crosses:,} crosses of {day.crossed_qty:,}",
        "  children by venue "
        + ", ".join(
            f"{venue} {count:,} ({day.filled[venue]:,} filled)" for venue, count in sorted(day.children.items())
        ),
        f"  finished: filled {day.events['FILLED']:,}, expired {day.events['EXPIRED']:,}, "
        f"canceled {day.events['CANCELED']:,}",
    ]
    if restarts:
        text.append("  killed and started again: " + ", ".join(f"{unit} ({n}×)" for unit, n in restarts.items()))
    if day.crossed_at_bbo_qty:
        text.append(
            f"  note: {day.crossed_at_bbo_qty:,} were crossed at the midpoint of one venue's record: a BBO, not an NBBO"
        )
    text += ["", "THE BOOKS", *(f"  {line}" for line in day.books.lines()), "", "WHAT IT COST"]
    return [*text, *(f"  {line}" for line in report(day.kept))]


def saved(day: DayBooks, alone: Sequence[Record]) -> list[str]:
    """The lines on what aggregation and crossing saved; ``alone``: records of the same orders sent alone."""
    found = savings(day.kept, alone)
    together, apart = found.together, found.alone
    costs = f"{bps(together.total_mbps)} bps together, {bps(apart.total_mbps)} bps alone"
    return [
        "WHAT AGGREGATION AND CROSSING SAVED",
        f"  all-in cost against arrival (price, fees, what was not done) of {together.orders} sampled orders: {costs}: "
        f"{bps(found.saved_mbps)} bps saved",
        f"  of {together.order_qty:,} asked, executed {together.executed_qty:,} together "
        f"({together.crossed_qty:,} of it crossed) and {apart.executed_qty:,} alone",
        "  first form: alone means without the others in the market at all, so the cost alone is too low",
        f"  crossing, an upper bound: {money(found.crossing_bound)} had both sides of every cross crossed the spread",
    ]


def _wrapped(name: str, counts: Counter[str], width: int = 110) -> list[str]:
    rows = [f"  {name}: "]
    for word in (f"{reason} {count}" for reason, count in counts.most_common()):
        if len(rows[-1]) + len(word) > width:
            rows.append("      ")
        rows[-1] += word + "  "
    return [row.rstrip() for row in rows] if counts else []
