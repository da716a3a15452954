"""A record forged, removed, reordered or altered, on any topic of a day of the whole flow, is found; and where.

On what stages write, by replay alone. On what comes from outside, by the journal's hashes as long as the journal was
not rewritten too; and by a seal in any case, also when everything was rewritten together or cut off at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from pipeline import topology
from pipeline.audit.findings import Finding, FindingKind
from pipeline.audit.recorded import leading
from pipeline.audit.seal import SealFile
from pipeline.demo.memory_run import published
from pipeline.runtime.auditing.verify import audit
from pipeline.runtime.memory.host import MemoryHost, StoredRecord
from pipeline.runtime.worker.wiring import inputs_of, outputs_of
from pipeline.topics import topic_named
from tests.recordings import (
    CODEC,
    UNITS,
    P,
    Topics,
    against,
    audited,
    copied,
    day_in_transactions,
    findings_around,
    host_of,
    recording,
    sealed,
    small,
)

DAY = copied(day_in_transactions())
WRITTEN = {topic.name for stage in topology.STAGES for topic in outputs_of(stage)}
READ = {topic.name for stage in topology.STAGES for topic in inputs_of(stage)}
DERIVED = sorted({name for name, _ in DAY if topic_named(name).name in WRITTEN})
INPUTS = sorted({name for name, _ in DAY if topic_named(name).name not in WRITTEN})


@pytest.fixture(scope="module")
def seal() -> SealFile:
    return sealed(DAY)


def fullest(topic: str) -> tuple[str, int]:
    return max((place for place in sorted(DAY) if place[0] == topic), key=lambda place: len(DAY[place]))


def middle(topic: str) -> int:
    return len(DAY[fullest(topic)]) // 2


# ---------------------------------------------------------------------- what can be done to a record
# Each change says at which offset it is to be seen.


def next_of_writer(log: list[StoredRecord], writer: str, at: int) -> int:
    return next((stored.offset for stored in log[at:] if leading(stored.value)[0] == writer), -1)


def altered(log: list[StoredRecord], at: int) -> int:
    value = bytearray(log[at].value or b"")
    value[-1] ^= 2
    log[at] = replace(log[at], value=bytes(value))
    return at


def other_key(log: list[StoredRecord], at: int) -> int:
    log[at] = replace(log[at], key=b"other")
    return at


def other_first_byte(log: list[StoredRecord], at: int) -> int:
    log[at] = replace(log[at], value=b"\1" + (log[at].value or b"")[1:])
    return at


def removed(log: list[StoredRecord], at: int) -> int:
    """Seen by what stands in its place."""
    gone = log.pop(at)
    return next_of_writer(log, leading(gone.value)[0], at)


def removed_and_closed_up(log: list[StoredRecord], at: int) -> int:
    del log[at]
    log[at:] = [replace(stored, offset=stored.offset - 1) for stored in log[at:]]
    return at


def last_removed(log: list[StoredRecord], at: int) -> int:
    log.pop()
    return -1


def reordered(log: list[StoredRecord], at: int) -> int:
    """With the next one of the same writer: what others wrote between stays."""
    writer = leading(log[at].value)[0]
    other = next(
        (i for i in (*range(at + 1, len(log)), *range(at)) if leading(log[i].value)[0] == writer and i != at and
         (log[i].key, log[i].value) != (log[at].key, log[at].value)), None
    )  # fmt: skip
    if other is None:
        pytest.skip("one record of that writer")
    one, two = log[at], log[other]
    log[at], log[other] = (
        replace(two, offset=one.offset, append_ns=one.append_ns),
        replace(one, offset=two.offset, append_ns=two.append_ns),
    )
    return int(min(at, other))


def forged(log: list[StoredRecord], at: int) -> int:
    """At the end, and as good as its writer's next one."""
    last = log[-1]
    writer = leading(last.value)[0]
    seq = max(leading(stored.value)[1] for stored in log if leading(stored.value)[0] == writer)
    assert last.record is not None
    record = msgspec.structs.replace(last.record, seq=seq + 1)
    log.append(replace(last, offset=last.offset + 1, record=record, value=CODEC.encode(record)))
    return last.offset + 1


def forged_between(log: list[StoredRecord], at: int) -> int:
    """In the middle, a copy of what is there; what follows moves on."""
    log[at:] = [log[at], *(replace(stored, offset=stored.offset + 1) for stored in log[at:])]
    return at + 1


