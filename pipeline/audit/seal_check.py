"""Checks the log against seals: what a seal covers must be as it was sealed, and no journal may be shorter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.audit.findings import Finding, FindingKind
from pipeline.audit.recorded import Log, leading
from pipeline.audit.seal import CHECKPOINT_EVERY, DecodeEntry, PlaceDigest, SealedHead, SealedPlace, SealFile
from pipeline.journal import entry_hash
from pipeline.topics import JOURNAL


class SealCheck(NamedTuple):
    """The result of checking the log against seals."""

    seals: int
    records: int
    """Records found as they were sealed."""
    heads: int
    """Journal heads found as they were sealed."""
    last_made_at: str
    whole: bool
    """Whether the seals reach back to the beginning of the topics without a gap."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def check(
    files: Sequence[SealFile], log: Log, decode: DecodeEntry, cluster_id: str, topic_ids: Mapping[str, str]
) -> SealCheck:
    """Check ``log`` against every seal, each on its own, whether or not the seals it continues are given.

    ``cluster_id`` and ``topic_ids`` (topic to the broker's id) are of the cluster now; empty ones are not compared.
    """
    findings: list[Finding] = []
    notes: list[str] = []
    by_hash = {file.sha256: file for file in files}
    whole = bool(files)
    for file in files:
        findings += _cluster(file, cluster_id, topic_ids)
        if file.seal.previous:
            earlier = by_hash.get(file.seal.previous)
            if earlier is None:
                whole = False
                notes.append(
                    f"seal {file.name} goes on from one that was not given (SHA-256 {file.seal.previous[:16]}…): "
                    "records before it are not covered"
                )
            else:
                findings += _goes_on(earlier, file)
    sealed = {(head.task, head.no) for file in files for head in file.seal.heads}
    hashes = dict(_entry_hashes(sealed, log, decode, {head.partition for f in files for head in f.seal.heads}))
    good_heads: dict[tuple[str, int], None] = {}
    good_places: list[SealedPlace] = []
    for file in files:
        for head in file.seal.heads:
            wrong = _head(file.name, head, hashes)
            if wrong is None:
                good_heads[head.task, head.no] = None
            else:
                findings.append(wrong)
        for place in file.seal.places:
            wrong = _place(file.name, place, log)
            if wrong is None:
                good_places.append(place)
            else:
                findings.append(wrong)
    last = max((file.seal.made_at for file in files), default="")
    return SealCheck(len(files), _count(good_places), len(good_heads), last, whole, tuple(findings), tuple(notes))


def _cluster(file: SealFile, cluster_id: str, topic_ids: Mapping[str, str]) -> Iterator[Finding]:
    sealed = file.seal.cluster_id
    if sealed and cluster_id and sealed != cluster_id:
        yield _finding(FindingKind.SEAL, file.name, "(cluster)", 0, -1, "cluster id", cluster_id, sealed)
    reported: dict[str, None] = {}
    for place in file.seal.places:
        now = topic_ids.get(place.topic, "")
        if place.topic_id and now and now != place.topic_id and place.topic not in reported:
            reported[place.topic] = None
            yield _finding(FindingKind.SEAL, file.name, place.topic, place.partition, -1, "topic id", now,
                           f"{place.topic_id}: the topic was made anew")  # fmt: skip


def _goes_on(earlier: SealFile, later: SealFile) -> Iterator[Finding]:
    """A later seal must begin where the earlier one ends, and its journals must not be shorter."""
    starts = {(place.topic, place.partition): place for place in later.seal.places}
    for place in earlier.seal.places:
        next_one = starts.get((place.topic, place.partition))
        found = "nothing" if next_one is None else str(next_one.first_offset)
        if found != str(place.end_offset):
            yield _finding(FindingKind.SEAL, later.name, place.topic, place.partition, -1, "first_offset", found,
                           f"{place.end_offset} by {earlier.name}")  # fmt: skip
    heads = {head.task: head for head in later.seal.heads}
    for head in earlier.seal.heads:
        now = heads.get(head.task)
        if now is None or now.no < head.no:
            found = "none" if now is None else str(now.no)
            yield _finding(FindingKind.SEAL, later.name, JOURNAL.name, head.partition, -1, f"head of {head.task}",
                           found, f"{head.no} by {earlier.name}")  # fmt: skip


