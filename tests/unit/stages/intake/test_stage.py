"""Intake's promises: nothing booked twice, cancels pass, rates and credit are never exceeded."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.controls import Alert, AlertKind, ControlKind, ControlScope, CreditLease
from pipeline.domain.orders import (
    Order,
    OrderEvent,
    OrderEventKind,
    OrderKind,
    OrderRequest,
    OrderRerouted,
    OrdStatus,
    RequestKind,
    Side,
)
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Record
from pipeline.domain.reference import Account, LimitScope, ReferenceKind
from pipeline.domain.rejections import RejectReason as R
from pipeline.stages.intake.parameters import IntakeParameters
from pipeline.stages.intake.stage import IntakeStage
from tests.stage_bench import Bench
from tests.unit.stages.intake.intake_bench import (
    CLOSE,
    DAY,
    NOW,
    REFERENCE,
    S,
    accepted,
    account,
    bench,
    cancel,
    closed,
    control,
    expect,
    instrument,
    lease,
    limit,
    new,
    only_event,
    px,
    quote,
    send,
    tick,
)

# ---------------------------------------------------------------- repeats


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (new(), None),
        (new(order_qty=0), R.QUANTITY_NOT_POSITIVE),
        (cancel("X1", "X1"), R.UNKNOWN_ORDER),
        (new(kind=RequestKind.REPLACE), R.REPLACE_NOT_SUPPORTED),
        (new(kind=RequestKind.UNKNOWN), R.UNKNOWN_KIND),
    ],
)
def test_the_same_again_is_a_repeat_and_other_content_a_conflict(first: OrderRequest, reason: R | None) -> None:
    made = bench()
    answer = send(made, first)[-1]
    before = made.state.digest()
    again = only_event(send(made, msgspec.structs.replace(first)))
    assert (again.kind, again.reason, again.order_id) == (OrderEventKind.REPEATED, reason, answer.order_id)
    assert again.fix_code == answer.fix_code
    assert again.event_no == 0
    conflict = only_event(send(made, msgspec.structs.replace(first, list_id="other")))
    assert conflict.reason is R.CONFLICTING_REPEAT and conflict.order_id == answer.order_id, "what stands is told"
    assert conflict.ord_status is (OrdStatus.NEW if reason is None else OrdStatus.REJECTED)
    assert conflict.kind in (OrderEventKind.REFUSED, OrderEventKind.CANCEL_REFUSED)
    assert not conflict.final, "of this ClOrdID more may follow"
    assert conflict.fix_code == 6
    assert made.state.digest() == before, "neither leaves a trace"


CHANGES: Final[dict[str, Any]] = {
    "order_qty": 11,
    "side": Side.SELL,
    "limit_px": px(100),
    "instrument": "SCARCE",
    "account": "A2",
    "transact_ns": 5,
    "kind": RequestKind.CANCEL,
    "allowed_venues": ("XNAS",),
    "crossing_consent": True,
}


@pytest.mark.parametrize("field", CHANGES)
def test_any_other_content_is_a_conflict(field: str) -> None:
    made = bench()
    accepted(made, new())
    event = only_event(send(made, msgspec.structs.replace(new(), **{field: CHANGES[field]})))
    assert event.reason is R.CONFLICTING_REPEAT


def test_a_refused_order_stays_refused_when_what_was_wrong_is_mended() -> None:
    made = bench(control(ControlKind.KILL))
    expect(made, new("1"), R.KILLED)
    made.feed(control(ControlKind.RESUME))
    again = only_event(send(made, new("1")))
    assert (again.kind, again.reason) == (OrderEventKind.REPEATED, R.KILLED)
    expect(made, new("2"), None)


def test_two_sources_never_share_an_identity() -> None:
    made = bench(account("B1", "S"), account("B2", "S.1"), lease("B1"), lease("B2"))
    accepted(made, new(".1/2", source="S", account="B1"))
    accepted(made, new("2", source="S.1", account="B2"))
    accepted(made, new("2"))


@given(where=st.lists(st.integers(0, 3), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_repeats_are_found_whatever_partition_they_were_put_on(where: list[int]) -> None:
    partitions = 4
    home = partition_of("S1", partitions)
    tasks = [Bench(IntakeStage(), n, partitions, swap_every=0) for n in range(partitions)]
    for made in tasks:
        made.feed(*REFERENCE, CreditLease(account="A1", partition=home, lease_no=1, leased=None, effective_ns=DAY))
    for place, partition in enumerate(where):
        for record in tasks[partition].feed(new(), append_ns=NOW + place):
            if isinstance(record, OrderRerouted):
                assert partition != home
                assert (record.source, record.append_ns, record.origin_partition) == ("S1", NOW + place, partition)
                # The append time that counts is the first one: the second is of the way round.
                tasks[home].feed(record, append_ns=NOW + 999)
    orders = [record for made in tasks for record in made.all(Order)]
    events = [record for made in tasks for record in made.all(OrderEvent)]
    assert [order.append_ns for order in orders] == [NOW]
    assert [e.kind for e in events] == [OrderEventKind.ACCEPTED] + [OrderEventKind.REPEATED] * (len(where) - 1)
    for n, made in enumerate(tasks):
        assert n == home or (not made.all(Order) and not made.all(OrderEvent))


def test_a_request_is_forgotten_after_its_day_some_at_each_tick() -> None:
    made = Bench(IntakeStage(IntakeParameters(forget_per_tick=2)), swap_every=2)
    made.feed(*REFERENCE)
    for n in range(5):
        accepted(made, new(f"C{n}"))
    made.feed(tick(NOW + S))
    assert len(made.state.requests) == 5, "the day is not over"
    made.feed(instrument(effective_ns=NOW + S, session_close_ns=CLOSE + 86_400 * S))
    left = []
    for n in range(4):
        made.feed(tick(NOW + (2 + n) * S, trade_date=20260106))
        left.append(len(made.state.requests))
    assert left == [3, 1, 0, 0]
    accepted(made, new("C0"))


def test_an_old_request_is_no_repeat_even_before_it_is_forgotten() -> None:
    made = Bench(IntakeStage(IntakeParameters(forget_per_tick=0)))
    made.feed(*REFERENCE)
    accepted(made, new())
    made.feed(tick(NOW + S, trade_date=20260106))
    accepted(made, new())


# ---------------------------------------------------------------- cancels


@pytest.mark.parametrize(
    "stop",
    [
        (),
        (control(ControlKind.KILL),),
        (control(ControlKind.KILL, ControlScope.SOURCE, "S1"),),
        (control(ControlKind.PAUSE),),
        (limit(LimitScope.FIRM, max_rate=0, max_order_qty=0),),
        (instrument(effective_ns=NOW, restricted=True),),
        (tick(CLOSE + S),),
        (Account(**(msgspec.structs.asdict(account()) | {"kind": ReferenceKind.REMOVE, "effective_ns": NOW})),),
    ],
)
def test_a_cancel_of_an_open_order_always_passes(stop: tuple[Record, ...]) -> None:
    made = bench()
    order = accepted(made, new())
    made.feed(*stop)
    request = cancel("X1", "C1")
    (forwarded,) = send(made, request, append_ns=NOW + 7)
    assert isinstance(forwarded, Order)
    assert (forwarded.kind, forwarded.order_id) == (OrderKind.CANCEL, order.order_id)
    assert (forwarded.instrument, forwarded.trade_date) == ("AMZN", 20260105)
    assert (forwarded.append_ns, forwarded.request) == (NOW + 7, request)
    again = only_event(send(made, request))
    assert (again.kind, again.order_id) == (OrderEventKind.REPEATED, order.order_id)


def test_a_cancel_finds_its_order_by_source_and_id_alone() -> None:
    made = bench()
    order = accepted(made, new())
    (forwarded,) = send(made, cancel("X1", "C1", account="typo", instrument=""))
    assert (forwarded.order_id, forwarded.instrument) == (order.order_id, "AMZN")


@pytest.mark.parametrize(
    ("request_", "reason", "because"),
    [
        (cancel("X9", "BAD"), R.UNKNOWN_ORDER, "a refused order"),
        (cancel("X9", "X1"), R.UNKNOWN_ORDER, "a cancel is no order"),
        (cancel("X9", "X9"), R.UNKNOWN_ORDER, "itself"),
        (cancel("X9", "DONE"), R.TOO_LATE_TO_CANCEL, "closed"),
    ],
)
def test_a_cancel_of_what_is_not_open_is_refused(request_: OrderRequest, reason: R, because: str) -> None:
    made = bench()
    accepted(made, new())
    send(made, new("BAD", order_qty=0), cancel("X1", "C1"))
    done = accepted(made, new("DONE"))
    made.feed(closed(done, OrdStatus.EXPIRED, 4))
    event = expect(made, request_, reason, because)
    assert event.kind is OrderEventKind.CANCEL_REFUSED
    if reason is R.TOO_LATE_TO_CANCEL:
        assert (event.order_id, event.ord_status, event.cum_qty, event.fix_code) == (
            done.order_id,
            OrdStatus.EXPIRED,
            4,
            0,
        )
        repeat = only_event(send(made, new("DONE")))
        assert (repeat.kind, repeat.ord_status, repeat.cum_qty) == (OrderEventKind.REPEATED, OrdStatus.EXPIRED, 4)
    else:
        assert (event.fix_code, event.order_id, event.ord_status) == (1, "", OrdStatus.REJECTED)


# ---------------------------------------------------------------- rate


def test_no_more_orders_in_a_second_than_the_rate_allows() -> None:
    made = bench(limit(LimitScope.SOURCE, "S1", max_rate=2))
    answers = []
    for n, append_ns in enumerate([NOW, NOW + 1, NOW + 2, NOW + S - 1, NOW + S, NOW + S + 1, NOW + S + 2]):
        out = send(made, new(f"C{n}", order_qty=None if n == 0 else 10), append_ns=append_ns)
        answers.append(out[-1].reason)
    assert answers == [R.MISSING_QUANTITY, None, R.RATE_EXCEEDED, R.RATE_EXCEEDED, None, None, R.RATE_EXCEEDED]


def test_repeats_and_cancels_do_not_count_against_the_rate() -> None:
    made = bench(limit(LimitScope.SOURCE, "S1", max_rate=2))
    accepted(made, new("1"))
    for n in range(3):
        send(made, new("1"), cancel(f"X{n}", "1"))
    accepted(made, new("2"))
    expect(made, new("3"), R.RATE_EXCEEDED)


def test_a_rate_of_another_source_is_its_own() -> None:
    made = bench(limit(LimitScope.SOURCE, "S1", max_rate=1), lease("A2"))
    accepted(made, new("1"))
    accepted(made, new("1", source="S2", account="A2"))
    expect(made, new("2"), R.RATE_EXCEEDED)


def test_the_firms_rate_is_shared_by_the_partitions() -> None:
    taken = 0
    for partition in range(3):
        made = Bench(IntakeStage(), partition, 3, swap_every=0)
        source = next(f"S{n}" for n in range(99) if partition_of(f"S{n}", 3) == partition)
        grant = CreditLease(account="B", partition=partition, lease_no=1, leased=None, effective_ns=DAY)
        made.feed(*REFERENCE, account("B", source), grant, limit(LimitScope.FIRM, max_rate=7))
        send(made, *(new(f"C{n}", source=source, account="B") for n in range(10)))
        taken += len(made.all(Order))
    assert taken == 7


# ---------------------------------------------------------------- credit


def test_sides_are_reserved_apart_and_given_back_once() -> None:
    made = bench()
    buy = accepted(made, new("1", account="POOR", limit_px=px(100), order_qty=50))
    sell = accepted(made, new("2", account="POOR", side=Side.SELL_SHORT, order_qty=50))
    event = expect(made, new("3", account="POOR", limit_px=px(1), order_qty=1), R.CREDIT_EXCEEDED)
    assert event.text == "the value 1 and the 5000 open on this side of account POOR are above the 5000 leased here"
    assert made.feed(closed(buy)) == []
    (alert,) = made.feed(closed(buy))
    assert isinstance(alert, Alert) and alert.kind is AlertKind.BREAK
    accepted(made, new("4", account="POOR", limit_px=px(100), order_qty=50))
    expect(made, new("5", account="POOR", limit_px=px(1), order_qty=1), R.CREDIT_EXCEEDED)
    expect(made, new("6", account="POOR", side=Side.SELL, order_qty=1), R.CREDIT_EXCEEDED)
    made.feed(closed(sell))
    expect(made, new("7", account="POOR", side=Side.SELL, order_qty=50), None)


def test_a_later_lease_holds_from_its_moment_and_another_partitions_is_not_ours() -> None:
    made = bench(
        lease("POOR", px(10_000), 2, NOW + S),
        CreditLease(account="POOR", partition=1, lease_no=9, leased=None, effective_ns=DAY),
    )
    expect(made, new("1", account="POOR", order_qty=51), R.CREDIT_EXCEEDED)
    made.feed(tick(NOW + S))
    expect(made, new("2", account="POOR", order_qty=51), None)


CHANGED_REFERENCE_DATA: Final = pytest.mark.parametrize(
    ("change", "reason"),
    [
        (account(kind=ReferenceKind.REMOVE), R.UNKNOWN_ACCOUNT),
        (instrument(restricted=True), R.RESTRICTED_INSTRUMENT),
        (limit(LimitScope.ACCOUNT, "A1", max_order_qty=5), R.ORDER_TOO_LARGE),
        (lease(leased=0, lease_no=2), R.CREDIT_EXCEEDED),
    ],
    ids=lambda value: str(getattr(value, "value", type(value).__name__)),
)


@CHANGED_REFERENCE_DATA
def test_changed_reference_data_bind_the_next_order(change: Any, reason: R) -> None:
    made = Bench(IntakeStage(), swap_every=0)  # no restore in between: what was looked up before must not be used
    made.feed(*REFERENCE)
    expect(made, new("1"), None)
    made.feed(msgspec.structs.replace(change, effective_ns=NOW))
    expect(made, new("2"), reason)


@CHANGED_REFERENCE_DATA
@pytest.mark.parametrize("known_before_the_first_order", [True, False])
def test_reference_data_of_a_later_moment_bind_from_then_on(
    change: Any, reason: R, known_before_the_first_order: bool
) -> None:
    made = Bench(IntakeStage(), swap_every=0)
    made.feed(*REFERENCE)
    later = msgspec.structs.replace(change, effective_ns=NOW + 2 * S)
    if known_before_the_first_order:
        made.feed(later)
    expect(made, new("1"), None)
    made.feed(later, tick(NOW + S))
    expect(made, new("2"), None)
    made.feed(tick(NOW + 2 * S))
    expect(made, new("3"), reason)


@pytest.mark.parametrize("sooner_first", [True, False])
def test_of_several_later_moments_each_is_kept(sooner_first: bool) -> None:
    made = Bench(IntakeStage(), swap_every=0)
    made.feed(*REFERENCE)
    sooner = limit(LimitScope.ACCOUNT, "A1", max_order_qty=5)
    changes = [
        msgspec.structs.replace(sooner, effective_ns=NOW + 2 * S),
        instrument(effective_ns=NOW + 4 * S, restricted=True),
        account(effective_ns=NOW + 6 * S, kind=ReferenceKind.REMOVE),
    ]
    expect(made, new("1"), None)
    made.feed(*(changes if sooner_first else reversed(changes)))
    expect(made, new("2"), None)
    made.feed(tick(NOW + 2 * S))
    expect(made, new("3"), R.ORDER_TOO_LARGE)
    made.feed(tick(NOW + 4 * S))
    expect(made, new("4", order_qty=5), R.RESTRICTED_INSTRUMENT)
    made.feed(tick(NOW + 6 * S))
    expect(made, new("5", order_qty=5), R.UNKNOWN_ACCOUNT)


@CHANGED_REFERENCE_DATA
def test_reference_data_restored_before_their_moment_bind_from_then_on(change: Any, reason: R) -> None:
    made = Bench(IntakeStage(), swap_every=1)
    made.feed(*REFERENCE, msgspec.structs.replace(change, effective_ns=NOW + 2 * S))
    expect(made, new("1"), None)
    # The restored task looks once, and lives on.
    live = Bench(IntakeStage(), swap_every=0)
    live.state, live.changelog = made.state, made.changelog
    expect(live, new("2"), None)
    live.feed(tick(NOW + 2 * S))
    expect(live, new("3"), reason)


ACTIONS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("new"), st.booleans(), st.integers(1, 40), st.sampled_from([None, 50, 100, 150])),
        st.tuples(st.just("close"), st.booleans(), st.integers(0, 20), st.none()),
        st.tuples(st.just("lease"), st.booleans(), st.integers(0, 6_000), st.none()),
        st.tuples(st.just("quote"), st.booleans(), st.integers(1, 300), st.none()),
        st.tuples(st.just("repeat"), st.booleans(), st.integers(0, 20), st.none()),
    ),
    max_size=25,
)


@given(ACTIONS)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_no_order_is_taken_above_the_lease_and_all_is_given_back(
    actions: list[tuple[str, bool, int, int | None]],
) -> None:
    made = bench()
    leased, lease_no, reference = 5_000, 1, 100
    open_value: dict[str, tuple[bool, int]] = {}  # counted here apart from the stage
    sent: list[OrderRequest] = []
    orders: list[Order] = []
    for n, (action, is_buy, number, limit_units) in enumerate(actions):
        match action:
            case "new":
                limit_px = None if limit_units is None else px(limit_units)
                side = Side.BUY if is_buy else Side.SELL
                sent.append(new(f"C{n}", account="POOR", side=side, order_qty=number, limit_px=limit_px))
                unit = reference if limit_units is None else limit_units if is_buy else max(limit_units, reference)
                value = number * unit
                held = sum(v for b, v in open_value.values() if b is is_buy)
                event = send(made, sent[-1])[-1]
                assert event.reason is (R.CREDIT_EXCEEDED if held + value > leased else None)
                if event.reason is None:
                    open_value[event.order_id] = (is_buy, value)
                    orders = made.all(Order)
                    assert held + value <= leased
            case "close" if orders:
                order = orders[number % len(orders)]
                out = made.feed(closed(order))
                assert len(out) == (0 if open_value.pop(order.order_id, None) else 1)
            case "lease":
                leased, lease_no = number, lease_no + 1
                made.feed(lease("POOR", px(number), lease_no))
            case "quote":
                reference = number
                made.feed(quote(number))
            case "repeat" if sent:
                assert only_event(send(made, sent[number % len(sent)])).kind is OrderEventKind.REPEATED
            case _:
                pass
        exposure = made.state.exposures.get("POOR")
        held_now = (0, 0) if exposure is None else (exposure.buy, exposure.sell)
        expected = tuple(px(sum(v for b, v in open_value.values() if b is side)) for side in (True, False))
        assert held_now == expected
    for order in orders:
        made.feed(closed(order))
    exposure = made.state.exposures.get("POOR")
    assert exposure is None or (exposure.buy, exposure.sell) == (0, 0)
    assert len(made.state.orders) == 0


def test_what_intake_does_not_read_is_an_error() -> None:
    with pytest.raises(TypeError, match="intake does not read Order"):
        made = bench()
        made.feed(accepted(made, new()))
