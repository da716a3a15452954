"""Taking over partitions: their committed state is restored, checked against the group's offsets, and started.

The state itself names the place to go on from; the group's offsets only have to agree with it, when they are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka import Message as Fetched

from pipeline.runtime import build_info
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.gc_tuning import while_restoring
from pipeline.runtime.worker.observer import Event
from pipeline.runtime.worker.preflight import ClusterFacts
from pipeline.runtime.worker.restore import (
    ASK_TIMEOUT_S,
    Begin,
    NotRestored,
    Place,
    ends,
    read_changelogs,
    read_to_end,
)
from pipeline.runtime.worker.snapshots import Snapshots
from pipeline.runtime.worker.task import (
    IN_MEMORY,
    META_KEY,
    EpochFacts,
    Message,
    StateMismatch,
    recorded_config,
)
from pipeline.runtime.worker.task_group import TaskGroup, read_fetched
from pipeline.runtime.worker.wiring import Wiring
from pipeline.topics import changelog_of

TAIL: Final = 20
"""Our `_meta` must be among so many last offsets of a changelog (markers count too), or the state is read anew."""


class Prepared(NamedTuple):
    """Partitions ready to work."""

    task_groups: dict[int, TaskGroup]
    starts: dict[Place, int]
    """Outside input and partition: where to read on; OFFSET_BEGINNING when nothing was read yet."""
    earliest: dict[Place, int]
    """Outside input and partition: first offset of the log."""
    migrated: int = 0
    """Entries that the first transaction brings to this version of the state."""


class Assigner:
    """Takes over partitions for the worker in slot ``slot_name`` of ``wiring``'s unit."""

    def __init__(
        self,
        wiring: Wiring,
        cluster_facts: ClusterFacts,
        codec: Codec,
        slot_name: str,
        context: WorkerContext,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._wiring: Final = wiring
        self._cluster_facts: Final = cluster_facts
        self._codec: Final = codec
        self._slot_name: Final = slot_name
        self._context: Final = context
        self._snapshots: Final = snapshots or Snapshots(
            None, cluster_facts.cluster_id, cluster_facts.partitions, context
        )

    def prepare(
        self, consumer: Consumer, partitions: Sequence[int], kept: Mapping[int, TaskGroup] | None = None
    ) -> Prepared:
        """Restore and start the tasks of ``partitions``. Raises NotRestored (try again) and StateMismatch.

        ``kept``: task groups of an earlier assignment, with nothing in them that was not committed.
        """
        with while_restoring():
            return self._prepare(consumer, partitions, kept or {})

    def _prepare(self, consumer: Consumer, partitions: Sequence[int], kept: Mapping[int, TaskGroup]) -> Prepared:
        kafka = self._context.kafka
        started = kafka.monotonic()
        outside = [topic.name for topic in self._wiring.outside]
        places = [(name, p) for name in outside for p in partitions]
        before = _committed(consumer, places)
        restored = self._unchanged({p: task_group for p, task_group in kept.items() if p in partitions})
        restored |= self._restore([p for p in partitions if p not in restored])
        committed = _committed(consumer, places)
        if committed != before:
            # Another worker has committed meanwhile: we were suspended for long, and have lost the partitions.
            raise NotRestored("somebody else works on these partitions")
        earliest = {place: low for place, (low, _) in ends(kafka, places).items()}
        epoch = self._epoch()
        task_groups = {}
        starts = {}
        for partition, task_group in sorted(restored.items()):
            positions = task_group.positions()
            self._check(task_group, positions, committed, earliest)
            task_group.start(epoch, self._backlog(task_group))
            task_groups[partition] = task_group
            for name in outside:
                starts[name, partition] = positions.get(name, OFFSET_BEGINNING)
        entries = sum(len(task.state) for task_group in task_groups.values() for task in task_group.tasks)
        self._context.say(
            f"partitions {list(partitions)} of {self._cluster_facts.partitions}, {entries} entries restored in "
            f"{kafka.monotonic() - started:.2f} s",
            Event.RESTORED,
            partitions=list(partitions),
            entries=entries,
            epochs={
                task.task.writer: task.place.epoch for task_group in task_groups.values() for task in task_group.tasks
            },
        )
        migrated = sum(len(task.migrated) for task_group in task_groups.values() for task in task_group.tasks)
        if migrated:
            self._context.say(f"state of an older version: {migrated} entries are migrated in the first transaction")
        return Prepared(task_groups, starts, earliest, migrated)

    def _unchanged(self, kept: Mapping[int, TaskGroup]) -> dict[int, TaskGroup]:
        """Those whose own `_meta` is still the last one in every changelog: nobody has written since."""
        if not kept:
            return {}
        own = {(changelog_of(task.stage.name), p): task for p, task_group in kept.items() for task in task_group.tasks}
        tails = {place: Begin({}, max(low, end - TAIL)) for place, (low, end) in ends(self._context.kafka, own).items()}
        last = read_changelogs(own, self._context, tails)
        changed = {place[1] for place, task in own.items() if last[place].get(META_KEY) != task.meta()}
        same = {p: task_group for p, task_group in kept.items() if p not in changed}
        if same:
            self._context.say(f"state of partitions {sorted(same)} kept: nobody has written since")
        return same

    def _restore(self, partitions: Sequence[int]) -> dict[int, TaskGroup]:
        """Task groups with the committed state: from snapshots and what follows them, or from the changelogs alone."""
        if not partitions:
            return {}
        logs = {
            (changelog_of(stage.name), p): (stage.name, stage.state_version)
            for stage in self._wiring.stages
            for p in partitions
        }
        begins = self._snapshots.find(logs, lambda: ends(self._context.kafka, logs))
        try:
            return self._load(partitions, read_changelogs(logs, self._context, begins), begins)
        except StateMismatch as error:
            if not begins:
                raise
            self._context.say(f"snapshots are not used, the changelogs are read whole: {error}")
            return self._load(partitions, read_changelogs(logs, self._context), {})

    def _load(
        self, partitions: Sequence[int], changelogs: Mapping[Place, dict[bytes, bytes]], begins: Mapping[Place, Begin]
    ) -> dict[int, TaskGroup]:
        task_groups = {}
        for partition in partitions:
            task_group = task_groups[partition] = TaskGroup(
                self._wiring, partition, self._cluster_facts.partitions, self._codec
            )
            task_group.restore(
                {stage.name: changelogs[changelog_of(stage.name), partition].items() for stage in self._wiring.stages}
            )
        if begins:
            self._context.say(f"{len(begins)} of {len(changelogs)} changelogs read over a snapshot")
        return task_groups

    def _check(
        self,
        task_group: TaskGroup,
        positions: Mapping[str, int],
        committed: Mapping[Place, int],
        earliest: Mapping[Place, int],
    ) -> None:
        """State and group must have the same offsets when it was this unit that wrote last. Raises StateMismatch."""
        fresh = all(task.place.no == 0 for task in task_group.tasks)
        own = all(task.place.unit == self._wiring.unit for task in task_group.tasks)
        for topic in self._wiring.outside:
            place = topic.name, task_group.partition
            at = committed.get(place, -1)
            if at < 0:
                continue  # none, or expired: then only the state's own offsets count
            here = positions.get(topic.name, earliest[place])
            if (own and at != here) or (fresh and at > earliest[place]):
                raise StateMismatch(
                    f"{self._slot_name}: {place[0]}/{place[1]}: the group stands at {at}, the restored state at "
                    f"{here}. The changelog is not the one this group wrote: was it deleted? Nothing was written."
                )

    def _backlog(self, task_group: TaskGroup) -> list[Message]:
        """Records on inner topics that their reader, in another unit then, has not applied yet."""
        behind = task_group.behind()
        if not behind:
            return []
        found: list[Message] = []
        starts = {}
        for name in behind:
            offsets = [task_group.tasks[i].place.offsets.get(name, 0) for i in self._wiring.readers[name]]
            starts[name, task_group.partition] = min(offsets)

        def take(fetched: Fetched) -> None:
            message = read_fetched(fetched, self._codec)
            message.offset, message.append_ns = IN_MEMORY, 0
            if message.record is not None:
                found.append(message)

        read_to_end(starts, take, self._context)
        self._context.say(f"{len(found)} records of {', '.join(behind)} taken over from an earlier deployment")
        return found

    def _epoch(self) -> EpochFacts:
        return EpochFacts(
            wall_ns=self._context.kafka.wall_ns(),
            commit=build_info.code(),
            lock_hash=build_info.lock_hash(),
            python=build_info.python(),
            config=recorded_config(self._wiring.stages),
            schemas=self._cluster_facts.schemas,
            cluster_id=self._cluster_facts.cluster_id,
        )


def _committed(consumer: Consumer, places: Sequence[Place]) -> dict[Place, int]:
    """The group's committed offsets, once no open transaction is about to change them; negative when there is none."""
    asked = consumer.committed([TopicPartition(*place) for place in places], timeout=ASK_TIMEOUT_S)
    return {(each.topic, each.partition): each.offset for each in asked}
