"""`pipeline audit verify`: the topics of a cluster, or of a memory host, replayed task by task and compared.

The cluster's committed records are copied once, from their beginnings to the ends the topics have when the audit
starts, into files in a temporary folder (as large as the topics; TMPDIR says where), so that memory stays small
whatever the day. The journal is read first: whatever its entries speak of was written before, and so is read too. Then
tasks are replayed, several at a time, each in a process of its own.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from pipeline import topology
from pipeline.audit.replay import Finding, FindingKind, Log
from pipeline.audit.verify import Audit, Code, Findings, SweepResult, TaskResult, against_code, sweep
from pipeline.domain.audit import JournalEntry, JournalKind
from pipeline.runtime import facts
from pipeline.runtime.codec import Codec, SchemaSource, Undecodable
from pipeline.runtime.contracts import contract_text, fingerprint_of
from pipeline.runtime.errors import EXIT_FOUND, EXIT_GOOD, PipelineError, Unreachable
from pipeline.runtime.kafka import Kafka
from pipeline.runtime.memory_host import MemoryHost
from pipeline.runtime.patience import Patience
from pipeline.runtime.platform import KAFKA_VARIABLE, kafka_answers
from pipeline.runtime.recorded_schemas import recorded_schemas
from pipeline.runtime.registry import Registry, RegistryIds
from pipeline.runtime.replaying import MemoryLog, journal_of, places_of, replay_of
from pipeline.runtime.restore import NotRestored, read_to_end
from pipeline.runtime.settings import Settings
from pipeline.runtime.spool import Spool
from pipeline.runtime.wiring import AnyStage, outputs_of
from pipeline.topics import JOURNAL, SCHEMAS, TOPICS, Spread, topic_named

Say = Callable[[str], None]
_SAY_EVERY: Final = 200_000
_ASTRAY: Final = (FindingKind.RAISED, FindingKind.INPUT_MISSING)


class NothingRecorded(PipelineError):
    """There is no journal: the cluster has never run the pipeline, or its topics are not made."""


@dataclass(frozen=True)
class Recording:
    """Recorded topics and what is needed to read them. Can be handed to other processes when its log can."""

    log: Log
    schemas: SchemaSource
    cluster: str
    partitions: int
    topics: tuple[str, ...]
    """Names of ours that are there, sources' own ones included."""
    records: int
    later: Mapping[tuple[str, str, int], int]
    """Writer, topic, partition → the number its next record had, written while the audit read."""


# ---------------------------------------------------------------------- entrances


def verify(
    settings: Settings,
    say: Say = print,
    *,
    stages: Sequence[AnyStage] | None = None,
    schemas: SchemaSource | None = None,
    processes: int = 0,
    runs: int = 1,
) -> int:
    """Verify a cluster's topics; says the result and returns the exit code: 0, 1, or 3 when something is unreachable.

    ``stages``: with the parameters they ran with (default: the flow with its wire secret from PIPELINE_WIRE_SECRET).
    ``processes`` 0: one per core. With several, a script that calls this needs a ``__main__`` guard. ``runs``: how
    often everything is replayed.
    """
    if stages is None:
        secret = os.environ.get("PIPELINE_WIRE_SECRET")
        stages = topology.flow(secret.encode()) if secret else topology.STAGES
    try:
        with tempfile.TemporaryDirectory(prefix="pipeline-audit-") as folder:
            recording = copy_of(settings, Path(folder), say, schemas)
            done = audit(recording, stages, say, processes=processes, runs=runs)
    except PipelineError as error:
        say(f"audit: {error}")
        return error.exit_code
    except NotRestored as error:
        say(f"audit: Kafka at {settings.bootstrap_servers} went away while the topics were read ({error}). Try again.")
        return Unreachable.exit_code
    say(done.text())
    return EXIT_GOOD if done.verified else EXIT_FOUND


def verify_host(
    host: MemoryHost, stages: Sequence[AnyStage], schemas: SchemaSource, say: Say = lambda _: None, runs: int = 1
) -> Audit:
    """Verify what a memory host has recorded. ``schemas``: those of its codec. Commit its last transaction before."""
    count = sum(map(len, host.topics.values()))
    names = tuple(sorted({name for name, _ in host.topics}))
    recording = Recording(MemoryLog(host.topics), schemas, "a memory host", host.partitions, names, count, {})
    return audit(recording, stages, say, processes=1, runs=runs)


# ---------------------------------------------------------------------- reading a cluster


