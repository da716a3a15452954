"""The screen at the end of a demo: what came in, what became of it, whether the books balance, what it cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pipeline import topics
from pipeline.algos.rounding import divide_half_even
from pipeline.audit.invariants import Books
from pipeline.demo.alone import Alone
from pipeline.demo.scenario import Scenario
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.audit import DeadLetter
from pipeline.domain.executions import ChildKind, ChildOrder, Fill, FillKind
from pipeline.domain.market import QuoteKind
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind, SourceEvent
from pipeline.domain.parents import Cross, CrossKind, ParentKind, ParentOrder
from pipeline.domain.record import Record
from pipeline.domain.units import MILLI_BPS_ONE, PX_ONE
from pipeline.runtime.audit_verify import Recording
from pipeline.runtime.codec import Codec, Undecodable

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
"""Not in the books: the market, the machine, and what came in undecoded."""


@dataclass
class DayBooks:
    """Everything the screen needs, from one pass over the records."""

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
    half_spread_saved: int = 0
    """Money both sides of every cross kept by not crossing the spread; an upper bound."""
    children: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)
    fees: Counter[str] = field(default_factory=Counter)
    unfilled_qty: int = 0
    allocations: int = 0
    rows: dict[tuple[str, str], TCARow] = field(default_factory=dict)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Order id → (source, ClOrdID)."""

    def add(self, record: Record) -> None:
        self.books.add(record)
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
                self.names[record.order_id] = (record.request.source, record.request.cl_ord_id)
            case ParentOrder() if record.kind is ParentKind.NEW:
                self.parents += 1
                self.parent_qty += record.order_qty
            case Cross() if record.kind is CrossKind.TRADE:
                self.crosses += 1
                self.crossed_qty += record.qty
                self.crossed_at_bbo_qty += record.qty if record.quote_kind is QuoteKind.BBO else 0
                self.half_spread_saved += record.qty * (record.offer_px - record.bid_px)
            case ChildOrder() if record.kind is ChildKind.NEW:
                self.children[record.venue] += 1
            case Fill() if record.kind is FillKind.TRADE:
                self.filled[record.venue] += record.last_qty
                self.fees[record.venue] += record.fee
            case DeadLetter():
                self.dead[record.reason] += 1
            case TCARow():
                self.rows[record.level, record.subject_id] = record
            case _:
                pass


def read_books(recording: Recording) -> DayBooks:
    """One pass over the recorded topics."""
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
            continue  # it stands in dead-letters, which are counted


def balanced(day: DayBooks) -> bool:
    """Whether every line of the books holds."""
    return all(line.holds for line in day.books.lines())


def lines(today: Scenario, day: DayBooks, restarts: dict[str, int]) -> list[str]:
    """The screen."""
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
        text.append("  killed and started again: " + ", ".join(f"{unit} {n} times" for unit, n in restarts.items()))
    if day.crossed_at_bbo_qty:
        text.append(
            f"  note: {day.crossed_at_bbo_qty:,} were crossed at the midpoint of one venue's record: a BBO, not an NBBO"
        )
    text += ["", "THE BOOKS", *(f"  {line}" for line in day.books.lines()), "", *_costs(day)]
    return text


def _costs(day: DayBooks) -> list[str]:
    text = [
        "WHAT IT COST (bps of the money traded; positive hurt)",
        f"  {'':<22}{'executed':>10}{'arrival':>10}{'VWAP':>10}{'delay':>10}{'fees':>10}",
    ]
    groups: dict[str, list[TCARow]] = defaultdict(list)
    for (level, _), row in sorted(day.rows.items()):
        if row.executed_qty and level == TCALevel.PARENT:
            groups[f"parents {row.strategy}"].append(row)
            groups[f"parents {row.instrument}"].append(row)
        if row.executed_qty and level == TCALevel.CHILD:
            groups[f"children {row.venue}"].append(row)
    for name in sorted(groups, reverse=True):
        rows = groups[name]
        text.append(
            f"  {name:<22}{sum(r.executed_qty for r in rows):>10,}"
            f"{_mean(rows, 'arrival_cost_mbps'):>10}{_mean(rows, 'vwap_cost_mbps'):>10}"
            f"{_mean(rows, 'aggregation_delay_cost_mbps'):>10}{_mean(rows, 'fee_cost_mbps'):>10}"
        )
    return text


def saved(day: DayBooks, alone: Alone) -> list[str]:
    """The same orders together and alone: what aggregation and crossing were worth."""
    together = {name: day.rows.get((TCALevel.ORDER, order_id)) for order_id, name in day.names.items()}
    pairs = [
        (here, there)
        for name in alone.sampled
        if (here := together.get(name)) is not None
        and (there := alone.rows.get(name)) is not None
        and here.executed_qty
        and there.executed_qty
    ]
    here_cost, there_cost = _all_in([here for here, _ in pairs]), _all_in([there for _, there in pairs])
    done_here = sum(here.executed_qty for here, _ in pairs)
    done_there = sum(there.executed_qty for _, there in pairs)
    return [
        "WHAT TOGETHERNESS SAVED",
        f"  {len(pairs)} orders sampled: all-in cost against arrival (price and fees) {_bps(here_cost)} bps together, "
        f"{_bps(there_cost)} bps alone: {_bps(there_cost - here_cost)} bps saved",
        f"  executed {done_here:,} together, {done_there:,} alone. First form: alone means without the others in the "
        "market at all, which flatters it",
        f"  crossing: {_money(day.half_spread_saved)} not paid in spread, if both sides would have crossed it "
        "(an upper bound)",
    ]


def _all_in(rows: list[TCARow]) -> int:
    """Cost against arrival and fees of all of them, in 1e-3 bps of the money traded."""
    money = cost = 0
    for row in rows:
        if row.arrival_cost_mbps is None or row.avg_px is None:
            continue
        traded = row.avg_px * row.executed_qty
        money += traded
        cost += row.arrival_cost_mbps * traded + row.fees * MILLI_BPS_ONE
    return divide_half_even(cost, money) if money else 0


def _mean(rows: list[TCARow], name: str) -> str:
    """Mean of a figure, weighted by money traded."""
    money = total = 0
    for row in rows:
        figure = getattr(row, name)
        if figure is not None and row.avg_px is not None:
            money += row.avg_px * row.executed_qty
            total += figure * row.avg_px * row.executed_qty
    return _bps(divide_half_even(total, money)) if money else "-"


def _bps(milli: int) -> str:
    return f"{milli / 1000:.2f}"


def _money(amount: int) -> str:
    return f"{amount / PX_ONE:,.2f}"


def _wrapped(name: str, counts: Counter[str], width: int = 110) -> list[str]:
    rows = [f"  {name}: "]
    for word in (f"{reason} {count}" for reason, count in counts.most_common()):
        if len(rows[-1]) + len(word) > width:
            rows.append("      ")
        rows[-1] += word + "  "
    return [row.rstrip() for row in rows] if counts else []
