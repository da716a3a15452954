"""Looks for lost, duplicated, aborted and reordered records, knowing nothing of the worker. Shares no code with it.

Given: what stands on the topics (`logs.py`), the contracts (`schemas/*.avsc`) and, for the sample stages, their
arithmetic (`model.py`). The journal is believed in one thing only, the order in which a task read its inputs.
Everything else is recomputed from the committed inputs in that order:

    visibility   a reader of committed records sees all that was committed and nothing that was aborted
    numbers      every writer's records carry 1, 2, 3 … in each partition, in the order of the log
    journal      every task's entries form a chain; each committed input was applied once, in the order of its log, with
                 the bytes that stand there; each record that was written stands in exactly one entry's account
    effects      (sample stages) what must have been written, record by record, is what was written
    inputs       what the load was told is stored stands on the topics, once, in order
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

import fastavro

from tests.chaos.logs import Logs, PartitionLog, Place, Rec
from tests.chaos.model import TASKS, Expected, Fields, Task

SCHEMAS: Final = Path(__file__).resolve().parents[2] / "schemas"
HEADER: Final = 5
"""A zero and the schema's id."""
TOLD_MAX: Final = 40


class Wrong(Enum):
    """Kinds of anomaly."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    ABORTED = "aborted, yet visible"
    ALTERED = "not what it must be"
    UNEXPLAINED = "written, but no task accounts for it"
    JOURNAL = "the journal does not hold"
    UNFINISHED = "the system did not converge"
    ENDED = "a worker ended by itself"


@dataclass
class Verdict:
    """What was checked and what was found."""

    anomalies: Counter[Wrong] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    """The first anomalies, in words."""
    records: int = 0
    """Committed records looked at, on all topics."""
    aborted: int = 0
    """Records of aborted transactions: they stand in the log, and nobody may see them."""
    starts: int = 0
    """Task starts (generations of a stage on a partition)."""
    transactions: int = 0
    """Journal entries of transactions."""
    applied: int = 0
    """Inputs applied, over all tasks."""
    effects: int = 0
    """Outputs recomputed and compared."""

    def add(self, wrong: Wrong, text: str) -> None:
        self.anomalies[wrong] += 1
        if len(self.told) < TOLD_MAX:
            self.told.append(f"{wrong.value}: {text}")

    @property
    def total(self) -> int:
        return sum(self.anomalies.values())


class Contracts:
    """Decoding by the contracts' own files."""

    def decode(self, topic: str, value: bytes | None) -> Fields:
        """Raises ValueError for what is no record of ``topic``."""
        if value is None or len(value) < HEADER or value[0] != 0:
            raise ValueError(f"{topic}: not a record")
        stream = io.BytesIO(value[HEADER:])
        found = fastavro.schemaless_reader(stream, _parsed(topic), None)
        if stream.read(1):
            raise ValueError(f"{topic}: bytes after the record's end")
        return dict(found)  # type: ignore[arg-type]

    def author(self, topic: str, value: bytes | None) -> tuple[str, int]:
        """Writer and number; ("", 0) when it has none. They come first in every record of ours."""
        if not _numbered(topic) or value is None or len(value) < HEADER:
            return "", 0
        stream = io.BytesIO(value[HEADER:])
        head = fastavro.schemaless_reader(stream, _HEAD, None)
        return head["writer"], head["seq"]  # type: ignore[index,call-overload,return-value]


_HEAD: Final = fastavro.parse_schema(
    {"type": "record", "name": "Head",
     "fields": [{"name": "writer", "type": "string"}, {"name": "seq", "type": "long"}]}
)  # fmt: skip


@cache
def _schema(topic: str) -> dict[str, Any]:
    text = (SCHEMAS / f"{topic.partition('.')[0]}.avsc").read_text(encoding="utf-8")
    return dict(json.loads(text))


@cache
def _parsed(topic: str) -> Any:
    return fastavro.parse_schema(_schema(topic))


@cache
def _numbered(topic: str) -> bool:
    return bool(_schema(topic)["fields"][0]["name"] == "writer")


# ---------------------------------------------------------------------- the whole


