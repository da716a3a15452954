"""librdkafka's transactional producer, as far as the worker can observe: states, errors and their flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.simulated.cluster import Cluster, Unanswered
from tests.simulated.log import Refused
from tests.simulated.transactions import Place
from tests.simulated.world import Process

_AGAIN: Final = (
    KafkaError.CONCURRENT_TRANSACTIONS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
_FENCED: Final = (KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
_REQUEST_S: Final = 5.0
_MAY_BE_LATE: Final = ("init", "produce", "commit offsets")
"""Requests that may arrive after their own repetition. Requests to the transaction coordinator are taken to arrive in
the order they were sent: it has no way to tell an old one from a new one, and no worker could defend itself."""
Rows = list[tuple[bytes | None, bytes | None]]


def error_of(code: int, text: str, *, fatal: bool = False, retriable: bool = False, abort: bool = False
             ) -> KafkaException:  # fmt: skip
    return KafkaException(KafkaError(code, text, fatal, retriable, abort))


class SimProducer:
    """One producer; what it has not sent dies with its process."""

    def __init__(self, cluster: Cluster, process: Process, settings: dict[str, Any]) -> None:
        self._cluster = cluster
        self._process = process
        self._name: str = settings["transactional.id"]
        self._timeout_ms: int = settings["transaction.timeout.ms"]
        self._pid = -1
        self._epoch = -1
        self._state = "new"  # new, ready, open, ending, failed (must be aborted), fatal
        self._error: KafkaException | None = None
        self._queue: dict[Place, Rows] = {}
        self._in_flight: dict[Place, Rows] = {}
        self._seqs: dict[Place, int] = {}
        self._added: set[Place] = set()
        self._touched = False

    # ---------------------------------------------------------------- life

    def init_transactions(self, timeout: float) -> None:
        deadline = self._now() + (2 * self._timeout_ms / 1000 if timeout < 0 else timeout)
        self._pid, self._epoch = self._until_answered(
            "init", lambda: self._cluster.transactions.init(self._name, self._timeout_ms), deadline
        )
        self._cluster.world.note(f"{self._process.name} producer {self._name}: epoch {self._epoch}")
        self._state = "ready"

    def begin_transaction(self) -> None:
        self._check()
        if self._state != "ready":
            raise error_of(KafkaError._STATE, f"begin in state {self._state}")
        self._state = "open"
        self._added.clear()
        self._touched = False

    def produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int) -> None:
        self._process.check()
        if self._state != "open":
            if self._state == "fatal":
                raise error_of(KafkaError._FATAL, "Unable to produce message: Local: Fatal error")
            raise error_of(KafkaError._STATE, f"produce in state {self._state}")
        self._queue.setdefault((topic, partition), []).append((key, value))
        if self._cluster.world.chance.random() < 0.02:  # the client's own thread has sent something meanwhile
            self._send(self._now() + 0.05)

    def poll(self, timeout: float) -> int:
        self._process.pause(timeout)
        self._raise_fatal()
        return 0

    def flush(self, timeout: float) -> int:
        """What is left. After an abortable error nothing is: it was thrown away, and the commit will say so."""
        if self._state == "open":
            self._send(self._now() + timeout)
        self._raise_fatal()
        return self._left()

    def purge(self) -> None:
        """Throw away what is not sent, and forget what is on its way."""
        self._queue.clear()
        self._in_flight.clear()

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], group: Any, timeout: float) -> None:
        self._check()
        name, instance, member_id, generation = group
        if self._strikes("abortable"):
            self._fail(error_of(KafkaError.ILLEGAL_GENERATION, "simulated", abort=True))
        if self._strikes("retriable"):
            raise error_of(KafkaError._TIMED_OUT, "Failed to add offsets", retriable=True)
        deadline = self._now() + timeout
        moved = {(each.topic, each.partition): each.offset for each in offsets}
        cluster, groups = self._cluster, self._cluster.groups
        self._until_answered(
            "add offsets", lambda: cluster.transactions.add(self._name, self._epoch, (), (name,)), deadline
        )
        self._touched = True

        def commit() -> None:
            cluster.transactions.verify(self._name, self._epoch, group=name)
            groups.commit_in_transaction(groups[name], self._pid, instance, member_id, generation, moved)

        self._until_answered("commit offsets", commit, deadline)

    def commit_transaction(self, timeout: float) -> None:
        self._check()
        if self._state not in ("open", "ending"):
            raise error_of(KafkaError._STATE, f"commit in state {self._state}")
        if self._state == "open":
            self._send(self._now() + self._timeout_ms / 1000)
            self._check()
            if self._left():
                self._fail(error_of(KafkaError._INCONSISTENT, "message(s) failed delivery", abort=True))
            if self._strikes("abortable"):
                self._fail(error_of(KafkaError.INVALID_TXN_STATE, "simulated", abort=True))
        self._state = "ending"
        self._end("commit")

    def abort_transaction(self, timeout: float) -> None:
        self._process.check()
        self._raise_fatal()
        if self._state not in ("open", "failed", "ending"):
            raise error_of(KafkaError._STATE, f"abort in state {self._state}")
        self.purge()
        self._state = "ending"
        self._error = None
        self._end("abort")

    # ---------------------------------------------------------------- inside

    def _end(self, result: str) -> None:
        if self._touched:
            cluster = self._cluster
            end: Callable[[], None] = lambda: cluster.transactions.end(self._name, self._epoch, result)  # noqa: E731
            if self._strikes("indefinite"):
                self._end_somehow(result, end)
            # It waits for an answer for as long as it takes.
            self._until_answered(result, end, float("inf"))
        self._cluster.world.note(f"{self._process.name} producer {self._name}: {result} done")
        self._state = "ready"

    def _end_somehow(self, result: str, end: Callable[[], None]) -> None:
        """The request is applied now, late, or never; the caller is told nothing of use."""
        world, chance = self._cluster.world, self._cluster.world.chance
        fate = chance.choice(("applied", "late", "not"))
        world.note(f"{self._process.name} {result}: {fate}")

        def arrive() -> None:
            try:
                end()
            except Refused as refused:
                world.note(f"late {result} of {self._name} refused: {refused.code}")

        if fate == "applied":
            arrive()
        elif fate == "late":
            world.at(int(chance.random() ** 2 * 8e9), arrive)
        self._process.pause(chance.choice((0.01, 1.0, 5.0)))
        # To call again is to go on waiting for the same request: so not while it may still be on its way.
        if fate != "late" and chance.random() < 0.5:
            raise error_of(KafkaError._TIMED_OUT, "Timed out waiting for operation to finish", retriable=True)
        self._state = "failed"
        raise error_of(KafkaError._TRANSPORT, "outcome unknown")

    def _send(self, deadline: float) -> None:
        """The queue goes to the broker, partition by partition."""
        cluster, world = self._cluster, self._cluster.world
        new = [place for place in self._queue if place not in self._added]
        try:
            if new:
                self._until_answered(
                    "add partitions", lambda: cluster.transactions.add(self._name, self._epoch, new), deadline
                )
                self._added.update(new)
                self._touched = True
            places = sorted({*self._queue, *self._in_flight})
            world.chance.shuffle(places)
            for place in places:
                if self._strikes("abortable"):
                    self._fail(error_of(KafkaError._MSG_TIMED_OUT, "simulated", abort=True))
                while place in self._in_flight or place in self._queue:
                    self._send_batch(place, deadline)
        except KafkaException:
            pass  # not told here: the state says it, or what is left over

    def _send_batch(self, place: Place, deadline: float) -> None:
        """A batch stays what it is until it is answered, however often it is sent."""
        cluster = self._cluster
        if place not in self._in_flight:
            self._in_flight[place] = self._queue.pop(place)
        rows, seq = self._in_flight[place], self._seqs.get(place, 0)

        def append() -> None:
            cluster.transactions.verify(self._name, self._epoch, place)
            cluster.partitions[place].append_in_transaction(self._pid, self._epoch, seq, rows, cluster.append_ms())

        self._until_answered("produce", append, deadline)
        self._seqs[place] = seq + len(rows)
        del self._in_flight[place]

    def _until_answered(self, what: str, serve: Callable[[], Any], deadline: float) -> Any:
        """A request, again and again until it is answered. Raises KafkaException."""
        while True:
            try:
                left = deadline - self._now()
                timeout_s = max(0.0, min(left, _REQUEST_S))
                return self._cluster.ask(self._process, f"{self._name} {what}", serve, timeout_s, what in _MAY_BE_LATE)
            except Unanswered:
                pass
            except Refused as refused:
                if refused.code in _FENCED:
                    self._state = "fatal"
                    self._error = error_of(KafkaError._FENCED, f"{what}: fenced by a newer instance", fatal=True)
                    raise self._error from refused
                if refused.code not in _AGAIN:
                    self._fail(error_of(refused.code, f"{what}: refused", abort=True))
            if self._now() >= deadline:
                raise error_of(KafkaError._TIMED_OUT, f"{what}: timed out", retriable=True)
            self._process.pause(0.002 + 0.02 * self._cluster.world.chance.random())

    def _fail(self, error: KafkaException) -> None:
        self._state = "failed"
        self._error = error
        self.purge()
        raise error

    def _left(self) -> int:
        return sum(map(len, self._queue.values())) + sum(map(len, self._in_flight.values()))

    def _check(self) -> None:
        self._process.check()
        if self._error is not None:
            raise self._error

    def _raise_fatal(self) -> None:
        if self._state == "fatal" and self._error is not None:
            raise self._error

    def _strikes(self, kind: str) -> bool:
        return self._cluster.strikes(kind, self._process, self._name)

    def _now(self) -> float:
        return self._cluster.world.now_ns / 1e9
