"""C. Money that no 64-bit field holds: a cross in won, a venue's fat report. Nothing stops, nothing is cut off.

Each amount is told in as few records as hold it, which add up to it exactly, and an alert says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.domain.allocations import Allocation, Reconciliation
from pipeline.domain.controls import Alert
from pipeline.domain.orders import OrderEvent, OrderEventKind, Side
from pipeline.domain.parents import CrossKind
from pipeline.domain.record import Owned
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.stages.allocation.state import AllocationState
from tests.allocation_builders import DAY, PX, SETTLED, XYZ, Books, begin, bench, bust, cross, fill, order, quiet
from tests.stage_bench import Bench

WON = 70_000 * PX
LONG_MAX = 2**63 - 1
CODEC = Codec(LocalIds())


def fits(stage: Bench[AllocationState]) -> None:
    for record in stage.out:
        CODEC.encode(record)


def shares(records: Sequence[Owned]) -> list[tuple[str, str, str | None, str, int, int, int]]:
    return [
        (str(a.kind), a.alloc_id, a.ref_alloc_id, a.order_id, a.alloc_qty, a.alloc_avg_px, a.net_money)
        for a in records
        if isinstance(a, Allocation)
    ]


def sums(records: Sequence[Owned]) -> list[tuple[int, int, int, int, int, int, int, bool, int, int]]:
    return [
        (
            r.version,
            r.executed_qty,
            r.allocated_qty,
            r.error_account_qty,
            r.executed_money,
            r.allocated_money,
            r.allocation_count,
            r.balanced,
            r.part_no,
            r.part_count,
        )
        for r in records
        if isinstance(r, Reconciliation)
    ]


def breaks(records: Sequence[Owned]) -> list[tuple[str, str, str]]:
    return [(str(a.kind), a.reason, a.subject_id) for a in records if isinstance(a, Alert)]


def test_a_cross_of_nine_billion_won_is_reconciled_in_two_parts() -> None:
    stage = bench()
    buys, sells = [f"B{i}" for i in range(4)], [f"S{i}" for i in range(4)]
    stage.feed(*(order(o, 35_000) for o in buys), *(order(o, 35_000, Side.SELL) for o in sells))
    legs = [[(o, 35_000, None) for o in side] for side in (buys, sells)]
    out = stage.feed(cross("X", legs[0], legs[1], WON))
    fits(stage)
    assert sums(out) == [
        (1, 70_000, 70_000, 0, 70_000 * WON, 70_000 * WON, 4, True, 1, 2),
        (1, 70_000, 70_000, 0, 70_000 * WON, 70_000 * WON, 4, True, 2, 2),
    ]
    assert [s[3:] for s in shares(out)] == [(o, 35_000, WON, 35_000 * WON) for o in (*buys, *sells)]
    assert breaks(out) == [("BREAK", "MONEY_IN_PARTS", "X")]


def test_one_clients_part_of_a_cross_is_told_in_as_many_allocations_as_hold_it() -> None:
    stage = bench()
    stage.feed(order("B", 140_000), order("S", 140_000, Side.SELL))
    out = stage.feed(cross("X", [("B", 140_000, None)], [("S", 140_000, None)], WON))
    fits(stage)
    assert shares(out) == [
        ("NEW", f"A0-{no}", None, order_id, 70_000, WON, 70_000 * WON)
        for no, order_id in ((1, "B"), (2, "B"), (3, "S"), (4, "S"))
    ]
    filled = [e for e in out if isinstance(e, OrderEvent)]
    assert [(e.kind, e.cum_qty, e.avg_px) for e in filled] == [(OrderEventKind.FILLED, 140_000, WON)] * 2
    less = stage.feed(cross("X2", [("B", 100_000, None)], [("S", 100_000, None)], WON, CrossKind.CORRECT, "X"))
    assert shares(less) == [
        ("REPLACE", "A0-5", "A0-1", "B", 100_000, WON, 100_000 * WON),
        ("CANCEL", "A0-6", "A0-2", "B", 0, WON, 0),
        ("REPLACE", "A0-7", "A0-3", "S", 100_000, WON, 100_000 * WON),
        ("CANCEL", "A0-8", "A0-4", "S", 0, WON, 0),
    ]
    assert sums(less) == [(2, 100_000, 100_000, 0, 100_000 * WON, 100_000 * WON, 2, True, 1, 1)]
    gone = stage.feed(cross("X3", [], [], kind=CrossKind.BUST, ref="X2"))
    assert [s[:5] for s in shares(gone)] == [
        ("CANCEL", "A0-9", "A0-5", "B", 0),
        ("CANCEL", "A0-10", "A0-7", "S", 0),
    ]
    fits(stage)
    assert Books(stage.out).standing == {}


def test_a_venues_fat_report_is_booked_whole_to_the_error_account() -> None:
    stage = bench()
    stage.feed(*begin([60, 40])[1])
    fat = fill("f1", 100_000_000, overfill_qty=99_999_900, fee=7)
    out = stage.feed(fat, quiet())
    fits(stage)
    assert [s[3:] for s in shares(out)] == [
        ("O0", 60, 100 * PX, 6_000 * PX),
        ("O1", 40, 100 * PX, 4_000 * PX),
    ]
    money = 100_000_000 * 100 * PX
    assert money == 10_000_000_000_000_000_000 > LONG_MAX
    assert sums(out) == [
        (1, 50_000_000, 50, 49_999_950, money // 2, money // 2, 1, True, 1, 2),
        (1, 50_000_000, 50, 49_999_950, money // 2, money // 2, 1, True, 2, 2),
    ]
    assert [r.allocated_fee for r in out if isinstance(r, Reconciliation)] == [4, 3]
    assert breaks(out) == [("BREAK", "MONEY_IN_PARTS", "P"), ("OVERFILL", "BOOKED_TO_ERROR_ACCOUNT", "P")]
    back = stage.feed(bust("b", fat))
    fits(stage)
    assert sums(back) == [(2, 0, 0, 0, 0, 0, 0, True, 1, 1)]
    assert [s[:5] for s in shares(back)] == [("CANCEL", "A0-3", "A0-1", "O0", 0), ("CANCEL", "A0-4", "A0-2", "O1", 0)]


@pytest.mark.parametrize("flagged", [True, False])
def test_executions_that_fit_may_add_up_to_what_does_not(flagged: bool) -> None:
    stage = bench()
    stage.feed(*begin([60, 40])[1])
    fills = [fill(f"f{n}", 50_000_000, 100 * PX + n, 1, overfill_qty=49_999_950 if flagged else 0) for n in range(3)]
    out = stage.feed(*fills, quiet())
    fits(stage)
    told = [r for r in out if isinstance(r, Reconciliation)]
    assert [(r.part_no, r.part_count) for r in told] == [(1, 2), (2, 2)]
    assert sum(r.executed_qty for r in told) == 150_000_000
    assert sum(r.error_account_qty for r in told) == 149_999_900
    assert sum(r.executed_money for r in told) == 50_000_000 * (300 * PX + 3)
    assert sum(r.executed_fee for r in told) == 3 == sum(r.allocated_fee for r in told)
    assert all(r.executed_money == r.allocated_money + r.residual for r in told)
    assert sum(r.residual for r in told) == 0


def test_what_a_client_is_shown_of_an_open_epoch_is_right_beyond_64_bits() -> None:
    stage = bench(progress_ns=1)
    stage.tick(1)
    stage.feed(*begin([140_000, 140_000])[1], fill("f1", 140_000, WON), fill("f2", 70_000, WON + 3))
    events = stage.all(OrderEvent, stage.tick(10))
    assert [(e.kind, e.last_qty, e.cum_qty, e.avg_px) for e in events] == [
        (OrderEventKind.TRADE, 105_000, 105_000, WON + 1)
    ] * 2
    stage.feed(fill("f3", 70_000, WON + 9))
    events = stage.all(OrderEvent, stage.tick(20))
    assert [(e.last_qty, e.last_px, e.cum_qty, e.avg_px) for e in events] == [(35_000, WON + 9, 140_000, WON + 3)] * 2
    stage.feed(quiet())
    fits(stage)
    standing = Books(stage.out).standing.values()
    assert sum(a.net_money for a in standing) == 280_000 * (WON + 3)
    assert sum(a.alloc_qty for a in standing) == 280_000


def test_what_no_number_of_records_should_hold_is_set_aside_by_name() -> None:
    stage = bench()
    stage.feed(*begin([60, 40])[1], fill("f1", 10))
    out = stage.feed(fill("mad", LONG_MAX, LONG_MAX))
    assert breaks(out) == [("BREAK", "BEYOND_MEASURE", "mad")]
    dear = [fill("d1", 10, fee=LONG_MAX - 1), fill("d2", 10, fee=2)]
    assert breaks(stage.feed(*dear)) == [("BREAK", "BEYOND_MEASURE", "d2")]
    closed = stage.feed(quiet())
    fits(stage)
    assert sums(closed) == [(1, 20, 20, 0, 2_000 * PX, 2_000 * PX, 2, True, 1, 1)]
    stage.feed(order("B", LONG_MAX), order("S", LONG_MAX, Side.SELL))
    mad = cross("X", [("B", LONG_MAX, None)], [("S", LONG_MAX, None)], LONG_MAX)
    assert breaks(stage.feed(mad)) == [("BREAK", "BEYOND_MEASURE", "X")]


def test_the_first_allocation_of_such_a_cross_is_whole() -> None:
    stage = bench()
    stage.feed(order("B", 140_001), order("S", 140_001, Side.SELL))
    first = stage.all(Allocation, stage.feed(cross("X", [("B", 140_001, None)], [("S", 140_001, None)], WON)))[0]
    assert first == Allocation(
        kind="NEW",  # type: ignore[arg-type]
        alloc_id="A0-1",
        alloc_source="CROSS",  # type: ignore[arg-type]
        instrument=XYZ,
        cross_id="X",
        order_id="B",
        source="OMS",
        cl_ord_id="c-B",
        alloc_account="acc-B",
        side=Side.BUY,
        capacity="AGENCY",  # type: ignore[arg-type]
        alloc_qty=70_001,
        alloc_avg_px=WON,
        net_money=70_001 * WON,
        fee=0,
        currency="USD",
        trade_date=DAY,
        settlement_date=SETTLED,
        at_ns=0,
    )
