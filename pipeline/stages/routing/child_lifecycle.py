"""The states of a child order: a table after FIX 4.4's order state matrices, with what venues do in practice.

Pure. Quantities are whole units. No report is refused here: one that contradicts the table leaves the state as it is,
and an execution is counted in any state. What a venue says about the order beside its executions (CumQty, LeavesQty,
OrdStatus) is its *statement*: the newest is kept, by the venue's own time, and compared with what we have booked
(:func:`difference`). Source: FIX 4.4 with Errata 20030618, Volume 4, "Order State Change
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
    FOUND_ALIVE = "FOUND_ALIVE"
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
    # The venue, asked how the order stands, says that it is open: whoever said it had ended was wrong.
    **{(state, _E.FOUND_ALIVE): _S.NEW for state in ChildState if state not in LIVE},  # or as alive() says
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
    told_cum_qty: int = -1
    """Executed by the venue's newest count; -1 until it has given one."""
    told_leaves_qty: int = 0
    """Open by the venue's newest word; 0 when that says that the order has ended, or does not say."""
    told_ns: int = 0
    """The venue's time of its newest statement."""
    reopened_ns: int = 0
    """The venue's time at which it opened an order again that had ended."""

    @property
    def open(self) -> bool:
        """Whether it is not known to have ended."""
        return self.state in LIVE

    @property
    def live_qty(self) -> int:
        """Units that may still execute, or have executed without being reported yet."""
        return max(0, self.order_qty - self.cum_qty, self.told_leaves_qty) if self.open else self.owed_qty

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

_UNANSWERED: Final = (
    _E.ACK, _E.TRADE, _E.FILL, _E.CANCEL_SENT, _E.NO_ANSWER, _E.RESTATED, _E.REOPENED, _E.FOUND_ALIVE,
)  # fmt: skip
"""Events that do not answer a cancel."""

_LIVE_STATUS: Final = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.PENDING_CANCEL)

_OURS: Final = (_E.NOT_SENT, _E.DECLARED_DEAD)
"""Ends that are not the venue's word: nothing is open then, by ours."""


def alive(life: Life) -> ChildState:
    """The state of a child of which we know only that it has not ended."""
    if life.cancel_asked:
        return ChildState.PENDING_CANCEL
    return ChildState.PARTIALLY_FILLED if life.cum_qty else ChildState.NEW


def happen(life: Life, event: LifeEvent) -> bool:
    """Apply an event; True when the state changed. TRADE and FILL are chosen by :func:`executed`, not by callers."""
    before = life.state
    after = NEXT.get((before, event))
    if event is LifeEvent.CANCEL_SENT and life.open:
        life.cancel_asked = True
    elif event not in _UNANSWERED:
        life.cancel_asked = False
    if after is None:
        return False
    life.state = after
    found = before is ChildState.UNKNOWN and after in LIVE and after is not before
    if found or event in (LifeEvent.CANCEL_REJECTED, LifeEvent.FOUND_ALIVE):
        life.state = alive(life)
    if event in _OURS:
        life.told_leaves_qty = 0
    if event is LifeEvent.DECLARED_DEAD:
        life.told_cum_qty = life.cum_qty  # the desk's word stands until the venue says something newer
    _owe(life)
    return life.state is not before


def lapse(life: Life) -> None:
    """The order's day is over: by its own terms it has ended, and nothing more of it is waited for."""
    happen(life, LifeEvent.EXPIRED)
    life.told_cum_qty, life.told_leaves_qty = life.cum_qty, 0
    _owe(life)


def _owe(life: Life) -> None:
    """Of an order that has ended: what the venue has executed by its own count, beyond what we have booked."""
    if life.open:
        life.owed_qty = 0
    elif life.told_cum_qty >= 0:
        life.owed_qty = max(0, life.told_cum_qty - life.cum_qty)


# ---------------------------------------------------------------------- the venue's statement


