"""The client's order: what is asked (`orders-in`), what was taken in (`orders`), what became of it (`order-events`)."""

from __future__ import annotations

from pipeline.domain.record import Kind, Owned, Record
from pipeline.domain.rejections import RejectReason
from pipeline.domain.units import Count, FractionalQty, Money, Ns, Ppm, Px, Qty, RiskAversion, TradeDate


class RequestKind(Kind):
    """What a client asks for (FIX D, F, G)."""

    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    CANCEL = "CANCEL"
    REPLACE = "REPLACE"


class Side(Kind):
    """FIX Side (54)."""

    UNKNOWN = "UNKNOWN"
    BUY = "BUY"
    SELL = "SELL"
    SELL_SHORT = "SELL_SHORT"
    SELL_SHORT_EXEMPT = "SELL_SHORT_EXEMPT"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for any sale."""
        return 1 if self is Side.BUY else -1


class OrdType(Kind):
    """FIX OrdType (40); PEGGED_MIDPOINT is OrdType P with PegPriceType 2."""

    UNKNOWN = "UNKNOWN"
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    PEGGED_MIDPOINT = "PEGGED_MIDPOINT"


class TimeInForce(Kind):
    """FIX TimeInForce (59)."""

    UNKNOWN = "UNKNOWN"
    DAY = "DAY"
    GTC = "GTC"
    AT_THE_OPENING = "AT_THE_OPENING"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"
    AT_THE_CLOSE = "AT_THE_CLOSE"


class Capacity(Kind):
    """FIX OrderCapacity (528)."""

    UNKNOWN = "UNKNOWN"
    AGENCY = "AGENCY"
    PRINCIPAL = "PRINCIPAL"
    RISKLESS_PRINCIPAL = "RISKLESS_PRINCIPAL"


class SettlementType(Kind):
    """FIX SettlType (63): 0, 1 and 2. When each settles: `pipeline/domain/settlement.py`."""

    UNKNOWN = "UNKNOWN"
    REGULAR = "REGULAR"
    CASH = "CASH"
    NEXT_DAY = "NEXT_DAY"


class Strategy(Kind):
    """FIX TargetStrategy (847)."""

    UNKNOWN = "UNKNOWN"
    VWAP = "VWAP"
    TWAP = "TWAP"
    POV = "POV"
    IS = "IS"


class Urgency(Kind):
    """How the trade-off between impact and risk leans."""

    UNKNOWN = "UNKNOWN"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class Completion(Kind):
    """Whether the whole quantity must be done by the end, or as much of it as the rules allow."""

    UNKNOWN = "UNKNOWN"
    MUST = "MUST"
    BEST_EFFORT = "BEST_EFFORT"


class OrderRequest(Record, frozen=True, kw_only=True, gc=True, dict=True):
    """A request of an upstream system: a new order, a cancel or a replace. The contract of `orders-in`."""

    kind: RequestKind = RequestKind.UNKNOWN
    """What is asked. A cancel needs source, cl_ord_id (its own), orig_cl_ord_id, account and instrument only."""
    source: str
    """The sending system, as agreed. With the trading date and cl_ord_id it identifies the request."""
    cl_ord_id: str
    """FIX ClOrdID (11): the sender's id of this request. The same content again is a repeat; other content refused."""
    orig_cl_ord_id: str | None = None
    """FIX OrigClOrdID (41): the order to cancel or replace."""
    list_id: str | None = None
    """FIX ListID (66): the programme this order is part of."""
    account: str = ""
    """FIX Account (1)."""
    instrument: str = ""
    """The instrument's symbol, as on the topic `instruments`."""
    side: Side = Side.UNKNOWN
    """FIX Side (54)."""
    order_qty: Qty | None = None
    """FIX OrderQty (38)."""
    cash_order_qty: Money | None = None
    """FIX CashOrderQty (152). Refused by name until it is built."""
    fractional_qty: FractionalQty | None = None
    """A fraction of one unit, in 1e-9 units, beside order_qty. Refused by name until it is built."""
    ord_type: OrdType = OrdType.UNKNOWN
    """FIX OrdType (40): MARKET or LIMIT. Required of a new order: what is not said is not guessed."""
    limit_px: Px | None = None
    """FIX Price (44). Must stand on the tick."""
    time_in_force: TimeInForce = TimeInForce.DAY
    """FIX TimeInForce (59)."""
    expire_ns: Ns | None = None
    """FIX ExpireTime (126), for GTD."""
    held: bool = False
    """A held order goes to market at once: its aggregation window is now."""
    capacity: Capacity = Capacity.AGENCY
    """FIX OrderCapacity (528)."""
    settlement_type: SettlementType = SettlementType.REGULAR
    """FIX SettlType (63)."""
    locate_id: str | None = None
    """The locate for a short sale."""
    strategy: Strategy = Strategy.VWAP
    """FIX TargetStrategy (847)."""
    urgency: Urgency = Urgency.MEDIUM
    """How much market risk is to be traded for impact."""
    start_ns: Ns | None = None
    """FIX EffectiveTime (168): do not work before. Null: at once."""
    end_ns: Ns | None = None
    """End of the benchmark window. Null: the close of the session."""
    completion: Completion = Completion.BEST_EFFORT
    """Whether the whole quantity must be done by the end."""
    risk_aversion: RiskAversion | None = None
    """Almgren-Chriss risk aversion of the mandate, in 1e-12 per currency unit."""
    participation_cap: Ppm | None = None
    """Largest share of the market's volume, own volume included."""
    min_qty: Qty | None = None
    """FIX MinQty (110)."""
    allowed_venues: tuple[str, ...] = ()
    """The venues it may go to. Empty: all."""
    dark_allowed: bool = True
    """Whether dark venues may be used."""
    crossing_consent: bool = False
    """Whether this order may be crossed with other clients' orders inside."""
    aggregation_consent: bool = True
    """Whether this order may share a parent with others."""
    directed_broker: str | None = None
    """The broker this order is directed to, if any."""
    mandate: str | None = None
    """The mandate under which it is sent."""
    transact_ns: Ns | None = None
    """FIX TransactTime (60): when the sender made it, by the sender's clock."""


