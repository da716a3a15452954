"""Running totals of the tape by event time: volume and notional of any interval by two look-ups, however many prints.

Derived from the tape and kept in memory only: rebuilt after a restore, never written. A print that comes in order of
time costs one step; a late or cancelled one changes every total after it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class TapeSums:
    """Totals by instrument of the prints that count for VWAP. Quantities in units, notional in 1e-9 currency units."""

    def __init__(self) -> None:
        self._totals: dict[str, _Totals] = {}

    def add(self, instrument: str, event_ns: int, px: int, qty: int) -> None:
        """Add a print of ``qty`` at ``px`` (1e-9 currency units); minus ``qty`` takes off one that was added."""
        totals = self._totals.get(instrument)
        if totals is None:
            totals = self._totals[instrument] = _Totals()
        totals.add(event_ns, qty, px * qty)

    def between(self, instrument: str, start_ns: int, end_ns: int) -> tuple[int, int]:
        """(volume, notional) of the prints with start <= event time <= end; zeros when there are none."""
        totals = self._totals.get(instrument)
        return (0, 0) if totals is None else totals.between(start_ns, end_ns)

    def clear(self) -> None:
        """Forget all prints."""
        self._totals.clear()


class _Totals:
    __slots__ = ("_notionals", "_qtys", "_times")

    def __init__(self) -> None:
        self._times: list[int] = []
        self._qtys = [0]
        self._notionals = [0]
        """Like ``_qtys``: element n is the total of the first n prints by time."""

    def add(self, event_ns: int, qty: int, notional: int) -> None:
        at = bisect_right(self._times, event_ns)
        self._times.insert(at, event_ns)
        self._qtys.insert(at + 1, self._qtys[at])
        self._notionals.insert(at + 1, self._notionals[at])
        for place in range(at + 1, len(self._qtys)):
            self._qtys[place] += qty
            self._notionals[place] += notional

    def between(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        first, last = bisect_left(self._times, start_ns), bisect_right(self._times, end_ns)
        if last <= first:
            return 0, 0
        return self._qtys[last] - self._qtys[first], self._notionals[last] - self._notionals[first]
