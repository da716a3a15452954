"""Finding E: the volume behind a participation cap is the tape's truth, whatever is repeated, taken back, or late."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.market import PrintKind, TradePrint
from pipeline.domain.units import PX_ONE
from pipeline.stages.slicing.stage import SlicingStage
from pipeline.stages.slicing.state import SlicingState
from tests.stage_bench import Bench
from tests.unit.stages.slicing.test_stage import opened, parent, s, slices

CAP = 100_000
"""A tenth of all volume: where others trade 900, 100 are ours."""


def print_(no: int, qty: int = 900, second: float = 10, **changes: Any) -> TradePrint:
    fields: dict[str, Any] = {
        "kind": PrintKind.TRADE,
        "instrument": "X",
        "venue": "V",
        "print_id": str(no),
        "event_ns": s(second),
        "received_ns": s(second),
        "px": 100 * PX_ONE,
        "qty": qty,
    }
    return TradePrint(**{**fields, **changes})


def taken_back(no: int, of: int, second: float = 11) -> TradePrint:
    return print_(no, 0, second, kind=PrintKind.CANCEL, ref_print_id=str(of), px=0)


def corrected(no: int, of: int, qty: int, second: float = 10) -> TradePrint:
    return print_(no, qty, second, kind=PrintKind.CORRECT, ref_print_id=str(of))


def released(prints: Sequence[TradePrint], swap_every: int = 0) -> int:
    """Units released under the cap by second 99, none of them executed."""
    bench: Bench[SlicingState] = opened(Bench(SlicingStage(), swap_every=swap_every))
    bench.feed(parent(participation_cap=CAP), *prints)
    return sum(out.qty for second in range(11, 100) for out in slices(bench.tick(s(second))))


TRUTHS: dict[str, tuple[list[TradePrint], int]] = {
    "one print": ([print_(1)], 100),
    "two prints": ([print_(1, 450), print_(2, 450)], 100),
    "another venue's print of the same id": ([print_(1, 450), print_(1, 450, venue="W")], 100),
    "cancelled": ([print_(1), print_(2), taken_back(3, 2)], 100),
    "corrected upwards": ([print_(1, 450), corrected(2, 1, 900)], 100),
    "corrected twice": ([print_(1, 9_000), corrected(2, 1, 4_500), corrected(3, 2, 900)], 100),
    "a correction cancelled": ([print_(1), print_(2, 450), corrected(3, 2, 4_500), taken_back(4, 3)], 100),
    "not eligible for volume": ([print_(1), print_(2, 9_000, eligible_volume=False)], 100),
    "of before the parent": ([print_(1), print_(2, 9_000, second=-5)], 100),
    "of before the parent, cancelled": ([print_(1), print_(2, 9_000, second=-5), taken_back(3, 2, -4)], 100),
}


@pytest.mark.parametrize("copies", [1, 2, 3])
@pytest.mark.parametrize("truth", TRUTHS)
def test_a_cap_is_a_part_of_what_was_traded_however_often_it_is_told(truth: str, copies: int) -> None:
    prints, qty = TRUTHS[truth]
    assert released(prints * copies) == qty


@pytest.mark.parametrize("truth", TRUTHS)
@settings(deadline=None, max_examples=15)
@given(order=st.randoms(use_true_random=False))
def test_a_cap_is_a_part_of_what_was_traded_in_whatever_order_it_is_told(truth: str, order: Random) -> None:
    prints, qty = TRUTHS[truth]
    arriving = [*prints, *order.sample(prints, order.randrange(len(prints) + 1))]
    order.shuffle(arriving)
    assert released(arriving, swap_every=1) == qty


def test_a_cancel_after_the_release_holds_the_rest_back() -> None:
    bench = opened(Bench(SlicingStage()))
    bench.feed(parent(participation_cap=CAP), print_(1), print_(2))
    before = sum(out.qty for second in range(11, 20) for out in slices(bench.tick(s(second))))
    assert before == 180, "of the 200 allowed so much is due"
    bench.feed(taken_back(3, 2))
    assert [out for second in range(20, 100) for out in slices(bench.tick(s(second)))] == []


def test_a_parent_counts_from_its_own_beginning_whatever_others_count() -> None:
    bench = opened(Bench(SlicingStage(), swap_every=1))
    bench.feed(parent(participation_cap=CAP))
    bench.tick(s(40))
    bench.feed(print_(1, 9_000, second=40), parent(parent_id="P2", participation_cap=CAP, start_ns=s(40)))
    bench.feed(print_(2, 900, second=30))  # late: of P1's window, not of P2's
    views = {
        parent_id: bench.state.view(bench.state.parents[parent_id], _instrument(bench.state))
        for parent_id in ("P1", "P2")
    }
    assert {key: view.others_volume_qty for key, view in views.items()} == {"P1": 9_900, "P2": 0}


def _instrument(state: SlicingState) -> Any:
    return state.instruments.get("X", state.now_ns)


def test_without_a_cap_nothing_of_the_tape_is_kept() -> None:
    bench = opened(Bench(SlicingStage()))
    bench.feed(parent(), print_(1), taken_back(2, 1))
    assert [key for key in bench.changelog if key.startswith("print")] == []
