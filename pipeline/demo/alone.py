"""The same orders, each sent alone through the same market: no aggregation, no crossing. In the memory host.

A sample of them, evenly over the day, is enough to compare costs and is done in seconds. First form: the sample's
orders meet the market without the others' presence in it, which flatters being alone.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Final

import msgspec

from pipeline import topology
from pipeline.demo.memory_run import run_in_memory
from pipeline.demo.orders import Sending
from pipeline.demo.scenario import Asked, Scenario, scenario
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.orders import Order, OrderKind, RequestKind

SAMPLE_SIZE: Final = 500


class Alone(msgspec.Struct, frozen=True):
    """What the sampled orders got alone: per (source, ClOrdID), its latest TCA row; and which were sampled."""

    sampled: tuple[tuple[str, str], ...]
    rows: dict[tuple[str, str], TCARow]


def run_alone(_size: int, asked: Asked, market: str | None) -> Alone:
    """Run the sample; can be called in another process."""
    env = {**os.environ, **({"MARKET": market} if market else {})}
    today = scenario(env, orders=asked.orders, seconds=asked.seconds, seed=asked.seed)
    sample = sample_of(today)
    stages = [stage for stage in topology.STAGES if stage.name != "publishing"]
    host = run_in_memory(today, encode=False, sendings=sample, stages=stages)
    names = {
        order.order_id: (order.request.source, order.request.cl_ord_id)
        for order in host.records(Order)
        if order.kind is OrderKind.NEW
    }
    rows = {
        names[row.subject_id]: row
        for row in host.records(TCARow)
        if row.level is TCALevel.ORDER and row.subject_id in names
    }
    return Alone(tuple((s.source, s.request.cl_ord_id) for s in sample if s.request is not None), rows)


def sample_of(today: Scenario) -> list[Sending]:
    """Every so many-th good new order, changed to stand alone."""
    good = [
        sending
        for sending in today.sendings
        if sending.request is not None
        and sending.request.kind is RequestKind.NEW
        and sending.request.cl_ord_id
        and not sending.request.cl_ord_id.startswith("BAD")
    ]
    # Repeats and contradictions have the id of an order before them.
    first: dict[tuple[str, str], Sending] = {}
    for sending in good:
        assert sending.request is not None
        first.setdefault((sending.source, sending.request.cl_ord_id), sending)
    every = max(1, len(first) // SAMPLE_SIZE)
    return [_alone(sending) for sending in list(first.values())[::every]]


def _alone(sending: Sending) -> Sending:
    assert sending.request is not None
    request = msgspec.structs.replace(sending.request, aggregation_consent=False, crossing_consent=False)
    return dataclasses.replace(sending, request=request)
