"""The gate's own counters: children sent in the last second, open value by instrument, repeated executions.

Rates and repeats are counted from what is sent. Open value follows the exposure ledger.
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
    """Children sent in the last second: (session time, count), oldest first."""

    sent: list[tuple[int, int]] = msgspec.field(default_factory=list)


class OpenValue(Entry):
    """Open value of an instrument, 1e-9 currency units."""

    value: int = 0


class Repeats(Entry):
    """The last child of a parent, and how many like it were executed in a row before it."""

    signature: str = ""
    sent_ns: int = 0
    executed: bool = False
    count: int = 0
    instrument: str = ""
    disabled: bool = False
    """A child was refused as a repeated execution: only the desk's RESUME allows the parent again."""


class GateBook:
    """The counters of a task; keeps its tables in ``state``. ``repeat_ns``: a later child is no repeat."""

    def __init__(self, state: State, repeat_ns: int) -> None:
        self._repeat_ns = repeat_ns
        self._rates = state.table("gate-rates", SentRate)
        self._open = state.table("gate-open", OpenValue)
        self._repeats = state.table("gate-repeats", Repeats)

    def sent_within_a_second(self, key: str, now_ns: int) -> int:
        """Children sent within the last second for ``key``: ``parent/…``, ``instrument/…`` or ``venue/…``."""
        rate = self._rates.get(key)
        return 0 if rate is None else sum(count for at_ns, count in rate.sent if at_ns > now_ns - NS_PER_S)

    def open_value(self, instrument: str) -> int:
        """1e-9 currency, both sides together."""
        entry = self._open.get(instrument)
        return 0 if entry is None else entry.value

    def repeats(self, child: ChildOrder) -> int:
        """How many executed children in a row were like this one; more than any limit once one was refused for it."""
        last = self._repeats.get(child.parent_id)
        if last is None:
            return 0
        return _WITHOUT_END if last.disabled else self._next_count(last, child)

    def disable(self, parent_id: str) -> None:
        """Stop this parent until the desk's RESUME: like children were executed too often in a row."""
        last = self._repeats.get(parent_id)
        if last is not None and not last.disabled:
            last.disabled = True
            self._repeats.put(parent_id, last)

    def sent(self, child: ChildOrder, now_ns: int) -> None:
        """Count a child that is being sent."""
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
        """Note that the parent's last child has executed."""
        last = self._repeats.get(parent_id)
        if last is not None and not last.executed:
            last.executed = True
            self._repeats.put(parent_id, last)

    def opened(self, instrument: str, value: int) -> None:
        """Change the open value of an instrument by ``value``, 1e-9 currency units."""
        if value:
            self._open.put(instrument, OpenValue(self.open_value(instrument) + value))

    def forget(self, parent_id: str) -> None:
        """Drop the counters of a parent that has ended."""
        if f"parent/{parent_id}" in self._rates:
            self._rates.remove(f"parent/{parent_id}")
        if parent_id in self._repeats:
            self._repeats.remove(parent_id)

    def on_control(self, control: Control) -> None:
        """The desk's RESUME allows parents again that were stopped for repeats."""
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
