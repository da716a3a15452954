"""C: whatever number or text a request holds, intake answers it once, by name, and goes on.

The table is made from the record type, so that a new field is tried by itself.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.market import ReferencePrice
from pipeline.domain.orders import ClosedOrder, Order, OrderEvent, OrderRequest, OrdersClosed, OrdStatus, Side
from pipeline.domain.reference import LimitScope
from pipeline.domain.rejections import RejectReason as R
from pipeline.runtime.contracts.avro_code import compiled
from pipeline.runtime.contracts.codec import REQUEST_MAX_BYTES, Codec, ContractError, LocalIds, Undecodable
from pipeline.runtime.contracts.schemas import field_types
from pipeline.stages.intake.checks import TEXTS, TIMES
from tests.future_contracts import number_fields
from tests.golden.samples import records
from tests.unit.stages.intake.intake_bench import (
    CLOSE,
    NOW,
    accepted,
    bench,
    closed,
    expect,
    lease,
    limit,
    new,
    only_event,
    px,
    quote,
    send,
    tick,
)

LEAST: Final = -(2**63)
MOST: Final = 2**63 - 1
EXTREMES: Final = (LEAST, LEAST + 1, -1, 0, 1, 2**31, 2**53 + 1, 2**62, MOST - 1, MOST)
ELSEWISE_NAMED: Final = (R.ALREADY_ENDED, R.BAD_TIME_WINDOW, R.ORDER_VALUE_TOO_LARGE, R.CASH_QUANTITY)
"""Reasons whose texts name what a field means (the end, the value), not the field."""
CODEC: Final = Codec(LocalIds())

TAKEN: Final[dict[str, tuple[int, ...]]] = {
    "order_qty": (1,),
    "fractional_qty": (0,),
    "limit_px": (),
    "risk_aversion": tuple(n for n in EXTREMES if n >= 0),
    "start_ns": (0, 1, 2**31, 2**53 + 1),
    "participation_cap": (1,),
    "min_qty": (0, 1),
    "transact_ns": (0, 1, 2**31, 2**53 + 1),
}
"""Field to the extremes with which the plainest order is taken; every other is refused."""


def answer(made: Any, request: OrderRequest) -> OrderEvent:
    """The one answer; all that was written fits its schema."""
    out = send(made, request)
    for record in out:
        CODEC.encode(record)
    events = [record for record in out if isinstance(record, OrderEvent)]
    assert len(events) == 1 and len(out) == len(events) + sum(isinstance(record, Order) for record in out)
    return events[0]


@pytest.mark.parametrize("name", number_fields(OrderRequest))
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_every_number_at_its_extremes_is_taken_for_what_it_is_or_refused_by_name(name: str, side: Side) -> None:
    taken = []
    for number in EXTREMES:
        changes: dict[str, Any] = {"side": side, name: number}
        made = bench(limit(LimitScope.FIRM))  # nothing is bound but by the numbers themselves
        event = answer(made, new(**changes))
        if event.reason is None:
            taken.append(number)
        else:
            assert event.reason is not R.UNKNOWN and event.text
            assert name in event.text or event.reason in ELSEWISE_NAMED
    assert tuple(taken) == TAKEN.get(name, ())


@pytest.mark.parametrize("name", TIMES)
def test_a_time_before_1970_is_refused_as_a_value_that_means_nothing(name: str) -> None:
    changes: dict[str, Any] = {name: -1}
    assert answer(bench(), new(**changes)).reason is R.BAD_VALUE


def test_a_price_times_a_quantity_beyond_64_bits_is_refused_by_name() -> None:
    made = bench(limit(LimitScope.FIRM))
    most_px = MOST // px(0, 1) * px(0, 1)
    assert answer(made, new("1", limit_px=most_px, order_qty=1)).reason is None
    assert answer(made, new("2", limit_px=most_px, order_qty=2)).reason is R.ORDER_VALUE_TOO_LARGE
    assert answer(made, new("3", side=Side.SELL, limit_px=px(1), order_qty=10**12)).reason is R.ORDER_VALUE_TOO_LARGE


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL, Side.SELL_SHORT])
def test_the_sum_of_what_is_open_on_an_account_never_leaves_64_bits(side: Side) -> None:
    made = bench(limit(LimitScope.FIRM), quote(1))
    half = MOST // 2 // px(0, 1) * px(0, 1)
    first = accepted(made, new("1", side=side, limit_px=half, order_qty=1))
    assert answer(made, new("2", side=side, limit_px=half, order_qty=1)).reason is None
    assert answer(made, new("3", side=side, limit_px=px(1), order_qty=1)).reason is R.CREDIT_EXCEEDED
    exposure = made.state.exposures["A1"]
    assert max(exposure.buy, exposure.sell) == 2 * half <= MOST
    made.feed(closed(first))
    assert answer(made, new("4", side=side, limit_px=px(1), order_qty=1)).reason is None


def test_a_quantity_beyond_any_order_is_refused_though_no_limit_binds_it() -> None:
    made = bench(limit(LimitScope.FIRM))
    event = expect(made, new("1", order_qty=10**12 + 1, instrument="NOPX"), R.ORDER_TOO_LARGE)
    assert event.text == "order_qty 1000000000001 is above 1000000000000, the largest that is taken at all"
    expect(made, new("2", order_qty=10**12, instrument="NOPX"), None)


# ---------------------------------------------------------------- texts


def test_every_text_of_a_request_is_looked_at() -> None:
    texts = {name for name, field in field_types(OrderRequest).items() if field.of is str}
    assert texts == set(TEXTS) | {"source", "cl_ord_id"}


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in ("account", "instrument", "allowed_venues")])
def test_a_text_that_is_too_long_is_refused_by_name(name: str) -> None:
    event = answer(bench(), new(**{name: "x" * 257}))
    assert event.reason is R.BAD_VALUE and event.text == f"{name} is longer than 256, the most that is taken"
    assert answer(bench(), new(**{name: "x" * 256})).reason is None


def test_an_id_that_is_too_long_is_answered_each_time_and_not_kept() -> None:
    made = bench()
    for _ in range(2):
        event = answer(made, new("c" * 1_000))
        assert (event.reason, event.cl_ord_id) == (R.BAD_VALUE, "c" * 1_000)
    assert len(made.state.requests) == 0


def test_a_request_too_large_to_be_passed_on_within_another_record_is_not_taken_in_at_all() -> None:
    """An order holds its request. One just below a record's bound would stop intake for good."""
    large = new(mandate="m" * REQUEST_MAX_BYTES)
    with pytest.raises(ContractError, match=f"OrderRequest: .* bytes, more than {REQUEST_MAX_BYTES}"):
        CODEC.encode(large)
    header = CODEC.encode(new())[:5]
    with pytest.raises(Undecodable, match="TOO_LARGE"):
        CODEC.decode("orders-in", header + compiled(OrderRequest).encode(large))


