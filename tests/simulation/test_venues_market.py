"""The venues against a simulated market, with orders of every kind: what must hold whatever happens."""

from __future__ import annotations

from collections import defaultdict

import pytest

from pipeline.domain.controls import Tick
from pipeline.domain.executions import ChildKind, ChildOrder, ReportKind, VenueReport
from pipeline.domain.market import NBBO, BookEvent, TradePrint, VenueStatus
from pipeline.domain.orders import OrdType, Side, TimeInForce
from pipeline.domain.record import Record
from pipeline.domain.reference import Instrument, ReferenceKind, Venue, VenueKind
from pipeline.gateways.clock import in_steps
from pipeline.simulator.market.market import DARK_VENUE, FIRST_VENUE, SECOND_VENUE, market_records
from pipeline.simulator.market.synthetic import SimulatedMarket
from pipeline.simulator.venues.draws import Draws
from pipeline.stage import Meta
from pipeline.stages.simulated_venues.stage import VenuesStage
from pipeline.stages.simulated_venues.state import VenuesState
from pipeline.state import Task
from tests.stage_bench import Bench

S = 1_000_000_000
START = 1_340_285_400 * S
TICK = 10_000_000
VENUES = (FIRST_VENUE, SECOND_VENUE, DARK_VENUE)


def _reference() -> list[Record]:
    stock = Instrument(
        kind=ReferenceKind.SET, instrument="SIMA", effective_ns=0, tick_px=TICK, session_open_ns=START,
        session_close_ns=START + 23_400 * S, reference_px=5_000 * TICK, daily_volume_qty=900_000,
    )  # fmt: skip
    kinds = dict(zip(VENUES, (VenueKind.LIT, VenueKind.LIT, VenueKind.DARK), strict=True))
    return [stock] + [
        Venue(
            kind=ReferenceKind.SET, venue=code, effective_ns=0, venue_kind=kind, maker_fee_px=-1, taker_fee_px=1,
            latency_ns=1_000_000, latency_jitter_ns=3_000_000,
        )
        for code, kind in kinds.items()
    ]  # fmt: skip


def _inputs(seed: int, length_s: int, every_s: int) -> list[Record]:
    """A market with a child of ours now and then, and cancels of some of them."""
    market = SimulatedMarket(
        instrument="SIMA", start_ns=START, end_ns=START + length_s * S, trade_date=20120621, seed=seed
    )
    draws = Draws(seed, "children")
    inputs = _reference()
    quote: NBBO | None = None
    sent: list[ChildOrder] = []
    next_ns = START + S
    for record in in_steps(market_records(market), START, START + (length_s + 5) * S, 20120621):
        inputs.append(record)
        if isinstance(record, NBBO):
            quote = record
        if quote is None or quote.event_ns < next_ns or quote.bid_px is None:
            continue
        next_ns = quote.event_ns + draws.exponential(every_s * S)
        venue = VENUES[draws.below(3)]
        dark = venue == DARK_VENUE
        original = sent[draws.below(len(sent))] if sent and draws.below(3) == 0 else None
        child = ChildOrder(
            kind=ChildKind.NEW if original is None else ChildKind.CANCEL,
            child_id=f"C{len(inputs)}", wire_id=f"W{len(inputs)}",
            orig_wire_id=None if original is None else original.wire_id,
            parent_id="P", slice_no=1, epoch_no=1, venue=venue if original is None else original.venue,
            instrument="SIMA", side=(Side.BUY, Side.SELL)[draws.below(2)], order_qty=draws.between(1, 400),
            ord_type=OrdType.PEGGED_MIDPOINT if dark else OrdType.LIMIT,
            limit_px=quote.bid_px + draws.between(-2, 3) * TICK,
            time_in_force=(TimeInForce.DAY, TimeInForce.DAY, TimeInForce.IOC)[draws.below(3)],
            post_only=not dark and draws.below(10) == 0, sent_ns=quote.event_ns,
        )  # fmt: skip
        if child.kind is ChildKind.NEW:
            sent.append(child)
        inputs.append(child)
    return inputs


