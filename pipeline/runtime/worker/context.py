"""How a worker waits and reports: while it waits it can be stopped, and shows its watchdog that it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker.observer import Event, Observer, Speaker

SAY_EVERY_S: Final = 5.0


class Stopping(Exception):
    """The worker was asked to stop while it waited."""


class WorkerContext:
    """A worker's waiting and reporting. ``stopping`` is set from a signal handler.

    Events go to ``observer``, or as text lines to ``say`` when there is none.
    """

    def __init__(self, name: str, say: Callable[[str], None], kafka: Kafka, observer: Observer | None = None) -> None:
        self.stopping = False
        self.kafka = kafka
        self.alive_at = kafka.monotonic()
        """When the loop last moved, for a watchdog."""
        self.observer = observer or Speaker(name, say)
        self._said_at: dict[Event, float] = {}

    def alive(self) -> None:
        """Show the watchdog that the loop moves."""
        self.alive_at = self.kafka.monotonic()

    def rest(self, seconds: float) -> None:
        """Sleep for ``seconds``. Raises Stopping as soon as ``stopping`` is set."""
        until = self.kafka.monotonic() + seconds
        while True:
            self.alive()
            if self.stopping:
                raise Stopping
            left = until - self.kafka.monotonic()
            if left <= 0:
                return
            self.kafka.sleep(min(left, 0.05))

    def say(self, text: str, event: Event = Event.NOTE, **ids: Any) -> None:
        """Report an event as a sentence, with the ids it concerns."""
        self.observer.event(event, text, **ids)

    def say_now_and_then(
        self, text: str, event: Event = Event.WAITING, every_s: float = SAY_EVERY_S, **ids: Any
    ) -> None:
        """As :meth:`say`, at most once in ``every_s`` seconds per event: for what is retried all the time."""
        now = self.kafka.monotonic()
        if now - self._said_at.get(event, -every_s) >= every_s:
            self._said_at[event] = now
            self.say(text, event, **ids)
