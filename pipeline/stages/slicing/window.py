"""The window that a parent is really worked in: what was asked for, as far as the day lets it be.

- It begins when the parent can be worked: not before it is here, however early its start, and not before its market is
  open.
- While the parent may not be worked (halted, outside the session, killed, paused, held as stale) its schedule stands
  still, and then goes on from where it was: what was not due meanwhile is spread over the time left, not caught up.
- When members come back its new quantity is spread over the time left, likewise; when some leave, what is due shrinks
  with what there is to do.
- It ends when the session ends, if that is before the end asked for. When the end moves, the schedule goes on from what
  was due by then, towards the new end.

The volume that a participation cap is a part of counts from the later of start and arrival, worked or not.
"""

from __future__ import annotations

from pipeline.domain.parents import ParentOrder
from pipeline.stages.slicing.schedules.table import SCHEDULES
from pipeline.stages.slicing.state import SlicingState, TradingDay
from pipeline.stages.slicing.working_parent import WorkingParent


def keep_time(state: SlicingState, parent: WorkingParent, day: TradingDay) -> None:
    """Bring a parent's window up to now; call it at each tick, and when the parent comes.

    ``day``: of the parent.
    """
    order, now_ns = parent.order, state.now_ns
    if now_ns == 0 or parent.finishing:
        return
    ends_ns = order.end_ns if day.close_ns is None else min(order.end_ns, day.close_ns)
    may = not state.why_not_worked(order, day)
    has_begun = now_ns >= order.start_ns
    runs_as_it_may = parent.from_ns > 0 and not parent.stands_still if may else parent.stands_still
    if parent.until_ns == ends_ns and (runs_as_it_may or not has_begun):
        return  # nothing has changed: so at nearly every tick
    if has_begun and not parent.counted_ns:
        parent.counted_ns = max(order.start_ns, parent.came_ns) or now_ns
        parent.volume_before = state.samples.of(order.instrument).volume_qty
        parent.own_before = state.totals_of(order.instrument).own_qty(order.side)
    if not parent.from_ns:
        if has_begun and may:
            # What older code began tells no beginning: it goes on from now.
            on_time = not parent.stands_still and parent.slice_no == 0
            parent.from_ns = (max(order.start_ns, parent.came_ns) if on_time else 0) or now_ns
            parent.from_qty = parent.earlier_qty + parent.executed_qty + parent.taken_qty
    elif not parent.stands_still:
        parent.from_qty = _due_qty(state, parent, day)
        parent.from_ns = now_ns
    elif may:
        parent.from_ns = now_ns
    parent.until_ns, parent.stands_still = ends_ns, has_begun and not may
    state.put(parent)


def begin_epoch(state: SlicingState, parent: WorkingParent, order: ParentOrder, day: TradingDay) -> None:
    """Begin the epoch that ``order`` tells of, and go on with the schedule. ``day``: of the parent."""
    was_qty = parent.earlier_qty + parent.order_qty
    runs = parent.from_ns > 0 and not parent.stands_still
    due_qty = _due_qty(state, parent, day) if runs else parent.from_qty
    parent.begin_epoch(order)
    total_qty = parent.earlier_qty + parent.order_qty
    if total_qty > was_qty:
        parent.from_qty = due_qty
        parent.from_ns = state.now_ns if runs else parent.from_ns
    elif was_qty > 0:
        parent.from_qty = parent.from_qty * max(0, total_qty) // was_qty


def _due_qty(state: SlicingState, parent: WorkingParent, day: TradingDay) -> int:
    """What is due by now, by the window as it was until now."""
    if day.instrument is None:
        return parent.from_qty  # without its record there is no schedule: it goes on as from its last beginning
    return SCHEDULES[parent.order.strategy].target_qty(state.view(parent, day.instrument, day), state.now_ns)
