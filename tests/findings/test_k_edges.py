"""K: at the edge nothing is guessed: a short row is no market order, `1_0` no 10, and an early cancel no lost one.

More of the same kinds: ``tests/unit/gateways/test_orders_file.py``, ``tests/unit/stages/intake/test_cancels.py``.
"""

from __future__ import annotations

import io
from typing import Final

import pytest

from pipeline.domain.orders import Order, OrderEvent, OrderEventKind, OrderKind, OrderRequest
from pipeline.domain.rejections import RejectReason as R
from pipeline.gateways.orders_file import BadLine, parse_csv
from tests.unit.stages.intake.intake_bench import NOW, S, bench, cancel, new, only_event, send, tick

HEADER: Final = "kind,source,cl_ord_id,account,instrument,side,order_qty,limit_px,end_ns\n"
GOOD: Final = "NEW,S1,C1,A1,AMZN,BUY,1000,223950000000,1"


def test_a_row_with_a_cell_for_each_name_is_an_order() -> None:
    (order,) = parse_csv(io.StringIO(f"{HEADER}{GOOD}\n"))
    assert isinstance(order, OrderRequest)
    assert (order.order_qty, order.limit_px, order.end_ns) == (1000, 223_950_000_000, 1)


@pytest.mark.parametrize("cells", range(1, 9))
def test_a_short_row_is_never_an_order_with_something_left_out(cells: int) -> None:
    row = ",".join(GOOD.split(",")[:cells])
    assert list(parse_csv(io.StringIO(f"{HEADER}{row}\n"))) == [BadLine(2, f"{cells} cells, and 9 names in the header")]


def test_a_long_row_is_no_order() -> None:
    assert list(parse_csv(io.StringIO(f"{HEADER}{GOOD},9\n"))) == [BadLine(2, "10 cells, and 9 names in the header")]


@pytest.mark.parametrize("number", ["1_0", "+10", " 10", "10 ", "１０", "1e1", "10.0", "010", "0x0a", "٣"])
@pytest.mark.parametrize("place", [6, 7, 8])
def test_only_plain_digits_are_a_number(number: str, place: int) -> None:
    cells = GOOD.split(",")
    cells[place] = number
    (line,) = parse_csv(io.StringIO(HEADER + ",".join(cells) + "\n"))
    assert isinstance(line, BadLine) and line.number == 2
    assert f"{number!r} is not a whole number in plain digits" in line.why


def test_a_cancel_before_its_order_cancels_it_when_it_comes() -> None:
    made = bench()
    assert send(made, cancel("X1", "C1")) == []
    order, event, passed_on = send(made, new("C1"))
    assert isinstance(order, Order) and isinstance(event, OrderEvent) and isinstance(passed_on, Order)
    assert (order.kind, event.kind, passed_on.kind) == (OrderKind.NEW, OrderEventKind.ACCEPTED, OrderKind.CANCEL)
    assert order.order_id == event.order_id == passed_on.order_id


def test_a_cancel_before_its_order_sent_again_as_the_documents_say_works() -> None:
    made = bench()
    request = cancel("X1", "C1")
    send(made, request)
    assert only_event(made.feed(tick(NOW + 60 * S))).reason is R.UNKNOWN_ORDER
    assert len(send(made, new("C1"))) == 2
    (passed_on,) = send(made, request)
    assert isinstance(passed_on, Order) and passed_on.kind is OrderKind.CANCEL
    other = only_event(send(made, cancel("X2", "C9", source="S9")))
    assert other.reason is R.UNKNOWN_SOURCE
