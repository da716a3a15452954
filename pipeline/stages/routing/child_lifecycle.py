"""The states of a child order: a table after FIX 4.4's order state matrices, with what venues do in practice.

Pure. Quantities are whole units. No report is refused here: one that contradicts the table leaves the state as it is,
and an execution is counted in any state. Source: FIX 4.4 with Errata 20030618, Volume 4, "Order State Change
Matrices"; the marks such as B.1.b are its sections.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pipeline.domain.executions import ReportKind, VenueReport
from pipeline.domain.orders import OrdStatus
from pipeline.state import Entry


class ChildState(StrEnum):
    """The state of a child, as far as we know it."""

    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    UNKNOWN = "UNKNOWN"
    """No answer in time. It may still execute, so it keeps its exposure until venue or desk says how it ended."""
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"
    DECLARED_DEAD = "DECLARED_DEAD"


class LifeEvent(StrEnum):
    """What can happen to a child. TRADE leaves quantity open, FILL does not; TOLD_FILLED is the venue's status FILLED,
    without its executions."""

    ACK = "ACK"
    TRADE = "TRADE"
    FILL = "FILL"
    CANCEL_SENT = "CANCEL_SENT"
    CANCEL_REJECTED = "CANCEL_REJECTED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"
    TOLD_FILLED = "TOLD_FILLED"
    RESTATED = "RESTATED"
    REOPENED = "REOPENED"
    NO_ANSWER = "NO_ANSWER"
    DECLARED_DEAD = "DECLARED_DEAD"


_S, _E = ChildState, LifeEvent

LIVE: Final = (_S.PENDING_NEW, _S.NEW, _S.PARTIALLY_FILLED, _S.PENDING_CANCEL, _S.UNKNOWN)
"""States in which it is not known to have ended: open quantity counts as exposure."""

NEXT: Final[dict[tuple[ChildState, LifeEvent], ChildState]] = {
    (_S.PENDING_NEW, _E.ACK): _S.NEW,
    (_S.PENDING_NEW, _E.TRADE): _S.PARTIALLY_FILLED,  # a fill may overtake its acknowledgement,
    (_S.PARTIALLY_FILLED, _E.ACK): _S.PARTIALLY_FILLED,  # which then takes nothing back
    (_S.PENDING_NEW, _E.CANCEL_SENT): _S.PENDING_CANCEL,  # B.1.e: we need not wait for the acknowledgement
    (_S.PENDING_CANCEL, _E.ACK): _S.PENDING_CANCEL,  # B.1.e: it crossed our cancel on the wire
    (_S.NEW, _E.ACK): _S.NEW,
    (_S.NEW, _E.TRADE): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.TRADE): _S.PARTIALLY_FILLED,
    (_S.NEW, _E.CANCEL_SENT): _S.PENDING_CANCEL,
    (_S.PARTIALLY_FILLED, _E.CANCEL_SENT): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _E.CANCEL_SENT): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _E.TRADE): _S.PENDING_CANCEL,  # B.1.b: executions go on while a cancel is on its way
    (_S.PENDING_CANCEL, _E.CANCEL_REJECTED): _S.NEW,  # B.1.b: too late is normal; or PARTIALLY_FILLED, see alive()
    (_S.UNKNOWN, _E.CANCEL_SENT): _S.UNKNOWN,  # only the venue's answer makes it known
    (_S.UNKNOWN, _E.ACK): _S.NEW,  # a sign of life; see alive() for which state that is
    (_S.UNKNOWN, _E.TRADE): _S.PARTIALLY_FILLED,
    (_S.UNKNOWN, _E.CANCEL_REJECTED): _S.NEW,
    (_S.PENDING_NEW, _E.NO_ANSWER): _S.UNKNOWN,  # timeout is not death
    (_S.NEW, _E.NO_ANSWER): _S.UNKNOWN,  # an IOC that was acknowledged and never ended
    (_S.PARTIALLY_FILLED, _E.NO_ANSWER): _S.UNKNOWN,
    (_S.PENDING_CANCEL, _E.NO_ANSWER): _S.UNKNOWN,
    # A.1.a: a venue may reject after it acknowledged, and even after it executed: executions remain valid.
    **{(state, _E.REJECTED): _S.REJECTED for state in LIVE},
    # Unsolicited cancels and expiries come in any state, an IOC's end before its acknowledgement.
    **{(state, _E.CANCELED): _S.CANCELED for state in LIVE},
    **{(state, _E.EXPIRED): _S.EXPIRED for state in LIVE},
    **{(state, _E.DONE_FOR_DAY): _S.DONE_FOR_DAY for state in LIVE},
    **{(state, _E.FILL): _S.FILLED for state in LIVE},  # B.1.c: also when a cancel is on its way
    **{(state, _E.TOLD_FILLED): _S.FILLED for state in LIVE},  # its execution reports are still to come
    **{(state, _E.RESTATED): state for state in LIVE},  # E.1.c, E.1.d: the venue changed its quantity
    # It provably never left us; an acknowledged order did, so those states are not here.
    **{(state, _E.NOT_SENT): _S.NOT_SENT for state in (_S.PENDING_NEW, _S.PENDING_CANCEL, _S.UNKNOWN)},
    (_S.UNKNOWN, _E.DECLARED_DEAD): _S.DECLARED_DEAD,  # only the desk, and only what is unknown
    # J.1.a: a bust can give a filled order quantity back to fill. A cancelled one stays cancelled (J.1.b).
    (_S.FILLED, _E.REOPENED): _S.PARTIALLY_FILLED,
    # A late fill after a cancel is counted, the state stays; so it does for any other report on an ended child.
}


class Life(Entry):
    """One child's state and quantities."""

    state: ChildState
    order_qty: int
    cum_qty: int = 0
    """Executed, as we have booked it."""
    owed_qty: int = 0
    """It ended before its last fill was reported: executed beyond what we have booked, by the venue's count."""
    cancel_asked: bool = False
    """A cancel has been sent and not been answered."""

    @property
    def open(self) -> bool:
        """Whether it is not known to have ended."""
        return self.state in LIVE

    @property
    def live_qty(self) -> int:
        """Units that may still execute, or have executed without being reported yet."""
        return max(0, self.order_qty - self.cum_qty) if self.open else self.owed_qty

    @property
    def over(self) -> bool:
        """Whether it has ended and all its executions are booked."""
        return not self.open and self.owed_qty == 0

    @property
    def leaves_qty(self) -> int:
        """FIX LeavesQty (151): order less executed while open, 0 once done."""
        return max(0, self.order_qty - self.cum_qty) if self.open else 0

    @property
    def ord_status(self) -> OrdStatus:
        """FIX OrdStatus (39); by its order of precedence an unanswered cancel comes first."""
        if self.cancel_asked:
            return OrdStatus.PENDING_CANCEL
        return _ORD_STATUS[self.state]


