"""`pipeline audit seal`: journal heads and digests of all topics of a cluster, as a file to be kept elsewhere.

Records are streamed, nothing is copied. The file is written whole or not at all, and never over another one.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from confluent_kafka import Message

from pipeline.audit.seal import BadSeal, Heads, PlaceDigest, Seal, SealFile, from_bytes, to_bytes
from pipeline.errors import EXIT_GOOD, DiskFull, PipelineError, Unreachable, WrongUse
from pipeline.runtime import build_info
from pipeline.runtime.auditing.reading import Cluster, Recording, Say, parts, schema_id_of
from pipeline.runtime.auditing.verify import entry_decoder, places
from pipeline.runtime.contracts.codec import SchemaSource
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.settings import Settings
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.restore import NotRestored, read_to_end
from pipeline.topics import JOURNAL, SCHEMAS


class BrokenJournal(PipelineError):
    """The journal does not continue the earlier seal's."""


def seal(
    settings: Settings,
    path: Path,
    after: Path | None = None,
    say: Say = print,
    *,
    schemas: SchemaSource | None = None,
    made_at: Callable[[], str] = lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
) -> int:
    """Seal a cluster's topics into the new file ``path``; reports with ``say`` and returns the exit code 0.

    ``after``: an earlier seal, which this one continues. Raises WrongUse (a path or seal that cannot be used),
    Unreachable, NothingRecorded, BrokenJournal, DiskFull.
    """
    if path.exists():
        raise WrongUse(f"{path} is there already: a seal is never written over. Give another name.")
    if not path.parent.is_dir():
        raise WrongUse(f"there is no folder {path.parent} to write {path.name} into")
    earlier = None if after is None else load((after,))[0]
    cluster = Cluster(settings)
    topic_ids = cluster.topic_ids()
    if earlier is not None:
        _same_cluster(earlier, cluster.id, topic_ids)
    ends = {} if earlier is None else {(p.topic, p.partition): p.end_offset for p in earlier.seal.places}
    digests = {
        (topic, partition): PlaceDigest(topic, partition, ends.get((topic, partition), 0), topic_ids.get(topic, ""))
        for topic, partition in cluster.places()
    }
    heads = Heads(() if earlier is None else earlier.seal.heads)
    ids = set[tuple[str, int]]()

    def take(message: Message) -> None:
        topic, partition, offset, append_ns, key, value = parts(message)
        digests[topic, partition].take(offset, append_ns, key, value)
        if topic == JOURNAL.name:
            heads.take(value)
            schema_id = schema_id_of(value)
            if schema_id is not None:
                ids.add((topic, schema_id))

    say(f"audit: reading {len(cluster.counts)} topics at {cluster.bootstrap} from "
        f"{'their beginnings' if earlier is None else f'where {earlier.name} ends'}")  # fmt: skip
    try:
        count = cluster.stream({place: digest.first_offset for place, digest in digests.items()}, take, say)
        if schemas is None:
            schemas = cluster.schemas(_copies(cluster), ids)
    except NotRestored as error:
        what = f"It went away, or the beginning is not there any more ({error}). Try again, or seal without --after."
        raise Unreachable("Kafka", cluster.bootstrap, what) from error
    made = _made(heads, digests.values(), schemas, cluster.id, cluster.partitions, earlier, made_at())
    data = to_bytes(made)
    _write_new(path, data)
    file = from_bytes(str(path), data)
    say(f"sealed {count:,} records on {len(cluster.counts)} topics and the heads of {len(made.heads)} journals: {path}")
    say(f"SHA-256 of the seal  {file.sha256}")
    say("Keep the file, or at least that line, where nobody who can write to the cluster can change it.")
    say("Whether what it seals is right is not its business: that is said by `pipeline audit verify`.")
    return EXIT_GOOD


def seal_recording(recording: Recording, made_at: str, name: str = "seal", after: SealFile | None = None) -> SealFile:
    """Seal a recording as it is now, without writing a file. Raises BrokenJournal."""
    ends = {} if after is None else {(p.topic, p.partition): p.end_offset for p in after.seal.places}
    heads = Heads(() if after is None else after.seal.heads)
    digests = []
    for topic, partition in places(recording):
        first = ends.get((topic, partition), 0)
        digest = PlaceDigest(topic, partition, first, recording.topic_ids.get(topic, ""))
        digests.append(digest)
        for record in recording.log.read(topic, partition, first):
            digest.take(record.offset, record.append_ns, record.key, record.value)
            if topic == JOURNAL.name:
                heads.take(record.value)
    made = _made(heads, digests, recording.schemas, recording.cluster_id, recording.partitions, after, made_at)
    return from_bytes(name, to_bytes(made))


def load(paths: Iterable[Path]) -> list[SealFile]:
    """Read seals from files. Raises WrongUse for a file that cannot be read or is no seal."""
    files = []
    for path in paths:
        try:
            files.append(from_bytes(str(path), path.read_bytes()))
        except OSError as error:
            raise WrongUse(f"{path} cannot be read: {error.strerror or error}") from error
        except BadSeal as error:
            raise WrongUse(str(error)) from error
    return files


def _made(
    heads: Heads,
    digests: Iterable[PlaceDigest],
    schemas: SchemaSource,
    cluster_id: str,
    partitions: int,
    earlier: SealFile | None,
    made_at: str,
) -> Seal:
    try:
        sealed = heads.sealed(entry_decoder(schemas))
    except ValueError as error:
        raise BrokenJournal(f"nothing was sealed: {error}. Look at it with: pipeline audit verify") from error
    return Seal(
        made_at=made_at,
        commit=build_info.code(),
        cluster_id=cluster_id,
        partitions=partitions,
        previous="" if earlier is None else earlier.sha256,
        heads=sealed,
        places=tuple(digest.sealed() for digest in digests),
    )


def _same_cluster(earlier: SealFile, cluster_id: str, topic_ids: dict[str, str]) -> None:
    if earlier.seal.cluster_id != cluster_id:
        raise WrongUse(f"{earlier.name} is of cluster {earlier.seal.cluster_id}, this one is {cluster_id}")
    for place in earlier.seal.places:
        if place.topic_id and topic_ids.get(place.topic, "") != place.topic_id:
            raise BrokenJournal(
                f"nothing was sealed: the topic {place.topic} was made anew, or is gone, since {earlier.name}. "
                f"Look at it with: pipeline audit verify --seal {earlier.name}"
            )


def _copies(cluster: Cluster) -> list[bytes]:
    """Our own copies of the schemas; all of them, even when the seal begins later."""
    found: list[bytes] = []
    if SCHEMAS.name in cluster.counts:
        take = lambda message: found.append(bytes(message.value() or b""))  # noqa: E731
        read_to_end({(SCHEMAS.name, 0): 0}, take, WorkerContext("audit", lambda _: None, Kafka(cluster.bootstrap)))
    return found


def _write_new(path: Path, data: bytes) -> None:
    """Write ``data`` into a new file: all of it, synced to disk, or nothing."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o444)
            os.link(name, path)  # unlike a rename it fails where a file is
        finally:
            os.unlink(name)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise WrongUse(f"{path} is there already: a seal is never written over. Give another name.") from error
    except OSError as error:
        if error.errno == 28:
            raise DiskFull("the seal", path.parent, len(data)) from error
        raise WrongUse(f"{path} cannot be written: {error.strerror or error}") from error