READING = (FindingKind.RAISED, FindingKind.INPUT_MISSING, FindingKind.INPUT_PASSED)
Change = Callable[[list[StoredRecord], int], int]
CHANGES: tuple[Change, ...] = (
    altered, other_key, other_first_byte, removed, last_removed, reordered, forged, forged_between,
)  # fmt: skip
INPUT_CHANGES: tuple[Change, ...] = (
    altered, other_key, removed, removed_and_closed_up, last_removed, reordered, forged_between,
)  # fmt: skip


def tampered(topic: str, change: Change) -> tuple[Topics, int]:
    """The day with one record changed, and where."""
    topics = dict(DAY)
    place = fullest(topic)
    topics[place] = list(DAY[place])
    return topics, change(topics[place], middle(topic))


def touched(topics: Topics, topic: str) -> set[str]:
    """The writers whose records were changed: others' tasks need no look."""
    place = fullest(topic)
    was, now = ({(stored.key, stored.value) for stored in log} for log in (DAY[place], topics[place]))
    return {leading(value)[0] for _, value in was ^ now} | {leading(DAY[place][middle(topic)].value)[0]}


# ---------------------------------------------------------------------- derived topics


def test_the_day_has_every_topic_that_stages_write_and_is_good_as_recorded(seal: SealFile) -> None:
    assert {topic_named(name).name for name in DERIVED} == WRITTEN
    assert len(INPUTS) >= 12
    done = audited(day_in_transactions())
    assert done.verified, done.text()
    assert against(seal, DAY) == []
    assert [findings_around(DAY, topic) for topic in ("tca", "journal")] == [[], []]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("topic", DERIVED)
def test_whatever_is_done_to_a_record_a_stage_wrote_is_found_on_its_topic(topic: str, change: Change) -> None:
    topics, at = tampered(topic, change)
    place = fullest(topic)
    found = [f for f in findings_around(topics, topic, touched(topics, topic)) if (f.topic, f.partition) == place]
    if topic == "journal":  # its entries are named by their number
        assert found or change is last_removed, "the last one: see below"
        return
    assert found, f"{change.__name__} on {topic} was not seen"
    # A stage may read its own topic: what it could not read is not where the change is named.
    first = next(f for f in found if f.kind not in READING)
    assert first.offset == at, str(first)


@pytest.mark.parametrize("topic", DERIVED)
def test_what_is_done_to_what_stages_wrote_is_found_by_a_seal_too(topic: str, seal: SealFile) -> None:
    for change in (altered, other_key, removed, last_removed, reordered, forged_between):
        topics, at = tampered(topic, change)
        if change is forged_between and at == len(DAY[fullest(topic)]):
            continue  # it stands after what was sealed
        assert fullest(topic) in {(f.topic, f.partition) for f in against(seal, topics)}, change.__name__


def test_the_whole_audit_names_the_altered_record_first_with_both_values() -> None:
    """Though tasks that read it decide otherwise from there on, and theirs differ too."""
    topics, at = tampered("slices", altered)
    place = fullest("slices")
    stored = topics[place][at]
    was = DAY[place][at].record
    record = msgspec.structs.replace(was, qty=was.qty + 100)  # type: ignore[union-attr,type-var]
    topics[place][at] = replace(stored, value=CODEC.encode(record))  # type: ignore[arg-type]
    done = audit(recording(topics), topology.STAGES, lambda _: None, processes=1)
    first = done.findings[0]
    assert (first.kind, first.topic, first.partition, first.offset) == (FindingKind.OUTPUT_DIFFERS, *place, at)
    assert (first.field, first.recorded, first.replayed) == ("qty", str(was.qty + 100), str(was.qty))  # type: ignore[union-attr]
    assert f"slices/{place[1]}/{at}, field qty: recorded {first.recorded}, replayed {first.replayed}" in done.text()


# ---------------------------------------------------------------------- inputs


