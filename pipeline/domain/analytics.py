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
    """Volume of prints eligible for VWAP."""
    vwap_money: Money
    """Sum of price times quantity over them."""
    print_count: Count
    """Prints counted."""


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
    """Sum over fills of the time since sending, weighted by quantity, divided by filled_qty."""


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
    """Asked."""
    executed_qty: Qty
    """Executed."""
    avg_px: Px | None
    """Average price of executed_qty, rounded half up."""
    fees: Money
    """Fees; negative is rebates."""
    arrival_px: Px | None
    """Midpoint at receipt (of the orders; a parent's is weighted by quantity; a child's, when it was sent)."""
    release_px: Px | None
    """Midpoint at the parent's first release."""
    start_ns: Ns
    """Start of the interval: when the child, or the parent's first child, was sent (ORDER: receipt)."""
    end_ns: Ns
    """End of the interval: the last fill (ORDER: the last allocation)."""
    interval_vwap_px: Px | None
    """VWAP of eligible prints in the interval (our own executions as far as they are printed); never from rows."""
    interval_vwap_qty: Qty
    """Their volume."""
    arrival_cost_mbps: MilliBps | None
    """Average price against arrival; positive when it hurt."""
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
