"""The cost report: rows of ``tca`` summed up by strategy, venue and instrument, and whether crosses were fair.

Costs are positive when they hurt. A group's cost is money-weighted: what was paid beyond the benchmark over what the
benchmark would have cost, so that it is the same as that of one order with all its quantity. Exact integers until a
figure is rendered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from pipeline.algos.rounding import divide_half_even
from pipeline.algos.shortfall import shortfall
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.market import NBBO
from pipeline.domain.record import Record
from pipeline.domain.text import money
from pipeline.domain.units import MILLI_BPS_ONE
from pipeline.tca.crosses import standing


class Against(NamedTuple):
    """Executions against a benchmark: units that have one, their money at it and beyond it (1e-9 currency units)."""

    qty: int = 0
    paper: int = 0
    cost: int = 0
    weighted: int = 0
    """Sum over rows of quantity times their cost in 1e-3 bps, for the quantity-weighted mean."""

    def plus(self, row: TCARow, benchmark_px: int | None) -> Against:
        """The sums with one row more; a row without a benchmark or an execution changes nothing."""
        if not benchmark_px or not row.executed_qty or row.avg_px is None:
            return self
        paper = benchmark_px * row.executed_qty
        cost = row.side.sign * (row.avg_px * row.executed_qty - paper)
        weighted = row.executed_qty * divide_half_even(cost * MILLI_BPS_ONE, paper)
        return Against(self.qty + row.executed_qty, self.paper + paper, self.cost + cost, self.weighted + weighted)

    @property
    def cost_mbps(self) -> int | None:
        """Money-weighted cost in 1e-3 bps; None without an execution."""
        return divide_half_even(self.cost * MILLI_BPS_ONE, self.paper) if self.paper else None

    @property
    def perf_mbps(self) -> int | None:
        """``cost_mbps`` with the sign turned: positive when it helped."""
        cost = self.cost_mbps
        return None if cost is None else -cost

    @property
    def qty_weighted_cost_mbps(self) -> int | None:
        """Mean of the rows' costs weighted by quantity, in 1e-3 bps; None without an execution."""
        return divide_half_even(self.weighted, self.qty) if self.qty else None


class Lost(NamedTuple):
    """Implementation shortfall of rows that have one, in parts (`pipeline.algos.shortfall`); 1e-9 currency units."""

    paper: int = 0
    """All that was asked, at the arrival price."""
    delay: int = 0
    trading: int = 0
    opportunity: int = 0
    explicit: int = 0

    def plus(self, row: TCARow) -> Lost:
        """The parts with one row more; a row that has no shortfall (yet) changes nothing."""
        arrival_px, last_px = row.arrival_px, row.last_px
        if row.shortfall_cost_mbps is None or arrival_px is None:
            return self
        asked_qty = row.executed_qty + row.unexecuted_qty
        parts = shortfall(
            row.side.sign,
            asked_qty,
            row.executed_qty,
            row.executed_qty * (row.avg_px or 0),
            row.fees,
            arrival_px,
            arrival_px if last_px is None else last_px,
            row.release_px,
        )
        return Lost(
            self.paper + arrival_px * asked_qty,
            self.delay + parts.delay,
            self.trading + parts.trading,
            self.opportunity + parts.opportunity,
            self.explicit + parts.explicit,
        )

    @property
    def cost(self) -> int:
        """The parts together."""
        return self.delay + self.trading + self.opportunity + self.explicit

    @property
    def cost_mbps(self) -> int | None:
        """``cost`` over ``paper``, in 1e-3 bps; None without a row that has one."""
        return divide_half_even(self.cost * MILLI_BPS_ONE, self.paper) if self.paper else None


class Group(NamedTuple):
    """Sums over the rows of one strategy, venue or instrument; quantities in units, money in 1e-9 currency units."""

    name: str
    rows: int = 0
    order_qty: int = 0
    executed_qty: int = 0
    traded: int = 0
    """Money of the executions."""
    fees: int = 0
    arrival: Against = Against()
    vwap: Against = Against()
    delay: Against = Against()
    """Release against arrival, on the executed quantity: what waiting in our own netting window cost."""
    lost: Lost = Lost()

    def plus(self, row: TCARow) -> Group:
        """The sums with one row more."""
        delay = self.delay
        if row.level is not TCALevel.CHILD and row.release_px and row.arrival_px and row.executed_qty:
            paper = row.arrival_px * row.executed_qty
            cost = row.side.sign * (row.release_px - row.arrival_px) * row.executed_qty
            delay = Against(
                delay.qty + row.executed_qty,
                delay.paper + paper,
                delay.cost + cost,
                delay.weighted + row.executed_qty * divide_half_even(cost * MILLI_BPS_ONE, paper),
            )
        return Group(
            self.name,
            self.rows + 1,
            self.order_qty + row.order_qty,
            self.executed_qty + row.executed_qty,
            self.traded + row.executed_qty * (row.avg_px or 0),
            self.fees + row.fees,
            self.arrival.plus(row, row.arrival_px),
            self.vwap.plus(row, row.interval_vwap_px),
            delay,
            self.lost.plus(row),
        )

    @property
    def fee_mbps(self) -> int | None:
        """Fees over the money of the executions, in 1e-3 bps; None without an execution."""
        return divide_half_even(self.fees * MILLI_BPS_ONE, self.traded) if self.traded else None