def hear(life: Life, report: VenueReport, cum_qty: int) -> bool:
    """Take in what a report says about the order; False when it is an older word, overtaken on its way to us.

    ``cum_qty``: what we have booked with this report's own execution, bust or correction.
    """
    count = count_in(report)
    if not _is_statement(report) or not _is_news(life, report, count, cum_qty):
        return False
    life.told_ns = report.venue_ns
    lives = report.ord_status in _LIVE_STATUS
    if count is not None:
        life.told_cum_qty = count
    elif report.ord_status is OrdStatus.FILLED and report.leaves_qty == 0:
        life.told_cum_qty = max(life.told_cum_qty, life.order_qty, cum_qty)
    else:
        _count_on(life, cum_qty)
    if lives and report.leaves_qty:
        life.told_leaves_qty = report.leaves_qty
    elif not lives or count is not None:
        life.told_leaves_qty = 0
    else:
        life.told_leaves_qty = max(0, life.told_leaves_qty - (cum_qty - life.cum_qty))
    _owe(life)
    return True


def _count_on(life: Life, cum_qty: int) -> None:
    """An execution or correction comes without a count: where the last count agreed with our books it goes on with
    them, and at least what is executed is counted."""
    if life.told_cum_qty == life.cum_qty:
        life.told_cum_qty = cum_qty
    elif life.told_cum_qty >= 0 and cum_qty > life.cum_qty:
        life.told_cum_qty = max(life.told_cum_qty, cum_qty)


def difference(life: Life) -> str:
    """In what the venue's newest statement and our books differ: COUNT, STATUS, LEAVES; empty when they agree."""
    if life.told_cum_qty >= 0 and life.told_cum_qty != life.cum_qty:
        return "COUNT"
    if not life.told_leaves_qty:
        return ""
    if not life.open:
        return "STATUS"
    return "LEAVES" if max(0, life.told_cum_qty) + life.told_leaves_qty != life.order_qty else ""


def _is_statement(report: VenueReport) -> bool:
    """Whether it speaks of the order. What never left, or was rejected as a request, does not."""
    match report.kind:
        case ReportKind.NOT_SENT | ReportKind.UNKNOWN:
            return False
        case ReportKind.REJECTED:
            return not _is_of_a_repeat(report)
        case ReportKind.CANCEL_REJECT | ReportKind.ORDER_STATUS:
            return report.ord_status not in (OrdStatus.REJECTED, OrdStatus.UNKNOWN)
        case _:
            return True


def _is_news(life: Life, report: VenueReport, count: int | None, cum_qty: int) -> bool:
    if report.venue_ns != life.told_ns:
        return report.venue_ns > life.told_ns
    # Of the same moment: an acknowledgement came before executions, and a smaller count than one that agrees with our
    # books before that one.
    if report.kind is ReportKind.NEW:
        return report.cum_qty >= cum_qty
    smaller = report.kind is ReportKind.TRADE and count is not None and count < life.told_cum_qty
    return not (smaller and cum_qty == life.told_cum_qty)


def count_in(report: VenueReport) -> int | None:
    """The venue's count of what is executed, None where a report has none (FIX has none in an OrderCancelReject)."""
    match report.kind:
        case ReportKind.TRADE | ReportKind.CORRECT:
            return report.cum_qty if report.cum_qty >= report.last_qty else None
        case ReportKind.CANCEL_REJECT | ReportKind.NEW:
            return report.cum_qty or None  # an acknowledgement was said before anything executed
        case _:
            return report.cum_qty


def _is_of_a_repeat(report: VenueReport) -> bool:
    """F.1.a, F.1.b: a repeat of a known ClOrdID is rejected with the status of the first order, which lives on. Some
    venues give the status REJECTED all the same; then only the reason shows it."""
    return report.ord_status in _LIVE_STATUS or "DUPLICATE" in report.reason


# ---------------------------------------------------------------------- what reports do


def executed(life: Life, qty: int, report: VenueReport | None = None) -> bool:
    """Count an execution of ``qty``, in any state, with what its report says of the order (None: it is not the venue
    that says so); True when it is late: after the end, with all executions booked."""
    late = life.over
    news = report is not None and hear(life, report, life.cum_qty + qty)
    if report is None:
        life.told_leaves_qty = max(0, life.told_leaves_qty - qty)
        _count_on(life, life.cum_qty + qty)
    life.cum_qty += qty
    if life.open:
        # Where the venue says that some is open, it is, whatever we have counted.
        done = life.cum_qty >= life.order_qty and not life.told_leaves_qty
        happen(life, LifeEvent.FILL if done else LifeEvent.TRADE)
    else:
        life.owed_qty = max(0, life.owed_qty - qty)
        _owe(life)
    if news and report is not None:
        end_by_status(life, report)
    return late


