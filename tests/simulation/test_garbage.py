"""A day with garbage among its records gives the same decisions for those who had nothing to do with it.

Garbage here is what the door keeps out whole, and orders of a source that nobody knows. A record that the door believes
in part is another matter: a quote with an impossible bid makes the bid unknown, and is meant to.
"""

from __future__ import annotations

import os
import random

import pytest

from pipeline.demo.scenario import Scenario, scenario
from pipeline.domain.allocations import Allocation, Reconciliation, TradeReport
from pipeline.domain.analytics import Bar, TCARow
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import ChildOrder, Fill, VenueReport
from pipeline.domain.market import NBBO
from pipeline.domain.orders import Order, OrderEvent, OrderRequest
from pipeline.domain.parents import Cross, EpochClosed, Lineage, ParentOrder, Slice
from pipeline.domain.record import Record
from pipeline.domain.validators.table import VALIDATORS
from pipeline.runtime.memory.host import MemoryHost
from tests.fuzz.flow import FROM_OUTSIDE, unnumbered
from tests.fuzz.records import Generator, Vocabulary
from tests.simulation.decisions import differences, run

STRANGER = "stranger"
SHARE = 0.3
"""Of the day's inputs, how many have garbage before them."""

DECISIONS = (
    Order, OrderEvent, Lineage, ParentOrder, Cross, EpochClosed, Slice, ChildOrder, VenueReport, Fill, Allocation,
    Reconciliation, TradeReport, TCARow, Bar, Alert,
)  # fmt: skip


def of_the_innocent(host: MemoryHost, kind: type[Record], sent: list[Record]) -> list[Record]:
    """The records of a kind, without the garbage and what answers it."""
    garbage = {id(record) for record in sent}
    return [
        record
        for record in host.records(kind)
        if id(record) not in garbage
        and not (isinstance(record, Alert) and record.kind is AlertKind.SET_ASIDE)
        and not (isinstance(record, OrderEvent) and record.source == STRANGER)
    ]


class Sender:
    """Publishes garbage before some of the day's records."""

    def __init__(self, clean: MemoryHost, seed: int) -> None:
        self.sent: list[Record] = []
        self._draw = random.Random(seed)
        self._known = Vocabulary(unnumbered(record) for kind in FROM_OUTSIDE for record in clean.records(kind))

    def __call__(self, host: MemoryHost, at_ns: int) -> None:
        if self._draw.random() >= SHARE:
            return
        kinds: list[type[Record]] = [*VALIDATORS, OrderRequest]
        kind = self._draw.choice(kinds)
        record = unnumbered(Generator(self._draw, self._known, at_ns).like(kind))
        if isinstance(record, OrderRequest):
            record = self._from_a_stranger(record)
        elif VALIDATORS[kind].check(record).record is not None:
            return
        self.sent.append(record)
        host.publish(record, at_ns)

    def _from_a_stranger(self, request: OrderRequest) -> OrderRequest:
        return OrderRequest(
            **{name: getattr(request, name) for name in request.__struct_fields__}
            | {"source": STRANGER, "cl_ord_id": f"G{len(self.sent)}"}
        )


@pytest.fixture(scope="module", params=[5, 6])
def days(request: pytest.FixtureRequest) -> tuple[MemoryHost, MemoryHost, list[Record]]:
    """The day as it is, the day with garbage, and the garbage."""
    today: Scenario = scenario({"PIPELINE_DATA": os.devnull}, orders=160, seconds=90, seed=request.param)
    clean = run(today)
    sender = Sender(clean, request.param)
    return clean, run(today, before=sender), sender.sent


def test_there_is_garbage_of_every_kind_that_has_a_door(days: tuple[MemoryHost, MemoryHost, list[Record]]) -> None:
    # A quote is rarely kept out whole: of one that is wrong a side becomes unknown.
    assert {type(record) for record in days[2]} | {NBBO} == {*VALIDATORS, OrderRequest}


@pytest.mark.parametrize("kind", DECISIONS, ids=lambda kind: str(kind.__name__))
def test_garbage_changes_nothing_for_the_innocent(
    days: tuple[MemoryHost, MemoryHost, list[Record]], kind: type[Record]
) -> None:
    clean, disturbed, sent = days
    expected = of_the_innocent(clean, kind, [])
    assert len(expected) > 10
    assert differences(expected, of_the_innocent(disturbed, kind, sent), ("writer", "seq")) == []


def test_the_desk_hears_of_what_was_set_aside(days: tuple[MemoryHost, MemoryHost, list[Record]]) -> None:
    told = {alert.subject_id for alert in days[1].records(Alert) if alert.kind is AlertKind.SET_ASIDE}
    assert told | {"nbbo"} == {validator.topic for validator in VALIDATORS.values()}
