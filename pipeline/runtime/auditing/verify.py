"""`pipeline audit verify`: the topics of a cluster, or of a memory host, replayed task by task and compared.

The cluster's committed records are copied once into files in a temporary folder (as large as the topics; TMPDIR says
where), so that memory stays small whatever the day. Then tasks are replayed, several at a time, each in a process of
its own; every record on the topics that stages write is checked; and the log is checked against the seals given.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline import topology
from pipeline.audit.findings import Finding, FindingKind, Findings
from pipeline.audit.recorded import Place
from pipeline.audit.replay import Replay
from pipeline.audit.seal import SealFile
from pipeline.audit.seal_check import check
from pipeline.audit.verify import Audit, Code, SweepResult, TaskResult, against_code, sweep
from pipeline.domain.audit import JournalEntry, JournalKind
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, PipelineError, Unreachable
from pipeline.parameters import config_of
from pipeline.runtime import build_info
from pipeline.runtime.auditing.reading import SAY_EVERY_S, ReadingProgress, Say
from pipeline.runtime.auditing.reading import Recording as Recording
from pipeline.runtime.auditing.reading import copy_of as copy_of
from pipeline.runtime.auditing.replaying import MemoryLog, journal_of, places_of, replay_of
from pipeline.runtime.contracts.codec import Codec, SchemaSource, Undecodable
from pipeline.runtime.contracts.recorded_schemas import fingerprint_or_none
from pipeline.runtime.contracts.schemas import contract_text, fingerprint_of
from pipeline.runtime.memory.host import MemoryHost
from pipeline.runtime.settings import Settings
from pipeline.runtime.worker.restore import NotRestored
from pipeline.runtime.worker.wiring import AnyStage, outputs_of
from pipeline.topics import JOURNAL, TOPICS, Spread, topic_named

_ASTRAY: Final = (FindingKind.RAISED, FindingKind.INPUT_MISSING, FindingKind.INPUT_PASSED)


# ---------------------------------------------------------------------- entrances


def verify(
    settings: Settings,
    say: Say = print,
    *,
    stages: Sequence[AnyStage] = topology.STAGES,
    schemas: SchemaSource | None = None,
    processes: int = 0,
    runs: int = 1,
    seals: Sequence[SealFile] = (),
) -> int:
    """Verify a cluster's topics; prints the result and returns the exit code: 0, 1, or 3 when something is unreachable.

    ``stages``: with the parameters they ran with.
    ``processes`` 0: one per core. With several, a script that calls this needs a ``__main__`` guard. ``runs``: how
    often everything is replayed. ``seals``: seals that the log must still agree with.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="pipeline-audit-") as folder:
            recording = copy_of(settings, Path(folder), say, schemas)
            done = audit(recording, stages, say, processes=processes, runs=runs, seals=seals)
    except PipelineError as error:
        say(f"audit: {error}")
        return error.exit_code
    except NotRestored as error:
        say(f"audit: Kafka at {settings.bootstrap_servers} went away while the topics were read ({error}). Try again.")
        return Unreachable.exit_code
    say(done.text())
    return EXIT_GOOD if done.verified else EXIT_FOUND


def verify_host(
    host: MemoryHost,
    stages: Sequence[AnyStage],
    schemas: SchemaSource,
    say: Say = lambda _: None,
    runs: int = 1,
    seals: Sequence[SealFile] = (),
) -> Audit:
    """Verify what a memory host has recorded, up to its last commit. ``schemas``: those of its codec."""
    return audit(recording_of(host, schemas), stages, say, processes=1, runs=runs, seals=seals)


def recording_of(host: MemoryHost, schemas: SchemaSource) -> Recording:
    """What a memory host has recorded so far. ``schemas``: those of its codec."""
    count = sum(map(len, host.topics.values()))
    names = tuple(sorted({name for name, _ in host.topics}))
    return Recording(MemoryLog(host.topics), schemas, "a memory host", host.partitions, names, count, {})


# ---------------------------------------------------------------------- replaying


