"""Ages: how long ago something in the market was.

*Event time* is a claim of the sender, *receipt* the broker's append time, *now* the last tick applied. What happened
since the last tick is younger than now, so a small age below zero is usual; a larger one is a wrong stamp.
"""

from __future__ import annotations


def age_ns(event_ns: int, now_ns: int, ahead_ns: int) -> int | None:
    """How old something of ``event_ns`` is at ``now_ns`` (ns since 1970, both session time), 0 at the least.

    None when it lies more than ``ahead_ns`` after now: that is no age, and nobody may take it for young.
    """
    if event_ns - now_ns > ahead_ns:
        return None
    return max(0, now_ns - event_ns)
