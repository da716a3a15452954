"""Validators of what steers the flow: ticks of the clock and the desk's controls."""

from __future__ import annotations

from typing import Final

from pipeline.domain.controls import Control, ControlKind, ControlScope, Tick, TickKind
from pipeline.domain.dates import is_date
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


def check_control(control: Control) -> Checked[Control]:
    """A control of a kind that is not known, or of a scope that its kind does not have, does nothing. What stops is
    believed whatever else is wrong with it."""
    if control.kind is ControlKind.UNKNOWN:
        return Checked(None, (Fault(SetAsideReason.UNKNOWN_KIND, "kind is none that this version knows"),))
    if stops(control):
        return Checked(control)
    fault = _scope_fault(control)
    return Checked(control) if fault is None else Checked(None, (fault,))


SCOPES: Final = {
    ControlKind.UNBLOCK_VENUE: (ControlScope.VENUE, ControlScope.ALL),
    ControlKind.RELEASE_STALE: (ControlScope.INSTRUMENT, ControlScope.ALL),
    ControlKind.RELEASE_WINDOW: (ControlScope.INSTRUMENT, ControlScope.ALL),
    ControlKind.CANCEL_PARENT: (ControlScope.PARENT,),
    ControlKind.CHANGE_PARENT: (ControlScope.PARENT,),
    ControlKind.DECLARE_FILLED: (ControlScope.CHILD,),
    ControlKind.DECLARE_DEAD: (ControlScope.CHILD,),
    ControlKind.BREAK_ALLOCATION: (ControlScope.PARENT, ControlScope.INSTRUMENT),
    ControlKind.SKIP: (ControlScope.ALL,),
}
"""What each kind may speak of; RESUME of any scope. What stops something is not in it."""


def _scope_fault(control: Control) -> Fault | None:
    allowed = SCOPES.get(control.kind)
    if control.scope is ControlScope.UNKNOWN or (allowed is not None and control.scope not in allowed):
        text = f"{control.kind} is of {' or '.join(allowed) if allowed else 'a known scope'}, not of {control.scope}"
        return Fault(SetAsideReason.CONTRADICTION, text)
    if not control.scope_id and (control.scope is not ControlScope.ALL or control.kind is ControlKind.SKIP):
        return Fault(SetAsideReason.MISSING_NAME, f"scope_id is empty: which {control.scope}?")
    if control.scope_id and control.scope is ControlScope.ALL and control.kind is not ControlKind.SKIP:
        text = f"{control.kind} of {control.scope} names {control.scope_id!r}: all of them, or that one?"
        return Fault(SetAsideReason.CONTRADICTION, text)
    return None


def stops(control: Control) -> bool:
    """Whether a control only ever stops something: it holds even if parts of it are not understood."""
    return control.kind in (ControlKind.KILL, ControlKind.PAUSE, ControlKind.BLOCK_VENUE)
