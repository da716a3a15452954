"""In step with the volume expected: along the instrument's volume curve; evenly over time where there is none yet."""

from __future__ import annotations

from pipeline.algos import vwap
from pipeline.stages.slicing.schedule import SlicingView
from pipeline.stages.slicing.schedules.twap import evenly_qty


class VWAPSchedule:
    """A :class:`Schedule` by `algos/vwap.py`."""

    def target_qty(self, view: SlicingView, at_ns: int) -> int:
        parent, curve = view.parent, view.curve
        if curve is None:
            return evenly_qty(view, at_ns)
        return vwap.target_qty(
            view.total_qty,
            curve.fractions,
            curve.bin_ns,
            view.day_start_ns,
            parent.begin_ns,
            parent.end_ns,
            at_ns,
            view.lot_qty,
            view.begin_qty,
        )

    def basis(self, view: SlicingView) -> str:
        return f"curve v{0 if view.curve is None else view.curve.version}"
