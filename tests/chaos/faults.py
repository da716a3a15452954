"""The kinds of faults. Each gets an arena with load and injects until its target is reached.

A fault that hits several workers at once counts once for each. Times are drawn from the printed seed; what they meet
in a real broker and real processes is another thing each time, so a run cannot be repeated exactly.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tests.chaos.arena import ADDER, BOTH, REPEATER, SESSION_S, Arena
from tests.chaos.fleet import Slot
from tests.chaos.worker_process import ABORTING, UNKNOWN

APART: Final[tuple[Slot, ...]] = ((ADDER, 0), (ADDER, 1), (REPEATER, 0), (REPEATER, 1))
"""One unit per stage, two workers each."""
TOGETHER: Final[tuple[Slot, ...]] = ((BOTH, 0), (BOTH, 1), (BOTH, 2))


def kill(arena: Arena, target: int) -> None:
    """kill -9 of workers at random times, several at once, also while they start: first with a unit for each stage,
    then with both stages in one unit, which takes over what the others left."""
    for slots, goal in ((APART, target // 2), (TOGETHER, target)):
        arena.fleet.start(*slots)
        arena.progress()
        while arena.injected.total() < goal:
            arena.between(0.0, 1.6)
            victims = arena.chance.sample(arena.fleet.working, arena.chance.randint(1, len(slots)))
            arena.fleet.kill(*victims)
            arena.count("per stage" if slots is APART else "whole unit", len(victims))
            arena.pause(arena.chance.choice((0.0, 0.0, 0.3)))
            arena.fleet.start(*slots)
            if arena.chance.random() < 0.3:
                arena.progress(1)
        if slots is APART:
            arena.progress()
            arena.fleet.stop(*arena.fleet.members)
            arena.pause(SESSION_S)


def zombie(arena: Arena, target: int) -> None:
    """Workers sleep (SIGSTOP) for longer than their session, others take over, then they wake: half of them fall asleep
    inside a transaction; of some, another process has taken the very slot meanwhile."""
    slots = (*TOGETHER, (BOTH, 3))
    arena.fleet.start(*slots)
    arena.progress()
    while arena.injected.total() < target:
        arena.between(0.1, 0.8)
        sleepers = arena.chance.sample(arena.fleet.working, arena.chance.randint(1, 3))
        if arena.chance.random() < 0.5:
            arena.fleet.freeze(sleepers)
            arena.count("anywhere", len(sleepers))
        else:
            arena.fleet.freeze_in_transaction(sleepers)
            arena.count("in a transaction", len(sleepers))
        arena.pause(SESSION_S + arena.chance.uniform(0.3, 1.5))
        if arena.chance.random() < 0.3 and sleepers[0] not in arena.fleet.rivals:
            arena.fleet.replace(sleepers[0])
            arena.pause(arena.chance.uniform(0.2, 1.5))
        arena.fleet.thaw()
        arena.progress(2)
    arena.await_rivals()


def scale(arena: Arena, target: int) -> None:
    """From one worker to three and back under load; each that comes or goes counts."""
    arena.fleet.start(TOGETHER[0])
    arena.progress()
    while arena.injected.total() < target:
        coming = [slot for slot in TOGETHER if slot not in arena.fleet.members]
        arena.chance.shuffle(coming)
        for slot in coming:
            arena.fleet.start(slot)
            arena.count("joined")
            arena.between(0.0, 0.7)
        arena.between(0.3, 1.5)
        going = arena.chance.sample(list(arena.fleet.members), 2)
        if arena.chance.random() < 0.5:
            arena.fleet.stop(*going)
        else:
            for slot in going:
                arena.fleet.stop(slot)
                arena.between(0.0, 0.7)
        arena.count("left", 2)
        arena.between(0.2, 1.2)
        arena.progress(1)


def restoring(arena: Arena, target: int) -> None:
    """Rebalances while workers restore: somebody joins, is killed, sleeps or leaves while another reads its changelog.

    Restores are slow (a trickle for a second and a half) and changelogs long. Counted are only those changes that took
    effect between the first and the last record of another worker's restore, by the workers' own clocks.
    """
    slots = (*TOGETHER, (BOTH, 3))
    arena.fleet.start(TOGETHER[0])
    arena.load.burst(min(20_000, 1_000 * target))
    arena.fleet.start(*slots[1:])
    arena.progress()
    expected: list[tuple[float, str, str]] = []
    while _met(arena, expected) < target:
        arena.between(0.2, 0.9)
        here, away = arena.fleet.working, [slot for slot in slots if slot not in arena.fleet.members]
        moves = ["sleeps"] * (len(here) > 1) + ["is killed", "leaves"] * (len(here) > 2) + ["joins"] * 3 * len(away)
        move = arena.chance.choice(moves)
        if move == "joins":
            arena.fleet.start(arena.chance.choice(away))  # the moment it joins is in its own file
            continue
        slot = arena.chance.choice(here)
        # A static member is missed when its session has run out: that is when the others are told.
        expected.append((time.monotonic() + SESSION_S, f"{slot[0]}-{slot[1]}", move))
        if move == "sleeps":
            arena.fleet.freeze([slot])
            arena.pause(SESSION_S + arena.chance.uniform(0.2, 0.8))
            arena.fleet.thaw()
        elif move == "is killed":
            arena.fleet.kill(slot)
            arena.between(SESSION_S, SESSION_S + 0.5)
        else:
            arena.fleet.stop(slot)
            arena.between(SESSION_S, SESSION_S + 0.5)


def _met(arena: Arena, expected: list[tuple[float, str, str]]) -> int:
    """How many changes of the group took effect during a restore of another worker; also counted in the arena."""
    events = arena.fleet.events()
    spans: list[tuple[float, float, str]] = []
    begun: dict[str, float] = {}
    for at, slot, what in events:
        if what == "restore-begins":
            begun[slot] = at
        elif slot in begun:
            spans.append((begun.pop(slot), at, slot))
    spans += [(at, time.monotonic(), slot) for slot, at in begun.items() if _runs(arena, slot)]
    joins = [(at, slot, "joins") for at, slot, what in events if what == "join"]
    now = time.monotonic()
    arena.injected.clear()
    for at, slot, what in (*joins, *expected):
        if at <= now and any(begin < at < end and other != slot for begin, end, other in spans):
            arena.injected[what] += 1
    return arena.injected.total()


def _runs(arena: Arena, name: str) -> bool:
    return any(member.name == name and member.alive for member in arena.fleet.members.values())


def broker(arena: Arena, target: int) -> None:
    """The only broker is killed with -9, or stopped in good order, and started again on the same data."""
    arena.fleet.start(*TOGETHER[:2])
    arena.progress()
    committed = arena.fleet.committed()
    while arena.injected.total() < target:
        arena.between(0.0, 1.0)
        if arena.injected["killed"] <= arena.injected["stopped"]:
            arena.kafka.kill()
            arena.count("killed")
        else:
            arena.kafka.stop()
            arena.count("stopped")
        arena.pause(arena.chance.choice((0.0, 0.0, 0.5, 2.0)))
        arena.kafka.start(120)
        committed = _keep_going(arena, committed)


def one_of_three(arena: Arena, target: int) -> None:
    """Three brokers, every record on three, two must have it: one is killed with -9 and comes back."""
    arena.fleet.start(*TOGETHER[:2])
    arena.progress()
    committed = arena.fleet.committed()
    while arena.injected.total() < target:
        arena.between(0.0, 0.8)
        node = arena.nodes[arena.chance.choice(sorted(arena.nodes))]
        node.kill()
        arena.count("killed")
        if arena.chance.random() < 0.2:
            arena.progress(1)  # with two of three
        node.start(90, wait=False)
        while not node.ready():
            node.check()
            arena.pause(0.05)
        # The next one may only go when this one has caught up: two away, and nothing may be written.
        _wait_for_replicas(arena)
        committed = _keep_going(arena, committed)


def _keep_going(arena: Arena, before: int) -> int:
    """Let one fault in two meet workers that are still busy with the one before, but never two in a row."""
    if arena.fleet.committed() == before or arena.chance.random() < 0.5:
        arena.progress(1)
    return arena.fleet.committed()


def _wait_for_replicas(arena: Arena, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            admin = AdminClient({"bootstrap.servers": arena.bootstrap_servers, "log_level": 0})
            topics = admin.list_topics(timeout=3).topics
            parts = [part for topic in topics.values() for part in topic.partitions.values()]
            if parts and all(len(part.isrs) == len(arena.nodes) for part in parts):
                return
        except KafkaException:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"the replicas are not in sync after {timeout_s:.0f} s")
        arena.pause(0.1)


def aborts(arena: Arena, target: int) -> None:
    """Transactions are aborted at random, at each point; and some end so that nobody knows how: each point counts."""
    _from_inside(arena, target, ABORTING)


def unknown(arena: Arena, target: int) -> None:
    """Commits without an answer: not applied, and applied."""
    _from_inside(arena, target, UNKNOWN)


def _from_inside(arena: Arena, target: int, points: tuple[str, ...]) -> None:
    slots = TOGETHER[:2]
    arena.fleet.start(*slots)
    while arena.injected.total() < target:
        arena.pause(0.2)
        arena.injected = Counter({name: count for name, count in arena.fleet.faults().items() if name in points})


def fenced(arena: Arena, target: int) -> None:
    """A second producer with a worker's transactional id opens, and fences the worker's."""
    arena.fleet.start(*TOGETHER)
    arena.progress()
    while arena.injected.total() < target:
        slot = arena.chance.choice(TOGETHER)
        intruder = Producer(
            {"bootstrap.servers": arena.bootstrap_servers, "transactional.id": f"{slot[0]}-{slot[1]}", "log_level": 0}
        )
        intruder.init_transactions(10)
        arena.count("fenced")
        if arena.chance.random() < 0.2:
            arena.progress(1)
        else:
            arena.between(0.0, 0.5)


@dataclass(frozen=True)
class Kind:
    """A kind of fault, as it is run and reported."""

    title: str
    inject: Callable[[Arena, int], None]
    brokers: int = 1
    orders: Mapping[str, Any] = field(default_factory=dict)
    rate: int = 150
    instruments: int = 24


KINDS: Final[dict[str, Kind]] = {
    "kill": Kind("kill -9 of workers", kill),
    "zombie": Kind("asleep beyond the session, then awake", zombie),
    "scale": Kind("from one worker to three and back", scale),
    "restore": Kind("rebalance during a restore", restoring, orders={"restore_s": 1.5}, instruments=400),
    "broker": Kind("the only broker killed or stopped, and back", broker),
    "cluster": Kind("one of three brokers killed, and back", one_of_three, brokers=3, rate=100),
    "abort": Kind("transactions aborted at random", aborts, orders={"points": dict.fromkeys(ABORTING, 0.02)}),
    "unknown": Kind("commits without an answer", unknown, orders={"points": dict.fromkeys(UNKNOWN, 0.02)}),
    "fence": Kind("producers fenced by another of their name", fenced),
}
