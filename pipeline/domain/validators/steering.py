"""Validators of what steers the flow: ticks of the clock and the desk's controls."""

from __future__ import annotations

from datetime import date

from pipeline.domain.controls import Control, ControlKind, Tick, TickKind
from pipeline.domain.validators.faults import Checked, Fault, SetAsideReason, time_fault


def check_tick(tick: Tick) -> Checked[Tick]:
    """A tick has a kind, a time, a rate above 0 and a date; else time stands still until the next one."""
    fault = time_fault(tick.now_ns, "now_ns") or time_fault(tick.wall_ns, "wall_ns")
    if fault is None and tick.kind is TickKind.UNKNOWN:
        fault = Fault(SetAsideReason.UNKNOWN_KIND, "kind is none of TICK, DAY_START, DAY_END")
    if fault is None and tick.rate <= 0:
        fault = Fault(SetAsideReason.OUT_OF_RANGE, f"rate is {tick.rate}")
    if fault is None and not is_date(tick.trade_date):
        fault = Fault(SetAsideReason.BAD_TIME, f"trade_date is {tick.trade_date}, no yyyymmdd")
    return Checked(tick) if fault is None else Checked(None, (fault,))


def is_date(trade_date: int) -> bool:
    """Whether a number is a date as yyyymmdd."""
    try:
        date(trade_date // 10_000, trade_date // 100 % 100, trade_date % 100)
    except (ValueError, OverflowError):
        return False
    return True


def check_control(control: Control) -> Checked[Control]:
    """A control of a kind that is not known does nothing. What stops is believed whatever else is wrong with it."""
    if control.kind is ControlKind.UNKNOWN:
        return Checked(None, (Fault(SetAsideReason.UNKNOWN_KIND, f"control {control.control_id} is of no known kind"),))
    return Checked(control)


def stops(control: Control) -> bool:
    """Whether a control only ever stops something: it holds even if parts of it are not understood."""
    return control.kind in (ControlKind.KILL, ControlKind.PAUSE, ControlKind.BLOCK_VENUE)
