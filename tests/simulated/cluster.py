"""The cluster as its clients meet it: requests travel, are lost, come late; answers are lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError

from tests.simulated.groups import Groups
from tests.simulated.log import Partition, Refused
from tests.simulated.transactions import Transactions
from tests.simulated.world import MS, Process, S, World

T = TypeVar("T")
WALL_NS: Final = 1_767_600_000_000_000_000
"""Wall time at the start: 2026-01-05 08:00 UTC."""


class Unanswered(Exception):
    """No answer within the time given: nobody knows whether the request was served."""


@dataclass
class Trouble:
    """How likely each fault is, by request or call. All zero: a quiet network."""

    lost: float = 0.0
    late: float = 0.0
    unanswered: float = 0.0
    abortable: float = 0.0
    indefinite: float = 0.0
    retriable: float = 0.0
    hang: float = 0.0
    moved: float = 0.0
    """The coordinator has moved: NOT_COORDINATOR, asked again."""
    slow_fetch: float = 0.0


class Cluster:
    """Topics, coordinators, and the network in front of them."""

    def __init__(self, world: World, topics: dict[str, int]) -> None:
        self.world = world
        self.trouble = Trouble()
        self.down_until_ns = 0
        self.topics = topics
        self.partitions = {(name, p): Partition(name, p) for name, count in topics.items() for p in range(count)}
        self.groups = Groups(world, lambda topic: self.topics[topic], self.up)
        self.transactions = Transactions(world, self.partitions, self.groups.settle, self.up)
        self.faults: dict[str, int] = {}
        """Kind of fault: how often it struck."""

    def up(self) -> bool:
        return self.world.now_ns >= self.down_until_ns

    def reachable(self, process: Process) -> bool:
        return self.up() and self.world.now_ns >= process.cut_off_until_ns

    def wall_ns(self) -> int:
        return WALL_NS + self.world.now_ns

    def append_ms(self) -> int:
        return self.wall_ns() // MS

    def strikes(self, kind: str, process: Process, what: str = "") -> bool:
        """Whether a fault of this kind strikes now."""
        likely: float = getattr(self.trouble, kind)
        if not likely or self.world.chance.random() >= likely:
            return False
        self.struck(kind, f"{process.name} {what}")
        return True

    def count(self, kind: str) -> None:
        """Something that faults bring about, and that is to have happened often."""
        self.faults[kind] = self.faults.get(kind, 0) + 1

    def struck(self, kind: str, what: str) -> None:
        self.faults[kind] = self.faults.get(kind, 0) + 1
        self.world.note(f"fault: {kind}: {what}")

    def ask(self, process: Process, what: str, serve: Callable[[], T], timeout_s: float, may_be_late: bool = False
            ) -> T:  # fmt: skip
        """A request and its answer. Raises Refused and Unanswered (after ``timeout_s`` or as a broken connection)."""
        world = self.world
        if self.strikes("lost", process, what) or not self.reachable(process):
            self._broken(process, timeout_s)
        if may_be_late and self.strikes("late", process, what):
            return self._ask_late(process, serve, timeout_s)
        process.pause(world.latency())
        if not self.reachable(process):
            self._broken(process, timeout_s)
        if self.strikes("moved", process, what):
            process.pause(world.latency())
            raise Refused(KafkaError.NOT_COORDINATOR)
        answer = serve()
        if self.strikes("unanswered", process, what):
            self._broken(process, timeout_s)
        process.pause(world.latency())
        return answer

    def _broken(self, process: Process, timeout_s: float) -> None:
        """The connection breaks at once, or nothing is heard at all."""
        process.pause(timeout_s if self.world.chance.random() < 0.3 else min(timeout_s, 0.02))
        raise Unanswered

    def _ask_late(self, process: Process, serve: Callable[[], T], timeout_s: float) -> T:
        """It arrives after a while, whatever has become of the process."""
        answers: list[T | Refused] = []

        def arrive() -> None:
            if not self.up():
                return
            try:
                answers.append(serve())
            except Refused as refused:
                answers.append(refused)
            process.wake()

        self.world.at(int(self.world.chance.random() ** 2 * 8 * S), arrive)
        process.pause(timeout_s)
        if not answers:
            raise Unanswered
        if isinstance(answers[0], Refused):
            raise answers[0]
        return answers[0]

    # ---------------------------------------------------------------- for the main thread

    def publish(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        self.partitions[topic, partition].append(key, value, self.append_ms())

    def metadata(self) -> Any:
        return Metadata("simulated", {name: TopicMetadata(dict.fromkeys(range(n))) for name, n in self.topics.items()})


@dataclass
class TopicMetadata:
    partitions: dict[int, None]


@dataclass
class Metadata:
    cluster_id: str
    topics: dict[str, TopicMetadata]
