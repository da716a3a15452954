"""The rest of an audit: sweeps for records that no task can have written, epoch records against the code, the screen.

Pure. The replay itself is in ``audit/replay.py``; ``runtime/auditing/verify.py`` reads the topics and calls both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from pipeline.audit.findings import Finding, FindingKind, Findings, shortened
from pipeline.audit.recorded import Stored, leading
from pipeline.audit.seal_check import SealCheck
from pipeline.domain.audit import JournalEntry, JournalKind
from pipeline.topics import JOURNAL

MAGIC: Final = 0
"""First byte of every value, by the registry's wire format."""


class TaskResult(NamedTuple):
    """The replay of one task, once or several times."""

    stage: str
    partition: int
    starts: int
    transactions: int
    inputs: int
    outputs: int
    differing: int
    digests: tuple[str, ...]
    """SHA-256 over keys and bodies of every record the replay wrote, of each run."""
    journal_head: str
    findings: tuple[Finding, ...]
    finding_count: int
    notes: tuple[tuple[str, int], ...]
    """What may explain a difference (another commit, say), and how many of its starts it was true of."""
    misled: bool = False
    """The replay was given other inputs than the task had read live."""
    unread: int = 0
    """Records at the ends of its inputs that no journal entry covers."""

    @property
    def writer(self) -> str:
        """The task's name: ``<stage>/<partition>``."""
        return f"{self.stage}/{self.partition}"


class SweepResult(NamedTuple):
    """The sweep over one partition of a topic that stages write."""

    topic: str
    partition: int
    records: int
    findings: tuple[Finding, ...]
    finding_count: int


def sweep(
    topic: str,
    partition: int,
    records: Iterable[Stored],
    writers: frozenset[str],
    due_fingerprint: str,
    fingerprint_of_id: Callable[[int], str],
) -> SweepResult:
    """Check that every record is of one of ``writers``, has that writer's next number, and the contract's own schema.

    A replay compares keys and what follows the schema id; this checks what the replay leaves out.

    ``fingerprint_of_id`` gives the fingerprint of a schema id, or for an unknown id a text that says so.
    """
    findings, count = Findings(), 0
    last: dict[str, int] = {}

    def found(kind: FindingKind, writer: str, offset: int, field: str, recorded: str, due: str) -> None:
        findings.add(Finding(kind, writer or "?", 0, topic, partition, offset, field, recorded, due))

    for record in records:
        count += 1
        writer, seq = leading(record.value)
        if writer not in writers:
            named = ", ".join(sorted(writers)[:4]) + (" …" if len(writers) > 4 else "")
            due_writer = f"one of {named}" if writers else "no record in this partition"
            found(FindingKind.FORGED, writer, record.offset, "writer", repr(writer), due_writer)
            continue
        due = last.get(writer, 0) + 1
        if seq != due:
            found(FindingKind.ORDER, writer, record.offset, "seq", str(seq), str(due))
        last[writer] = max(seq, due - 1)
        value = record.value or b""
        if value[0] != MAGIC:
            found(FindingKind.SCHEMA, writer, record.offset, "(first byte)", str(value[0]), str(MAGIC))
        if topic == JOURNAL.name and record.key != writer.encode():
            found(FindingKind.FORGED, writer, record.offset, "key", repr(record.key), repr(writer.encode()))
        schema_id = int.from_bytes(value[1:5], "big")
        fingerprint = fingerprint_of_id(schema_id)
        if fingerprint != due_fingerprint:
            found(FindingKind.SCHEMA, writer, record.offset, f"schema id {schema_id}", fingerprint, due_fingerprint)
    return SweepResult(topic, partition, count, tuple(findings.kept), findings.count)


class Code(NamedTuple):
    """What identifies the code that replays: the same facts that an epoch record holds of the code that ran live."""

    config: Mapping[str, int | str | bool]
    """Parameters of the stage in question, by dotted name."""
    fingerprints: Mapping[str, str]
    """Topic to the fingerprint of its contract."""
    commit: str
    lock_hash: str
    python: str
    defaults: Mapping[str, int | str | bool] = MappingProxyType({})
    """The same stage's parameters where a deployment sets none."""


