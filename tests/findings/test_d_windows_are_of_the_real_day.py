"""Finding D: a parent's window comes from reality, not from the request."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.controls import ControlKind, ControlScope, TickKind
from pipeline.domain.market import SessionState, VenueStatus
from pipeline.domain.orders import Completion, Side, Strategy
from pipeline.domain.parents import ParentOrder
from pipeline.domain.reference import Instrument, ReferenceKind
from pipeline.domain.units import NS_PER_S, PX_ONE
from tests.findings.slicing_bench import BOTH_SIDES, Desk, Told
from tests.unit.stages.slicing.test_stage import CENT, control, parent, s

STRATEGIES = (Strategy.TWAP, Strategy.VWAP, Strategy.POV, Strategy.IS)


def instrument(effective: int = 0, opens: int = 0, closes: int = 23_400, **changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "kind": ReferenceKind.SET,
        "instrument": "X",
        "effective_ns": s(effective),
        "tick_px": CENT,
        "session_open_ns": s(opens),
        "session_close_ns": s(closes),
        "reference_px": 100 * PX_ONE,
        "daily_volume_qty": 23_400_000,
    }
    return Instrument(**{**fields, **changes})


def status(state: SessionState, second: int, venue: str = "V") -> VenueStatus:
    return VenueStatus(venue=venue, instrument="X", state=state, event_ns=s(second), received_ns=s(second))


def must(**changes: Any) -> ParentOrder:
    return parent(completion=Completion.MUST, **changes)


# ---------------------------------------------------------------------- the beginning


@pytest.mark.parametrize(("strategy", "side"), list(zip(STRATEGIES, BOTH_SIDES * 2, strict=True)))
@pytest.mark.parametrize("start_ns", [0, s(-3 * 3600), s(20)], ids=["1970", "three hours ago", "now"])
def test_a_start_in_the_past_is_a_start_now(start_ns: int, strategy: Strategy, side: Side) -> None:
    desk = Desk()
    desk.run(20)
    desk.feed(parent(strategy=strategy, side=side, start_ns=start_ns, end_ns=s(260)))
    desk.run(260)
    # Evenly from 20 to 260: 4 1/6 in a second, each slice at least 20.
    assert [desk.done(until=second) for second in (46, 60, 120, 260)] == [104, 166, 416, 1000]


def test_work_begins_with_the_session_when_the_start_is_before_it() -> None:
    desk = Desk()
    desk.feed(instrument(opens=100), must(end_ns=s(200)))
    desk.run(100)
    assert desk.done() == 0
    desk.run(150)
    assert 480 <= desk.done() <= 500
    desk.run(200)
    assert (desk.done(), desk.alerts()) == (1000, [])


def test_a_market_that_opens_late_is_not_caught_up_with_at_once() -> None:
    desk = Desk()
    desk.feed(status(SessionState.PRE_OPEN, 0), parent(end_ns=s(200)))
    desk.run(99)
    desk.feed(status(SessionState.OPEN, 100))
    desk.run(110)
    assert 80 <= desk.done() <= 100, "a tenth of what is left of the time, not half of the order"
    desk.run(200)
    assert desk.done() == 1000


@pytest.mark.parametrize("side", BOTH_SIDES)
def test_a_halt_eats_of_the_window_and_the_rest_is_spread_over_what_is_left(side: Side) -> None:
    desk = Desk()
    desk.feed(must(side=side, end_ns=s(400)))
    desk.run(100)
    done = desk.done()
    assert 230 <= done <= 250
    desk.feed(status(SessionState.HALTED, 100))
    desk.run(200)
    desk.feed(status(SessionState.OPEN, 200))
    assert desk.done() == done
    desk.run(205)
    assert desk.done() <= done + 40, "what was not done in the halt is not caught up at once"
    desk.run(300)
    assert 600 <= desk.done() <= 625
    desk.run(400)
    assert desk.done() == 1000
    assert desk.alerts() == [Told("NOT_WORKED", 196)], "a quarter behind, and halted"


def test_a_pause_by_the_desk_is_not_caught_up_with_at_once() -> None:
    desk = Desk()
    desk.feed(parent(end_ns=s(400)))
    desk.run(100)
    desk.feed(control(ControlKind.PAUSE, ControlScope.PARENT, "P1"))
    done = desk.done()
    desk.run(200)
    assert desk.done() == done
    desk.feed(control(ControlKind.RESUME, ControlScope.PARENT, "P1"))
    desk.run(210)
    assert done < desk.done() <= done + 60
    desk.run(400)
    assert desk.done() == 1000


def test_a_cap_counts_the_volume_of_its_own_window_only() -> None:
    desk = Desk()
    desk.feed(parent(start_ns=s(50), participation_cap=100_000))
    desk.run(10)
    desk.print(9_000)
    desk.run(60)
    assert desk.done() == 0, "what was traded before the start gives no right to trade after it"
    desk.print(900)
    desk.run(90)
    assert desk.done() == 100  # a tenth of the 1,000 that everybody trades since then


# ---------------------------------------------------------------------- the end


@pytest.mark.parametrize(("strategy", "side"), list(zip(STRATEGIES, BOTH_SIDES * 2, strict=True)))
def test_an_early_close_in_the_reference_data_pulls_the_end_in(strategy: Strategy, side: Side) -> None:
    desk = Desk()
    desk.feed(instrument(closes=2_340), must(strategy=strategy, side=side, order_qty=10_000, end_ns=s(2_340)))
    desk.run(900, every=2)
    at_noon = desk.done()
    assert 3_600 <= at_noon <= 3_847
    desk.feed(instrument(effective=900, closes=1_260))
    desk.run(910, every=2)
    assert desk.done() - at_noon <= 420, "nothing is caught up at once"
    desk.run(1_260, every=2)
    assert (desk.done(), desk.alerts()) == (10_000, [])
    assert desk.finish() <= 1_260


def test_an_early_close_announced_in_advance_is_planned_for() -> None:
    desk = Desk()
    desk.feed(instrument(effective=180, closes=200), must(end_ns=s(400)))
    desk.run(100)
    assert 480 <= desk.done() <= 500
    desk.run(200)
    assert (desk.done(), desk.alerts()) == (1_000, [])


@pytest.mark.parametrize("venues", [("V",), ("V", "W")])
def test_an_early_close_told_by_the_venues_ends_it_then_with_an_alert(venues: tuple[str, ...]) -> None:
    desk = Desk()
    desk.feed(*[status(SessionState.OPEN, 0, venue) for venue in venues], must(order_qty=10_000, end_ns=s(2_340)))
    desk.run(900, every=5)
    done = desk.done()
    for venue in venues[:-1]:
        desk.feed(status(SessionState.CLOSED, 900, venue))
    desk.run(1_000, every=5)
    assert desk.done() > done and desk.told == [], "one venue is open"
    done = desk.done()
    desk.feed(status(SessionState.CLOSED, 1_000, venues[-1]))
    desk.run(1_020, every=5)
    assert desk.done() == done
    assert desk.told == [Told("NOT_WORKED", 1_005), Told("FINISH", 1_005)]


def test_a_session_that_is_extended_gives_its_time_back() -> None:
    desk = Desk()
    desk.feed(instrument(closes=200), parent(end_ns=s(400)))
    desk.run(100)
    assert desk.done() == 500
    desk.feed(instrument(effective=100, closes=300))
    desk.run(200)
    assert 740 <= desk.done() <= 750
    desk.run(300)
    assert desk.done() == 1_000
    assert 290 <= desk.finish() <= 300, "all of it is due in the last moment of ten seconds"


def test_an_end_after_the_close_is_the_close() -> None:
    desk = Desk()
    desk.feed(instrument(closes=100), must(end_ns=s(500)))
    desk.run(50)
    assert desk.done() == 500
    desk.run(120)
    assert (desk.done(), desk.alerts()) == (1_000, [])
    assert desk.finish() <= 100


def test_a_window_after_the_close_is_told_at_once() -> None:
    desk = Desk()
    desk.feed(must(start_ns=s(500), end_ns=s(900)))
    desk.run(10)
    assert desk.told == []
    desk.feed(instrument(effective=10, closes=400))
    desk.run(410)
    assert desk.told == [Told("NO_TIME", 11), Told("FINISH", 400)]


def test_the_days_end_ends_what_is_open_with_an_alert() -> None:
    desk = Desk()
    desk.feed(must(end_ns=s(1_000)))
    desk.run(100)
    desk.run(101, kind=TickKind.DAY_END)
    assert desk.told == [Told("UNFILLED", 101), Told("FINISH", 101)]


# ---------------------------------------------------------------------- bins


def test_volume_bins_count_from_the_sessions_own_opening() -> None:
    curve = VolumeCurve(
        instrument="X",
        version=1,
        trade_date=20260105,
        day_start_ns=s(-3_600),  # made for a day that opened an hour earlier by the clock in use
        bin_ns=100 * NS_PER_S,
        fractions=(100_000_000, 900_000_000),
        day_count=1,
        daily_volume_qty=1_000,
    )
    desk = Desk()
    desk.feed(instrument(closes=200), curve, parent(strategy=Strategy.VWAP, end_ns=s(200)))
    desk.run(100)
    assert 80 <= desk.done() <= 100
