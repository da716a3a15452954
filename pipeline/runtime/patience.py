"""Waiting, so that a worker can always be told to stop and always shows that it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pipeline.runtime.kafka import Kafka

SAY_EVERY_S: Final = 5.0


class Stopping(Exception):
    """The worker was told to stop while it waited."""


class Patience:
    """A worker's way of waiting and speaking. ``stopping`` is set from a signal handler."""

    def __init__(self, name: str, say: Callable[[str], None], kafka: Kafka) -> None:
        self.stopping = False
        self.kafka = kafka
        self.alive_at = kafka.monotonic()
        """When the loop last moved, for a watchdog."""
        self._name = name
        self._say = say
        self._said_at = -SAY_EVERY_S

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

    def say(self, text: str) -> None:
        self._say(f"{self._name}: {text}")

    def say_now_and_then(self, text: str) -> None:
        """What would be said again and again while something is away."""
        now = self.kafka.monotonic()
        if now - self._said_at >= SAY_EVERY_S:
            self._said_at = now
            self.say(text)
