"""How tests wait: for a condition, with a deadline that passes only where something is really wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

GIVE_UP_S: Final = 240.0
"""Many times what the slowest step took on a machine with two cores and twice as much to do besides. It costs nothing
but in a test that fails."""


def until(condition: Callable[[], object], what: Callable[[], str] | str, every_s: float = 0.1) -> None:
    """Ask again and again until it is so. ``what``: for the failure, what was waited for and what is there instead."""
    deadline = time.monotonic() + GIVE_UP_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what if isinstance(what, str) else what()}"
        time.sleep(every_s)
