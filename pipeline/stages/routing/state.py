"""What a task of routing keeps, and the parameters it works by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields

from pipeline.domain.executions import Liquidity, VenueReport
from pipeline.domain.orders import Side
from pipeline.domain.reference import LimitScope
from pipeline.domain.units import NS_PER_S, PPM_ONE
from pipeline.stages.routing.exposure_ledger import Ledger
from pipeline.stages.routing.gate import GateParameters
from pipeline.stages.routing.gate_counters import GateBook
from pipeline.stages.routing.venue_scorecards import Scorecards
from pipeline.stages.shared import reference_data
from pipeline.stages.shared.market_state import MarketState
from pipeline.stages.shared.stale_hold import DEFAULT_MAX_BACKLOG_NS, StaleHold
from pipeline.stages.shared.switches import Switches
from pipeline.state import Entry, State, Task


@dataclass(frozen=True, kw_only=True)
class RoutingParameters:
    """Parameters of routing.

    Silence is measured as the venue keeps it, in wall time: where a recorded day runs at ten times its pace, five
    seconds are fifty of session time.
    """

    wire_secret: bytes = field(repr=False)
    """Key of the wire ids, 16 to 64 bytes. Only its SHA-256 is ever shown."""
    ack_timeout_ns: int = 5 * NS_PER_S
    """An order without an answer, or an immediate-or-cancel without an end, is unknown after this."""
    cancel_timeout_ns: int = 5 * NS_PER_S
    """A cancel without an answer makes the child unknown after this."""
    cancel_retry_ns: int = NS_PER_S
    """A cancel that was rejected while the child lives is tried again after this."""
    max_backlog_ns: int = DEFAULT_MAX_BACKLOG_NS
    """Where no FIRM limit says otherwise; wall time."""
    router: str = "SEQUENTIAL"
    """How slices get to their venues: a name of `routers/table.py`."""
    gate: GateParameters = field(default_factory=GateParameters)

    def config(self) -> dict[str, int | str | bool]:
        """For the journal."""
        config: dict[str, int | str | bool] = {
            "wire_secret_sha256": hashlib.sha256(self.wire_secret).hexdigest(),
            "ack_timeout_ns": self.ack_timeout_ns,
            "cancel_timeout_ns": self.cancel_timeout_ns,
            "cancel_retry_ns": self.cancel_retry_ns,
            "max_backlog_ns": self.max_backlog_ns,
            "router": self.router,
        }
        for limit in fields(self.gate):
            value = getattr(self.gate, limit.name)
            config[f"gate_{limit.name}"] = "none" if value is None else value
        return config


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


class Restatement(Entry):
    """A bust or correction, booked once, by its own ExecID."""

    key: str
    """Key of the execution it restates."""
    kind: str
    told_qty: int
    told_px: int


class EarlyRestatements(Entry):
    """A bust or correction that came before its execution."""

    reports: list[VenueReport]


class RoutingState(State):
    """Tables of a task of routing."""

    def __init__(self, task: Task, params: RoutingParameters) -> None:
        super().__init__(task)
        self.params = params
        self.switches = Switches(self)
        self.instruments = reference_data.instruments(self)
        self.venues = reference_data.venues(self)
        self.limits = reference_data.limits(self)
        self.stale = StaleHold(self, self.limits, params.max_backlog_ns)
        self.market = MarketState(self)
        self.gate_book = GateBook(self)
        self.scorecards = Scorecards(self)
        self.ledger = Ledger(self, self.gate_book)
        self.executions = self.table("executions", BookedExecution)
        self.restatements = self.table("restatements", Restatement)
        self.early = self.table("early", EarlyRestatements)

    def restored(self) -> None:
        self.ledger.restored()

    def silence_ns(self, wall_ns: int) -> int:
        """A span of wall time in session time; never less than itself."""
        return wall_ns * max(self.clock.rate, PPM_ONE) // PPM_ONE

    def gate_limits(self, instrument: str) -> GateParameters:
        """The gate's limits in force."""
        every = self.limits.get(reference_data.limit_key(LimitScope.GATE), self.now_ns)
        one = self.limits.get(reference_data.limit_key(LimitScope.GATE, instrument), self.now_ns)
        return self.params.gate.tightened(every, one)