def against_code(entry: JournalEntry, code: Code) -> tuple[list[Finding], list[str]]:
    """Compare an EPOCH entry with the code that replays it.

    Findings: parameters and contracts that differ, so decisions would too. Notes: another commit, lock or Python, which
    may decide the same. What a host has not recorded (the memory host records no parameters) is not compared.
    """
    findings: list[Finding] = []
    notes: list[str] = []
    if entry.kind is not JournalKind.EPOCH:
        return findings, notes

    def found(kind: FindingKind, field: str, recorded: object, here: object) -> None:
        writer = f"{entry.stage}/{entry.partition}"
        findings.append(
            Finding(kind, writer, entry.no, "journal", entry.partition, -1, field, str(recorded), str(here))
        )

    if entry.config:
        recorded = _json_object(entry.config).get(entry.stage)
        if not isinstance(recorded, dict):
            found(FindingKind.PARAMETERS, "config", "no parameters of this stage", f"{len(code.config)} of them")
        else:
            for name, was, now in _parameters(entry.stage, recorded, code, notes):
                found(FindingKind.PARAMETERS, name, was, now)
    if entry.schemas:
        rows = _json_object(entry.schemas)
        if not rows:
            found(
                FindingKind.SCHEMA,
                "schemas",
                shortened(entry.schemas, "")[0],
                "topic, schema id and fingerprint of each",
            )
        for topic, row in sorted(rows.items()):
            here = code.fingerprints.get(topic)
            was = row[1] if isinstance(row, list) and len(row) == 2 else row
            if here is not None and here != was:
                found(FindingKind.SCHEMA, f"contract of {topic}", was if isinstance(was, str) else repr(was), here)
    for name, was, now in (
        ("commit", entry.commit, code.commit),
        ("dependency lock", entry.lock_hash, code.lock_hash),
        ("Python", entry.python, code.python),
    ):
        if was and was != now:
            notes.append(f"recorded under {name} {was[:64]}, replayed under {now[:64] or 'an unknown one'}")
    return findings, notes


