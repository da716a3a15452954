"""What netting makes of many orders: lineage, parents, crosses; and the slices that slicing makes of a parent."""

from __future__ import annotations

from pipeline.domain.market import QuoteKind
from pipeline.domain.orders import AccountClass, Capacity, Completion, Side, Strategy, Urgency
from pipeline.domain.record import Kind, Owned, Record
from pipeline.domain.reference import PriceRule
from pipeline.domain.rejections import RejectReason
from pipeline.domain.units import Count, Ns, Ppm, Px, Qty, TradeDate


class Member(Record, frozen=True, kw_only=True):
    """One client order's part in a parent's epoch: a line of the allocation statement."""

    order_id: str
    """The client order."""
    source: str
    """Whose."""
    account: str
    """For which account."""
    contributed_qty: Qty
    """What it had in the parent when the epoch began, after crossing: its weight."""


class LineageKind(Kind):
    """What a lineage record tells."""

    UNKNOWN = "UNKNOWN"
    JOINED = "JOINED"
    MEMBERS = "MEMBERS"
    LEFT = "LEFT"
    CANCEL_REFUSED = "CANCEL_REFUSED"


class Lineage(Owned, frozen=True, kw_only=True):
    """Which order is in which bucket, parent and epoch. The contract of `lineage`, keyed by instrument.

    JOINED as an order enters a window; MEMBERS, in chunks, is the allocation statement of an epoch, written before
    anything of it is sent; LEFT when a client's order (or what is left of it) leaves for good.
    """

    kind: LineageKind = LineageKind.UNKNOWN
    """Joined, members of an epoch, left, or a cancel that came too late."""
    instrument: str
    """The instrument; the key."""
    bucket_id: str
    """The window's bucket."""
    parent_id: str | None = None
    """The parent, once there is one."""
    epoch_no: int = 0
    """MEMBERS: the epoch this is the statement of."""
    chunk_no: int = 0
    """MEMBERS: counts the chunks from 1."""
    chunk_count: int = 0
    """MEMBERS: how many there are."""
    members: tuple[Member, ...] = ()
    """MEMBERS: the lines of this chunk; JOINED: the one line."""
    order_id: str | None = None
    """LEFT, CANCEL_REFUSED: which order."""
    request_cl_ord_id: str | None = None
    """LEFT, CANCEL_REFUSED: the client's request that caused it, if one did."""
    left_qty: Qty = 0
    """LEFT: the quantity that is no longer worked (cancelled or expired)."""
    expired: bool = False
    """LEFT: it expired, nobody cancelled it."""
    reason: RejectReason | None = None
    """CANCEL_REFUSED: why."""
    at_ns: Ns
    """Session time."""


class ParentKind(Kind):
    """What a record on `parents` tells slicing, routing and allocation."""

    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    EPOCH = "EPOCH"
    RECALL = "RECALL"
    CROSS_ASK = "CROSS_ASK"
    CROSS_DONE = "CROSS_DONE"
    DONE = "DONE"
    CARRY = "CARRY"