def test_the_largest_request_that_is_read_can_be_answered_and_forwarded() -> None:
    size = REQUEST_MAX_BYTES - len(CODEC.encode(new())) - 20
    for request in (
        new("c" * size),
        new(instrument="i" * size),
        new(allowed_venues=("v" * size,)),
        new(source="s" * size),
    ):
        assert len(CODEC.encode(request)) <= REQUEST_MAX_BYTES
        assert answer(bench(), request).reason is not None


# ---------------------------------------------------------------- anything at all

SANE: Final = {"kind", "source", "cl_ord_id", "account", "instrument"}
ANY: Final = records(OrderRequest)


@given(
    requests=st.lists(
        st.tuples(ANY, st.sets(st.sampled_from(sorted(field_types(OrderRequest))), max_size=4)), max_size=6
    ),
    price=st.sampled_from((*EXTREMES, px(100))),
    at_ns=st.sampled_from((*EXTREMES, NOW)),
    end=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_intake_never_raises_and_answers_each_request_exactly_once(
    requests: list[tuple[OrderRequest, set[str]]], price: int, at_ns: int, end: bool
) -> None:
    made = bench(limit(LimitScope.FIRM, collar=100_000, max_reference_age_ns=10**9), lease("POOR", MOST, 2))
    made.feed(ReferencePrice(instrument="AMZN", px=price, quote_ns=at_ns))
    answered = []
    for number, (strange, names) in enumerate(requests):
        changes = {name: getattr(strange, name) for name in names - SANE}
        request = msgspec.structs.replace(new(f"C{number}"), **changes) if number % 2 else strange
        for record in send(made, request):
            CODEC.encode(record)
            if isinstance(record, OrderEvent):
                answered.append(record.cl_ord_id)
    made.feed(
        *(
            OrdersClosed(
                source=order.request.source,
                instrument=order.instrument,
                orders=(ClosedOrder(order_id=order.order_id, account=order.request.account, ord_status=OrdStatus.FILLED,
                                    cum_qty=MOST),),
                at_ns=NOW,
            )
            for order in made.all(Order)
        ),
        *([tick(CLOSE)] if end else []),
        tick(CLOSE + 10**12),
    )  # fmt: skip
    answered = [event.cl_ord_id for event in made.all(OrderEvent)]
    assert len(answered) == len(requests)
    exposure = made.state.exposures.get("A1")
    assert exposure is None or (exposure.buy, exposure.sell) == (0, 0)
    assert only_event(send(made, new("after all", end_ns=None))).reason is R.MARKET_CLOSED
