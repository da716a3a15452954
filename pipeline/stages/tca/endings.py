"""The moments at which orders end, and the midpoint of each: read once all quotes up to it are known.

An order that ends unfilled is measured by the price it left behind. Many end at one moment (the close): a moment and
instrument has one mark, and its orders come due a few at a time.
"""

from __future__ import annotations

from pipeline.domain.units import NS_PER_S
from pipeline.stages.tca.chunked_lists import NameList
from pipeline.stages.tca.midpoints import MidpointHistory
from pipeline.state import Entry, State


class Mark(Entry):
    """The midpoint of an instrument at a moment; None when there was none, or while the moment lies ahead."""

    instrument: str
    at_ns: int
    px: int | None = None


class EndingSecond(Entry):
    """What ends within the second before: how many subjects, how many of them have come due, and the marks wanted."""

    count: int = 0
    taken: int = 0
    marks: list[str] = []


class DayBegan(Entry):
    """When the last day began, session time."""

    at_ns: int


class Endings:
    """Keeps the tables `marks`, `ending-seconds`, `ending` and `day-began` in ``state``."""

    def __init__(self, state: State, midpoints: MidpointHistory) -> None:
        self._midpoints = midpoints
        self._marks = state.table("marks", Mark)
        self._seconds = state.table("ending-seconds", EndingSecond)
        self._names = NameList(state, "ending")
        self._day_began = state.table("day-began", DayBegan)

    def add(self, name: str, instrument: str, at_ns: int) -> None:
        """``name`` ends at ``at_ns`` (ns since 1970): it comes due then."""
        key = _second_key(at_ns)
        second = self._seconds.get(key) or EndingSecond()
        self._names.append(key, second.count, name)
        second.count += 1
        mark_key = _mark_key(instrument, at_ns)
        if mark_key not in self._marks:
            self._marks.put(mark_key, Mark(instrument, at_ns))
            second.marks.append(mark_key)
        elif self._marks[mark_key].px is None and mark_key not in second.marks:
            second.marks.append(mark_key)
        self._seconds.put(key, second)

    def px(self, instrument: str, at_ns: int) -> int | None:
        """The midpoint at an end that was added, once it has come; None when there was none."""
        mark = self._marks.get(_mark_key(instrument, at_ns))
        return None if mark is None else mark.px

    def due(self, now_ns: int, most: int) -> list[str]:
        """Up to ``most`` of the names whose end has come by ``now_ns`` (session time); reads the marks of all."""
        names: list[str] = []
        for key in self._seconds.keys():
            if int(key) * NS_PER_S > now_ns:
                break
            second = self._seconds[key]
            for mark_key in second.marks:
                mark = self._marks.get(mark_key)
                if mark is not None:  # None: of a day so old that it was dropped before it was read
                    mark.px = self._midpoints.at(mark.instrument, mark.at_ns)
                    self._marks.put(mark_key, mark)
            second.marks = []
            until = min(second.count, second.taken + most - len(names))
            names += [self._names.at(key, index) for index in range(second.taken, until)]
            second.taken = until
            if until == second.count:
                self._names.forget(key, second.count)
                self._seconds.remove(key)
            else:
                self._seconds.put(key, second)
        return names

    def begin_day(self, now_ns: int) -> None:
        """Drop the marks that are older than the day that has just ended."""
        began = self._day_began.get("")
        self._day_began.put("", DayBegan(now_ns))
        if began is None:
            return
        for key in self._marks.keys():
            if self._marks[key].at_ns >= began.at_ns:
                break
            self._marks.remove(key)


def _second_key(at_ns: int) -> str:
    """The first whole second at or after a moment. Sorted as text, seconds are in the order of time."""
    return f"{-(-at_ns // NS_PER_S):012d}"


def _mark_key(instrument: str, at_ns: int) -> str:
    return f"{at_ns:020d}@{instrument}"