class OrderRerouted(Owned, frozen=True, kw_only=True):
    """A request that its sender put on another partition than its source's own. The contract of `orders-rerouted`."""

    source: str
    """The sending system; the key."""
    append_ns: Ns
    """The broker's append time of the record on `orders-in`."""
    origin_partition: int
    """The partition of `orders-in` it was found on."""
    request: OrderRequest
    """The request, as it came."""
    not_understood: tuple[str, ...] = ()
    """What of the request the version that forwarded it does not understand: unknown symbols, and fields of a newer
    contract. Intake refuses it for these."""


class OrderKind(Kind):
    """What a record on `orders` tells netting to do."""

    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    CANCEL = "CANCEL"
    REPLACE = "REPLACE"


class AccountClass(Kind):
    """Whose money an account is; the crossing rules speak of these."""

    UNKNOWN = "UNKNOWN"
    CLIENT = "CLIENT"
    REGISTERED_FUND = "REGISTERED_FUND"
    PENSION = "PENSION"
    OWN = "OWN"


class Order(Owned, frozen=True, kw_only=True):
    """An order, or a cancel of one, as taken in. The contract of `orders`, keyed by instrument."""

    kind: OrderKind = OrderKind.UNKNOWN
    """A new order, or what to do with one."""
    order_id: str
    """Our id (FIX OrderID 37). For a cancel, the id of the order to cancel."""
    instrument: str
    """The instrument; the key."""
    trade_date: TradeDate
    """The trading date it was taken in on; part of its identity."""
    append_ns: Ns
    """The broker's append time of the request."""
    received_ns: Ns
    """The time of receipt in session time: append_ns, mapped by the last tick when a recorded day is replayed."""
    accepted_ns: Ns
    """The session time at which intake took it."""
    account_class: AccountClass = AccountClass.UNKNOWN
    """Of the account, from reference data."""
    owner: str = ""
    """The beneficial owner; one owner never crosses with itself."""
    control_group: str = ""
    """Accounts under common control; one group never crosses with itself."""
    currency: str = ""
    """The instrument's currency."""
    limit_px: Px | None = None
    """The limit, null when there is none."""
    start_ns: Ns = 0
    """When work may begin."""
    end_ns: Ns = 0
    """When work ends and what is left expires."""
    participation_cap: Ppm = 0
    """Largest share of the market's volume, own volume included; 0 is no cap of the client's."""
    request: OrderRequest
    """The client's request, as it came."""
    settlement_date: TradeDate = 0
    """When its executions settle (FIX SettlDate 64), by its type and the instrument's record of the day. 0: not
    known."""


