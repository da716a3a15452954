"""A short form of `make chaos`: every kind of fault a few times on one broker, and nothing is lost, doubled or out of
order, by a checker that shares no code with the worker. The long form, its counts and times: ops/chaos.md."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.chaos.arena import Arena
from tests.chaos.faults import KINDS
from tests.chaos.worker_process import ABORTING, UNKNOWN

SHORT = {"kill": 4, "scale": 4, "zombie": 2, "fence": 2, "restore": 1, "broker": 1}
"""Kind and how many; one after the other on the same topics, in the order of a seed."""
INSIDE = dict.fromkeys((*ABORTING, *UNKNOWN), 0.01)
"""Aborts and unknown outcomes, all the time."""


@pytest.mark.slow
def test_every_kind_of_fault_and_nothing_is_lost_doubled_or_out_of_order() -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    kinds = list(SHORT)
    random.Random(seed).shuffle(kinds)
    injected: Counter[str] = Counter()
    with Arena("short", seed, print, orders={"points": INSIDE}) as arena:
        arena.load.start()
        base = dict(arena.fleet.orders)
        for kind in kinds:
            arena.fleet.orders = {**base, **KINDS[kind].orders}
            arena.target, arena.injected = SHORT[kind], Counter()
            KINDS[kind].inject(arena, SHORT[kind])
            injected[kind] = arena.injected.total()
            arena.fleet.stop(*arena.fleet.members)
        arena.fleet.start(("both", 0), ("both", 1))
        verdict = arena.finish()
        inside = arena.fleet.faults()
    assert verdict.total == 0, "\n".join(verdict.told)
    assert all(injected[kind] >= SHORT[kind] for kind in SHORT)
    assert inside.total() > 0 and verdict.aborted > 0, "aborted records stand in the log, and nobody has seen them"
    assert verdict.effects > 1000 and verdict.starts > 40