def latest(rows: Iterable[Record]) -> list[TCARow]:
    """The highest revision of each row, by level and id; records of other types are ignored."""
    found: dict[tuple[str, str], TCARow] = {}
    for row in rows:
        if isinstance(row, TCARow):
            key = str(row.level), row.subject_id
            known = found.get(key)
            if known is None or row.revision > known.revision:
                found[key] = row
    return [found[key] for key in sorted(found)]


def grouped(rows: Iterable[TCARow], by: Callable[[TCARow], str]) -> list[Group]:
    """The rows in groups named by ``by``, sorted by name."""
    groups: dict[str, Group] = {}
    for row in rows:
        name = by(row)
        groups[name] = groups.get(name, Group(name)).plus(row)
    return [groups[name] for name in sorted(groups)]


class Markout(NamedTuple):
    """What the price did after an account's crosses: positive when it moved in the account's favour.

    Zero on average in a fair book. ``traded`` and ``gained`` are money in 1e-9 currency units.
    """

    account: str
    legs: int
    qty: int
    traded: int
    gained: int

    @property
    def mbps(self) -> int:
        """``gained`` over ``traded``, in 1e-3 bps; 0 when nothing was traded."""
        return divide_half_even(self.gained * MILLI_BPS_ONE, self.traded) if self.traded > 0 else 0


def fairness(records: Iterable[Record], horizon_ns: int) -> list[Markout]:
    """Every account's markout on its crosses: midpoint ``horizon_ns`` after the cross against the cross's price.

    Corrected crosses count as corrected. Busted ones are left out, and those after which the quotes end too early.
    """
    records = list(records)
    quotes: dict[str, list[tuple[int, int, int]]] = {}
    for record in records:
        if isinstance(record, NBBO) and record.midpoint_px is not None:
            quotes.setdefault(record.instrument, []).append((record.event_ns, record.quote_no, record.midpoint_px))
    for known in quotes.values():
        known.sort()
    found: dict[str, Markout] = {}
    for cross in standing(records):
        later_px = _midpoint_at(quotes.get(cross.instrument, []), cross.at_ns + horizon_ns)
        if later_px is None:
            continue
        for sign, legs in ((1, cross.buys), (-1, cross.sells)):
            for leg in legs:
                known_one = found.get(leg.account, Markout(leg.account, 0, 0, 0, 0))
                found[leg.account] = Markout(
                    leg.account,
                    known_one.legs + 1,
                    known_one.qty + leg.qty,
                    known_one.traded + leg.qty * cross.px,
                    known_one.gained + sign * leg.qty * (later_px - cross.px),
                )
    return [found[account] for account in sorted(found)]


def _midpoint_at(quotes: Sequence[tuple[int, int, int]], at_ns: int) -> int | None:
    """The midpoint that held at a moment; None when the record ends before it."""
    if not quotes or quotes[-1][0] < at_ns:
        return None
    index = bisect_right(quotes, at_ns, key=lambda quote: quote[0])
    return quotes[index - 1][2] if index else None


# ---------------------------------------------------------------------- rendering


def bps(mbps: int | None) -> str:
    """``mbps`` (1e-3 basis points) as basis points with sign and two decimals: "+0.07"; "-" for None."""
    if mbps is None:
        return "-"
    hundredths = divide_half_even(mbps, 10)
    return f"{'-' if hundredths < 0 else '+'}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d}"


def table(title: str, groups: Sequence[Group]) -> list[str]:
    """A table as text, one line per group: counts, money in currency units, costs in bps."""
    lines = [
        f"{title:<16}{'rows':>7}{'asked':>9}{'done':>9}{'money':>16}{'shortfall':>11}{'arrival':>9}{'VWAP':>9}"
        f"{'delay':>9}{'fees':>9}"
    ]
    for group in groups:
        lines.append(
            f"  {group.name or '-':<14}{group.rows:>7,}{group.order_qty:>9,}{group.executed_qty:>9,}"
            f"{_rounded(group.traded):>16}{bps(group.lost.cost_mbps):>11}{bps(group.arrival.cost_mbps):>9}"
            f"{bps(group.vwap.cost_mbps):>9}"
            f"{bps(group.delay.cost_mbps):>9}{bps(group.fee_mbps):>9}"
        )
    return lines


def report(records: Iterable[Record]) -> list[str]:
    """The report as text: parents by strategy and instrument, children by venue, client orders by strategy."""
    rows = latest(records)
    of: Mapping[TCALevel, list[TCARow]] = {
        level: [row for row in rows if row.level is level] for level in TCALevel if level is not TCALevel.UNKNOWN
    }
    lines = [
        "Cost in basis points of the benchmark, money-weighted; + hurt, - helped. Parents' lines are from prints.",
        "Shortfall: of all that was asked, what was not done at the price it left behind; the others of what was done.",
        "",
    ]
    for title, level, by in _TABLES:
        if of[level]:
            lines += [*table(title, grouped(of[level], by)), ""]
    return lines[:-1]


def _strategy(row: TCARow) -> str:
    return str(row.strategy)


def _venue(row: TCARow) -> str:
    return row.venue


def _instrument(row: TCARow) -> str:
    return row.instrument


_TABLES: tuple[tuple[str, TCALevel, Callable[[TCARow], str]], ...] = (
    ("by strategy", TCALevel.PARENT, _strategy),
    ("by instrument", TCALevel.PARENT, _instrument),
    ("by venue", TCALevel.CHILD, _venue),
    ("client orders", TCALevel.ORDER, _strategy),
)


def _rounded(amount: int) -> str:
    """Money to the cent."""
    return money(divide_half_even(amount, 10_000_000) * 10_000_000)
