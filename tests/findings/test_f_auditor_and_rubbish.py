"""F. Whatever stands in the topics, an audit ends with findings by name: never an exception, never silence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pipeline import topology
from pipeline.audit.findings import FindingKind
from pipeline.audit.invariants import books
from pipeline.audit.lineage import History
from pipeline.audit.seal import BadSeal, from_bytes
from pipeline.audit.verify import Code, against_code
from pipeline.domain.audit import InputRun, InputStart, JournalEntry, JournalKind
from pipeline.domain.record import Record
from pipeline.errors import WrongUse
from pipeline.runtime.auditing.seal import BrokenJournal, load, seal_recording
from pipeline.runtime.auditing.verify import audit
from pipeline.runtime.contracts.recorded_schemas import recorded_schemas
from pipeline.runtime.memory.host import StoredRecord
from tests.days import records_of
from tests.findings.test_c_no_record_stops_allocation import altered
from tests.recordings import CODEC, IDS, Topics, copied, plain_day, recording

DAY = copied(plain_day())
RUBBISH: tuple[bytes | None, ...] = (
    None,
    b"",
    b"\x00",
    b"\xff" * 9,
    b"\x00\x00\x00\x00\x07" + b"\xff" * 40,
    b"\x00\x00\x00\x00\x63\x02a\x02",
    b"\x00\x7f\xff\xff\xff\x1cintake/0\x02",
    b"\x00\x00\x00\x00\x02\x1cintake/0\x02\x00\x00",
    b"rubbish",
)


def with_rubbish(seed: int) -> Topics:
    """The day with a few records of each place replaced by rubbish, and some put in between and at the end."""
    chance, topics = random.Random(seed), {place: list(records) for place, records in DAY.items()}
    for records in topics.values():
        for _ in range(2):
            at = chance.randrange(len(records)) if records else 0
            value = chance.choice(RUBBISH)
            if records and chance.random() < 0.5:
                records[at] = replace(records[at], value=value, key=chance.choice((None, b"", records[at].key)))
        last = records[-1].offset if records else 0
        records.append(StoredRecord(last + 1, 0, chance.choice((None, b"k")), chance.choice(RUBBISH)))
    return topics


@pytest.mark.parametrize("seed", range(3))
def test_an_audit_of_rubbish_topics_says_what_is_wrong(seed: int) -> None:
    done = audit(recording(with_rubbish(seed)), topology.STAGES, lambda _: None, processes=1)
    assert not done.verified and done.finding_count > 0
    assert "NOT VERIFIED" in done.text()


def entry_with(**changes: object) -> Topics:
    """The day with the first journal entry of intake/0 saying something else."""
    topics = {place: list(records) for place, records in DAY.items()}
    records = topics["journal", 0]
    for at, stored in enumerate(records):
        entry = CODEC.decode("journal", stored.value)
        if isinstance(entry, JournalEntry) and entry.writer == "intake/0" and entry.kind is JournalKind.TRANSACTION:
            value = CODEC.encode(msgspec.structs.replace(entry, **changes))
            records[at] = replace(stored, value=value)
            return topics
    raise AssertionError("no entry of intake/0")


@pytest.mark.parametrize(
    "changes",
    [
        {"runs": (InputRun(topic="no-such-topic", count=3),)},
        {"runs": (InputRun(topic="no-such-topic", count=3),), "starts": (InputStart(topic="no-such-topic", offset=0),)},
        {"runs": (InputRun(topic="orders-in", count=2**62),)},
        {"runs": (InputRun(topic="orders-in", count=-1),)},
        {"starts": ()},
        {"stage": "nobody", "partition": 99},
        {"no": -5, "epoch": 0},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_an_entry_of_the_journal_that_makes_no_sense_is_a_finding(changes: dict[str, object]) -> None:
    intake = [stage for stage in topology.STAGES if stage.name == "intake"]
    done = audit(recording(entry_with(**changes)), intake, lambda _: None, processes=1)
    kinds = {finding.kind for finding in done.findings if finding.writer == "intake/0"}
    assert kinds & {FindingKind.CHAIN, FindingKind.ENTRY, FindingKind.INPUT_MISSING}, done.findings


CODE = Code({}, {"fills": "due"}, "commit", "lock", "python")


def epoch(**changes: object) -> JournalEntry:
    entry = JournalEntry(
        kind=JournalKind.EPOCH, stage="intake", partition=0, no=1, epoch=1, previous_hash="", wall_ns=1,
        commit="commit", lock_hash="lock", python="python",
    )  # fmt: skip
    return msgspec.structs.replace(entry, **changes)


@pytest.mark.parametrize("text", ["[1]", "7", "null", '"x"', "{", "", "[" * 5_000, '{"intake": 3}', '{"intake": null}'])
def test_parameters_that_are_no_object_are_a_finding(text: str) -> None:
    findings, notes = against_code(epoch(config=text), CODE)
    assert notes == []
    expected = [(FindingKind.PARAMETERS, "config", "no parameters of this stage", "0 of them")] if text else []
    assert [(f.kind, f.field, f.recorded, f.replayed) for f in findings] == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[1]", ("schemas", "'[1]'", "topic, schema id and fingerprint of each")),
        ("{", ("schemas", "'{'", "topic, schema id and fingerprint of each")),
        ('{"fills": 3}', ("contract of fills", "3", "due")),
        ('{"fills": [1]}', ("contract of fills", "[1]", "due")),
        ('{"fills": [1, "other"]}', ("contract of fills", "other", "due")),
        ('{"fills": [1, "due"]}', None),
        ('{"unknown": null}', None),
    ],
)
def test_schemas_that_are_no_table_are_a_finding(text: str, found: tuple[str, str, str] | None) -> None:
    findings, _ = against_code(epoch(schemas=text), CODE)
    expected = [] if found is None else [(FindingKind.SCHEMA, *found)]
    assert [(f.kind, f.field, f.recorded, f.replayed) for f in findings] == expected


def test_a_copy_of_a_schema_that_is_none_is_left_out() -> None:
    copies = [value or b"" for value in RUBBISH]
    assert recorded_schemas(copies, [("fills", 77)], IDS).texts == {}


def test_a_seal_over_a_journal_of_rubbish_is_not_made_and_says_so() -> None:
    topics = {place: list(records) for place, records in DAY.items()}
    last = topics["journal", 0][-1]
    topics["journal", 0].append(replace(last, offset=last.offset + 1, value=(last.value or b"")[:-3]))
    with pytest.raises(BrokenJournal, match="nothing was sealed"):
        seal_recording(recording(topics), "now")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[1]",
        b"\xff\xfe",
        b"null",
        b'{"seal": 1}',
        b'{"seal": ' + b"[" * 100_000,
        b'{"seal": 9}',
        b'{"seal": "1"}',
    ],
)
def test_a_file_that_is_no_seal_is_refused_by_name(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadSeal, match=r"a\.seal"):
        from_bytes("a.seal", data)
    path = tmp_path / "a.seal"
    path.write_bytes(data)
    with pytest.raises(WrongUse, match=r"a\.seal"):
        load([path])
    with pytest.raises(WrongUse, match="cannot be read"):
        load([tmp_path])


def one_of_each() -> list[Record]:
    """The last record of each type and kind of a small day: what the books and histories are made of."""
    found: dict[tuple[str, str], Record] = {}
    for record in records_of(plain_day()):
        found[type(record).__name__, str(getattr(record, "kind", ""))] = record
    return list(found.values())


def around(records: Sequence[Record]) -> None:
    """Books, trees and reasons of these records, asked for by every id in them."""
    assert books(records)
    history = History(records)
    for record in records:
        for name in ("order_id", "parent_id", "child_id", "cross_id", "alloc_id", "fill_id", "exec_id", "cl_ord_id"):
            wanted = getattr(record, name, None)
            if isinstance(wanted, str):
                history.tree(wanted)
                history.explain(wanted)


def test_books_and_trees_stand_any_value_of_any_field() -> None:
    records = one_of_each()
    around(records)
    changed = [(at, what, new) for at, record in enumerate(records) for what, new in altered(record)]
    for number, (at, what, new) in enumerate(changed):
        try:
            around([new])
            if number % 41 == 0:  # now and then among all the others, which takes longer
                around([*records[:at], new, *records[at + 1 :]])
        except Exception as error:
            error.add_note(f"{type(new).__name__} with {what}")
            raise
