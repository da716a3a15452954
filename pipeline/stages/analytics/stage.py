"""Analytics: market and venue statistics that decisions use, exact and by event time alone.

- Reads: prints, nbbo, venue-status, child-orders, fills, instruments, clock.
- Keeps: today's prints by minute (until the day has passed), earlier sessions and their volumes, children that may
  still be filled.
- Writes: bars (a late, cancelled or corrected print makes a new revision), volume-curves (from earlier days only),
  venue-scores per minute, reference-prices, alerts (prints that contradict one another).
- Refuses: nothing. Which prints stand, whatever the order they come in, is said by the shared print identity; a
  midpoint that nothing but its own quote speaks for is not told as a reference price (`reference_prices.py`).
- Conserves: a minute's volume is the sum of its prints after cancels and corrections; a curve adds up to 1,000,000,000.

The trading date of a minute is that of its session, told by the instrument's record of that day (`sessions.py`).

First form: a curve is not re-estimated during the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from pipeline.domain.analytics import Bar, VenueScore, VolumeCurve
from pipeline.domain.controls import Alert, Tick
from pipeline.domain.executions import ChildOrder, Fill
from pipeline.domain.market import NBBO, ReferencePrice, TradePrint, VenueStatus
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import Instrument
from pipeline.domain.validators.faults import Fault, SetAsideReason
from pipeline.stage import Meta, Migration, Stage
from pipeline.stages.analytics.minute_bars import MinuteBars
from pipeline.stages.analytics.parameters import AnalyticsParameters
from pipeline.stages.analytics.reference_prices import ReferencePrices
from pipeline.stages.analytics.sessions import Sessions
from pipeline.stages.analytics.venue_scores import VenueScores
from pipeline.stages.analytics.volume_days import VolumeDays
from pipeline.stages.shared import reference_data
from pipeline.stages.shared.print_migrations import tape_to_2
from pipeline.state import State, Task


class AnalyticsState(State):
    """Instruments, midpoints, minute bars, daily volumes and venue scores."""

    def __init__(self, task: Task, parameters: AnalyticsParameters) -> None:
        super().__init__(task)
        self.instruments = reference_data.instruments(self)
        self.reference_prices = ReferencePrices(self, parameters.reference_price)
        self.sessions = Sessions(self)
        self.bars = MinuteBars(self, self.sessions, parameters.bars_per_tick)
        self.days = VolumeDays(self, self.sessions, parameters.days_kept, parameters.quiet_tail_ppm)
        self.scores = VenueScores(self)

    def restored(self) -> None:
        self.bars.restored()


class AnalyticsStage(Stage[AnalyticsState]):
    """Bars, curves and scorecards that decisions read."""

    name: ClassVar[str] = "analytics"
    title: ClassVar[str] = "one-minute bars, volume curves, venue scores and reference prices"
    reads: ClassVar[tuple[type[Record], ...]] = (TradePrint, NBBO, VenueStatus, ChildOrder, Fill, Instrument, Tick)
    writes: ClassVar[tuple[type[Owned], ...]] = (Bar, VolumeCurve, VenueScore, ReferencePrice, Alert)
    state_version: ClassVar[int] = 2
    migrations: ClassVar[Mapping[int, Migration]] = {1: tape_to_2}

    parameters: AnalyticsParameters

    def __init__(self, parameters: AnalyticsParameters = AnalyticsParameters()) -> None:  # noqa: B008 - frozen
        self.parameters = parameters

    def new_state(self, task: Task) -> AnalyticsState:
        return AnalyticsState(task, self.parameters)

    def step(self, state: AnalyticsState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case TradePrint():
                yield from self._on_print(state, message)
            case NBBO():
                state.reference_prices.on_quote(message)
            case VenueStatus():
                state.reference_prices.on_status(message)
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

    def _on_print(self, state: AnalyticsState, trade: TradePrint) -> Iterator[Alert]:
        state.reference_prices.on_data(trade.event_ns)
        change = state.bars.apply(trade)
        for minute_ns, volume_change in change.minutes:
            if volume_change:
                state.days.add(trade.instrument, minute_ns, volume_change)
        since = state.sessions.first_utc_date(trade.instrument, state.clock.trade_date)
        state.reference_prices.on_prints(trade.instrument, change.applied, since, state.bars.last_sale)
        if change.applied.fault is not None:
            yield from self._told(state, change.applied.fault, trade)

    def _told(self, state: AnalyticsState, fault: Fault, trade: TradePrint) -> Iterator[Alert]:
        """The desk hears once of what is wrong with the tape: here, whoever else reads it."""
        effect = "which prints stand is in doubt: bars, VWAP, volume and last sale may be off by this one"
        yield from self.set_aside(state, trade, fault, effect)

    def _on_tick(self, state: AnalyticsState, tick: Tick) -> Iterator[Owned]:
        before = state.clock.trade_date
        state.apply_tick(tick)
        now_ns, today = state.now_ns, state.clock.trade_date
        for never in state.bars.forget_before(state.sessions.first_utc_date_of_all(today)):
            symbol, venue, print_id = never
            missing = TradePrint(
                instrument=symbol, venue=venue, print_id=print_id, event_ns=0, received_ns=0, px=0, qty=0
            )
            yield from self._told(state, Fault(SetAsideReason.NEVER_CAME, "it was taken back and never told"), missing)
        if today != before:
            state.scores.forget()
            state.reference_prices.begin_day()
        standing = list(state.instruments.standing(now_ns))
        for instrument in standing:
            if not self._is_ours(state, instrument.instrument):
                continue
            curve = state.days.curve_for(instrument, today)
            if curve is not None:
                yield curve
        yield from state.bars.closed(now_ns)
        yield from state.scores.closed(now_ns)
        reference_px = {each.instrument: each.reference_px for each in standing}
        yield from state.reference_prices.due(now_ns, reference_px)
