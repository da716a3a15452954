"""The gate's own books: children sent in the last second, value open in an instrument, the same order again and again.

Rates and repeats are counted from what leaves. Open value follows what the exposure ledger says is open.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.domain.controls import Control, ControlKind, ControlScope
from pipeline.domain.executions import ChildOrder
from pipeline.domain.units import NS_PER_S
from pipeline.state import Entry, State

_WITHOUT_END: Final = 1 << 62


class SentRate(Entry):
    """Children sent, by moment, in the last second: (session time, count), oldest first."""

    sent: list[tuple[int, int]] = msgspec.field(default_factory=list)


class OpenValue(Entry):
    """Value open in an instrument, 1e-9 currency."""

    value: int = 0


class Repeats(Entry):
    """The last child of a parent, and how many before it were the same and executed."""

    signature: str = ""
    sent_ns: int = 0
    executed: bool = False
    count: int = 0
    instrument: str = ""
    disabled: bool = False
    """Refused for it: only the desk's RESUME allows the parent again."""


class GateBook:
    """Keeps its tables in ``state``."""

    def __init__(self, state: State, repeat_ns: int) -> None:
        self._repeat_ns = repeat_ns
        self._rates = state.table("gate-rates", SentRate)
        self._open = state.table("gate-open", OpenValue)
        self._repeats = state.table("gate-repeats", Repeats)

    def sent_within_a_second(self, key: str, now_ns: int) -> int:
        """Children sent under ``parent/…``, ``instrument/…`` or ``venue/…`` within the last second."""
        rate = self._rates.get(key)
        return 0 if rate is None else sum(count for at_ns, count in rate.sent if at_ns > now_ns - NS_PER_S)

    def open_value(self, instrument: str) -> int:
        """1e-9 currency, both sides together."""
        entry = self._open.get(instrument)
        return 0 if entry is None else entry.value

    def repeats(self, child: ChildOrder) -> int:
        """How many executed children in a row were the same as this one; without end once it was refused for that."""
        last = self._repeats.get(child.parent_id)
        if last is None:
            return 0
        return _WITHOUT_END if last.disabled else self._next_count(last, child)

    def disable(self, parent_id: str) -> None:
        """The same child was executed too often: nothing more for this parent until the desk's RESUME."""
        last = self._repeats.get(parent_id)
        if last is not None and not last.disabled:
            last.disabled = True
            self._repeats.put(parent_id, last)

    def sent(self, child: ChildOrder, now_ns: int) -> None:
        """A child has left."""
        for key in (f"parent/{child.parent_id}", f"instrument/{child.instrument}", f"venue/{child.venue}"):
            rate = self._rates.get(key) or SentRate()
            recent = [(at_ns, count) for at_ns, count in rate.sent if at_ns > now_ns - NS_PER_S]
            if recent and recent[-1][0] == now_ns:
                recent[-1] = (now_ns, recent[-1][1] + 1)
            else:
                recent.append((now_ns, 1))
            self._rates.put(key, SentRate(recent))
        last = self._repeats.get(child.parent_id)
        count = 0 if last is None else self._next_count(last, child)
        self._repeats.put(child.parent_id, Repeats(_signature(child), child.sent_ns, False, count, child.instrument))

    def executed(self, parent_id: str) -> None:
        """A child of the parent has executed."""
        last = self._repeats.get(parent_id)
        if last is not None and not last.executed:
            last.executed = True
            self._repeats.put(parent_id, last)

    def opened(self, instrument: str, value: int) -> None:
        """Open value of an instrument changes by ``value``."""
        if value:
            self._open.put(instrument, OpenValue(self.open_value(instrument) + value))

    def forget(self, parent_id: str) -> None:
        """Drop what is counted of a parent that has ended."""
        if f"parent/{parent_id}" in self._rates:
            self._rates.remove(f"parent/{parent_id}")
        if parent_id in self._repeats:
            self._repeats.remove(parent_id)

    def on_control(self, control: Control) -> None:
        """The desk has looked: RESUME allows what was repeated too often."""
        if control.kind is not ControlKind.RESUME:
            return
        for parent_id in self._repeats.keys():
            entry = self._repeats[parent_id]
            named = {
                ControlScope.ALL: True,
                ControlScope.PARENT: control.scope_id == parent_id,
                ControlScope.INSTRUMENT: control.scope_id == entry.instrument,
            }
            if named.get(control.scope, False):
                self._repeats.put(parent_id, Repeats(instrument=entry.instrument))

    def _next_count(self, last: Repeats, child: ChildOrder) -> int:
        if last.signature != _signature(child) or child.sent_ns - last.sent_ns >= self._repeat_ns:
            return 0
        return last.count + 1 if last.executed else last.count


def _signature(child: ChildOrder) -> str:
    return f"{child.venue}/{child.side}/{child.order_qty}/{child.ord_type}/{child.limit_px}"