def copy_of(settings: Settings, folder: Path, say: Say, schemas: SchemaSource | None = None) -> Recording:
    """All our topics of a cluster, copied into ``folder``. Raises Unreachable, NothingRecorded, NotRestored."""
    bootstrap = settings.bootstrap_servers
    if not kafka_answers(bootstrap, 15):
        raise Unreachable("Kafka", bootstrap, f"Start it, or correct {KAFKA_VARIABLE}.")
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    metadata = admin.list_topics(timeout=15)
    names = {name: len(topic.partitions) for name, topic in metadata.topics.items() if _is_ours(name)}
    if JOURNAL.name not in names:
        raise NothingRecorded(f"there is no journal at {bootstrap}: nothing has run there, so nothing can be verified")
    say(f"audit: reading {len(names)} topics at {bootstrap} from their beginnings into {folder}")
    spool, ids, journal_ends = Spool(folder), set[tuple[str, int]](), dict[tuple[str, int], int]()
    told = _SAY_EVERY

    def take(message: Message) -> None:
        nonlocal told
        topic, partition = str(message.topic()), int(message.partition() or 0)
        key, value = _bytes(message.key()), _bytes(message.value())
        offset = int(message.offset() or 0)
        spool.take(topic, partition, offset, message.timestamp()[1] * 1_000_000, key, value)
        if topic == JOURNAL.name:
            journal_ends[topic, partition] = offset + 1
        if value is not None and len(value) >= 5 and value[0] == 0:
            ids.add((topic, int.from_bytes(value[1:5], "big")))
        if spool.total >= told:
            told += _SAY_EVERY
            say(f"audit: {spool.total:,} records read")

    def read(wanted: Iterable[tuple[str, int]]) -> None:
        starts = dict.fromkeys(wanted, 0)
        read_to_end(starts, take, Patience("audit", say, Kafka(bootstrap)))

    journal = [(JOURNAL.name, partition) for partition in range(names[JOURNAL.name])]
    read(journal)
    read((name, p) for name, count in names.items() if name != JOURNAL.name for p in range(count))
    say(f"audit: {spool.total:,} records read")
    log, count = spool.close(), spool.total
    if schemas is None:
        copies = [record.value for record in log.read(SCHEMAS.name, 0, 0) if record.value is not None]
        schemas = recorded_schemas(copies, ids, RegistryIds(Registry(settings.registry_url)))
    later = _written_later(bootstrap, {place: journal_ends.get(place, 0) for place in journal}, Codec(schemas))
    cluster = f"{bootstrap} (cluster {metadata.cluster_id})"
    return Recording(log, schemas, cluster, names[JOURNAL.name], tuple(sorted(names)), count, later)


def _is_ours(name: str) -> bool:
    try:
        topic_named(name)
    except KeyError:
        return False
    return True


def _bytes(part: object) -> bytes | None:
    return None if part is None else bytes(part)  # type: ignore[call-overload]


def _written_later(bootstrap: str, starts: dict[tuple[str, int], int], codec: Codec) -> dict[tuple[str, str, int], int]:
    """What journal entries written since the journal was read explain: the first number in each place."""
    later: dict[tuple[str, str, int], int] = {}

    def take(message: Message) -> None:
        try:
            entry = codec.decode(JOURNAL.name, _bytes(message.value()))
        except Undecodable:
            return
        assert isinstance(entry, JournalEntry)
        for span in entry.outputs:
            later.setdefault((entry.writer, span.topic, span.partition), span.first_seq)

    read_to_end(starts, take, Patience("audit", lambda _: None, Kafka(bootstrap)))
    return later


# ---------------------------------------------------------------------- replaying


def audit(
    recording: Recording, stages: Sequence[AnyStage], say: Say = print, *, processes: int = 0, runs: int = 1
) -> Audit:
    """Replay every task of ``stages`` against the recording, ``runs`` times, and sweep every topic they write."""
    jobs = [_Job(index, partition, runs) for index in range(len(stages)) for partition in range(recording.partitions)]
    count = min(processes or os.cpu_count() or 1, len(jobs))
    found: dict[tuple[int, int], TaskResult] = {}
    for number, (job, result) in enumerate(_replayed(recording, stages, jobs, count), 1):
        found[job.stage, job.partition] = _without_later(result, recording.later)
        what = f"{result.outputs:,} records written, {'identical' if not result.finding_count else 'NOT as recorded'}"
        say(f"audit: {number} of {len(jobs)} tasks replayed: {result.writer}: {result.inputs:,} records read, {what}")
    return Audit(
        recording.cluster,
        recording.partitions,
        len(recording.topics),
        recording.records,
        tuple(found[job.stage, job.partition] for job in jobs),
        tuple(_swept(recording, stages)),
        len(recording.later),
    )


class _Job(NamedTuple):
    stage: int
    partition: int
    runs: int