class ParentOrder(Owned, frozen=True, kw_only=True):
    """A parent order and its changes. The contract of `parents`, keyed by instrument.

    NEW and EPOCH begin an epoch (statement in `lineage`: member_count, members_hash; an EPOCH without members rests
    until somebody may be worked again); RECALL asks that the epoch be closed to new children; CROSS_ASK
    asks slicing to set quantity aside, CROSS_DONE says how much of that was crossed (the rest goes back to work); DONE
    ends it.
    """

    kind: ParentKind = ParentKind.UNKNOWN
    """What this record does."""
    parent_id: str
    """Our id of the parent."""
    instrument: str
    """The instrument; the key."""
    bucket_id: str
    """The bucket and window it came from."""
    trade_date: TradeDate
    """A parent lives one trading day."""
    epoch_no: int
    """Epoch that begins with this record, or that it belongs to."""
    side: Side
    """Its side."""
    order_qty: Qty
    """NEW, EPOCH: the quantity to execute in this epoch (all members' contributed_qty)."""
    gross_qty: Qty = 0
    """NEW: what its members ordered, before crossing."""
    crossed_qty: Qty = 0
    """NEW: how much of gross_qty was crossed inside. CROSS_DONE: how much of what was set aside was crossed."""
    member_count: Count = 0
    """NEW, EPOCH: lines of the statement."""
    members_hash: str = ""
    """NEW, EPOCH: SHA-256 over the statement's lines, in order."""
    policy: str = "PRO_RATA_LARGEST_REMAINDER"
    """NEW, EPOCH: how executions are shared out."""
    strategy: Strategy = Strategy.UNKNOWN
    """How it is worked."""
    urgency: Urgency = Urgency.MEDIUM
    """How much risk is to be traded for impact."""
    completion: Completion = Completion.BEST_EFFORT
    """Whether all of it must be done."""
    capacity: Capacity = Capacity.AGENCY
    """Our seat in it."""
    currency: str = ""
    """Currency."""
    limit_px: Px | None = None
    """Limit of all its members (they are equal), null when there is none."""
    start_ns: Ns = 0
    """When work may begin."""
    end_ns: Ns = 0
    """When work ends."""
    participation_cap: Ppm = 0
    """Largest share of volume, own included; 0 is none. Siblings of one instrument and side share it."""
    min_qty: Qty = 0
    """Least quantity of one execution; 0 is none."""
    allowed_venues: tuple[str, ...] = ()
    """Venues it may go to; empty is all."""
    dark_allowed: bool = True
    """Whether dark venues may be used."""
    ask_id: str | None = None
    """CROSS_ASK, CROSS_DONE: the request to set aside."""
    ask_qty: Qty = 0
    """CROSS_ASK: how much to set aside at the most."""
    first_received_ns: Ns = 0
    """NEW: earliest receipt among its members."""
    arrival_px: Px | None = None
    """NEW: quantity-weighted midpoint at receipt of its members, rounded half up."""
    at_ns: Ns
    """Session time."""


class CrossKind(Kind):
    """Whether a cross stands, is taken back or is corrected."""

    UNKNOWN = "UNKNOWN"
    TRADE = "TRADE"
    BUST = "BUST"
    CORRECT = "CORRECT"


class CrossLeg(Record, frozen=True, kw_only=True):
    """One client order's part in a cross."""

    order_id: str
    """The client order."""
    source: str
    """Whose."""
    account: str
    """For which account."""
    account_class: AccountClass
    """Whose money."""
    parent_id: str | None = None
    """The working parent it was crossed out of; null when it was still in its window."""
    qty: Qty
    """What it bought or sold."""


class Cross(Owned, frozen=True, kw_only=True):
    """Clients' orders met inside. The contract of `crosses`, keyed by instrument.

    The evidence stands with it: the quote and the last sale it was priced from, the rules it was done under.
    """

    kind: CrossKind = CrossKind.UNKNOWN
    """A cross, or its bust or correction."""
    cross_id: str
    """Our id."""
    ref_cross_id: str | None = None
    """The cross that is taken back or corrected."""
    instrument: str
    """The instrument; the key."""
    trade_date: TradeDate
    """Trading date."""
    px: Px
    """The price, the midpoint; may be half a tick."""
    qty: Qty
    """Crossed quantity: all buys, and all sells."""
    buys: tuple[CrossLeg, ...]
    """Who bought."""
    sells: tuple[CrossLeg, ...]
    """Who sold."""
    price_rule: PriceRule
    """How the price was found."""
    rule_ids: tuple[str, ...]
    """The crossing rules relied on."""
    quote_kind: QuoteKind
    """BBO marks a cross priced from one venue's record, not from an NBBO."""
    bid_px: Px
    """Evidence: the bid."""
    offer_px: Px
    """Evidence: the offer."""
    quote_no: Count
    """Evidence: which quote."""
    quote_ns: Ns
    """Evidence: its time."""
    last_sale_px: Px | None = None
    """Evidence: the last sale."""
    last_sale_ns: Ns | None = None
    """Evidence: its time."""
    currency: str = ""
    """Currency."""
    trade_report_owed: bool = True
    """A trade report is owed."""
    at_ns: Ns
    """Session time of the cross."""


