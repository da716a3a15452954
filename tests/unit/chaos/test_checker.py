"""The chaos checker complains about each kind of wrong, and about nothing that is right."""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pipeline.domain.analytics import Bar
from pipeline.domain.controls import TickKind
from pipeline.domain.partitioning import partition_of
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.memory.host import MemoryHost
from tests.chaos import checker, logs, model
from tests.chaos.checker import Verdict, Wrong, check, unread
from tests.chaos.logs import Logs, PartitionLog, Rec, outcomes
from tests.sample_stages import Adder, Repeater, print_of, tick_of

P = 2
MS = 1_000_000
TOPICS = ("prints", "clock", "controls", "bars", "venue-scores", "reference-prices", "alerts", "journal",
          "dead-letters")  # fmt: skip


def a_run(prints: int = 40, units: tuple[tuple[str, ...], ...] = (("adder",), ("repeater",))) -> Logs:
    """What two stages leave on their topics: nothing is wrong with it."""
    host = MemoryHost((Adder(), Repeater()), P, units=units, resumed_ns=77)
    for number in range(1, prints + 1):
        host.publish(print_of(f"I{number % 5}", number, qty=number), append_ns=number * MS)
        if number % 10 == 0:
            host.publish(tick_of(number), append_ns=number * MS)
            host.run()
            host.commit()
    host.run()
    host.commit()
    return logs_of(host)


def logs_of(host: MemoryHost) -> Logs:
    result: Logs = {(topic, partition): PartitionLog() for topic in TOPICS for partition in range(P)}
    for place, records in host.topics.items():
        rows = [Rec(each.offset, each.append_ns // MS, each.key, each.value) for each in records]
        result[place] = PartitionLog(rows, list(rows))
    return result


def verdict_of(found: Logs, **named: object) -> Verdict:
    return check(found, sample=True, **named)  # type: ignore[arg-type]


def assert_only(verdict: Verdict, *kinds: Wrong) -> None:
    assert set(verdict.anomalies) == set(kinds), verdict.told


@pytest.mark.parametrize("units", [(("adder",), ("repeater",)), (("adder", "repeater"),)])
def test_a_good_run_is_good(units: tuple[tuple[str, ...], ...]) -> None:
    verdict = verdict_of(a_run(units=units))
    assert verdict.total == 0, verdict.told
    assert verdict.starts == 2 * P
    # 40 bars, 40 scores, 5 instruments at each of 4 ticks on both partitions, an alert at each third echo, one a start
    assert verdict.effects >= 40 + 40 + 4 * 4 * P + P
    assert verdict.applied >= 40 + 40 + 40


# ---------------------------------------------------------------------- what stands on an output


def bars(found: Logs) -> PartitionLog:
    return max((found["bars", p] for p in range(P)), key=lambda log: len(log.visible))


def cut(log: PartitionLog, place: int) -> None:
    del log.visible[place], log.everything[place]


def swap(log: PartitionLog, place: int) -> None:
    for rows in (log.visible, log.everything):
        a, b = rows[place], rows[place + 1]
        rows[place], rows[place + 1] = b._replace(offset=a.offset), a._replace(offset=b.offset)


def double(log: PartitionLog, place: int) -> None:
    for rows in (log.visible, log.everything):
        rows.append(rows[place]._replace(offset=rows[-1].offset + 1))


def alter(log: PartitionLog, place: int) -> None:
    codec = Codec(LocalIds())
    bar = codec.decode("bars", log.visible[place].value)
    assert isinstance(bar, Bar)
    changed = codec.encode(msgspec.structs.replace(bar, volume_qty=bar.volume_qty + 1))
    for rows in (log.visible, log.everything):
        rows[place] = rows[place]._replace(value=changed)


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda log: cut(log, 3), Wrong.LOST),
        (lambda log: cut(log, -1), Wrong.LOST),
        (lambda log: double(log, 3), Wrong.DUPLICATED),
        (lambda log: swap(log, 3), Wrong.REORDERED),
        (lambda log: alter(log, 3), Wrong.ALTERED),
    ],
)
def test_an_output_that_is_not_what_it_must_be(spoil: Callable[[PartitionLog], None], kind: Wrong) -> None:
    found = a_run()
    spoil(bars(found))
    assert verdict_of(found).anomalies[kind] > 0


