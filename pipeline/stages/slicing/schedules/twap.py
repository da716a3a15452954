"""Evenly over time: the same quantity in every equal part of the parent's window."""

from __future__ import annotations

from pipeline.algos import twap
from pipeline.stages.slicing.schedule import SlicingView


def evenly_qty(view: SlicingView, at_ns: int) -> int:
    """Units due by ``at_ns``, in whole lots, where all of the window counts the same."""
    parent = view.parent
    return twap.target_qty(view.total_qty, parent.begin_ns, parent.end_ns, at_ns, view.lot_qty, view.begin_qty)


class TWAPSchedule:
    """A :class:`Schedule` by `algos/twap.py`."""

    def target_qty(self, view: SlicingView, at_ns: int) -> int:
        return evenly_qty(view, at_ns)

    def basis(self, view: SlicingView) -> str:
        return ""
