"""Builders for intake's tests: a day with its reference data, requests, and what is expected of an answer."""

from __future__ import annotations

from typing import Any, Final

from pipeline.domain.controls import Control, ControlKind, ControlScope, CreditLease, Tick, TickKind
from pipeline.domain.market import ReferencePrice
from pipeline.domain.orders import (
    AccountClass,
    ClosedOrder,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderRequest,
    OrdersClosed,
    OrdStatus,
    OrdType,
    RequestKind,
    Side,
)
from pipeline.domain.record import Record
from pipeline.domain.reference import Account, Instrument, Limit, LimitScope, ReferenceKind, Venue, VenueKind
from pipeline.domain.rejections import RejectReason as R
from pipeline.domain.units import NS_PER_S, PX_ONE
from pipeline.stages.intake.stage import IntakeStage
from pipeline.stages.intake.state import IntakeState
from tests.stage_bench import Bench

S: Final = NS_PER_S
DAY: Final = 1_767_600_000 * S
OPEN: Final = DAY + 34_200 * S
NOW: Final = OPEN + 600 * S
CLOSE: Final = OPEN + 23_400 * S
SET: Final = ReferenceKind.SET


def px(units: int, cents: int = 0) -> int:
    return units * PX_ONE + cents * PX_ONE // 100


def instrument(symbol: str = "AMZN", **changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "kind": SET,
        "instrument": symbol,
        "effective_ns": DAY,
        "tick_px": px(0, 1),
        "session_open_ns": OPEN,
        "session_close_ns": CLOSE,
        "reference_px": px(100),
        "daily_volume_qty": 1_000_000,
        "trade_date": 20260105,
        "cash_settlement_date": 20260105,
        "next_day_settlement_date": 20260106,
        "regular_settlement_date": 20260106,
    }
    return Instrument(**(fields | changes))


def account(name: str = "A1", source: str = "S1", **changes: Any) -> Account:
    fields: dict[str, Any] = {
        "kind": SET,
        "account": name,
        "effective_ns": DAY,
        "source": source,
        "account_class": AccountClass.PENSION,
        "owner": f"owner of {name}",
        "control_group": f"group of {name}",
    }
    return Account(**(fields | changes))


def limit(scope: LimitScope, scope_id: str = "", **changes: Any) -> Limit:
    return Limit(kind=SET, scope=scope, scope_id=scope_id, effective_ns=DAY, **changes)


def lease(name: str = "A1", leased: int | None = None, lease_no: int = 1, effective_ns: int = DAY) -> CreditLease:
    return CreditLease(account=name, partition=0, lease_no=lease_no, leased=leased, effective_ns=effective_ns)


def quote(units: int, quote_ns: int = NOW, symbol: str = "AMZN") -> ReferencePrice:
    return ReferencePrice(instrument=symbol, px=px(units), quote_ns=quote_ns)


def control(kind: ControlKind, scope: ControlScope = ControlScope.ALL, scope_id: str = "") -> Control:
    return Control(kind=kind, control_id="K1", scope=scope, scope_id=scope_id, who="desk", why="test", at_ns=NOW)


def venue(code: str) -> Venue:
    return Venue(
        kind=SET,
        venue=code,
        effective_ns=DAY,
        venue_kind=VenueKind.LIT,
        maker_fee_px=0,
        taker_fee_px=0,
        latency_ns=0,
        latency_jitter_ns=0,
    )


def tick(now_ns: int, trade_date: int = 20260105, wall_ns: int | None = None) -> Tick:
    return Tick(
        kind=TickKind.TICK, now_ns=now_ns, wall_ns=now_ns if wall_ns is None else wall_ns, trade_date=trade_date
    )


def new(cl_ord_id: str = "C1", **changes: Any) -> OrderRequest:
    fields: dict[str, Any] = {
        "kind": RequestKind.NEW,
        "source": "S1",
        "cl_ord_id": cl_ord_id,
        "account": "A1",
        "instrument": "AMZN",
        "side": Side.BUY,
        "order_qty": 10,
        "ord_type": OrdType.MARKET if changes.get("limit_px") is None else OrdType.LIMIT,
    }
    return OrderRequest(**(fields | changes))


def cancel(cl_ord_id: str, orig_cl_ord_id: str | None, source: str = "S1", **changes: Any) -> OrderRequest:
    return OrderRequest(
        kind=RequestKind.CANCEL,
        source=source,
        cl_ord_id=cl_ord_id,
        orig_cl_ord_id=orig_cl_ord_id,
        **({"account": "A1", "instrument": "AMZN"} | changes),
    )


def closed(order: Order, ord_status: OrdStatus = OrdStatus.FILLED, cum_qty: int = 10) -> OrdersClosed:
    one = ClosedOrder(order_id=order.order_id, account=order.request.account, ord_status=ord_status, cum_qty=cum_qty)
    return OrdersClosed(source=order.request.source, instrument=order.instrument, orders=(one,), at_ns=NOW)


REFERENCE: Final[tuple[Record, ...]] = (
    tick(NOW),
    instrument(),
    instrument("LOTS", lot_qty=100),
    instrument("LISTED", restricted=True),
    instrument("SCARCE", hard_to_borrow=True),
    instrument("NOPX", reference_px=0),
    instrument("LATER", session_open_ns=NOW + 60 * S),
    instrument("OVER", session_close_ns=NOW),
    account(),
    account("A2", "S2"),
    account("POOR"),
    venue("XNAS"),
    limit(LimitScope.FIRM, max_order_qty=100_000),
    lease(),
    lease("POOR", px(5_000)),
)


def bench(*extra: Record, without: tuple[type[Record], ...] = ()) -> Bench[IntakeState]:
    made = Bench(IntakeStage(), swap_every=3)
    made.feed(*(record for record in REFERENCE if not isinstance(record, without)), *extra)
    assert made.out == []
    return made


def send(made: Bench[IntakeState], *requests: Record, append_ns: int = NOW) -> list[Any]:
    return list(made.feed(*requests, append_ns=append_ns))


def only_event(out: list[Any]) -> OrderEvent:
    (event,) = out
    assert isinstance(event, OrderEvent)
    return event


def accepted(made: Bench[IntakeState], request: OrderRequest, append_ns: int = NOW) -> Order:
    order, event = send(made, request, append_ns=append_ns)
    assert isinstance(order, Order) and event.kind is OrderEventKind.ACCEPTED, event
    assert event.order_id == order.order_id
    return order


def expect(made: Bench[IntakeState], request: OrderRequest, reason: R | None, because: str = "") -> OrderEvent:
    out = send(made, request)
    event = out[1] if len(out) > 1 else out[0]
    assert isinstance(event, OrderEvent)
    assert event.reason is reason, f"{because}: {event.text}"
    assert len(out) == (2 if reason is None else 1)
    return event
