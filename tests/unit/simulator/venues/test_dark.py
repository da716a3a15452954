from collections import Counter

import pytest

from pipeline.domain.executions import Liquidity
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.simulator.venues.dark import DarkState, HiddenInterest, Interest, interest_of, match, next_arrival_ns
from pipeline.simulator.venues.orders import VenueOrder

HOUR = 3_600 * 10**9
STOCK = Instrument(
    kind=ReferenceKind.SET, instrument="I", effective_ns=0, tick_px=10_000_000, session_open_ns=0,
    session_close_ns=6 * HOUR, reference_px=10**11, daily_volume_qty=1_000_000,
)  # fmt: skip
BUYERS = Interest(1, Side.BUY, 100, 1, 0, 10)


def order(side: Side, qty: int, limit_px: int | None = None, min_qty: int = 0) -> VenueOrder:
    kind = OrdType.PEGGED_MIDPOINT
    return VenueOrder("D", "I", "W", 1, side, kind, TimeInForce.DAY, limit_px, qty, min_qty, leaves_qty=qty)


def test_interest_is_the_same_whenever_and_in_whatever_order_it_is_asked_for() -> None:
    parameters = HiddenInterest()
    cells = list(range(500))
    forwards = {cell: interest_of(cell, parameters, 7, "D", STOCK) for cell in cells}
    backwards = {cell: interest_of(cell, parameters, 7, "D", STOCK) for cell in reversed(cells)}
    assert forwards == backwards
    assert forwards != {cell: interest_of(cell, parameters, 8, "D", STOCK) for cell in cells}
    # Frozen: another version of Python must draw the same.
    assert [i and (i.side.value, i.qty, i.min_qty) for i in map(forwards.__getitem__, range(4))] == FROZEN


FROZEN: list[tuple[str, int, int] | None] = [("BUY", 30, 25), ("BUY", 51, 1), ("SELL", 43, 25), None]


def test_a_days_interest_is_the_share_that_was_asked_for() -> None:
    parameters = HiddenInterest()
    cells = range(6 * HOUR // parameters.cell_ns)
    found = [i for cell in cells if (i := interest_of(cell, parameters, 1, "D", STOCK)) is not None]
    total = sum(i.qty for i in found)
    assert 0.9 * 150_000 < total < 1.1 * 150_000
    sides = Counter(i.side for i in found)
    assert 0.9 < sides[Side.BUY] / sides[Side.SELL] < 1.1
    assert all(i.min_qty <= i.qty and i.from_ns < i.until_ns for i in found)


def test_the_next_arrival_is_the_first_one_after() -> None:
    parameters = HiddenInterest()
    arrivals = sorted(
        i.from_ns for cell in range(200) if (i := interest_of(cell, parameters, 3, "D", STOCK)) is not None
    )
    after_ns, walked = 0, []
    while (at_ns := next_arrival_ns(after_ns, 200 * parameters.cell_ns - 1, parameters, 3, "D", STOCK)) is not None:
        walked.append(at_ns)
        after_ns = at_ns
    assert walked == arrivals


@pytest.mark.parametrize(
    ("mine", "interest", "executed", "why"),
    [
        (order(Side.SELL, 60), BUYERS, 60, "the smaller of the two"),
        (order(Side.SELL, 160), BUYERS, 100, "the smaller of the two"),
        (order(Side.BUY, 60), BUYERS, 0, "same side"),
        (order(Side.SELL, 60, limit_px=51), BUYERS, 0, "the midpoint is beyond the limit"),
        (order(Side.SELL, 60, limit_px=50), BUYERS, 60, "the midpoint is at the limit"),
        (order(Side.SELL, 160, min_qty=101), BUYERS, 0, "less than our minimum"),
        (order(Side.SELL, 60, min_qty=101), BUYERS, 60, "a minimum above the rest asks for all of it"),
        (order(Side.SELL, 60), BUYERS._replace(min_qty=61), 0, "less than their minimum"),
    ],
)
def test_who_meets_whom(mine: VenueOrder, interest: Interest, executed: int, why: str) -> None:
    state = DarkState()
    match([mine], 50, interest, state, Liquidity.REMOVED)
    assert (mine.cum_qty, state.used_qty) == (executed, executed), why


def test_interest_is_used_up_in_time_order() -> None:
    state = DarkState()
    first, second = order(Side.SELL, 70), order(Side.SELL, 70)
    match([first, second], 50, BUYERS, state, Liquidity.ADDED)
    assert (first.cum_qty, second.cum_qty) == (70, 30)
    third = order(Side.SELL, 70)
    match([third], 50, BUYERS, state, Liquidity.ADDED)
    assert third.cum_qty == 0
    match([third], 50, BUYERS._replace(cell=2), state, Liquidity.ADDED)
    assert third.cum_qty == 70
