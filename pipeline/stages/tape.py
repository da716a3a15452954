"""The prints of the day, by event time: kept in chunks of a minute, corrected when the feed corrects them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pipeline.domain.market import PrintKind, TradePrint
from pipeline.domain.units import NS_PER_S
from pipeline.stages.stage import Entry, State

MINUTE_NS: Final = 60 * NS_PER_S
_CHUNK: Final = 64
"""Prints in an entry: a changed entry is written whole, so a busy minute must not be one."""


class KeptPrint(Entry):
    """A print that stands."""

    print_id: str
    event_ns: int
    px: int
    qty: int
    last: bool
    volume: bool
    vwap: bool


class Chunk(Entry):
    """Some prints of one minute."""

    prints: list[KeptPrint] = []


class Total(NamedTuple):
    """What the prints of a chunk that count for a VWAP add up to."""

    first_ns: int
    last_ns: int
    qty: int
    money: int


class Minute(Entry):
    """A minute of an instrument and how many chunks it has."""

    instrument: str
    start_ns: int
    chunks: int = 1


class Place(Entry):
    """Where a print is kept."""

    minute: str
    chunk: int


def minute_of(event_ns: int) -> int:
    """Start of the minute of a moment."""
    return event_ns // MINUTE_NS * MINUTE_NS


def trade_date_of(event_ns: int) -> int:
    """The UTC date of a moment as yyyymmdd: the exchange's own where no session crosses midnight UTC."""
    moment = datetime.fromtimestamp(event_ns // NS_PER_S, tz=UTC)
    return moment.year * 10_000 + moment.month * 100 + moment.day


class Tape:
    """The tables of prints."""

    def __init__(self, state: State) -> None:
        self._minutes = state.table("minutes", Minute)
        self._chunks = state.table("chunks", Chunk)
        self._places = state.table("places", Place)
        self._totals: dict[str, Total] = {}
        """Of chunks, as they were asked for. Derived: a chunk that changes loses its total."""

    def apply(self, trade: TradePrint) -> list[tuple[int, int]]:
        """Take in a print, its cancel or correction.

        Returns the minutes it changed with the change of their eligible volume: [(minute start, quantity)]; empty
        for a repeat, and for a correction of what is not kept any more.
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
        """The prints that stand in a minute, in the order they came."""
        key = f"{instrument}@{minute_ns}"
        minute = self._minutes.get(key)
        for number in range(0 if minute is None else minute.chunks):
            yield from self._chunks[_chunk_key(key, number)].prints

    def traded(self, instrument: str, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Quantity and money of the prints that count for a VWAP, with start <= event time <= end."""
        qty = money = 0
        for minute_ns in range(minute_of(start_ns), end_ns + 1, MINUTE_NS):
            key = f"{instrument}@{minute_ns}"
            minute = self._minutes.get(key)
            for number in range(0 if minute is None else minute.chunks):
                chunk_key = _chunk_key(key, number)
                total = self._totals.get(chunk_key) or self._total(chunk_key)
                if start_ns <= total.first_ns and total.last_ns <= end_ns:
                    qty += total.qty
                    money += total.money
                else:
                    for kept in self._chunks[chunk_key].prints:
                        if kept.vwap and start_ns <= kept.event_ns <= end_ns:
                            qty += kept.qty
                            money += kept.qty * kept.px
        return qty, money

    def _total(self, chunk_key: str) -> Total:
        prints = [kept for kept in self._chunks[chunk_key].prints if kept.vwap]
        times = [kept.event_ns for kept in prints]
        money = sum(kept.qty * kept.px for kept in prints)
        total = Total(min(times, default=0), max(times, default=0), sum(kept.qty for kept in prints), money)
        self._totals[chunk_key] = total
        return total

    def forget_before(self, trade_date: int) -> None:
        """Drop the prints of days before ``trade_date``."""
        for key in self._minutes.keys():
            minute = self._minutes[key]
            if trade_date_of(minute.start_ns) >= trade_date:
                continue
            for number in range(minute.chunks):
                for kept in self._chunks[_chunk_key(key, number)].prints:
                    self._places.remove(f"{minute.instrument}@{kept.print_id}")
                self._chunks.remove(_chunk_key(key, number))
                self._totals.pop(_chunk_key(key, number), None)
            self._minutes.remove(key)

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
        chunk = self._chunks.get(_chunk_key(key, minute.chunks - 1)) or Chunk()
        if len(chunk.prints) >= _CHUNK:
            chunk = Chunk()
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
        chunk.prints = [*chunk.prints, kept]
        self._chunks.put(_chunk_key(key, minute.chunks - 1), chunk)
        self._totals.pop(_chunk_key(key, minute.chunks - 1), None)
        self._places.put(place_key, Place(key, minute.chunks - 1))
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
        self._totals.pop(chunk_key, None)
        self._places.remove(f"{instrument}@{print_id}")
        return removed


def _chunk_key(minute: str, number: int) -> str:
    return f"{minute}@{number}"
