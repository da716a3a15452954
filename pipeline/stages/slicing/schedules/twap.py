"""Evenly over time: the same quantity in every equal part of the parent's window."""

from __future__ import annotations

from pipeline.algos import twap
from pipeline.stages.slicing.schedule import SlicingView


class TWAPSchedule:
    """A :class:`Schedule` by `algos/twap.py`."""

    def target_qty(self, view: SlicingView, at_ns: int) -> int:
        order = view.parent.order
        return twap.target_qty(view.total_qty, order.start_ns, order.end_ns, at_ns, view.instrument.lot_qty)

    def basis(self, view: SlicingView) -> str:
        return ""