_ORD_STATUS: Final = {
    _S.PENDING_NEW: OrdStatus.UNKNOWN,
    _S.NEW: OrdStatus.NEW,
    _S.PARTIALLY_FILLED: OrdStatus.PARTIALLY_FILLED,
    _S.PENDING_CANCEL: OrdStatus.PENDING_CANCEL,
    _S.UNKNOWN: OrdStatus.UNKNOWN,
    _S.FILLED: OrdStatus.FILLED,
    _S.CANCELED: OrdStatus.CANCELED,
    _S.EXPIRED: OrdStatus.EXPIRED,
    _S.DONE_FOR_DAY: OrdStatus.EXPIRED,
    _S.REJECTED: OrdStatus.REJECTED,
    _S.NOT_SENT: OrdStatus.REJECTED,
    _S.DECLARED_DEAD: OrdStatus.CANCELED,
}

_UNANSWERED: Final = (_E.ACK, _E.TRADE, _E.FILL, _E.CANCEL_SENT, _E.NO_ANSWER, _E.RESTATED, _E.REOPENED)
"""Events that do not answer a cancel."""

_LIVE_STATUS: Final = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.PENDING_CANCEL)


def alive(life: Life) -> ChildState:
    """The state of a child of which we know only that it has not ended."""
    if life.cancel_asked:
        return ChildState.PENDING_CANCEL
    return ChildState.PARTIALLY_FILLED if life.cum_qty else ChildState.NEW


