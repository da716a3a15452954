"""What slicing keeps: parents at work, the totals of each instrument, and the market they are worked in."""

from __future__ import annotations

from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.reference import Instrument
from pipeline.stages.shared import reference_data
from pipeline.stages.shared.market_state import MarketState
from pipeline.stages.shared.stale_hold import StaleHold
from pipeline.stages.shared.switches import Switches
from pipeline.stages.slicing.entries import Curve, InstrumentTotals
from pipeline.stages.slicing.market_samples import MarketSamples
from pipeline.stages.slicing.parameters import SlicingParameters
from pipeline.stages.slicing.schedule import SlicingView
from pipeline.stages.slicing.working_parent import Siblings, WorkingParent
from pipeline.state import State, Task


class SlicingState(State):
    """Parents at work, totals and volume curves of their instruments, the market, switches and reference data."""

    def __init__(self, task: Task, parameters: SlicingParameters) -> None:
        super().__init__(task)
        self.parameters = parameters
        self.market = MarketState(self, levels="books")
        self.samples = MarketSamples(self, parameters.sample_ns, parameters.sample_count)
        self.switches = Switches(self)
        self.instruments = reference_data.instruments(self)
        self.limits = reference_data.limits(self)
        self.stale = StaleHold(self, self.limits, parameters.max_backlog_ns)
        self.parents = self.table("parents", WorkingParent)
        self.siblings = Siblings()
        self.totals = self.table("desks", InstrumentTotals)
        self.curves = self.table("curves", Curve)

    def restored(self) -> None:
        self.siblings.clear()
        for parent_id in self.parents.keys():
            self.siblings.count(self.parents[parent_id])

    # ------------------------------------------------------------------ look-ups

    def totals_of(self, instrument: str) -> InstrumentTotals:
        """The instrument's totals; empty ones that are in no table when there are none."""
        return self.totals.get(instrument) or InstrumentTotals()

    def view(self, parent: WorkingParent, instrument: Instrument) -> SlicingView:
        """What the decisions about a parent are made from now."""
        order = parent.order
        curve = self.curves.get(order.instrument)
        return SlicingView(
            parent=parent,
            siblings=self.siblings.of(parent),
            side_own_qty=self.totals_of(order.instrument).own_qty(order.side),
            market=self.market,
            sampled=self.samples.of(order.instrument),
            instrument=instrument,
            curve=None if curve is None else curve.curve,
            now_ns=self.now_ns,
            parameters=self.parameters,
        )

    def may_release(self, parent: WorkingParent, instrument: Instrument) -> bool:
        """Whether anything new of this parent may be released now: session, halts, the desk's switches, staleness."""
        order, now_ns = parent.order, self.now_ns
        return (
            not parent.recalled
            and not parent.finishing
            and instrument.session_open_ns <= now_ns < instrument.session_close_ns
            and order.start_ns <= now_ns < order.end_ns
            and self.market.is_open(order.instrument, self.samples.of(order.instrument).venues)
            and not self.switches.killed(instrument=order.instrument, parent=order.parent_id)
            and not self.switches.paused(instrument=order.instrument, parent=order.parent_id)
            and not self.stale.holds(order.instrument)
        )

    # ------------------------------------------------------------------ what changes

    def learn_curve(self, curve: VolumeCurve) -> None:
        """Keep a volume curve, unless a later version is known."""
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
