"""The Kafka worker of a unit: gather, merge, apply, and one transaction for outputs, state, journal and offsets.

    gather   poll for the first record, consume for the rest; dropped when the assignment changed meanwhile
    apply    what the merge lets go, in memory; no transaction is open, so none can be torn by a rebalance
    commit   begin · produce outputs, journal, changelog with _meta · flush · send offsets · commit
    restore  after an assignment, an abort or an indefinite outcome: state is dropped and restored, reading
             starts at the offsets that the state names

A record counts when its transaction is committed, together with everything it caused; never before, never twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Fetched
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from pipeline.errors import PipelineError, PlatformError, WrongUse
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.kafka.client_settings import REFUSING
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker.assignment import Assigner
from pipeline.runtime.worker.context import Stopping, WorkerContext
from pipeline.runtime.worker.exclusivity import SESSION_S, Rivals, refuse_if_elsewhere, refuse_if_replaced
from pipeline.runtime.worker.merge import Merge, rank_of
from pipeline.runtime.worker.observer import Event, Observer, sight_of
from pipeline.runtime.worker.preflight import inspect_cluster
from pipeline.runtime.worker.restore import ASK_TIMEOUT_S, NotRestored, Place
from pipeline.runtime.worker.snapshots import SavedTask, Snapshots
from pipeline.runtime.worker.task import SequenceGap, StateMismatch
from pipeline.runtime.worker.task_group import Poisoned, TaskGroup, read_fetched
from pipeline.runtime.worker.transaction import MIGRATION_TIMEOUT_S, Aborted, Indefinite, Row, Transactions
from pipeline.runtime.worker.wiring import AnyStage, Wiring
from pipeline.topics import changelog_of

GATHER_MAX: Final = 2000
"""Records fetched at once."""
APPLY_MAX: Final = 2000
"""Outside records in one transaction."""
OUTPUTS_MAX: Final = 20_000
"""Outputs after which a transaction is ended, so that it stays far from the broker's timeout."""
LOADED: Final = 256
"""A transaction of at least so many records means that the worker is under load; see COMMIT_EVERY_S."""
FETCH_BYTES: Final = 32_768
"""The broker answers a fetch at once when it has this much: half of max.partition.fetch.bytes."""
FETCH_MS: Final = 2
FETCH_MS_MOST: Final = 25
"""Otherwise it answers after FETCH_MS for each partition, at most FETCH_MS_MOST."""
COMMIT_EVERY_S: Final = 0.030
"""Under load, at least this long between commits: as fast as possible, 10,000 a second cost the broker a whole core."""
_FENCED: Final = (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)
PAUSE_AT: Final = 4000
RESUME_AT: Final = 500
"""Buffered records of an input above which it is paused, and below which it is fetched again."""


@dataclass(frozen=True)
class Deployment:
    """What a worker needs to know of its cluster and machine."""

    kafka: Kafka
    state_dir: Path
    """For lock files of slots, and snapshots."""
    flow: tuple[AnyStage, ...]
    """All stages, in flow order."""
    units: Mapping[str, tuple[str, ...]]
    """Every unit that may run on this cluster, with its stages' names: no stage may run in two of them at once."""
    snapshots: bool = False
    """Whether tasks are saved in ``state_dir`` at the start of a day, for shorter restores."""
    session_s: float = SESSION_S
    """Session timeout of the consumer groups, in seconds."""


class _Fenced(Exception):
    """The client library has given up our group membership: this consumer fetches nothing any more."""


