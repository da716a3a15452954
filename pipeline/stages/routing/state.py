"""What routing keeps: the exposure ledger, executions booked, scorecards, the gate's counters, the displayed market."""

from __future__ import annotations

from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.executions import Liquidity, VenueReport
from pipeline.domain.orders import OrdStatus, Side
from pipeline.domain.reference import LimitScope
from pipeline.domain.units import PPM_ONE
from pipeline.stages.routing.exposure_ledger import Ledger
from pipeline.stages.routing.gate import tightened
from pipeline.stages.routing.gate_counters import GateBook
from pipeline.stages.routing.parameters import GateParameters, RoutingParameters
from pipeline.stages.routing.second_opinion import SecondOpinion
from pipeline.stages.routing.venue_scorecards import Scorecards
from pipeline.stages.shared import reference_data
from pipeline.stages.shared.market_state import MarketState
from pipeline.stages.shared.stale_hold import StaleHold
from pipeline.stages.shared.switches import Switches
from pipeline.state import Entry, State, Task


class BookedExecution(Entry):
    """An execution, booked once."""

    fill_id: str
    parent_id: str
    child_id: str
    epoch_no: int
    slice_no: int
    instrument: str
    side: Side
    venue: str
    session_id: str
    exec_id: str
    trade_date: int
    told_qty: int
    told_px: int
    """Quantity and price as first reported; a duplicate must match both."""
    qty: int
    px: int
    fee: int
    liquidity: Liquidity
    """Quantity, price, fee and liquidity after corrections."""
    busted: bool = False
    booked_date: int = 0
    """Our trading date when it was booked: the venue's own may be anything. Its identity is kept from there."""
    told_fee: int = 0
    told_cum_qty: int = 0
    told_status: OrdStatus = OrdStatus.UNKNOWN
    told_ns: int = 0
    """Fee, the order's count and status and the venue's time as first reported: a repeat has the same."""
    said_ns: int = 0
    said_depth: int = 0
    said_by: str = ""
    """Which correction holds (:func:`restatements.order_of`); 0 and empty: none."""
    busted_ns: int = 0
    """The venue's time of its bust."""


class Restatement(Entry):
    """A bust or correction, booked once, by its own ExecID; or RESENT: the same execution in a later session."""

    key: str
    """Key of the execution it restates."""
    kind: str
    told_qty: int
    told_px: int
    booked_date: int = 0
    said_ns: int = 0
    depth: int = 0
    """Its place among the corrections of its execution (:func:`restatements.order_of`)."""


class EarlyRestatements(Entry):
    """Busts and corrections read before what they restate."""

    reports: list[VenueReport]
    booked_date: int = 0


class SessionsOfExecId(Entry):
    """The sessions of a venue in which an ExecID was booked, in the order they were."""

    session_ids: list[str]


class DayOver(Entry):
    """The trading day is over: nothing waits for a venue any more."""


class RoutingState(State):
    """Exposure, executions, scorecards, gate counters, displayed market and reference data."""

    def __init__(self, task: Task, parameters: RoutingParameters) -> None:
        super().__init__(task)
        self.parameters = parameters
        self.switches = Switches(self)
        self.instruments = reference_data.instruments(self)
        self.venues = reference_data.venues(self)
        self.limits = reference_data.limits(self)
        self.stale = StaleHold(self, self.limits, parameters.max_backlog_ns)
        self.market = MarketState(self, parameters.ahead_ns)
        self.opinion = SecondOpinion(self, parameters.second_opinion)
        self.gate_book = GateBook(self, parameters.gate.repeat_ns)
        self.scorecards = Scorecards(self, parameters.prior)
        self.ledger = Ledger(self, self.gate_book)
        self.executions = self.table("executions", BookedExecution)
        self.restatements = self.table("restatements", Restatement)
        self.early = self.table("early", EarlyRestatements)
        self._day_over = self.table("day-over", DayOver)
        self.exec_ids = self.table("exec-ids", SessionsOfExecId)

    def restored(self) -> None:
        self.ledger.restored()

    @property
    def day_over(self) -> bool:
        """Whether the last tick was the day's end."""
        return "" in self._day_over

    def begin_or_end_day(self, tick: Tick) -> None:
        """Note whether a tick ends the day, or shows that another has begun."""
        if tick.kind is TickKind.DAY_END:
            self._day_over.put("", DayOver())
        elif self.day_over:
            self._day_over.remove("")

    def silence_ns(self, wall_ns: int) -> int:
        """A span of wall time as session time at the clock's rate; never less than ``wall_ns``."""
        return wall_ns * max(self.clock.rate, PPM_ONE) // PPM_ONE

    def gate_limits(self, instrument: str) -> GateParameters:
        """The gate's limits in force for an instrument: the parameters, tightened by limits of scope GATE."""
        every = self.limits.get(reference_data.limit_key(LimitScope.GATE), self.now_ns)
        one = self.limits.get(reference_data.limit_key(LimitScope.GATE, instrument), self.now_ns)
        return tightened(self.parameters.gate, every, one)
