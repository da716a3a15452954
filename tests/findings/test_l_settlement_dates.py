"""L, settlement: CASH settled after two days, 2012 too, and holidays were not known.

From the client's request to the allocation: intake gives the order its date, by type and the instrument's record of the
day; allocation writes that date on every allocation of the order, whether executed or crossed, busted or late.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.domain.allocations import Allocation, AllocKind, AllocSource
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.orders import Order, SettlementType, Side
from pipeline.domain.parents import CrossKind
from pipeline.stage import Meta
from tests.allocation_builders import begin, bust, cross, fill, order, quiet
from tests.allocation_builders import bench as allocation
from tests.unit.stages.intake.intake_bench import NOW, S, accepted, bench, instrument, new, tick

REGULAR, CASH, NEXT_DAY = SettlementType.REGULAR, SettlementType.CASH, SettlementType.NEXT_DAY


UNDATED: dict[str, Any] = {
    "trade_date": 0, "cash_settlement_date": 0, "next_day_settlement_date": 0, "regular_settlement_date": 0,
}  # fmt: skip
"""An older record: it says nothing of dates."""


def taken_in(trade_date: int, kind: SettlementType, dates: tuple[int, int, int] | None) -> Order:
    """The order as intake hands it on, on a day whose record has ``dates`` (None: an older record without them)."""
    cash, next_day, regular = dates or (0, 0, 0)
    record = instrument(
        trade_date=trade_date if dates else 0, cash_settlement_date=cash, next_day_settlement_date=next_day,
        regular_settlement_date=regular,
    )  # fmt: skip
    made = bench()
    # Past the door, which would see that the bench's session is of another day.
    assert list(made.stage.step(made.state, record, Meta(NOW))) == []
    made.feed(tick(NOW + S, trade_date=trade_date))
    return accepted(made, new(settlement_type=kind))


@pytest.mark.parametrize(
    ("trade_date", "kind", "dates", "settles"),
    [
        # Thanksgiving 2012: Thursday the 22nd is a holiday, Friday a half day.
        (20121121, REGULAR, (20121121, 20121123, 20121127), 20121127),
        (20121121, CASH, (20121121, 20121123, 20121127), 20121121),
        (20121121, NEXT_DAY, (20121121, 20121123, 20121127), 20121123),
        # The last day of T+2 and the first of T+1 settle together.
        (20240524, REGULAR, (20240524, 20240528, 20240529), 20240529),
        (20240528, REGULAR, (20240528, 20240529, 20240529), 20240529),
        # Columbus Day: the exchange trades, banks rest.
        (20241014, CASH, (20241015, 20241015, 20241015), 20241015),
        # Without dates in the record: the cycle of the day over weekdays.
        (20120621, REGULAR, None, 20120626),
        (20120621, CASH, None, 20120621),
        (20120622, NEXT_DAY, None, 20120625),
        (20170901, REGULAR, None, 20170906),
        (20170905, REGULAR, None, 20170907),
        (20240528, REGULAR, None, 20240529),
    ],
)
def test_an_order_settles_by_its_type_on_the_calendars_day(
    trade_date: int, kind: SettlementType, dates: tuple[int, int, int] | None, settles: int
) -> None:
    assert taken_in(trade_date, kind, dates).settlement_date == settles


def test_no_date_is_assumed_where_not_even_the_cycle_is_known() -> None:
    """A yen share was given a date by the US cycle; now 0 says that it is not known, on the allocation too."""
    made = bench()
    made.feed(instrument(**UNDATED, currency="JPY"), tick(NOW + S))
    assert accepted(made, new()).settlement_date == 0
    made.feed(tick(NOW + 2 * S))
    assert [alert.reason for alert in made.all(Alert)] == ["SETTLEMENT_DATE_ASSUMED"]
    stage = allocation()
    _, records = begin([10])
    in_yen = [replace(each, settlement_date=0, currency="JPY") if isinstance(each, Order) else each for each in records]
    stage.feed(*in_yen, fill("f", 10), quiet())
    assert [each.settlement_date for each in stage.all(Allocation)] == [0]


def test_a_settlement_date_by_weekdays_is_told_to_the_desk_once_a_day_and_instrument() -> None:
    made = bench()
    made.feed(instrument(**UNDATED), tick(NOW + S))
    assert made.all(Alert) == [], "nothing was assumed yet"
    for number in range(3):
        accepted(made, new(f"C{number}"))
    accepted(made, new("other", instrument="LATER"))
    made.feed(tick(NOW + 2 * S), tick(NOW + 3 * S))
    (alert,) = [each for each in made.all(Alert) if each.instrument == "AMZN"]
    assert (alert.kind, alert.subject_id, alert.reason) == (AlertKind.BREAK, "AMZN", "SETTLEMENT_DATE_ASSUMED")
    assert alert.at_ns == NOW + 2 * S
    assert "holidays not skipped" in alert.text and "pipeline reference sessions" in alert.text


def test_a_record_of_another_day_gives_no_dates_to_todays_orders() -> None:
    made = bench()
    made.feed(tick(NOW + S, trade_date=20260106))
    assert accepted(made, new()).settlement_date == 20260107, "not the 6th, which the record of the 5th says"
    made.feed(tick(NOW + 2 * S, trade_date=20260106))
    assert [alert.reason for alert in made.all(Alert)] == ["SETTLEMENT_DATE_ASSUMED"]


def settling(order_: Order, date: int) -> Order:
    return replace(order_, settlement_date=date)


def test_every_allocation_of_an_order_carries_its_date() -> None:
    """Executed in an epoch, busted later; two members of one parent settle as each of them asked."""
    stage = allocation()
    lines, records = begin([60, 40])
    dates = dict(zip([line[0] for line in lines], (20121127, 20121121), strict=True))
    done = fill("f", 100)
    orders = [settling(each, dates[each.order_id]) if isinstance(each, Order) else each for each in records]
    stage.feed(*orders, done, quiet(), bust("b", done))
    found = [(each.kind, each.order_id, each.alloc_source, each.settlement_date) for each in stage.all(Allocation)]
    ids = list(dates)
    assert sorted(found, key=lambda row: (row[0] is AllocKind.CANCEL, ids.index(row[1]))) == [
        (AllocKind.NEW, ids[0], AllocSource.EXECUTIONS, 20121127),
        (AllocKind.NEW, ids[1], AllocSource.EXECUTIONS, 20121121),
        (AllocKind.CANCEL, ids[0], AllocSource.EXECUTIONS, 20121127),
        (AllocKind.CANCEL, ids[1], AllocSource.EXECUTIONS, 20121121),
    ]


def test_a_crossed_order_settles_on_its_date_and_so_does_its_bust() -> None:
    stage = allocation()
    buy, sell = settling(order("b", 10), 20240528), settling(order("s", 10, Side.SELL), 20240528)
    stage.feed(buy, sell, cross("X1", [("b", 10, None)], [("s", 10, None)]))
    stage.feed(cross("X2", [("b", 10, None)], [("s", 10, None)], kind=CrossKind.BUST, ref="X1"))
    found = [(each.kind, each.alloc_source, each.settlement_date) for each in stage.all(Allocation)]
    assert (
        found
        == [(AllocKind.NEW, AllocSource.CROSS, 20240528)] * 2 + [(AllocKind.CANCEL, AllocSource.CROSS, 20240528)] * 2
    )


def test_an_order_of_an_older_version_is_given_its_date_when_it_is_read() -> None:
    stage = allocation()
    _, records = begin([10])
    older = [settling(each, 0) if isinstance(each, Order) else each for each in records]
    stage.feed(*older, fill("f", 10), quiet())
    assert [each.settlement_date for each in stage.all(Allocation)] == [20260106], "T+1 in 2026"
