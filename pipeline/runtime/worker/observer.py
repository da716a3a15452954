"""What a worker reports to its observer: events, each committed transaction, and once a second what it holds.

The worker depends on this module alone. Who observes it (log, metrics, nobody) is decided where it is started.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from confluent_kafka import Consumer, TopicPartition

from pipeline.runtime.worker.merge import Merge
from pipeline.runtime.worker.task_group import TaskGroup
from pipeline.topics import DEAD_LETTERS

Place = tuple[str, int]
"""Topic and partition."""


class Event(StrEnum):
    """An event in a worker's life: one line in its log, one count in its metrics."""

    STARTED = "started"
    """The cluster answers and has what the unit needs; the worker joins its group."""
    WAITING = "waiting"
    """Waiting for something (Kafka, the registry, another unit's end); reported at most every five seconds."""
    ASSIGNED = "assigned"
    REVOKED = "revoked"
    LOST = "lost"
    """The group has given the partitions away without this worker: what it had not committed is dropped."""
    RESTORED = "restored"
    """The state of the partitions has been read."""
    READY = "ready"
    """Restored, started, and reading on: the first transaction is committed."""
    ABORTED = "aborted"
    """A transaction was aborted."""
    INDEFINITE = "indefinite"
    """It is not known how a transaction ended; a new producer settles it."""
    FENCED = "fenced"
    """A transaction was refused because another producer or member has this worker's place."""
    PAUSED = "paused"
    """An input comes faster than it is merged and is not fetched for a while; reported at most once a minute."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    POISONED = "poisoned"
    """A stage raised on a record."""
    FAILED = "failed"
    """Ended by an error that needs a person."""
    HUNG = "hung"
    """The watchdog ended the process."""
    NOTE = "note"


class Sight(NamedTuple):
    """What a worker holds at one moment."""

    lag: Mapping[Place, int]
    """Offsets between the last committed place and the log's end as of the last fetch."""
    entries: Mapping[str, int]
    """Stage to state entries."""
    dead_letters: Mapping[str, int]
    """Stage to number of dead letters that its tasks of this worker's partitions have ever written."""
    buffered: int
    """Records fetched and not applied."""
    paused: int
    """Inputs that are not fetched at the moment."""


class Observer(Protocol):
    """Observes a worker. Called in the worker's own thread: must be quick."""

    def event(self, event: Event, text: str, **ids: Any) -> None:
        """An event, as a sentence, with the ids that it concerns."""

    def dropped(self) -> None:
        """The worker has dropped its state; READY follows when the committed state is restored."""

    def committed(self, records: int, rows: Sequence[tuple[Any, ...]], seconds: float) -> None:
        """A transaction of ``records`` outside records was committed in ``seconds``; ``rows`` are what it wrote, each
        beginning with topic and partition."""

    def wants_sight(self, now_s: float) -> bool:
        """Whether :meth:`saw` should be called now (monotonic seconds)."""

    def saw(self, sight: Sight) -> None:
        """What the worker holds, after :meth:`wants_sight`."""


class Speaker:
    """An observer that only writes each event as a line with ``say``."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say

    def event(self, event: Event, text: str, **ids: Any) -> None:
        self._say(f"{self._name}: {text}")

    def dropped(self) -> None:
        pass

    def committed(self, records: int, rows: Sequence[tuple[Any, ...]], seconds: float) -> None:
        pass

    def wants_sight(self, now_s: float) -> bool:
        return False

    def saw(self, sight: Sight) -> None:
        pass


def sight_of(
    consumer: Consumer,
    task_groups: Mapping[int, TaskGroup],
    merges: Mapping[int, Merge[Any]],
    paused: Collection[Place],
    sent: Mapping[Place, int],
    eofs: Mapping[Place, int],
) -> Sight:
    """What a worker holds now. Sends no request: offsets come from the client's cache.

    ``sent``: committed offset of each input. ``eofs``: offset of each input's last end of partition. When nothing of
    the input is buffered, the worker has reached that end: it may be past the committed offset, because a transaction
    marker with no record after it is never committed.
    """
    lag = {}
    for (name, partition), position in sent.items():
        _low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), cached=True)
        if high < 0 or position < 0:
            continue  # nothing was fetched yet
        if not merges[partition].size(name) and not task_groups[partition].touched:
            position = max(position, eofs.get((name, partition), 0))
        lag[name, partition] = max(0, high - position)
    tasks = [task for task_group in task_groups.values() for task in task_group.tasks]
    return Sight(
        lag=lag,
        entries=_by_stage((task.stage.name, len(task.state)) for task in tasks),
        dead_letters=_by_stage(
            (task.stage.name, sum(task.place.written.get(DEAD_LETTERS.name, {}).values())) for task in tasks
        ),
        buffered=sum(merge.buffered for merge in merges.values()),
        paused=len(paused),
    )


def _by_stage(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for stage, count in counts:
        found[stage] = found.get(stage, 0) + count
    return found
