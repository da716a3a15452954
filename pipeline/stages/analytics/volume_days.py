"""Each day's volume by minute, and today's volume curve, estimated from the days before it."""

from __future__ import annotations

from pipeline.algos import volume_curve
from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.int64 import nearest
from pipeline.domain.reference import Instrument
from pipeline.stages.shared.print_tape import MINUTE_NS, trade_date_of
from pipeline.state import Entry, State

_DAY_NS = 1440 * MINUTE_NS


class VolumeDay(Entry):
    """Volume per minute of one day: [(minute of the day in UTC, quantity)], by minute."""

    volumes: list[tuple[int, int]] = []


class Days(Entry):
    """The days kept of an instrument (yyyymmdd, ascending), and version and day of the last curve made."""

    dates: list[int] = []
    version: int = 0
    curve_date: int = 0


class VolumeDays:
    """The volumes of a task's instruments over ``days_kept`` earlier days; keeps its tables in ``state``."""

    def __init__(self, state: State, days_kept: int, quiet_tail_ppm: int) -> None:
        self._quiet_tail_ppm = quiet_tail_ppm
        self._day = state.table("day", VolumeDay)
        self._days = state.table("days", Days)
        self._days_kept = days_kept

    def add(self, instrument: str, minute_ns: int, qty: int) -> None:
        """Add ``qty`` of eligible volume to the minute that starts at ``minute_ns``; a negative one takes it off."""
        date = trade_date_of(minute_ns)
        days = self._days.get(instrument) or Days()
        if date not in days.dates:
            dates = sorted([*days.dates, date])
            for old in dates[: -self._days_kept - 1]:
                if f"{instrument}@{old}" in self._day:
                    self._day.remove(f"{instrument}@{old}")
            days.dates = dates[-self._days_kept - 1 :]
            self._days.put(instrument, days)
            if date not in days.dates:
                return  # older than every day kept
        key = f"{instrument}@{date}"
        day = self._day.get(key) or VolumeDay()
        minute = minute_ns % _DAY_NS // MINUTE_NS
        volumes = dict(day.volumes)
        volumes[minute] = nearest(volumes.get(minute, 0) + qty)
        self._day.put(key, VolumeDay(sorted(volumes.items())))

    def curve_for(self, instrument: Instrument, trade_date: int) -> VolumeCurve | None:
        """Today's curve from the full days before ``trade_date`` (yyyymmdd), flat when there are none.

        None when today's curve was made already, or before the first tick.
        """
        days = self._days.get(instrument.instrument) or Days()
        if days.curve_date == trade_date or trade_date == 0:
            return None
        open_minute = instrument.session_open_ns % _DAY_NS // MINUTE_NS
        bins = (instrument.session_close_ns - instrument.session_open_ns) // MINUTE_NS
        past = [self._bins(instrument.instrument, date, open_minute, bins) for date in days.dates if date < trade_date]
        full = [day for day in past if volume_curve.is_full_day(day, bins, self._quiet_tail_ppm)]
        days.curve_date = trade_date
        days.version += 1
        self._days.put(instrument.instrument, days)
        return VolumeCurve(
            instrument=instrument.instrument,
            version=days.version,
            trade_date=trade_date,
            day_start_ns=instrument.session_open_ns,
            bin_ns=MINUTE_NS,
            fractions=volume_curve.build_curve(full, bins, self._quiet_tail_ppm)
            if full
            else volume_curve.flat_curve(bins),
            day_count=len(full),
            daily_volume_qty=sum(map(sum, full)) // len(full) if full else instrument.daily_volume_qty,
        )

    def _bins(self, instrument: str, date: int, open_minute: int, count: int) -> list[int]:
        day = self._day.get(f"{instrument}@{date}")
        volumes = dict(day.volumes) if day is not None else {}
        return [max(0, volumes.get(open_minute + number, 0)) for number in range(count)]
