"""Findings E and B: what slicing and routing decide by is one market: gaps, late records and wrong stamps alike."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline.domain.market import NBBO, Depth, DepthKind, Level, SessionState, VenueStatus
from pipeline.domain.orders import Side
from pipeline.domain.record import Record
from pipeline.stages.slicing.stage import SlicingStage
from tests.findings.slicing_bench import BOTH_SIDES
from tests.stage_bench import Bench
from tests.unit.stages.routing.routing_bench import BID, OFFER, PX, RoutingBench, S
from tests.unit.stages.slicing.test_stage import CENT, opened, parent, quote, s, slices


def depth(kind: DepthKind, qty: int, second: int = 1, side: Side = Side.BUY, **changes: Any) -> Depth:
    """What an order of ``side`` could take at 100.01 or 99.99."""
    level = (Level(px=(10_000 + side.sign) * CENT, qty=qty),)
    shown: dict[str, Any] = {"offers": level} if side is Side.BUY else {"bids": level}
    fields: dict[str, Any] = {
        "kind": kind,
        "venue": "V",
        "instrument": "X",
        "event_ns": s(second),
        "received_ns": s(second),
        "event_no": second,
    }
    return Depth(**{**fields, **shown, **changes})


def sized(side: Side, *records: Record) -> int:
    """The slice of a parent far behind: a quarter of the depth that slicing believes in."""
    bench = opened(Bench(SlicingStage()))
    bench.feed(quote(0), parent(side=side, order_qty=50_000, end_ns=s(200)))
    (first,) = slices(bench.tick(s(5)))
    bench.feed(*records)
    (second,) = slices(bench.tick(s(50)))
    assert (first.qty, second.why.split(":")[0]) == (1_000, "FAR_BEHIND")
    return second.qty


KNOWN: dict[str, tuple[list[Any], int]] = {
    "the quote alone": ([], 1_250),
    "a snapshot": ([(DepthKind.SNAPSHOT, 8_000, 2)], 2_000),
    "a change of it": ([(DepthKind.SNAPSHOT, 8_000, 2), (DepthKind.CHANGE, 4_000, 3)], 1_000),
    "a change before any snapshot": ([(DepthKind.CHANGE, 8_000, 2)], 1_250),
    "a gap": ([(DepthKind.SNAPSHOT, 8_000, 2), (DepthKind.CHANGE, 4_000, 3, "gap")], 1_250),
    "a change after a gap": (
        [(DepthKind.SNAPSHOT, 8_000, 2), (DepthKind.CHANGE, 4_000, 3, "gap"), (DepthKind.CHANGE, 4_000, 4)],
        1_250,
    ),
    "a snapshot after a gap": ([(DepthKind.CHANGE, 4_000, 3, "gap"), (DepthKind.SNAPSHOT, 8_000, 4)], 2_000),
    "an older change": ([(DepthKind.SNAPSHOT, 8_000, 3), (DepthKind.CHANGE, 4_000, 2)], 2_000),
    "an older gap": ([(DepthKind.SNAPSHOT, 8_000, 3), (DepthKind.CHANGE, 4_000, 2, "gap")], 2_000),
    "an older snapshot": ([(DepthKind.SNAPSHOT, 8_000, 3), (DepthKind.SNAPSHOT, 4_000, 2)], 2_000),
    "a repeat": ([(DepthKind.SNAPSHOT, 8_000, 3), (DepthKind.SNAPSHOT, 8_000, 3)], 2_000),
}


@pytest.mark.parametrize("side", BOTH_SIDES)
@pytest.mark.parametrize("known", KNOWN)
def test_slicing_sizes_by_depth_that_is_known(known: str, side: Side) -> None:
    said, qty = KNOWN[known]
    records = [depth(kind, shown, at, side, gap=bool(gap)) for kind, shown, at, *gap in said]
    assert sized(side, *records) == qty


@pytest.mark.parametrize(
    ("state", "qty"),
    [(state, 2_000 if state is SessionState.OPEN else 1_000) for state in SessionState],
)
def test_depth_of_a_venue_where_nothing_may_be_sent_is_no_depth(state: SessionState, qty: int) -> None:
    other = VenueStatus(venue="W", instrument="X", state=state, event_ns=s(2), received_ns=s(2))
    shown = depth(DepthKind.SNAPSHOT, 4_000, 2)
    assert sized(Side.BUY, other, shown, msgspec.structs.replace(shown, venue="W")) == qty


def test_slicing_prices_by_the_newest_quote_in_whatever_order_they_come() -> None:
    bench = opened(Bench(SlicingStage()))
    bench.feed(parent(limit_px=10_000 * CENT))
    bench.feed(quote(40, bid=9_998, offer=10_000), quote(30))  # the late one is out of the limit
    assert slices(bench.tick(s(50)))


def test_routing_takes_at_the_newest_quote_in_whatever_order_they_come() -> None:
    bench = RoutingBench()
    bench.quote(BID + PX, OFFER + PX)
    newest = bench.state.market.quote("A")
    assert newest is not None
    bench.feed(msgspec.structs.replace(newest, event_ns=990 * S, bid_px=BID - 9 * PX, offer_px=OFFER - 9 * PX))
    held = bench.state.market.quote("A")
    assert held is not None and (held.bid_px, held.offer_px) == (BID + PX, OFFER + PX)


def test_an_older_status_opens_no_venue_for_routing() -> None:
    bench = RoutingBench()

    def said(state: SessionState, second: int) -> None:
        stamp = second * S
        bench.feed(VenueStatus(venue="LITA", instrument="A", state=state, event_ns=stamp, received_ns=stamp))

    said(SessionState.HALTED, 1_000)
    said(SessionState.OPEN, 999)
    assert bench.state.market.status("A", "LITA").state is SessionState.HALTED


def test_a_quote_is_one_of_both_sides() -> None:
    """A bad side is none: the market has no spread then, whatever stood there before."""
    bench = opened(Bench(SlicingStage()))
    bad: NBBO = msgspec.structs.replace(quote(1), offer_px=-1, offer_qty=100)
    bench.feed(parent(), bad)
    assert slices(bench.tick(s(50))) == []
    bench.feed(quote(51))
    assert slices(bench.tick(s(51)))
