"""In step with the volume expected: along the instrument's volume curve; evenly over time where there is none yet."""

from __future__ import annotations

from pipeline.algos import twap, vwap
from pipeline.stages.slicing.schedule import SlicingView


class VWAPSchedule:
    """A :class:`Schedule` by `algos/vwap.py`."""

    def target_qty(self, view: SlicingView, at_ns: int) -> int:
        order, curve, lot_qty = view.parent.order, view.curve, view.instrument.lot_qty
        if curve is None:
            return twap.target_qty(view.total_qty, order.start_ns, order.end_ns, at_ns, lot_qty)
        return vwap.target_qty(
            view.total_qty,
            curve.fractions,
            curve.bin_ns,
            curve.day_start_ns,
            order.start_ns,
            order.end_ns,
            at_ns,
            lot_qty,
        )

    def basis(self, view: SlicingView) -> str:
        return f"curve v{0 if view.curve is None else view.curve.version}"
