"""What a schedule is, and all that it may see: one parent at one moment, from which it makes a target.

A schedule only says how much should be done by when. How much of that is released now, and how, is `release.py`'s; so a
new schedule is a file in `schedules/` and its line in `schedules/table.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pipeline.algos import participation
from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.reference import Instrument
from pipeline.domain.units import PPM_ONE
from pipeline.stages.shared.market_state import MarketState
from pipeline.stages.slicing.entries import SampledMarket
from pipeline.stages.slicing.parameters import ON_TAPE, SlicingParameters
from pipeline.stages.slicing.working_parent import Totals, WorkingParent


class SlicingView(NamedTuple):
    """One parent at one moment: what its schedule and its release decide by. None of it is theirs to change."""

    parent: WorkingParent
    siblings: Totals
    """Of all parents of its instrument and side, itself included: they share one participation cap."""
    side_own_qty: int
    """Units this side of the instrument has executed today."""
    market: MarketState
    """Quotes, depth and venue states as they stand."""
    sampled: SampledMarket
    """Its volume and the samples of its quote, over time."""
    venues: Sequence[str]
    """Venues that the parent may be worked at now."""
    instrument: Instrument
    curve: VolumeCurve | None
    """The volume curve in force; None before the first."""
    now_ns: int
    """Session time."""
    parameters: SlicingParameters

    @property
    def total_qty(self) -> int:
        """Units the parent is to have done at its end, what earlier epochs did included."""
        return max(0, self.parent.earlier_qty + self.parent.order_qty)

    @property
    def done_qty(self) -> int:
        """Units that need no more slices: executed, crossed inside, or set aside for a cross."""
        parent = self.parent
        return parent.earlier_qty + parent.executed_qty + parent.taken_qty + parent.set_aside_qty

    @property
    def begin_qty(self) -> int:
        """Units that were due when the schedule began to run: 0, or what was due before it stood still."""
        return max(0, min(self.parent.from_qty, self.total_qty))

    @property
    def time_left_ns(self) -> int:
        """Until the end of the parent's window; 0 after it."""
        return max(0, self.parent.end_ns - self.now_ns)

    @property
    def lot_qty(self) -> int:
        """Least step of a quantity."""
        return max(1, self.instrument.lot_qty)

    @property
    def day_start_ns(self) -> int:
        """Where the curve's first bin begins: with the session itself, whichever day the curve was made for."""
        return self.instrument.session_open_ns

    @property
    def own_volume_qty(self) -> int:
        """Units the siblings of its side have executed since the parent's window began, its own included."""
        return max(0, self.side_own_qty - self.parent.own_before)

    @property
    def others_volume_qty(self) -> int:
        """Units that everybody else has traded since the parent's window began: the tape without our own part of it."""
        market_qty = max(0, self.sampled.volume_qty - self.parent.volume_before)
        printed = self.parameters.own_prints == ON_TAPE
        return participation.others_qty(market_qty, self.own_volume_qty if printed else 0)


class Schedule(Protocol):
    """How much of a parent should be done by a moment. It keeps no state: the same view gives the same answer."""

    def target_qty(self, view: SlicingView, at_ns: int) -> int:
        """Units that should be done by ``at_ns``, counted from the parent's beginning, crosses included.

        In whole lots, never falling with time, ``view.begin_qty`` at the beginning of the parent's window and
        ``view.total_qty`` from its end on.
        """

    def basis(self, view: SlicingView) -> str:
        """What the target rests on beside time, in words for the slice's `why`; empty when on nothing else."""


def last_moment_starts_ns(parent: WorkingParent, parameters: SlicingParameters) -> int:
    """When a parent's last moment begins, session time: from then on all that is left is due."""
    horizon_ns = parent.end_ns - parent.begin_ns
    return parent.end_ns - max(parameters.last_moment_ns, horizon_ns * parameters.trilemma.last_moment_ppm // PPM_ONE)