def audit(
    recording: Recording,
    stages: Sequence[AnyStage],
    say: Say = print,
    *,
    processes: int = 0,
    runs: int = 1,
    seals: Sequence[SealFile] = (),
) -> Audit:
    """Replay every task of ``stages`` against the recording, ``runs`` times; check every record they wrote, and seals.

    Reports progress with ``say``: a line for each task, and one every few seconds between them.
    """
    tasks = [(index, partition) for index in range(len(stages)) for partition in range(recording.partitions)]
    jobs = [_Job(number, *task, runs) for number, task in enumerate(tasks)]
    count = min(processes or os.cpu_count() or 1, len(jobs))
    found: dict[tuple[int, int], TaskResult] = {}
    progress = ReadingProgress(say, "replaying, in records read", _inputs(recording) * runs)
    for number, (job, result) in enumerate(_replayed(recording, stages, jobs, count, progress), 1):
        found[job.stage, job.partition] = _without_later(result, recording.later)
        what = f"{result.outputs:,} records written, {'identical' if not result.finding_count else 'NOT as recorded'}"
        say(f"audit: {number} of {len(jobs)} tasks replayed: {result.writer}: {result.inputs:,} records read, {what}")
    return Audit(
        recording.cluster,
        recording.partitions,
        len(recording.topics),
        recording.records,
        tuple(found[job.stage, job.partition] for job in jobs),
        tuple(swept(recording, stages, say)),
        len(recording.later),
        check(seals, recording.log, entry_decoder(recording.schemas), recording.cluster_id, recording.topic_ids)
        if seals
        else None,
    )


def _inputs(recording: Recording) -> int:
    """How many records were read, according to the journal."""
    decode, total = entry_decoder(recording.schemas), 0
    for partition in range(recording.partitions):
        for record in recording.log.read(JOURNAL.name, partition, 0):
            try:
                total += sum(run.count for run in decode(record.value).runs)
            except ValueError:
                continue  # a finding of the replay
    return total


def entry_decoder(schemas: SchemaSource) -> Callable[[bytes | None], JournalEntry]:
    """A decoder of journal entries; it raises ValueError for other bytes."""
    codec = Codec(schemas)

    def decode(value: bytes | None) -> JournalEntry:
        try:
            entry = codec.decode(JOURNAL.name, value)
        except Undecodable as error:
            raise ValueError(str(error)) from error
        assert isinstance(entry, JournalEntry)
        return entry

    return decode


class _Job(NamedTuple):
    number: int
    stage: int
    partition: int
    runs: int


_given: tuple[Recording, Sequence[AnyStage], MutableSequence[int]] | None = None


def _give(recording: Recording, stages: Sequence[AnyStage], done: MutableSequence[int]) -> None:
    global _given
    _given = recording, stages, done


def _work(job: _Job) -> tuple[_Job, TaskResult]:
    assert _given is not None
    recording, stages, done = _given
    return job, _replay(recording, stages, job, lambda inputs: done.__setitem__(job.number, inputs))


def _replayed(
    recording: Recording, stages: Sequence[AnyStage], jobs: Sequence[_Job], count: int, progress: ReadingProgress
) -> Iterator[tuple[_Job, TaskResult]]:
    if count == 1:
        before = 0
        for job in jobs:
            reached = 0

            def at(inputs: int, before: int = before) -> None:
                nonlocal reached
                reached = inputs
                progress.at(before + inputs)

            yield job, _replay(recording, stages, job, at)
            before += reached
        return
    # Spawned, not forked: each process has a hash seed of its own, and the client library's threads are not copied.
    context = multiprocessing.get_context("spawn")
    done: MutableSequence[int] = context.RawArray("Q", len(jobs))
    with concurrent.futures.ProcessPoolExecutor(count, context, _give, (recording, stages, done)) as pool:
        waiting = {pool.submit(_work, job) for job in jobs}
        while waiting:
            finished, waiting = concurrent.futures.wait(
                waiting, SAY_EVERY_S, return_when=concurrent.futures.FIRST_COMPLETED
            )
            progress.at(sum(done))
            for future in finished:
                yield future.result()


