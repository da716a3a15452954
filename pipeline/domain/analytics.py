"""What analytics learns from the tape and from our fills, and what TCA says it cost."""

from __future__ import annotations

from pipeline.domain.orders import Side, Strategy
from pipeline.domain.record import Kind, Owned
from pipeline.domain.units import Count, MilliBps, Money, Nanos, Ns, Ppb, Ppm, Px, Qty, TradeDate


class Bar(Owned, frozen=True, kw_only=True):
    """One minute of prints. The contract of `bars`. A late, cancelled or corrected print makes a new revision."""

    instrument: str
    """The instrument; the key."""
    start_ns: Ns
    """The minute's start, session time."""
    revision: Count
    """Counts the versions of this bar from 1; the highest holds."""
    trade_date: TradeDate
    """Trading date."""
    open_px: Px | None
    """First eligible print; null when there was none."""
    high_px: Px | None
    """Highest."""
    low_px: Px | None
    """Lowest."""
    close_px: Px | None
    """Last."""
    volume_qty: Qty
    """Volume of prints eligible for volume."""
    vwap_qty: Qty
    """Volume of prints eligible for VWAP; 0 where vwap_money is too large for a message: then vwap_px alone tells."""
    vwap_money: Money
    """Sum of price times quantity over them."""
    print_count: Count
    """Prints counted."""
    vwap_px: Px | None = None
    """Their volume-weighted price, rounded half to even; null without any."""


class VolumeCurve(Owned, frozen=True, kw_only=True):
    """How a day's volume spreads over its minutes, from earlier days only. The contract of `volume-curves`."""

    instrument: str
    """The instrument; the key."""
    version: Count
    """Counts the versions; the highest holds."""
    trade_date: TradeDate
    """The day it is for."""
    day_start_ns: Ns
    """Opening of that day's session."""
    bin_ns: Nanos
    """Width of a bin."""
    fractions: tuple[Ppb, ...]
    """Share of the day's volume per bin; they sum to exactly 1,000,000,000."""
    day_count: Count
    """Earlier days it was learned from; 0 is the flat curve."""
    daily_volume_qty: Qty
    """Mean volume of those days; from reference data when there are none."""


class VenueScore(Owned, frozen=True, kw_only=True):
    """How a venue has served us in a window. The contract of `venue-scores`; exact counts from our own fills."""

    instrument: str
    """The instrument; the key."""
    venue: str
    """The venue."""
    window_end_ns: Ns
    """End of the window, session time."""
    version: Count
    """Counts the versions for this venue and instrument."""
    children: Count
    """Children sent."""
    sent_qty: Qty
    """Quantity sent."""
    filled_qty: Qty
    """Quantity filled."""
    filled_money: Money
    """Sum of price times quantity."""
    fees: Money
    """Fees paid; negative is rebates."""
    slippage: Money
    """Sum over fills of quantity times (price against the midpoint at sending), positive when it hurt."""
    time_to_fill_ns: Nanos
    """Mean time from sending to fill, weighted by quantity, over filled_qty less untimed_qty; 0 without any."""
    untimed_qty: Qty = 0
    """The part of filled_qty whose time at the venue lies before the sending: it has no time to fill."""
    beyond_range: bool = False
    """filled_money or slippage is too large for a message: both are 0 and say nothing."""


class TCALevel(Kind):
    """What a row of TCA speaks of."""

    UNKNOWN = "UNKNOWN"
    CHILD = "CHILD"
    PARENT = "PARENT"
    ORDER = "ORDER"


class TCARow(Owned, frozen=True, kw_only=True):
    """What it cost, against which benchmark. The contract of `tca`. A benchmark is a price; cost hurts, perf helps."""

    level: TCALevel = TCALevel.UNKNOWN
    """Child, parent or client order."""
    subject_id: str
    """Its id."""
    revision: Count
    """Counts the versions of this row; the highest holds."""
    parent_id: str
    """The parent; empty for a client order without one."""
    instrument: str
    """The instrument; the key."""
    side: Side
    """Side."""
    strategy: Strategy
    """Strategy."""
    venue: str = ""
    """CHILD: the venue."""
    account: str = ""
    """ORDER: the account."""
    trade_date: TradeDate
    """Trade date."""
    order_qty: Qty
    """Asked; PARENT: executed_qty and unexecuted_qty, what left it or was crossed out of it is not in it."""
    executed_qty: Qty
    """Executed."""
    avg_px: Px | None
    """Average price of executed_qty, rounded half to even."""
    fees: Money
    """Fees; negative is rebates."""
    arrival_px: Px | None
    """Midpoint at receipt (of the orders; a parent's is weighted by quantity; a child's, when it was sent)."""
    release_px: Px | None
    """Midpoint at the parent's first release."""
    start_ns: Ns
    """Start of the interval: CHILD: it was sent; PARENT, ORDER: the later of receipt and its own start."""
    end_ns: Ns
    """End of the interval: PARENT, ORDER: the scheduled end, or the cancel of the order, once it has come; else as
    fill_end_ns."""
    interval_vwap_px: Px | None
    """VWAP of eligible prints in the interval (our own executions as far as they are printed); never from rows."""
    interval_vwap_qty: Qty
    """Their volume."""
    arrival_cost_mbps: MilliBps | None
    """Average price of what was executed against arrival; positive when it hurt. What was not: shortfall_cost_mbps."""
    vwap_cost_mbps: MilliBps | None
    """Average price against interval VWAP; positive when it hurt."""
    aggregation_delay_cost_mbps: MilliBps | None
    """Release against arrival: the price of our own window; positive when it hurt."""
    fee_cost_mbps: MilliBps | None
    """Fees against money traded; positive when it hurt."""
    participation: Ppm | None
    """Own share of the interval's volume."""
    at_ns: Ns
    """Session time."""
    final: bool = False
    """PARENT, ORDER: over, and the interval is whole. Later revisions only restate: busts, corrections, late prints."""
    unexecuted_qty: Qty = 0
    """PARENT, ORDER: asked and not executed."""
    last_px: Px | None = None
    """PARENT, ORDER: midpoint when it was over, the price of unexecuted_qty; null before, or when there was none."""
    delay_cost_mbps: MilliBps | None = None
    """Release against arrival on what was executed, over asked quantity at arrival, as are the four that follow."""
    trading_cost_mbps: MilliBps | None = None
    """What was paid against release; positive when it hurt."""
    opportunity_cost_mbps: MilliBps | None = None
    """last_px against arrival on unexecuted_qty; positive when it hurt."""
    explicit_cost_mbps: MilliBps | None = None
    """Fees; negative is rebates."""
    shortfall_cost_mbps: MilliBps | None = None
    """The four together (Perold's implementation shortfall), rounded once. Null until over or all executed."""
    fill_end_ns: Ns = 0
    """The last execution that was not busted; ORDER: the last allocation."""
    fill_vwap_px: Px | None = None
    """VWAP of eligible prints from start_ns to fill_end_ns."""
    fill_vwap_qty: Qty = 0
    """Their volume."""
    fill_vwap_cost_mbps: MilliBps | None = None
    """Average price against fill_vwap_px; positive when it hurt."""