def check(
    logs: Logs,
    *,
    sample: bool,
    sent: Mapping[Place, Sequence[tuple[bytes, bytes]]] | None = None,
    dead_letters: bool = False,
) -> Verdict:
    """Check everything. ``sample``: the stages are the sample stages. ``sent``: key and value of what the load was told
    is stored, per partition. ``dead_letters``: whether there may be any."""
    verdict = Verdict()
    contracts = Contracts()
    partitions = 1 + max(partition for _, partition in logs)
    check_visibility(logs, verdict)
    check_inputs(logs, sent or {}, verdict)
    check_numbers(logs, contracts, verdict)
    tasks = [_Journaled(logs, contracts, verdict, *task) for task in sorted(_entries(logs, contracts).items())]
    for task in tasks:
        task.check()
    _check_accounts(logs, contracts, tasks, verdict)
    if sample:
        _check_effects(logs, contracts, tasks, partitions, verdict)
    for place in unread(logs, sample=sample):
        verdict.add(Wrong.LOST, f"{place}: committed, and never applied")
    for (topic, partition), log in logs.items():
        verdict.records += len(log.visible)
        verdict.aborted += len(log.aborted)
        if topic == "dead-letters" and log.visible and not dead_letters:
            verdict.add(Wrong.ALTERED, f"{topic}/{partition}: {len(log.visible)} dead letters; every input was good")
    return verdict


def unread(logs: Logs, *, sample: bool) -> list[str]:
    """Inputs of which a task has not applied every committed record yet, by the journal."""
    contracts = Contracts()
    entries = _entries(logs, contracts)
    counts: dict[tuple[str, int], Counter[str]] = {}
    reads: dict[str, set[str]] = {name: set(task.reads) for name, task in TASKS.items()} if sample else {}
    for (stage, partition), found in entries.items():
        count = counts.setdefault((stage, partition), Counter())
        for entry in found:
            for run in entry["runs"]:
                count[run["topic"]] += run["count"]
        if not sample:
            reads.setdefault(stage, set()).update(count)
    result = []
    for stage, topics in reads.items():
        for (topic, partition), log in sorted(logs.items()):
            applied, due = counts.get((stage, partition), Counter())[topic], len(log.visible)
            if topic == "clock":
                due = _to_the_end_of_day(log, contracts)
            if topic in topics and applied < due:
                result.append(f"{stage}/{partition} has applied {applied} of {due} of {topic}")
    return result


def _to_the_end_of_day(clock: PartitionLog, contracts: Contracts) -> int:
    """Ticks up to the last DAY_END, or all: what ticks on while the units are being stopped is nobody's duty."""
    count = len(clock.visible)
    for place in range(count, 0, -1):
        if contracts.decode("clock", clock.visible[place - 1].value)["kind"] == "DAY_END":
            return place
    return count


# ---------------------------------------------------------------------- single checks


def check_visibility(logs: Logs, verdict: Verdict) -> None:
    """Committed records are visible, all others are not."""
    for (topic, partition), log in logs.items():
        name = f"{topic}/{partition}"
        visible = [rec.offset for rec in log.visible]
        if any(a >= b for a, b in itertools.pairwise(visible)):
            verdict.add(Wrong.REORDERED, f"{name}: offsets as read do not grow")
        for offset in sorted(set(visible) & (log.aborted | log.undecided)):
            verdict.add(Wrong.ABORTED, f"{name}/{offset}")
        hidden = log.aborted | log.undecided
        by_offset = dict(zip(visible, log.visible, strict=True))
        for rec in log.everything:
            if rec.offset in hidden:
                continue
            seen = by_offset.pop(rec.offset, None)
            if seen is None:
                verdict.add(Wrong.LOST, f"{name}/{rec.offset}: committed, and a reader of committed does not see it")
            elif seen != rec:
                verdict.add(Wrong.ALTERED, f"{name}/{rec.offset}: two readers saw different bytes")
        for offset in sorted(by_offset.keys() - hidden):
            verdict.add(Wrong.UNEXPLAINED, f"{name}/{offset}: seen committed, and not in the log")


def check_inputs(logs: Logs, sent: Mapping[Place, Sequence[tuple[bytes, bytes]]], verdict: Verdict) -> None:
    """What the load was told is stored stands there, once, in order."""
    for (topic, partition), rows in sent.items():
        got = [(rec.key, rec.value) for rec in logs[topic, partition].visible]
        if got == list(rows):
            continue
        want, have = Counter(rows), Counter((key or b"", value or b"") for key, value in got)
        for row in (want - have).elements():
            verdict.add(Wrong.LOST, f"{topic}/{partition}: sent and stored, and gone: {row[1].hex()[:60]}")
        for row in (have - want).elements():
            verdict.add(Wrong.DUPLICATED, f"{topic}/{partition}: more often than it was sent: {row[1].hex()[:60]}")
        if want == have:
            verdict.add(Wrong.REORDERED, f"{topic}/{partition}: not in the order sent")


