"""The log of a process: one line an event, for a person or for a machine.

    text    2026-01-05T14:30:00.123Z restored engine-0: partitions [0, 1] of 2, 15 entries restored in 0.03 s
    json    {"time":"2026-01-05T14:30:00.123Z","level":"info","event":"restored","unit":"engine","slot":"engine-0",…}

``PIPELINE_LOG`` says which; text when it is not set.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from pipeline.errors import WrongUse
from pipeline.runtime.worker.observer import Event

LOG_VARIABLE: Final = "PIPELINE_LOG"
_LEVELS: Final = {
    **dict.fromkeys(
        (Event.WAITING, Event.LOST, Event.ABORTED, Event.INDEFINITE, Event.FENCED, Event.PAUSED), "warning"
    ),
    **dict.fromkeys((Event.POISONED, Event.FAILED, Event.HUNG), "error"),
}


def write_line(text: str) -> None:
    """A line on standard output, in one write: processes that share a file do not mix within their lines.

    (``print`` writes the line's end separately when Python runs unbuffered.)
    """
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class EventLog:
    """Writes lines with ``write``. ``ids`` are on every line in JSON; in text, the slot or else the unit."""

    def __init__(
        self,
        write: Callable[[str], None] = write_line,
        *,
        as_json: bool = False,
        wall_ns: Callable[[], int] = time.time_ns,
        **ids: Any,
    ) -> None:
        self.ids = ids
        self._write = write
        self._as_json = as_json
        self._wall_ns = wall_ns

    def event(self, event: Event, text: str, **ids: Any) -> None:
        """Write one line. ``text`` is a sentence for people, ``ids`` are fields for machines (JSON only)."""
        at = datetime.fromtimestamp(self._wall_ns() / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        if self._as_json:
            line = {"time": at, "level": _LEVELS.get(event, "info"), "event": event, **self.ids, **ids, "msg": text}
            self._write(orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode())
        else:
            who = self.ids.get("slot") or self.ids.get("unit") or "pipeline"
            self._write(f"{at} {event} {who}: {text}")


def wants_json(env: Mapping[str, str] | None = None) -> bool:
    """Whether ``PIPELINE_LOG`` is json. Raises WrongUse for what is neither text nor json."""
    form = (os.environ if env is None else env).get(LOG_VARIABLE) or "text"
    if form not in ("text", "json"):
        raise WrongUse(f"{LOG_VARIABLE} is {form!r}: text or json")
    return form == "json"
