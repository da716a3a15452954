"""librdkafka's consumer, as far as the worker can observe: one queue of records, ends of partitions and rebalances.

Callbacks run inside ``poll`` and ``consume``, in their place in the queue: so a rebalance may come inside ``consume``
after ``poll`` has returned a record of the old assignment. Records of an assignment that is no more are thrown away
when they are met in the queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    TopicPartition,
)

from tests.simulated.cluster import Cluster, Unanswered
from tests.simulated.groups import Joined
from tests.simulated.log import Refused
from tests.simulated.producer import error_of
from tests.simulated.transactions import Place
from tests.simulated.world import MS, Process, S

HEARTBEAT_MS: Final = 3000
Callback = Callable[[Any, list[TopicPartition]], None]


class SimMessage:
    """A fetched record, or an event of its partition."""

    __slots__ = ("_append_ms", "_error", "_key", "_offset", "_place", "_value", "version")

    def __init__(self, place: Place | None, offset: int | None, key: bytes | None = None, value: bytes | None = None,
                 append_ms: int = 0, error: KafkaError | None = None, version: int = 0) -> None:  # fmt: skip
        self._place = place
        self._offset = offset
        self._key = key
        self._value = value
        self._append_ms = append_ms
        self._error = error
        self.version = version

    def topic(self) -> str | None:
        return None if self._place is None else self._place[0]

    def partition(self) -> int | None:
        return None if self._place is None else self._place[1]

    def offset(self) -> int | None:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, self._append_ms

    def error(self) -> KafkaError | None:
        return self._error


class Rebalance(NamedTuple):
    """A callback that waits in the queue. ``kind``: assign, revoke, lost."""

    kind: str
    places: list[Place]


class Reading:
    """A partition that is read."""

    __slots__ = ("not_before_ns", "paused", "position", "told_end")

    def __init__(self, position: int) -> None:
        self.position = position
        self.paused = False
        self.told_end = -1
        self.not_before_ns = 0


class SimConsumer:
    """One consumer, in a group or with partitions of its own choice."""

    def __init__(self, cluster: Cluster, process: Process, settings: dict[str, Any]) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._process = process
        self._group_name: str = settings["group.id"]
        self._instance: str = settings.get("group.instance.id", "")
        self._session_ms: int = settings.get("session.timeout.ms", 45_000)
        self._heartbeat_ms: int = settings.get("heartbeat.interval.ms", HEARTBEAT_MS)
        self._committed_only = settings.get("isolation.level", "read_committed") == "read_committed"
        self._tell_ends: bool = settings.get("enable.partition.eof", False)
        self._on_error: Callable[[KafkaError], None] = settings.get("error_cb", lambda error: None)
        self._queue: deque[SimMessage | Rebalance] = deque()
        self._reading: dict[Place, Reading] = {}
        self._version = 0
        self._topics: list[str] = []
        self._callbacks: dict[str, Callback] = {}
        self._member_id = ""
        self._generation = -1
        self._owned: list[Place] | None = None
        """The group's assignment, once the application has been told."""
        self._moving = False
        """A rebalance is on its way to the application, or a join to the coordinator."""
        self._fenced = False
        self._closed = False
        self._down_told_ns = -S
        if not self._instance:
            process.restoring += 1

    # ---------------------------------------------------------------- reading

    def poll(self, timeout: float) -> SimMessage | None:
        self._process.check()
        self._process.pause(0.00005)
        found = self._take(1, timeout)
        return found[0] if found else None

    def consume(self, count: int, timeout: float) -> list[SimMessage]:
        self._process.check()
        version = self._version
        found = self._take(count, timeout)
        if version != self._version:
            self._cluster.count("rebalance in consume")
        return [each for each in found if each.version in (self._version, -1)]

    def _take(self, count: int, timeout: float) -> list[SimMessage]:
        deadline_ns = self._world.now_ns + int(timeout * S)
        found: list[SimMessage] = []
        while True:
            self._fetch()
            while self._queue and len(found) < count:
                item = self._queue.popleft()
                if isinstance(item, Rebalance):
                    self._call_back(item)
                elif item.version in (self._version, -1):
                    found.append(item)
            left_ns = deadline_ns - self._world.now_ns
            if left_ns <= 0 or (found and count == 1):
                return found
            if found and count > 1 and self._world.chance.random() < 0.5:
                return found  # the real one waits for all or all of the time; what callers rely on is the same
            self._process.pause(min(left_ns, self._soonest_ns()) / S)

    def _soonest_ns(self) -> int:
        """How long until there may be something to fetch."""
        now_ns = self._world.now_ns
        waits = [each.not_before_ns - now_ns for each in self._reading.values() if not each.paused]
        return max(MS, min([each for each in waits if each > 0], default=100 * MS))

    def _fetch(self) -> None:
        if not self._reading:
            return
        if not self._cluster.reachable(self._process):
            if self._world.now_ns - self._down_told_ns > S:
                self._down_told_ns = self._world.now_ns
                self._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
            return
        chance, now_ns = self._world.chance, self._world.now_ns
        for place, reading in self._reading.items():
            if reading.paused or reading.not_before_ns > now_ns:
                continue
            slow = self._cluster.trouble.slow_fetch and chance.random() < self._cluster.trouble.slow_fetch
            reading.not_before_ns = now_ns + int((chance.random() * 400 if slow else 1 + chance.random() * 4) * MS)
            if slow:
                continue
            log = self._cluster.partitions[place]
            if reading.told_end == (log.stable_end if self._committed_only else log.end) == reading.position:
                reading.not_before_ns = now_ns + int((10 + chance.random() * 50) * MS)  # the broker waits for more
                continue
            try:
                stored, reading.position, end = log.fetch(
                    reading.position, chance.choice((1, 2, 5, 50)), self._committed_only
                )
            except Refused as refused:
                error = KafkaError(KafkaError._AUTO_OFFSET_RESET, f"offset out of range ({refused.code})")
                self._queue.append(SimMessage(place, reading.position, error=error, version=self._version))
                reading.not_before_ns = now_ns + 10 * S
                continue
            for each in stored:
                self._queue.append(
                    SimMessage(place, each.offset, each.key, each.value, each.append_ms, None, self._version)
                )
            if self._tell_ends and reading.position >= end and reading.told_end != end:
                reading.told_end = end
                eof = KafkaError(KafkaError._PARTITION_EOF, "No more messages")
                self._queue.append(SimMessage(place, reading.position, error=eof, version=self._version))

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._process.check()
        self._version += 1
        self._reading = {}
        for each in partitions:
            start = self._cluster.partitions[each.topic, each.partition].start
            at = start if each.offset in (OFFSET_BEGINNING, OFFSET_INVALID) else each.offset
            self._reading[each.topic, each.partition] = Reading(at)

    def unassign(self) -> None:
        self._process.check()
        self._version += 1
        self._reading = {}
        if self._owned is not None and self._moving:
            self._owned = None
            self._join_soon()

    def pause(self, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            self._reading[each.topic, each.partition].paused = True

    def resume(self, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            self._reading[each.topic, each.partition].paused = False

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        return [
            TopicPartition(each.topic, each.partition, self._reading[each.topic, each.partition].position)
            for each in partitions
        ]

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float, cached: bool) -> tuple[int, int]:
        log = self._cluster.partitions[partition.topic, partition.partition]
        try:
            return self._cluster.ask(
                self._process,
                "list offsets",
                lambda: (log.start, log.stable_end if self._committed_only else log.end),
                timeout,
            )
        except (Unanswered, Refused) as error:
            raise error_of(KafkaError._TRANSPORT, "Failed to get watermark offsets") from error

    # ---------------------------------------------------------------- offsets

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Waits for offsets that are on their way in a transaction. Raises KafkaException (_TIMED_OUT)."""
        deadline_ns = self._world.now_ns + int(timeout * S)
        group = self._cluster.groups[self._group_name]
        places = [(each.topic, each.partition) for each in partitions]

        def answer() -> dict[Place, int]:
            if self._committed_only:
                return self._cluster.groups.stable_offsets(group, places)
            return {place: group.offsets[place] for place in places if place in group.offsets}

        while True:
            left = (deadline_ns - self._world.now_ns) / S
            if left <= 0:
                raise error_of(KafkaError._TIMED_OUT, "Failed to get committed offsets: Local: Timed out")
            try:
                found = self._cluster.ask(self._process, "committed", answer, left)
                return [TopicPartition(*place, found.get(place, OFFSET_INVALID)) for place in places]
            except (Unanswered, Refused):
                self._process.pause(min(0.1, max(left, 0)))

    def consumer_group_metadata(self) -> tuple[str, str, str, int]:
        return self._group_name, self._instance, self._member_id, self._generation

    # ---------------------------------------------------------------- the group

    def subscribe(self, topics: list[str], on_assign: Callback, on_revoke: Callback, on_lost: Callback) -> None:
        self._topics = topics
        self._callbacks = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost}
        self._moving = True
        self._join_soon()
        self._beat_soon()

    def close(self) -> None:
        """A static member says no goodbye: it stays in the group until its session is over."""
        if self._closed or self._process.killed:
            return
        self._closed = True
        if not self._instance:
            self._process.restoring -= 1
        if self._owned is not None:
            self._call_back(Rebalance("lost" if self._fenced else "revoke", self._owned))
        self._reading = {}

    def _call_back(self, rebalance: Rebalance) -> None:
        self._world.note(f"{self._process.name} {self._group_name}: {rebalance.kind} {rebalance.places}")
        if rebalance.kind == "assign":
            self._owned = rebalance.places
            self._moving = False
        self._callbacks[rebalance.kind](self, [TopicPartition(*place) for place in rebalance.places])

    def _in_background(self, delay_ns: int, action: Callable[[], None]) -> None:
        def act() -> None:
            if not self._closed and not self._fenced:
                action()

        self._process.when_awake(delay_ns, act)

    def _latency_ns(self) -> int:
        return int(self._world.latency() * S)

    def _join_soon(self) -> None:
        def send() -> None:
            if not self._cluster.reachable(self._process):
                self._in_background(200 * MS, send)
                return
            group = self._cluster.groups[self._group_name]
            self._cluster.groups.join(
                group, self._instance, self._member_id, self._topics, self._session_ms, self._on_join_answer
            )

        self._in_background(self._latency_ns(), send)

    def _on_join_answer(self, answer: Refused | Joined) -> None:
        def take() -> None:
            if isinstance(answer, Refused):
                if answer.code == KafkaError.FENCED_INSTANCE_ID:
                    self._fence()
                    return
                self._member_id, self._generation = "", -1
                self._join_soon()
                return
            self._member_id, self._generation = answer.member_id, answer.generation
            self._queue.append(Rebalance("assign", answer.places))

        self._in_background(self._latency_ns(), take)

    def _beat_soon(self) -> None:
        def beat() -> None:
            self._beat_soon()
            if not self._member_id or not self._cluster.reachable(self._process):
                return
            group = self._cluster.groups[self._group_name]
            try:
                self._cluster.groups.heartbeat(group, self._instance, self._member_id, self._generation)
            except Refused as refused:
                if self._moving:
                    return  # it beats on while the application has not been told, and while it waits in a join
                if refused.code == KafkaError.FENCED_INSTANCE_ID:
                    self._fence()
                    return
                self._moving = True
                lost = refused.code != KafkaError.REBALANCE_IN_PROGRESS
                if lost:
                    self._member_id = ""
                assert self._owned is not None
                self._fetch()  # what it has fetched meanwhile stands before it in the queue
                if self._process.restoring:
                    self._cluster.count("rebalance in restore")
                self._queue.append(Rebalance("lost" if lost else "revoke", self._owned))

        self._in_background(self._heartbeat_ms * MS, beat)

    def _fence(self) -> None:
        """Another process has joined under this name: the client is of no use any more, and says so once."""
        self._fenced = True
        self._world.note(f"{self._process.name} {self._group_name}: fenced")
        error = KafkaError(KafkaError._FATAL, "Fatal error: Broker: Static consumer fenced by other consumer")
        self._queue.append(SimMessage(None, None, error=error, version=-1))