def check_numbers(logs: Logs, contracts: Contracts, verdict: Verdict) -> None:
    """Each writer's numbers grow by one."""
    for (topic, partition), log in logs.items():
        last: dict[str, int] = {}
        met: dict[str, set[int]] = {}
        for rec in log.visible:
            writer, seq = contracts.author(topic, rec.value)
            if not writer:
                continue
            name = f"{topic}/{partition}/{rec.offset}: {writer} {seq}"
            known = met.setdefault(writer, set())
            before = last.get(writer, 0)
            if seq in known:
                verdict.add(Wrong.DUPLICATED, name)
            elif seq < before:
                verdict.add(Wrong.REORDERED, f"{name} after {before}")
            known.add(seq)
            last[writer] = max(before, seq)
        for writer, known in met.items():
            missing = sorted(set(range(1, last[writer] + 1)) - known)
            for seq in missing:
                verdict.add(Wrong.LOST, f"{topic}/{partition}: {writer} {seq}")


# ---------------------------------------------------------------------- journal


def _entries(logs: Logs, contracts: Contracts) -> dict[tuple[str, int], list[Fields]]:
    """The journal's entries, by stage and partition."""
    found: dict[tuple[str, int], list[Fields]] = {}
    for (topic, _), log in sorted(logs.items()):
        if topic == "journal":
            for rec in log.visible:
                entry = contracts.decode(topic, rec.value)
                found.setdefault((entry["stage"], entry["partition"]), []).append(entry)
    return found


class _Journaled:
    """A task as its journal tells of it."""

    def __init__(
        self, logs: Logs, contracts: Contracts, verdict: Verdict, task: tuple[str, int], entries: list[Fields]
    ) -> None:
        self.stage, self.partition = task
        self.writer = f"{self.stage}/{self.partition}"
        self.entries = entries
        self.read: list[list[tuple[str, Rec]]] = []
        """For each entry, the records it read, in order."""
        self._logs = logs
        self._contracts = contracts
        self._verdict = verdict

    def check(self) -> None:
        """Chain, order and bytes of the inputs."""
        at: Counter[str] = Counter()
        previous: Fields | None = None
        for number, entry in enumerate(self.entries, 1):
            name = f"{self.writer} entry {entry['no']}"
            starting = entry["kind"] == "EPOCH"
            self._verdict.starts += starting
            self._verdict.transactions += not starting
            if entry["no"] != number:
                self._verdict.add(Wrong.JOURNAL, f"{name} stands in place {number}")
            if entry["previous_hash"] != (previous["entry_hash"] if previous else ""):
                self._verdict.add(Wrong.JOURNAL, f"{name} does not hang on the one before")
            if entry["epoch"] != (previous["epoch"] if previous else 0) + starting:
                self._verdict.add(Wrong.JOURNAL, f"{name}: epoch {entry['epoch']}")
            self._read(entry, at, name)
            previous = entry

    def _read(self, entry: Fields, at: Counter[str], name: str) -> None:
        starts = {each["topic"]: each for each in entry["starts"]}
        read: list[tuple[str, Rec]] = []
        for run in entry["runs"]:
            topic, count = run["topic"], run["count"]
            log = self._logs[topic, self.partition].visible
            rows = log[at[topic] : at[topic] + count]
            start = starts.pop(topic, None)
            if start is not None and rows:
                self._check_start(start, rows[0], topic, name)
            if len(rows) < count:
                self._verdict.add(
                    Wrong.JOURNAL, f"{name} has read {count} of {topic}; {len(rows)} were committed and not yet read"
                )
            at[topic] += count
            read += [(topic, rec) for rec in rows]
        self.read.append(read)
        self._verdict.applied += len(read)
        digest = hashlib.sha256()
        for _, rec in read:
            digest.update(_framed(rec.key) + _framed(rec.value))
        if entry["input_hash"] != (digest.hexdigest() if entry["runs"] else ""):
            self._verdict.add(Wrong.JOURNAL, f"{name} has read other bytes than were committed")

    def _check_start(self, start: Fields, first: Rec, topic: str, name: str) -> None:
        author = self._contracts.author(topic, first.value)
        if start["offset"] not in (-1, first.offset):
            wrong = Wrong.DUPLICATED if start["offset"] < first.offset else Wrong.LOST
            text = f"reads {topic} from {start['offset']}, {first.offset} is next"
            self._verdict.add(wrong, f"{name} {text}")
        if start["writer"] and (start["writer"], start["seq"]) != author:
            self._verdict.add(Wrong.JOURNAL, f"{name} starts at {topic} {start['writer']} {start['seq']}, not {author}")


