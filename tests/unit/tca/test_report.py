"""The report: the reference rows of docs/design-rules.md, groups, fairness of crosses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.algos.shortfall import shortfall
from pipeline.domain.analytics import TCALevel, TCARow
from pipeline.domain.market import NBBO, QuoteKind
from pipeline.domain.orders import AccountClass, Side, Strategy
from pipeline.domain.parents import Cross, CrossKind, CrossLeg
from pipeline.domain.record import Record
from pipeline.domain.reference import PriceRule
from pipeline.tca.report import bps, fairness, grouped, latest, report

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


def test_the_text_has_a_table_for_each_level() -> None:
    rows: list[Record] = [
        *REFERENCE_ROWS,
        row(9, 10, 10**9, 10**9, level=TCALevel.PARENT, subject_id="P", arrival_px=10**9, release_px=11 * 10**8),
    ]
    text = "\n".join(report(rows))
    assert "by strategy" in text and "by venue" in text and "by instrument" in text and "client orders" not in text
    assert "+1000.00" in text, "release 10 % above arrival: the price of our own window"
    assert "-0.07" in text


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
    found = fairness([cross(10, 1_000), quote(5, 1_000), quote(15, 1_010), quote(40, 900)], horizon_ns=10)
    gained = {markout.account: markout.gained for markout in found}
    assert gained == {"A": 300, "B": -100, "C": -200}
    assert sum(gained.values()) == 0
    assert {m.account: m.mbps for m in found}["A"] == 100_000
    assert fairness([cross(10, 1_000), quote(5, 1_000)], horizon_ns=10) == [], "no quote that late: nothing is claimed"
    bust = Cross(**{f: getattr(cross(10, 1_000), f) for f in cross(1, 5).__struct_fields__} | {"kind": CrossKind.BUST,
                 "cross_id": "Y", "ref_cross_id": "X10"})  # fmt: skip
    assert fairness([cross(10, 1_000), bust, quote(5, 1_000), quote(40, 900)], horizon_ns=10) == []


def test_the_parts_of_a_shortfall_add_up_to_paper_less_real() -> None:
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
