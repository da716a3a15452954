from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.domain.executions import ChildKind, ChildOrder, Liquidity, ReportKind, VenueReport
from pipeline.domain.market import NBBO, BookEvent, BookEventKind, QuoteKind, SessionState, VenueStatus
from pipeline.domain.orders import OrdStatus, OrdType, Side, TimeInForce
from pipeline.domain.record import Record
from pipeline.domain.reference import Instrument, ReferenceKind, Venue, VenueKind
from pipeline.simulator.venues.dark import HiddenInterest, interest_of
from pipeline.simulator.venues.faults import Faults
from pipeline.stages.simulated_venues.parameters import VenuesParameters
from pipeline.stages.simulated_venues.stage import VenuesStage
from pipeline.stages.simulated_venues.state import VenuesState
from tests.stage_bench import Bench

MS = 1_000_000
S = 1_000_000_000
TICK = 10_000_000
START = 1_340_285_400 * S
FEE_TAKE, FEE_MAKE = 3_000_000, -2_000_000

STOCK = Instrument(
    kind=ReferenceKind.SET, instrument="AMZN", effective_ns=0, tick_px=TICK, session_open_ns=START,
    session_close_ns=START + 23_400 * S, reference_px=22_000 * TICK, daily_volume_qty=800_000,
)  # fmt: skip


def venue(code: str, kind: VenueKind = VenueKind.LIT, **changed: Any) -> Venue:
    values: dict[str, Any] = {
        "kind": ReferenceKind.SET, "venue": code, "effective_ns": 0, "venue_kind": kind, "maker_fee_px": FEE_MAKE,
        "taker_fee_px": FEE_TAKE, "latency_ns": 2 * MS, "latency_jitter_ns": 1 * MS,
    }  # fmt: skip
    return Venue(**(values | changed))


def status(code: str, state: SessionState, at_ns: int = START) -> VenueStatus:
    return VenueStatus(venue=code, instrument="AMZN", state=state, event_ns=at_ns, received_ns=at_ns)


class Market:
    """The stage with three open venues, fed by hand."""

    def __init__(self, parameters: VenuesParameters = VenuesParameters()) -> None:  # noqa: B008 - frozen
        self.bench: Bench[VenuesState] = Bench(VenuesStage(parameters))
        self.bench.feed(
            STOCK, venue("XNAS"), venue("XBAT", checks_repeats=False), venue("XDRK", VenueKind.DARK, min_qty=5)
        )
        self.bench.feed(*(status(code, SessionState.OPEN) for code in ("XNAS", "XBAT", "XDRK")))
        self.bench.tick(START)
        self.event_no = 0
        self.wire_no = 0

    def book(self, at_ms: int, kind: BookEventKind, side: Side, qty: int, ticks: int, ref: str = "A") -> None:
        self.event_no += 1
        event = BookEvent(
            kind=kind, venue="XNAS", instrument="AMZN", event_ns=START + at_ms * MS, event_no=self.event_no,
            order_ref=ref, side=side, qty=qty, px=ticks * TICK,
        )  # fmt: skip
        assert self.bench.feed(event) == [], "reports come at ticks only"

    def quote(self, at_ms: int, bid: int | None, offer: int | None) -> None:
        self.event_no += 1
        self.bench.feed(
            NBBO(
                kind=QuoteKind.BBO, instrument="AMZN", feed="F", event_ns=START + at_ms * MS, quote_no=self.event_no,
                received_ns=START + at_ms * MS, bid_px=None if bid is None else bid * TICK, bid_qty=100,
                offer_px=None if offer is None else offer * TICK, offer_qty=100,
            )
        )  # fmt: skip

    def send(self, at_ms: int, side: Side, qty: int, ticks: int | None, **changed: Any) -> str:
        self.wire_no += 1
        values: dict[str, Any] = {
            "kind": ChildKind.NEW, "child_id": f"C{self.wire_no}", "wire_id": f"W{self.wire_no}", "parent_id": "P",
            "slice_no": 1, "epoch_no": 1, "venue": "XNAS", "instrument": "AMZN", "side": side, "order_qty": qty,
            "ord_type": OrdType.MARKET if ticks is None else OrdType.LIMIT, "time_in_force": TimeInForce.DAY,
            "limit_px": None if ticks is None else ticks * TICK, "sent_ns": START + at_ms * MS,
        }  # fmt: skip
        child = ChildOrder(**(values | changed))
        assert self.bench.feed(child) == []
        return child.wire_id

    def cancel(self, at_ms: int, original: str, **changed: Any) -> str:
        return self.send(at_ms, Side.BUY, 1, 1, **({"kind": ChildKind.CANCEL, "orig_wire_id": original} | changed))

    def until(self, at_ms: int) -> list[VenueReport]:
        return self.bench.all(VenueReport, self.bench.tick(START + at_ms * MS))

    def offers(self, *levels: tuple[int, int]) -> None:
        for number, (qty, ticks) in enumerate(levels):
            self.book(1, BookEventKind.ADD, Side.SELL, qty, ticks, f"S{number}")