def _check_accounts(logs: Logs, contracts: Contracts, tasks: Sequence[_Journaled], verdict: Verdict) -> None:
    """Every record of a task stands in one entry's account, and every account's records are there."""
    accounted: Counter[tuple[str, str, int]] = Counter()
    for task in tasks:
        for entry in task.entries:
            for span in entry["outputs"]:
                key = (task.writer, span["topic"], span["partition"])
                if span["first_seq"] != accounted[key] + 1:
                    verdict.add(Wrong.JOURNAL, f"{task.writer} entry {entry['no']}: {span} after {accounted[key]}")
                accounted[key] += span["count"]
    there: Counter[tuple[str, str, int]] = Counter()
    writers = {task.writer for task in tasks}
    for (topic, partition), log in logs.items():
        if topic == "journal":
            continue
        for rec in log.visible:
            writer, seq = contracts.author(topic, rec.value)
            if writer in writers:
                there[writer, topic, partition] = max(there[writer, topic, partition], seq)
            elif "/" in writer:
                verdict.add(Wrong.UNEXPLAINED, f"{topic}/{partition}/{rec.offset}: {writer} has no journal")
    for key in accounted.keys() | there.keys():
        if accounted[key] != there[key]:
            wrong = Wrong.LOST if accounted[key] > there[key] else Wrong.UNEXPLAINED
            verdict.add(wrong, f"{key[0]} has accounted for {accounted[key]} on {key[1]}/{key[2]}; {there[key]} there")


def _framed(part: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if part is None else len(part).to_bytes(4, "big") + part


# ---------------------------------------------------------------------- effects


def _check_effects(
    logs: Logs, contracts: Contracts, tasks: Sequence[_Journaled], partitions: int, verdict: Verdict
) -> None:
    """Recompute what each task must have written and compare, record by record."""
    actual: dict[tuple[str, str, int], list[Rec]] = {}
    for (topic, partition), log in logs.items():
        for rec in log.visible:
            writer, _ = contracts.author(topic, rec.value)
            if topic != "journal" and "/" in writer:
                actual.setdefault((writer, topic, partition), []).append(rec)
    expected: Counter[tuple[str, str, int]] = Counter()
    for task in tasks:
        model = TASKS[task.stage](task.partition, partitions)
        for entry, read in zip(task.entries, task.read, strict=True):
            digest = hashlib.sha256()
            wrote = False
            for due in _due(model, contracts, entry, read):
                place = task.writer, due.topic, due.partition
                rows = actual.get(place, [])
                number = expected[place]
                expected[place] += 1
                verdict.effects += 1
                if number >= len(rows):
                    verdict.add(Wrong.LOST, f"{task.writer} must write {due}")
                    continue
                rec = rows[number]
                _compare(due, rec, contracts, f"{due.topic}/{due.partition}/{rec.offset}", verdict)
                wrote = True
                digest.update(_framed(due.topic.encode()) + due.partition.to_bytes(4, "big") + _framed(rec.key))
                digest.update(_framed((rec.value or b"")[HEADER:]))
            if entry["output_hash"] != (digest.hexdigest() if wrote else ""):
                verdict.add(Wrong.JOURNAL, f"{task.writer} entry {entry['no']} wrote other bytes than stand there")
    for place, rows in actual.items():
        for rec in rows[expected[place] :]:
            verdict.add(Wrong.UNEXPLAINED, f"{place[1]}/{place[2]}/{rec.offset}: {place[0]} had no reason to write it")


def _due(model: Task, contracts: Contracts, entry: Fields, read: list[tuple[str, Rec]]) -> Iterator[Expected]:
    if entry["kind"] == "EPOCH":
        yield from model.start(entry["wall_ns"])
    for topic, rec in read:
        # What is handed on inside a unit has no append time of its own; only prints' times are used, and those are not.
        yield from model.apply(topic, contracts.decode(topic, rec.value), rec.at_ms * 1_000_000)


def _compare(due: Expected, rec: Rec, contracts: Contracts, name: str, verdict: Verdict) -> None:
    got = contracts.decode(due.topic, rec.value)
    del got["writer"], got["seq"]
    if rec.key != due.key or got != due.fields:
        verdict.add(Wrong.ALTERED, f"{name}: {got}, due was {due.fields}")
