"""Seals: written one way, read only as written, placed to a few thousand records, and chained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from pipeline.audit.findings import FindingKind
from pipeline.audit.seal import (
    CHECKPOINT_EVERY,
    BadSeal,
    Heads,
    PlaceDigest,
    Seal,
    SealedHead,
    from_bytes,
    to_bytes,
)
from pipeline.audit.seal_check import check
from pipeline.domain.audit import JournalEntry, JournalKind
from pipeline.errors import WrongUse
from pipeline.journal import entry_hash
from pipeline.runtime.auditing.reading import Recording
from pipeline.runtime.auditing.replaying import MemoryLog
from pipeline.runtime.auditing.seal import BrokenJournal, _write_new, load, seal_recording
from pipeline.runtime.auditing.verify import entry_decoder
from pipeline.runtime.contracts.codec import Codec, LocalIds

IDS = LocalIds()
CODEC = Codec(IDS)
DECODE = entry_decoder(IDS)
NOW = "2026-01-05T21:00:00Z"


@dataclass(frozen=True)
class Stored:
    offset: int
    append_ns: int
    key: bytes | None
    value: bytes | None


Topics = dict[tuple[str, int], list[Stored]]


def entry(no: int, previous: str) -> JournalEntry:
    made = JournalEntry(writer="intake/0", seq=no, kind=JournalKind.TRANSACTION, stage="intake", partition=0, no=no,
                        epoch=1, previous_hash=previous, wall_ns=0)  # fmt: skip
    return msgspec.structs.replace(made, entry_hash=entry_hash(made))


def journal(count: int) -> list[Stored]:
    log, last = [], ""
    for no in range(1, count + 1):
        made = entry(no, last)
        last = made.entry_hash
        log.append(Stored(no - 1, no, b"intake/0", CODEC.encode(made)))
    return log


def topics(prints: int = 10_000, entries: int = 3) -> Topics:
    return {
        ("journal", 0): journal(entries),
        ("prints", 0): [
            Stored(n * 2, n, None if n % 3 else b"k", None if n % 5 == 0 else b"%d" % n) for n in range(prints)
        ],
    }


def recording(log: Topics, cluster_id: str = "c1", topic_id: str = "t1") -> Recording:
    names = tuple(sorted({name for name, _ in log}))
    count = sum(map(len, log.values()))
    return Recording(MemoryLog(log), IDS, "here", 1, names, count, {}, cluster_id, {"prints": topic_id})


def found(
    log: Topics, *seals: object, cluster_id: str = "c1", topic_id: str = "t1"
) -> list[tuple[FindingKind, str, int]]:
    done = check(list(seals), MemoryLog(log), DECODE, cluster_id, {"prints": topic_id})  # type: ignore[arg-type]
    return [(f.kind, f.topic, f.offset) for f in done.findings]


def test_what_was_sealed_is_as_it_was_sealed_also_with_more_behind_it() -> None:
    seal = seal_recording(recording(topics()), NOW)
    done = check([seal], MemoryLog(topics(12_000, 5)), DECODE, "c1", {"prints": "t1"})
    assert (done.findings, done.records, done.heads, done.whole) == ((), 10_003, 1, True)


def test_a_seal_says_what_it_seals() -> None:
    log = topics()
    seal = seal_recording(recording(log), NOW).seal
    (head,) = seal.heads
    assert (head.task, head.no) == ("intake/0", 3)
    assert head.entry_hash == DECODE(log["journal", 0][-1].value).entry_hash
    prints = next(place for place in seal.places if place.topic == "prints")
    assert (prints.first_offset, prints.end_offset, prints.records, prints.topic_id) == (0, 19_999, 10_000, "t1")
    assert len(prints.checkpoints) == 10_000 // CHECKPOINT_EVERY
    assert (seal.cluster_id, seal.partitions, seal.made_at, seal.previous) == ("c1", 1, NOW, "")


@pytest.mark.parametrize(
    ("index", "first"), [(0, 0), (CHECKPOINT_EVERY - 1, 0), (CHECKPOINT_EVERY, 8191), (9_999, 16_383)]
)
@pytest.mark.parametrize("change", [{"value": b"x"}, {"key": b"x"}, {"append_ns": 0x7FFF}])
def test_a_difference_is_placed_between_two_checkpoints(index: int, first: int, change: dict[str, object]) -> None:
    seal = seal_recording(recording(topics()), NOW)
    log = topics()
    log["prints", 0][index] = replace(log["prints", 0][index], **change)  # type: ignore[arg-type]
    assert found(log, seal) == [(FindingKind.SEAL, "prints", first)]


def test_what_belongs_to_key_or_value_cannot_be_moved_between_them() -> None:
    one, two = PlaceDigest("t", 0), PlaceDigest("t", 0)
    one.take(0, 0, b"ab", b"c")
    two.take(0, 0, b"a", b"bc")
    none, empty = PlaceDigest("t", 0), PlaceDigest("t", 0)
    none.take(0, 0, None, b"")
    empty.take(0, 0, b"", None)
    assert len({each.sealed().sha256 for each in (one, two, none, empty)}) == 4


def test_records_cut_off_are_said_to_be_cut_off_and_removed_ones_to_differ() -> None:
    seal = seal_recording(recording(topics()), NOW)
    log = topics()
    del log["prints", 0][9_000:]
    assert found(log, seal) == [(FindingKind.CUT_OFF, "prints", 17_999)]
    log = topics()
    del log["prints", 0][5]
    assert found(log, seal) == [(FindingKind.SEAL, "prints", 0)]
    log = topics()
    log["prints", 0].insert(1, replace(log["prints", 0][0], offset=1))
    assert found(log, seal) == [(FindingKind.SEAL, "prints", 0)]


def test_a_topic_that_is_gone_is_cut_off() -> None:
    seal = seal_recording(recording(topics()), NOW)
    log = topics()
    del log["prints", 0]
    assert found(log, seal) == [(FindingKind.CUT_OFF, "prints", 0)]


def test_a_head_that_is_another_and_one_that_is_gone() -> None:
    seal = seal_recording(recording(topics()), NOW)
    log = topics(entries=2)
    assert found(log, seal) == [(FindingKind.CUT_OFF, "journal", -1), (FindingKind.CUT_OFF, "journal", 2)]
    last = DECODE(log["journal", 0][-1].value)
    other = msgspec.structs.replace(entry(3, last.entry_hash), input_hash="x")
    other = msgspec.structs.replace(other, entry_hash=entry_hash(other))
    log["journal", 0].append(Stored(2, 3, b"intake/0", CODEC.encode(other)))
    assert found(log, seal) == [(FindingKind.SEAL, "journal", -1), (FindingKind.SEAL, "journal", 0)]


def test_another_cluster_and_a_topic_made_anew_are_found() -> None:
    seal = seal_recording(recording(topics()), NOW)
    assert found(topics(), seal, cluster_id="c2") == [(FindingKind.SEAL, "(cluster)", -1)]
    assert found(topics(), seal, topic_id="t2") == [(FindingKind.SEAL, "prints", -1)]
    assert found(topics(), seal, cluster_id="", topic_id="") == [], "nobody says which: nothing to compare"


# ---------------------------------------------------------------------- chains


def test_a_seal_that_goes_on_covers_only_what_came_since_and_together_they_cover_all() -> None:
    first = seal_recording(recording(topics()), NOW, "1")
    second = seal_recording(recording(topics(11_000, 5)), NOW, "2", after=first)
    assert second.seal.previous == first.sha256
    log = topics(11_000, 5)
    done = check([second, first], MemoryLog(log), DECODE, "c1", {})
    assert (done.findings, done.records, done.whole, done.heads) == ((), 11_005, True, 2)
    alone = check([second], MemoryLog(log), DECODE, "c1", {})
    assert (alone.findings, alone.records, alone.whole) == ((), 1_002, False)
    assert "goes on from one that was not given" in alone.notes[0]
    log["prints", 0][7] = replace(log["prints", 0][7], value=b"x")
    assert found(log, second) == [] and found(log, first, second) == [(FindingKind.SEAL, "prints", 0)]


def test_a_journal_that_does_not_go_on_from_the_earlier_seal_is_not_sealed() -> None:
    first = seal_recording(recording(topics()), NOW)
    log = topics(entries=3)
    log["journal", 0].append(Stored(3, 9, b"intake/0", CODEC.encode(entry(4, "f" * 64))))
    with pytest.raises(BrokenJournal, match="intake/0 does not go on from entry 3"):
        seal_recording(recording(log), NOW, after=first)


def test_a_task_without_news_keeps_its_head() -> None:
    head = SealedHead(stage="intake", partition=0, no=3, entry_hash="h")
    assert Heads([head]).sealed(DECODE) == (head,)


def test_seals_with_a_gap_or_a_shorter_journal_between_them_are_found() -> None:
    first = seal_recording(recording(topics()), NOW, "1")
    second = seal_recording(recording(topics(11_000, 5)), NOW, "2", after=first).seal
    places = tuple(
        msgspec.structs.replace(p, first_offset=p.first_offset + 2) if p.topic == "prints" else p for p in second.places
    )
    heads = tuple(msgspec.structs.replace(head, no=1) for head in second.heads)
    bad = from_bytes("2", to_bytes(msgspec.structs.replace(second, places=places, heads=heads)))
    done = check([first, bad], MemoryLog(topics(11_000, 5)), DECODE, "c1", {})
    assert {(f.topic, f.field) for f in done.findings} >= {("prints", "first_offset"), ("journal", "head of intake/0")}


# ---------------------------------------------------------------------- files


def test_a_seal_is_read_only_as_it_is_written() -> None:
    data = to_bytes(seal_recording(recording(topics(10)), NOW).seal)
    assert to_bytes(from_bytes("s", data).seal) == data
    assert data.count(b"\n") == 1 and data.index(b'"cluster_id"') < data.index(b'"heads"') < data.index(b'"seal"')
    for other, said in (
        (b"", "is no seal"),
        (b"[]", "is no seal"),
        (b"{}", "version None"),
        (data.replace(b'"seal":1', b'"seal":2'), "version 2"),
        (data.replace(b":", b": ", 1), "not as a seal is written"),
        (data.replace(b'"commit":', b'"comit":'), "is no seal"),
        (data[:-2], "is no seal"),
        (data + b"\n", "not as a seal is written"),
    ):
        with pytest.raises(BadSeal, match=said):
            from_bytes("s", other)


def test_a_seal_altered_is_no_link_of_the_chain_any_more() -> None:
    first = seal_recording(recording(topics()), NOW, "1")
    second = seal_recording(recording(topics(11_000, 5)), NOW, "2", after=first)
    forged: Seal = msgspec.structs.replace(first.seal, made_at="2020-01-01T00:00:00Z")
    done = check([from_bytes("1", to_bytes(forged)), second], MemoryLog(topics(11_000, 5)), DECODE, "c1", {})
    assert not done.whole and done.notes


def test_a_file_is_written_whole_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "a.seal"
    _write_new(path, b"one")
    with pytest.raises(WrongUse, match="never written over"):
        _write_new(path, b"two")
    assert path.read_bytes() == b"one"
    assert [each.name for each in tmp_path.iterdir()] == ["a.seal"], "nothing half-written is left"
    assert path.stat().st_mode & 0o222 == 0
    with pytest.raises(WrongUse, match="cannot be written"):
        _write_new(tmp_path / "nowhere" / "a.seal", b"x")


def test_what_is_no_seal_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot be read"):
        load([tmp_path / "none.seal"])
    (tmp_path / "bad.seal").write_text("hello")
    with pytest.raises(WrongUse, match="is no seal"):
        load([tmp_path / "bad.seal"])