def _replay(recording: Recording, stages: Sequence[AnyStage], job: _Job, at: Callable[[int], None]) -> TaskResult:
    stage = stages[job.stage]
    findings, notes = Findings(), dict[str, int]()
    differing, last = 0, ("", 0, -1)
    digests: list[str] = []
    code = Code(
        stage.config(),
        _fingerprints(),
        build_info.code(),
        build_info.lock_hash(),
        build_info.python(),
        config_of(type(stage.parameters)()),
    )
    starts, read, misled = 0, 0, False
    for run in range(job.runs):
        codec = Codec(recording.schemas)
        replay = replay_of(stage, job.partition, recording.partitions, codec, stages, recording.log)
        starts = 0

        def entries(
            codec: Codec = codec, replay: Replay = replay, run: int = run, read: int = read
        ) -> Iterator[JournalEntry]:
            nonlocal starts
            for entry in journal_of(stage.name, job.partition, recording.log, codec):
                starts += entry.kind is JournalKind.EPOCH
                at(read + replay.inputs)
                if run == 0:
                    wrong, remarks = against_code(entry, code)
                    for note in remarks:
                        notes[note] = notes.get(note, 0) + 1
                    for finding in wrong:
                        findings.add(finding)
                yield entry

        also = [*places_of(stage, job.partition, recording.partitions), *_of_sources(recording, stage, job.partition)]
        for finding in guarded(replay.run(entries(), also), stage.name, job.partition):
            if run == 0:
                findings.add(finding)
                misled = misled or finding.field == "input_hash" or finding.kind in _ASTRAY
                where = finding.topic, finding.partition, finding.offset
                if finding.kind is FindingKind.OUTPUT_MISSING or (
                    finding.kind is FindingKind.OUTPUT_DIFFERS and where != last  # one record may differ in many fields
                ):
                    differing, last = differing + 1, where
        digests.append(replay.digest)
        read += replay.inputs
        at(read)
    return TaskResult(
        stage.name,
        job.partition,
        starts,
        replay.entries - starts,
        replay.inputs,
        replay.outputs,
        differing,
        tuple(digests),
        replay.last_hash,
        tuple(findings.kept),
        findings.count,
        tuple(notes.items()),
        misled,
        replay.unread,
    )


def guarded(findings: Iterator[Finding], stage: str, partition: int) -> Iterator[Finding]:
    """The findings, and one more when the journal cannot be read: what stands in a topic is no reason to stop."""
    try:
        yield from findings
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        yield Finding(
            FindingKind.ENTRY,
            f"{stage}/{partition}",
            0,
            JOURNAL.name,
            partition,
            -1,
            "-",
            "an entry",
            f"unusable, {text}",
        )


def _of_sources(recording: Recording, stage: AnyStage, partition: int) -> list[tuple[str, int]]:
    """Places of sources' own topics that the task may write to."""
    own = [topic for topic in outputs_of(stage) if topic.per_source]
    return [(name, partition) for name in recording.topics if topic_named(name) in own]


def _without_later(result: TaskResult, later: Mapping[tuple[str, str, int], int]) -> TaskResult:
    """Leave out outputs whose journal entry was written after the audit had read the journal."""
    kept = tuple(
        finding
        for finding in result.findings
        if finding.kind is not FindingKind.OUTPUT_UNEXPLAINED
        or str(later.get((finding.writer, finding.topic, finding.partition))) != finding.recorded
    )
    dropped = len(result.findings) - len(kept)
    return result._replace(findings=kept, finding_count=result.finding_count - dropped)


# ---------------------------------------------------------------------- every record on the topics


def _fingerprints() -> dict[str, str]:
    return {topic.name: fingerprint_of(contract_text(topic.record)) for topic in TOPICS}


def swept(recording: Recording, stages: Sequence[AnyStage], say: Say = lambda _: None) -> Iterator[SweepResult]:
    """Check every record on every topic that stages write; one result per partition."""
    writing: dict[str, list[str]] = {}
    for stage in stages:
        for topic in outputs_of(stage):
            writing.setdefault(topic.name, []).append(stage.name)
    due = _fingerprints()
    known: dict[int, str] = {}

    def fingerprint_of_id(schema_id: int) -> str:
        if schema_id not in known:
            found = recording.schemas.lookup(schema_id)
            known[schema_id] = (
                "an unknown one" if found is None else fingerprint_or_none(found.text) or "no Avro schema"
            )
        return known[schema_id]

    progress, records = ReadingProgress(say, "looking at every record", recording.records), 0
    for name, partition in places(recording):
        topic = topic_named(name)
        names = writing.get(topic.name)
        if names is None:
            continue
        own = [partition] if topic.spread is Spread.OWN else range(recording.partitions)
        # On partitions beyond the number of tasks nobody may write.
        allowed = partition < (1 if topic.spread is Spread.SINGLE else recording.partitions)
        writers = frozenset(f"{stage}/{p}" for stage in names for p in own if allowed)
        log = recording.log.read(name, partition, 0)
        result = sweep(name, partition, log, writers, due[topic.name], fingerprint_of_id)
        records += result.records
        progress.at(records)
        yield result


def places(recording: Recording) -> Iterator[Place]:
    """Every topic and partition of the recording, empty partitions included."""
    for name in recording.topics:
        due = 1 if topic_named(name).spread is Spread.SINGLE else recording.partitions
        for partition in range(max(due, recording.counts.get(name, 0))):
            yield name, partition
