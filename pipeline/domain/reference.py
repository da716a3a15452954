"""Reference data: effective-dated facts about instruments, accounts, venues, limits and who may cross with whom."""

from __future__ import annotations

from pipeline.domain.orders import AccountClass, Capacity
from pipeline.domain.record import Kind, Owned
from pipeline.domain.units import MilliBps, Money, Nanos, Ns, PerSecond, Ppm, Px, Qty, TradeDate


class ReferenceKind(Kind):
    """What a reference record does from its effective time on."""

    UNKNOWN = "UNKNOWN"
    SET = "SET"
    REMOVE = "REMOVE"


class Instrument(Owned, frozen=True, kw_only=True):
    """An instrument, from a moment on. The contract of `instruments`."""

    kind: ReferenceKind = ReferenceKind.UNKNOWN
    """Set or remove."""
    instrument: str
    """The symbol."""
    effective_ns: Ns
    """Session time from which this holds."""
    currency: str = "USD"
    """The currency it trades in."""
    tick_px: Px
    """The smallest price step; a whole number of 2e-9, so that half a tick is exact."""
    lot_qty: Qty = 1
    """Orders are multiples of this."""
    round_lot_qty: Qty = 100
    """Below this a quote sets no NBBO."""
    session_open_ns: Ns
    """Opening of the session."""
    session_close_ns: Ns
    """Close of the session."""
    reference_px: Px
    """The last close: reference for collars before there is a quote."""
    daily_volume_qty: Qty
    """Usual volume of a whole day: forecast until curves are learned."""
    restricted: bool = False
    """On the restricted list: refused."""
    hard_to_borrow: bool = False
    """A short sale needs a locate."""
    calendar: str = ""
    """The exchange calendar its sessions follow (a MIC: XNYS); a file's are compared with it before they are sent.
    Empty: none."""
    trade_date: TradeDate = 0
    """The trading date of this session, the exchange's local date. 0: not said; then the UTC date of its opening."""
    cash_settlement_date: TradeDate = 0
    """When a trade of trade_date settles as CASH. 0, like the two below: not said."""
    next_day_settlement_date: TradeDate = 0
    """When it settles as NEXT_DAY."""
    regular_settlement_date: TradeDate = 0
    """When it settles as REGULAR."""


class Account(Owned, frozen=True, kw_only=True):
    """A client's account, from a moment on. The contract of `accounts`."""

    kind: ReferenceKind = ReferenceKind.UNKNOWN
    """Set or remove."""
    account: str
    """The account."""
    effective_ns: Ns
    """Session time from which this holds."""
    source: str
    """The upstream system that may send for it."""
    account_class: AccountClass = AccountClass.UNKNOWN
    """Whose money it is."""
    owner: str
    """The beneficial owner."""
    control_group: str
    """Accounts under common control."""


class VenueKind(Kind):
    """What a venue is."""

    UNKNOWN = "UNKNOWN"
    LIT = "LIT"
    ATS = "ATS"
    DARK = "DARK"


class Venue(Owned, frozen=True, kw_only=True):
    """A venue, from a moment on. The contract of `venues`."""

    kind: ReferenceKind = ReferenceKind.UNKNOWN
    """Set or remove."""
    venue: str
    """Its code (FIX LastMkt 30, a MIC)."""
    effective_ns: Ns
    """Session time from which this holds."""
    venue_kind: VenueKind = VenueKind.UNKNOWN
    """Lit, ATS or dark."""
    maker_fee_px: Px
    """What adding liquidity costs per unit; negative is a rebate."""
    taker_fee_px: Px
    """What removing liquidity costs per unit; negative is a rebate."""
    latency_ns: Nanos
    """Shortest way to the venue and, again, back."""
    latency_jitter_ns: Nanos
    """What a seeded draw adds to it at the most."""
    min_qty: Qty = 1
    """Smallest order it takes."""
    checks_repeats: bool = True
    """Whether it recognises a repeated ClOrdID."""


class LimitScope(Kind):
    """Whom a limit binds."""

    UNKNOWN = "UNKNOWN"
    FIRM = "FIRM"
    SOURCE = "SOURCE"
    ACCOUNT = "ACCOUNT"
    INSTRUMENT = "INSTRUMENT"
    GATE = "GATE"


class Limit(Owned, frozen=True, kw_only=True):
    """Limits of a scope, from a moment on. The contract of `limits`. A null does not bind.

    Intake applies FIRM, SOURCE, ACCOUNT and INSTRUMENT to client orders; the last gate applies GATE to children,
    by numbers of its own.
    """

    kind: ReferenceKind = ReferenceKind.UNKNOWN
    """Set or remove."""
    scope: LimitScope = LimitScope.UNKNOWN
    """Whom it binds."""
    scope_id: str = ""
    """Which one; empty for FIRM, and for GATE when it binds every instrument."""
    effective_ns: Ns
    """Session time from which this holds."""
    max_order_qty: Qty | None = None
    """Largest quantity of one order (GATE: of one child)."""
    max_order_value: Money | None = None
    """Largest value of one order (GATE: of one child)."""
    collar: MilliBps | None = None
    """Furthest a limit may stand beyond the reference price."""
    max_reference_age_ns: Nanos | None = None
    """Oldest quote that may serve as reference."""
    max_exposure: Money | None = None
    """ACCOUNT: open value per side (credit). GATE: open value of the firm in the instrument."""
    max_rate: PerSecond | None = None
    """Most orders (GATE: children) in one second."""
    max_backlog_ns: Nanos | None = None
    """FIRM: what waited longer than this, in wall time, is stale and waits for the desk's release."""


class PriceRule(Kind):
    """At what price a cross is done."""

    UNKNOWN = "UNKNOWN"
    MIDPOINT = "MIDPOINT"
    LAST_SALE = "LAST_SALE"
    CLOSE = "CLOSE"
    BENCHMARK = "BENCHMARK"


class CrossingRule(Owned, frozen=True, kw_only=True):
    """Who may cross with whom, by what right, from a moment on. The contract of `crossing-rules`.

    What no row allows is refused, with its reason.
    """

    kind: ReferenceKind = ReferenceKind.UNKNOWN
    """Set or remove."""
    rule_id: str
    """The rule's name, kept with every cross done under it."""
    effective_ns: Ns
    """Session time from which this holds."""
    one_class: AccountClass
    """Class of the one side (rules are symmetric)."""
    other_class: AccountClass
    """Class of the other side."""
    capacity: Capacity = Capacity.AGENCY
    """Our seat in it."""
    allowed: bool
    """Whether such a cross is done at all."""
    price_rule: PriceRule
    """At what price."""
    consent_required: bool = True
    """Whether both orders must carry crossing_consent."""
    trade_report_owed: bool = True
    """Whether a trade report is owed."""
    max_quote_age_ns: Nanos
    """Oldest quote a cross may be priced from."""
    max_spread: MilliBps
    """Widest spread a cross may be priced from."""
    max_move: MilliBps
    """Furthest the midpoint may be from its recent median."""
    min_quote_qty: Qty = 0
    """Least size on both sides of the quote."""
    price_improvement_share: Ppm = 500_000
    """Share of the spread given to the buyer; a half is the midpoint."""
    authority: str
    """The rule of law or the client agreement relied on, for compliance to check."""