def restated(life: Life, prior_qty: int, qty: int, report: VenueReport) -> bool:
    """A bust (`qty` 0) or correction of an execution of `prior_qty`; True when the venue has reopened the child."""
    change_qty = qty - prior_qty
    # Of the same moment as the end: it reopens what it takes back from the count of that end, nothing else.
    same_moment = not life.open and report.venue_ns == life.told_ns and life.told_cum_qty >= 0
    follows = not same_moment or report.cum_qty == life.told_cum_qty + change_qty
    news = hear(life, report, life.cum_qty + change_qty)
    life.cum_qty += change_qty
    _owe(life)
    lives = report.leaves_qty > 0 and report.ord_status in _LIVE_STATUS
    if news and follows and lives and life.cum_qty < life.order_qty and happen(life, LifeEvent.REOPENED):
        life.reopened_ns = report.venue_ns
        return True
    if news:
        end_by_status(life, report)
    return False


def end_by_status(life: Life, report: VenueReport) -> None:
    """A report of an execution, bust or correction may say by its status that the order has ended."""
    event = _ends(report)
    if event is not None:
        happen(life, event)


def apply_report(life: Life, report: VenueReport, *, of_cancel: bool = False) -> bool:
    """Apply a report to the order's state; True when it changed. Executions are counted by :func:`executed`.

    `of_cancel`: the report is about a cancel request of ours, not about the order.
    """
    event = event_of(report, of_cancel=of_cancel)
    told_ns = life.told_ns
    news = hear(life, report, life.cum_qty)
    lives = report.ord_status in _LIVE_STATUS and report.leaves_qty > 0
    if report.kind is ReportKind.ORDER_STATUS and news and lives:
        # Its answer to the question how the order stands settles what is open.
        life.order_qty = max(life.cum_qty, report.cum_qty + report.leaves_qty)
        if not life.open and report.venue_ns > told_ns and happen(life, LifeEvent.FOUND_ALIVE):
            life.reopened_ns = report.venue_ns
            return True
    if event is None or (event in _ENDS and report.venue_ns < life.reopened_ns):
        return False
    if event is LifeEvent.RESTATED and life.open:
        life.order_qty = max(life.cum_qty, report.cum_qty + report.leaves_qty)
    return happen(life, event)


def event_of(report: VenueReport, *, of_cancel: bool = False) -> LifeEvent | None:
    """What a report means for the order's state; None when nothing (executions, busts and corrections are not here)."""
    match report.kind:
        case ReportKind.NEW:
            return LifeEvent.ACK
        case ReportKind.REJECTED:
            return None if _is_of_a_repeat(report) else LifeEvent.REJECTED
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
            # B.1.f: "unknown order" may mean that our cancel was faster than our order: nothing is known by it. Nor by
            # a status of a later version.
            if report.ord_status in (OrdStatus.REJECTED, OrdStatus.UNKNOWN):
                return LifeEvent.NO_ANSWER
            return _ends(report) or LifeEvent.CANCEL_REJECTED
        case ReportKind.ORDER_STATUS:
            # G.1.a: "rejected" is about the status request, it is not the order's state.
            return _ends(report) or (LifeEvent.ACK if report.ord_status in _LIVE_STATUS else None)
        case _:
            return None


_ENDS: Final = (_E.CANCELED, _E.EXPIRED, _E.DONE_FOR_DAY, _E.REJECTED, _E.TOLD_FILLED)


def _ends(report: VenueReport) -> LifeEvent | None:
    """The end that the order's status in the report amounts to. REJECTED is none here: it may be about a request."""
    match report.ord_status:
        case OrdStatus.FILLED if report.leaves_qty == 0:
            return LifeEvent.TOLD_FILLED
        case OrdStatus.CANCELED:
            return LifeEvent.CANCELED
        case OrdStatus.EXPIRED:
            return LifeEvent.EXPIRED
        case _:
            return None
