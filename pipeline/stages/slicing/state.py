"""What slicing keeps: parents at work, the totals of each instrument, and the market they are worked in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.market import NBBO, TradePrint
from pipeline.domain.parents import ParentOrder
from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.stages.shared import reference_data
from pipeline.stages.shared.market_state import MarketState
from pipeline.stages.shared.print_identity import DAY_NS, PrintIdentity
from pipeline.stages.shared.stale_hold import StaleHold
from pipeline.stages.shared.switches import Switches
from pipeline.stages.slicing.entries import Curve, InstrumentTotals
from pipeline.stages.slicing.market_samples import MarketSamples
from pipeline.stages.slicing.parameters import SlicingParameters
from pipeline.stages.slicing.schedule import SlicingView
from pipeline.stages.slicing.working_parent import Siblings, WorkingParent
from pipeline.state import State, Task


class TradingDay(NamedTuple):
    """How an instrument trades now."""

    instrument: Instrument | None
    """Its record in force; None: not known, or removed."""
    close_ns: int | None
    """When its session ends, session time; None: not known."""
    venues: tuple[str, ...]
    """Venues that trade it now and that the desk has not stopped."""
    barred: str
    """Why nothing of it may be sent now, by name; empty when it may."""


class SlicingState(State):
    """Parents at work, totals and volume curves of their instruments, the market, switches and reference data."""

    def __init__(self, task: Task, parameters: SlicingParameters) -> None:
        super().__init__(task)
        self.parameters = parameters
        self.market = MarketState(self, parameters.ahead_ns, levels="books")
        self.samples = MarketSamples(self, parameters.sample_ns, parameters.sample_count)
        self._prints = PrintIdentity(self)
        self.switches = Switches(self)
        self.instruments = reference_data.instruments(self)
        self.limits = reference_data.limits(self)
        self.stale = StaleHold(self, self.limits, parameters.max_backlog_ns)
        self.parents = self.table("parents", WorkingParent)
        self.siblings = Siblings()
        self.totals = self.table("desks", InstrumentTotals)
        self.curves = self.table("curves", Curve)

    def restored(self) -> None:
        self._prints.restored()
        self.siblings.clear()
        for parent_id in self.parents.keys():
            self.siblings.count(self.parents[parent_id])

    # ------------------------------------------------------------------ look-ups

    def totals_of(self, instrument: str) -> InstrumentTotals:
        """The instrument's totals; empty ones that are in no table when there are none."""
        return self.totals.get(instrument) or InstrumentTotals()

    def view(self, parent: WorkingParent, instrument: Instrument, day: TradingDay | None = None) -> SlicingView:
        """What the decisions about a parent are made from now; ``day``: :meth:`day_of` the parent, when known."""
        order = parent.order
        curve = self.curves.get(order.instrument)
        return SlicingView(
            parent=parent,
            siblings=self.siblings.of(parent),
            side_own_qty=self.totals_of(order.instrument).own_qty(order.side),
            market=self.market,
            sampled=self.samples.of(order.instrument),
            venues=(self.day_of(parent) if day is None else day).venues,
            instrument=instrument,
            curve=None if curve is None else curve.curve,
            now_ns=self.now_ns,
            parameters=self.parameters,
        )

    def day(self, symbol: str, allowed_venues: tuple[str, ...] = ()) -> TradingDay:
        """How an instrument trades now at the venues heard of, or at those of them in ``allowed_venues``."""
        instrument = self.instruments.get(symbol, self.now_ns)
        if instrument is None:
            return TradingDay(None, None, (), "NO_INSTRUMENT")
        known = self.samples.of(symbol).venues
        venues = [venue for venue in known if venue in allowed_venues] if allowed_venues else known
        open_venues = tuple(
            venue
            for venue in self.market.open_venues(symbol, venues)
            if not self.switches.venue_blocked(venue)
            and not self.switches.killed(venue=venue)
            and not self.switches.paused(venue=venue)
        )
        return TradingDay(
            instrument,
            self._close_ns(instrument, venues),
            open_venues,
            self._why_not_traded(instrument, open_venues),
        )

    def day_of(self, parent: WorkingParent) -> TradingDay:
        """How a parent's instrument trades now at the venues that it may go to."""
        return self.day(parent.order.instrument, parent.order.allowed_venues)

    def _close_ns(self, instrument: Instrument, venues: list[str]) -> int:
        """When the session ends: as announced, or as it has ended already at every venue."""
        if self.market.is_over(instrument.instrument, venues, instrument.session_open_ns):
            return min(instrument.session_close_ns, self.now_ns)
        close_ns = instrument.session_close_ns
        for version in self.instruments.later(instrument.instrument, self.now_ns):
            # A version of this session: the next day's comes into force after this day's close.
            if version.kind is ReferenceKind.SET and version.effective_ns < close_ns:
                close_ns = version.session_close_ns
        return close_ns

    def _why_not_traded(self, instrument: Instrument, open_venues: tuple[str, ...]) -> str:
        symbol = instrument.instrument
        if not instrument.session_open_ns <= self.now_ns < instrument.session_close_ns:
            return "OUTSIDE_SESSION"
        if self.switches.killed(instrument=symbol):
            return "KILLED"
        if self.switches.paused(instrument=symbol):
            return "PAUSED"
        if self.stale.holds(symbol):
            return "STALE_HOLD"
        return "" if open_venues else "NO_OPEN_VENUE"

    def why_not_worked(self, order: ParentOrder, day: TradingDay) -> str:
        """Why nothing of a parent may be sent now, by name: session, halts, the desk, a stale hold; empty when it may.

        Its own window, and what its members do, are not asked here. ``day``: of its instrument and its venues.
        """
        if day.barred:
            return day.barred
        if self.switches.killed(parent=order.parent_id):
            return "KILLED"
        return "PAUSED" if self.switches.paused(parent=order.parent_id) else ""

    def may_release(self, parent: WorkingParent, day: TradingDay) -> bool:
        """Whether anything new of this parent may be released now."""
        return (
            not parent.recalled
            and not parent.finishing
            and parent.order.start_ns <= self.now_ns < parent.ends_ns
            and not self.why_not_worked(parent.order, day)
        )

    # ------------------------------------------------------------------ what changes

    def sample(self, instrument: str) -> None:
        """Sample the quote that stands, up to now."""
        record = self.instruments.get(instrument, self.now_ns)
        self.samples.until(self.now_ns + 1, instrument, self.market.quote(instrument), record)

    def on_nbbo(self, quote: NBBO) -> None:
        """Take in a quote: what stood until it came is sampled first."""
        held = self.market.quote(quote.instrument)
        if self.market.on_nbbo(quote):
            record = self.instruments.get(quote.instrument, self.now_ns)
            self.samples.until(quote.event_ns, quote.instrument, held, record)

    def on_print(self, trade: TradePrint) -> None:
        """Take in a print, its cancel or correction: the volume that caps are parts of is what stands in the end.

        What was traded before a parent's window began is no volume of its window, however late it is told. Without a
        parent that has a cap nobody asks for volume, and nothing is kept.
        """
        capped = self.siblings.capped(trade.instrument)
        if not capped:
            return
        applied = self._prints.apply(trade)
        for sign, prints in ((-1, applied.off), (1, applied.on)):
            for kept in prints:
                if kept.volume:
                    self._count_volume(trade.instrument, capped, kept.event_ns, sign * kept.qty)

    def _count_volume(self, instrument: str, capped: Iterable[str], event_ns: int, qty: int) -> None:
        self.samples.add_volume(instrument, qty)
        for parent_id in capped:
            parent = self.parents[parent_id]
            if event_ns < parent.counted_ns:
                parent.volume_before += qty
                self.parents.put(parent_id, parent)

    def forget_prints(self) -> None:
        """Forget the prints of days before today's."""
        self._prints.forget_before(self.now_ns // DAY_NS)

    def learn_curve(self, curve: VolumeCurve) -> None:
        """Keep a volume curve, unless a later version is known or it is none: then the day counts evenly."""
        if curve.bin_ns < 1 or curve.daily_volume_qty < 0 or min(curve.fractions, default=-1) < 0:
            return
        known = self.curves.get(curve.instrument)
        if known is None or curve.version > known.curve.version:
            self.curves.put(curve.instrument, Curve(curve))

    def add(self, parent: WorkingParent) -> None:
        """Add a new parent, the last of its instrument."""
        instrument = parent.order.instrument
        totals = self.totals_of(instrument)
        totals.parent_ids = [*totals.parent_ids, parent.order.parent_id]
        self.totals.put(instrument, totals)
        self.put(parent)

    def put(self, parent: WorkingParent) -> None:
        """Write a changed parent."""
        self.parents.put(parent.order.parent_id, parent)
        self.siblings.count(parent)

    def forget(self, parent: WorkingParent) -> None:
        """Remove a parent of which nothing can execute any more."""
        self.parents.remove(parent.order.parent_id)
        self.siblings.forget(parent)
        totals = self.totals_of(parent.order.instrument)
        totals.parent_ids = [each for each in totals.parent_ids if each != parent.order.parent_id]
        self.totals.put(parent.order.instrument, totals)

    def count_own(self, fill: Fill) -> None:
        """Count what a side has executed in an instrument today, against the cap its parents share."""
        match fill.kind:
            case FillKind.TRADE:
                qty = fill.last_qty
            case FillKind.BUST:
                qty = -fill.last_qty
            case FillKind.CORRECT:
                qty = fill.last_qty - fill.prior_qty
            case _:
                return
        totals = self.totals_of(fill.instrument)
        if fill.side.sign > 0:
            totals.own_buy_qty += qty
        else:
            totals.own_sell_qty += qty
        self.totals.put(fill.instrument, totals)
