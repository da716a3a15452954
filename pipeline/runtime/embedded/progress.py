"""Progress on the terminal: one line that is rewritten on a tty, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_TTY_INTERVAL_S = 0.2
_PLAIN_INTERVAL_S = 5.0


class Progress:
    """Says what is going on, on stderr by default, so that standard output stays fit for a pipe."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        """Write one line."""
        print(text, file=self._stream or sys.stderr, flush=True)

    @contextmanager
    def task(self, title: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """Show `title` and how much of `total_bytes` is done; yields a thread-safe callback taking bytes just done."""
        stream = self._stream or sys.stderr
        tty = stream.isatty()
        interval_s = _TTY_INTERVAL_S if tty else _PLAIN_INTERVAL_S
        guard = threading.Lock()
        started = shown = time.monotonic()
        done = 0

        def show(end: str) -> None:
            percent = 100 * done // max(total_bytes, 1)
            body = f"{title}: {done / 1e6:.0f} of {total_bytes / 1e6:.0f} MB, {percent} %"
            print(f"\r{body}" if tty else body, end=end if tty else "\n", file=stream, flush=True)

        def advance(size: int) -> None:
            nonlocal done, shown
            with guard:
                done += size
                now = time.monotonic()
                if now - shown >= interval_s:
                    shown = now
                    show("")

        self.say(title)
        yield advance
        with guard:
            show("\n")
            self.say(f"  done in {time.monotonic() - started:.0f} s")