def _check(inputs: list[Record], reports: list[VenueReport], state: VenuesState) -> None:
    orders = {child.wire_id: child for child in inputs if isinstance(child, ChildOrder) and child.kind is ChildKind.NEW}
    said: dict[str, list[VenueReport]] = defaultdict(list)
    for report in reports:
        said[report.orig_wire_id or report.wire_id].append(report)
    ended = (ReportKind.CANCELED, ReportKind.EXPIRED, ReportKind.REJECTED)
    for wire_id, child in orders.items():
        mine = said[wire_id]
        executed = sum(r.last_qty for r in mine if r.kind is ReportKind.TRADE)
        assert executed <= child.order_qty
        # The market has closed: each order was filled whole or told its end, once.
        assert sum(r.kind in ended for r in mine) == (executed < child.order_qty)
        assert all(r.leaves_qty in (0, child.order_qty - r.cum_qty) for r in mine)
        assert not any(r.kind is ReportKind.TRADE and not _inside(r, child) for r in mine)
    assert len({(r.venue, r.exec_id) for r in reports}) == len(reports)
    for code in (FIRST_VENUE, SECOND_VENUE):
        totals = state.book(code, "SIMA").totals
        mine = [r for r in reports if r.venue == code and r.kind is ReportKind.TRADE]
        printed = sum(r.qty for r in inputs if isinstance(r, TradePrint) and r.venue == code)
        assert totals.aggressive_qty == printed
        assert totals.aggressive_qty == totals.own_qty + totals.record_qty + totals.displaced_qty
        assert totals.displaced_qty <= totals.taken_qty
        assert sum(r.last_qty for r in mine) == totals.own_qty + totals.taken_qty
    assert state.lanes_under_way() == []


def _inside(report: VenueReport, child: ChildOrder) -> bool:
    assert report.last_px is not None and child.limit_px is not None
    return (report.last_px - child.limit_px) * child.side.sign <= 0


def _read_by_venues(inputs: list[Record]) -> list[Record]:
    return [message for message in inputs if type(message) in VenuesStage.reads]


def _run(inputs: list[Record], restore_every: int) -> tuple[list[VenueReport], VenuesState]:
    stage = VenuesStage()
    state = stage.new_state(Task("venues", 0, 1))
    reports: list[VenueReport] = []
    for number, message in enumerate(_read_by_venues(inputs)):
        for record in stage.step(state, message, Meta(0)):
            assert isinstance(record, VenueReport)
            reports.append(record)
        if restore_every and number % restore_every == 0:
            rows = list(state.dump())
            state = stage.new_state(Task("venues", 0, 1))
            for key, value in sorted(rows, reverse=True):
                state.load(key, value)
            state.restored()
    return reports, state


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_minutes_of_orders_of_every_kind_balance(seed: int) -> None:
    inputs = _inputs(seed, 600, 2)
    reports, state = _run(inputs, 0)
    _check(inputs, reports, state)
    trades = [r for r in reports if r.kind is ReportKind.TRADE]
    assert {(r.venue, r.last_liquidity_ind.value) for r in trades} == {
        (venue, how) for venue in VENUES for how in ("ADDED", "REMOVED")
    }, "the market is lively enough to show every way of trading"
    again, other = _run(inputs, 97)
    assert again == reports, "a restore at any place changes nothing"
    assert other.digest() == state.digest()


def test_the_order_in_which_topics_come_between_two_ticks_decides_nothing() -> None:
    """Each topic is in order by itself; how they are merged is the broker's accident."""
    inputs = _inputs(5, 300, 1)
    results = []
    for order in ((BookEvent, NBBO, VenueStatus), (VenueStatus, NBBO, BookEvent), (NBBO, BookEvent, VenueStatus)):
        merged: list[Record] = []
        since_tick: list[Record] = []
        for message in _read_by_venues(inputs):
            if not isinstance(message, Tick):
                since_tick.append(message)
                continue
            merged += [each for each in since_tick if type(each) not in order]
            for topic in order:
                merged += [each for each in since_tick if type(each) is topic]
            merged.append(message)
            since_tick = []
        reports, state = _run(merged, 0)
        _check(inputs, reports, state)
        # Ids count in the order in which venues come to speak; what they say is the same.
        results.append(sorted((r.wire_id, r.cum_qty, r.kind, r.last_px or 0, r.venue_ns) for r in reports))
    assert len(results[0]) > 200
    assert results[0] == results[1] == results[2]


def test_every_step_of_a_minute_can_be_restored() -> None:
    bench: Bench[VenuesState] = Bench(VenuesStage())
    bench.feed(*_read_by_venues(_inputs(4, 60, 2)))
    assert len(bench.all(VenueReport)) > 20