@pytest.mark.parametrize("sample", [True, False])
def test_an_output_nobody_had_a_reason_for(sample: bool) -> None:
    found = a_run()
    log = bars(found)
    codec = Codec(LocalIds())
    bar = codec.decode("bars", log.visible[-1].value)
    assert isinstance(bar, Bar)
    more = codec.encode(msgspec.structs.replace(bar, seq=bar.seq + 1))
    for rows in (log.visible, log.everything):
        rows.append(Rec(rows[-1].offset + 1, 1, log.visible[0].key, more))
    assert check(found, sample=sample).anomalies[Wrong.UNEXPLAINED] > 0


def test_without_knowing_the_stages_the_last_record_of_a_writer_is_missed_too() -> None:
    found = a_run()
    alerts = max((found["alerts", p] for p in range(P)), key=lambda log: len(log.visible))  # read by nobody
    cut(alerts, -1)
    assert_only(check(found, sample=False), Wrong.LOST)


# ---------------------------------------------------------------------- transactions


def test_an_aborted_record_that_is_visible() -> None:
    found = a_run()
    log = bars(found)
    log.aborted = frozenset({log.visible[3].offset})
    assert_only(verdict_of(found), Wrong.ABORTED)


def test_an_aborted_record_that_nobody_sees_is_counted() -> None:
    found = a_run()
    log = bars(found)
    end = log.everything[-1].offset
    log.everything.append(log.everything[0]._replace(offset=end + 1))
    log.aborted = frozenset({end + 1})
    verdict = verdict_of(found)
    assert verdict.total == 0 and verdict.aborted == 1


def test_a_committed_record_that_a_reader_does_not_see() -> None:
    found = a_run()
    log = bars(found)
    del log.visible[-1]
    assert verdict_of(found).anomalies[Wrong.LOST] > 0


# ---------------------------------------------------------------------- inputs


def spoiled_inputs(skipped: int | None = None, twice: int | None = None, swapped: int | None = None) -> Logs:
    """The task saw other prints than stand on the topic. The numbers are places among the prints of instrument A."""
    host = MemoryHost((Adder(), Repeater()), P, resumed_ns=77)
    for number in range(10):
        if number != skipped:
            for _ in range(2 if number == twice else 1):
                host.publish(print_of("A", number, qty=number + 1), append_ns=number * MS)
    host.run()
    host.commit()
    found = logs_of(host)
    codec = Codec(LocalIds())
    rows = [Rec(number, number, b"A", codec.encode(print_of("A", number, qty=number + 1))) for number in range(10)]
    if swapped is not None:
        a, b = rows[swapped : swapped + 2]
        rows[swapped : swapped + 2] = [a._replace(value=b.value), b._replace(value=a.value)]
    found["prints", partition_of("A", P)] = PartitionLog(rows, list(rows))
    return found


def test_the_spoiler_spoils_nothing_by_itself() -> None:
    assert verdict_of(spoiled_inputs()).total == 0


@pytest.mark.parametrize("skipped", [0, 4, 9])
def test_an_input_that_was_never_applied(skipped: int) -> None:
    assert verdict_of(spoiled_inputs(skipped=skipped)).anomalies[Wrong.LOST] > 0


def test_ticks_are_due_to_the_end_of_the_day_and_not_after_it() -> None:
    found = a_run()
    codec = Codec(LocalIds())

    def ticks_on(kind: TickKind) -> None:
        log = found["clock", 0]
        tick = msgspec.structs.replace(tick_of(99), kind=kind, writer="clock@1", seq=len(log.visible) + 1)
        log.visible.append(Rec(len(log.visible), 99, b"clock", codec.encode(tick)))

    assert not unread(found, sample=True)
    ticks_on(TickKind.DAY_END)
    assert unread(found, sample=True) == [f"{stage}/0 has applied 4 of 5 of clock" for stage in ("adder", "repeater")]
    ticks_on(TickKind.TICK)
    assert unread(found, sample=True) == [f"{stage}/0 has applied 4 of 5 of clock" for stage in ("adder", "repeater")]