def kinds(reports: Sequence[VenueReport]) -> list[str]:
    return [report.kind.value for report in reports]


def test_always_crossing_costs_the_half_spread_and_the_fee() -> None:
    market = Market()
    market.book(1, BookEventKind.ADD, Side.BUY, 1_000, 22_000, "B")
    market.book(1, BookEventKind.ADD, Side.SELL, 1_000, 22_010, "S")
    half_spread_px, midpoint_px = 5 * TICK, 22_005 * TICK
    market.send(10, Side.BUY, 300, None, time_in_force=TimeInForce.IOC)
    market.send(10, Side.SELL, 200, None, time_in_force=TimeInForce.IOC)
    trades = [r for r in market.until(100) if r.kind is ReportKind.TRADE]
    assert [(r.last_qty, r.last_liquidity_ind) for r in trades] == [(300, Liquidity.REMOVED), (200, Liquidity.REMOVED)]
    cost = sum(r.side.sign * r.last_qty * ((r.last_px or 0) - midpoint_px) + r.fee for r in trades)
    assert cost == 500 * (half_spread_px + FEE_TAKE)


def test_an_order_meets_the_book_of_its_arrival_not_of_its_sending_nor_a_later_one() -> None:
    market = Market()
    market.offers((100, 22_010))
    market.send(10, Side.BUY, 300, 22_020, time_in_force=TimeInForce.IOC)  # arrives 12 to 13 ms after the start
    market.book(11, BookEventKind.ADD, Side.SELL, 7, 22_005, "before")
    market.book(14, BookEventKind.ADD, Side.SELL, 100, 22_000, "after")
    trades = [r for r in market.until(100) if r.kind is ReportKind.TRADE]
    assert [(r.last_qty, r.last_px) for r in trades] == [(7, 22_005 * TICK), (100, 22_010 * TICK)]
    assert all(START + 12 * MS <= r.venue_ns <= START + 13 * MS for r in trades)


def test_an_order_that_comes_late_through_our_own_doing_meets_the_book_as_it_is_then() -> None:
    market = Market()
    market.book(500, BookEventKind.ADD, Side.SELL, 5, 22_010, "S")
    market.send(10, Side.BUY, 5, 22_010)
    trade = market.until(600)[-1]
    assert (trade.kind, trade.venue_ns) == (ReportKind.TRADE, START + 500 * MS)


def test_reports_take_their_way_back_and_keep_their_order() -> None:
    market = Market()
    market.offers((1, 22_001), (2, 22_002), (3, 22_003))
    market.send(10, Side.BUY, 6, 22_003)
    assert market.until(13) == []
    reports = market.until(100)
    assert kinds(reports) == ["NEW", "TRADE", "TRADE", "TRADE"]
    assert [r.cum_qty for r in reports] == [0, 1, 3, 6]
    assert [r.leaves_qty for r in reports] == [6, 5, 3, 0]
    assert reports[-1].ord_status is OrdStatus.FILLED
    assert [r.received_ns for r in reports] == sorted(r.received_ns for r in reports)
    assert all(2 * MS <= r.received_ns - r.venue_ns <= 3 * MS for r in reports)
    assert len({r.exec_id for r in reports}) == 4


