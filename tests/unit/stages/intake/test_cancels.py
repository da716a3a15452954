"""A cancel that overtook its order waits for it, for a stated time; after that it is no last word.

What is in order of arrival anyway is tested in ``test_stage.py``.
"""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.controls import ControlKind, Tick, TickKind
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind, OrderRequest, OrdStatus, RequestKind
from pipeline.domain.rejections import RejectReason as R
from pipeline.stages.intake.parameters import IntakeParameters
from pipeline.stages.intake.stage import IntakeStage
from tests.stage_bench import Bench
from tests.unit.stages.intake.intake_bench import (
    NOW,
    REFERENCE,
    accepted,
    account,
    bench,
    cancel,
    closed,
    control,
    lease,
    new,
    only_event,
    send,
    tick,
)

WAIT = IntakeParameters().cancel_wait_ns


def shape(record: Any) -> tuple[Any, ...]:
    if isinstance(record, Order):
        return record.kind, record.request.cl_ord_id, record.order_id
    assert isinstance(record, OrderEvent)
    return record.kind, record.cl_ord_id, record.reason


def test_an_order_that_comes_in_time_is_accepted_and_cancelled_at_once() -> None:
    made = bench()
    request = cancel("X1", "C1")
    assert send(made, request, append_ns=NOW + 3) == []
    made.feed(tick(NOW + WAIT - 1))
    out = send(made, new("C1"), append_ns=NOW + WAIT - 1)
    assert [shape(record) for record in out] == [
        (OrderKind.NEW, "C1", "O0-1"),
        (OrderEventKind.ACCEPTED, "C1", None),
        (OrderKind.CANCEL, "X1", "O0-1"),
    ]
    assert out[2] == Order(
        kind=OrderKind.CANCEL,
        order_id="O0-1",
        instrument="AMZN",
        trade_date=20260105,
        append_ns=NOW + 3,
        received_ns=NOW + 3,
        accepted_ns=NOW + WAIT - 1,
        request=request,
    )
    again = only_event(send(made, request))
    assert (again.kind, again.order_id, again.ord_status) == (OrderEventKind.REPEATED, "O0-1", OrdStatus.NEW)
    assert made.feed(tick(NOW + 9 * WAIT)) == [], "it was answered"
    assert len(made.state.early) == 0 and made.state.waiting_of("S1") == 0


def test_a_cancel_whose_order_does_not_come_is_refused_when_its_time_is_over_and_not_before() -> None:
    made = bench()
    send(made, cancel("X1", "C1"))
    assert made.feed(tick(NOW + WAIT - 1)) == []
    event = only_event(made.feed(tick(NOW + WAIT)))
    assert (event.kind, event.cl_ord_id, event.orig_cl_ord_id) == (OrderEventKind.CANCEL_REFUSED, "X1", "C1")
    assert (event.reason, event.fix_code, event.order_id) == (R.UNKNOWN_ORDER, 1, "")
    assert (event.ord_status, event.at_ns, event.final) == (OrdStatus.REJECTED, NOW + WAIT, False)
    assert event.text == (
        "orig_cl_ord_id 'C1' did not come from S1 within 5 s: send the cancel again when in doubt, it is judged anew"
    )
    assert made.feed(tick(NOW + 2 * WAIT)) == []


def test_sent_again_when_the_order_has_come_it_cancels() -> None:
    made = bench()
    request = cancel("X1", "C1")
    send(made, request)
    made.feed(tick(NOW + WAIT))
    order = accepted(made, new("C1"))
    (forwarded,) = send(made, request)
    assert shape(forwarded) == (OrderKind.CANCEL, "X1", order.order_id)
    assert only_event(send(made, request)).kind is OrderEventKind.REPEATED
    other = only_event(send(made, cancel("X1", "C9")))
    assert other.reason is R.CONFLICTING_REPEAT, "judged anew is what was asked, not something else"


def test_sent_again_before_the_order_has_come_it_waits_again() -> None:
    made = bench()
    request = cancel("X1", "C1")
    send(made, request)
    made.feed(tick(NOW + WAIT))
    assert send(made, request) == []
    waiting = only_event(send(made, request))
    assert (waiting.kind, waiting.ord_status, waiting.reason) == (OrderEventKind.REPEATED, OrdStatus.UNKNOWN, None)
    assert waiting.text == "a repeat of a cancel that waits for its order"
    assert len(send(made, new("C1"))) == 3


def test_sent_again_when_the_order_came_and_was_done_it_is_too_late() -> None:
    made = bench()
    request = cancel("X1", "C1")
    send(made, request)
    made.feed(tick(NOW + WAIT))
    made.feed(closed(accepted(made, new("C1")), OrdStatus.FILLED, 10))
    event = only_event(send(made, request))
    assert (event.reason, event.order_id, event.ord_status, event.cum_qty) == (
        R.TOO_LATE_TO_CANCEL, "O0-1", OrdStatus.FILLED, 10,
    )  # fmt: skip
    assert only_event(send(made, request)).kind is OrderEventKind.REPEATED, "and that stands"


