"""The prints of the day, by event time: kept in chunks of a minute, corrected when the feed corrects them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from pipeline.domain.market import PrintKind, TradePrint
from pipeline.domain.units import NS_PER_S
from pipeline.stages.shared.print_sums import TapeSums
from pipeline.state import Entry, State

MINUTE_NS: Final = 60 * NS_PER_S
_CHUNK: Final = 64
"""Prints in an entry. A changed entry is written whole, so the prints of a busy minute are spread over several."""


class KeptPrint(Entry):
    """A print that was not cancelled, and whether it counts for the last price, the volume and the VWAP."""

    print_id: str
    event_ns: int
    px: int
    qty: int
    last: bool
    volume: bool
    vwap: bool


class PrintChunk(Entry):
    """Some prints of one minute."""

    prints: list[KeptPrint] = []


class Minute(Entry):
    """A minute of an instrument and the number of its chunks."""

    instrument: str
    start_ns: int
    chunks: int = 1


class PrintPlace(Entry):
    """The minute and the chunk in which a print is kept."""

    minute: str
    chunk: int


def minute_of(event_ns: int) -> int:
    """Start of the minute that holds ``event_ns``, in ns as it is."""
    return event_ns // MINUTE_NS * MINUTE_NS


def trade_date_of(event_ns: int) -> int:
    """The UTC date of ``event_ns`` as yyyymmdd: the exchange's trade date where no session crosses midnight UTC."""
    moment = datetime.fromtimestamp(event_ns // NS_PER_S, tz=UTC)
    return moment.year * 10_000 + moment.month * 100 + moment.day


class Tape:
    """The prints of a task; keeps its tables in ``state``.

    ``sums`` are running totals to be kept up to date with them. Whoever passes them also calls :meth:`restored` after
    a restore.
    """

    def __init__(self, state: State, sums: TapeSums | None = None) -> None:
        self._sums = sums
        self._minutes = state.table("minutes", Minute)
        self._chunks = state.table("chunks", PrintChunk)
        self._places = state.table("places", PrintPlace)

    def apply(self, trade: TradePrint) -> list[tuple[int, int]]:
        """Apply a print, its cancel or correction.

        Returns the minutes that changed and by how much their eligible volume did: [(start of the minute in ns,
        quantity)]. Empty for a duplicate, and for a cancel or correction of a print that is not kept.
        """
        changes: list[tuple[int, int]] = []
        if trade.kind in (PrintKind.CANCEL, PrintKind.CORRECT) and trade.ref_print_id is not None:
            removed = self._remove(trade.instrument, f"{trade.venue}@{trade.ref_print_id}")
            if removed is None:
                return changes
            changes.append((minute_of(removed.event_ns), -removed.qty if removed.volume else 0))
        if trade.kind in (PrintKind.TRADE, PrintKind.CORRECT) and self._add(trade):
            changes.append((minute_of(trade.event_ns), trade.qty if trade.eligible_volume else 0))
        return changes

    def minute(self, instrument: str, minute_ns: int) -> Iterator[KeptPrint]:
        """The prints of the minute that starts at ``minute_ns``, in the order they came, without cancelled ones."""
        key = f"{instrument}@{minute_ns}"
        minute = self._minutes.get(key)
        for number in range(0 if minute is None else minute.chunks):
            yield from self._chunks[_chunk_key(key, number)].prints

    def forget_before(self, trade_date: int) -> None:
        """Drop the prints of days before ``trade_date`` (yyyymmdd)."""
        for key in self._minutes.keys():
            minute = self._minutes[key]
            if trade_date_of(minute.start_ns) >= trade_date:
                continue
            for number in range(minute.chunks):
                for kept in self._chunks[_chunk_key(key, number)].prints:
                    self._places.remove(f"{minute.instrument}@{kept.print_id}")
                self._chunks.remove(_chunk_key(key, number))
            self._minutes.remove(key)
        self.restored()

    def restored(self) -> None:
        """Rebuild the running totals from the prints kept."""
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

    def _add(self, trade: TradePrint) -> bool:
        print_id = f"{trade.venue}@{trade.print_id}"
        place_key = f"{trade.instrument}@{print_id}"
        if place_key in self._places:
            return False
        start_ns = minute_of(trade.event_ns)
        key = f"{trade.instrument}@{start_ns}"
        minute = self._minutes.get(key)
        if minute is None:
            minute = Minute(trade.instrument, start_ns)
            self._minutes.put(key, minute)
        chunk = self._chunks.get(_chunk_key(key, minute.chunks - 1)) or PrintChunk()
        if len(chunk.prints) >= _CHUNK:
            chunk = PrintChunk()
            minute.chunks += 1
            self._minutes.put(key, minute)
        kept = KeptPrint(
            print_id,
            trade.event_ns,
            trade.px,
            trade.qty,
            trade.eligible_last,
            trade.eligible_volume,
            trade.eligible_vwap,
        )
        chunk.prints.append(kept)
        self._chunks.put(_chunk_key(key, minute.chunks - 1), chunk)
        self._places.put(place_key, PrintPlace(key, minute.chunks - 1))
        if self._sums is not None and kept.vwap:
            self._sums.add(trade.instrument, kept.event_ns, kept.px, kept.qty)
        return True

    def _remove(self, instrument: str, print_id: str) -> KeptPrint | None:
        place = self._places.get(f"{instrument}@{print_id}")
        if place is None:
            return None
        chunk_key = _chunk_key(place.minute, place.chunk)
        chunk = self._chunks[chunk_key]
        removed = next(kept for kept in chunk.prints if kept.print_id == print_id)
        chunk.prints = [kept for kept in chunk.prints if kept is not removed]
        self._chunks.put(chunk_key, chunk)
        self._places.remove(f"{instrument}@{print_id}")
        if self._sums is not None and removed.vwap:
            self._sums.add(instrument, removed.event_ns, removed.px, -removed.qty)
        return removed


def _chunk_key(minute: str, number: int) -> str:
    return f"{minute}@{number}"
