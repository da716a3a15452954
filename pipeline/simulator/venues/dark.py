"""A dark midpoint venue: hidden interest that comes and goes, seeded, and meets our orders at the midpoint.

Time is divided into cells of equal length. A cell has at most one hidden interest, on one side: whether there is one,
its side, quantity, minimum quantity, and the moment it comes, are draws of (seed, venue, instrument, cell). It stays to
the end of its cell. Nothing we do changes it, except that what we have traded of it is used up; it can be noticed only
by trading with it.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

from pipeline.domain.executions import Liquidity
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.domain.reference import Instrument
from pipeline.domain.units import NS_PER_S, PPM_ONE
from pipeline.parameters import Parameters, nanos, ppm
from pipeline.simulator.venues.draws import below, exponential
from pipeline.simulator.venues.orders import Execution, VenueOrder
from pipeline.state import Entry

_MIN_QTY_CHOICES: Final = (1, 1, 1, 10, 25, 100)
"""Minimum quantities that hidden interest asks for; most ask for none."""


class HiddenInterest(Parameters, frozen=True, kw_only=True):
    """How much hidden interest a simulated dark venue has."""

    cell_ns: Annotated[int, nanos("Length of a cell of time, in which at most one interest comes.", 1)] = 4 * NS_PER_S
    presence_ppm: Annotated[int, ppm("Share of cells that have any.")] = 600_000
    share_ppm: Annotated[
        int,
        ppm(
            "Hidden quantity offered over a day, as a share of the instrument's usual daily volume, both sides "
            "together.",
            most=10 * PPM_ONE,
        ),
    ] = 150_000


class Interest(NamedTuple):
    """The hidden interest of one cell: quantities in units, there from ``from_ns`` to ``until_ns`` (ns since 1970)."""

    cell: int
    side: Side
    qty: int
    min_qty: int
    from_ns: int
    until_ns: int


class DarkState(Entry):
    """What a dark venue has to remember of one instrument."""

    cell: int = 0
    """The last cell whose interest we have traded with."""
    used_qty: int = 0
    """How much of it we have traded, in units."""
    looked_ns: int = 0
    """Interest that came up to this moment has already been matched with our resting orders."""


def interest_of(
    cell: int, parameters: HiddenInterest, seed: int, venue: str, instrument: Instrument
) -> Interest | None:
    """The hidden interest of a cell (they are counted from 1970), or None where it has none."""
    labels = ("interest", venue, instrument.instrument, cell)
    if below(PPM_ONE, seed, *labels, "presence") >= parameters.presence_ppm:
        return None
    session_ns = max(1, instrument.session_close_ns - instrument.session_open_ns)
    a_day = instrument.daily_volume_qty * parameters.share_ppm // PPM_ONE
    mean = a_day * parameters.cell_ns * PPM_ONE // session_ns // max(1, parameters.presence_ppm)
    lot = instrument.lot_qty
    qty = max(lot, exponential(max(1, mean), seed, *labels, "size") // lot * lot)
    side = Side.BUY if below(2, seed, *labels, "side") else Side.SELL
    min_qty = _MIN_QTY_CHOICES[below(len(_MIN_QTY_CHOICES), seed, *labels, "minimum")]
    start_ns = cell * parameters.cell_ns
    from_ns = start_ns + below(parameters.cell_ns // 2 + 1, seed, *labels, "moment")
    return Interest(cell, side, qty, min(qty, min_qty), from_ns, start_ns + parameters.cell_ns)


def next_arrival_ns(
    after_ns: int, until_ns: int, parameters: HiddenInterest, seed: int, venue: str, instrument: Instrument
) -> int | None:
    """The first moment in (after_ns, until_ns], ns since 1970, at which hidden interest comes, or None.

    It comes during the session only: however far time jumps, no more cells are looked at than a session has.
    """
    after_ns = max(after_ns, instrument.session_open_ns - 1)
    until_ns = min(until_ns, instrument.session_close_ns)
    for cell in range(after_ns // parameters.cell_ns, until_ns // parameters.cell_ns + 1):
        interest = interest_of(cell, parameters, seed, venue, instrument)
        if interest is not None and after_ns < interest.from_ns <= until_ns:
            return interest.from_ns
    return None


def refusal(order: VenueOrder, post_only: bool) -> str:
    """The reason for which the venue rejects ``order``; empty when it accepts it."""
    if order.ord_type not in (OrdType.LIMIT, OrdType.MARKET, OrdType.PEGGED_MIDPOINT):
        return "UNSUPPORTED_ORDER_TYPE"
    if order.time_in_force not in (TimeInForce.DAY, TimeInForce.IOC):
        return "UNSUPPORTED_TIME_IN_FORCE"
    if order.ord_type is OrdType.LIMIT and order.limit_px is None:
        return "MISSING_LIMIT_PRICE"
    if order.ord_type is OrdType.MARKET and order.time_in_force is not TimeInForce.IOC:
        return "MARKET_ORDER_CANNOT_REST"
    if post_only:
        return "POST_ONLY_HAS_NO_MEANING"
    return ""


def match(
    orders: list[VenueOrder], midpoint_px: int, interest: Interest, state: DarkState, liquidity: Liquidity
) -> list[Execution]:
    """Execute ``orders``, in time order, against ``interest`` at the midpoint (1e-9 currency units).

    Changes the orders and ``state``. The minimum quantities of an order and of the interest are both kept.
    """
    executions = []
    if state.cell != interest.cell:
        state.cell, state.used_qty = interest.cell, 0
    for order in orders:
        left = interest.qty - state.used_qty
        qty = min(left, order.leaves_qty)
        if order.is_buy == (interest.side is Side.BUY) or not order.accepts(midpoint_px) or qty == 0:
            continue
        # Where less than the minimum is left of an order or of the interest, the minimum is all that is left.
        if qty < min(order.min_qty, order.leaves_qty) or qty < min(interest.min_qty, left):
            continue
        order.execute(qty)
        state.used_qty += qty
        executions.append(Execution(order, qty, midpoint_px, liquidity))
    return executions
