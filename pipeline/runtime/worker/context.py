"""Waiting, so that a worker can always be told to stop and always shows that it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker.observer import Event, Observer, Speaker

SAY_EVERY_S: Final = 5.0


class Stopping(Exception):
    """The worker was told to stop while it waited."""


class WorkerContext:
    """A worker's way of waiting and speaking. ``stopping`` is set from a signal handler.

    What it says goes to ``observer``; to ``say``, with its name, when there is none.
    """

    def __init__(self, name: str, say: Callable[[str], None], kafka: Kafka, observer: Observer | None = None) -> None:
        self.stopping = False
        self.kafka = kafka
        self.alive_at = kafka.monotonic()
        """When the loop last moved, for a watchdog."""
        self.observer = observer or Speaker(name, say)
        self._said_at: dict[Event, float] = {}

    def alive(self) -> None:
        self.alive_at = self.kafka.monotonic()

    def rest(self, seconds: float) -> None:
        """Sleep. Raises Stopping at once when told to."""
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
        """One event, as a sentence, with the ids it concerns."""
        self.observer.event(event, text, **ids)

    def say_now_and_then(
        self, text: str, event: Event = Event.WAITING, every_s: float = SAY_EVERY_S, **ids: Any
    ) -> None:
        """What would be said again and again while something is away."""
        now = self.kafka.monotonic()
        if now - self._said_at.get(event, -every_s) >= every_s:
            self._said_at[event] = now
            self.say(text, event, **ids)
