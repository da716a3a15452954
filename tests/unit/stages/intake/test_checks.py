"""Each refusal by its own name and in words that help; what is right is taken and carries what reference data say."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.controls import Alert, AlertKind, ControlKind, ControlScope, Tick, TickKind
from pipeline.domain.orders import (
    AccountClass,
    Capacity,
    Completion,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderKind,
    OrderRequest,
    OrdStatus,
    OrdType,
    RequestKind,
    SettlementType,
    Side,
    Strategy,
    TimeInForce,
    Urgency,
)
from pipeline.domain.record import Record
from pipeline.domain.reference import Limit, LimitScope, ReferenceKind
from pipeline.domain.rejections import RejectReason as R
from pipeline.domain.rejections import fix_code
from pipeline.domain.units import PX_ONE
from pipeline.stages.intake.refusal_texts import REASONS, decimal
from pipeline.stages.intake.stage import IntakeStage
from tests.stage_bench import Bench
from tests.unit.stages.intake.intake_bench import (
    CLOSE,
    NOW,
    OPEN,
    REFERENCE,
    S,
    accepted,
    account,
    bench,
    cancel,
    control,
    expect,
    instrument,
    limit,
    new,
    only_event,
    px,
    quote,
    send,
    tick,
)

FIRM_COLLAR: Final = limit(LimitScope.FIRM, collar=100_000, max_reference_age_ns=5 * S)  # 100 bps

REFUSED: Final[list[tuple[R, OrderRequest, tuple[Record, ...], str]]] = [
    (R.MISSING_SOURCE, new(source=""), (), "source is missing"),
    (R.UNKNOWN_SOURCE, new(source="S9"), (), "source 'S9' is not known: no account names it"),
    (R.UNKNOWN_SOURCE, new(source="s1"), (), "source 's1' is not known: no account names it"),
    (R.MISSING_CL_ORD_ID, new(""), (), "cl_ord_id is missing"),
    (R.UNKNOWN_KIND, new(kind=RequestKind.UNKNOWN), (), "kind is not one of NEW, CANCEL, REPLACE"),
    (R.MISSING_SIDE, new(side=Side.UNKNOWN), (), "side is missing"),
    (R.MISSING_QUANTITY, new(order_qty=None), (), "order_qty is missing"),
    (R.QUANTITY_NOT_POSITIVE, new(order_qty=0), (), "order_qty 0 is not above 0"),
    (R.QUANTITY_NOT_POSITIVE, new(order_qty=-5), (), "order_qty -5 is not above 0"),
    (
        R.QUANTITY_NOT_IN_LOTS,
        new(instrument="LOTS", order_qty=150),
        (),
        "150 is not a multiple of the lot 100: send 100 or 200",
    ),
    (R.QUANTITY_NOT_IN_LOTS, new(instrument="LOTS", order_qty=50), (), "50 is not a multiple of the lot 100: send 100"),
    (R.FRACTIONAL_QUANTITY, new(fractional_qty=5), (), "fractional_qty is not supported"),
    (R.CASH_QUANTITY, new(order_qty=None, cash_order_qty=px(500)), (), "cash_order_qty is not supported"),
    (R.MIN_QUANTITY_TOO_LARGE, new(min_qty=11), (), "min_qty 11 is above order_qty 10"),
    (R.MISSING_LIMIT_PRICE, new(ord_type=OrdType.LIMIT), (), "ord_type LIMIT needs limit_px"),
    (R.UNEXPECTED_LIMIT_PRICE, new(ord_type=OrdType.MARKET, limit_px=px(100)), (), "ord_type MARKET has no limit_px"),
    (R.PRICE_NOT_POSITIVE, new(limit_px=0), (), "limit_px 0 is not above 0"),
    (R.PRICE_NOT_POSITIVE, new(limit_px=-px(1)), (), "limit_px -1 is not above 0"),
    (
        R.PRICE_NOT_ON_TICK,
        new(limit_px=100_005_000_000),
        (),
        "limit_px 100.005 is not on the tick 0.01: send 100.00 or 100.01",
    ),
    (R.PRICE_NOT_ON_TICK, new(limit_px=1), (), "limit_px 0.000000001 is not on the tick 0.01: send 0.01"),
    (R.UNSUPPORTED_ORDER_TYPE, new(ord_type=OrdType.UNKNOWN), (), "ord_type is missing: send MARKET or LIMIT"),
    (R.UNSUPPORTED_ORDER_TYPE, new(ord_type=OrdType.UNKNOWN, limit_px=px(100)), (), "ord_type is missing"),
    (R.UNSUPPORTED_ORDER_TYPE, new(ord_type=OrdType.STOP), (), "ord_type STOP is not supported"),
    (R.UNSUPPORTED_ORDER_TYPE, new(ord_type=OrdType.STOP_LIMIT), (), "ord_type STOP_LIMIT is not supported"),
    (R.UNSUPPORTED_ORDER_TYPE, new(ord_type=OrdType.PEGGED_MIDPOINT), (), "ord_type PEGGED_MIDPOINT is not supported"),
    (R.UNSUPPORTED_TIME_IN_FORCE, new(time_in_force=TimeInForce.GTC), (), "time_in_force GTC is not supported"),
    (R.UNSUPPORTED_TIME_IN_FORCE, new(time_in_force=TimeInForce.IOC), (), "time_in_force IOC is not supported"),
    (R.UNSUPPORTED_TIME_IN_FORCE, new(time_in_force=TimeInForce.FOK), (), "time_in_force FOK is not supported"),
    (R.UNSUPPORTED_TIME_IN_FORCE, new(time_in_force=TimeInForce.UNKNOWN), (), "time_in_force UNKNOWN is not supported"),
    (R.UNSUPPORTED_TIME_IN_FORCE, new(time_in_force=TimeInForce.GTD, expire_ns=CLOSE + 1), (), "beyond today"),
    (R.AUCTION_NOT_SUPPORTED, new(time_in_force=TimeInForce.AT_THE_OPENING), (), "AT_THE_OPENING is an auction order"),
    (R.AUCTION_NOT_SUPPORTED, new(time_in_force=TimeInForce.AT_THE_CLOSE), (), "AT_THE_CLOSE is an auction order"),
    (R.UNSUPPORTED_STRATEGY, new(strategy=Strategy.POV), (), "strategy POV is not supported yet"),
    (R.UNSUPPORTED_STRATEGY, new(strategy=Strategy.IS), (), "strategy IS is not supported yet"),
    (R.UNSUPPORTED_STRATEGY, new(strategy=Strategy.UNKNOWN), (), "strategy UNKNOWN is not supported yet"),
    (R.BAD_PARTICIPATION_CAP, new(participation_cap=0), (), "participation_cap 0 is not between"),
    (R.BAD_PARTICIPATION_CAP, new(participation_cap=1_000_001), (), "participation_cap 1000001 is not between"),
    (R.BAD_VALUE, new(capacity=Capacity.UNKNOWN), (), "capacity has a value"),
    (R.BAD_VALUE, new(settlement_type=SettlementType.UNKNOWN), (), "settlement_type has a value"),
    (R.BAD_VALUE, new(urgency=Urgency.UNKNOWN), (), "urgency has a value"),
    (R.BAD_VALUE, new(completion=Completion.UNKNOWN), (), "completion has a value"),
    (R.BAD_VALUE, new(min_qty=-1), (), "min_qty has a value"),
    (R.BAD_VALUE, new(risk_aversion=-1), (), "risk_aversion has a value"),
    (R.BAD_VALUE, new(start_ns=-1), (), "start_ns has a value that means nothing here: -1"),
    (R.BAD_VALUE, new(end_ns=-1), (), "end_ns has a value"),
    (R.BAD_VALUE, new(transact_ns=-1), (), "transact_ns has a value"),
    (R.BAD_VALUE, new(transact_ns=NOW + 120 * S + 1), (), "lies after the time at which the request came"),
    (R.BAD_VALUE, new(mandate="m" * 257), (), "mandate is longer than 256, the most that is taken"),
    (R.BAD_VALUE, new("c" * 257), (), "cl_ord_id has 257 characters, 256 are the most"),
    (R.BAD_VALUE, new(allowed_venues=("XNAS", "XNAS")), (), "allowed_venues names a venue twice"),
    (R.UNKNOWN_ACCOUNT, new(account="A9"), (), "account 'A9' is not known"),
    (R.UNKNOWN_ACCOUNT, new(account="NEXT"), (account("NEXT", effective_ns=NOW + 1),), "account 'NEXT' is not known"),
    (R.ACCOUNT_NOT_OF_SOURCE, new(account="A2"), (), "source S1 may not send for account A2"),
    (R.UNKNOWN_INSTRUMENT, new(instrument="amzn"), (), "instrument 'amzn' is not known (symbols are compared exactly)"),
    (R.UNKNOWN_INSTRUMENT, new(instrument=""), (), "instrument '' is not known"),
    (R.RESTRICTED_INSTRUMENT, new(instrument="LISTED"), (), "LISTED is on the restricted list"),
    (R.LOCATE_REQUIRED, new(instrument="SCARCE", side=Side.SELL_SHORT), (), "a short sale needs locate_id"),
    (R.LOCATE_REQUIRED, new(instrument="SCARCE", side=Side.SELL_SHORT_EXEMPT), (), "a short sale needs locate_id"),
    (R.UNKNOWN_VENUE, new(allowed_venues=("XNAS", "XXXX")), (), "allowed_venues names 'XXXX'"),
    (R.MARKET_CLOSED, new(instrument="OVER"), (), "the session of OVER has closed"),
    (R.BAD_TIME_WINDOW, new(start_ns=NOW + 5, end_ns=NOW + 5), (), "is not before the end"),
    (R.BAD_TIME_WINDOW, new(end_ns=CLOSE + 1), (), "is after the close"),
    (R.BAD_TIME_WINDOW, new(instrument="LATER", end_ns=NOW + 1), (), "is not after the open"),
    (R.BAD_TIME_WINDOW, new(time_in_force=TimeInForce.GTD), (), "belong together"),
    (R.BAD_TIME_WINDOW, new(expire_ns=NOW + S), (), "belong together"),
    (R.ALREADY_ENDED, new(end_ns=NOW), (), "is not after now"),
    (R.ALREADY_ENDED, new(time_in_force=TimeInForce.GTD, expire_ns=NOW), (), "is not after now"),
    (R.KILLED, new(), (control(ControlKind.KILL),), "the desk has stopped new orders here"),
    (R.KILLED, new(), (control(ControlKind.KILL, ControlScope.SOURCE, "S1"),), "stopped"),
    (R.KILLED, new(), (control(ControlKind.KILL, ControlScope.ACCOUNT, "A1"),), "stopped"),
    (R.KILLED, new(), (control(ControlKind.KILL, ControlScope.INSTRUMENT, "AMZN"),), "stopped"),
    (R.NO_LIMIT_SET, new(account="A3"), (account("A3"),), "account A3 has no credit limit"),
    (
        R.NO_LIMIT_SET,
        new(),
        (Limit(kind=ReferenceKind.REMOVE, scope=LimitScope.FIRM, effective_ns=NOW),),
        "the firm has no limit",
    ),
    (R.ORDER_TOO_LARGE, new(order_qty=100_001), (), "order_qty 100001 is above the 100000 of FIRM"),
    (
        R.ORDER_TOO_LARGE,
        new(order_qty=10**12 + 1),
        (limit(LimitScope.FIRM),),
        "is above 1000000000000, the largest that is taken at all",
    ),
    (R.ORDER_TOO_LARGE, new(), (limit(LimitScope.SOURCE, "S1", max_order_qty=9),), "above the 9 of SOURCE S1"),
    (R.ORDER_TOO_LARGE, new(), (limit(LimitScope.ACCOUNT, "A1", max_order_qty=9),), "above the 9 of ACCOUNT A1"),
    (R.ORDER_TOO_LARGE, new(), (limit(LimitScope.INSTRUMENT, "AMZN", max_order_qty=9),), "the 9 of INSTRUMENT AMZN"),
    (
        R.ORDER_VALUE_TOO_LARGE,
        new(limit_px=px(100, 1)),
        (limit(LimitScope.FIRM, max_order_value=px(1_000)),),
        "the value 1000.1 is above the 1000 of FIRM",
    ),
    (R.ORDER_VALUE_TOO_LARGE, new(order_qty=100_000, limit_px=px(1_000_000)), (), "the largest amount a message can"),
    (
        R.ORDER_VALUE_TOO_LARGE,
        new(side=Side.SELL, limit_px=px(0, 1)),
        (limit(LimitScope.FIRM, max_order_value=px(999)),),
        "the value 1000 is above the 999 of FIRM",
    ),
    (R.NO_REFERENCE_PRICE, new(instrument="NOPX", limit_px=px(1)), (FIRM_COLLAR,), "neither a quote of today"),
    (R.NO_REFERENCE_PRICE, new(instrument="NOPX", account="POOR"), (), "neither a quote of today"),
    (
        R.STALE_REFERENCE_PRICE,
        new(limit_px=px(100)),
        (FIRM_COLLAR, quote(100, NOW - 5 * S - 1)),
        "is 5000000001 ns old, more than the 5000000000 of FIRM",
    ),
    (R.OUTSIDE_COLLAR, new(limit_px=px(101, 1)), (FIRM_COLLAR,), "limit_px 101.01 is beyond the reference 100 by more"),
    (R.OUTSIDE_COLLAR, new(limit_px=px(202, 1)), (FIRM_COLLAR, quote(200)), "the 100 bps of FIRM"),
    (R.OUTSIDE_COLLAR, new(side=Side.SELL, limit_px=px(98, 99)), (FIRM_COLLAR,), "limit_px 98.99 is beyond"),
    (R.CREDIT_EXCEEDED, new(account="POOR", order_qty=51), (), "the value 5100 and the 0 open"),
    (
        R.RATE_EXCEEDED,
        new(),
        (limit(LimitScope.SOURCE, "S1", max_rate=0),),
        "more than 0 orders in one second of SOURCE S1",
    ),
    (R.UNKNOWN_ORDER, cancel("X1", "X1"), (), "orig_cl_ord_id 'X1' is no order accepted from S1 today"),
    (R.UNKNOWN_ORDER, cancel("X1", None), (), "is no order accepted"),
    (
        R.REPLACE_NOT_SUPPORTED,
        new(kind=RequestKind.REPLACE, orig_cl_ord_id="C0"),
        (),
        "cancel the order and send a new one",
    ),
]


@pytest.mark.parametrize(("reason", "request_", "extra", "words"), REFUSED)
def test_what_is_wrong_is_refused_by_its_name_and_nothing_is_booked(
    reason: R, request_: OrderRequest, extra: tuple[Record, ...], words: str
) -> None:
    made = bench(*extra)
    of_cancel = request_.kind in (RequestKind.CANCEL, RequestKind.REPLACE)
    event = only_event(send(made, request_))
    assert (event.reason, event.kind) == (
        reason,
        OrderEventKind.CANCEL_REFUSED if of_cancel else OrderEventKind.REFUSED,
    ), event.text
    assert event.fix_code == fix_code(reason, of_cancel=of_cancel)
    assert words in (event.text or "")
    assert event.order_id == "" and event.cl_ord_id == request_.cl_ord_id
    assert event.instrument == (request_.instrument or request_.source), "the key is never invented"
    assert len(made.state.orders) == 0 and len(made.state.exposures) == 0


GIVEN_ELSEWHERE: Final = {
    R.UNKNOWN: "is no reason",
    R.HALTED: "intake sees no venue status; a halted order is held by slicing",
    R.ALREADY_PENDING: "netting knows whether a cancel is pending",
    R.CONFLICTING_REPEAT: "tested with repeats, below",
    R.TOO_LATE_TO_CANCEL: "tested with cancels, below",
    R.NOT_UNDERSTOOD: "tests/findings/test_f_unknown_is_unknown.py",
}


def test_every_reason_has_a_row_or_is_given_elsewhere() -> None:
    rows = {reason for reason, *_ in REFUSED}
    assert rows | set(GIVEN_ELSEWHERE) == set(R)
    assert rows.isdisjoint(GIVEN_ELSEWHERE)
    assert rows >= REASONS, "each guard has a row"


def test_before_the_first_tick_nothing_is_taken() -> None:
    made = Bench(IntakeStage())
    made.feed(*(record for record in REFERENCE if not isinstance(record, Tick)))
    event = only_event(send(made, new()))
    assert event.reason is R.MARKET_CLOSED
    made.feed(tick(NOW))
    accepted(made, new())


TAKEN: Final[list[tuple[OrderRequest, tuple[Record, ...], str]]] = [
    (new(), (), "the plainest order"),
    (new("c" * 256, mandate="m" * 256), (), "texts as long as may be"),
    (new(transact_ns=NOW + 120 * S), (), "a sender's clock may be ahead a little"),
    (new(transact_ns=0), (), "or say what it likes of the past"),
    (new(ord_type=OrdType.MARKET), (), "said to be a market order"),
    (new(ord_type=OrdType.LIMIT, limit_px=px(100)), (), "said to be a limit order"),
    (new(fractional_qty=0), (), "no fraction is no fraction"),
    (new(min_qty=10), (), "all or nothing"),
    (new(participation_cap=1_000_000), (), "the whole of volume"),
    (new(instrument="SCARCE", side=Side.SELL_SHORT, locate_id="L1"), (), "located"),
    (new(instrument="SCARCE", side=Side.SELL), (), "a long sale borrows nothing"),
    (new(side=Side.SELL_SHORT), (), "easy to borrow"),
    (new(allowed_venues=("XNAS",)), (), "a venue we know"),
    (new(strategy=Strategy.TWAP), (), "the other strategy"),
    (new(order_qty=100_000), (), "as large as may be"),
    (new(limit_px=px(101)), (FIRM_COLLAR,), "at the collar"),
    (new(limit_px=px(1)), (FIRM_COLLAR,), "a passive limit is never too far"),
    (new(side=Side.SELL, limit_px=px(99)), (FIRM_COLLAR,), "at the collar"),
    (new(side=Side.SELL, limit_px=px(900)), (FIRM_COLLAR,), "a passive limit is never too far"),
    (
        new(limit_px=px(201)),
        (FIRM_COLLAR, quote(200, NOW - 5 * S)),
        "the quote is the reference, and just young enough",
    ),
    (new(limit_px=px(900)), (quote(100, NOW - 900 * S), limit(LimitScope.FIRM, max_reference_age_ns=1)), "none needed"),
    (new(instrument="NOPX"), (), "no price, and none is needed"),
    (new(account="POOR", order_qty=50), (), "credit to the last cent"),
    (new(start_ns=NOW + 60 * S), (), "to be worked later"),
    (new(start_ns=OPEN - S), (), "a start in the past is at once"),
    (new(instrument="LATER"), (), "before the open"),
    (new(end_ns=CLOSE), (), "to the close"),
    (new(order_qty=11), (limit(LimitScope.GATE, "AMZN", max_order_qty=1),), "the gate's limits are not intake's"),
    (new(), (control(ControlKind.PAUSE),), "a pause keeps taking orders"),
    (new(), (control(ControlKind.KILL, ControlScope.SOURCE, "S2"),), "another source's kill"),
    (new(), (control(ControlKind.KILL), control(ControlKind.RESUME)), "a kill that was lifted"),
]


@pytest.mark.parametrize(("request_", "extra", "because"), TAKEN)
def test_what_is_right_is_taken(request_: OrderRequest, extra: tuple[Record, ...], because: str) -> None:
    made = bench(*extra)
    expect(made, request_, None, because)


def test_an_order_carries_what_reference_data_and_the_clock_say() -> None:
    made = bench()
    made.feed(tick(NOW + 10 * S, wall_ns=5_000))
    made.feed(Tick(kind=TickKind.TICK, now_ns=NOW + 10 * S, wall_ns=5_000, rate=10_000_000, trade_date=20260105))
    request = new(limit_px=px(99), participation_cap=200_000)
    order = accepted(made, request, append_ns=5_300)
    assert order == Order(
        kind=OrderKind.NEW,
        order_id="O0-1",
        instrument="AMZN",
        trade_date=20260105,
        append_ns=5_300,
        received_ns=NOW + 10 * S + 3_000,
        accepted_ns=NOW + 10 * S,
        account_class=AccountClass.PENSION,
        owner="owner of A1",
        control_group="group of A1",
        currency="USD",
        limit_px=px(99),
        start_ns=NOW + 10 * S + 3_000,
        end_ns=CLOSE,
        participation_cap=200_000,
        request=request,
        settlement_date=20260106,
    )
    (event,) = made.all(OrderEvent)
    assert (event.event_no, event.order_qty, event.leaves_qty, event.cum_qty) == (1, 10, 10, 0)
    assert (event.ord_status, event.final, event.side) == (OrdStatus.NEW, False, Side.BUY)


def test_gtd_ends_with_its_expiry_and_given_times_are_kept() -> None:
    made = bench()
    gtd = accepted(made, new("1", time_in_force=TimeInForce.GTD, expire_ns=NOW + 9, end_ns=NOW + 20))
    assert gtd.end_ns == NOW + 9
    timed = accepted(made, new("2", start_ns=NOW + 5, end_ns=NOW + 20))
    assert (timed.start_ns, timed.end_ns) == (NOW + 5, NOW + 20)


def test_reference_data_holds_from_its_moment_on() -> None:
    made = bench(instrument(effective_ns=NOW + S, restricted=True))
    accepted(made, new("1"))
    made.feed(tick(NOW + S))
    expect(made, new("2"), R.RESTRICTED_INSTRUMENT)


def test_yesterdays_quote_is_no_reference() -> None:
    made = bench(FIRM_COLLAR, quote(200))
    expect(made, new("1", limit_px=px(201)), None)
    made.feed(tick(NOW + S, trade_date=20260106))
    expect(made, new("2", limit_px=px(201)), R.OUTSIDE_COLLAR, "the last close, 100, is the reference again")


def test_an_older_quote_does_not_displace_a_newer_one() -> None:
    made = bench(FIRM_COLLAR, quote(200, NOW - S), quote(100, NOW - 2 * S))
    expect(made, new(limit_px=px(201)), None)


def test_an_instrument_that_cannot_be_divided_by_is_not_used_and_somebody_is_told() -> None:
    made = bench()
    (alert,) = made.feed(instrument(tick_px=0))
    assert isinstance(alert, Alert) and (alert.kind, alert.reason) == (AlertKind.SET_ASIDE, "OUT_OF_RANGE")
    assert "tick_px is 0" in alert.text and "the record before it stays in force" in alert.text
    accepted(made, new(limit_px=px(100)))


@given(st.integers(-(10**15), 10**15))
def test_decimals_are_exact(amount: int) -> None:
    text = decimal(amount)
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, _, fraction = digits.partition(".")
    assert sign * (int(whole) * PX_ONE + int(fraction.ljust(9, "0") or "0")) == amount
    assert not fraction.endswith("0")
