"""The life of a child, against FIX 4.4's own matrices and against what venues do beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.executions import ReportKind, VenueReport
from pipeline.domain.orders import OrdStatus, Side
from pipeline.stages.routing.child_lifecycle import (
    LIVE,
    NEXT,
    ChildState,
    Life,
    LifeEvent,
    apply_report,
    executed,
    happen,
    restated,
)

S, E = ChildState, LifeEvent

DATA = Path(os.environ.get("PIPELINE_DATA", Path(__file__).resolve().parents[4] / "../shared/data"))
MATRICES = DATA / "fix" / "fix44_order_state_matrices.json"

NOT_OURS = {
    "B.1.f": "no order of ours is in it: the cancel of an order that was never sent",
    "E.1.a": "an order by telephone",
    "H.1.a": "good till cancelled: children live one day",
    "H.1.b": "good till cancelled: children live one day",
    "H.1.d": "good till cancelled: children live one day",
    "L.1.a": "a guarantee (Stopped) is not a report of ours",
    "L.1.b": "cash quantity",
}
STATUS = {
    "New": OrdStatus.NEW,
    "PartiallyFilled": OrdStatus.PARTIALLY_FILLED,
    "Filled": OrdStatus.FILLED,
    "Canceled": OrdStatus.CANCELED,
    "PendingCancel": OrdStatus.PENDING_CANCEL,
    "Rejected": OrdStatus.REJECTED,
    "DoneForDay": OrdStatus.EXPIRED,
}
KIND = {
    "New": ReportKind.NEW,
    "Rejected": ReportKind.REJECTED,
    "Trade": ReportKind.TRADE,
    "Canceled": ReportKind.CANCELED,
    "DoneForDay": ReportKind.DONE_FOR_DAY,
    "OrderStatus": ReportKind.ORDER_STATUS,
    "PendingCancel": ReportKind.ORDER_STATUS,
    "Restated": ReportKind.REPLACED,
    "TradeCancel": ReportKind.BUST,
    "TradeCorrect": ReportKind.CORRECT,
}


def report(kind: ReportKind, status: OrdStatus, **more: Any) -> VenueReport:
    return VenueReport(
        kind=kind,
        venue="V",
        session_id="S",
        instrument="A",
        wire_id="X",
        exec_id="E",
        ord_status=status,
        side=Side.BUY,
        venue_ns=0,
        received_ns=0,
        trade_date=20260105,
        **more,
    )


def scenarios() -> list[Any]:
    if not MATRICES.exists():
        return []
    return [
        pytest.param(scenario["steps"], id=scenario["id"])
        for scenario in json.loads(MATRICES.read_text())["scenarios"]
        if scenario["id"] not in NOT_OURS
    ]


@pytest.mark.skipif(not MATRICES.exists(), reason=f"FIX 4.4 matrices are not at {MATRICES}")
def test_the_matrices_are_all_played_but_for_the_named_ones() -> None:
    assert len(scenarios()) == 32 - len(NOT_OURS)


@pytest.mark.parametrize("steps", scenarios())
def test_fix_matrix(steps: list[dict[str, Any]]) -> None:
    """Each report of a scenario, up to the first replace (children are not replaced): status, CumQty, LeavesQty."""
    life: Life | None = None
    sent_cl_ord_id = ""
    executions: dict[str, int] = {}
    for step in steps:
        if step.get("alternative_branch") or step["dir"] == "event":
            continue
        if step["msg"] == "ReplaceRequest":
            break
        if step["msg"] == "NewOrder":
            if life is None:
                sent_cl_ord_id = step["ClOrdID"]
                life = Life(S.PENDING_NEW, step["OrderQty"])
            elif step["ClOrdID"] != sent_cl_ord_id:
                break  # F.1.b goes on with a second order
            continue
        assert life is not None
        if step["msg"] == "CancelRequest":
            happen(life, E.CANCEL_SENT)
            continue
        if step["msg"] == "StatusRequest":
            continue
        status = STATUS[step["OrdStatus"]]
        kind = ReportKind.CANCEL_REJECT if step["msg"] == "CancelReject" else KIND[step["ExecType"]]
        cum_qty, leaves_qty = step.get("CumQty", 0), step.get("LeavesQty", 0)
        told = report(kind, status, cum_qty=cum_qty, leaves_qty=leaves_qty)
        if kind is ReportKind.TRADE:
            executed(life, step["LastQty"])
            executions[step.get("ExecID", "")] = step["LastQty"]
        elif kind in (ReportKind.BUST, ReportKind.CORRECT):
            qty = step["LastQty"] if kind is ReportKind.CORRECT else 0
            restated(life, executions[step["ExecRefID"]], qty, told)
            executions[step["ExecID"]] = qty
        else:
            apply_report(life, told)
        if step["msg"] == "CancelReject" or "unknown order" in step.get("note", ""):
            assert life.ord_status is status or "unknown order" in step.get("note", "")
            continue
        assert (life.cum_qty, life.leaves_qty) == (cum_qty, leaves_qty), step
        if not step.get("crosses_on_wire_with_previous"):  # the venue had not seen our cancel when it said this
            assert life.ord_status is status, step


def life(state: ChildState, cum_qty: int = 0, *, asked: bool = False, owed_qty: int = 0) -> Life:
    return Life(state, 100, cum_qty, owed_qty, asked)


@pytest.mark.parametrize(
    ("before", "qty", "after", "live_qty", "late"),
    [
        (life(S.PENDING_NEW), 40, S.PARTIALLY_FILLED, 60, False),  # fill before acknowledgement
        (life(S.PENDING_NEW), 100, S.FILLED, 0, False),
        (life(S.NEW), 40, S.PARTIALLY_FILLED, 60, False),
        (life(S.PARTIALLY_FILLED, 40), 60, S.FILLED, 0, False),
        (life(S.PENDING_CANCEL, 40, asked=True), 20, S.PENDING_CANCEL, 40, False),
        (life(S.UNKNOWN), 20, S.PARTIALLY_FILLED, 80, False),  # a sign of life
        (life(S.UNKNOWN, asked=True), 20, S.PENDING_CANCEL, 80, False),  # … the cancel is still unanswered
        (life(S.CANCELED, 40), 20, S.CANCELED, 0, True),  # late fill after cancel
        (life(S.CANCELED, 40, owed_qty=20), 20, S.CANCELED, 0, False),  # done before its last fill
        (life(S.FILLED, 100), 20, S.FILLED, 0, True),  # over-fill: counted, not clamped
        (life(S.REJECTED), 20, S.REJECTED, 0, True),
    ],
)
def test_an_execution_is_counted_in_any_state(
    before: Life, qty: int, after: ChildState, live_qty: int, late: bool
) -> None:
    cum_qty = before.cum_qty
    assert executed(before, qty) is late
    assert (before.state, before.cum_qty, before.live_qty) == (after, cum_qty + qty, live_qty)


N, P, F, C, R = (
    OrdStatus.NEW,
    OrdStatus.PARTIALLY_FILLED,
    OrdStatus.FILLED,
    OrdStatus.CANCELED,
    OrdStatus.REJECTED,
)


@pytest.mark.parametrize(
    ("before", "told", "after", "live_qty"),
    [
        (life(S.PARTIALLY_FILLED, 40), report(ReportKind.NEW, N), S.PARTIALLY_FILLED, 60),  # ack after its fill
        (life(S.PENDING_CANCEL, asked=True), report(ReportKind.NEW, N), S.PENDING_CANCEL, 100),
        (life(S.NEW), report(ReportKind.CANCELED, C), S.CANCELED, 0),  # unsolicited
        (life(S.PENDING_NEW), report(ReportKind.EXPIRED, OrdStatus.EXPIRED), S.EXPIRED, 0),  # IOC without ack
        (life(S.NEW, 40), report(ReportKind.CANCELED, C, cum_qty=70), S.CANCELED, 30),  # a fill is still to come
        (life(S.NEW), report(ReportKind.REJECTED, R), S.REJECTED, 0),  # after its acknowledgement
        (life(S.NEW), report(ReportKind.REJECTED, N), S.NEW, 100),  # of a repeat: the first order lives
        (life(S.NEW), report(ReportKind.REJECTED, R, reason="DUPLICATE_CL_ORD_ID"), S.NEW, 100),
        (life(S.PENDING_CANCEL, 40, asked=True), report(ReportKind.CANCEL_REJECT, P), S.PARTIALLY_FILLED, 60),
        (life(S.PENDING_CANCEL, asked=True), report(ReportKind.CANCEL_REJECT, N), S.NEW, 100),
        (life(S.PENDING_CANCEL, 40, asked=True), report(ReportKind.CANCEL_REJECT, F), S.FILLED, 60),  # too late: owed
        (life(S.FILLED, 100, asked=True), report(ReportKind.CANCEL_REJECT, F), S.FILLED, 0),  # too late, all told
        (life(S.PENDING_CANCEL, asked=True), report(ReportKind.CANCEL_REJECT, R), S.UNKNOWN, 100),  # "unknown order"
        (life(S.UNKNOWN), report(ReportKind.ORDER_STATUS, N), S.NEW, 100),
        (life(S.UNKNOWN), report(ReportKind.ORDER_STATUS, C, cum_qty=10), S.CANCELED, 10),
        (life(S.UNKNOWN), report(ReportKind.ORDER_STATUS, R), S.UNKNOWN, 100),  # no answer
        (life(S.PENDING_NEW), report(ReportKind.NOT_SENT, R), S.NOT_SENT, 0),
        (life(S.NEW), report(ReportKind.NOT_SENT, R), S.NEW, 100),  # what was acknowledged did leave
        (life(S.CANCELED), report(ReportKind.NEW, N), S.CANCELED, 0),  # the dead stay dead
        (life(S.NEW, 10), report(ReportKind.REPLACED, P, cum_qty=10, leaves_qty=40), S.NEW, 40),  # reduced by the venue
    ],
)
def test_what_a_report_makes_of_a_child(before: Life, told: VenueReport, after: ChildState, live_qty: int) -> None:
    apply_report(before, told)
    assert (before.state, before.live_qty) == (after, live_qty)


def test_a_cancel_that_never_left_leaves_the_order_alive() -> None:
    child = life(S.PENDING_CANCEL, asked=True)
    apply_report(child, report(ReportKind.NOT_SENT, OrdStatus.UNKNOWN), of_cancel=True)
    assert child.state is S.NEW and child.live_qty == 100


def test_only_what_is_unknown_can_be_declared_dead() -> None:
    for state in ChildState:
        child = life(state)
        happen(child, E.DECLARED_DEAD)
        assert child.state is (S.DECLARED_DEAD if state is S.UNKNOWN else state)


def test_no_event_but_the_venues_reopening_leads_back_from_the_dead() -> None:
    back = {(before, event) for (before, event), after in NEXT.items() if before not in LIVE and after in LIVE}
    found = {(state, E.FOUND_ALIVE) for state in ChildState if state not in LIVE}
    assert back == {(S.FILLED, E.REOPENED)} | found


def test_every_live_state_can_end() -> None:
    for state in LIVE:
        for end in (E.CANCELED, E.EXPIRED, E.DONE_FOR_DAY, E.REJECTED, E.FILL):
            assert NEXT[(state, end)] not in LIVE
