"""Virtual time, and processes that take turns: the heap of events decides which, never the machine.

The worker's code blocks, so each process has a thread; but only the one that holds the baton runs, and it hands it on
in :meth:`World.pause` alone. The same seed therefore gives the same run, whatever the machine does.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
import threading
from collections.abc import Callable
from typing import Final

S: Final = 1_000_000_000
MS: Final = 1_000_000


class Killed(BaseException):
    """kill -9: raised where the process waits. Its clients do nothing any more."""


class Stuck(AssertionError):
    """Nothing can happen any more, or too much has happened."""


class Process:
    """Something with a thread of its own that can be killed, frozen (SIGSTOP) and cut off from the cluster."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.killed = False
        self.ended = False
        self.frozen_until_ns = 0
        self.cut_off_until_ns = 0
        self.restoring = 0
        """Its consumers that read changelogs, for the count of faults."""
        self.error: BaseException | None = None
        self._turn = threading.Lock()
        self._turn.acquire()
        self._ticket = 0
        self._thread: threading.Thread | None = None

    def start(self, main: Callable[[], None]) -> None:
        """``main`` runs from now on."""

        def body() -> None:
            self._turn.acquire()
            try:
                if not self.killed:
                    main()
            except Killed:
                pass
            except BaseException as error:
                self.error = error
            self.ended = True
            self.world.hand_on()

        self._thread = threading.Thread(target=body, name=self.name, daemon=True)
        self._thread.start()
        self.world.push(self.world.now_ns, self._wake_up())

    def kill(self) -> None:
        if not self.ended:
            self.killed = True
            self.frozen_until_ns = 0
            self.world.push(self.world.now_ns, self._wake_up())

    def check(self) -> None:
        """A call that takes no time. Raises Killed when the process is dead."""
        if self.killed:
            raise Killed

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join(10)

    def wake(self) -> None:
        """What it waits for has come."""
        self.world.push(self.world.now_ns, self._wake_up())

    def _wake_up(self) -> tuple[Process, int]:
        self._ticket += 1
        return self, self._ticket

    def awake(self, ticket: int) -> bool:
        return ticket == self._ticket and not self.ended

    def when_awake(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Something a thread of its clients does in the background: not while frozen, never after its death."""

        def act() -> None:
            if self.killed or self.ended:
                return
            if self.frozen_until_ns > self.world.now_ns:
                self.when_awake(self.frozen_until_ns - self.world.now_ns, action)
                return
            action()

        self.world.at(delay_ns, act)

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises Killed when the process was killed meanwhile."""
        if self.killed:
            raise Killed
        world = self.world
        world.push(world.now_ns + max(1000, int(seconds * S)), self._wake_up())
        world.hand_on(self)
        if self.killed:
            raise Killed

    def take_turn(self) -> None:
        self._turn.acquire()

    def give_turn(self) -> None:
        self._turn.release()


class World:
    """The clock, the chance and the trace of one run."""

    def __init__(self, seed: int, echo: Callable[[str], None] | None = None, events_max: int = 400_000) -> None:
        self.chance = random.Random(seed)
        self.now_ns = 0
        self.events = 0
        self._events_max = events_max
        self._heap: list[tuple[int, int, Callable[[], None] | tuple[Process, int]]] = []
        self._numbers = itertools.count()
        self._trace: list[str] = []
        self.echo = echo
        self.main = Process(self, "main")

    def note(self, text: str) -> None:
        """One line of the trace."""
        line = f"{self.now_ns / S:10.4f} {text}"
        self._trace.append(line)
        if self.echo is not None:
            self.echo(line)

    def digest(self) -> str:
        """SHA-256 of the trace."""
        return hashlib.sha256("\n".join(self._trace).encode()).hexdigest()

    def push(self, when_ns: int, what: Callable[[], None] | tuple[Process, int]) -> None:
        heapq.heappush(self._heap, (when_ns, next(self._numbers), what))

    def at(self, delay_ns: int, action: Callable[[], None]) -> None:
        self.push(self.now_ns + delay_ns, action)

    def hand_on(self, me: Process | None = None) -> None:
        """Let events happen until it is a process's turn; returns when it is that of ``me`` (None: at once)."""
        while self._heap:
            when_ns, _, what = heapq.heappop(self._heap)
            self.now_ns = max(self.now_ns, when_ns)
            self.events += 1
            if not isinstance(what, tuple):
                what()
                continue
            process, ticket = what
            if not process.awake(ticket):
                continue
            if self.events > self._events_max and process is not self.main:
                continue  # only the main thread goes on, to say so
            if process.frozen_until_ns > self.now_ns:
                self.push(process.frozen_until_ns, what)
                continue
            if process is me:
                return
            process.give_turn()
            if me is not None:
                me.take_turn()
            return
        if me is not None:
            raise Stuck(f"{me.name} waits for something that nobody does")

    def pause(self, seconds: float) -> None:
        """Of the main thread, which is no process of the cluster."""
        if self.events > self._events_max:
            raise Stuck(f"more than {self._events_max} events at {self.now_ns / S:.1f} s")
        self.main.pause(seconds)

    def latency(self) -> float:
        """Seconds on the wire, one way."""
        return 0.0002 + 0.0018 * self.chance.random()
