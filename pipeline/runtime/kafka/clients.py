"""All that a worker asks of the world outside itself: Kafka's clients, the time, a call that may never come back.

One object, so that the simulated broker of the tests can stand in its place under the code that runs in production.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

Settings = dict[str, Any]

_QUIET: Final[Settings] = {"error_cb": lambda error: None, "log_level": 2}
"""What the clients would print is said by the worker, in its own words."""


class Kafka:
    """A Kafka cluster at ``bootstrap_servers``, and the machine's clock."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def consumer(self, settings: Settings) -> Consumer:
        return Consumer({**_QUIET, **settings, "bootstrap.servers": self.bootstrap_servers})

    def producer(self, settings: Settings) -> Producer:
        return Producer({**_QUIET, **settings, "bootstrap.servers": self.bootstrap_servers})

    def admin(self) -> AdminClient:
        return AdminClient({**_QUIET, "bootstrap.servers": self.bootstrap_servers})

    def topic_ids(self, names: list[str]) -> dict[str, str]:
        """The cluster's own ids: one that is deleted and made anew gets another. Raises KafkaException."""
        admin = self.admin()  # held until the answers are there
        asked = admin.describe_topics(TopicCollection(names), request_timeout=10)
        return {name: str(future.result(15).topic_id) for name, future in asked.items()}

    def aside(self) -> Aside:
        """For calls that may hang."""
        return Aside()

    def let_go(self, producer: Producer) -> None:
        """Drop a producer, without waiting for what it still holds."""
        producer.purge()
        # Its end waits for threads of its own: let that be done by a thread that has nothing else to do.
        held = [producer]
        del producer
        threading.Thread(target=held.clear, name="producer-end", daemon=True).start()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def monotonic(self) -> float:
        """Seconds."""
        return self.monotonic_ns() / 1e9

    def wall_ns(self) -> int:
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Aside:
    """A thread that makes one call after the other, and can be left behind."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._started = False

    def run(self, call: Callable[[], Any], timeout_s: float) -> bool:
        """Whether it came back in time; what it raised is raised here. After False: never to be used again."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._serve, name="aside", daemon=True).start()
        self._calls.put(call)
        try:
            error = self._results.get(timeout=timeout_s)
        except queue.Empty:
            return False
        if error is not None:
            raise error
        return True

    def _serve(self) -> None:
        while True:
            try:
                self._calls.get()()
            except BaseException as error:
                self._results.put(error)
            else:
                self._results.put(None)
