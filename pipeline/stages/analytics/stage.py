"""Analytics: market and venue statistics that decisions use, exact and by event time alone.

- Reads: prints, nbbo, child-orders, fills, instruments, clock.
- Keeps: today's prints by minute (until the day has passed), earlier sessions and their volumes, children that may
  still be filled.
- Writes: bars (a late, cancelled or corrected print makes a new revision), volume-curves (from earlier days only),
  venue-scores per minute, reference-prices.
- Refuses: nothing. A cancel or correction of a print that is not kept is ignored: no bar contains that print.
- Conserves: a minute's volume is the sum of its prints after cancels and corrections; a curve adds up to 1,000,000,000.

The trading date of a minute is that of its session, told by the instrument's record of that day (`sessions.py`).

First form: a curve is not re-estimated during the day.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pipeline.domain.analytics import Bar, VenueScore, VolumeCurve
from pipeline.domain.controls import Tick
from pipeline.domain.executions import ChildOrder, Fill
from pipeline.domain.market import NBBO, ReferencePrice, TradePrint
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import Instrument
from pipeline.stage import Meta, Stage
from pipeline.stages.analytics.minute_bars import MinuteBars
from pipeline.stages.analytics.parameters import AnalyticsParameters
from pipeline.stages.analytics.sessions import Sessions
from pipeline.stages.analytics.venue_scores import VenueScores
from pipeline.stages.analytics.volume_days import VolumeDays
from pipeline.stages.shared import reference_data
from pipeline.state import Entry, State, Task


class Midpoint(Entry):
    """The latest midpoint of an instrument and the last one published."""

    px: int
    quote_ns: int
    published_px: int = 0
    published_ns: int = 0


class AnalyticsState(State):
    """Instruments, midpoints, minute bars, daily volumes and venue scores."""

    def __init__(self, task: Task, parameters: AnalyticsParameters) -> None:
        super().__init__(task)
        self.instruments = reference_data.instruments(self)
        self.midpoints = self.table("midpoints", Midpoint)
        self.sessions = Sessions(self)
        self.bars = MinuteBars(self, self.sessions, parameters.bars_per_tick)
        self.days = VolumeDays(self, self.sessions, parameters.days_kept, parameters.quiet_tail_ppm)
        self.scores = VenueScores(self)


class AnalyticsStage(Stage[AnalyticsState]):
    """Bars, curves and scorecards that decisions read."""

    name: ClassVar[str] = "analytics"
    title: ClassVar[str] = "one-minute bars, volume curves, venue scores and reference prices"
    reads: ClassVar[tuple[type[Record], ...]] = (TradePrint, NBBO, ChildOrder, Fill, Instrument, Tick)
    writes: ClassVar[tuple[type[Owned], ...]] = (Bar, VolumeCurve, VenueScore, ReferencePrice)

    parameters: AnalyticsParameters

    def __init__(self, parameters: AnalyticsParameters = AnalyticsParameters()) -> None:  # noqa: B008 - frozen
        self.parameters = parameters

    def new_state(self, task: Task) -> AnalyticsState:
        return AnalyticsState(task, self.parameters)

    def step(self, state: AnalyticsState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case TradePrint():
                for minute_ns, volume_change in state.bars.apply(message):
                    if volume_change:
                        state.days.add(message.instrument, minute_ns, volume_change)
            case NBBO():
                midpoint_px = message.midpoint_px
                if midpoint_px is not None:
                    known = state.midpoints.get(message.instrument) or Midpoint(0, 0)
                    known.px, known.quote_ns = midpoint_px, message.event_ns
                    state.midpoints.put(message.instrument, known)
            case ChildOrder():
                state.scores.on_child(message)
            case Fill():
                state.scores.on_fill(message)
            case Instrument():
                state.instruments.put(message, state.now_ns)
                if self._is_ours(state, message.instrument):
                    state.sessions.learn(message)
            case Tick():
                yield from self._on_tick(state, message)
            case _:
                raise TypeError(f"analytics does not read {type(message).__name__}")

    def _is_ours(self, state: AnalyticsState, instrument: str) -> bool:
        """Every task has all instruments, but only one reads the prints that an instrument's curve is made from."""
        return partition_of(instrument, state.task.partitions) == state.task.partition

    def _on_tick(self, state: AnalyticsState, tick: Tick) -> Iterator[Owned]:
        new_day = tick.trade_date != state.clock.trade_date
        state.apply_tick(tick)
        now_ns = state.now_ns
        if new_day:
            state.bars.forget_before(state.sessions.first_utc_date(tick.trade_date))
            state.scores.forget()
        for instrument in state.instruments.standing(now_ns):
            if not self._is_ours(state, instrument.instrument):
                continue
            curve = state.days.curve_for(instrument, tick.trade_date)
            if curve is not None:
                yield curve
        yield from state.bars.closed(now_ns)
        yield from state.scores.closed(now_ns)
        for symbol in state.midpoints.keys():
            midpoint = state.midpoints[symbol]
            due = now_ns - midpoint.published_ns >= self.parameters.reference_price_ns
            if due and midpoint.px != midpoint.published_px:
                midpoint.published_px, midpoint.published_ns = midpoint.px, now_ns
                state.midpoints.put(symbol, midpoint)
                yield ReferencePrice(instrument=symbol, px=midpoint.px, quote_ns=midpoint.quote_ns)
