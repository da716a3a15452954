"""The memory host: the same outside records give the same bytes, wherever transactions end and tasks are lost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.audit import DeadLetter, JournalEntry, JournalKind
from pipeline.domain.controls import Control, ControlKind, TickKind
from pipeline.domain.partitioning import partition_of
from pipeline.domain.rejections import DeadLetterReason
from pipeline.journal import entry_hash
from pipeline.runtime.memory.host import MemoryHost
from pipeline.runtime.worker.task import SequenceGap
from pipeline.runtime.worker.task_group import Poisoned
from pipeline.topics import PRINTS
from tests.sample_stages import POISON, Adder, Repeater, print_of, tick_of

P = 3
STAGES = (Adder(), Repeater())
Image = dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]]


def feed(host: MemoryHost, count: int = 60) -> None:
    for number in range(1, count + 1):
        host.publish(print_of(f"I{number % 7}", number, qty=number), append_ns=number * 10)
        if number % 10 == 0:
            host.publish(tick_of(number * 10), append_ns=number * 10)


def image(host: MemoryHost, units: bool = True) -> Image:
    """All that stages wrote: keys and values; append times of what is handed on in memory are the host's business."""
    return {
        place: [(record.key, record.value) for record in records]
        for place, records in host.topics.items()
        if place[0] != "journal"
    }


def reference() -> MemoryHost:
    host = MemoryHost(STAGES, P, resumed_ns=5)
    feed(host)
    host.run()
    return host


def test_what_one_stage_writes_the_other_reads() -> None:
    host = reference()
    assert len(host.records("bars")) == len(host.records("venue-scores")) == 60
    assert sum(bar.print_count == 1 for bar in host.records("bars")) == 7
    # 7 instruments at six ticks, each copied to all partitions
    assert len(host.records("reference-prices")) == 7 * 6 * P


def test_numbers_of_a_writer_have_no_gap_in_any_partition() -> None:
    host = reference()
    for (name, _), records in host.topics.items():
        if name in ("prints", "clock"):
            continue
        seen: dict[str, int] = {}
        for stored in records:
            record = stored.record
            assert record.seq == seen.get(record.writer, 0) + 1  # type: ignore[union-attr]
            seen[record.writer] = record.seq  # type: ignore[union-attr]


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_crashes_between_any_two_records_change_no_byte(chance: random.Random) -> None:
    host = MemoryHost(STAGES, P, resumed_ns=0)
    feed(host)
    host.commit()
    for _ in range(40):
        host.run(chance.randint(1, 4))
        what = chance.random()
        if what < 0.4:
            host.commit()
        elif what < 0.6:
            host.crash()
    host.run()
    plain = MemoryHost(STAGES, P, resumed_ns=0)
    feed(plain)
    plain.run()
    assert image(host) == image(plain)
    assert host.state_digest() == plain.state_digest()


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_boundaries_inside_a_cascade_change_no_byte(chance: random.Random) -> None:
    host = MemoryHost(STAGES, P, resumed_ns=5, boundary=lambda: chance.random() < 0.3)
    feed(host)
    host.run()
    assert image(host) == image(reference())


def test_the_journal_is_a_chain() -> None:
    host = reference()
    host.publish(tick_of(1000, TickKind.DAY_END), 1000)
    host.run()
    host.commit()
    entries = host.records(JournalEntry)
    assert {entry.stage for entry in entries} == {"adder", "repeater"}
    for stage in ("adder", "repeater"):
        for partition in range(P):
            chain = [e for e in entries if (e.stage, e.partition) == (stage, partition)]
            assert [e.kind for e in chain] == [JournalKind.EPOCH, JournalKind.TRANSACTION]
            assert [e.no for e in chain] == [1, 2]
            assert chain[1].previous_hash == chain[0].entry_hash == entry_hash(chain[0])
            assert chain[0].state_hash and chain[1].state_hash, "task starts and day ends carry the state's hash"


