"""Slicing on the bench, second by second, each slice executed whole: for the tests of findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pipeline.domain.controls import Alert, AlertKind, TickKind
from pipeline.domain.executions import FillKind
from pipeline.domain.orders import Side
from pipeline.domain.parents import Slice, SliceKind, Style
from pipeline.domain.record import Owned, Record
from pipeline.domain.units import NS_PER_S
from pipeline.stages.slicing.parameters import SlicingParameters
from pipeline.stages.slicing.stage import SlicingStage
from pipeline.stages.slicing.state import SlicingState
from tests.stage_bench import Bench
from tests.unit.stages.slicing.test_stage import T0, fill, opened, quote, s, trade


class Told(NamedTuple):
    """An alert that a parent is at risk, or its FINISH: the reason or FINISH, and the second at which it came."""

    name: str
    second: int


class Desk:
    """A bench at an open market, quoted 99.99 / 100.01 at each second; slices are executed whole and at once."""

    def __init__(self, parameters: SlicingParameters = SlicingParameters()) -> None:  # noqa: B008 - a frozen constant
        self.bench: Bench[SlicingState] = opened(Bench(SlicingStage(parameters), swap_every=0))
        self.executed: dict[str, list[tuple[int, int]]] = {}
        """By parent: (second, units)."""
        self.slices: list[Slice] = []
        self.told: list[Told] = []
        self.done_when_over = 0
        self.answers = True
        """Whether slices are executed; else they come back whole."""
        self.prints_own = True
        """Whether the tape has our executions."""
        self.printed_qty = 0
        self._prints: list[int] = []

    def second(self) -> int:
        return (self.bench.state.now_ns - T0) // NS_PER_S

    def feed(self, *records: Record) -> None:
        self._read(self.bench.feed(*records))

    def run(self, until: int, every: int = 1, quotes: bool = True, kind: TickKind = TickKind.TICK) -> None:
        """Tick on, to second ``until`` and with it."""
        for second in range(self.second() + every, until + 1, every):
            if quotes:
                self.feed(quote(second))
            self._read(self.bench.tick(s(second), kind=kind))

    def print(self, qty: int) -> None:
        """A trade in the market, now."""
        self.printed_qty += qty
        self.feed(trade(self.second(), qty, len(self._prints)))
        self._prints.append(qty)

    def done(self, since: int = 0, until: int = 10**6, parent_id: str = "P1") -> int:
        """Units executed in seconds ``since`` to ``until``, both included."""
        return sum(qty for second, qty in self.executed.get(parent_id, []) if since <= second <= until)

    def alerts(self) -> list[Told]:
        return [each for each in self.told if each.name != "FINISH"]

    def finish(self) -> int:
        """The second at which the parent ended."""
        (only,) = [each.second for each in self.told if each.name == "FINISH"]
        return only

    def _read(self, records: Iterable[Owned]) -> None:
        for record in records:
            if isinstance(record, Alert) and record.kind is AlertKind.COMPLETION_AT_RISK:
                self.told.append(Told(record.reason, self.second()))
            elif isinstance(record, Slice):
                self._on_slice(record)

    def _on_slice(self, slice_: Slice) -> None:
        of: dict[str, Any] = {"parent_id": slice_.parent_id, "side": slice_.side, "epoch_no": slice_.epoch_no}
        if slice_.kind is SliceKind.FINISH:
            self.told.append(Told("FINISH", self.second()))
            self.done_when_over = self.done()
            self.feed(fill(FillKind.QUIET, slice_.slice_no, final=True, **of))
        elif slice_.kind is SliceKind.SLICE:
            self.slices.append(slice_)
            if not self.answers:
                self.feed(fill(FillKind.RETURNED, slice_.slice_no, slice_.qty, **of))
                return
            self.executed.setdefault(slice_.parent_id, []).append((self.second(), slice_.qty))
            if self.prints_own:
                self.print(slice_.qty)
            self.feed(
                fill(FillKind.TRADE, slice_.slice_no, slice_.qty, **of),
                fill(FillKind.RETURNED, slice_.slice_no, 0, **of),
            )


BOTH_SIDES = (Side.BUY, Side.SELL)

__all__ = ["BOTH_SIDES", "Desk", "Style", "Told"]
