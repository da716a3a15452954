"""Replay: the recorded journal, fed to the same code, gives the recorded bytes; any altered byte is found and named."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audit.replay import Finding, FindingKind
from pipeline.domain.analytics import Bar
from pipeline.domain.controls import Control, ControlKind, TickKind
from pipeline.domain.partitioning import partition_of
from pipeline.journal import entry_hash
from pipeline.runtime.auditing.replaying import MemoryLog, journal_of, places_of, replay_of
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.memory.host import MemoryHost, StoredRecord
from pipeline.runtime.worker.wiring import AnyStage
from pipeline.topics import PRINTS
from tests.sample_stages import POISON, Adder, Repeater, print_of, tick_of

P = 2
FLOW: tuple[AnyStage, ...] = (Adder(), Repeater())
CODEC = Codec(LocalIds())
Topics = dict[tuple[str, int], list[StoredRecord]]


def recorded(
    boundary: Callable[[], bool] | None = None, units: list[list[str]] | None = None, count: int = 40
) -> Topics:
    host = MemoryHost(FLOW, P, CODEC, resumed_ns=99, boundary=boundary, units=units)
    position = f"prints/{partition_of(POISON, P)}/0"
    skip = Control(kind=ControlKind.SKIP, control_id="c", scope_id=position, who="ann", why="bad", at_ns=0)
    host.publish(skip, 1)
    host.publish(print_of(POISON, 0), 2)
    host.publish_raw(PRINTS, None, b"junk", 3, 1)
    for number in range(1, count + 1):
        host.publish(print_of(f"I{number % 5}", number, qty=number), number * 10)
        if number % 8 == 0:
            host.publish(tick_of(number * 10, TickKind.DAY_END if number == count else TickKind.TICK), number * 10)
    host.run()
    host.commit()
    return host.topics


def verify(topics: Topics) -> list[Finding]:
    findings: list[Finding] = []
    log = MemoryLog(topics)
    for stage in FLOW:
        for partition in range(P):
            replay = replay_of(stage, partition, P, CODEC, FLOW, log)
            entries = journal_of(stage.name, partition, log, CODEC)
            findings += replay.run(entries, places_of(stage, partition, P))
            assert replay.entries and (findings or replay.outputs)
    return findings


def test_a_recorded_day_verifies() -> None:
    assert verify(recorded()) == []


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_it_verifies_wherever_transactions_ended_and_whatever_the_units(chance: random.Random, together: bool) -> None:
    units = [["adder", "repeater"]] if together else None
    assert verify(recorded(lambda: chance.random() < 0.3, units)) == []


def alter(topics: Topics, topic: str, change: Callable[[Bar], Bar]) -> Topics:
    """One record of a topic altered consistently: readable, nothing else touched."""
    altered = {place: list(records) for place, records in topics.items()}
    place = next(place for place in sorted(topics) if place[0] == topic)
    stored = altered[place][3]
    record = change(stored.record)  # type: ignore[arg-type]
    altered[place][3] = replace(stored, record=record, value=CODEC.encode(record))
    return altered


def test_one_altered_number_is_named_with_topic_partition_offset_and_field() -> None:
    altered = alter(recorded(), "bars", lambda bar: msgspec.structs.replace(bar, volume_qty=bar.volume_qty + 1))
    finding = next(f for f in verify(altered) if f.kind is FindingKind.OUTPUT_DIFFERS)
    assert (finding.topic, finding.offset, finding.field, finding.writer) == ("bars", 3, "volume_qty", "adder/0")
    assert int(finding.recorded) == int(finding.replayed) + 1
    assert "bars/0/3, field volume_qty" in str(finding)


def test_an_altered_input_is_found_by_its_hash() -> None:
    altered = alter(recorded(), "prints", lambda p: msgspec.structs.replace(p, print_id="x"))
    assert "input_hash" in {f.field for f in verify(altered)}, "though no decision depended on it"


@pytest.mark.parametrize("topic", ["bars", "venue-scores", "reference-prices", "dead-letters", "prints"])
def test_any_flipped_byte_is_found(topic: str) -> None:
    topics = recorded(count=16)
    chance = random.Random(topic)
    for _ in range(25):
        place = chance.choice([place for place in sorted(topics) if place[0] == topic])
        index = chance.randrange(len(topics[place]))
        stored = topics[place][index]
        assert stored.value is not None
        at = chance.randrange(5 if topic != "prints" else 0, len(stored.value))
        value = bytearray(stored.value)
        value[at] ^= 1 << chance.randrange(8)
        altered = {each: list(records) for each, records in topics.items()}
        altered[place][index] = replace(stored, value=bytes(value))
        assert verify(altered), f"{place}/{index}: byte {at} was altered and nobody saw it"


def test_a_removed_output_and_an_added_one_are_found() -> None:
    topics = recorded()
    removed = {place: list(records) for place, records in topics.items()}
    removed["bars", 0].pop()
    assert FindingKind.OUTPUT_MISSING in {f.kind for f in verify(removed)}
    added = {place: list(records) for place, records in topics.items()}
    last = added["alerts", 0][-1]
    added["alerts", 0].append(replace(last, offset=last.offset + 1))
    assert [f.kind for f in verify(added)] == [FindingKind.OUTPUT_UNEXPLAINED]


def test_an_input_below_the_logs_start_is_no_mismatch_but_cannot_be_verified() -> None:
    topics = recorded()
    topics["prints", 0] = topics["prints", 0][5:]
    found = [f for f in verify(topics) if f.writer == "adder/0" and f.kind is not FindingKind.OUTPUT_UNEXPLAINED]
    assert [f.kind for f in found] == [FindingKind.INPUT_MISSING]


def test_an_entry_rewritten_breaks_the_chain_even_with_its_own_hash_mended() -> None:
    chance = random.Random(1)
    topics = recorded(lambda: chance.random() < 0.3)
    log = topics["journal", 0]
    index = next(i for i, s in enumerate(log) if s.record.no == 3)  # type: ignore[union-attr]
    entry = msgspec.structs.replace(log[index].record, input_hash="0" * 64)  # type: ignore[type-var]
    entry = msgspec.structs.replace(entry, entry_hash=entry_hash(entry))  # type: ignore[arg-type,type-var]
    log[index] = replace(log[index], value=CODEC.encode(entry))  # type: ignore[arg-type]
    kinds = {(f.kind, f.field) for f in verify(topics)}
    assert (FindingKind.CHAIN, "previous_hash") in kinds
    assert (FindingKind.ENTRY, "input_hash") in kinds
