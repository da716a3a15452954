"""Small days of the whole flow through the memory host, run once for all tests that look at them."""

from __future__ import annotations

import dataclasses
from functools import cache

import msgspec

from pipeline.demo.memory_run import run_in_memory
from pipeline.demo.scenario import scenario
from pipeline.domain.record import Record
from pipeline.runtime.memory.host import MemoryHost

_NOWHERE = {"PIPELINE_DATA": "/nowhere"}
"""Simulated markets whatever is recorded beside the checkout."""
P = 2


@cache
def small_day() -> MemoryHost:
    """Forty seconds of the demo: cancels, crosses, repeats and rubbish. Copy what you change."""
    return run_in_memory(scenario(_NOWHERE, orders=120, seconds=40), partitions=P)


@cache
def longer_day() -> MemoryHost:
    """Four minutes, so that parents are worked out of several windows and orders end."""
    return run_in_memory(scenario(_NOWHERE, orders=240, seconds=240), partitions=P)


@cache
def longer_day_alone() -> MemoryHost:
    """The same orders, none of which may be aggregated or crossed."""
    day = scenario(_NOWHERE, orders=240, seconds=240)
    alone = [
        dataclasses.replace(
            sending,
            request=msgspec.structs.replace(sending.request, crossing_consent=False, aggregation_consent=False),
        )
        if sending.request is not None
        else sending
        for sending in day.sendings
    ]
    return run_in_memory(day, partitions=P, sendings=alone)


def records_of(host: MemoryHost) -> list[Record]:
    """Every record, topic by topic."""
    return [
        stored.record for place in sorted(host.topics) for stored in host.topics[place] if stored.record is not None
    ]