def happen(life: Life, event: LifeEvent, venue_cum_qty: int = 0) -> bool:
    """Apply an event; True when the state changed. `venue_cum_qty` is the venue's count at the end of an order.

    TRADE and FILL are chosen by :func:`executed`, not by callers.
    """
    before = life.state
    after = NEXT.get((before, event))
    if event is LifeEvent.CANCEL_SENT and life.open:
        life.cancel_asked = True
    elif event not in _UNANSWERED:
        life.cancel_asked = False
    if after is None:
        return False
    life.state = after
    if event is LifeEvent.CANCEL_REJECTED or (before is ChildState.UNKNOWN and after in LIVE and after is not before):
        life.state = alive(life)
    if event is LifeEvent.TOLD_FILLED:
        life.owed_qty = max(0, life.order_qty - life.cum_qty)
    elif before in LIVE and after not in LIVE and event not in (LifeEvent.FILL, LifeEvent.DECLARED_DEAD):
        life.owed_qty = max(0, min(venue_cum_qty, life.order_qty) - life.cum_qty)
    return life.state is not before


def executed(life: Life, qty: int) -> bool:
    """Count an execution of ``qty``, in any state; True when it is late: after the end, with all executions booked."""
    late = life.over
    life.cum_qty += qty
    if life.open:
        happen(life, LifeEvent.FILL if life.cum_qty >= life.order_qty else LifeEvent.TRADE)
    else:
        life.owed_qty = max(0, life.owed_qty - qty)
    return late


def restated(life: Life, prior_qty: int, qty: int, report: VenueReport) -> bool:
    """A bust (`qty` 0) or correction of an execution of `prior_qty`; True when the venue has reopened the child."""
    life.cum_qty += qty - prior_qty
    opened = report.leaves_qty > 0 and report.ord_status in _LIVE_STATUS and life.cum_qty < life.order_qty
    return opened and happen(life, LifeEvent.REOPENED)


def apply_report(life: Life, report: VenueReport, *, of_cancel: bool = False) -> bool:
    """Apply a report to the order's state; True when it changed. Executions are counted by :func:`executed`.

    `of_cancel`: the report is about a cancel request of ours, not about the order.
    """
    event = event_of(report, of_cancel=of_cancel)
    if event is None:
        return False
    if event is LifeEvent.RESTATED and life.open:
        life.order_qty = max(life.cum_qty, report.cum_qty + report.leaves_qty)
    return happen(life, event, report.cum_qty)


def event_of(report: VenueReport, *, of_cancel: bool = False) -> LifeEvent | None:
    """What a report means for the order's state; None when nothing (executions, busts and corrections are not here)."""
    match report.kind:
        case ReportKind.NEW:
            return LifeEvent.ACK
        case ReportKind.REJECTED:
            # F.1.a, F.1.b: a repeat of a known ClOrdID is rejected with the status of the first order, which lives on.
            # Some venues give the status REJECTED all the same; then only the reason shows it.
            repeat = report.ord_status in _LIVE_STATUS or "DUPLICATE" in report.reason
            return None if repeat else LifeEvent.REJECTED
        case ReportKind.CANCELED:
            return LifeEvent.CANCELED
        case ReportKind.EXPIRED:
            return LifeEvent.EXPIRED
        case ReportKind.DONE_FOR_DAY:
            return LifeEvent.DONE_FOR_DAY
        case ReportKind.REPLACED:
            return LifeEvent.RESTATED
        case ReportKind.NOT_SENT:
            return LifeEvent.CANCEL_REJECTED if of_cancel else LifeEvent.NOT_SENT
        case ReportKind.CANCEL_REJECT:
            # B.1.f: "unknown order" may mean that our cancel was faster than our order: nothing is known by it.
            return LifeEvent.NO_ANSWER if report.ord_status is OrdStatus.REJECTED else _by_status(report, True)
        case ReportKind.ORDER_STATUS:
            # G.1.a: "rejected" is about the status request, it is not the order's state.
            return None if report.ord_status is OrdStatus.REJECTED else _by_status(report, False)
        case _:
            return None


def _by_status(report: VenueReport, cancel_answered: bool) -> LifeEvent | None:
    """The event that the order's status in the report amounts to."""
    match report.ord_status:
        case OrdStatus.FILLED:
            return LifeEvent.TOLD_FILLED
        case OrdStatus.CANCELED:
            return LifeEvent.CANCELED
        case OrdStatus.EXPIRED:
            return LifeEvent.EXPIRED
        case _:
            if cancel_answered:
                return LifeEvent.CANCEL_REJECTED
            return LifeEvent.ACK if report.ord_status in _LIVE_STATUS else None