def _entry_hashes(
    sealed: set[tuple[str, int]], log: Log, decode: DecodeEntry, partitions: set[int]
) -> Iterator[tuple[tuple[str, int], str]]:
    """The hashes, computed again, of those journal entries that a seal names as heads."""
    tasks = {task for task, _ in sealed}
    for partition in sorted(partitions):
        for record in log.read(JOURNAL.name, partition, 0):
            writer = leading(record.value)[0]
            if writer not in tasks:
                continue
            try:
                entry = decode(record.value)
            except ValueError:
                continue  # the replay reports an entry that cannot be decoded
            if (writer, entry.no) in sealed:
                yield (writer, entry.no), entry_hash(entry)


def _head(name: str, head: SealedHead, hashes: dict[tuple[str, int], str]) -> Finding | None:
    now = hashes.get((head.task, head.no))
    if now == head.entry_hash:
        return None
    if now is None:
        return _finding(FindingKind.CUT_OFF, name, JOURNAL.name, head.partition, -1, f"entry {head.no} of {head.task}",
                        "nothing", head.entry_hash)  # fmt: skip
    return _finding(FindingKind.SEAL, name, JOURNAL.name, head.partition, -1, f"entry {head.no} of {head.task}", now,
                    head.entry_hash)  # fmt: skip


def _place(name: str, place: SealedPlace, log: Log) -> Finding | None:
    digest = PlaceDigest(place.topic, place.partition, place.first_offset)
    marks = iter(place.checkpoints)
    since = place.first_offset
    at_mark = next(marks, None)
    for record in log.read(place.topic, place.partition, place.first_offset):
        if record.offset >= place.end_offset:
            break
        digest.take(record.offset, record.append_ns, record.key, record.value)
        if at_mark is not None and digest.records % CHECKPOINT_EVERY == 0:
            now = digest.checkpoints[-1]
            if now != at_mark:
                return _altered(name, place, since, at_mark.end_offset, now.sha256, at_mark.sha256)
            since, at_mark = now.end_offset, next(marks, None)
    if digest.records < place.records and digest.end_offset < place.end_offset:
        return _finding(
            FindingKind.CUT_OFF, name, place.topic, place.partition, digest.end_offset, "records",
            f"{digest.records:,} up to offset {digest.end_offset}", f"{place.records:,} up to {place.end_offset}",
        )  # fmt: skip
    now_sha = digest.sealed().sha256
    if now_sha == place.sha256:
        return None
    counted = "" if digest.records == place.records else f" of {digest.records:,} records"
    return _altered(name, place, since, place.end_offset, now_sha + counted,
                    place.sha256 + (f" of {place.records:,} records" if counted else ""))  # fmt: skip


def _altered(name: str, place: SealedPlace, first: int, end: int, now: str, sealed: str) -> Finding:
    field = f"sha256 of offsets {first} to {end - 1}"
    return _finding(FindingKind.SEAL, name, place.topic, place.partition, first, field, now, sealed)


def _finding(
    kind: FindingKind, name: str, topic: str, partition: int, offset: int, field: str, now: str, sealed: str
) -> Finding:
    return Finding(kind, name, 0, topic, partition, offset, field, now, sealed)


def _count(places: Iterable[SealedPlace]) -> int:
    """How many records the ``places`` cover together; those of several seals may overlap."""
    count, end, at = 0, 0, None
    for place in sorted(places, key=lambda p: (p.topic, p.partition, p.first_offset, -p.end_offset)):
        if (place.topic, place.partition) != at:
            at, end = (place.topic, place.partition), 0
        if place.end_offset > end:
            count, end = count + place.records, place.end_offset
    return count
