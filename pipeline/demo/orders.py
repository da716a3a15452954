"""The orders of the demo: thousands of small ones from three sources, with every kind of bad one among them.

All are drawn from one seed. Their sizes are such that the quantity left after crossing is a small part of the volume
that traded in the recorded ten minutes, as it would be of a real desk.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from pipeline.demo.reference_data import CENT, RESTRICTED, SOURCES, Listed, SessionDay, account_names
from pipeline.domain.orders import (
    Completion,
    OrderRequest,
    OrdType,
    RequestKind,
    Side,
    Strategy,
    TimeInForce,
    Urgency,
)
from pipeline.domain.units import NS_PER_S, PX_ONE

WINDOW_NS: Final = 120 * NS_PER_S
"""Orders end at whole multiples of this after the opening, so that many have equal terms and can be aggregated."""
REST_NS: Final = 20 * NS_PER_S
"""Orders end this long before the market's window does: at ten times real pace a message to a venue and back takes
seconds of session time."""
FIRST_NS: Final = 5 * NS_PER_S
"""The first orders come this long after the opening."""


@dataclass(frozen=True)
class Sending:
    """One message to `orders-in`: when (session time), by whom, and what; `raw` bytes are sent as they are."""

    at_ns: int
    source: str
    request: OrderRequest | None = None
    raw: bytes | None = None
    misplaced: bool = False
    """Sent to another partition than the source's own, as a client library with another partitioner would send it."""


@dataclass(frozen=True)
class Flow:
    """How many orders an instrument gets, and their largest quantity (units)."""

    listed: Listed
    count: int
    largest_qty: int


