"""The screen of an audit, line by line, and the sweep over topics: known results, known words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from pipeline.audit.findings import Finding, FindingKind, shortened
from pipeline.audit.seal_check import SealCheck
from pipeline.audit.verify import Audit, SweepResult, TaskResult, sweep


def finding(
    kind: FindingKind = FindingKind.OUTPUT_DIFFERS, topic: str = "fills", field: str = "qty", no: int = 0
) -> Finding:
    return Finding(kind, "routing/0", 7 + no, topic, 1, 42, field, "5", "6")


def task(stage: str, partition: int = 0, **more: object) -> TaskResult:
    known: dict[str, object] = {
        "stage": stage, "partition": partition, "starts": 1, "transactions": 20, "inputs": 3_000, "outputs": 1_200,
        "differing": 0, "digests": ("d1",), "journal_head": "h1", "findings": (), "finding_count": 0, "notes": (),
    }  # fmt: skip
    return TaskResult(**{**known, **more})  # type: ignore[arg-type]


def audit(tasks: Sequence[TaskResult], sweeps: Sequence[SweepResult] = (), **more: object) -> Audit:
    return Audit("here (cluster c)", 2, 9, 12_345, tuple(tasks), tuple(sweeps), **more)  # type: ignore[arg-type]


GOOD = [task("intake"), task("netting", 0, starts=2, notes=(("recorded under commit a", 2),)), task("netting", 1)]


def test_the_screen_of_an_audit_that_found_nothing() -> None:
    done = audit(GOOD)
    assert (done.anything, done.verified, done.finding_count, done.findings) == (True, True, 0, [])
    assert done.text().splitlines() == [
        "audit of here (cluster c): 12,345 records on 9 topics, 3 tasks on 2 partitions",
        "",
        "  stage        tasks  starts  commits        read     written   identical",
        "  intake           1       1       20       3,000       1,200       1,200",
        "  netting          2       3       40       6,000       2,400       2,400",
        "  all              3       4       60       9,000       3,600       3,600",
        "",
        "VERIFIED: every record the stages wrote is what the code decides, byte for byte.",
        f"  SHA-256 of all decisions  {done.digests[0]}",
        f"  SHA-256 of journal heads  {done.heads}",
        "What this proves: outputs follow from the recorded inputs, the recorded order and this code; no record that a",
        "stage wrote was altered, removed, added or reordered by itself, and no input that a journal entry covers.",
        "What it cannot say without a seal (`pipeline audit seal`), kept where nobody who can write to the "
        "cluster can:",
        "that inputs, journal and all that follows were not rewritten together, or cut off together at the end; that",
        "nobody touched what no task reads: inputs after the journal's end, append times that decided "
        "nothing, the order",
        "between different writers' records on topics no stage reads.",
        "  note: recorded under commit a (2 task starts)",
    ]
    assert len(done.digests[0]) == len(done.heads) == 64 and done.digests[0] != done.heads


def test_digests_are_of_every_task_in_order_and_of_what_it_wrote() -> None:
    one = audit(GOOD).digests[0]
    for other in (
        GOOD[::-1],
        [*GOOD[:2], task("netting", 1, outputs=1_201)],
        [*GOOD[:2], task("netting", 1, digests=("d2",))],
    ):
        assert audit(other).digests[0] != one
    assert audit([*GOOD[:2], task("netting", 1, journal_head="h2")]).heads != audit(GOOD).heads
    assert audit([]).digests == ()


def test_two_replays_that_agree_are_said_and_two_that_differ_are_not_verified() -> None:
    twice = audit([task("intake", digests=("d1", "d1"))])
    assert twice.verified
    assert (
        "VERIFIED: every record the stages wrote is what the code decides, byte for byte, 2 times over." in twice.text()
    )
    differing = audit([task("intake", digests=("d1", "d2"))])
    assert not differing.verified
    assert differing.text().splitlines()[-1] == (
        "NOT VERIFIED: two replays of the same records differ: a stage is not pure."
    )


def test_nothing_recorded_is_not_verified() -> None:
    nothing = audit([task("intake", starts=0, transactions=0, inputs=0, outputs=0)])
    assert (nothing.anything, nothing.verified) == (False, False)
    assert nothing.text().splitlines()[-1] == (
        "NOT VERIFIED: there is no journal, so nothing says what was decided, and why."
    )
    assert audit([task("intake", starts=0)]).anything and audit([task("intake", transactions=0)]).anything


def test_causes_come_before_consequences_and_only_the_first_ten_are_shown() -> None:
    misled = task("slicing", findings=(finding(no=1),), finding_count=1, misled=True, differing=4)
    cause = task("routing", findings=(finding(no=2),), finding_count=1)
    swept = SweepResult("fills", 1, 50, tuple(finding(FindingKind.FORGED, no=n) for n in range(10)), 12)
    sealed = SealCheck(
        1, 5, 0, "then", True, (finding(FindingKind.SEAL, "fills"), finding(FindingKind.SEAL, "orders-in")), ()
    )
    done = audit([misled, cause], [swept], sealed=sealed)
    assert done.finding_count == 1 + 1 + 12 + 2
    assert done.findings == [
        sealed.findings[1],
        cause.findings[0],
        misled.findings[0],
        *swept.findings,
        sealed.findings[0],
    ]
    lines = done.text().splitlines()
    assert lines[3] == "  slicing          1       1       20       3,000       1,200       1,196"
    start = lines.index("First finding:")
    assert lines[start + 1 : start + 3] == [f"  {sealed.findings[1]}", "More:"]
    assert lines[start + 3 : start + 12] == [f"  {each}" for each in done.findings[1:10]]
    assert lines[start + 12 :] == ["  … and 6 others", "", "NOT VERIFIED: 16 findings."]
    one = audit([cause]).text().splitlines()
    assert one[-3:] == [f"  {cause.findings[0]}", "", "NOT VERIFIED: 1 findings."]


@pytest.mark.parametrize(
    ("field", "again"),
    [
        ("routing.collar", "the file it ran with (--parameters FILE)"),
        ("routing.secret_sha256", "PIPELINE_WIRE_SECRET set as it was"),
    ],
)
def test_other_parameters_are_named_with_what_to_do(field: str, again: str) -> None:
    other = finding(FindingKind.PARAMETERS, "journal", field)
    lines = audit([task("routing", findings=(finding(), other), finding_count=2)]).text().splitlines()
    assert lines[-2:] == [
        f"The first parameter that differs is {field}: 5 when it was recorded, 6 in this audit.",
        f"Other findings may follow from that. Audit again with {again}.",
    ]


def test_the_notes_of_an_audit() -> None:
    behind = [task("netting", n, unread=1_000 + n) for n in range(5)]
    silent = task("slicing", starts=0)
    done = audit([*behind, silent], later=3)
    assert done.text().splitlines()[-3:] == [
        "  note: never ran: slicing/0",
        "  note: records at the ends of inputs are in no journal entry, not read yet: netting/0 1,000, "
        "netting/1 1,001, "
        "netting/2 1,002, netting/3 1,003 …",
        "  note: 3 places were written to while the audit read; that is for the next audit",
    ]


@pytest.mark.parametrize(
    ("seals", "whole", "said"),
    [
        (1, True, "SEALED by a seal, the last of then: 10,000 records, inputs too, from the beginning up to it"),
        (
            3,
            False,
            "SEALED by 3 seals, the last of then: 10,000 records, inputs too, in the parts that these cover, up to it",
        ),
    ],
)
def test_what_seals_add(seals: int, whole: bool, said: str) -> None:
    lines = audit(GOOD, sealed=SealCheck(seals, 10_000, 6, "then", whole, (), ("of the seal",))).text().splitlines()
    assert lines[-7:] == [
        "stage wrote was altered, removed, added or reordered by itself, and no input that a journal entry covers.",
        said,
        "are as they were sealed, in offset, time, key and bytes; so are 6 journal heads.",
        "Of the 2,345 records after it nothing is said, nor whether what is covered was true when sealed.",
        "A seal is not signed: it is worth what its keeping is worth.",
        "  note: recorded under commit a (2 task starts)",
        "  note: of the seal",
    ]


# ---------------------------------------------------------------------- findings


@pytest.mark.parametrize(
    ("kind", "offset", "entry_no", "text"),
    [
        (FindingKind.OUTPUT_DIFFERS, 42, 7, "a record is not what the stage decides: fills/1/42, field qty: "
        "recorded 5, "
         "replayed 6 (task routing/0, journal entry 7)"),
        (FindingKind.CHAIN, -1, 0, "the journal's chain is broken: fills/1, field qty: recorded 5, replayed 6 "
         "(task routing/0)"),
        (FindingKind.FORGED, 0, 0, "a record is there that no stage can have written: fills/1/0, field qty: "
        "recorded 5, "
         "due 6 (task routing/0)"),
        (FindingKind.ORDER, 0, 0, "a writer's records are not numbered one after the other: fills/1/0, field qty: "
         "recorded 5, due 6 (task routing/0)"),
        (FindingKind.SCHEMA, 0, 1, "written under another schema: fills/1/0, field qty: recorded 5, due 6 "
        "(task routing/0, "
         "journal entry 1)"),
        (FindingKind.PARAMETERS, -1, 1, "recorded with other parameters: fills/1, field qty: recorded 5, "
        "replayed with 6 "
         "(task routing/0, journal entry 1)"),
        (FindingKind.SEAL, 3, 0, "the log is not what was sealed: fills/1/3, field qty: recorded 5, sealed 6 "
         "(seal routing/0)"),
        (FindingKind.CUT_OFF, 3, 0, "the log ends before what was sealed: fills/1/3, field qty: recorded 5, sealed 6 "
         "(seal routing/0)"),
    ],
)  # fmt: skip
def test_a_finding_in_words(kind: FindingKind, offset: int, entry_no: int, text: str) -> None:
    assert str(Finding(kind, "routing/0", entry_no, "fills", 1, offset, "qty", "5", "6")) == text


def test_where_long_values_are_cut() -> None:
    assert shortened("a" * 98, "b" * 98) == (repr("a" * 98), repr("b" * 98)), "100 characters with their quotes"
    was, now = shortened("a" * 40 + "x" + "a" * 200, "a" * 40 + "y" + "a" * 200)
    assert was == "…" + "a" * 25 + "x" + "a" * 74 + "… (from character 16)"
    assert now == was.replace("x", "y")
    was, now = shortened("a" * 99, "a" * 120)
    assert (was, now) == ("…" + "a" * 25 + "' (from character 75)", "…" + "a" * 46 + "' (from character 75)")
    was, now = shortened("x" + "a" * 200, "y" + "a" * 200)
    assert was == "'x" + "a" * 98 + "…" and now == "'y" + "a" * 98 + "…"


# ---------------------------------------------------------------------- sweeps


class Stored(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None
    append_ns: int = 0


def value(writer: str, seq: int, schema_id: int = 5, magic: int = 0) -> bytes:
    name = writer.encode()
    return bytes((magic,)) + schema_id.to_bytes(4, "big") + bytes((2 * len(name),)) + name + bytes((2 * seq,))


def swept(topic: str, *records: Stored, writers: Sequence[str] = ("routing/0", "routing/1")) -> SweepResult:
    return sweep(topic, 1, records, frozenset(writers), "due", lambda schema_id: "due" if schema_id == 5 else "another")


def test_a_sweep_of_what_may_be_there_finds_nothing() -> None:
    records = [Stored(n, b"k", value(f"routing/{n % 2}", 1 + n // 2)) for n in range(6)]
    assert swept("fills", *records) == SweepResult("fills", 1, 6, (), 0)
    assert swept("journal", Stored(0, b"routing/0", value("routing/0", 1))).finding_count == 0


def test_each_thing_a_sweep_can_find() -> None:
    done = swept(
        "journal",
        Stored(3, b"routing/0", value("routing/0", 1)),
        Stored(4, b"nobody/0", value("nobody/0", 1)),
        Stored(5, b"routing/0", value("routing/0", 3)),
        Stored(6, b"routing/0", value("routing/0", 4, schema_id=6)),
        Stored(7, b"other", value("routing/0", 5)),
        Stored(8, b"routing/0", value("routing/0", 6, magic=1)),
        Stored(9, b"routing/0", value("routing/0", 2)),
        Stored(10, b"routing/0", value("routing/0", 7)),
        Stored(11, None, None),
    )
    assert done.records == 9

    def of(kind: FindingKind, writer: str, offset: int, field: str, recorded: str, due: str) -> Finding:
        return Finding(kind, writer, 0, "journal", 1, offset, field, recorded, due)

    assert list(done.findings) == [
        of(FindingKind.FORGED, "nobody/0", 4, "writer", "'nobody/0'", "one of routing/0, routing/1"),
        of(FindingKind.ORDER, "routing/0", 5, "seq", "3", "2"),
        of(FindingKind.SCHEMA, "routing/0", 6, "schema id 6", "another", "due"),
        of(FindingKind.FORGED, "routing/0", 7, "key", "b'other'", "b'routing/0'"),
        of(FindingKind.SCHEMA, "routing/0", 8, "(first byte)", "1", "0"),
        of(FindingKind.ORDER, "routing/0", 9, "seq", "2", "7"),
        of(FindingKind.FORGED, "?", 11, "writer", "''", "one of routing/0, routing/1"),
    ]
    assert done.finding_count == 7


def test_who_may_write_is_said_with_the_first_four() -> None:
    five = [f"routing/{n}" for n in range(5)]
    (found,) = swept("fills", Stored(0, b"k", value("x/0", 1)), writers=five).findings
    assert found.replayed == "one of routing/0, routing/1, routing/2, routing/3 …"
    (found,) = swept("fills", Stored(0, b"k", value("x/0", 1)), writers=five[:4]).findings
    assert found.replayed == "one of routing/0, routing/1, routing/2, routing/3"
    (found,) = swept("fills", Stored(0, b"k", value("x/0", 1)), writers=()).findings
    assert found.replayed == "no record in this partition"
