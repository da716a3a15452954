"""Kind L: the demo's crossing limits are what its comments say, 30 and 50 basis points, in the contract's unit."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pipeline.demo.reference_data import Listed, SessionDay, records
from pipeline.domain.orders import Side
from pipeline.domain.reference import CrossingRule
from pipeline.domain.units import PX_ONE
from tests.unit.stages.netting.netting_bench import T0, NettingBench, S, order, quote, status

BASIS_POINT = 1_000
"""In 1e-3 basis points, the unit of `max_spread` and `max_move`."""


def demo_rules() -> tuple[CrossingRule, ...]:
    day = SessionDay(20260105, T0 - S, T0 + 20_000 * S)
    made = records(day, [Listed("AMZN", 100 * PX_ONE, 1_000_000)])
    return tuple(replace(each, effective_ns=0) for each in made if isinstance(each, CrossingRule))


def test_the_demos_limits_are_thirty_and_fifty_basis_points() -> None:
    assert {(rule.max_spread, rule.max_move) for rule in demo_rules()} == {(30 * BASIS_POINT, 50 * BASIS_POINT)}


@pytest.mark.parametrize(("spread_bps", "reasons"), [(29, []), (31, ["TOO_WIDE"])])
def test_a_quote_wider_than_thirty_basis_points_prices_no_cross_in_the_demo(
    spread_bps: int, reasons: list[str]
) -> None:
    bench = NettingBench(rules=demo_rules(), market=False)
    half = 100 * PX_ONE * spread_bps // 20_000
    bench.feed(status(), order("b", Side.BUY), order("s", Side.SELL))
    for second in range(6):
        bench.feed(quote(T0 + second * S, 100 * PX_ONE - half, 100 * PX_ONE + half))
        bench.tick(T0 + second * S)
    assert (bench.reasons(), [each.qty for each in bench.crosses()]) == (reasons, [] if reasons else [100])
