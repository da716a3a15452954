"""The prints of the day that stand, by event time: kept in chunks of a minute, corrected when the feed corrects them.

Which prints stand is said by :mod:`pipeline.stages.shared.print_identity`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from pipeline.domain.dates import as_trade_date, date_of, is_date
from pipeline.domain.market import TradePrint
from pipeline.domain.units import NS_PER_S
from pipeline.stages.shared.print_identity import DAY_NS, Applied, KeptPrint, NeverCame, PrintIdentity
from pipeline.stages.shared.print_sums import TapeSums
from pipeline.state import Entry, State

MINUTE_NS: Final = 60 * NS_PER_S
_CHUNK: Final = 64
"""Prints in an entry. A changed entry is written whole, so the prints of a busy minute are spread over several."""


class PrintChunk(Entry):
    """Some prints of one minute."""

    prints: list[KeptPrint] = []


class Minute(Entry):
    """A minute of an instrument and the number of its chunks."""

    instrument: str
    start_ns: int
    chunks: int = 1


class TapeChange(NamedTuple):
    """What a print, its cancel or correction has changed.

    ``minutes``: the minutes that changed and by how much their eligible volume did, [(start of the minute in ns,
    quantity)]; empty for a repeat. ``applied``: the prints themselves, and what was wrong.
    """

    minutes: list[tuple[int, int]]
    applied: Applied


def minute_of(event_ns: int) -> int:
    """Start of the minute that holds ``event_ns``, in ns as it is."""
    return event_ns // MINUTE_NS * MINUTE_NS


def trade_date_of(event_ns: int) -> int:
    """The UTC date of ``event_ns`` as yyyymmdd: the exchange's trade date where no session crosses midnight UTC."""
    return as_trade_date(datetime.fromtimestamp(event_ns // NS_PER_S, tz=UTC))


class Tape:
    """The prints of a task; keeps its tables in ``state``.

    ``sums`` are running totals to be kept up to date with them. Its owner calls :meth:`restored` after a restore.
    """

    def __init__(self, state: State, sums: TapeSums | None = None) -> None:
        self._sums = sums
        self._minutes = state.table("minutes", Minute)
        self._chunks = state.table("chunks", PrintChunk)
        self._identity = PrintIdentity(state)
        self._starts: dict[str, list[int]] = {}
        """Starts of the minutes kept by instrument, ascending; derived from the table."""

    def apply(self, trade: TradePrint) -> TapeChange:
        """Apply a print, its cancel or correction."""
        applied = self._identity.apply(trade)
        minutes: list[tuple[int, int]] = []
        for kept in applied.off:
            self._remove(trade.instrument, kept)
            minutes.append((minute_of(kept.event_ns), -kept.qty if kept.volume else 0))
        for kept in applied.on:
            self._add(trade.instrument, kept)
            minutes.append((minute_of(kept.event_ns), kept.qty if kept.volume else 0))
        return TapeChange(minutes, applied)

    def minute(self, instrument: str, minute_ns: int) -> Iterator[KeptPrint]:
        """The prints of the minute that starts at ``minute_ns``, in the order they came, without cancelled ones."""
        key = f"{instrument}@{minute_ns}"
        minute = self._minutes.get(key)
        for number in range(0 if minute is None else minute.chunks):
            yield from self._chunks[_chunk_key(key, number)].prints

    def last_sale(self, instrument: str) -> KeptPrint | None:
        """The last of the prints kept that may be the last sale, by event time; None when there is none."""
        for start_ns in reversed(self._starts.get(instrument, [])):
            sales = [kept for kept in self.minute(instrument, start_ns) if kept.last]
            if sales:
                return max(sales, key=lambda kept: kept.order)
        return None

    def forget_before(self, trade_date: int) -> list[NeverCame]:
        """Drop the prints of days before ``trade_date`` (yyyymmdd). Says what was cancelled or corrected in vain."""
        day = _day_no(trade_date)
        for key in self._minutes.keys():
            minute = self._minutes[key]
            if minute.start_ns // DAY_NS >= day:
                continue
            for number in range(minute.chunks):
                self._chunks.remove(_chunk_key(key, number))
            self._minutes.remove(key)
        never = self._identity.forget_before(day)
        self._derive()
        return never

    def restored(self) -> None:
        """Rebuild what is derived from the prints kept."""
        self._identity.restored()
        self._derive()

    def _derive(self) -> None:
        self._starts = {}
        for key in self._minutes.keys():
            minute = self._minutes.peek(key)
            insort(self._starts.setdefault(minute.instrument, []), minute.start_ns)
        if self._sums is None:
            return
        self._sums.clear()
        prints = [
            (kept.event_ns, minute.instrument, kept.px, kept.qty)
            for minute in (self._minutes[key] for key in self._minutes.keys())
            for kept in self.minute(minute.instrument, minute.start_ns)
            if kept.vwap
        ]
        for event_ns, instrument, px, qty in sorted(prints):
            self._sums.add(instrument, event_ns, px, qty)

    def _add(self, instrument: str, kept: KeptPrint) -> None:
        start_ns = minute_of(kept.event_ns)
        key = f"{instrument}@{start_ns}"
        minute = self._minutes.get(key)
        if minute is None:
            minute = Minute(instrument, start_ns)
            self._minutes.put(key, minute)
            insort(self._starts.setdefault(instrument, []), start_ns)
        chunk = self._chunks.get(_chunk_key(key, minute.chunks - 1)) or PrintChunk()
        if len(chunk.prints) >= _CHUNK:
            chunk = PrintChunk()
            minute.chunks += 1
            self._minutes.put(key, minute)
        chunk.prints.append(kept)
        self._chunks.put(_chunk_key(key, minute.chunks - 1), chunk)
        if self._sums is not None and kept.vwap:
            self._sums.add(instrument, kept.event_ns, kept.px, kept.qty)

    def _remove(self, instrument: str, kept: KeptPrint) -> None:
        key = f"{instrument}@{minute_of(kept.event_ns)}"
        for number in range(self._minutes[key].chunks):
            chunk = self._chunks[_chunk_key(key, number)]
            left = [each for each in chunk.prints if each.print_id != kept.print_id]
            if len(left) < len(chunk.prints):
                self._chunks.put(_chunk_key(key, number), PrintChunk(left))
        if self._sums is not None and kept.vwap:
            self._sums.add(instrument, kept.event_ns, kept.px, -kept.qty)


def _chunk_key(minute: str, number: int) -> str:
    return f"{minute}@{number}"


def _day_no(trade_date: int) -> int:
    """Days since 1970 of a date (yyyymmdd); 0, so that nothing is forgotten, for what is no date."""
    return (date_of(trade_date) - date(1970, 1, 1)).days if is_date(trade_date) else 0
