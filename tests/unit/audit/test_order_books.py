"""Each accepted quantity is found in one place: known numbers for orders in every state, and what makes one be off."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from pipeline.audit.invariants import Line, books
from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.orders import OrderEvent, OrderEventKind, OrdStatus, Side, SourceEvent
from pipeline.domain.record import Record
from tests.allocation_builders import PX, S, begin, bench, bust, cancel, cross, fill, left, order, quiet, statement

OFF = "orders whose own books are off"


def by_name(records: Sequence[Record]) -> dict[str, Line]:
    return {line.name: line for line in books(records)}


def accepted(order_id: str, qty: int, side: Side = Side.BUY) -> OrderEvent:
    """Intake's event, which allocation's come after."""
    return OrderEvent(
        kind=OrderEventKind.ACCEPTED, source="OMS", order_id=order_id, cl_ord_id=f"c-{order_id}", side=side,
        ord_status=OrdStatus.NEW, order_qty=qty, leaves_qty=qty, event_no=1,
    )  # fmt: skip


def open_day() -> tuple[list[Record], list[Record]]:
    """To buy: 30 and 10 in a parent, of which 20 are executed and 3 and 3 of the first crossed; 7 in a window, 5 of it
    crossed; 4 cancelled out of another. To sell: 11 crossed of 20."""
    stage = bench()
    stage.tick(1 * S)
    lines = [("O0", "acc-O0", 30), ("O1", "acc-O1", 10)]
    put_in: list[Record] = [
        order("O0", 36),
        order("O1", 10),
        order("W", 7),
        order("C", 4),
        order("S", 20, Side.SELL),
        cross("X", [("O0", 3, None), ("W", 5, None)], [("S", 8, None)], 50 * PX),
        cross("Y", [("O0", 3, None)], [("S", 3, None)], 51 * PX),
        *statement("P", lines),
        *begin([30, 10])[1][3:],
        fill("f", 20),
        cancel("C", "k"),
        left("C", 4, "k", None),
    ]
    stage.feed(*put_in)
    stage.tick(10 * S)
    events = [accepted("O0", 36), accepted("O1", 10), accepted("W", 7), accepted("C", 4), accepted("S", 20, Side.SELL)]
    return put_in, [*events, *stage.out]


def test_members_of_an_open_parent_are_in_parents_and_orders_of_a_window_are_waiting() -> None:
    put_in, out = open_day()
    lines = by_name([*put_in, *out])
    buy, sell = lines["accepted to BUY"], lines["accepted to SELL"]
    assert (buy.left, buy.right) == (57, 57)
    assert dict(buy.parts) == {
        "crossed": 11,
        "executed": 0,
        "reported, not yet allocated": 20,
        "in parents": 15 + 5,
        "waiting": 2,
        "ended": 4,
    }
    assert (sell.left, sell.right) == (20, 20)
    assert dict(sell.parts) == {
        "crossed": 11,
        "executed": 0,
        "reported, not yet allocated": 0,
        "in parents": 0,
        "waiting": 9,
        "ended": 0,
    }
    executed = lines["executed to BUY"]
    assert (executed.left, dict(executed.parts)) == (20, {"allocated": 0, "error account": 0, "not yet allocated": 20})
    assert lines["orders taken in, and events saying so"][1:3] == (5, 5)
    assert lines[OFF][1:3] == (0, 0)
    assert lines["epochs whose reconciliation is not what fills and allocations say"][1:3] == (0, 0)
    assert "orders, and orders ended when the day is over" not in lines


def test_when_the_parent_is_shared_out_its_members_have_ended() -> None:
    stage = bench()
    first = fill("f", 20)
    put_in: list[Record] = [*begin([30, 10])[1], first, quiet(), bust("b", first), fill("g", 8)]
    stage.feed(*put_in)
    stage.tick(50 * S, kind=TickKind.DAY_END)
    out: list[Record] = [accepted("O0", 30), accepted("O1", 10), *stage.out]
    lines = by_name([*put_in, *out])
    buy = lines["accepted to BUY"]
    assert (buy.left, buy.right) == (40, 40)
    assert dict(buy.parts) == {
        "crossed": 0,
        "executed": 8,
        "reported, not yet allocated": 0,
        "in parents": 0,
        "waiting": 0,
        "ended": 32,
    }
    assert lines[OFF][1:3] == (0, 0) == lines["orders that ended more than once"][1:3]
    assert lines["epochs whose reconciliation is not what fills and allocations say"][1:3] == (0, 0)


def last_of(out: Sequence[Record], order_id: str) -> OrderEvent:
    return [e for e in out if isinstance(e, OrderEvent) and e.order_id == order_id][-1]


@pytest.mark.parametrize(
    ("order_id", "changes"),
    [
        ("O0", {"cum_qty": 20}),
        ("O0", {"leaves_qty": 16}),
        ("O0", {"cum_qty": 5, "leaves_qty": 31}),
        ("O0", {"crossed_qty": 5}),
        ("O0", {"order_qty": 37, "leaves_qty": 16}),
        ("O0", {"final": True}),
        ("O0", {"cum_qty": 37, "leaves_qty": -1}),
        ("C", {"cum_qty": 1}),
        ("C", {"leaves_qty": 4}),
        ("C", {"final": False}),
        ("C", {"crossed_qty": 1}),
    ],
)
def test_an_orders_last_event_is_checked_whole(order_id: str, changes: dict[str, object]) -> None:
    put_in, out = open_day()
    last = last_of(out, order_id)
    changed = [replace(r, **changes) if r is last else r for r in out]
    assert by_name([*put_in, *changed])[OFF].left == 1


def test_the_price_a_client_was_told_is_that_of_his_allocations() -> None:
    stage = bench()
    put_in: list[Record] = [order("B", 5), order("S", 5, Side.SELL), cross("X", [("B", 5, None)], [("S", 5, None)])]
    stage.feed(*put_in)
    out: list[Record] = [accepted("B", 5), accepted("S", 5, Side.SELL), *stage.out]
    assert by_name([*put_in, *out])[OFF].left == 0
    for px in (100 * PX + 1, 100 * PX - 1, None):
        last = last_of(out, "B")
        assert by_name([*put_in, *(replace(r, avg_px=px) if r is last else r for r in out)])[OFF].left == 1


def test_an_average_price_may_be_half_a_unit_away_and_no_more() -> None:
    stage = bench()
    both = [cross(f"X{px}", [("B", 1, None)], [("S", 1, None)], px) for px in (100 * PX, 100 * PX + 1)]
    put_in: list[Record] = [order("B", 2), order("S", 2, Side.SELL), *both]
    stage.feed(*put_in)
    out: list[Record] = [accepted("B", 2), accepted("S", 2, Side.SELL), *stage.out]
    assert last_of(out, "B").avg_px == 100 * PX, "100.0000000005, halves to the even one"
    assert by_name([*put_in, *out])[OFF][1:3] == (0, 0)


def test_an_order_without_its_event_or_an_event_without_its_order_is_off() -> None:
    put_in, out = open_day()
    without = [r for r in [*put_in, *out] if not (isinstance(r, OrderEvent) and r.order_id == "C")]
    assert by_name(without)[OFF].left == 1
    gone = [r for r in put_in if getattr(r, "order_id", "") != "W"]
    lines = by_name([*gone, *out])
    assert lines[OFF].left == 1
    assert lines["orders taken in, and events saying so"][1:3] == (4, 5)


def test_answers_to_requests_and_copies_for_sources_are_no_events_of_orders() -> None:
    put_in, out = open_day()
    refused = replace(last_of(out, "C"), order_id="", event_no=0)
    late = replace(last_of(out, "C"), event_no=0, kind=OrderEventKind.CANCEL_REFUSED)
    copy = SourceEvent(**{name: getattr(last_of(out, "C"), name) for name in OrderEvent.__struct_fields__})
    assert books([*put_in, *out, refused, late, copy]) == books([*put_in, *out])


def test_an_end_told_twice_is_seen_and_a_days_orders_have_all_ended() -> None:
    put_in, out = open_day()
    again = replace(last_of(out, "C"), event_no=9)
    assert by_name([*put_in, *out, again])["orders that ended more than once"].left == 1
    over = Tick(kind=TickKind.DAY_END, now_ns=1, wall_ns=1, trade_date=20260105)
    assert by_name([*put_in, *out, over])["orders, and orders ended when the day is over"][1:3] == (5, 1)


def test_a_line_as_text() -> None:
    assert str(Line("a", 1_000, 1_000)) == "ok   a: 1,000 = 1,000"
    assert str(Line("a", 1_000, 999, (("x", 990), ("y", 9)))) == "OFF  a: 1,000 ≠ 999 = 990 x + 9 y"
