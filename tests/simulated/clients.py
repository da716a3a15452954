"""Kafka's clients as the worker uses them, on a simulated cluster: in place of ``runtime.kafka.clients.Kafka``.

What they raise, and with which flags, was looked up on a real broker; tests/broker/test_contract_of_kafka.py holds both
to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException

from tests.simulated.cluster import Cluster, Unanswered
from tests.simulated.consumer import SimConsumer
from tests.simulated.groups import Group
from tests.simulated.log import Refused
from tests.simulated.producer import SimProducer
from tests.simulated.world import Process

Settings = dict[str, Any]


class SimKafka:
    """A cluster as one process sees it."""

    bootstrap_servers: Final = "simulated:9092"

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self.cluster = cluster
        self.process = process

    def consumer(self, settings: Settings) -> SimConsumer:
        return SimConsumer(self.cluster, self.process, settings)

    def producer(self, settings: Settings) -> SimProducer:
        return SimProducer(self.cluster, self.process, settings)

    def admin(self) -> SimAdmin:
        return SimAdmin(self.cluster, self.process)

    def metadata(self, admin: SimAdmin, timeout_s: float) -> Any:
        return admin.list_topics(timeout_s)  # everybody is let in

    def aside(self) -> SimAside:
        return SimAside(self.cluster, self.process)

    def let_go(self, producer: SimProducer) -> None:
        producer.purge()

    def monotonic_ns(self) -> int:
        return self.cluster.world.now_ns

    def monotonic(self) -> float:
        return self.monotonic_ns() / 1e9

    def wall_ns(self) -> int:
        return self.cluster.wall_ns()

    def sleep(self, seconds: float) -> None:
        self.process.pause(seconds)


class SimAside:
    """Calls that may hang: here they are made in the caller's own turn."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster = cluster
        self._process = process

    def run(self, call: Callable[[], Any], timeout_s: float) -> bool:
        if self._cluster.strikes("hang", self._process):
            if self._cluster.world.chance.random() < 0.5:  # it was done, only the answer never comes
                with contextlib.suppress(KafkaException):
                    call()
            self._process.pause(timeout_s)
            return False
        call()
        return True


class SimAdmin:
    """What survey asks."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster = cluster
        self._process = process

    def list_topics(self, timeout: float = 60) -> Any:
        try:
            return self._cluster.ask(self._process, "metadata", self._cluster.metadata, timeout)
        except (Unanswered, Refused) as error:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "Failed to get metadata")) from error

    def describe_consumer_groups(self, names: list[str], request_timeout: float = 60) -> dict[str, Future]:
        found = {}
        for name in names:
            try:
                described = self._cluster.ask(
                    self._process,
                    "describe group",
                    lambda name=name: Described(self._cluster.groups[name]),  # type: ignore[misc]
                    request_timeout,
                )
                found[name] = Future(described, None)
            except (Unanswered, Refused):
                found[name] = Future(None, KafkaException(KafkaError(KafkaError._TIMED_OUT, "Failed to describe")))
        return found


_STATES: Final = {
    "empty": ConsumerGroupState.EMPTY,
    "preparing": ConsumerGroupState.PREPARING_REBALANCING,
    "completing": ConsumerGroupState.COMPLETING_REBALANCING,
    "stable": ConsumerGroupState.STABLE,
}


class Described:
    def __init__(self, group: Group) -> None:
        self.members = [Listed(instance) for instance in group.members]
        self.state = _STATES[group.state]


class Listed(NamedTuple):
    """A member of a group, as it is described."""

    group_instance_id: str


class Future:
    def __init__(self, value: Any, error: Exception | None) -> None:
        self._value = value
        self._error = error

    def result(self, timeout: float | None = None) -> Any:
        if self._error is not None:
            raise self._error
        return self._value
