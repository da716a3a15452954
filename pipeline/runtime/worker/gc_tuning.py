"""Python's cyclic collector, kept out of the way: at 300,000 orders one full collection stopped everything for 100 ms.

State holds no cycles, so a worker gives up looking for old ones: only what was made a moment ago is looked through.
What a dropped state held in cycles (its parts know each other) is collected where a pause hurts nobody: before the
next restore.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

YOUNG: Final = 20_000
"""New objects after which the young ones are looked through: about a millisecond."""
NEVER: Final = 1_000_000_000


def only_the_young() -> None:
    """For a worker's process: no collection of anything but the youngest generation, from now on."""
    gc.set_threshold(YOUNG, NEVER, NEVER)


@contextmanager
def while_restoring() -> Iterator[None]:
    """Collect what was dropped, then restore undisturbed; what is there afterwards is not looked at again."""
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