def test_what_does_not_execute_of_a_day_order_rests_and_fills_as_a_maker() -> None:
    market = Market()
    market.book(1, BookEventKind.ADD, Side.BUY, 100, 22_000, "B")
    wire = market.send(10, Side.BUY, 30, 22_001)
    assert kinds(market.until(20)) == ["NEW"]
    market.book(30, BookEventKind.EXECUTE, Side.BUY, 40, 22_000, "B")
    (trade,) = market.until(40)
    assert (trade.wire_id, trade.last_qty, trade.last_px, trade.fee) == (wire, 30, 22_001 * TICK, 30 * FEE_MAKE)
    assert trade.last_liquidity_ind is Liquidity.ADDED
    totals = market.bench.state.book("XNAS", "AMZN").totals
    assert (totals.aggressive_qty, totals.own_qty, totals.record_qty) == (40, 30, 10)


@pytest.mark.parametrize(
    ("changed", "answers", "reason"),
    [
        ({"venue": "XXXX"}, ["REJECTED"], "UNKNOWN_VENUE"),
        ({"order_qty": 0}, ["REJECTED"], "BELOW_MINIMUM_QUANTITY"),
        ({"venue": "XDRK", "order_qty": 4}, ["REJECTED"], "BELOW_MINIMUM_QUANTITY"),
        ({"limit_px": 22_000 * TICK + 1}, ["REJECTED"], "PRICE_NOT_ON_TICK"),
        ({"limit_px": None}, ["REJECTED"], "MISSING_LIMIT_PRICE"),
        ({"ord_type": OrdType.PEGGED_MIDPOINT}, ["REJECTED"], "UNSUPPORTED_ORDER_TYPE"),
        ({"ord_type": OrdType.STOP}, ["REJECTED"], "UNSUPPORTED_ORDER_TYPE"),
        ({"time_in_force": TimeInForce.GTC}, ["REJECTED"], "UNSUPPORTED_TIME_IN_FORCE"),
        ({"min_qty": 5}, ["REJECTED"], "MIN_QUANTITY_NEEDS_IMMEDIATE_OR_CANCEL"),
        ({"post_only": True}, ["REJECTED"], "POST_ONLY_WOULD_TAKE"),
        ({"post_only": True, "limit_px": 22_009 * TICK}, ["NEW"], ""),
        ({"venue": "XDRK", "post_only": True}, ["REJECTED"], "POST_ONLY_HAS_NO_MEANING"),
        ({"time_in_force": TimeInForce.IOC, "order_qty": 150}, ["NEW", "TRADE", "CANCELED"], "IMMEDIATE_OR_CANCEL"),
        ({"time_in_force": TimeInForce.IOC, "order_qty": 150, "min_qty": 101}, ["NEW", "CANCELED"],
         "IMMEDIATE_OR_CANCEL"),
        ({"time_in_force": TimeInForce.IOC, "order_qty": 150, "min_qty": 100}, ["NEW", "TRADE", "CANCELED"],
         "IMMEDIATE_OR_CANCEL"),
        ({"ord_type": OrdType.MARKET, "limit_px": None, "order_qty": 150}, ["NEW", "TRADE", "CANCELED"],
         "NO_LIQUIDITY"),
        ({"kind": ChildKind.REPLACE, "orig_wire_id": "W9"}, ["CANCEL_REJECT"], "REPLACE_NOT_SUPPORTED"),
    ],
)  # fmt: skip
def test_the_rules_of_the_venues(changed: dict[str, Any], answers: list[str], reason: str) -> None:
    market = Market()
    market.offers((100, 22_010))
    market.send(10, Side.BUY, 100, 22_010, **changed)
    reports = market.until(1_000)
    assert (kinds(reports), reports[-1].reason) == (answers, reason)
    if answers[-1] in ("REJECTED", "CANCELED"):
        assert reports[-1].leaves_qty == 0


