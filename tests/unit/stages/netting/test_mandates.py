"""Netting: a mandate with a section in the parameters has windows of its own; everybody else's stay as they are."""

from __future__ import annotations

import pytest

from pipeline.domain.controls import ControlKind, ControlScope
from pipeline.domain.orders import Side
from pipeline.domain.parents import LineageKind
from pipeline.stages.netting.parameters import MandateParameters, NettingParameters
from tests.unit.stages.netting.netting_bench import T0, NettingBench, S, cancel, config, control, crossed, order

BUY, SELL = Side.BUY, Side.SELL
SLOW = MandateParameters(window_ns=20 * S)
CONFIG = config(mandate={"slow": SLOW})


def sizes(bench: NettingBench) -> list[int]:
    return [parent.order_qty for parent in bench.parents()]


def test_orders_of_a_mandate_with_its_own_window_wait_for_that_window() -> None:
    bench = NettingBench(config=CONFIG)
    bench.feed(order("A", BUY, 100), order("B", BUY, 200, r_mandate="slow"), order("C", BUY, 300, r_mandate="other"))
    bench.to(T0 + 5 * S)
    assert sizes(bench) == [400], "a mandate without a section shares buckets with everybody"
    bench.to(T0 + 19 * S)
    assert sizes(bench) == [400]
    bench.to(T0 + 20 * S)
    assert sizes(bench) == [400, 200]


def test_opposite_orders_of_a_mandate_cross_when_its_window_closes() -> None:
    bench = NettingBench(config=CONFIG)
    bench.feed(order("B", BUY, 500, r_mandate="slow"), order("A", SELL, 200, r_mandate="slow"))
    bench.to(T0 + 20 * S)
    assert crossed(bench.crosses()) == {"B": 200, "A": 200}
    assert sizes(bench) == [300]


def test_a_full_bucket_closes_its_own_window_and_no_other() -> None:
    bench = NettingBench(config=config(max_members=3, mandate={"slow": MandateParameters(max_members=2)}))
    bench.feed(order("A", BUY, 1), order("B", BUY, 10, r_mandate="slow"))
    bench.feed(order("C", BUY, 10, r_mandate="slow"))
    assert sizes(bench) == [20]
    bench.feed(order("D", BUY, 100, r_mandate="slow"))
    bench.feed(order("E", BUY, 1), order("F", BUY, 1))
    assert sizes(bench) == [20, 3]
    bench.to(T0 + 5 * S)
    assert sizes(bench) == [20, 3, 100]


def test_the_desk_releases_all_windows_of_an_instrument() -> None:
    bench = NettingBench(config=CONFIG)
    bench.feed(order("A", BUY, 100), order("B", SELL, 40, r_mandate="slow"))
    bench.feed(control(ControlKind.RELEASE_WINDOW, ControlScope.ALL))
    assert crossed(bench.crosses()) == {"A": 40, "B": 40}
    assert sizes(bench) == [60]


def test_a_cancelled_order_leaves_its_mandates_window_and_no_row() -> None:
    bench = NettingBench(config=CONFIG)
    bench.feed(order("B", BUY, 200, r_mandate="slow"), cancel("B"))
    assert [entry.order_id for entry in bench.lineage(LineageKind.LEFT)] == ["B"]
    assert bench.live_rows() == 0


def test_a_mandate_has_of_its_own_what_its_section_says_and_the_rest_from_the_stage() -> None:
    parameters = NettingParameters(window_ns=7, max_wait_ns=8, mandate={"slow": SLOW})
    own = parameters.of_mandate("slow")
    assert (own.window_ns, own.max_wait_ns, own.wait_part) == (20 * S, 8, 10)
    assert parameters.of_mandate("other") is parameters


@pytest.mark.parametrize("mandate", [None, "slow", "other"])
def test_without_a_section_an_orders_mandate_changes_nothing(mandate: str | None) -> None:
    plain, bench = NettingBench(), NettingBench()
    plain.feed(order("A", BUY, 100))
    bench.feed(order("A", BUY, 100, r_mandate=mandate))
    assert bench.to(T0 + 5 * S) == plain.to(T0 + 5 * S)
    assert bench.state.digest() == plain.state.digest()
