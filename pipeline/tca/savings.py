"""What aggregation and crossing saved: the same orders in the same market, together and each alone.

Both days are given as records; an order is recognised by its source and ClOrdID. Costs are against arrival, the
midpoint at receipt, which is the same for both. The report adds an upper bound of what crossing saved: as if both
sides had otherwise paid the spread at a venue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.algos.rounding import divide_half_even
from pipeline.audit.invariants import booked
from pipeline.domain.allocations import Allocation, AllocKind, AllocSource
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.executions import ChildKind, ChildOrder, Fill
from pipeline.domain.market import NBBO, midpoint_of
from pipeline.domain.orders import Order, OrderKind, Side
from pipeline.domain.parents import Cross
from pipeline.domain.record import Record
from pipeline.domain.text import money
from pipeline.domain.units import MILLI_BPS_ONE
from pipeline.tca.crosses import standing
from pipeline.tca.report import bps

OrderKey = tuple[str, str]
"""Source and ClOrdID."""


class DayCost(NamedTuple):
    """One of the two days. Money in 1e-9 currency units, costs positive when they hurt."""

    orders: int
    order_qty: int
    executed_qty: int
    crossed_qty: int
    """The part of executed_qty that crossed with other clients' orders."""
    children: int
    paper: int
    """The money of all that was asked at the arrival price; orders without one left out."""
    executed_paper: int
    """The part of it that was executed."""
    cost: int
    """Money paid beyond ``executed_paper``, side applied."""
    fees: int
    spread_paid: int
    """Executions at venues: price against the midpoint at the moment the child was sent, times quantity."""
    opportunity: int
    """Quantity not executed, times the midpoint at the order's end (the day's last, where its row has none) against
    arrival."""
    without_arrival: int
    """Orders left out of paper and cost, since no quote was there when they came."""

    @property
    def total(self) -> int:
        """What was paid beyond arrival, fees, and the cost of what was not executed: not trading saves nothing."""
        return self.cost + self.fees + self.opportunity

    @property
    def total_mbps(self) -> int | None:
        """``total`` over ``paper`` in 1e-3 bps; None without an order that has an arrival price."""
        return divide_half_even(self.total * MILLI_BPS_ONE, self.paper) if self.paper else None


class Savings(NamedTuple):
    """The costs of both days, and the difference."""

    together: DayCost
    alone: DayCost
    crossing_bound: int
    """The whole spread on every unit crossed, half of it for each side; 1e-9 currency units."""

    @property
    def saved_mbps(self) -> int | None:
        """Cost alone less cost together, in 1e-3 bps of what was asked; positive when working together was cheaper."""
        together, alone = self.together.total_mbps, self.alone.total_mbps
        return None if together is None or alone is None else alone - together

    @property
    def saved(self) -> int | None:
        """``saved_mbps`` of the money asked together, in 1e-9 currency units."""
        saved = self.saved_mbps
        return None if saved is None else divide_half_even(saved * self.together.paper, MILLI_BPS_ONE)

    def text(self) -> list[str]:
        """The comparison as text: a table of both days, and what was saved and not executed."""
        rows = (("as it was", self.together), ("each order alone", self.alone))
        lines = [
            f"{'':<20}{'executed':>10}{'crossed':>9}{'children':>10}{'cost':>14}{'spread paid':>14}"
            f"{'fees':>12}{'bps':>9}"
        ]
        for name, day in rows:
            lines.append(
                f"  {name:<18}{day.executed_qty:>10,}{day.crossed_qty:>9,}{day.children:>10,}{_cents(day.cost):>14}"
                f"{_cents(day.spread_paid):>14}{_cents(day.fees):>12}{bps(day.total_mbps):>9}"
            )
        if self.saved is not None:
            word = "saved" if self.saved >= 0 else "cost"
            lines.append(
                f"Working together {word} {_cents(abs(self.saved))}, {bps(self.saved_mbps)} bps of what was asked. "
                f"Crossing, upper bound: {_cents(self.crossing_bound)} had both sides crossed the spread."
            )
        missing = self.together.order_qty - self.together.executed_qty, self.alone.order_qty - self.alone.executed_qty
        if any(missing):
            lines.append(
                f"Not executed: {missing[0]:,} and {missing[1]:,}, at the midpoint they left behind worth "
                f"{_cents(self.together.opportunity)} and {_cents(self.alone.opportunity)} (in the figures above)."
            )
        return lines


def savings(together: Iterable[Record], alone: Iterable[Record]) -> Savings:
    """Compare two days of the same orders. An order that only one of them has accepted is left out of both."""
    first, second = _Day(together), _Day(alone)
    keys = [key for key in sorted(first.orders) if key in second.orders]
    # One benchmark for both days: the arrival price of the day together, where it has one.
    arrivals = {key: first.arrival(key) or second.arrival(key) for key in keys}
    return Savings(first.cost(keys, arrivals), second.cost(keys, arrivals), first.crossing_bound())


