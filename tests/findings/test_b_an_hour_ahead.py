"""B and C on whole days: records stamped an hour ahead, and a feed that says *none* as -1, in the midst of the market.

One quote of an hour ahead froze the collar, the samples of spread and volatility, and the crosses' history; a quote of
-1 ended the worker at an innocent client's order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import pytest
from msgspec.structs import replace

from pipeline.demo.scenario import Scenario, scenario
from pipeline.domain.allocations import Allocation
from pipeline.domain.controls import Alert, AlertKind, Tick, TickKind
from pipeline.domain.executions import ChildOrder, Fill
from pipeline.domain.market import NBBO, BookEvent, BookEventKind, PrintKind, SessionState, TradePrint, VenueStatus
from pipeline.domain.orders import Order, OrderEvent, OrderEventKind
from pipeline.domain.parents import Cross, ParentOrder, Slice
from pipeline.domain.record import Record
from pipeline.domain.units import NS_PER_S as S
from pipeline.runtime.memory.host import MemoryHost
from tests.simulation.decisions import differences, run

HOUR = 3600 * S
DECISIONS = (Order, OrderEvent, ParentOrder, Cross, Slice, ChildOrder, Fill, Allocation)


@cache
def day() -> Scenario:
    return scenario({"PIPELINE_DATA": os.devnull}, orders=120, seconds=60, seed=11)


@cache
def clean() -> MemoryHost:
    return run(day())


def quote(at_ns: int, px: int) -> NBBO:
    return NBBO(
        kind=clean().records(NBBO)[0].kind, instrument="SIMX", feed="strange", event_ns=at_ns, received_ns=at_ns,
        quote_no=1, bid_px=px, bid_qty=100, bid_venue="XNAS", offer_px=px + 2, offer_qty=100, offer_venue="XNAS",
    )  # fmt: skip


AHEAD: dict[str, Callable[[int], Record]] = {
    "quote": lambda at_ns: quote(at_ns + HOUR, 7 * 10**9),
    "print": lambda at_ns: TradePrint(
        kind=PrintKind.TRADE, instrument="SIMX", venue="XNAS", print_id=f"ahead-{at_ns}", event_ns=at_ns + HOUR,
        received_ns=at_ns, px=7 * 10**9, qty=1_000_000,
    ),
    "opening": lambda at_ns: VenueStatus(
        venue="XNAS", instrument="SIMX", state=SessionState.OPEN, event_ns=at_ns + HOUR, received_ns=at_ns
    ),
    "book event": lambda at_ns: BookEvent(
        kind=BookEventKind.CLEAR, venue="XNAS", instrument="SIMX", event_ns=at_ns + HOUR, event_no=10**9
    ),
    "tick": lambda at_ns: Tick(
        kind=TickKind.TICK, now_ns=at_ns + HOUR, wall_ns=at_ns + HOUR, trade_date=day().day.trade_date
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AHEAD)
def test_what_is_stamped_an_hour_ahead_changes_nobodys_decisions(name: str) -> None:
    sent: list[Record] = []

    def before(host: MemoryHost, at_ns: int) -> None:
        if at_ns >= day().day.open_ns + (5 + 10 * len(sent)) * S:
            sent.append(AHEAD[name](at_ns))
            host.publish(sent[-1], at_ns)

    disturbed = run(day(), before=before)
    assert len(sent) >= 5
    for kind in DECISIONS:
        assert differences(clean().records(kind), disturbed.records(kind), ("writer", "seq")) == [], kind.__name__
    told = [alert for alert in disturbed.records(Alert) if alert.kind is AlertKind.SET_ASIDE]
    assert {alert.reason for alert in told} == {"FUTURE_STAMP"}
    assert told[0].at_ns <= day().day.open_ns + 8 * S, "at once"


@pytest.mark.parametrize("px", [-1, 0])
def test_a_feed_that_says_none_as_a_number_stops_nobody(px: int) -> None:
    sent: list[Record] = []

    def before(host: MemoryHost, at_ns: int) -> None:
        if at_ns >= day().day.open_ns + (15 + len(sent)) * S and len(sent) < 20:
            sent.append(replace(quote(at_ns, 10**9), bid_px=px, offer_px=px, quote_no=10**9 + len(sent)))
            host.publish(sent[-1], at_ns)

    host = run(day(), before=before)
    assert len(sent) == 20
    told = [alert for alert in host.records(Alert) if alert.kind is AlertKind.SET_ASIDE]
    assert {(alert.subject_id, alert.reason, alert.instrument) for alert in told} == {
        ("nbbo", "PRICE_NOT_POSITIVE", "SIMX")
    }
    assert [order.request.cl_ord_id for order in host.records(Order)] == [
        order.request.cl_ord_id for order in clean().records(Order)
    ], "everybody is answered as on the day without them"
    answered = [event for event in host.records(OrderEvent) if event.final]
    assert len(answered) == len([event for event in clean().records(OrderEvent) if event.final])
    assert not any(event.kind is OrderEventKind.UNKNOWN for event in answered)