def sendings(day: SessionDay, flows: list[Flow], seed: int, length_ns: int) -> list[Sending]:
    """All messages of the day, in the order they are sent; ``length_ns`` is the market's window."""
    draw = random.Random(seed)
    all_of_them: list[Sending] = []
    numbers = dict.fromkeys(SOURCES, 0)
    last_ns = day.open_ns + max(length_ns - WINDOW_NS, length_ns // 2)
    for flow in flows:
        for _ in range(flow.count):
            source = SOURCES[draw.randrange(len(SOURCES))]
            numbers[source] += 1
            at_ns = day.open_ns + FIRST_NS + draw.randrange(last_ns - day.open_ns - FIRST_NS)
            cl_ord_id = f"{source[0].upper()}{numbers[source]:06d}"
            order = _order(draw, day, flow, source, cl_ord_id, at_ns, length_ns)
            misplaced = draw.random() < 0.05
            all_of_them.append(Sending(at_ns, source, order, misplaced=misplaced))
            all_of_them.extend(_afterwards(draw, order, at_ns, misplaced, day.open_ns + length_ns))
    all_of_them.extend(_bad(draw, day, flows[0].listed, last_ns))
    return sorted(all_of_them, key=lambda sending: (sending.at_ns, sending.source))


def _order(
    draw: random.Random, day: SessionDay, flow: Flow, source: str, cl_ord_id: str, at_ns: int, length_ns: int
) -> OrderRequest:
    strategy = Strategy.VWAP if draw.random() < 0.6 else Strategy.TWAP
    windows = (at_ns - day.open_ns) // WINDOW_NS + 2
    limit = draw.random() < 0.04
    side = Side.BUY if draw.random() < 0.45 else Side.SELL
    # A limit well away from the market, and the same for many orders: only equal limits are aggregated.
    away = flow.listed.reference_px // 100 * 2 // CENT * CENT
    limit_px = flow.listed.reference_px + side.sign * away if limit else None
    return OrderRequest(
        kind=RequestKind.NEW,
        source=source,
        cl_ord_id=cl_ord_id,
        account=draw.choice(account_names(source)),
        instrument=flow.listed.symbol,
        side=side,
        order_qty=1 + int(flow.largest_qty * draw.random() ** 2),
        ord_type=OrdType.LIMIT if limit else OrdType.MARKET,
        limit_px=limit_px,
        strategy=strategy,
        urgency=Urgency.MEDIUM,
        end_ns=min(day.open_ns + windows * WINDOW_NS, day.open_ns + length_ns - REST_NS),
        completion=Completion.MUST if draw.random() < 0.08 else Completion.BEST_EFFORT,
        participation_cap=250_000 if draw.random() < 0.04 else None,
        crossing_consent=draw.random() < 0.95,
    )


def _afterwards(
    draw: random.Random, order: OrderRequest, at_ns: int, misplaced: bool, end_ns: int
) -> Iterator[Sending]:
    """What a real sender does later: sends the order again, sends it with another quantity, or cancels it."""
    chance = draw.random()
    later_ns = at_ns + draw.randrange(NS_PER_S, 60 * NS_PER_S)
    if chance < 0.010:
        # The same order again; half of the repeats go to another partition than before.
        yield Sending(later_ns, order.source, order, misplaced=misplaced != (draw.random() < 0.5))
    elif chance < 0.012:
        other = msgspec.structs.replace(order, order_qty=(order.order_qty or 0) + 1)
        yield Sending(later_ns, order.source, other)
    elif chance < 0.022 and later_ns < end_ns:
        cancel = OrderRequest(
            kind=RequestKind.CANCEL,
            source=order.source,
            cl_ord_id=f"{order.cl_ord_id}-C",
            orig_cl_ord_id=order.cl_ord_id,
            account=order.account,
            instrument=order.instrument,
            side=order.side,
        )
        yield Sending(later_ns, order.source, cancel)


def _bad(draw: random.Random, day: SessionDay, listed: Listed, last_ns: int) -> Iterator[Sending]:
    """One order of each kind that intake refuses, and bytes that are no order at all."""
    source = SOURCES[0]
    good = OrderRequest(
        kind=RequestKind.NEW,
        source=source,
        cl_ord_id="",
        account=account_names(source)[0],
        instrument=listed.symbol,
        side=Side.BUY,
        order_qty=5,
        ord_type=OrdType.MARKET,
        end_ns=last_ns,
    )
    past_ns = day.open_ns - NS_PER_S
    limit = {"ord_type": OrdType.LIMIT}
    bad: list[dict[str, object]] = [
        {"account": "NOBODY"},
        {"account": account_names(SOURCES[1])[0]},
        {"instrument": "XXXX"},
        {"instrument": RESTRICTED.symbol},
        {"side": Side.UNKNOWN},
        {"order_qty": None},
        {"order_qty": 0},
        {"order_qty": -5},
        {"fractional_qty": 500_000_000},
        {"order_qty": None, "cash_order_qty": 1_000 * PX_ONE},
        {"min_qty": 50},
        {"ord_type": OrdType.LIMIT},
        {"ord_type": OrdType.MARKET, "limit_px": listed.reference_px},
        {**limit, "limit_px": -CENT},
        {**limit, "limit_px": listed.reference_px + CENT // 2},
        {"ord_type": OrdType.STOP},
        {"ord_type": OrdType.UNKNOWN},
        {"time_in_force": TimeInForce.FOK},
        {"time_in_force": TimeInForce.AT_THE_CLOSE},
        {"strategy": Strategy.POV},
        {"start_ns": last_ns, "end_ns": last_ns - NS_PER_S},
        {"end_ns": past_ns},
        {"participation_cap": 2_000_000},
        {"allowed_venues": ("XMOON",)},
        {"order_qty": 50_000},
        {**limit, "order_qty": 4_999, "limit_px": listed.reference_px // 100 * 104 // CENT * CENT},
        {**limit, "order_qty": 1, "limit_px": listed.reference_px * 2},
        {"kind": RequestKind.REPLACE, "orig_cl_ord_id": "R000001"},
        {"kind": RequestKind.CANCEL, "orig_cl_ord_id": "never-sent"},
        {"cl_ord_id": ""},
    ]
    for number, changes in enumerate(bad, start=1):
        request = msgspec.structs.replace(good, **{"cl_ord_id": f"BAD{number:03d}", **changes})
        yield Sending(day.open_ns + draw.randrange(20 * NS_PER_S, 60 * NS_PER_S), source, request)
    rubbish = (b"", b"not avro at all", b"\x00\x7f\xff\xff\xff\x00", b"\x00\x00\x00")
    for raw in rubbish:
        yield Sending(day.open_ns + draw.randrange(20 * NS_PER_S, 60 * NS_PER_S), source, raw=raw)