class _Taken(NamedTuple):
    order_id: str
    instrument: str
    side: Side
    qty: int


class _Day:
    def __init__(self, records: Iterable[Record]) -> None:
        self.orders: dict[OrderKey, _Taken] = {}
        self._rows: dict[str, TCARow] = {}
        self._allocations: dict[str, Allocation] = {}
        self._restated: dict[str, None] = {}
        self._crosses: list[Cross] = []
        self._midpoints: dict[str, int | None] = {}
        self._fills: list[Fill] = []
        self._last_px: dict[str, tuple[int, int, int]] = {}
        self._children = 0
        for record in records:
            self._add(record)

    def _add(self, record: Record) -> None:
        match record:
            case Order():
                if record.kind is OrderKind.NEW:
                    request = record.request
                    taken = _Taken(record.order_id, record.instrument, request.side, request.order_qty or 0)
                    self.orders[request.source, request.cl_ord_id] = taken
            case TCARow():
                if record.level is TCALevel.ORDER:
                    known = self._rows.get(record.subject_id)
                    if known is None or record.revision > known.revision:
                        self._rows[record.subject_id] = record
            case Allocation():
                if record.kind in (AllocKind.NEW, AllocKind.REPLACE):
                    self._allocations[record.alloc_id] = record
                if record.kind in (AllocKind.REPLACE, AllocKind.CANCEL) and record.ref_alloc_id is not None:
                    self._restated[record.ref_alloc_id] = None
            case Cross():
                self._crosses.append(record)
            case ChildOrder():
                if record.kind is ChildKind.NEW:
                    self._children += 1
                    self._midpoints[record.child_id] = midpoint_of(record.bid_px, record.offer_px)
            case Fill():
                self._fills.append(record)
            case NBBO():
                known_quote = self._last_px.get(record.instrument, (0, 0, 0))
                if record.midpoint_px is not None and (record.event_ns, record.quote_no) >= known_quote[:2]:
                    self._last_px[record.instrument] = record.event_ns, record.quote_no, record.midpoint_px
            case _:
                pass

    def arrival(self, key: OrderKey) -> int | None:
        """Midpoint at receipt, as the order's row of ``tca`` has it."""
        row = self._rows.get(self.orders[key].order_id)
        return None if row is None else row.arrival_px

    def last_px(self, key: OrderKey) -> int | None:
        """The midpoint when the order ended, as its row has it; else the last one of the day, None without any."""
        taken = self.orders[key]
        row = self._rows.get(taken.order_id)
        if row is not None and row.last_px is not None:
            return row.last_px
        quote = self._last_px.get(taken.instrument)
        return None if quote is None else quote[2]

    def crossing_bound(self) -> int:
        return sum(cross.qty * (cross.offer_px - cross.bid_px) for cross in standing(self._crosses))

    def cost(self, keys: list[OrderKey], arrivals: dict[OrderKey, int | None]) -> DayCost:
        given: dict[str, list[Allocation]] = {}
        for alloc_id, allocation in self._allocations.items():
            if alloc_id not in self._restated:
                given.setdefault(allocation.order_id, []).append(allocation)
        asked = done = crossed = paper = executed_paper = cost = fees = opportunity = without = 0
        for key in keys:
            taken = self.orders[key]
            own = given.get(taken.order_id, [])
            qty = sum(allocation.alloc_qty for allocation in own)
            asked += taken.qty
            done += qty
            crossed += sum(a.alloc_qty for a in own if a.alloc_source is AllocSource.CROSS)
            arrival_px = arrivals[key]
            if arrival_px is None:
                without += 1
                continue
            fees += sum(allocation.fee for allocation in own)
            undone_qty = max(0, taken.qty - qty)
            paper += arrival_px * (qty + undone_qty)
            executed_paper += arrival_px * qty
            cost += taken.side.sign * (sum(allocation.net_money for allocation in own) - arrival_px * qty)
            last_px = self.last_px(key)
            if last_px is not None:
                opportunity += taken.side.sign * (last_px - arrival_px) * undone_qty
        return DayCost(
            len(keys),
            asked,
            done,
            crossed,
            self._children,
            paper,
            executed_paper,
            cost,
            fees,
            self._spread_paid(),
            opportunity,
            without,
        )

    def _spread_paid(self) -> int:
        paid = 0
        for fill in self._fills:
            midpoint_px = self._midpoints.get(fill.child_id)
            if midpoint_px is not None:
                qty, amount, _ = booked(fill)
                paid += fill.side.sign * (amount - qty * midpoint_px)
        return paid


def _cents(amount: int) -> str:
    return money(divide_half_even(amount, 10_000_000) * 10_000_000)
