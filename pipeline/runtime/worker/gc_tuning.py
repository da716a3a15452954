"""Tunes Python's cyclic garbage collector: at 300,000 orders one full collection stopped a worker for 100 ms.

State holds no cycles, so a worker collects the youngest generation only. The cycles between the parts of a state that
was dropped (its tables and indexes refer to each other) are collected before the next restore, where a pause does no
harm.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

YOUNG: Final = 20_000
"""New objects after which the youngest generation is collected, in about a millisecond."""
NEVER: Final = 1_000_000_000


def only_the_young() -> None:
    """From now on collect the youngest generation only. For a worker's process."""
    gc.set_threshold(YOUNG, NEVER, NEVER)


@contextmanager
def while_restoring() -> Iterator[None]:
    """Collect everything, then no collection while restoring; what exists afterwards is never collected again."""
    enabled = gc.isenabled()
    gc.unfreeze()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
