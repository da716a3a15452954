"""Recent midpoints by their own time: what stood when an order was received, and when it ended.

Of quotes the latest holds, by event time and then by number, in whatever order they are read. They are kept in blocks
of one second of event time, so that a busy instrument does not rewrite its whole history with each quote.
"""

from __future__ import annotations

from bisect import insort

from pipeline.domain.market import NBBO
from pipeline.domain.units import NS_PER_S
from pipeline.state import Entry, State


class Midpoints(Entry):
    """The quotes of one second: (event time in ns, number, midpoint in 1e-9 currency units or 0), in that order."""

    instrument: str
    second: int
    quotes: list[tuple[int, int, int]] = []


class Horizon(Entry):
    """Quotes before this event time are forgotten."""

    since_ns: int


class MidpointHistory:
    """The midpoints of a task's instruments; keeps the tables `midpoints` and `midpoints-since` in ``state``.

    ``kept_ns``: how far back; ``patience_ns``: for how long the last midpoint still speaks once quotes have none
    (crossed, or a side missing). Its owner calls :meth:`restored` after a restore.
    """

    def __init__(self, state: State, kept_ns: int, patience_ns: int) -> None:
        self._kept_ns = kept_ns
        self._patience_ns = patience_ns
        self._blocks = state.table("midpoints", Midpoints)
        self._horizon = state.table("midpoints-since", Horizon)
        self._seconds: dict[str, list[int]] = {}
        """Seconds that have a block, by instrument, ascending; derived from the table."""

    def on_quote(self, quote: NBBO) -> None:
        """Keep a quote in its place by time and number; one that is older than what is kept changes nothing."""
        if quote.event_ns < self._since_ns():
            return
        second = quote.event_ns // NS_PER_S
        key = _block_key(quote.instrument, second)
        block = self._blocks.get(key)
        if block is None:
            block = Midpoints(quote.instrument, second)
            insort(self._seconds.setdefault(quote.instrument, []), second)
        place = len(block.quotes)
        while place and block.quotes[place - 1][:2] > (quote.event_ns, quote.quote_no):
            place -= 1
        found = quote.event_ns, quote.quote_no, quote.midpoint_px or 0
        if place and block.quotes[place - 1][:2] == found[:2]:
            block.quotes[place - 1] = found
        else:
            block.quotes.insert(place, found)
        self._blocks.put(key, block)

    def at(self, instrument: str, at_ns: int) -> int | None:
        """The midpoint at a moment (ns since 1970), in 1e-9 currency units.

        None when there was none, when quotes had had none for longer than the patience, and for a moment that is
        forgotten.
        """
        if at_ns < self._since_ns():
            return None
        without_since_ns = at_ns
        for second in reversed(self._seconds.get(instrument, [])):
            for event_ns, _, px in reversed(self._blocks[_block_key(instrument, second)].quotes):
                if event_ns > at_ns:
                    continue
                if px:
                    return px if at_ns - without_since_ns <= self._patience_ns else None
                without_since_ns = event_ns
        return None

    def forget_before(self, now_ns: int) -> None:
        """Drop what is older than is kept, but not the midpoint in force then."""
        since_ns = now_ns - self._kept_ns
        if since_ns <= self._since_ns():
            return
        self._horizon.put("", Horizon(since_ns))
        for instrument, seconds in sorted(self._seconds.items()):
            # A block goes when one after it says a midpoint before the horizon.
            while len(seconds) > 1 and self._speaks_before(instrument, seconds[1:], since_ns):
                self._blocks.remove(_block_key(instrument, seconds.pop(0)))

    def restored(self) -> None:
        """Rebuild what is derived from the table."""
        self._seconds = {}
        for key in self._blocks.keys():
            block = self._blocks.peek(key)
            insort(self._seconds.setdefault(block.instrument, []), block.second)

    def _speaks_before(self, instrument: str, seconds: list[int], since_ns: int) -> bool:
        for second in seconds:
            if second * NS_PER_S >= since_ns:
                return False
            quotes = self._blocks[_block_key(instrument, second)].quotes
            if any(px and event_ns <= since_ns for event_ns, _, px in quotes):
                return True
        return False

    def _since_ns(self) -> int:
        horizon = self._horizon.get("")
        return 0 if horizon is None else horizon.since_ns


def _block_key(instrument: str, second: int) -> str:
    return f"{instrument}@{second}"
