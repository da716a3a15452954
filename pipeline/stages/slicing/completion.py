"""Whether a parent that must be completed can be: the desk hears of it while there is time to act, whatever the cause.

Every MUST parent that ends with something unexecuted was told before, once: at the moment at which it cannot be done
any more, else when it cannot be traded and has fallen behind, else in its last moment, else right before its FINISH.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.orders import Completion
from pipeline.domain.record import Kind
from pipeline.domain.units import PPM_ONE
from pipeline.stages.slicing import release
from pipeline.stages.slicing.schedule import last_moment_starts_ns
from pipeline.stages.slicing.state import SlicingState, TradingDay
from pipeline.stages.slicing.working_parent import WorkingParent


class RiskReason(Kind):
    """Why a parent may not be completed. Each has its meaning in :data:`MEANING`."""

    UNKNOWN = "UNKNOWN"
    CAP_BELOW_NEED = "CAP_BELOW_NEED"
    NO_TIME = "NO_TIME"
    NOT_WORKED = "NOT_WORKED"
    NO_SPREAD = "NO_SPREAD"
    OUT_OF_LIMIT = "OUT_OF_LIMIT"
    DEPTH_BELOW_NEED = "DEPTH_BELOW_NEED"
    LITTLE_TIME = "LITTLE_TIME"
    UNFILLED = "UNFILLED"
    TAKEN_BACK = "TAKEN_BACK"


MEANING: Final[dict[RiskReason, str]] = {
    RiskReason.UNKNOWN: "a reason of a later version",
    RiskReason.CAP_BELOW_NEED: "its cap, shared with the others of its side, gives less by the end than is left: raise "
    "the cap, move the end, or accept an unfilled rest",
    RiskReason.NO_TIME: "the session ends before its window begins",
    RiskReason.NOT_WORKED: "it may not be worked now: the session, a halt, the desk or a stale hold forbids it",
    RiskReason.NO_SPREAD: "the market has not two sides apart from each other: one is missing, or it is locked or "
    "crossed",
    RiskReason.OUT_OF_LIMIT: "nothing is displayed inside its limit where it may go: change the limit, or wait",
    RiskReason.DEPTH_BELOW_NEED: "in its last moment less is displayed inside its limit than is left",
    RiskReason.LITTLE_TIME: "little is left of its last moment, and not all is executed",
    RiskReason.UNFILLED: "it ends unfilled",
    RiskReason.TAKEN_BACK: "an execution was taken back after all was done: it is not worked again",
}
"""What each reason says, and what can be done."""


class _Risk(NamedTuple):
    reason: RiskReason
    detail: str = ""


def tell_if_at_risk(state: SlicingState, parent: WorkingParent, day: TradingDay) -> list[Alert]:
    """The alert that a parent may not be completed, the first time that this shows.

    ``day``: of the parent.
    """
    if not _is_watched(parent) or parent.finishing:
        return []
    risk = _risk(state, parent, day)
    return [] if risk is None else [_told(state, parent, risk)]


def tell_if_unfilled(state: SlicingState, parent: WorkingParent) -> list[Alert]:
    """The alert for a parent that ends now with something left, or that lost an execution after its end."""
    if not _is_watched(parent):
        return []
    return [_told(state, parent, _Risk(RiskReason.TAKEN_BACK if parent.finishing else RiskReason.UNFILLED))]


def _is_watched(parent: WorkingParent) -> bool:
    return parent.order.completion is Completion.MUST and not parent.at_risk and parent.unexecuted_qty > 0


def _risk(state: SlicingState, parent: WorkingParent, day: TradingDay) -> _Risk | None:
    order, now_ns = parent.order, state.now_ns
    if parent.ends_ns <= max(order.start_ns, parent.came_ns):
        return _Risk(RiskReason.NO_TIME)
    instrument, parameters = day.instrument, state.parameters
    last_moment_ns = last_moment_starts_ns(parent, parameters)
    opened_ns = now_ns if instrument is None else instrument.session_open_ns
    is_last_moment = now_ns >= max(parent.begin_ns, last_moment_ns)
    if is_last_moment or _has_fallen_behind(parent, opened_ns, now_ns, parameters.at_risk_behind_ppm):
        risk = _why_not_traded(state, parent, day)
        if risk is not None:
            return risk
    if instrument is None:
        return None
    view = state.view(parent, instrument, day)
    if order.participation_cap > 0 and release.is_cap_below_need(view):
        return _Risk(RiskReason.CAP_BELOW_NEED)
    if not is_last_moment:
        return None
    if release.depth_qty(view) < parent.unreleased_qty:
        return _Risk(RiskReason.DEPTH_BELOW_NEED)
    last_moment_left_ns = parent.end_ns - max(last_moment_ns, parent.begin_ns)
    if (parent.end_ns - now_ns) * PPM_ONE <= last_moment_left_ns * parameters.at_risk_ppm:
        return _Risk(RiskReason.LITTLE_TIME)
    return None


def _has_fallen_behind(parent: WorkingParent, opened_ns: int, now_ns: int, at_risk_behind_ppm: int) -> bool:
    """Whether more is left to do than time, both as parts of the whole, by ``at_risk_behind_ppm`` or more.

    Of the time from when it should have begun: a parent that stands still falls behind with every moment.
    """
    began_ns = max(parent.order.start_ns, parent.came_ns, opened_ns)
    window_ns = max(1, parent.end_ns - began_ns)
    left_ppm = parent.unexecuted_qty * PPM_ONE // max(1, parent.order_qty)
    return left_ppm - max(0, parent.end_ns - now_ns) * PPM_ONE // window_ns >= at_risk_behind_ppm


def _why_not_traded(state: SlicingState, parent: WorkingParent, day: TradingDay) -> _Risk | None:
    """Why nothing of it could be executed at this moment."""
    order = parent.order
    barred = state.why_not_worked(order, day)
    if barred or day.instrument is None:
        return _Risk(RiskReason.NOT_WORKED, barred)
    if state.market.spread_px(order.instrument) is None:
        return _Risk(RiskReason.NO_SPREAD)
    if release.depth_qty(state.view(parent, day.instrument, day)) == 0:
        return _Risk(RiskReason.OUT_OF_LIMIT)
    return None


def _told(state: SlicingState, parent: WorkingParent, risk: _Risk) -> Alert:
    parent.at_risk = True
    state.put(parent)
    detail = f" ({risk.detail})" if risk.detail else ""
    return Alert(
        kind=AlertKind.COMPLETION_AT_RISK,
        instrument=parent.order.instrument,
        subject_id=parent.order.parent_id,
        reason=str(risk.reason),
        text=f"{parent.unexecuted_qty} of {parent.order_qty} left: {MEANING[risk.reason]}{detail}",
        at_ns=state.now_ns,
    )
