"""A demo's day through the memory host: no broker, no wall clock, the same every time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

from pipeline import topics, topology
from pipeline.demo.orders import Sending
from pipeline.demo.scenario import Scenario
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Record
from pipeline.gateways.clock import in_steps
from pipeline.runtime.memory.host import MemoryHost
from pipeline.topology import AnyStage

DRAIN_S = 30
"""Session time from the market's end to the day's end."""


def run_in_memory(
    scenario: Scenario,
    *,
    partitions: int = 2,
    stages: Sequence[AnyStage] = topology.STAGES,
    encode: bool = True,
    sendings: Sequence[Sending] | None = None,
    one_unit_per_stage: bool = False,
    progress: Callable[[int], None] = lambda now_ns: None,
) -> MemoryHost:
    """Run the whole day; returns the host with every topic in it.

    `progress` is called about once a second of session time, with it. `encode`: records go through Avro as on a broker;
    without, they are handed on as objects, which is faster, and there is no journal to audit.
    """
    together = _whole(stages) and not one_unit_per_stage
    units = [[stage.name for stage in unit.stages] for unit in topology.units_of(stages)] if together else None
    host = MemoryHost(stages, partitions, encode=encode, units=units)
    last_ns = 0
    for at_ns in published(host, scenario, sendings=sendings, encode=encode):
        host.run()
        if at_ns - last_ns >= 1_000_000_000:
            last_ns = at_ns
            progress(at_ns)
    if encode:
        host.commit()
    return host


def published(
    host: MemoryHost, scenario: Scenario, *, sendings: Sequence[Sending] | None = None, encode: bool = True
) -> Iterator[int]:
    """Publish the day record by record without running a stage; yields each record's append time, ns since 1970."""
    for record in scenario.reference():
        host.publish(record, scenario.day.open_ns)
        yield scenario.day.open_ns
    for at_ns, item in _inputs(scenario, scenario.sendings if sendings is None else sendings):
        if isinstance(item, Sending):
            _send(host, item, at_ns, host.partitions, encode)
        else:
            host.publish(item, at_ns)
        yield at_ns


def _whole(stages: Sequence[AnyStage]) -> bool:
    return [stage.name for stage in stages] == [stage.name for stage in topology.STAGES]


def _inputs(scenario: Scenario, sendings: Sequence[Sending]) -> Iterator[tuple[int, Record | Sending]]:
    """Market, clock and orders in order of time; an order comes after market records of the same moment."""
    end_ns = scenario.end_ns + DRAIN_S * 1_000_000_000
    market = _timed(in_steps(scenario.market_window(), scenario.day.open_ns, end_ns, scenario.day.trade_date))
    for record in scenario.earlier():
        yield scenario.day.open_ns, record
    sent: Iterator[tuple[int, Record | Sending]] = ((sending.at_ns, sending) for sending in sendings)
    yield from heapq.merge(market, sent, key=lambda pair: pair[0])


def _timed(records: Iterator[Record]) -> Iterator[tuple[int, Record | Sending]]:
    now_ns = 0
    for record in records:
        now_ns = max(now_ns, getattr(record, "now_ns", 0) or getattr(record, "event_ns", 0))
        yield now_ns, record


def _send(host: MemoryHost, sending: Sending, at_ns: int, partitions: int, encode: bool) -> None:
    own = partition_of(sending.source, partitions)
    partition = (own + 1) % partitions if sending.misplaced else own
    if sending.request is not None:
        host.publish(sending.request, at_ns, partition)
    elif sending.raw is not None and encode:
        host.publish_raw(topics.ORDERS_IN, sending.source.encode(), sending.raw, at_ns, partition)
