"""Children at venues: what we send, what the venue says, and what counts as a fill."""

from __future__ import annotations

from pipeline.domain.orders import OrdStatus, OrdType, Side, TimeInForce
from pipeline.domain.record import Kind, Owned, Record
from pipeline.domain.units import Count, Money, Ns, Ppm, Px, Qty, TradeDate


class ChildKind(Kind):
    """What we ask of a venue (FIX D, F, G; H asks only how an order stands)."""

    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    CANCEL = "CANCEL"
    REPLACE = "REPLACE"
    STATUS = "STATUS"


class Candidate(Record, frozen=True, kw_only=True):
    """A venue that was considered for a child."""

    venue: str
    """The venue."""
    cost_px: Px
    """Expected cost per unit against the midpoint, fees included; less is better."""
    fill_rate: Ppm
    """Expected share that fills."""
    excluded: str = ""
    """Why it was not eligible; empty when it was."""


class ChildOrder(Owned, frozen=True, kw_only=True):
    """A request to one venue. The contract of `child-orders`, keyed by instrument. It says why it is sent."""

    kind: ChildKind = ChildKind.UNKNOWN
    """New, cancel, replace, or a question how the order stands."""
    child_id: str
    """Our id of the child."""
    wire_id: str
    """Its opaque ClOrdID (11) at the venue."""
    orig_wire_id: str | None = None
    """For a cancel, replace or status request: the ClOrdID it speaks of (41)."""
    parent_id: str
    """The parent. Never leaves the house."""
    slice_no: Count
    """The slice."""
    epoch_no: int
    """The epoch its executions belong to."""
    venue: str
    """The venue."""
    instrument: str
    """The instrument; the key."""
    side: Side
    """Its side."""
    order_qty: Qty
    """Quantity."""
    ord_type: OrdType
    """LIMIT, MARKET or PEGGED_MIDPOINT."""
    limit_px: Px | None = None
    """Limit."""
    time_in_force: TimeInForce
    """DAY or IOC."""
    post_only: bool = False
    """Rejected rather than take liquidity."""
    min_qty: Qty = 0
    """Least quantity of one execution; 0 is none."""
    sent_ns: Ns
    """Session time at which it was sent."""
    rule: str = ""
    """Why: the rule that chose the venue and the order."""
    candidates: tuple[Candidate, ...] = ()
    """Why: the venues considered, best first."""
    scorecard_version: Count = 0
    """Why: how many executions the scorecard had seen."""
    bid_px: Px | None = None
    """Why: the best bid at the decision."""
    offer_px: Px | None = None
    """Why: the best offer at the decision."""
    quote_no: Count = 0
    """Why: which quote that was."""


class ReportKind(Kind):
    """FIX ExecType (150), CANCEL_REJECT for OrderCancelReject (9), NOT_SENT for what provably never left."""

    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    REJECTED = "REJECTED"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    CANCEL_REJECT = "CANCEL_REJECT"
    BUST = "BUST"
    CORRECT = "CORRECT"
    ORDER_STATUS = "ORDER_STATUS"
    NOT_SENT = "NOT_SENT"


class Liquidity(Kind):
    """FIX LastLiquidityInd (851)."""

    UNKNOWN = "UNKNOWN"
    ADDED = "ADDED"
    REMOVED = "REMOVED"


class VenueReport(Owned, frozen=True, kw_only=True):
    """What a venue said about a child; need not be a fill. The contract of `venue-reports`, keyed by instrument."""

    kind: ReportKind = ReportKind.UNKNOWN
    """What it says (ExecType)."""
    venue: str
    """The venue."""
    session_id: str
    """The venue's session; with exec_id it identifies an execution, whatever the trading date."""
    instrument: str
    """The instrument; the key."""
    wire_id: str
    """The ClOrdID it speaks of; for an accepted cancel the cancel's own, with orig_wire_id the order's."""
    orig_wire_id: str | None = None
    """OrigClOrdID (41)."""
    exec_id: str
    """ExecID (17)."""
    exec_ref_id: str | None = None
    """ExecRefID (19): the execution that is busted or corrected."""
    ord_status: OrdStatus
    """The order's status at the venue."""
    side: Side
    """The order's side."""
    last_qty: Qty = 0
    """TRADE: executed; CORRECT: the new quantity."""
    last_px: Px | None = None
    """TRADE: price; CORRECT: the new price."""
    cum_qty: Qty = 0
    """Executed so far, by the venue's count."""
    leaves_qty: Qty = 0
    """Still open at the venue."""
    last_liquidity_ind: Liquidity = Liquidity.UNKNOWN
    """Whether the execution added or removed liquidity."""
    fee: Money = 0
    """What the execution costs; negative is a rebate."""
    venue_ns: Ns
    """The venue's time."""
    received_ns: Ns
    """When our edge had it."""
    trade_date: TradeDate
    """Trading date of the execution."""
    reason: str = ""
    """A reject's reason, by name."""
    text: str = ""
    """The venue's own words."""


