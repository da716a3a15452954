"""What working together saved, on the two days of the demo's orders."""

from __future__ import annotations

from pipeline.tca.savings import savings
from tests.days import longer_day, longer_day_alone, records_of


def test_on_the_demos_orders_the_two_days_are_the_same_orders_and_only_one_crosses() -> None:
    found = savings(records_of(longer_day()), records_of(longer_day_alone()))
    assert found.together.orders == found.alone.orders > 100
    assert found.together.order_qty == found.alone.order_qty
    assert found.together.crossed_qty > 0 == found.alone.crossed_qty
    assert found.together.children < found.alone.children
    assert found.crossing_bound > 0 and found.saved is not None
