"""L: what intake refuses about a live order tells of that order: its id and its status, in FIX's terms."""

from __future__ import annotations

import pytest

from pipeline.domain.orders import OrderEvent, OrderEventKind, OrdStatus, RequestKind
from pipeline.domain.rejections import RejectReason as R
from tests.unit.stages.intake.intake_bench import NOW, accepted, bench, cancel, closed, new, only_event, send


def test_a_refused_replace_of_a_live_order_tells_its_id_and_that_it_is_open() -> None:
    made = bench()
    order = accepted(made, new())
    event = only_event(send(made, new("R1", kind=RequestKind.REPLACE, orig_cl_ord_id="C1", order_qty=20)))
    assert event == OrderEvent(
        kind=OrderEventKind.CANCEL_REFUSED,
        source="S1",
        order_id=order.order_id,
        cl_ord_id="R1",
        orig_cl_ord_id="C1",
        account="A1",
        instrument="AMZN",
        side=order.request.side,
        ord_status=OrdStatus.NEW,
        reason=R.REPLACE_NOT_SUPPORTED,
        fix_code=99,
        text="replace is not supported yet: cancel the order and send a new one",
        at_ns=NOW,
    )
    assert order.order_id and event.order_qty == 0, "20 were never ordered"
    again = only_event(send(made, new("R1", kind=RequestKind.REPLACE, orig_cl_ord_id="C1", order_qty=20)))
    assert (again.kind, again.order_id, again.ord_status) == (OrderEventKind.REPEATED, order.order_id, OrdStatus.NEW)


@pytest.mark.parametrize("end", [OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED])
def test_a_refused_replace_of_an_order_that_is_done_tells_how_it_ended(end: OrdStatus) -> None:
    made = bench()
    order = accepted(made, new())
    made.feed(closed(order, end, 7))
    event = only_event(send(made, new("R1", kind=RequestKind.REPLACE, orig_cl_ord_id="C1")))
    assert (event.order_id, event.ord_status, event.cum_qty) == (order.order_id, end, 7)


@pytest.mark.parametrize("orig", [None, "", "never", "BAD", "X1", "R0", "R1"])
def test_a_refused_replace_of_what_is_no_order_tells_that_there_is_none(orig: str | None) -> None:
    made = bench()
    accepted(made, new())
    send(made, new("BAD", order_qty=0), cancel("X1", "C1"))
    send(made, new("R0", kind=RequestKind.REPLACE, orig_cl_ord_id="C1"))
    event = only_event(send(made, new("R1", kind=RequestKind.REPLACE, orig_cl_ord_id=orig)))
    assert (event.reason, event.order_id, event.ord_status) == (R.REPLACE_NOT_SUPPORTED, "", OrdStatus.REJECTED)


def test_a_refused_replace_is_no_order_that_could_be_cancelled() -> None:
    made = bench()
    accepted(made, new())
    send(made, new("R1", kind=RequestKind.REPLACE, orig_cl_ord_id="C1"))
    assert only_event(send(made, cancel("X1", "R1"))).reason is R.UNKNOWN_ORDER


def test_a_repeat_of_a_live_order_tells_that_it_is_open_and_of_one_that_is_done_how_it_ended() -> None:
    made = bench()
    order = accepted(made, new())
    again = only_event(send(made, new()))
    assert (again.order_id, again.ord_status, again.order_qty) == (order.order_id, OrdStatus.NEW, 10)
    made.feed(closed(order, OrdStatus.EXPIRED, 4))
    again = only_event(send(made, new()))
    assert (again.order_id, again.ord_status, again.cum_qty) == (order.order_id, OrdStatus.EXPIRED, 4)


def test_a_conflict_with_a_live_order_tells_of_the_order_that_stands() -> None:
    made = bench()
    order = accepted(made, new())
    event = only_event(send(made, new(order_qty=11)))
    assert (event.kind, event.reason, event.fix_code) == (OrderEventKind.REFUSED, R.CONFLICTING_REPEAT, 6)
    assert (event.order_id, event.ord_status, event.final) == (order.order_id, OrdStatus.NEW, False)


def test_a_cancel_that_conflicts_with_another_request_tells_of_the_order_it_names() -> None:
    made = bench()
    order = accepted(made, new())
    send(made, new("X1", order_qty=0))
    event = only_event(send(made, cancel("X1", "C1")))
    assert (event.kind, event.reason, event.fix_code) == (OrderEventKind.CANCEL_REFUSED, R.CONFLICTING_REPEAT, 6)
    assert (event.order_id, event.ord_status) == (order.order_id, OrdStatus.NEW)


def test_a_repeat_of_a_cancel_tells_of_its_order() -> None:
    made = bench()
    order = accepted(made, new())
    send(made, cancel("X1", "C1"))
    assert only_event(send(made, cancel("X1", "C1"))).ord_status is OrdStatus.NEW
    made.feed(closed(order, OrdStatus.CANCELED, 3))
    event = only_event(send(made, cancel("X1", "C1")))
    assert (event.order_id, event.ord_status, event.cum_qty) == (order.order_id, OrdStatus.CANCELED, 3)
