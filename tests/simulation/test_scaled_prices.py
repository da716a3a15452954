"""A day with all prices, ticks, fees and limits of money times ten is the same day: same quantities, venues, times."""

from __future__ import annotations

import os

import msgspec
import pytest

from pipeline import topology
from pipeline.demo.scenario import scenario
from pipeline.domain.allocations import Allocation, TradeReport
from pipeline.domain.controls import Alert
from pipeline.domain.executions import ChildOrder, Fill, VenueReport
from pipeline.domain.orders import Order, OrderEvent
from pipeline.domain.parents import Cross, EpochClosed, ParentOrder, Slice
from pipeline.domain.record import Record
from pipeline.runtime.memory.host import MemoryHost
from pipeline.topology import AnyStage, FlowParameters
from tests.simulation.decisions import differences, run, scaled

FACTOR = 10

DECISIONS: tuple[tuple[type[Record], tuple[str, ...]], ...] = (
    (Order, ()),
    # An average is rounded to 1e-9 currency units; of ten times the prices it has one digit more. Texts name prices.
    (OrderEvent, ("avg_px", "last_px", "text")),
    # A bucket is named by a hash of its terms, the limit price among them; arrival is an average over the members.
    (ParentOrder, ("bucket_id", "arrival_px")),
    (Cross, ()),
    (EpochClosed, ()),
    (Slice, ()),
    # The candidates' expected costs are quantised where they leave the model.
    (ChildOrder, ("candidates",)),
    (VenueReport, ()),
    (Fill, ()),
    (Allocation, ("alloc_avg_px", "net_money", "fee", "residual")),
    (TradeReport, ()),
    (Alert, ("text",)),
)
"""Everything decided and booked, with the fields that rounding makes differ in their last digit."""


def stages(factor: int) -> tuple[AnyStage, ...]:
    """The flow with the gate's own limits of money times ``factor``."""
    gate = FlowParameters().routing.gate
    larger = msgspec.structs.replace(
        gate, max_child_value=gate.max_child_value * factor, max_exposure=gate.max_exposure * factor
    )
    routing = msgspec.structs.replace(FlowParameters().routing, gate=larger)
    return topology.flow(FlowParameters(routing=routing))


@pytest.fixture(scope="module", params=[5, 6])
def days(request: pytest.FixtureRequest) -> tuple[MemoryHost, MemoryHost]:
    """The day as it is, and at ten times the prices."""
    today = scenario({"PIPELINE_DATA": os.devnull}, orders=160, seconds=90, seed=request.param)
    return run(today, stages(1)), run(today, stages(FACTOR), lambda record: scaled(record, FACTOR))


@pytest.mark.parametrize(("kind", "rounded"), DECISIONS, ids=lambda each: getattr(each, "__name__", ""))
def test_ten_times_the_prices_are_the_same_decisions(
    days: tuple[MemoryHost, MemoryHost], kind: type[Record], rounded: tuple[str, ...]
) -> None:
    as_it_is, larger = days
    expected = [scaled(record, FACTOR) for record in as_it_is.records(kind)]
    assert len(expected) > (0 if kind is Alert else 10)
    assert differences(expected, larger.records(kind), rounded) == []


def test_a_price_that_is_not_scaled_is_noticed(days: tuple[MemoryHost, MemoryHost]) -> None:
    as_it_is, larger = days
    assert differences(as_it_is.records(Fill), larger.records(Fill)) != []
