"""All that a worker asks of the world outside itself: Kafka's clients, the time, a call that may never come back.

One object, so that the simulated broker of the tests can stand in its place under the code that runs in production.
Every client of the pipeline is made here, the desk's Faust alone excepted (:mod:`pipeline.desk.broker_access`), so that
what a deployment says of its clients (:mod:`pipeline.runtime.kafka.client_settings`) holds for all of them.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]  # not in the stubs

from pipeline.errors import AccessRefused, Unreachable
from pipeline.runtime.kafka.client_settings import REFUSING, ClientSettings, variable_of

Settings = dict[str, Any]
C = TypeVar("C", Consumer, Producer, AdminClient)

_QUIET: Final[Settings] = {"log_level": 2}
"""What the clients would print is said by those who use them, in their own words."""
_FIRST_WAIT_S: Final = 0.5


class Kafka:
    """A Kafka cluster at ``bootstrap_servers``, and the machine's clock.

    ``given``: what the deployment says of its clients; default: the environment's word, which raises WrongUse when it
    is not as it must be. So does making a client with a setting that librdkafka does not know or cannot use.
    """

    def __init__(self, bootstrap_servers: str, given: ClientSettings | None = None) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.given = ClientSettings.read() if given is None else given
        self.refused: AccessRefused | None = None
        """The last word of a broker that did not let one of our clients in; heard when that client is polled."""

    def consumer(self, settings: Settings) -> Consumer:
        """A consumer with ``settings`` of librdkafka and those of the deployment. Raises WrongUse for unusable ones."""
        return self._made(Consumer, settings)

    def producer(self, settings: Settings) -> Producer:
        """A producer, likewise."""
        return self._made(Producer, settings)

    def admin(self) -> AdminClient:
        """An admin client, likewise."""
        return self._made(AdminClient, {})

    def _made(self, kind: type[C], own: Settings) -> C:
        heard = own.get("error_cb", lambda error: None)

        def on_error(error: KafkaError) -> None:
            if error.code() in REFUSING:
                self.refused = self.given.refusal(self.bootstrap_servers, error)
            heard(error)

        settings = self.given.of_client(self.bootstrap_servers, {**_QUIET, **own, "error_cb": on_error})
        try:
            return kind(settings)
        except (KafkaException, TypeError, ValueError) as error:
            if not self.given.values:
                raise
            word = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            raise self.given.unusable(word) from None  # what was raised may carry the settings

    def metadata(self, client: AdminClient, timeout_s: float) -> ClusterMetadata:
        """Brokers and topics. Raises AccessRefused as soon as that is known, KafkaException when nobody answers."""
        if not self.given.secured:
            return client.list_topics(timeout=timeout_s)
        self.refused = None
        deadline, wait_s = self.monotonic() + timeout_s, _FIRST_WAIT_S
        while True:
            # A refusal is told between two calls only: the library goes on trying during one.
            try:
                return client.list_topics(timeout=max(0.1, min(wait_s, deadline - self.monotonic())))
            except KafkaException:
                self.raise_refusal(client)
                if self.monotonic() >= deadline:
                    raise
            wait_s *= 2

    def raise_refusal(self, client: AdminClient | Producer) -> None:
        """Raise AccessRefused when a broker did not let ``client`` in; to be asked when something did not succeed."""
        client.poll(0)
        if self.refused is not None:
            raise self.refused

    def require_answer(self, timeout_s: float) -> ClusterMetadata:
        """Brokers and topics. Raises AccessRefused, or Unreachable when nobody answers within ``timeout_s`` seconds."""
        try:
            return self.metadata(self.admin(), timeout_s)
        except KafkaException as error:
            raise self.unreachable() from error

    def answers(self, timeout_s: float) -> bool:
        """Whether it gives its metadata within ``timeout_s`` seconds. Raises AccessRefused."""
        try:
            return bool(self.metadata(self.admin(), timeout_s).brokers)
        except KafkaException:
            return False

    def unreachable(self) -> Unreachable:
        """The error for a cluster that does not answer."""
        protocol = self.given.values.get("security.protocol", "plaintext")
        what_to_do = "Start it, or correct KAFKA_BOOTSTRAP_SERVERS"
        if self.given.secured:
            what_to_do += f"; or its listener does not speak {protocol.upper()} (security.protocol)"
        else:
            what_to_do += f"; if it wants TLS or a password, set {variable_of('security.protocol')} and more"
        return Unreachable("Kafka", self.bootstrap_servers, f"{what_to_do}.")

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
        """The machine's monotonic clock, in nanoseconds."""
        return time.monotonic_ns()

    def monotonic(self) -> float:
        """Seconds."""
        return self.monotonic_ns() / 1e9

    def wall_ns(self) -> int:
        """Wall time, in nanoseconds since 1970."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
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
