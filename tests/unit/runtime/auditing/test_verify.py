"""The audit of a memory host's day: it holds as recorded, and whatever is done to one record is found and named."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pipeline import cli, topology
from pipeline.audit.replay import FindingKind
from pipeline.audit.verify import Audit, Code, against_code
from pipeline.demo.memory_run import published
from pipeline.domain.audit import JournalEntry, JournalKind
from pipeline.domain.record import Record
from pipeline.runtime.auditing import reading
from pipeline.runtime.auditing.replaying import MemoryLog
from pipeline.runtime.auditing.topic_copy import TopicCopy
from pipeline.runtime.auditing.verify import Recording, audit, verify_host
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.memory.host import MemoryHost, StoredRecord
from pipeline.simulator.venues.faults import Faults
from pipeline.stages.netting.parameters import NettingParameters
from pipeline.stages.netting.stage import NettingStage
from pipeline.stages.routing.parameters import RoutingParameters
from pipeline.stages.routing.stage import RoutingStage
from pipeline.stages.simulated_venues.parameters import VenuesParameters
from pipeline.topology import FlowParameters
from tests import recordings
from tests.days import P, small_day

Topics = dict[tuple[str, int], list[StoredRecord]]
CODEC = Codec(LocalIds())


@pytest.fixture(scope="module")
def day() -> MemoryHost:
    return small_day()


def audited(topics: Topics, runs: int = 1) -> Audit:
    count = sum(map(len, topics.values()))
    names = tuple(sorted({name for name, _ in topics}))
    recording = Recording(MemoryLog(topics), LocalIds(), "here", P, names, count, {})
    return audit(recording, topology.STAGES, lambda _: None, processes=1, runs=runs)


def copied(day: MemoryHost) -> Topics:
    return {place: list(records) for place, records in day.topics.items()}


def place_of(topics: Topics, topic: str) -> tuple[str, int]:
    return max((place for place in sorted(topics) if place[0] == topic), key=lambda place: len(topics[place]))


def altered(day: MemoryHost, topic: str, index: int, change: Callable[[Record], Record]) -> Topics:
    topics = copied(day)
    place = place_of(topics, topic)
    stored = topics[place][index]
    assert stored.record is not None
    record = change(stored.record)
    topics[place][index] = replace(stored, record=record, value=CODEC.encode(record))
    return topics


def test_a_day_of_the_whole_flow_verifies_and_says_what_that_proves(day: MemoryHost) -> None:
    done = verify_host(day, topology.STAGES, LocalIds())
    assert done.findings == [] and done.verified
    assert len(done.tasks) == P * len(topology.STAGES)
    by_stage = {stage: sum(t.outputs for t in done.tasks if t.stage == stage) for stage in ("intake", "routing", "tca")}
    assert all(by_stage.values()), by_stage
    text = done.text()
    assert "VERIFIED" in text and "without a seal" in text and done.digests[0] in text
    assert len(text.splitlines()) < 30, "one screen"


def test_the_recorded_inputs_run_twice_in_their_recorded_order_give_the_recorded_bytes_both_times(
    day: MemoryHost,
) -> None:
    done = audited(copied(day), runs=2)
    assert done.verified
    assert len(done.digests) == 2 and done.digests[0] == done.digests[1]
    assert "2 times over" in done.text()


def test_every_output_is_compared(day: MemoryHost) -> None:
    done = verify_host(day, topology.STAGES, LocalIds())
    written = sum(
        1
        for (name, _), records in day.topics.items()
        if name != "journal"
        for stored in records
        if (stored.value or b"")[:1] == b"\0" and getattr(stored.record, "writer", "").split("/")[0] in _NAMES
    )
    assert sum(task.outputs for task in done.tasks) == written


_NAMES = {stage.name for stage in topology.STAGES}


@pytest.mark.parametrize("topic", ["slices", "child-orders", "allocations", "order-events", "tca"])
def test_one_altered_byte_of_one_decision_is_named(day: MemoryHost, topic: str) -> None:
    topics = copied(day)
    place = place_of(topics, topic)
    index = len(topics[place]) // 2
    value = bytearray(topics[place][index].value or b"")
    value[-1] ^= 2
    topics[place][index] = replace(topics[place][index], value=bytes(value))
    done = audited(topics)
    assert not done.verified
    differs = next(f for f in done.findings if f.kind is FindingKind.OUTPUT_DIFFERS)
    assert (differs.topic, differs.partition, differs.offset) == (*place, index)
    text = done.text()
    assert "NOT VERIFIED" in text and f"{topic}/{place[1]}/{index}, field " in text


def test_an_altered_field_is_named_with_what_was_decided(day: MemoryHost) -> None:
    topics = altered(day, "slices", 3, lambda r: msgspec.structs.replace(r, qty=r.qty + 1))  # type: ignore[attr-defined]
    first = audited(topics).findings
    differs = next(f for f in first if f.kind is FindingKind.OUTPUT_DIFFERS)
    assert differs.field == "qty" and int(differs.recorded) == int(differs.replayed) + 1


def test_a_removed_record_is_missed(day: MemoryHost) -> None:
    topics = copied(day)
    place = place_of(topics, "allocations")
    del topics[place][2]
    done = audited(topics)
    assert not done.verified
    order = next(f for f in done.findings if f.kind is FindingKind.ORDER)
    assert (order.topic, order.partition, order.recorded, order.replayed) == (*place, "4", "3")


def test_the_last_record_removed_is_missed(day: MemoryHost) -> None:
    topics = copied(day)
    topics[place_of(topics, "tca")].pop()
    assert FindingKind.OUTPUT_MISSING in {f.kind for f in audited(topics).findings}


def test_two_records_that_changed_places_are_found(day: MemoryHost) -> None:
    topics = copied(day)
    log = topics[place_of(topics, "tca")]
    log[4], log[5] = replace(log[5], offset=4), replace(log[4], offset=5)
    assert FindingKind.ORDER in {f.kind for f in audited(topics).findings}


@pytest.mark.parametrize(
    ("writer", "seq", "kind"),
    [
        ("nobody/0", 1, FindingKind.FORGED),
        ("intake/0", 1, FindingKind.FORGED),  # a stage, but not one that writes allocations
        ("allocation/7", 1, FindingKind.FORGED),  # a partition that is not there
        ("", 0, FindingKind.FORGED),
        ("allocation/own", -1, FindingKind.OUTPUT_UNEXPLAINED),  # as good as its writer's next one
    ],
)
def test_a_forged_record_is_found(day: MemoryHost, writer: str, seq: int, kind: FindingKind) -> None:
    topics = copied(day)
    place = place_of(topics, "allocations")
    last = topics[place][-1]
    own = last.record
    assert own is not None
    if writer == "allocation/own":
        writer, seq = own.writer, own.seq + 1  # type: ignore[attr-defined]
    record = msgspec.structs.replace(own, writer=writer, seq=seq)
    topics[place].append(replace(last, offset=last.offset + 1, record=record, value=CODEC.encode(record)))
    done = audited(topics)
    assert not done.verified
    finding = next(f for f in done.findings if f.kind is kind)
    assert (finding.topic, finding.partition, finding.offset) == (*place, last.offset + 1)


def test_an_altered_input_is_found_where_it_was_read(day: MemoryHost) -> None:
    topics = altered(day, "prints", 5, lambda r: msgspec.structs.replace(r, print_id="other"))
    assert "input_hash" in {f.field for f in audited(topics).findings}


def test_a_record_under_another_schema_is_found(day: MemoryHost) -> None:
    topics = copied(day)
    place = place_of(topics, "fills")
    stored = topics[place][1]
    other = (stored.value or b"")[:1] + (999).to_bytes(4, "big") + (stored.value or b"")[5:]
    topics[place][1] = replace(stored, value=other)
    done = audited(topics)
    assert FindingKind.SCHEMA in {f.kind for f in done.findings}


def _epoch_of(stage: str, config: dict[str, object]) -> JournalEntry:
    return JournalEntry(
        kind=JournalKind.EPOCH,
        stage=stage,
        partition=1,
        no=1,
        epoch=1,
        previous_hash="",
        wall_ns=1,
        commit="abc",
        lock_hash="l",
        config=msgspec.json.encode({stage: config}).decode(),
        schemas='{"fills":[4,"deadbeef"]}',
    )


def _code(stage: topology.AnyStage) -> Code:
    return Code(stage.config(), {"fills": "f00d"}, "def", "l", "Python", type(stage)().config())


def test_other_parameters_than_recorded_are_named() -> None:
    here = RoutingStage(RoutingParameters(wire_secret=b"one secret of sixteen"))
    there = RoutingStage(RoutingParameters(wire_secret=b"another one of sixteen", ack_timeout_ns=7))
    found, notes = against_code(_epoch_of("routing", dict(there.config())), _code(here))
    assert [(f.kind, f.field) for f in found] == [
        (FindingKind.PARAMETERS, "routing.ack_timeout_ns"),
        (FindingKind.PARAMETERS, "routing.wire_secret_sha256"),
        (FindingKind.SCHEMA, "contract of fills"),
    ]
    assert str(found[0]) == (
        "recorded with other parameters: journal/1, field routing.ack_timeout_ns: recorded 7, replayed with 5000000000 "
        "(task routing/1, journal entry 1)"
    )
    assert notes == ["recorded under commit abc, replayed under def"]


def test_what_an_earlier_version_did_not_record_is_a_note_where_it_has_its_default_here() -> None:
    recorded = {name: value for name, value in NettingStage().config().items() if name != "wait_part"}
    found, notes = against_code(_epoch_of("netting", dict(recorded)), _code(NettingStage()))
    assert [each for each in found if each.kind is FindingKind.PARAMETERS] == []
    assert "recorded by a version that had netting's wait_part as constants, replayed with the defaults" in notes


def test_what_an_earlier_version_did_not_record_is_a_finding_where_it_was_set_otherwise() -> None:
    recorded = {name: value for name, value in NettingStage().config().items() if name != "wait_part"}
    here = NettingStage(NettingParameters(wait_part=5))
    found, _ = against_code(_epoch_of("netting", dict(recorded)), _code(here))
    assert [(each.field, each.recorded, each.replayed) for each in found][:1] == [
        ("netting.wait_part", "nothing (its version had no such parameter)", "5, not its default")
    ]


def test_a_parameter_that_this_version_does_not_have_is_named() -> None:
    found, _ = against_code(_epoch_of("netting", {**NettingStage().config(), "patience": 10}), _code(NettingStage()))
    assert [(each.field, each.recorded, each.replayed) for each in found][:1] == [
        ("netting.patience", "10", "nothing (this version has no such parameter)")
    ]


def _recorded_with(parameters: FlowParameters) -> MemoryHost:
    host = MemoryHost(topology.flow(parameters), P, recordings.CODEC, units=recordings.UNITS, config=True)
    for _ in published(host, recordings.small()):
        pass
    host.run()
    host.commit()
    return host


def test_a_deployment_audited_with_its_own_parameters_is_verified_and_with_others_the_first_is_named() -> None:
    theirs = FlowParameters(netting=NettingParameters(window_ns=3_000_000_000, max_legs=500))
    host = _recorded_with(theirs)
    good = verify_host(host, topology.flow(theirs), recordings.IDS)
    assert good.verified, good.text()

    done = verify_host(host, topology.STAGES, recordings.IDS)
    assert not done.verified
    first = done.findings[0]
    assert (first.kind, first.field) == (FindingKind.PARAMETERS, "netting.window_ns")
    assert (first.recorded, first.replayed) == ("3000000000", "15000000000")
    assert (
        "The first parameter that differs is netting.window_ns: 3000000000 when it was recorded, 15000000000 in "
        "this audit." in done.text()
    )
    assert "--parameters FILE" in done.text()


def test_parameters_that_changed_no_decision_are_still_told_apart() -> None:
    host = _recorded_with(FlowParameters())
    other = FlowParameters(venues=VenuesParameters(faults=Faults(late_by_ns=1)))
    done = verify_host(host, topology.flow(other), recordings.IDS)
    assert {(each.kind, each.field) for each in done.findings} == {(FindingKind.PARAMETERS, "venues.faults.late_by_ns")}


def test_without_a_journal_nothing_is_verified(day: MemoryHost) -> None:
    done = audited({place: records for place, records in day.topics.items() if place[0] == "prints"})
    assert not done.verified and "there is no journal" in done.text()


def test_spooled_to_files_and_replayed_by_several_processes_it_is_the_same(day: MemoryHost, tmp_path: Path) -> None:
    copies = TopicCopy(tmp_path)
    for (topic, partition), records in day.topics.items():
        for stored in records:
            copies.take(topic, partition, stored.offset, stored.append_ns, stored.key, stored.value)
    names = tuple(sorted({name for name, _ in day.topics}))
    recording = Recording(copies.close(), LocalIds(), "files", P, names, copies.total, {})
    assert pickle.loads(pickle.dumps(topology.STAGES))
    told: list[str] = []
    done = audit(recording, topology.STAGES, told.append, processes=2)
    assert done.verified
    assert done.digests == audited(copied(day)).digests
    assert sum("tasks replayed" in line for line in told) == len(done.tasks)


def test_a_spool_gives_back_what_it_took_from_any_offset(tmp_path: Path) -> None:
    copied = TopicCopy(tmp_path)
    for number in range(5_000):
        value = None if number % 3 == 0 else bytes(number % 200)
        copied.take("t", 1, number * 2, number, None if number % 2 else b"k", value)
    log = copied.close()
    assert list(log.read("t", 0, 0)) == []
    for start in (0, 1, 2, 2047, 2048, 2049, 6000, 9998, 9999):
        found = list(log.read("t", 1, start))
        assert [r.offset for r in found] == [n * 2 for n in range(5_000) if n * 2 >= start]
    assert found == []
    third = list(log.read("t", 1, 0))[3]
    assert (third.append_ns, third.key, third.value) == (3, None, None)


def test_progress_is_shown_while_one_long_task_is_replayed(day: MemoryHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SAY_EVERY_S", 0.0)
    told: list[str] = []
    done = verify_host(day, topology.STAGES, LocalIds(), told.append)
    inputs = sum(task.inputs for task in done.tasks)
    replaying = [line for line in told if "replaying, in records read: " in line]
    assert len(replaying) > len(done.tasks)
    read = [int(line.split(": ")[2].split(" of ")[0].replace(",", "")) for line in replaying]
    assert read == sorted(read) and read[-1] == inputs
    assert all(f" of {inputs:,} (" in line for line in replaying), "the journal says how much there is"
    assert any("looking at every record: " in line for line in told)


def test_progress_is_said_now_and_then_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("pipeline.runtime.auditing.reading.time.monotonic", lambda: now)
    told: list[str] = []
    progress = reading.ReadingProgress(told.append, "counting", 1_000)
    for done in range(0, 1_001, 10):
        now = done / 50
        progress.at(done)
    assert told == [
        "audit: counting: 250 of 1,000 (25 %), about 15 s left",
        "audit: counting: 500 of 1,000 (50 %), about 10 s left",
        "audit: counting: 750 of 1,000 (75 %), about 5 s left",
        "audit: counting: 1,000 of 1,000 (100 %)",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["verify", "--seal", "/nowhere/a.seal"], 2, "cannot be read"),
        (["seal", "{there}"], 2, "never written over"),
        (["seal", "/nowhere/a.seal"], 2, "there is no folder"),
        (["seal", "{new}", "--after", "{there}"], 2, "is no seal"),
    ],
)
def test_wrong_use_has_exit_code_2_and_says_what_is_wrong(
    arguments: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").write_text("hello")
    names = {"there": str(tmp_path / "there"), "new": str(tmp_path / "new")}
    nobody = ["--bootstrap-servers", "127.0.0.1:9", "--registry-url", "http://127.0.0.1:9"]
    assert cli.main(["audit", *(each.format(**names) for each in arguments), *nobody]) == code
    assert said in capsys.readouterr().err
    assert (tmp_path / "there").read_text() == "hello" and not (tmp_path / "new").exists()