@pytest.mark.parametrize(
    ("late", "reason"),
    [
        (new("C1", order_qty=0), R.QUANTITY_NOT_POSITIVE),
        (cancel("C1", "C0"), None),
        (new("C1", kind=RequestKind.REPLACE, orig_cl_ord_id="C0"), R.REPLACE_NOT_SUPPORTED),
        (new("C1", kind=RequestKind.UNKNOWN), R.UNKNOWN_KIND),
    ],
)
def test_when_what_it_names_turns_out_to_be_no_order_the_cancel_is_refused_at_once(
    late: OrderRequest, reason: R | None
) -> None:
    made = bench()
    request = cancel("X1", "C1")
    send(made, request)
    out = [shape(record) for record in send(made, late)]
    assert out[-1] == (OrderEventKind.CANCEL_REFUSED, "X1", R.UNKNOWN_ORDER)
    assert [each[2] for each in out[:-1]] == ([] if reason is None else [reason])
    again = only_event(send(made, request))
    assert (again.kind, again.reason) == (OrderEventKind.REPEATED, R.UNKNOWN_ORDER), "what was refused never comes"


def test_all_that_wait_for_an_order_are_passed_on_in_their_order() -> None:
    made = bench()
    send(made, cancel("X2", "C1"), cancel("X1", "C1"), cancel("X3", "C2"))
    out = [shape(record) for record in send(made, new("C1"))]
    assert out[2:] == [(OrderKind.CANCEL, "X2", "O0-1"), (OrderKind.CANCEL, "X1", "O0-1")]
    assert shape(only_event(made.feed(tick(NOW + WAIT)))) == (OrderEventKind.CANCEL_REFUSED, "X3", R.UNKNOWN_ORDER)


def test_another_sources_order_of_the_same_id_is_not_cancelled() -> None:
    made = bench(lease("A2"))
    send(made, cancel("X1", "C1", source="S2", account="A2"))
    accepted(made, new("C1"))
    assert len(send(made, new("C1", source="S2", account="A2"))) == 3


def test_an_order_that_comes_while_all_is_killed_is_refused_and_so_is_its_cancel() -> None:
    made = bench(control(ControlKind.KILL))
    send(made, cancel("X1", "C1"))
    assert [event.reason for event in send(made, new("C1"))] == [R.KILLED, R.UNKNOWN_ORDER]


@pytest.mark.parametrize("orig", [None, "", "X1"])
def test_what_can_never_come_is_not_waited_for(orig: str | None) -> None:
    event = only_event(send(bench(), cancel("X1", orig)))
    assert (event.kind, event.reason) == (OrderEventKind.CANCEL_REFUSED, R.UNKNOWN_ORDER)


def test_only_so_many_of_a_source_wait_and_another_source_has_its_own() -> None:
    made = Bench(IntakeStage(IntakeParameters(cancels_waiting=2)), swap_every=1)
    made.feed(*REFERENCE, account("B1", "S3"), lease("B1"))
    assert send(made, cancel("X1", "C1"), cancel("X2", "C2")) == []
    assert only_event(send(made, cancel("X3", "C3"))).reason is R.UNKNOWN_ORDER
    assert send(made, cancel("X3", "C3", source="S2"), cancel("X3", "C3", source="S3")) == []
    send(made, new("C1"))
    assert send(made, cancel("X4", "C4")) == [], "one that went makes room"


def test_a_text_too_long_for_any_order_is_not_kept_waiting() -> None:
    event = only_event(send(bench(), cancel("X1", "C1", mandate="m" * 300)))
    assert event.reason is R.UNKNOWN_ORDER


def test_without_a_time_to_wait_it_is_refused_at_once() -> None:
    made = Bench(IntakeStage(IntakeParameters(cancel_wait_ns=0)))
    made.feed(*REFERENCE)
    assert only_event(send(made, cancel("X1", "C1"))).reason is R.UNKNOWN_ORDER


def test_one_that_waits_over_the_days_end_is_answered_and_does_not_touch_the_next_days_order() -> None:
    made = Bench(IntakeStage(IntakeParameters(forget_per_tick=1)), swap_every=2)
    made.feed(*REFERENCE)
    send(made, cancel("X1", "C1"))
    made.feed(tick(NOW + 1, trade_date=20260106))
    accepted(made, new("C1"))
    (event,) = made.all(OrderEvent, made.feed(tick(NOW + WAIT, trade_date=20260106)))
    assert (event.cl_ord_id, event.reason, event.order_id) == ("X1", R.UNKNOWN_ORDER, "")
    assert len(made.state.requests) == 1


def test_at_the_days_end_nothing_waits_on() -> None:
    made = bench()
    send(made, cancel("X1", "C1"), cancel("X2", "C1"))
    events = made.feed(Tick(kind=TickKind.DAY_END, now_ns=NOW + 1, wall_ns=NOW + 1, trade_date=20260105))
    assert [shape(event)[1:] for event in events] == [("X1", R.UNKNOWN_ORDER), ("X2", R.UNKNOWN_ORDER)]


def test_a_cancel_that_waited_goes_out_in_the_same_bytes_whether_it_was_restored_or_not() -> None:
    request = cancel("X1", "C1")
    request.__dict__["wire"] = b"as a stranger wrote it"
    made = bench()
    send(made, request)
    (*_, forwarded) = send(made, new("C1"))
    assert isinstance(forwarded, Order) and forwarded.request == request
    assert "wire" not in forwarded.request.__dict__