class FillKind(Kind):
    """What a record on `fills` books."""

    UNKNOWN = "UNKNOWN"
    TRADE = "TRADE"
    BUST = "BUST"
    CORRECT = "CORRECT"
    RETURNED = "RETURNED"
    QUIET = "QUIET"
    CUT = "CUT"


class Fill(Owned, frozen=True, kw_only=True):
    """An execution, counted once; its bust or correction; or quantity that came back. The contract of `fills`.

    Executions, and what comes back unexecuted, share a topic because their order is their meaning: after QUIET no
    child of the parent's epochs up to this one is live, and every execution of them has been told. CUT comes before it
    when children of an epoch that is to end are still live: none is sent in it any more, what they execute is booked
    to it, and the next epoch begins beside them; told again as fewer of them are live.
    """

    kind: FillKind = FillKind.UNKNOWN
    """TRADE, BUST and CORRECT are executions; RETURNED: a slice is over, qty of it unexecuted; QUIET: none is live;
    CUT: no more are sent."""
    fill_id: str
    """Our id."""
    parent_id: str
    """The parent."""
    epoch_no: int
    """The epoch of the child that executed (QUIET, CUT: the latest that is over)."""
    slice_no: Count
    """The slice (QUIET, CUT: the RECALL or FINISH it answers)."""
    child_id: str = ""
    """The child; empty for RETURNED of a slice no child was made of, and for QUIET and CUT."""
    instrument: str
    """The instrument; the key."""
    side: Side
    """Its side."""
    venue: str = ""
    """Where it was executed (LastMkt)."""
    session_id: str = ""
    """The venue's session."""
    exec_id: str = ""
    """The venue's ExecID."""
    ref_fill_id: str | None = None
    """BUST, CORRECT: the fill that is taken back or restated."""
    last_qty: Qty = 0
    """TRADE: executed. BUST: taken back. CORRECT: the new quantity. RETURNED: what came back.
    CUT: what children of the epochs up to this one may still execute."""
    last_px: Px | None = None
    """TRADE, BUST: the price; CORRECT: the new price."""
    prior_qty: Qty = 0
    """CORRECT: the quantity until now."""
    prior_px: Px | None = None
    """CORRECT: the price until now."""
    last_liquidity_ind: Liquidity = Liquidity.UNKNOWN
    """Added or removed."""
    fee: Money = 0
    """TRADE, CORRECT: what it costs (negative: rebate). BUST: 0, the busted fill's fee falls away."""
    prior_fee: Money = 0
    """BUST, CORRECT: the fee until now."""
    late: bool = False
    """Came after the child was thought dead."""
    overfill_qty: Qty = 0
    """How much of last_qty was beyond what the parent permitted. Booked, flagged, owned by the error account."""
    parent_cum_qty: Qty
    """The parent's executed quantity after this, all epochs."""
    parent_live_qty: Qty
    """The parent's quantity in children not known to be dead, after this."""
    crossed_qty: Qty = 0
    """QUIET, CUT: the same field of the RECALL or FINISH answered: what allocation waits for before it shares out."""
    final: bool = False
    """QUIET: the parent is over for good."""
    trade_date: TradeDate
    """Trading date."""
    venue_ns: Ns = 0
    """The venue's time."""
    received_ns: Ns = 0
    """When our edge had the report."""
    at_ns: Ns
    """Session time at which it was booked."""
    reason: str = ""
    """RETURNED: why, by name."""
