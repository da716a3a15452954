"""Each day's volume by minute, and today's volume curve, estimated from the sessions before it.

Volume is kept by the minute it was traded in and counted from each session's own opening only when a curve is made:
so neither a clock change, nor a session that crosses midnight UTC, nor a history told before its sessions, moves it.
"""

from __future__ import annotations

from pipeline.algos import volume_curve
from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.int64 import nearest
from pipeline.domain.reference import Instrument
from pipeline.stages.analytics.sessions import Sessions, TradingSession
from pipeline.stages.shared.print_tape import MINUTE_NS, minute_of, trade_date_of
from pipeline.state import Entry, State

_DAY_NS = 1440 * MINUTE_NS
_BINS_MOST = 7 * 1440
"""The longest session a curve is made of, in minutes: a week."""


class VolumeDay(Entry):
    """Volume per minute of one UTC day: [(minute of the day, quantity)], by minute."""

    volumes: list[tuple[int, int]] = []


class Days(Entry):
    """The UTC days kept of an instrument (yyyymmdd, ascending), and version, day and session of the last curve made."""

    dates: list[int] = []
    version: int = 0
    curve_date: int = 0
    curve_open_ns: int = 0
    curve_close_ns: int = 0


class VolumeDays:
    """The volumes of a task's instruments over ``days_kept`` earlier sessions; keeps its tables in ``state``."""

    def __init__(self, state: State, sessions: Sessions, days_kept: int, quiet_tail_ppm: int) -> None:
        self._sessions = sessions
        self._quiet_tail_ppm = quiet_tail_ppm
        self._day = state.table("day", VolumeDay)
        self._days = state.table("days", Days)
        self._days_kept = days_kept
        # A session may touch two UTC days; today is one more.
        self._dates_most = 2 * days_kept + 2

    def add(self, instrument: str, minute_ns: int, qty: int) -> None:
        """Add ``qty`` of eligible volume to the minute that starts at ``minute_ns``; a negative one takes it off."""
        date = trade_date_of(minute_ns)
        days = self._days.get(instrument) or Days()
        if date not in days.dates:
            self._keep(instrument, days, sorted([*days.dates, date])[-self._dates_most :])
            if date not in days.dates:
                return  # older than every day kept
        key = f"{instrument}@{date}"
        day = self._day.get(key) or VolumeDay()
        minute = minute_ns % _DAY_NS // MINUTE_NS
        volumes = dict(day.volumes)
        volumes[minute] = nearest(volumes.get(minute, 0) + qty)
        self._day.put(key, VolumeDay(sorted(volumes.items())))

    def curve_for(self, instrument: Instrument, trade_date: int) -> VolumeCurve | None:
        """Today's curve from the full sessions before ``trade_date`` (yyyymmdd), flat when there are none.

        A day whose session no record has told is left out, and so is one that was shorter than today's; of a longer one
        (today is a half day) the part from its opening counts. None when the curve of today's session was made already
        (it is made again when the session's hours change), before the first tick, and for a session longer than a week.
        """
        days = self._days.get(instrument.instrument) or Days()
        open_ns, close_ns = instrument.session_open_ns, instrument.session_close_ns
        bins = -(-(close_ns - open_ns) // MINUTE_NS)
        made = (days.curve_date, days.curve_open_ns, days.curve_close_ns)
        if trade_date == 0 or made == (trade_date, open_ns, close_ns) or not 1 <= bins <= _BINS_MOST:
            return None
        earlier = self._sessions.before(instrument.instrument, trade_date, self._days_kept)
        if len(earlier) == self._days_kept:
            first = trade_date_of(earlier[0].open_ns)
            self._keep(instrument.instrument, days, [date for date in days.dates if date >= first])
        past = [self._bins(instrument.instrument, each, bins) for each in earlier if _minutes(each) >= bins]
        full = [day for day in past if volume_curve.is_full_day(day, bins, self._quiet_tail_ppm)]
        days.curve_date, days.curve_open_ns, days.curve_close_ns = trade_date, open_ns, close_ns
        days.version += 1
        self._days.put(instrument.instrument, days)
        return VolumeCurve(
            instrument=instrument.instrument,
            version=days.version,
            trade_date=trade_date,
            day_start_ns=open_ns,
            bin_ns=MINUTE_NS,
            fractions=volume_curve.build_curve(full, bins, self._quiet_tail_ppm)
            if full
            else volume_curve.flat_curve(bins),
            day_count=len(full),
            daily_volume_qty=sum(map(sum, full)) // len(full) if full else instrument.daily_volume_qty,
        )

    def _keep(self, instrument: str, days: Days, dates: list[int]) -> None:
        """Keep these UTC days only."""
        for old in days.dates:
            if old not in dates and f"{instrument}@{old}" in self._day:
                self._day.remove(f"{instrument}@{old}")
        days.dates = dates
        self._days.put(instrument, days)

    def _bins(self, instrument: str, session: TradingSession, count: int) -> list[int]:
        """Volume of the session's first ``count`` minutes, from its own opening."""
        found: list[int] = []
        volumes: dict[int, int] = {}
        read = 0
        for number in range(count):
            minute_ns = minute_of(session.open_ns) + number * MINUTE_NS
            date = trade_date_of(minute_ns)
            if date != read:
                day = self._day.get(f"{instrument}@{date}")
                volumes, read = dict(day.volumes) if day is not None else {}, date
            found.append(max(0, volumes.get(minute_ns % _DAY_NS // MINUTE_NS, 0)))
        return found


def _minutes(session: TradingSession) -> int:
    return -(-(session.close_ns - session.open_ns) // MINUTE_NS)