def test_units_hand_on_in_memory_and_still_write_every_topic() -> None:
    apart, together = reference(), MemoryHost(STAGES, P, resumed_ns=5, units=[["adder", "repeater"]])
    feed(together)
    together.run()
    assert image(apart) == image(together)


def test_unreadable_bytes_become_one_dead_letter() -> None:
    host = MemoryHost(STAGES, P)
    host.publish_raw(PRINTS, b"k", b"\x00\x00\x00\x00\x01junk", 7, 1)
    host.run()
    (letter,) = host.records(DeadLetter)
    assert (letter.topic, letter.partition, letter.offset, letter.append_ns) == ("prints", 1, 0, 7)
    assert (letter.key, letter.value) == (b"k", b"\x00\x00\x00\x00\x01junk")
    assert letter.stage == "adder"


def test_an_unreadable_record_two_stages_read_is_one_dead_letter_of_the_first() -> None:
    host = MemoryHost(STAGES, P)
    from pipeline.topics import CLOCK

    host.publish_raw(CLOCK, None, b"x", 7, 2)
    host.run()
    assert [(letter.stage, letter.reason) for letter in host.records(DeadLetter)] == [
        ("adder", DeadLetterReason.NO_SCHEMA_ID)
    ]


def test_a_dead_letter_fits_in_a_record_however_large_the_original() -> None:
    host = MemoryHost(STAGES, P)
    host.publish_raw(PRINTS, b"k", bytes(1_040_000), 7, 1)
    host.run()
    (letter,) = host.records(DeadLetter)
    assert letter.reason is DeadLetterReason.TOO_LARGE and "1040000 bytes" in letter.detail


def test_a_record_on_the_wrong_partition_is_a_dead_letter() -> None:
    host = MemoryHost(STAGES, P)
    wrong = (partition_of("I1", P) + 1) % P
    host.publish(print_of("I1", 1), 1, partition=wrong)
    host.publish(print_of("I1", 2), 2)
    host.run()
    (letter,) = host.records(DeadLetter)
    assert letter.reason is DeadLetterReason.WRONG_PARTITION
    assert len(host.records("bars")) == 1


def test_a_gap_in_a_writers_numbers_stops_the_task() -> None:
    host = MemoryHost(STAGES, P)
    host.publish(print_of("I1", 1, seq=1), 1)
    host.publish(print_of("I1", 3, seq=3), 2)
    with pytest.raises(SequenceGap, match="record 3 of tape@1 follows its record 1: 1 missing"):
        host.run()


def test_a_gap_explained_by_an_unreadable_record_does_not() -> None:
    host = MemoryHost(STAGES, P)
    host.publish(print_of("I1", 1, seq=1), 1)
    host.publish_raw(PRINTS, None, b"?", 2, partition_of("I1", P))
    host.publish(print_of("I1", 3, seq=3), 3)
    host.run()
    assert len(host.records("bars")) == 2


def test_a_repeated_number_is_applied_once() -> None:
    host = MemoryHost(STAGES, P)
    for at in (1, 2):
        host.publish(print_of("I1", 1, seq=1), at)
    host.run()
    assert len(host.records("bars")) == 1


def test_poison_names_its_position_and_a_skip_sends_it_to_the_dead_letters() -> None:
    host = MemoryHost(STAGES, P)
    host.commit()
    host.publish(print_of(POISON, 1), 1)
    position = f"prints/{partition_of(POISON, P)}/0"
    with pytest.raises(Poisoned, match=position):
        host.run()
    skip = Control(kind=ControlKind.SKIP, control_id="c1", scope_id=position, who="ann", why="bad tape", at_ns=1)
    told = MemoryHost(STAGES, P)
    told.publish(skip, 1)
    told.publish(print_of(POISON, 1), 1)
    told.run()
    (letter,) = told.records(DeadLetter)
    assert letter.reason is DeadLetterReason.SKIPPED_BY_DESK and letter.detail == "c1 by ann: bad tape"