def _json_object(text: str) -> dict[str, object]:
    """The JSON object that ``text`` is; an empty one for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _parameters(
    stage: str, recorded: Mapping[str, object], code: Code, notes: list[str]
) -> Iterator[tuple[str, object, object]]:
    """Name and both values of each parameter that differs, in the order of the stage's class; the rest by name.

    What an earlier version did not record it had as a constant. Where that has its default here nothing need differ,
    and the replay shows whether it does: a note. Any other value was chosen for this audit: a finding.
    """
    silent = []
    for name, now in code.config.items():
        if name in recorded:
            if recorded[name] != now or type(recorded[name]) is not type(now):
                yield f"{stage}.{name}", recorded[name], now
        elif code.defaults.get(name) == now:
            silent.append(name)
        else:
            yield f"{stage}.{name}", "nothing (its version had no such parameter)", f"{now}, not its default"
    for name in sorted(recorded.keys() - code.config.keys()):
        yield f"{stage}.{name}", recorded[name], "nothing (this version has no such parameter)"
    if silent:
        named = ", ".join(silent[:3]) + (f" and {len(silent) - 3} more" if len(silent) > 3 else "")
        notes.append(f"recorded by a version that had {stage}'s {named} as constants, replayed with the defaults")


_PROVED: Final = (
    "What this proves: outputs follow from the recorded inputs, the recorded order and this code; no record that a",
    "stage wrote was altered, removed, added or reordered by itself, and no input that a journal entry covers.",
)
_WITHOUT_SEALS: Final = (
    "What it cannot say without a seal (`pipeline audit seal`), kept where nobody who can write to the cluster can:",
    "that inputs, journal and all that follows were not rewritten together, or cut off together at the end; that",
    "nobody touched what no task reads: inputs after the journal's end, append times that decided nothing, the order",
    "between different writers' records on topics no stage reads.",
)


class Audit(NamedTuple):
    """The result of an audit: every task's replay, every sweep, the check against seals."""

    cluster: str
    partitions: int
    topics: int
    records: int
    tasks: tuple[TaskResult, ...]
    sweeps: tuple[SweepResult, ...]
    later: int = 0
    """Partitions written to while the audit read: those records are of later journal entries, and not judged."""
    sealed: SealCheck | None = None
    """The check against the seals given; None when there were none."""

    @property
    def findings(self) -> list[Finding]:
        """The findings kept, causes before consequences.

        First inputs that are not as they were sealed. Then tasks that read the same as they did live and yet wrote
        other records: they show where the log was changed. Then tasks that read other records than live, which only
        shows what follows from those. Then sweeps. Outputs that differ from a seal come last, since a replay has named
        the same difference to the field.
        """
        ordered = sorted(self.tasks, key=lambda task: task.misled)
        kept = [finding for task in ordered for finding in task.findings]
        swept = [finding for each in self.sweeps for finding in each.findings]
        sealed = () if self.sealed is None else self.sealed.findings
        written = {each.topic for each in self.sweeps}
        inputs = [finding for finding in sealed if finding.topic not in written]
        return [*inputs, *kept, *swept, *(finding for finding in sealed if finding.topic in written)]

    @property
    def finding_count(self) -> int:
        """All findings, also those not kept."""
        replayed = sum(task.finding_count for task in self.tasks)
        swept = sum(each.finding_count for each in self.sweeps)
        return replayed + swept + (len(self.sealed.findings) if self.sealed is not None else 0)

    @property
    def anything(self) -> bool:
        """Whether there was anything to verify."""
        return any(task.starts or task.transactions for task in self.tasks)

    @property
    def verified(self) -> bool:
        """Whether something was audited, nothing was found, and all replays wrote the same bytes."""
        return self.anything and self.finding_count == 0 and len(set(self.digests)) == 1

    @property
    def digests(self) -> tuple[str, ...]:
        """For each replay of the whole: SHA-256 over every record written, tasks in flow order, records as written."""
        runs = min((len(task.digests) for task in self.tasks), default=0)
        return tuple(self._digest(run) for run in range(runs))

    def _digest(self, run: int) -> str:
        lines = (f"{task.writer} {task.outputs} {task.digests[run]}\n" for task in self.tasks)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def heads(self) -> str:
        """SHA-256 over the heads of all journals."""
        lines = (f"{task.writer} {task.journal_head}\n" for task in self.tasks)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def text(self) -> str:
        """The report: a table of stages, the findings or what was verified, what that proves, notes."""
        lines = [
            f"audit of {self.cluster}: {self.records:,} records on {self.topics} topics, "
            f"{len(self.tasks)} tasks on {self.partitions} partitions",
            "",
            f"  {'stage':<12}{'tasks':>6}{'starts':>8}{'commits':>9}{'read':>12}{'written':>12}{'identical':>12}",
        ]
        stages = list(dict.fromkeys(task.stage for task in self.tasks))
        for stage in stages:
            lines.append(_row(stage, [task for task in self.tasks if task.stage == stage]))
        lines += [_row("all", self.tasks), ""]
        lines += _shown(self.findings, self.finding_count)
        if not self.anything:
            return "\n".join([*lines, "NOT VERIFIED: there is no journal, so nothing says what was decided, and why."])
        if self.finding_count:
            verdict = f"NOT VERIFIED: {self.finding_count:,} findings."
            return "\n".join([*lines, verdict, *self._other_parameters(), *self._notes()])
        runs = len(self.digests)
        if len(set(self.digests)) != 1:
            return "\n".join([*lines, "NOT VERIFIED: two replays of the same records differ: a stage is not pure."])
        lines += [
            f"VERIFIED: every record the stages wrote is what the code decides, byte for byte"
            f"{'' if runs == 1 else f', {runs} times over'}.",
            f"  SHA-256 of all decisions  {self.digests[0]}",
            f"  SHA-256 of journal heads  {self.heads}",
            *_PROVED,
            *self._claims(),
        ]
        return "\n".join([*lines, *self._notes()])

    def _other_parameters(self) -> list[str]:
        """What to do when the log was recorded with other parameters than it was replayed with."""
        first = next((each for each in self.findings if each.kind is FindingKind.PARAMETERS), None)
        if first is None:
            return []
        secret = first.field.endswith("_sha256")
        again = "PIPELINE_WIRE_SECRET set as it was" if secret else "the file it ran with (--parameters FILE)"
        return [
            f"The first parameter that differs is {first.field}: {first.recorded} when it was recorded, "
            f"{first.replayed} in this audit.",
            f"Other findings may follow from that. Audit again with {again}.",
        ]

    def _claims(self) -> list[str]:
        """What the seals prove beyond that; without any, what only a seal could prove."""
        sealed = self.sealed
        if sealed is None or not sealed.seals:
            return list(_WITHOUT_SEALS)
        many = "a seal" if sealed.seals == 1 else f"{sealed.seals} seals"
        after = self.records - sealed.records
        where = "from the beginning up to" if sealed.whole else "in the parts that these cover, up to"
        return [
            f"SEALED by {many}, the last of {sealed.last_made_at}: {sealed.records:,} records, inputs too, {where} it",
            f"are as they were sealed, in offset, time, key and bytes; so are {sealed.heads} journal heads.",
            f"Of the {after:,} records after it nothing is said, nor whether what is covered was true when sealed.",
            "A seal is not signed: it is worth what its keeping is worth.",
        ]

    def _notes(self) -> list[str]:
        counted: dict[str, int] = {}
        for task in self.tasks:
            for note, count in task.notes:
                counted[note] = counted.get(note, 0) + count
        silent = [task.writer for task in self.tasks if not task.starts]
        notes = [f"  note: {note} ({count} task starts)" for note, count in counted.items()]
        if silent and self.anything:
            notes.append(f"  note: never ran: {', '.join(silent)}")
        behind = [task for task in self.tasks if task.unread]
        if behind:
            waiting = ", ".join(f"{task.writer} {task.unread:,}" for task in behind[:4])
            notes.append(f"  note: records at the ends of inputs are in no journal entry, not read yet: {waiting}"
                         f"{' …' if len(behind) > 4 else ''}")  # fmt: skip
        notes += [f"  note: {note}" for note in (self.sealed.notes if self.sealed is not None else ())]
        if self.later:
            notes.append(
                f"  note: {self.later} places were written to while the audit read; that is for the next audit"
            )
        return notes


def _row(name: str, tasks: Sequence[TaskResult]) -> str:
    written = sum(task.outputs for task in tasks)
    return (
        f"  {name:<12}{len(tasks):>6}{sum(t.starts for t in tasks):>8}{sum(t.transactions for t in tasks):>9,}"
        f"{sum(t.inputs for t in tasks):>12,}{written:>12,}{written - sum(t.differing for t in tasks):>12,}"
    )


def _shown(findings: Sequence[Finding], count: int) -> list[str]:
    if not count:
        return []
    lines = ["First finding:", f"  {findings[0]}"]
    if count > 1:
        lines += ["More:", *(f"  {finding}" for finding in findings[1:10])]
    if count > 10:
        lines.append(f"  … and {count - 10:,} others")
    return [*lines, ""]
