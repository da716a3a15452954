"""The report: the reference rows of docs/design-rules.md, groups, fairness of crosses."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pipeline.algos.shortfall import shortfall
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.market import NBBO, QuoteKind
from pipeline.domain.orders import AccountClass, Side, Strategy
from pipeline.domain.parents import Cross, CrossKind, CrossLeg
from pipeline.domain.reference import PriceRule
from pipeline.tca.report import Against, Group, Lost, Markout, bps, fairness, grouped, latest, report, table
from tests.unit.stages.tca.test_stage import costed_day

MILL = 1_000_000
REFERENCE = [
    # quantity, price, benchmark in 0.001; performance in bps as printed in docs/design-rules.md
    (5_000, 100_005, 100_010, "+0.5"),
    (10_000, 100_020, 100_022, "+0.2"),
    (7_500, 100_045, 100_050, "+0.5"),
    (12_500, 100_120, 100_115, "-0.5"),
    (15_000, 100_210, 100_211, "+0.1"),
]


def row(number: int, qty: int, px: int, vwap_px: int | None, **changes: object) -> TCARow:
    values: dict[str, object] = {
        "level": TCALevel.CHILD, "subject_id": f"C{number}", "revision": 1, "parent_id": "P", "instrument": "XYZ",
        "side": Side.BUY, "strategy": Strategy.VWAP, "venue": "V", "trade_date": 20260105, "order_qty": qty,
        "executed_qty": qty, "avg_px": px, "fees": 0, "arrival_px": None, "release_px": None, "start_ns": 1,
        "end_ns": 2,
        "interval_vwap_px": vwap_px, "interval_vwap_qty": 0, "arrival_cost_mbps": None, "vwap_cost_mbps": None,
        "aggregation_delay_cost_mbps": None, "fee_cost_mbps": None, "participation": None, "at_ns": 3,
    }  # fmt: skip
    return TCARow(**(values | changes))  # type: ignore[arg-type]


REFERENCE_ROWS = [row(n, qty, px * MILL, bench * MILL) for n, (qty, px, bench, _) in enumerate(REFERENCE)]


def test_the_reference_table_row_by_row_and_its_true_total() -> None:
    for one, (_, _, _, printed) in zip(REFERENCE_ROWS, REFERENCE, strict=True):
        (group,) = grouped([one], lambda each: each.subject_id)
        perf = group.vwap.perf_mbps
        assert perf is not None and f"{round(perf, -2) / 1000:+.1f}" == printed
    (total,) = grouped(REFERENCE_ROWS, lambda _: "all")
    assert total.executed_qty == 50_000
    assert total.traded == 100_104_250_000 * 50_000, "100.10425 on average"
    assert total.vwap.paper == 100_104_950_000 * 50_000, "against 100.10495"
    assert total.vwap.perf_mbps == 70, "+0.07 bps; the table circulates with +0.1"
    assert bps(total.vwap.cost_mbps) == "-0.07"


def test_sides_are_applied_once() -> None:
    sale = [row(0, 100, 99_000_000_000, 100_000_000_000, side=Side.SELL)]
    (group,) = grouped(sale, lambda _: "")
    assert group.vwap.cost_mbps == 100_000, "got less than the benchmark: 100 bps of hurt"
    both = [*sale, row(1, 100, 99_000_000_000, 100_000_000_000)]
    assert grouped(both, lambda _: "")[0].vwap.cost_mbps == 0


def test_money_weighted_is_not_quantity_weighted() -> None:
    rows = [row(0, 100, 101 * 10**9, 100 * 10**9), row(1, 100, 1_000 * 10**9, 1_000 * 10**9)]
    (group,) = grouped(rows, lambda _: "")
    assert group.vwap.qty_weighted_cost_mbps == 50_000
    assert group.vwap.cost_mbps == round(100_000 / 11)


def test_the_latest_revision_counts_and_rows_without_execution_or_benchmark_change_nothing() -> None:
    old, new = row(0, 100, 10**9, 10**9), row(0, 50, 10**9, 10**9, revision=2)
    rows = latest([new, old, row(1, 0, 10**9, 10**9, avg_px=None), row(2, 10, 10**9, None)])
    (group,) = grouped(rows, lambda _: "")
    assert (group.rows, group.executed_qty, group.vwap.qty) == (3, 60, 50)


def test_the_text_of_a_day_with_a_bust_and_a_correction_is_known_to_the_cent() -> None:
    assert report(costed_day()) == [
        "Cost in basis points of the benchmark, money-weighted; + hurt, - helped. Parents' lines are from prints.",
        "Shortfall: of all that was asked, what was not done at the price it left behind; the others of what was done.",
        "",
        "by strategy        rows    asked     done           money  shortfall  arrival     VWAP    delay     fees",
        "  VWAP                1      100       60        6,140.00    +540.60  +233.33    +8.15  +100.00    +0.98",
        "",
        "by instrument      rows    asked     done           money  shortfall  arrival     VWAP    delay     fees",
        "  XYZ                 1      100       60        6,140.00    +540.60  +233.33    +8.15  +100.00    +0.98",
        "",
        "by venue           rows    asked     done           money  shortfall  arrival     VWAP    delay     fees",
        "  XV                  1       60       40        4,120.00          -  +198.02   +98.04        -    +0.97",
        "  YV                  1       60       20        2,020.00          -    +0.00        -        -    +0.99",
        "",
        "client orders      rows    asked     done           money  shortfall  arrival     VWAP    delay     fees",
        "  TWAP                1      100       60        6,139.80    +540.40  +233.00    +7.82  +100.00    +0.98",
    ]


def test_a_group_is_the_sum_of_its_rows_and_a_table_is_left_out_where_there_are_none() -> None:
    children = [each for each in costed_day() if each.level is TCALevel.CHILD]
    (group,) = grouped(children, lambda _: "both")
    px = 10**9
    assert group == Group(
        "both", rows=2, order_qty=120, executed_qty=60, traded=6_140 * px, fees=60 * px // 100,
        arrival=Against(60, 6_060 * px, 80 * px, 40 * 198_020),
        vwap=Against(40, 4_080 * px, 40 * px, 40 * 98_039),
    )  # fmt: skip
    (order,) = grouped([each for each in costed_day() if each.level is TCALevel.ORDER], lambda _: "")
    assert order.delay == Against(60, 6_000 * px, 60 * px, 60 * 100_000)
    assert order.lost == Lost(10_000 * px, 60 * px, 79_800 * px // 1_000, 400 * px, 60 * px // 100)
    assert order.lost.cost == 540_400 * px // 1_000
    assert [line.split("  ")[0] for line in report(children) if line.endswith("fees")] == ["by venue"]
    assert report(()) == report(())[:2]
    assert Group("").fee_mbps is None and Lost().cost_mbps is None
    assert (Lost(3, 2).cost_mbps, Lost(3, -2).cost_mbps) == (6_666_667, -6_666_667), "to the nearest, not down"
    assert (Against(1, 3, 2).cost_mbps, Against(1, 3, 2).perf_mbps) == (6_666_667, -6_666_667)
    assert (Against(3, 1, 1, 2).qty_weighted_cost_mbps, Group("", traded=3, fees=2).fee_mbps) == (1, 6_666_667)
    assert table("of nothing", [Group("")]) == [
        "of nothing         rows    asked     done           money  shortfall  arrival     VWAP    delay     fees",
        "  -                   0        0        0            0.00          -        -        -        -        -",
    ]


@pytest.mark.parametrize(
    ("mbps", "text"),
    [(None, "-"), (0, "+0.00"), (70, "+0.07"), (-5, "+0.00"), (-1_234, "-1.23"), (1_235_000, "+1235.00")],
)
def test_basis_points_are_rendered_to_two_decimals(mbps: int | None, text: str) -> None:
    assert bps(mbps) == text


def cross(at_ns: int, px: int) -> Cross:
    def leg(account: str, qty: int) -> CrossLeg:
        return CrossLeg(order_id="o", source="s", account=account, account_class=AccountClass.CLIENT, qty=qty)

    return Cross(
        kind=CrossKind.TRADE, cross_id=f"X{at_ns}", instrument="XYZ", trade_date=1, px=px, qty=30,
        buys=(leg("A", 30),), sells=(leg("B", 10), leg("C", 20)), price_rule=PriceRule.MIDPOINT, rule_ids=("r",),
        quote_kind=QuoteKind.NBBO, bid_px=px - 1, offer_px=px + 1, quote_no=1, quote_ns=at_ns, at_ns=at_ns,
    )  # fmt: skip


def quote(at_ns: int, midpoint_px: int) -> NBBO:
    return NBBO(
        kind=QuoteKind.NBBO, instrument="XYZ", feed="f", event_ns=at_ns, received_ns=at_ns, quote_no=1,
        bid_px=midpoint_px - 2, offer_px=midpoint_px + 2,
    )  # fmt: skip


def test_markouts_on_crosses_add_up_to_zero_and_name_who_gained() -> None:
    day = [cross(10, 1_000), quote(5, 1_000), quote(15, 1_010), quote(40, 900)]
    assert fairness(day, horizon_ns=10) == [
        Markout("A", 1, 30, 30_000, 300), Markout("B", 1, 10, 10_000, -100), Markout("C", 1, 20, 20_000, -200)
    ]  # fmt: skip
    assert [one.mbps for one in fairness(day, horizon_ns=10)] == [100_000, -100_000, -100_000]
    assert [one.gained for one in fairness(day, horizon_ns=5)] == [300, -100, -200], "the quote of that very moment"
    assert [one.gained for one in fairness(day, horizon_ns=4)] == [0, 0, 0], "the one before it"
    assert [one.gained for one in fairness(day, horizon_ns=30)] == [-3_000, 1_000, 2_000], "the last one, at its time"
    assert fairness(day, horizon_ns=31) == [], "no quote that late: nothing is claimed"
    assert fairness([cross(10, 1_000), quote(40, 900)], horizon_ns=10) == [], "nor that early"
    twice = fairness([*day, cross(11, 1_005)], horizon_ns=10)
    assert twice[0] == Markout("A", 2, 60, 60_150, 450)
    bust = msgspec.structs.replace(cross(10, 1_000), kind=CrossKind.BUST, cross_id="Y", ref_cross_id="X10")
    assert fairness([*day, bust], horizon_ns=10) == []


def test_the_parts_of_a_shortfall_add_up_to_paper_less_real() -> None:
    assert shortfall(-1, 10, 0, 0, 0, 100, 90) == (0, 0, 100, 0), "not sold before it fell; nothing delayed it"
    assert shortfall(1, 10, 10, 1_010, -3, 100, 90) == (0, 10, 0, -3)
    parts = shortfall(1, 1_000, 800, 800 * 102, 80, arrival_px=100, last_px=105, release_px=101)
    assert parts == (800, 800, 1_000, 80)
    paper, real = 1_000 * (105 - 100), 800 * 105 - 800 * 102 - 80
    assert parts.total == paper - real
    with pytest.raises(ValueError, match="executed of"):
        shortfall(1, 10, 11, 0, 0, 1, 1)


def test_published_shortfalls(recorded_data: Path) -> None:
    """Worked examples of Perold's definition: each part in per cent of the paper portfolio."""
    cases = json.loads((recorded_data / "papers" / "implementation_shortfall.json").read_text())["cases"]
    for case in cases:
        qty, decision_px = case["order_qty"], px_of(case["decision_px"])
        money = sum(q * px_of(px) for q, px in case["fills"])
        parts = shortfall(
            1 if case["side"] == "buy" else -1, qty, sum(q for q, _ in case["fills"]), money,
            case["commission"] * 10**9, decision_px, px_of(case["cancel_px"]), px_of(case["benchmark_px_at_release"]),
        )  # fmt: skip
        found = {"explicit": parts.explicit, "realized": parts.trading, "delay": parts.delay,
                 "missed": parts.opportunity, "total": parts.total}  # fmt: skip
        for name, expected in case["expected_pct"].items():
            assert 100 * found[name] / (qty * decision_px) == pytest.approx(expected, abs=1e-9), (case["name"], name)
    assert len(cases) >= 2


def px_of(px: float) -> int:
    return round(px * 10**9)