class OrderEventKind(Kind):
    """What happened to a client's order or request (FIX ExecType 150, and 9 OrderCancelReject)."""

    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    REPEATED = "REPEATED"
    TRADE = "TRADE"
    CROSSED = "CROSSED"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCELED = "CANCELED"
    CANCEL_REFUSED = "CANCEL_REFUSED"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    FILLED = "FILLED"
    TRADE_CANCEL = "TRADE_CANCEL"
    TRADE_CORRECT = "TRADE_CORRECT"


class OrdStatus(Kind):
    """FIX OrdStatus (39)."""

    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    PENDING_CANCEL = "PENDING_CANCEL"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class OrderEvent(Owned, frozen=True, kw_only=True):
    """What happened to a client's order. The contract of `order-events`, internal, keyed by instrument.

    Intake writes ACCEPTED, REFUSED, REPEATED and CANCEL_REFUSED for what it does not know; allocation writes
    everything later. Both write to the partition of the instrument, so that a reader sees acceptance first.
    """

    kind: OrderEventKind = OrderEventKind.UNKNOWN
    """What happened."""
    source: str
    """Whose order it is."""
    order_id: str
    """Our id; empty for a refused request."""
    cl_ord_id: str
    """The request this answers."""
    orig_cl_ord_id: str | None = None
    """For answers to cancels: the order's own id."""
    account: str = ""
    """The client's account."""
    instrument: str = ""
    """The instrument; the key, or the source where the instrument is not known."""
    side: Side = Side.UNKNOWN
    """The order's side."""
    ord_status: OrdStatus = OrdStatus.UNKNOWN
    """The order's status after this event. In intake's answers, as far as intake knows: NEW while the order is open."""
    order_qty: Qty = 0
    """What was ordered."""
    cum_qty: Qty = 0
    """Done so far, crosses included; never falls but by a TRADE_CANCEL or TRADE_CORRECT."""
    leaves_qty: Qty = 0
    """What is still open; 0 once the order is done."""
    avg_px: Px | None = None
    """Average price of cum_qty, rounded half up, crosses included."""
    last_qty: Qty = 0
    """What this event added to cum_qty. A FILLED tells of the execution or cross that filled the order, if one did."""
    last_px: Px | None = None
    """The price of last_qty: average of what was added, or the cross's own."""
    crossed_qty: Qty = 0
    """How much of cum_qty was crossed inside."""
    reason: RejectReason | None = None
    """Why it was refused."""
    fix_code: int | None = None
    """The reason as FIX OrdRejReason (103) or CxlRejReason (102)."""
    text: str | None = None
    """What was wrong, where, and what to do."""
    event_no: Count = 0
    """Counts the events of this order from 1."""
    at_ns: Ns = 0
    """Session time of the event."""
    final: bool = False
    """Nothing but a correction follows."""


class SourceEvent(OrderEvent, frozen=True, kw_only=True):
    """The same, for one source's own eyes. The contract of `source-events.<source>`."""


class ClosedOrder(Record, frozen=True, kw_only=True):
    """An order that is done."""

    order_id: str
    """Our id of it."""
    account: str
    """The account its credit was reserved on."""
    ord_status: OrdStatus
    """How it ended."""
    cum_qty: Qty
    """What was done."""


class OrdersClosed(Owned, frozen=True, kw_only=True):
    """Orders are done: intake gives back the credit they reserved. The contract of `order-closures`, keyed by source.

    What ends together is told together: one record for the orders of a source that one message ended.
    """

    source: str
    """Whose orders; the key."""
    instrument: str
    """The instrument."""
    orders: tuple[ClosedOrder, ...]
    """Each order is in exactly one of these, once."""
    at_ns: Ns
    """Session time."""