@pytest.mark.parametrize("twice", [0, 4, 9])
def test_an_input_that_was_applied_twice(twice: int) -> None:
    verdict = verdict_of(spoiled_inputs(twice=twice))
    assert verdict.anomalies[Wrong.JOURNAL] > 0 and verdict.anomalies[Wrong.UNEXPLAINED] > 0


def test_inputs_applied_in_another_order() -> None:
    verdict = verdict_of(spoiled_inputs(swapped=4))
    assert verdict.anomalies[Wrong.JOURNAL] > 0 and verdict.anomalies[Wrong.ALTERED] > 0


def test_an_aborted_input_that_was_applied() -> None:
    found = spoiled_inputs()
    log = found["prints", partition_of("A", P)]
    log.aborted = frozenset({9})
    del log.visible[9]
    assert verdict_of(found).anomalies[Wrong.JOURNAL] > 0


def test_a_missing_journal_entry() -> None:
    found = a_run()
    for place in range(P):
        log = found["journal", place]
        cut(log, 2)
    assert verdict_of(found).anomalies[Wrong.JOURNAL] > 0


def test_the_ledger_of_the_load() -> None:
    found = a_run()
    place = ("prints", 0)
    rows = [(rec.key or b"", rec.value or b"") for rec in found[place].visible]
    assert verdict_of(found, sent={place: rows}).total == 0
    assert_only(verdict_of(found, sent={place: [*rows, (b"k", b"v")]}), Wrong.LOST)
    assert_only(verdict_of(found, sent={place: rows[:-1]}), Wrong.DUPLICATED)
    assert_only(verdict_of(found, sent={place: [rows[1], rows[0], *rows[2:]]}), Wrong.REORDERED)


# ---------------------------------------------------------------------- the broker's files


def batch(base: int, count: int, producer: int, *, marker: int | None = None, transactional: bool = True) -> bytes:
    """A record batch of format 2: the header whole, and of the records only what a marker needs."""
    records = b"" if marker is None else bytes([32, 0, 0, 0, 8]) + struct.pack(">hh", 0, marker) + bytes([12, 0, 0])
    attributes = (0x10 if transactional else 0) | (0x20 if marker is not None else 0)
    rest = struct.pack(">ibIhiqqqhii", 0, 2, 0, attributes, count - 1, 0, 0, producer, 0, 0, count) + records
    return struct.pack(">qi", base, len(rest)) + rest


def test_what_was_aborted_is_read_from_the_files(tmp_path: Path) -> None:
    first = (
        batch(0, 3, 1)  # of producer 1, in a transaction
        + batch(3, 2, 2)  # of producer 2, at the same time
        + batch(5, 1, -1, transactional=False)
        + batch(6, 1, 1, marker=0)  # 1 aborts
        + batch(7, 2, 1)  # 1 again
    )
    second = batch(9, 1, 2, marker=1) + batch(10, 1, 1, marker=1) + batch(11, 4, 3)  # both commit; 3 is open
    (tmp_path / "00000000000000000000.log").write_bytes(first)
    (tmp_path / "00000000000000000009.log").write_bytes(second + batch(15, 1, 3)[:20])  # being written
    aborted, undecided, end = outcomes(tmp_path)
    assert aborted == {0, 1, 2} and undecided == {11, 12, 13, 14} and end == 15


# ---------------------------------------------------------------------- independence


def test_the_checker_shares_no_code_with_the_pipeline() -> None:
    own = {"tests.chaos.logs", "tests.chaos.model"}
    for module in (checker, logs, model):
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert not name.startswith("pipeline"), f"{module.__name__} imports {name}"
                assert not name.startswith("tests") or name in own, f"{module.__name__} imports {name}"


def test_two_hands_wrote_the_same_hash() -> None:
    for key in ("", "a", "ab", "abc", "abcd", "I17", "some longer key than eight"):
        for partitions in (1, 2, 4, 12):
            assert (model.murmur2(key.encode()) & 0x7FFFFFFF) % partitions == partition_of(key, partitions)
