"""The demo's orders each sent alone through the same market, without aggregation or crossing, in the memory host.

A sample of them, spread evenly over the day, is enough to compare costs and takes seconds. First form: the sample's
orders meet a market in which the other orders do not trade, so their cost alone comes out too low.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Final

import msgspec

from pipeline import topology
from pipeline.demo.memory_run import run_in_memory
from pipeline.demo.orders import Sending
from pipeline.demo.scenario import Asked, Scenario, scenario
from pipeline.demo.summary import COSTED
from pipeline.domain.orders import RequestKind
from pipeline.domain.record import Record
from pipeline.topology import AnyStage

SAMPLE_SIZE: Final = 500
"""About how many orders are sent alone."""


def run_alone(asked: Asked, market: str | None, flow: Sequence[AnyStage] = topology.STAGES) -> list[Record]:
    """Run the sample through ``flow``; returns the records that costs are computed from.

    Picklable, so that another process can run it.
    """
    env = {**os.environ, **({"MARKET": market} if market else {})}
    today = scenario(env, orders=asked.orders, seconds=asked.seconds, seed=asked.seed)
    stages = [stage for stage in flow if stage.name != "publishing"]
    host = run_in_memory(today, encode=False, sendings=sample_of(today), stages=stages)
    return [record for record_type in COSTED for record in host.records(record_type)]


def sample_of(today: Scenario) -> list[Sending]:
    """About SAMPLE_SIZE of the valid new orders, at equal distances, without consent to aggregate or cross."""
    good = [
        sending
        for sending in today.sendings
        if sending.request is not None
        and sending.request.kind is RequestKind.NEW
        and sending.request.cl_ord_id
        and not sending.request.cl_ord_id.startswith("BAD")
    ]
    # Repeats and contradictions reuse the ClOrdID of an earlier order.
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