_given: tuple[Recording, Sequence[AnyStage]] | None = None


def _give(recording: Recording, stages: Sequence[AnyStage]) -> None:
    global _given
    _given = recording, stages


def _work(job: _Job) -> tuple[_Job, TaskResult]:
    assert _given is not None
    return job, _replay(*_given, job)


def _replayed(
    recording: Recording, stages: Sequence[AnyStage], jobs: Sequence[_Job], count: int
) -> Iterator[tuple[_Job, TaskResult]]:
    if count == 1:
        for job in jobs:
            yield job, _replay(recording, stages, job)
        return
    # Spawned, not forked: each process has a hash seed of its own, and the client library's threads are not copied.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(count, context, _give, (recording, stages)) as pool:
        for future in concurrent.futures.as_completed([pool.submit(_work, job) for job in jobs]):
            yield future.result()


def _replay(recording: Recording, stages: Sequence[AnyStage], job: _Job) -> TaskResult:
    stage = stages[job.stage]
    findings, notes = Findings(), list[str]()
    differing: dict[tuple[str, int, int], None] = {}
    digests: list[str] = []
    code = Code(stage.config(), _fingerprints(), facts.commit(), facts.lock_hash(), facts.python())
    starts, misled = 0, False
    for run in range(job.runs):
        codec = Codec(recording.schemas)
        replay = replay_of(stage, job.partition, recording.partitions, codec, stages, recording.log)
        starts = 0

        def entries(codec: Codec = codec, first: bool = run == 0) -> Iterator[JournalEntry]:
            nonlocal starts
            for entry in journal_of(stage.name, job.partition, recording.log, codec):
                starts += entry.kind is JournalKind.EPOCH
                if first:
                    wrong, told = against_code(entry, code)
                    notes.extend(told)
                    for finding in wrong:
                        findings.add(finding)
                yield entry

        also = [*places_of(stage, job.partition, recording.partitions), *_of_sources(recording, stage, job.partition)]
        for finding in _guarded(replay.run(entries(), also), stage.name, job.partition):
            if run == 0:
                findings.add(finding)
                misled = misled or finding.field == "input_hash" or finding.kind in _ASTRAY
                if finding.kind in (FindingKind.OUTPUT_DIFFERS, FindingKind.OUTPUT_MISSING):
                    differing[finding.topic, finding.partition, finding.offset] = None
        digests.append(replay.digest)
    return TaskResult(
        stage.name,
        job.partition,
        starts,
        replay.entries - starts,
        replay.inputs,
        replay.outputs,
        len(differing),
        tuple(digests),
        replay.last_hash,
        tuple(findings.kept),
        findings.count,
        tuple(notes),
        misled,
    )


def _guarded(findings: Iterator[Finding], stage: str, partition: int) -> Iterator[Finding]:
    """A journal that cannot even be read is a finding, too."""
    try:
        yield from findings
    except (Undecodable, KeyError, ValueError) as error:
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
    """Leave out what only a journal entry explains that was written after the audit had read the journal."""
    kept = tuple(
        finding
        for finding in result.findings
        if finding.kind is not FindingKind.OUTPUT_UNEXPLAINED
        or str(later.get((finding.writer, finding.topic, finding.partition))) != finding.recorded
    )
    dropped = len(result.findings) - len(kept)
    return result._replace(findings=kept, finding_count=result.finding_count - dropped)


# ---------------------------------------------------------------------- sweeping


def _fingerprints() -> dict[str, str]:
    return {topic.name: fingerprint_of(contract_text(topic.record)) for topic in TOPICS}


def _swept(recording: Recording, stages: Sequence[AnyStage]) -> Iterator[SweepResult]:
    """Every topic that stages write, record by record."""
    writing: dict[str, list[str]] = {}
    for stage in stages:
        for topic in outputs_of(stage):
            writing.setdefault(topic.name, []).append(stage.name)
    due = _fingerprints()
    known: dict[int, str] = {}

    def fingerprint_of_id(schema_id: int) -> str:
        if schema_id not in known:
            found = recording.schemas.lookup(schema_id)
            known[schema_id] = "an unknown one" if found is None else fingerprint_of(found.text)
        return known[schema_id]

    for name in recording.topics:
        topic = topic_named(name)
        names = writing.get(topic.name)
        if names is None:
            continue
        count = 1 if topic.spread is Spread.SINGLE else recording.partitions
        for partition in range(count):
            places = [partition] if topic.spread is Spread.OWN else range(recording.partitions)
            writers = frozenset(f"{stage}/{p}" for stage in names for p in places)
            records = recording.log.read(name, partition, 0)
            yield sweep(name, partition, records, writers, due[topic.name], fingerprint_of_id)
