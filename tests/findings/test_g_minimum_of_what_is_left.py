"""Finding G: a minimum, or a lot, applies to what is left only as far as it can."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.orders import Completion, Side
from pipeline.domain.reference import Instrument
from tests.findings.slicing_bench import BOTH_SIDES, Desk
from tests.findings.test_d_windows_are_of_the_real_day import instrument
from tests.unit.stages.slicing.test_stage import parent, quote, s


def must(**changes: Any) -> Any:
    return parent(completion=Completion.MUST, **changes)


@pytest.mark.parametrize("side", BOTH_SIDES)
@pytest.mark.parametrize("min_qty", [0, 1, 100, 333, 500, 501, 999, 1_000])
def test_a_must_order_with_a_minimum_is_completed(min_qty: int, side: Side) -> None:
    desk = Desk()
    desk.feed(must(min_qty=min_qty, side=side, end_ns=s(240)))
    desk.run(240)
    assert (desk.done(), desk.alerts()) == (1_000, [])
    first, *rest = desk.slices
    assert first.qty >= min_qty and first.min_qty == min_qty
    assert {slice_.min_qty for slice_ in rest} <= {0}, "once so much is executed the minimum is met"


def test_a_minimum_waits_for_a_slice_of_its_size_and_never_sends_a_smaller_one() -> None:
    desk = Desk()
    desk.answers = False
    desk.feed(parent(min_qty=500, end_ns=s(240)))
    desk.run(119)
    assert desk.slices == []
    desk.run(241)
    assert min(slice_.qty for slice_ in desk.slices) >= 500
    assert {slice_.min_qty for slice_ in desk.slices} == {500}


@pytest.mark.parametrize("cap", [300_000, 900_000])
def test_what_a_cap_leaves_below_the_minimum_is_not_sent(cap: int) -> None:
    desk = Desk()
    desk.feed(must(min_qty=500, participation_cap=cap, end_ns=s(240)))
    desk.run(1)
    desk.print(600)  # allows 257, or 5,400
    desk.run(239)
    assert desk.done() == (1_000 if cap == 900_000 else 0)


def test_more_than_is_left_is_no_minimum() -> None:
    desk = Desk()
    desk.feed(must(order_qty=300, min_qty=500))
    desk.run(100)
    assert (desk.done(), [slice_.min_qty for slice_ in desk.slices]) == (300, [300])


def test_a_book_without_the_minimum_gets_nothing() -> None:
    desk = Desk()
    desk.feed(parent(min_qty=500))
    for second in range(1, 100):
        desk.feed(quote(second, qty=400))
        desk.run(second, quotes=False)
    assert desk.slices == []


def lots(lot_qty: int) -> Instrument:
    return instrument(lot_qty=lot_qty)


@pytest.mark.parametrize("side", BOTH_SIDES)
@pytest.mark.parametrize("order_qty", [50, 100, 150, 1_050])
def test_a_rest_below_the_lot_is_sent_as_it_is(order_qty: int, side: Side) -> None:
    desk = Desk()
    desk.feed(lots(100), must(order_qty=order_qty, side=side, end_ns=s(240)))
    desk.run(240)
    assert (desk.done(), desk.alerts()) == (order_qty, [])
    assert [slice_.qty % 100 for slice_ in desk.slices[:-1]] == [0] * (len(desk.slices) - 1)
    assert desk.slices[-1].qty % 100 == order_qty % 100


def test_a_cap_below_a_lot_sends_nothing_odd() -> None:
    desk = Desk()
    desk.feed(lots(100), parent(participation_cap=100_000))
    desk.run(1)
    desk.print(720)
    desk.run(99)
    assert desk.slices == []