@pytest.mark.parametrize(
    ("state", "reason", "answer"),
    [
        (SessionState.PRE_OPEN, "MARKET_CLOSED", "REJECTED"),
        (SessionState.AUCTION, "AUCTION_NOT_SUPPORTED", "REJECTED"),
        (SessionState.HALTED, "HALTED", "REJECTED"),
        (SessionState.CLOSED, "MARKET_CLOSED", "REJECTED"),
        (SessionState.DOWN, "VENUE_DOWN", "NOT_SENT"),
    ],
)
def test_a_venue_takes_orders_only_while_it_is_open(state: SessionState, reason: str, answer: str) -> None:
    market = Market()
    market.bench.feed(status("XNAS", state, START + MS))
    market.send(10, Side.BUY, 100, 22_000)
    (report,) = market.until(100)
    assert (report.kind.value, report.reason) == (answer, reason)


def test_a_halt_holds_what_rests_and_a_cancel_passes() -> None:
    market = Market()
    wire = market.send(1, Side.BUY, 100, 22_000)
    market.until(10)
    market.book(20, BookEventKind.HALT, Side.UNKNOWN, 0, 0, "")
    assert market.until(30) == []
    market.cancel(40, wire)
    (report,) = market.until(100)
    assert (report.kind, report.ord_status, report.orig_wire_id) == (ReportKind.CANCELED, OrdStatus.CANCELED, wire)


@pytest.mark.parametrize("how", ["status", "day end"])
def test_the_end_of_the_session_expires_what_rests(how: str) -> None:
    from pipeline.domain.controls import TickKind

    market = Market()
    market.send(1, Side.BUY, 100, 22_000)
    market.until(10)
    if how == "status":
        market.bench.feed(status("XNAS", SessionState.CLOSED, START + 20 * MS))
        reports = market.until(30)
    else:
        market.bench.tick(START + 20 * MS, kind=TickKind.DAY_END)
        reports = market.until(30)
    assert kinds(reports) == ["EXPIRED"]
    assert (reports[0].ord_status, reports[0].leaves_qty) == (OrdStatus.EXPIRED, 0)


def test_a_new_day_forgets_what_is_done() -> None:
    from pipeline.domain.controls import TickKind

    market = Market()
    market.send(1, Side.BUY, 100, None, time_in_force=TimeInForce.IOC)
    market.until(10)
    assert len(market.bench.state.orders) == len(market.bench.state.wires) == 1
    market.bench.tick(START + 86_400 * S, kind=TickKind.DAY_START)
    assert len(market.bench.state.orders) == len(market.bench.state.wires) == 0


def test_cancels_are_confirmed_refused_as_too_late_or_as_unknown() -> None:
    market = Market()
    market.offers((100, 22_010))
    rests = market.send(1, Side.BUY, 100, 22_000)
    done = market.send(1, Side.BUY, 100, 22_010)
    market.until(10)
    cancels = [market.cancel(20, wire) for wire in (rests, done, "never seen", rests)]
    reports = market.until(100)
    assert [(r.kind.value, r.reason, r.ord_status.value) for r in reports] == [
        ("CANCELED", "", "CANCELED"),
        ("CANCEL_REJECT", "TOO_LATE_TO_CANCEL", "FILLED"),
        ("CANCEL_REJECT", "UNKNOWN_ORDER", "REJECTED"),
        ("CANCEL_REJECT", "TOO_LATE_TO_CANCEL", "CANCELED"),
    ]
    assert [r.wire_id for r in reports] == cancels
    assert [r.orig_wire_id for r in reports] == [rests, done, "never seen", rests]


def test_a_cancel_never_overtakes_its_order_on_the_way() -> None:
    for number in range(30):
        market = Market(VenuesParameters(seed=number))
        market.cancel(10, market.send(10, Side.BUY, 100, 22_000))
        assert kinds(market.until(100)) == ["NEW", "CANCELED"]