class SliceKind(Kind):
    """What slicing tells routing and netting."""

    UNKNOWN = "UNKNOWN"
    SLICE = "SLICE"
    RECALL = "RECALL"
    FINISH = "FINISH"
    SET_ASIDE = "SET_ASIDE"
    PERMIT = "PERMIT"


class Style(Kind):
    """How a slice is to be executed."""

    UNKNOWN = "UNKNOWN"
    PASSIVE = "PASSIVE"
    MIDPOINT = "MIDPOINT"
    CROSS = "CROSS"
    SWEEP = "SWEEP"


class Slice(Owned, frozen=True, kw_only=True):
    """A wish of the schedule; it has no venue yet. The contract of `slices`, keyed by instrument.

    SLICE asks routing to execute; RECALL asks it to send nothing more in the epoch, FINISH to take back every child of
    the parent for good; SET_ASIDE answers netting's CROSS_ASK with what was set aside; PERMIT says only what is
    permitted from now on, as a new epoch begins while children are out.
    """

    kind: SliceKind = SliceKind.UNKNOWN
    """What this record does."""
    parent_id: str
    """The parent."""
    slice_no: Count
    """Counts the parent's slices from 1; the other kinds take a number too."""
    epoch_no: int
    """The epoch it belongs to."""
    instrument: str
    """The instrument; the key."""
    side: Side
    """Its side."""
    qty: Qty
    """SLICE: quantity to execute. SET_ASIDE: quantity set aside. Else 0."""
    permitted_qty: Qty
    """The parent's permitted quantity in this epoch, for routing's exposure ledger."""
    limit_px: Px | None = None
    """Worst price allowed, null for none."""
    style: Style = Style.PASSIVE
    """How."""
    expire_ns: Ns = 0
    """When what is not executed is to be taken back."""
    min_qty: Qty = 0
    """Least quantity of one execution; 0 is none."""
    allowed_venues: tuple[str, ...] = ()
    """Venues it may go to; empty is all."""
    dark_allowed: bool = True
    """Whether dark venues may be used."""
    capacity: Capacity = Capacity.AGENCY
    """Our seat in it."""
    ask_id: str | None = None
    """SET_ASIDE: netting's request."""
    crossed_qty: Qty = 0
    """RECALL, FINISH: how much of the epoch's quantity was crossed out of the working parent, by CROSS_DONE."""
    strategy: Strategy = Strategy.UNKNOWN
    """The parent's strategy."""
    parent_order_qty: Qty = 0
    """The parent's quantity, for the gate's ratio of child to parent."""
    why: str = ""
    """The schedule's reason: behind or ahead, cap, curve version."""
    at_ns: Ns
    """Session time."""


class EpochShare(Record, frozen=True, kw_only=True):
    """What became of one member in an epoch."""

    order_id: str
    """The client order."""
    executed_qty: Qty
    """Allocated to it in this epoch (executions only, crosses apart)."""
    remaining_qty: Qty
    """What it still has open."""


class EpochClosed(Owned, frozen=True, kw_only=True):
    """An epoch is over: no more is sent in it, its executions are shared out. The contract of `epochs`.

    Allocation tells netting, which begins the next epoch with what remains or ends the parent. In chunks. Told again
    while children of it are live, with what they have executed since, and a last time with ``live_qty`` 0.
    """

    parent_id: str
    """The parent."""
    instrument: str
    """The instrument; the key."""
    epoch_no: int
    """The epoch that is over."""
    final: bool
    """The parent is over too: what remains has expired."""
    chunk_no: int
    """Counts the chunks from 1."""
    chunk_count: int
    """How many there are."""
    executed_qty: Qty
    """Executed in this epoch, all members."""
    shares: tuple[EpochShare, ...]
    """This chunk's members."""
    at_ns: Ns
    """Session time."""
    live_qty: Qty = 0
    """What children of this epoch and of earlier ones may still execute."""
