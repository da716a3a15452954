"""A in netting: the last sale that a cross is priced beside is one that happened, whatever order the tape tells it in.

Siblings of the tape's: a cancel read before its print, a print told again after its cancel or its correction, a
correction before its print, corrections of corrections, prints of one nanosecond, the same id on another day.
"""

from __future__ import annotations

from itertools import permutations

import pytest
from msgspec.structs import replace

from pipeline.domain.market import PrintKind, TradePrint
from pipeline.stages.netting.parameters import NettingParameters
from pipeline.stages.netting.quote_history import Markets
from pipeline.state import State, Task
from tests.unit.stages.netting.netting_bench import T0 as BENCH_T0
from tests.unit.stages.netting.netting_bench import NettingBench

S = 10**9
T0 = 1_767_623_400 * S
DAY_NS = 86_400 * S


def sale(print_id: str, px: int, second: int, kind: PrintKind = PrintKind.TRADE, ref: str | None = None) -> TradePrint:
    at_ns = T0 + second * S
    return TradePrint(kind=kind, instrument="XYZ", venue="V", print_id=print_id, ref_print_id=ref, event_ns=at_ns,
                      received_ns=at_ns, px=px, qty=1)  # fmt: skip


ONE, TWO = sale("1", 100, 1), sale("2", 500, 2)
CANCEL = sale("c", 500, 2, PrintKind.CANCEL, "2")
FIRST, SECOND = sale("k1", 200, 2, PrintKind.CORRECT, "2"), sale("k2", 300, 2, PrintKind.CORRECT, "k1")


def last(*prints: TradePrint) -> int | None:
    market = Markets(State(Task("netting", 0, 1)), NettingParameters())
    for each in prints:
        market.on_print(each)
    return market.of("XYZ").last_sale_px


def of_stage(*prints: TradePrint) -> tuple[int | None, int | None]:
    """Price and time of the last sale as the whole stage has it, restored after each print."""
    bench = NettingBench()
    shift_ns = T0 - BENCH_T0  # the bench's clock is another
    bench.feed(*(replace(each, event_ns=each.event_ns - shift_ns) for each in prints))
    market = bench.state.market.of("XYZ")
    return market.last_sale_px, None if market.last_sale_ns is None else market.last_sale_ns + shift_ns


def test_a_sale_that_is_cancelled_before_it_comes_or_comes_again_is_none() -> None:
    one, cancel = sale("7", 999, 1), sale("8", 0, 1, PrintKind.CANCEL, "7")
    for order in ((one, cancel), (cancel, one), (one, cancel, one), (cancel, one, cancel)):
        assert of_stage(*order) == (None, None)


@pytest.mark.parametrize("ref", ["7", "8"])
def test_a_cancel_of_a_sale_or_of_its_correction_takes_back_both(ref: str) -> None:
    one, correct = sale("7", 100, 1), sale("8", 105, 1, PrintKind.CORRECT, "7")
    assert of_stage(one, correct) == (105, T0 + S)
    assert of_stage(one, correct, sale("9", 0, 1, PrintKind.CANCEL, ref)) == (None, None)


def test_a_cancelled_print_is_never_the_last_sale() -> None:
    for order in permutations([ONE, TWO, CANCEL, TWO]):
        assert last(*order) in (100, None), [each.print_id for each in order]
    assert last(ONE, CANCEL, TWO) == 100
    assert last(ONE, TWO, CANCEL, TWO) is None, "until the next print"


@pytest.mark.parametrize("again", [TWO, FIRST, SECOND])
def test_the_last_sale_is_as_last_corrected(again: TradePrint) -> None:
    for order in permutations([ONE, TWO, FIRST, SECOND, again]):
        assert last(*order) == 300, [each.print_id for each in order]


def test_two_sales_of_one_moment_end_in_the_later_one_in_any_order() -> None:
    sales = (sale("9", 109, 1), sale("10", 110, 1), sale("8", 108, 1))
    assert {of_stage(*order) for order in permutations(sales)} == {(110, T0 + S)}


def test_of_two_sales_in_one_nanosecond_the_higher_id_is_the_last() -> None:
    for order in permutations([sale("9", 1, 3), sale("10", 2, 3), ONE]):
        assert last(*order) == 2


def test_a_cancel_of_yesterdays_id_leaves_todays_sale() -> None:
    old = sale("2", 50, -86_400)
    cancel = sale("c", 50, -86_400, PrintKind.CANCEL, "2")
    for order in permutations([old, cancel, TWO]):
        assert last(*order) == 500
