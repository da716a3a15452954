"""The stage keeps its promises for a router that has several children of a slice at venues at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_type_hints

import pytest

from pipeline.domain.executions import ChildOrder, FillKind
from pipeline.domain.parents import SliceKind
from pipeline.domain.record import Owned
from pipeline.stages.routing.child_orders import through_the_gate
from pipeline.stages.routing.closing import close, has_expired, take_back, why_closed
from pipeline.stages.routing.open_slice import OpenSlice
from pipeline.stages.routing.parameters import RoutingParameters
from pipeline.stages.routing.routers.table import ROUTERS
from pipeline.stages.routing.state import RoutingState
from pipeline.stages.routing.venue_selection import VenueChoice
from tests.unit.stages.routing.routing_bench import RoutingBench, kinds


class TwoHalves:
    """A router that rests half of a slice at each of two venues."""

    def __init__(self) -> None:
        self.ticked: list[int] = []
        """The slices it was asked about at ticks, by number."""

    def on_slice(self, state: RoutingState, open_slice: OpenSlice) -> Iterator[Owned]:
        instrument = state.instruments.get("A", state.now_ns)
        assert instrument is not None
        venues = state.venues.standing(state.now_ns)
        choice = VenueChoice(state.market, state.scorecards, state.switches, state.parameters)
        for _ in range(2):
            placement = choice.next_child(open_slice, open_slice.slice.qty // 2, instrument, venues, ())
            assert not isinstance(placement, str)
            child = through_the_gate(state, open_slice, placement)
            assert isinstance(child, ChildOrder)
            yield child

    def on_child_ended(self, state: RoutingState, open_slice: OpenSlice) -> Iterator[Owned]:
        parent = state.ledger.parents[open_slice.slice.parent_id]
        if not open_slice.child_ids:
            yield from close(state, open_slice, parent, why_closed(state, open_slice, parent) or "VENUES_EXHAUSTED")

    def on_tick(self, state: RoutingState, open_slice: OpenSlice) -> Iterable[Owned]:
        self.ticked.append(open_slice.slice.slice_no)
        if open_slice.closing or not has_expired(state, open_slice):
            return ()
        return take_back(state, [state.ledger.children[child_id] for child_id in open_slice.child_ids], "EXPIRED")


@pytest.fixture
def router() -> TwoHalves:
    return TwoHalves()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, router: TwoHalves) -> RoutingBench:
    monkeypatch.setitem(ROUTERS, "TWO_HALVES", router)
    return RoutingBench(router="TWO_HALVES")


def test_a_slice_closes_once_when_its_last_child_has_ended(bench: RoutingBench) -> None:
    one, two = bench.sent(bench.slice(100))
    assert (one.venue, two.venue, one.order_qty, two.order_qty) == ("LITA", "LITB", 50, 50)
    assert kinds(bench.trade(one, 50)) == ["Fill:TRADE"]
    bench.trade(two, 20)
    out = bench.canceled(two, cum_qty=20)
    assert kinds(out) == ["Fill:RETURNED"]
    (returned,) = bench.fills(FillKind.RETURNED, out)
    assert (returned.last_qty, returned.child_id, returned.reason) == (30, two.child_id, "VENUES_EXHAUSTED")


@pytest.mark.parametrize("why", ["EXPIRED", "FINISH"])
def test_all_children_of_a_slice_are_taken_back(bench: RoutingBench, why: str) -> None:
    one, two = bench.sent(bench.slice(100, lasts_s=3))
    bench.ack(one)
    bench.ack(two)
    out = bench.after(3) if why == "EXPIRED" else bench.slice(kind=SliceKind.FINISH)
    first, second = bench.cancels(out)
    assert (first.child_id, second.child_id) == (one.child_id, two.child_id)
    assert bench.canceled(one, first) == []
    out = bench.canceled(two, second)
    assert bench.fills(FillKind.RETURNED, out)[0].reason == why
    assert bool(bench.fills(FillKind.QUIET, out)) == (why == "FINISH")


def test_a_tick_asks_the_router_once_about_every_open_slice(bench: RoutingBench, router: TwoHalves) -> None:
    bench.slice(100)
    one, _ = bench.sent(bench.slice(40))
    bench.trade(one, 20)
    router.ticked.clear()
    bench.after(1)
    assert router.ticked == [1, 2]


def test_every_router_can_be_chosen_by_the_parameters_and_no_other() -> None:
    annotation = get_type_hints(RoutingParameters, include_extras=True)["router"]
    (allowed,) = annotation.__metadata__
    assert set(allowed.choices) == set(ROUTERS)