@pytest.mark.parametrize("change", INPUT_CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("topic", INPUTS)
def test_whatever_is_done_to_an_input_is_found_by_its_readers_journal(topic: str, change: Change) -> None:
    topics, _ = tampered(topic, change)
    partition = fullest(topic)[1]
    found = findings_around(topics, topic, [f"{stage.name}/{partition}" for stage in topology.STAGES])
    named = [f for f in found if f"{topic}/{partition}/" in str(f) or f.topic == topic]
    assert named, f"{change.__name__} on {topic} was not seen: {found[:3]}"


@pytest.mark.parametrize("topic", INPUTS)
def test_whatever_is_done_to_an_input_is_found_by_a_seal(topic: str, seal: SealFile) -> None:
    for change in INPUT_CHANGES:
        topics, _ = tampered(topic, change)
        found = against(seal, topics)
        assert [(f.topic, f.partition) for f in found] == [fullest(topic)], change.__name__
        assert found[0].kind is (FindingKind.CUT_OFF if change is last_removed else FindingKind.SEAL) or (
            change is removed_and_closed_up
        )


def test_an_input_put_between_two_transactions_is_found_though_no_task_ever_read_it() -> None:
    """Neither a hash nor a number tells of it: only where reading went on."""
    entry = next(
        stored.record for stored in DAY["journal", 0]
        if stored.record.stage == "intake" and any(  # type: ignore[union-attr]
            s.topic == "orders-in" and s.offset > 3 for s in stored.record.starts)  # type: ignore[union-attr]
    )  # fmt: skip
    at = next(s.offset for s in entry.starts if s.topic == "orders-in")  # type: ignore[union-attr]
    topics = copied(day_in_transactions())
    log = topics["orders-in", 0]
    # As on a real topic, where transactions leave offsets unused: nothing else moves.
    log[:at] = [replace(stored, offset=stored.offset) for stored in log[:at]]
    doubled = {place: [replace(s, offset=s.offset * 2) for s in log] if place == ("orders-in", 0) else log
               for place, log in topics.items()}  # fmt: skip
    for index, stored in enumerate(doubled["journal", 0]):
        record = stored.record
        starts = tuple(
            msgspec.structs.replace(s, offset=s.offset * 2) if s.topic == "orders-in" else s
            for s in record.starts  # type: ignore[union-attr]
        )
        changed = msgspec.structs.replace(record, starts=starts)  # type: ignore[type-var]
        doubled["journal", 0][index] = replace(stored, record=changed, value=CODEC.encode(changed))  # type: ignore[arg-type]
    spare = doubled["orders-in", 0][at]
    doubled["orders-in", 0].insert(at, replace(spare, offset=2 * at - 1))
    found = [f for f in findings_around(doubled, "orders-in") if f.kind is not FindingKind.CHAIN]
    assert (found[0].kind, found[0].topic, found[0].offset) == (FindingKind.INPUT_PASSED, "orders-in", 2 * at - 1)


# ---------------------------------------------------------------------- with everything that follows


def rewritten() -> MemoryHost:
    """Another history: one order for one more, and all that follows from it, journal too."""
    day = small()
    index = next(i for i, sending in enumerate(day.sendings) if sending.request and sending.request.order_qty)
    request = day.sendings[index].request
    assert request is not None and request.order_qty is not None
    more = msgspec.structs.replace(request, order_qty=request.order_qty + 1)
    sendings = [replace(s, request=more) if i == index else s for i, s in enumerate(day.sendings)]
    host = MemoryHost(topology.STAGES, P, CODEC, units=UNITS)
    for _ in published(host, day, sendings=sendings):
        pass
    host.run()
    host.commit()
    return host


def test_a_history_rewritten_with_all_that_follows_is_found_by_the_seal_and_by_nothing_else() -> None:
    honest = host_of(small())
    honest.run()
    honest.commit()
    kept = sealed(copied(honest))
    topics = copied(rewritten())
    blind = audit(recording(topics), topology.STAGES, lambda _: None, processes=1)
    assert blind.verified, "nobody could tell"
    assert "What it cannot say without a seal" in blind.text()
    seeing = audit(recording(topics), topology.STAGES, lambda _: None, processes=1, seals=[kept])
    assert not seeing.verified
    assert "First finding:\n  the log is not what was sealed: orders-in/" in seeing.text()
    found = seeing.findings
    assert any(f.topic == "orders-in" for f in found) and any("of intake/" in f.field for f in found)


def halves() -> tuple[Topics, Topics]:
    """A day at half-time, and at its end."""
    host = host_of(small())
    host.run(len(host._outside) * 3 // 4)
    host.commit()
    half = copied(host)
    host.run()
    host.commit()
    return half, copied(host)


def test_an_end_cut_off_from_everything_is_found_by_the_seal_and_by_nothing_else() -> None:
    half, whole = halves()
    kept = sealed(whole)
    blind = audit(recording(half), topology.STAGES, lambda _: None, processes=1)
    assert blind.verified, "a shorter day is a good day"
    done = audit(recording(half), topology.STAGES, lambda _: None, processes=1, seals=[kept])
    assert not done.verified and {f.kind for f in done.findings} == {FindingKind.CUT_OFF}
    lost = [f for f in done.findings if f.field.startswith("entry ")]
    assert len(lost) == P * len(topology.STAGES), "every journal is shorter than it was"


def test_a_seal_holds_while_the_day_goes_on_and_says_what_it_covers() -> None:
    half, whole = halves()
    first = sealed(half, "noon.seal")
    second = sealed(whole, "evening.seal", after=first)
    done = audit(recording(whole), topology.STAGES, lambda _: None, processes=1, seals=[first])
    assert done.verified, done.text()
    count = sum(map(len, half.values()))
    assert done.sealed is not None and done.sealed.records == count
    after = sum(map(len, whole.values())) - count
    assert f"{count:,} records, inputs too" in done.text() and f"Of the {after:,} records after it" in done.text()
    both = audit(recording(whole), topology.STAGES, lambda _: None, processes=1, seals=[second, first])
    assert both.verified and both.sealed is not None and both.sealed.whole
    assert both.sealed.records == sum(map(len, whole.values()))
    assert len(both.text().splitlines()) < 30, "one screen"


def without_last_entry(topics: Topics, wanted: Callable[[StoredRecord], bool]) -> tuple[Topics, StoredRecord]:
    """The journal of one task without its last entry, where that is as wanted."""
    for partition in range(P):
        log = topics["journal", partition]
        lasts = {leading(stored.value)[0]: index for index, stored in enumerate(log)}
        for index in lasts.values():
            if wanted(log[index]):
                shorter = {**topics, ("journal", partition): [s for i, s in enumerate(log) if i != index]}
                return shorter, log[index]
    raise AssertionError("no such entry")


def test_the_end_of_a_journal_removed_is_found_by_what_it_explained() -> None:
    topics, entry = without_last_entry(DAY, lambda stored: bool(stored.record.outputs))  # type: ignore[union-attr]
    done = audit(recording(topics), topology.STAGES, lambda _: None, processes=1)
    kinds = {f.kind for f in done.findings if f.writer == leading(entry.value)[0]}
    assert FindingKind.OUTPUT_UNEXPLAINED in kinds


def test_the_end_of_a_journal_that_explained_nothing_is_found_by_the_seal_and_noted_without(seal: SealFile) -> None:
    quiet = without_last_entry(DAY, lambda s: not s.record.outputs and bool(s.record.runs))  # type: ignore[union-attr]
    topics, entry = quiet
    writer = leading(entry.value)[0]
    blind = audit(recording(topics), topology.STAGES, lambda _: None, processes=1)
    assert [f for f in blind.findings if f.writer == writer and f.kind is not FindingKind.ORDER] == []
    assert any(task.unread for task in blind.tasks if task.writer == writer)
    assert "not read yet" in blind.text()
    found = against(seal, topics)
    assert any(f.kind is FindingKind.CUT_OFF and f"of {writer}" in f.field for f in found)


def two_writers(topic: str) -> tuple[tuple[str, int], int]:
    """Where two neighbours are of different writers."""
    for place in sorted(DAY):
        if place[0] == topic:
            for index in range(len(DAY[place]) - 1):
                one, two = (leading(DAY[place][i].value)[0] for i in (index, index + 1))
                if one != two:
                    return place, index
    raise AssertionError(f"{topic} has neighbours of one writer only")


def swapped(topic: str) -> tuple[Topics, tuple[str, int]]:
    place, at = two_writers(topic)
    topics = {**DAY, place: list(DAY[place])}
    log = topics[place]
    log[at], log[at + 1] = (
        replace(log[at + 1], offset=log[at].offset, append_ns=log[at].append_ns),
        replace(log[at], offset=log[at + 1].offset, append_ns=log[at + 1].append_ns),
    )
    return topics, place


def test_the_order_between_writers_is_held_by_who_reads_the_topic() -> None:
    topics, place = swapped("order-events")
    found = findings_around(topics, "order-events")
    assert any(f.field == "input_hash" and f"order-events/{place[1]}/" in f.replayed for f in found)


def test_the_order_between_writers_where_nobody_reads_is_held_by_the_seal_alone(seal: SealFile) -> None:
    """What the report says it cannot say."""
    assert "journal" not in READ
    topics, place = swapped("journal")
    assert findings_around(topics, "journal") == []
    assert [(f.topic, f.partition) for f in against(seal, topics)] == [place]


def test_an_append_time_altered_where_it_decided_nothing_is_found_by_the_seal_alone(seal: SealFile) -> None:
    place = fullest("tca")
    topics = {**DAY, place: list(DAY[place])}
    topics[place][3] = replace(topics[place][3], append_ns=1)
    assert findings_around(topics, "tca") == []
    assert [(f.topic, f.partition) for f in against(seal, topics)] == [place]


def test_an_append_time_altered_where_it_decided_is_found() -> None:
    """An order's time of receipt is the broker's."""
    place = fullest("orders-in")
    topics = {**DAY, place: [replace(s, append_ns=s.append_ns + 7_000_000) for s in DAY[place]]}
    found: list[Finding] = findings_around(topics, "orders-in")
    assert any(f.topic == "orders" and f.field == "append_ns" for f in found)
