"""Kind C: money of a cross fits 64 bits: what does not is split, or refused by name; nobody's worker stops."""

from __future__ import annotations

import pytest

from pipeline.domain.allocations import Reconciliation
from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.int64 import LONG_MAX
from pipeline.domain.orders import Side
from pipeline.domain.parents import ParentKind
from pipeline.domain.record import Record
from pipeline.domain.validators.faults import QTY_MAX
from pipeline.runtime.memory.host import MemoryHost
from pipeline.stages.allocation.stage import AllocationStage
from pipeline.stages.netting.stage import NettingStage
from tests.unit.stages.netting.netting_bench import (
    DAY,
    PX,
    T0,
    NettingBench,
    S,
    config,
    crossed,
    instrument,
    order,
    quote,
    rule,
    status,
)

KRW = 70_000 * PX


def korean() -> list[Record]:
    return [instrument(tick_px=100 * PX, reference_px=KRW, currency="KRW"), rule(), status()]


@pytest.mark.parametrize("qty", [120_000, 140_000, 500_000])
def test_a_cross_of_more_money_than_a_field_holds_is_split(qty: int) -> None:
    host = MemoryHost([NettingStage(config()), AllocationStage()], 1)
    records: list[Record] = [Tick(kind=TickKind.TICK, now_ns=T0, wall_ns=T0, trade_date=DAY), *korean()]
    records += [
        order(f"{side.value}{n}", side, qty // 4, currency="KRW") for side in (Side.BUY, Side.SELL) for n in range(4)
    ]
    for second in range(1, 12):
        now_ns = T0 + second * S
        records += [
            quote(now_ns, KRW - 100 * PX, KRW + 100 * PX),
            Tick(kind=TickKind.TICK, now_ns=now_ns, wall_ns=now_ns, trade_date=DAY),
        ]
    for record in records:
        host.publish(record, T0 + 60 * S)
    host.run()
    host.commit()
    booked = host.records(Reconciliation)
    assert sum(each.executed_qty for each in booked) == qty
    assert all(each.balanced and each.executed_money <= LONG_MAX for each in booked)


def test_the_pieces_hold_in_lots() -> None:
    bench = NettingBench(rules=())
    bench.feed(*korean(), instrument(tick_px=100 * PX, reference_px=KRW, currency="KRW", lot_qty=1_000))
    bench.feed(quote(T0 + S, KRW - 100 * PX, KRW + 100 * PX), quote(T0 + 5 * S, KRW - 100 * PX, KRW + 100 * PX))
    bench.feed(order("b", Side.BUY, 300_000, currency="KRW"), order("s", Side.SELL, 300_000, currency="KRW"))
    for second in range(6, 17):
        bench.to(T0 + second * S)
    assert [each.qty for each in bench.crosses()] == [131_000, 131_000, 38_000]
    assert crossed(bench.crosses()) == {"b": 300_000, "s": 300_000}


def test_a_lot_that_no_field_can_hold_is_refused_by_name() -> None:
    bench = NettingBench(rules=())
    bench.feed(*korean(), instrument(tick_px=100 * PX, reference_px=KRW // 2, currency="KRW", lot_qty=200_000))
    bench.feed(quote(T0 + S, KRW - 100 * PX, KRW + 100 * PX), quote(T0 + 5 * S, KRW - 100 * PX, KRW + 100 * PX))
    bench.feed(order("b", Side.BUY, 200_000, currency="KRW"), order("s", Side.SELL, 200_000, currency="KRW"))
    for second in range(6, 17):
        bench.to(T0 + second * S)
    assert bench.crosses() == [] and "BEYOND_64_BITS" in bench.reasons()
    assert len(bench.parents(ParentKind.NEW)) == 2, "all goes to market"


def test_a_quantity_whose_sums_could_not_be_written_is_not_taken_in() -> None:
    bench = NettingBench()
    assert bench.reasons(bench.feed(order("a", qty=QTY_MAX + 1))) == ["QUANTITY_TOO_LARGE"]
    assert bench.feed(order("b", qty=QTY_MAX)) and bench.state.orders.keys() == ["b"]