@pytest.mark.parametrize(("code", "recognises"), [("XNAS", True), ("XBAT", False)])
def test_a_repeated_client_order_id_is_recognised_by_one_venue_and_not_by_another(code: str, recognises: bool) -> None:
    market = Market()
    market.send(1, Side.BUY, 100, 22_000, venue=code, wire_id="SAME")
    market.send(20, Side.BUY, 100, 22_000, venue=code, wire_id="SAME")
    reports = market.until(100)
    assert kinds(reports) == (["NEW", "REJECTED"] if recognises else ["NEW", "NEW"])
    assert len(market.bench.state.book(code, "AMZN").own) == (1 if recognises else 2)
    if recognises:
        assert reports[1].reason == "DUPLICATE_CL_ORD_ID"
    market.cancel(200, "SAME", venue=code, wire_id="CANCEL")
    assert kinds(market.until(300)) == ["CANCELED"]


def _hidden(seed: int, side: Side) -> Any:
    """The first hidden interest of a side, a while after the start."""
    cell = START // HiddenInterest().cell_ns + 2
    while True:
        interest = interest_of(cell, HiddenInterest(), seed, "XDRK", STOCK)
        if interest is not None and interest.side is side and interest.min_qty == 1:
            return interest
        cell += 1


@pytest.mark.parametrize("when", ["it comes while we rest", "we come while it is there", "the quote comes last"])
def test_the_dark_venue_executes_at_the_midpoint_of_that_moment(when: str) -> None:
    market = Market(VenuesParameters(seed=5))
    interest = _hidden(5, Side.SELL)
    comes_ms = (interest.from_ns - START) // MS
    before = {"it comes while we rest": 50, "we come while it is there": -10, "the quote comes last": 50}[when]
    market.quote(1, 22_000, 22_001)
    if when == "the quote comes last":
        market.quote(2, 22_100, 22_101)
    # The limit is of the first quote: after the second one nothing may execute.
    market.send(
        comes_ms - before, Side.BUY, 5, None, venue="XDRK", ord_type=OrdType.PEGGED_MIDPOINT, limit_px=22_001 * TICK
    )
    reports = market.until(comes_ms + 30)
    if when == "the quote comes last":
        assert kinds(reports) == ["NEW"]
        market.quote(comes_ms + 40, 22_000, 22_001)
        reports += market.until(comes_ms + 60)
    assert kinds(reports) == ["NEW", "TRADE"]
    assert (reports[1].last_px, reports[1].last_qty) == (22_000 * TICK + TICK // 2, 5)
    resting = when != "we come while it is there"
    assert reports[1].last_liquidity_ind is (Liquidity.ADDED if resting else Liquidity.REMOVED)


def test_the_dark_venue_knows_no_quote_later_than_the_arrival() -> None:
    market = Market(VenuesParameters(seed=5))
    at_ms = (_hidden(5, Side.SELL).from_ns - START) // MS + 10
    market.quote(1, 22_000, 22_001)
    market.send(at_ms, Side.BUY, 5, None, venue="XDRK", ord_type=OrdType.PEGGED_MIDPOINT)
    market.quote(at_ms + 20, 22_100, 22_101)
    trade = market.until(at_ms + 50)[-1]
    assert (trade.kind, trade.last_px) == (ReportKind.TRADE, 22_000 * TICK + TICK // 2)


def test_the_dark_venue_needs_both_sides_of_a_quote_and_never_trades_with_itself() -> None:
    market = Market(VenuesParameters(hidden=HiddenInterest(presence_ppm=0)))
    peg = {"venue": "XDRK", "ord_type": OrdType.PEGGED_MIDPOINT, "limit_px": None}
    market.quote(1, 22_000, 22_001)
    market.send(10, Side.BUY, 5, None, **peg)
    market.send(10, Side.SELL, 5, None, **peg)
    assert kinds(market.until(60_000)) == ["NEW", "NEW"], "our own orders do not meet"
    always = Market(VenuesParameters(hidden=HiddenInterest(presence_ppm=1_000_000)))
    always.quote(1, 22_000, None)
    always.send(10, Side.BUY, 5, None, **peg)
    always.send(10, Side.SELL, 5, None, **peg)
    assert kinds(always.until(60_000)) == ["NEW", "NEW"], "there is no midpoint"


def test_a_status_request_is_answered_with_how_the_order_stands_and_changes_nothing() -> None:
    market = Market()
    market.offers((40, 22_010))
    partly = market.send(10, Side.BUY, 100, 22_010)
    filled = market.send(20, Side.BUY, 5, 22_009)
    market.until(100)

    def ask(at_ms: int, original: str) -> list[tuple[str, str, OrdStatus, int, int, str]]:
        market.send(at_ms, Side.BUY, 100, 22_010, kind=ChildKind.STATUS, orig_wire_id=original)
        reports = market.until(at_ms + 50)
        return [(r.kind.value, r.wire_id, r.ord_status, r.cum_qty, r.leaves_qty, r.reason) for r in reports]

    assert ask(200, partly) == [("ORDER_STATUS", partly, OrdStatus.PARTIALLY_FILLED, 40, 60, "")]
    assert ask(300, filled) == [("ORDER_STATUS", filled, OrdStatus.NEW, 0, 5, "")]
    market.cancel(400, partly)
    market.until(450)
    assert ask(500, partly) == [("ORDER_STATUS", partly, OrdStatus.CANCELED, 40, 0, "")]
    assert ask(600, "NEVER") == [("ORDER_STATUS", "NEVER", OrdStatus.REJECTED, 0, 0, "UNKNOWN_ORDER")]
    market.bench.feed(status("XNAS", SessionState.DOWN, START + 700 * MS))
    assert ask(800, filled) == [], "a venue that is down says nothing"


def _run_with(faults: Faults, count: int = 40) -> list[VenueReport]:
    market = Market(VenuesParameters(faults=faults))
    for number in range(count):
        market.book(20 * number + 1, BookEventKind.ADD, Side.SELL, 10, 22_010, f"S{number}")
        market.send(20 * number + 2, Side.BUY, 10, 22_010)
    return market.until(60_000)


def test_faults_are_off_by_default_and_each_does_what_it_says() -> None:
    clean = _run_with(Faults())
    assert kinds(clean) == ["NEW", "TRADE"] * 40
    half = 500_000
    rejected = _run_with(Faults(reject_ppm=half))
    assert 5 < kinds(rejected).count("REJECTED") < 35
    repeated = _run_with(Faults(duplicate_ppm=half))
    ids = [r.exec_id for r in repeated]
    assert 20 < len(ids) - len(set(ids)) < 60
    assert {replace_time(r) for r in repeated} == {replace_time(r) for r in clean}, "a repeat says the same again"
    late = _run_with(Faults(late_ppm=half))
    assert sorted(r.exec_id for r in late) == sorted(r.exec_id for r in clean)
    assert [r.exec_id for r in late] != [r.exec_id for r in clean], "late ones are overtaken"
    busted = _run_with(Faults(bust_ppm=half))
    busts = [r for r in busted if r.kind is ReportKind.BUST]
    trades = {r.exec_id: r for r in busted if r.kind is ReportKind.TRADE}
    assert 5 < len(busts) < 35
    for bust in busts:
        taken_back = trades[bust.exec_ref_id or ""]
        assert (bust.last_qty, bust.last_px, bust.wire_id) == (10, taken_back.last_px, taken_back.wire_id)
        assert (bust.cum_qty, bust.leaves_qty, bust.ord_status) == (0, 0, OrdStatus.CANCELED)
    over = [r for r in _run_with(Faults(overfill_ppm=half)) if r.kind is ReportKind.TRADE]
    assert 5 < sum(r.cum_qty == 11 and r.last_qty == 11 for r in over) < 35


def replace_time(report: VenueReport) -> tuple[Any, ...]:
    return (report.kind, report.exec_id, report.wire_id, report.cum_qty, report.last_qty, report.last_px)


def test_the_configuration_is_told_whole() -> None:
    config = VenuesStage(VenuesParameters(seed=7, faults=replace(Faults(), bust_ppm=3))).config()
    assert (config["seed"], config["faults.bust_ppm"], config["hidden.cell_ns"]) == (7, 3, 4_000_000_000)


def test_what_is_not_read_is_refused_loudly() -> None:
    class Strange(Record, frozen=True):
        pass

    with pytest.raises(TypeError):
        Market().bench.feed(Strange())
