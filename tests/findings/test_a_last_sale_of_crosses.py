"""Kind A: a print may come after what takes it back, or again; the last sale a cross relies on is the same."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from pipeline.domain.market import PrintKind, TradePrint
from tests.unit.stages.netting.netting_bench import MID, SYM, T0, NettingBench, S


def told(kind: PrintKind, print_id: str, px: int = MID, ref: str | None = None, at_s: int = 1) -> TradePrint:
    more: dict[str, Any] = {"ref_print_id": ref} if ref else {}
    when = T0 + at_s * S
    return TradePrint(
        kind=kind, instrument=SYM, venue="XNAS", print_id=print_id, event_ns=when, received_ns=when, px=px, qty=1,
        **more,
    )  # fmt: skip


def last_sale(*prints: TradePrint) -> tuple[int | None, int | None]:
    bench = NettingBench()
    bench.feed(*prints)
    market = bench.state.market.of(SYM)
    return market.last_sale_px, market.last_sale_ns


TRADE, CANCEL, CORRECT = PrintKind.TRADE, PrintKind.CANCEL, PrintKind.CORRECT


def test_a_sale_that_is_cancelled_before_it_comes_or_comes_again_is_none() -> None:
    sale, cancel = told(TRADE, "7", 999), told(CANCEL, "8", 0, "7")
    for order in ((sale, cancel), (cancel, sale), (sale, cancel, sale), (cancel, sale, cancel)):
        assert last_sale(*order) == (None, None)


def test_two_sales_of_one_moment_end_in_the_later_one_in_any_order() -> None:
    sales = (told(TRADE, "9", MID + 9), told(TRADE, "10", MID + 10), told(TRADE, "8", MID + 8))
    assert {last_sale(*order) for order in permutations(sales)} == {(MID + 10, T0 + S)}


@pytest.mark.parametrize("ref", ["7", "8"])
def test_a_cancel_of_a_sale_or_of_its_correction_takes_back_both(ref: str) -> None:
    sale, correct = told(TRADE, "7"), told(CORRECT, "8", MID + 5, "7")
    assert last_sale(sale, correct) == (MID + 5, T0 + S)
    assert last_sale(sale, correct, told(CANCEL, "9", 0, ref)) == (None, None)
