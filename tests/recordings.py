"""Recordings of a small day of the whole flow, to be compared, cut, crashed and tampered with."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import fields, replace
from functools import cache
from itertools import islice

from pipeline import topology
from pipeline.audit.findings import Finding
from pipeline.audit.seal import SealFile
from pipeline.audit.seal_check import check
from pipeline.audit.verify import Audit
from pipeline.demo.memory_run import published
from pipeline.demo.scenario import Scenario, scenario
from pipeline.domain.record import Owned
from pipeline.runtime.auditing.replaying import MemoryLog, journal_of, places_of, replay_of
from pipeline.runtime.auditing.seal import seal_recording
from pipeline.runtime.auditing.verify import Recording, audit, entry_decoder, guarded, recording_of, swept
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.memory.host import MemoryHost, StoredRecord
from pipeline.runtime.worker.wiring import AnyStage, inputs_of, outputs_of
from pipeline.topics import topic_named

P = 2
Topics = dict[tuple[str, int], list[StoredRecord]]
Image = dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]]
IDS = LocalIds()
CODEC = Codec(IDS)
NAMES = tuple(stage.name for stage in topology.STAGES)
UNITS = [[stage.name for stage in unit.stages] for unit in topology.UNITS]
APART = [[name] for name in NAMES]
TOGETHER = [list(NAMES)]
ARRANGEMENTS = {"units": UNITS, "apart": APART, "together": TOGETHER}


class ShortHistory(Scenario):
    """With every ninth print of earlier days: they would be most of a small day's records."""

    def earlier(self) -> Iterator[Owned]:
        return islice(super().earlier(), 0, None, 9)


@cache
def small(seed: int = 2012, orders: int = 60, seconds: int = 40) -> Scenario:
    """A simulated market whatever is recorded beside the checkout."""
    whole = scenario({"PIPELINE_DATA": "/nowhere"}, orders=orders, seconds=seconds, seed=seed)
    return ShortHistory(**{each.name: getattr(whole, each.name) for each in fields(whole)})


def host_of(
    day: Scenario,
    units: Sequence[Sequence[str]] = UNITS,
    boundary: Callable[[], bool] | None = None,
    lost: Callable[[], bool] | None = None,
) -> MemoryHost:
    """The day published to a host, nothing of it run."""
    host = MemoryHost(topology.STAGES, P, CODEC, units=units, boundary=boundary, lost=lost)
    for _ in published(host, day):
        pass
    return host


@cache
def plain_day(seed: int = 2012) -> MemoryHost:
    """Run through in one transaction. Not to be changed."""
    host = host_of(small(seed))
    host.run()
    host.commit()
    return host


@cache
def plain_day_of(arrangement: str) -> MemoryHost:
    """The same day, other units. Not to be changed."""
    host = host_of(small(), ARRANGEMENTS[arrangement])
    host.run()
    host.commit()
    return host


@cache
def day_in_transactions() -> MemoryHost:
    """Ended by chance in many transactions. Not to be changed."""
    chance = random.Random(1)
    host = host_of(small(), boundary=lambda: chance.random() < 0.05)
    host.run()
    host.commit()
    return host


def image(host: MemoryHost) -> Image:
    """All bytes on all topics but the journal, which tells of transactions."""
    return {
        place: [(record.key, record.value) for record in records]
        for place, records in host.topics.items()
        if place[0] != "journal"
    }


def copied(host: MemoryHost) -> Topics:
    return {place: list(records) for place, records in host.topics.items()}


def recording(topics: Topics) -> Recording:
    names = tuple(sorted({name for name, _ in topics}))
    return Recording(MemoryLog(topics), IDS, "here", P, names, sum(map(len, topics.values())), {})


def audited(host: MemoryHost, runs: int = 1) -> Audit:
    return audit(recording_of(host, IDS), topology.STAGES, lambda _: None, processes=1, runs=runs)


def sealed(topics: Topics, name: str = "a.seal", after: SealFile | None = None) -> SealFile:
    return seal_recording(recording(topics), "2026-01-05T21:00:00Z", name, after)


def against(seal: SealFile, topics: Topics) -> list[Finding]:
    """The log against one seal."""
    done = check((seal,), MemoryLog(topics), entry_decoder(IDS), "", {})
    return list(done.findings)


def findings_around(topics: Topics, topic: str, tasks: Collection[str] = ()) -> list[Finding]:
    """What a whole audit finds, of it only: the tasks that write or read ``topic``, and the sweep of that topic.

    The whole audit does the same for every task and topic; this is so much faster that every topic can be tried.
    ``tasks``: only these.
    """
    log = MemoryLog(topics)
    found: list[Finding] = []
    for stage in topology.STAGES:
        if topic_named(topic) in (*outputs_of(stage), *inputs_of(stage)):
            for partition in range(P):
                if not tasks or f"{stage.name}/{partition}" in tasks:
                    found += _replayed(stage, partition, log, topic)
    names = recording({place: records for place, records in topics.items() if place[0] == topic})
    for each in swept(replace(names, log=log), topology.STAGES):
        found += each.findings
    return found


def _replayed(stage: AnyStage, partition: int, log: MemoryLog, topic: str) -> list[Finding]:
    replay = replay_of(stage, partition, P, CODEC, topology.STAGES, log)
    also = places_of(stage, partition, P)
    if topic_named(topic).per_source and topic_named(topic) in outputs_of(stage):
        also.append((topic, partition))
    found = replay.run(journal_of(stage.name, partition, log, CODEC), also)
    return list(guarded(found, stage.name, partition))