class Worker:
    """One process's share of unit ``name``. :meth:`run` returns after :meth:`stop` (from a signal handler)."""

    def __init__(
        self,
        name: str,
        stages: Sequence[AnyStage],
        deployment: Deployment,
        codec: Codec,
        slot_name: str,
        say: Callable[[str], None] = print,
        observer: Observer | None = None,
    ) -> None:
        self.name = name
        self.wiring = Wiring(name, stages, deployment.flow)
        self.partitions = 0
        self._assigner: Assigner
        self._rivals: Rivals
        self._snapshots: Snapshots
        self._deployment = deployment
        self._codec = codec
        self._slot_name = slot_name
        self._kafka = deployment.kafka
        self._context = WorkerContext(slot_name, say, self._kafka, observer)
        self._observer = self._context.observer
        self._admin = self._kafka.admin()
        self._transactions = Transactions(slot_name, self._context)
        self._topics: set[str] = set()
        self._assignment: list[Place] = []
        self._assignment_epoch = 0
        self._restore_needed = False
        self._restored_before = False
        self._fenced = ""
        self._task_groups: dict[int, TaskGroup] = {}
        self._kept: dict[int, TaskGroup] = {}
        self._merges: dict[int, Merge[Fetched]] = {}
        self._earliest: dict[Place, int] = {}
        self._sent: dict[Place, int] = {}
        self._eofs: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._last_commit = 0.0
        self.committed = 0
        """Outside records committed since the start."""

    # ------------------------------------------------------------------ life

    def stop(self) -> None:
        """Finish the batch in hand and return from :meth:`run`."""
        self._context.stopping = True

    @property
    def alive_at(self) -> float:
        """When the loop last moved (monotonic seconds); for a watchdog."""
        return self._context.alive_at

    @property
    def hanging(self) -> bool:
        """Whether a call to the broker hangs in a thread: the process must be ended without waiting for it."""
        return self._transactions.abandoned > 0

    def run(self) -> None:
        """Work until :meth:`stop`. Raises PipelineError for what needs a person: Poisoned, SequenceGap …"""
        try:
            cluster_facts = inspect_cluster(self._admin, self.wiring, self._codec, self._context)
            self.partitions = cluster_facts.partitions
            self._topics.update(cluster_facts.topics)
            refuse_if_elsewhere(self._admin, self.wiring, self._deployment.units, self._context)
            self._rivals = Rivals(self._admin, self.wiring, self._deployment.units, self._context)
            folder = self._deployment.state_dir if self._deployment.snapshots else None
            self._snapshots = Snapshots(folder, cluster_facts.cluster_id, cluster_facts.partitions, self._context)
            self._assigner = Assigner(
                self.wiring, cluster_facts, self._codec, self._slot_name, self._context, self._snapshots
            )
            self._transactions.open()
            self._context.say(
                f"started on cluster {cluster_facts.cluster_id}, {cluster_facts.partitions} partitions",
                Event.STARTED,
                cluster=cluster_facts.cluster_id,
                partitions_of_topics=cluster_facts.partitions,
            )
            while not self._context.stopping:
                self._be_member()
        except Stopping:
            pass
        finally:
            self._transactions.close()

    def _be_member(self) -> None:
        """Join the group and work until :meth:`stop`, or until the membership is lost.

        Raises PipelineError when another process has taken the slot; otherwise returns, to join again.
        """
        consumer = self._consumer()
        try:
            consumer.subscribe(
                [topic.name for topic in self.wiring.outside],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
            self._loop(consumer)
            return
        except _Fenced as error:
            text = f"fenced ({error}); looking whether another process has taken this slot"
            self._context.say(text, Event.FENCED)
        finally:
            consumer.close()
        self._fenced = ""
        self._assignment = []
        self._drop()
        refuse_if_replaced(self.name, self._slot_name, self._deployment.session_s, self._context)

    def _loop(self, consumer: Consumer) -> None:
        while not self._context.stopping:
            self._context.alive()
            if self._fenced:
                raise _Fenced(self._fenced)
            if self._restore_needed:
                try:
                    self._prepare(consumer)
                except (NotRestored, KafkaException, PlatformError) as error:
                    self._drop()
                    self._context.say_now_and_then(f"waiting, to restore state: {error}")
                    self._context.rest(0.5)
            self._gather(consumer)
            try:
                self._apply()
            except (Poisoned, SequenceGap) as error:
                if not self._overtaken(consumer):
                    raise
                self._drop()
                self._context.say(f"dropped, for another worker has gone on from here meanwhile: {error}")
                self._context.rest(0.5)
                continue
            except PlatformError as error:
                # The schema registry does not answer: drop what is half applied, and do it again when it answers.
                self._context.say_now_and_then(f"{error} Waiting; nothing is lost.")
                self._drop()
                self._context.rest(1.0)
                continue
            self._commit_when_due(consumer)
            if not any(task_group.touched for task_group in self._task_groups.values()):
                self._snapshots.go_on()
            if self._observer.wants_sight(self._context.alive_at):
                self._observer.saw(
                    sight_of(consumer, self._task_groups, self._merges, self._paused, self._sent, self._eofs)
                )
        self._context.say("told to stop: the batch in hand is finished", Event.STOPPING)
        if not self._restore_needed:
            self._commit(consumer)

    def _consumer(self) -> Consumer:
        return self._kafka.consumer(
            {
                "group.id": self.name,
                "group.instance.id": self._slot_name,
                "client.id": self._slot_name,
                "partition.assignment.strategy": "range",
                "session.timeout.ms": int(self._deployment.session_s * 1000),
                "heartbeat.interval.ms": int(self._deployment.session_s * 300),
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "queued.min.messages": 2000,
                "queued.max.messages.kbytes": 16_384,
                "max.partition.fetch.bytes": 65_536,
                # A small queue with the default backoff of a second stalls.
                "fetch.queue.backoff.ms": 5,
                # Every fetch names every partition, and the broker looks at each: answering for each single record
                # would cost it more than the records do (six times the latency at 12 partitions). So answers are
                # spaced, more widely the more partitions there are; not too widely, because the end of an input is
                # reported with an answer too, and ticks wait for that.
                "fetch.min.bytes": FETCH_BYTES,
                "fetch.wait.max.ms": min(FETCH_MS * self.partitions, FETCH_MS_MOST),
                "error_cb": self._on_error,
            }
        )

    # ------------------------------------------------------------------ callbacks (inside poll and consume)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assignment_epoch += 1
        self._assignment = [(each.topic, each.partition) for each in partitions]
        self._drop()
        consumer.assign([])  # the real one follows in `_prepare`, with offsets
        self._say_partitions(Event.ASSIGNED, partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._say_partitions(Event.REVOKED, partitions)
        # Committed state may still be the latest when the partition comes back: `Assigner.prepare` checks that.
        kept = {partition: task_group for partition, task_group in self._task_groups.items() if not task_group.touched}
        self._forget(consumer)
        self._kept = kept

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._say_partitions(Event.LOST, partitions)
        self._forget(consumer)
        self._kept = {}

    def _forget(self, consumer: Consumer) -> None:
        self._assignment_epoch += 1
        self._assignment = []
        self._drop()
        consumer.unassign()

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in REFUSING:
            # At the start this ends the worker (`inspect_cluster`). Later it may pass: a broker that comes back may
            # know its users only a moment after it answers.
            self._context.say_now_and_then(f"{self._kafka.refused} Waiting; nothing is lost")
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            address = self._kafka.bootstrap_servers
            self._context.say_now_and_then(f"Kafka does not answer at {address}; waiting, nothing is lost")
        elif error.fatal():
            self._fenced = error.str()

    def _drop(self) -> None:
        """Forget all that is not committed; :meth:`_prepare` restores the committed state."""
        self._task_groups.clear()
        self._merges.clear()
        self._paused.clear()
        self._snapshots.drop()
        self._sent.clear()
        self._eofs.clear()
        self._restore_needed = True
        self._observer.dropped()

    def _say_partitions(self, event: Event, places: list[TopicPartition]) -> None:
        partitions = sorted({place.partition for place in places})
        self._context.say(f"{event}: partitions {partitions}", event, partitions=partitions)

    # ------------------------------------------------------------------ restoring after an assignment

    def _prepare(self, consumer: Consumer) -> None:
        self._drop()
        self._restore_needed = False
        partitions = self._own_partitions()
        if not partitions:
            return
        kept, self._kept = self._kept, {}
        if self._restored_before:
            # The producer may still use a transaction coordinator that has moved: take a new one.
            self._transactions.open()
        self._restored_before = True
        self._rivals.check(joined=True)
        began = self._kafka.monotonic()
        prepared = self._assigner.prepare(consumer, partitions, kept)
        self._task_groups = prepared.task_groups
        self._earliest = prepared.earliest
        for partition in partitions:
            self._merges[partition] = Merge((t.name, rank_of(t, self.wiring.owned)) for t in self.wiring.outside)
        self._sent = dict.fromkeys(prepared.earliest, -1)
        assign = [TopicPartition(*place, offset) for place, offset in prepared.starts.items()]
        consumer.assign(assign)
        consumer.resume(assign)  # the client keeps partitions paused across assignments
        if prepared.migrated:
            self._transactions.open(MIGRATION_TIMEOUT_S)
            self._commit(consumer)
            self._transactions.open()
        else:
            self._commit(consumer)
        if not self._restore_needed:
            seconds = self._kafka.monotonic() - began
            self._context.say(f"ready, on partitions {partitions}", Event.READY, partitions=partitions, seconds=seconds)

    def _own_partitions(self) -> list[int]:
        sets = {topic.name: {p for name, p in self._assignment if name == topic.name} for topic in self.wiring.outside}
        first = next(iter(sets.values()))
        if any(each != first for each in sets.values()):
            raise WrongUse(f"{self._slot_name}: different partitions were assigned on the topics of one unit: {sets}")
        return sorted(first)

    # ------------------------------------------------------------------ the loop's three parts

    def _gather(self, consumer: Consumer) -> None:
        waiting = any(task_group.touched for task_group in self._task_groups.values())
        held = any(merge.buffered for merge in self._merges.values())
        epoch = self._assignment_epoch
        first = consumer.poll(0.001 if waiting else 0.003 if held else 0.1)
        if first is None:
            self._keep_memory_flat(consumer)  # also here: with all inputs paused nothing is fetched, ever
            return
        fetched = [first, *consumer.consume(GATHER_MAX - 1, 0)]
        for message in fetched:  # first, since a fatal error is reported only once and must not be dropped below
            error = message.error()
            if error is not None and (error.fatal() or error.code() in _FENCED):
                raise _Fenced(error.str())
        if epoch != self._assignment_epoch or self._restore_needed:
            return  # these records are of an assignment that has ended
        now_ns = self._kafka.monotonic_ns()
        for message in fetched:
            error = message.error()
            name, partition = str(message.topic()), int(message.partition() or 0)
            merge = self._merges.get(partition)
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._eofs[name, partition] = int(message.offset() or 0)
                self._on_fetch_error(error, name, partition, merge, now_ns)
            elif merge is not None:
                merge.push(name, message.timestamp()[1] * 1_000_000, message)
        self._keep_memory_flat(consumer)

    def _on_fetch_error(
        self, error: KafkaError, name: str, partition: int, merge: Merge[Fetched] | None, now_ns: int
    ) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            if merge is not None:
                merge.at_end(name, now_ns)
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise StateMismatch(
                f"{self._slot_name}: {name}/{partition}: {error.str()}: the log does not reach back to our place"
            )
        elif error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            raise WrongUse(f"{self._slot_name}: topic {name} is gone")
        # Any other error is temporary: the client tries again by itself.

    def _keep_memory_flat(self, consumer: Consumer) -> None:
        """Pause inputs that come faster than they are merged; the other inputs go on."""
        for partition, merge in self._merges.items():
            for name in merge.names():
                place, size = (name, partition), merge.size(name)
                if size > PAUSE_AT and place not in self._paused:
                    consumer.pause([TopicPartition(*place)])
                    self._paused.add(place)
                    text = f"{name}/{partition} comes faster than it is merged: not fetched until it has shrunk"
                    self._context.say_now_and_then(text, Event.PAUSED, 60.0, topic=name, partition=partition)
        for place in [p for p in self._paused if self._merges[p[1]].size(p[0]) < RESUME_AT]:
            consumer.resume([TopicPartition(*place)])
            self._paused.discard(place)

    def _apply(self) -> None:
        now_ns = self._kafka.monotonic_ns()
        for partition, task_group in self._task_groups.items():
            merge = self._merges[partition]
            while task_group.applied < APPLY_MAX and task_group.pending < OUTPUTS_MAX:
                fetched = merge.pop(now_ns)
                if fetched is None:
                    break
                task_group.apply(read_fetched(fetched, self._codec))

    def _overtaken(self, consumer: Consumer) -> bool:
        """Whether another worker has committed on our partitions since: then our state is old, and an error in applying
        a record to it means nothing.

        Also True when the broker does not answer: a record that cannot be applied is met again after the restore.
        """
        mine = {place: offset for place, offset in self._sent.items() if offset >= 0}
        try:
            found = consumer.committed([TopicPartition(*place) for place in mine], timeout=ASK_TIMEOUT_S)
        except KafkaException:
            return True
        return any(each.offset != mine[each.topic, each.partition] for each in found)

    def _commit_when_due(self, consumer: Consumer) -> None:
        applied = sum(task_group.applied for task_group in self._task_groups.values())
        if not applied:
            return
        full = any(
            task_group.applied >= APPLY_MAX or task_group.pending >= OUTPUTS_MAX
            for task_group in self._task_groups.values()
        )
        if full or applied < LOADED or self._kafka.monotonic() - self._last_commit >= COMMIT_EVERY_S:
            self._commit(consumer)

    def _commit(self, consumer: Consumer) -> None:
        touched = [task_group for task_group in self._task_groups.values() if task_group.touched]
        if not touched:
            return
        rows: list[Row] = []
        offsets: dict[Place, int] = {}
        applied = sum(task_group.applied for task_group in touched)
        day_began = False
        for task_group in touched:
            closed = task_group.close()
            day_began = day_began or closed.day_began
            for output in closed.outputs:
                if output.topic.per_source and output.name not in self._topics:
                    self._create(output.name)
                rows.append((output.name, output.partition, output.key, output.value))
            for stage, records in closed.changelog.items():
                changelog = changelog_of(stage)
                rows.extend((changelog, task_group.partition, key, value) for key, value in records)
            for topic in self.wiring.outside:
                place = topic.name, task_group.partition
                offset = closed.positions.get(topic.name, self._earliest[place])
                if offset != self._sent[place]:
                    offsets[place] = offset
            if not offsets:  # a transaction without offsets would not be fenced by the group, so there is always one
                place = self.wiring.outside[0].name, task_group.partition
                offsets[place] = self._sent[place]
        began = self._kafka.monotonic()
        try:
            self._transactions.write(
                rows,
                [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()],
                consumer.consumer_group_metadata(),
                self._snapshots.on_meta if self._snapshots.wants_offsets else None,
            )
        except Aborted as error:
            self._drop()
            self._context.say(f"transaction taken back ({error}); its records are read again", error.event)
            if error.slot_taken:  # going on, our producer and our successor's would fence each other in turn
                raise _Fenced(str(error)) from error
            return
        except Indefinite as error:
            self._drop()
            self._context.say(f"outcome of a transaction unknown ({error}); a new producer settles it", error.event)
            return
        self._sent.update(offsets)
        self._snapshots.committed()
        if day_began:
            self._snapshots.begin(
                SavedTask(task.stage.name, task.stage.state_version, task_group.partition, task.state)
                for task_group in self._task_groups.values()
                for task in task_group.tasks
            )
        self.committed += applied
        self._last_commit = self._kafka.monotonic()
        self._observer.committed(applied, rows, self._last_commit - began)

    def _create(self, name: str) -> None:
        """A source's own topic, when it has none yet."""
        created = self._admin.create_topics([NewTopic(name, self.partitions, config={"retention.ms": "-1"})])
        try:
            created[name].result(ASK_TIMEOUT_S)
            self._context.rest(0.2)  # until the producer's metadata has it
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise PipelineError(
                    f"{self._slot_name}: topic {name} cannot be created: {error.args[0].str()}"
                ) from error
        self._topics.add(name)
