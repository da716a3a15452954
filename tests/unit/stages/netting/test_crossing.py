"""Netting: who may cross with whom, at which price, and with which evidence."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.market import PrintKind, SessionState, TradePrint
from pipeline.domain.orders import (
    AccountClass,
    Capacity,
    SettlementType,
    Side,
)
from pipeline.domain.parents import ParentKind
from pipeline.domain.reference import PriceRule, ReferenceKind
from tests.unit.stages.netting.netting_bench import (
    END,
    MID,
    PX,
    SYM,
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

BUY, SELL, SHORT = Side.BUY, Side.SELL, Side.SELL_SHORT


# -------------------------------------------------------------------- who may cross with whom

OWN, FUND, PENSION, NOBODY = (
    AccountClass.OWN,
    AccountClass.REGISTERED_FUND,
    AccountClass.PENSION,
    AccountClass.UNKNOWN,
)


@pytest.mark.parametrize(
    ("buyer", "rules", "reason"),
    [
        ({"owner": "owner-s"}, [rule()], "SAME_OWNER"),
        ({"control_group": "group-s"}, [rule()], "SAME_CONTROL_GROUP"),
        ({"owner": ""}, [rule()], "UNKNOWN_OWNER"),
        ({"account_class": NOBODY}, [rule(one_class=NOBODY)], "UNKNOWN_CLASS"),
        ({"account_class": OWN}, [rule(one_class=OWN)], "OWN_ACCOUNT"),
        ({"r_crossing_consent": False}, [rule()], "NO_CONSENT"),
        ({"r_capacity": Capacity.PRINCIPAL}, [rule(), rule("p", capacity=Capacity.PRINCIPAL)], "OTHER_CAPACITY"),
        ({"currency": "EUR"}, [rule()], "OTHER_CURRENCY"),
        ({"r_settlement_type": SettlementType.CASH}, [rule()], "OTHER_SETTLEMENT"),
        ({"r_min_qty": 5}, [rule()], "MINIMUM_QUANTITY"),
        ({"r_directed_broker": "XYZ"}, [rule()], "DIRECTED_BROKER"),
        ({}, [], "NO_RULE"),
        ({}, [rule(effective_ns=END)], "NO_RULE"),
        ({}, [rule(), rule(kind=ReferenceKind.REMOVE)], "NO_RULE"),
        ({"account_class": PENSION}, [rule()], "NO_RULE"),
        ({}, [rule(allowed=False)], "FORBIDDEN_BY_RULE"),
        ({}, [rule("a"), rule("b", allowed=False)], "FORBIDDEN_BY_RULE"),
        ({}, [rule(price_rule=PriceRule.LAST_SALE)], "PRICE_RULE_LAST_SALE"),
        ({}, [rule(price_rule=PriceRule.CLOSE)], "PRICE_RULE_CLOSE"),
        ({}, [rule(price_rule=PriceRule.BENCHMARK)], "PRICE_RULE_BENCHMARK"),
        ({}, [rule(price_rule=PriceRule.UNKNOWN)], "NO_RULE"),  # set aside at the door
        ({}, [rule(price_improvement_share=400_000)], "UNEVEN_SHARE"),
    ],
)
def test_a_cross_no_rule_allows_is_refused_by_name(buyer: dict[str, Any], rules: list[Any], reason: str) -> None:
    bench = NettingBench(rules=tuple(rules))
    bench.feed(order("b", BUY, **buyer), order("b2", BUY, **buyer), order("s", SELL))
    made = bench.to(T0 + 5 * S)
    assert not bench.crosses()
    assert bench.reasons(made) == [reason], "once for a close, not for each pair"
    assert sum(p.order_qty for p in bench.parents(ParentKind.NEW, made)) == 300, "all goes to market"


def test_a_rule_is_symmetric_and_may_do_without_consent() -> None:
    bench = NettingBench(rules=(rule(one_class=FUND, consent_required=False, trade_report_owed=False),))
    bench.feed(order("b", BUY, r_crossing_consent=False), order("s", SELL, account_class=FUND))
    bench.to(T0 + 5 * S)
    (cross,) = bench.crosses()
    assert (cross.qty, cross.trade_report_owed) == (100, False)


def test_an_owner_on_both_sides_meets_others_but_never_itself() -> None:
    bench = NettingBench()
    bench.feed(
        order("b1", BUY, 100, owner="X"),
        order("b2", BUY, 50, owner="Y"),
        order("s1", SELL, 100, owner="X"),
        order("s2", SELL, 40, owner="Z"),
    )
    bench.to(T0 + 5 * S)
    owner = {"b1": "X", "b2": "Y", "s1": "X", "s2": "Z"}
    for cross in bench.crosses():
        assert not {owner[leg.order_id] for leg in cross.buys} & {owner[leg.order_id] for leg in cross.sells}
    assert sum(c.qty for c in bench.crosses()) == 90, "40 of X against Z and 50 of Y against X: the most there is"


def test_owners_on_both_sides_meet_in_few_crosses_and_no_refusal_is_told_when_all_crossed() -> None:
    bench = NettingBench()
    for n in range(6):
        bench.feed(order(f"b{n}", BUY, 60, owner=f"X{n}"), order(f"s{n}", SELL, 60, owner=f"X{n}"))
    made = bench.to(T0 + 5 * S)
    assert set(crossed(bench.crosses()).values()) == {60} and not bench.reasons(made)
    assert sum(len(c.buys) + len(c.sells) for c in bench.crosses()) <= 17 + 6, "a forest of 12 parties"


def test_parties_beyond_the_bound_take_no_part() -> None:
    bench = NettingBench(config=config(max_parties=2))
    for n in range(3):
        bench.feed(order(f"b{n}", BUY, 60 + n, owner=f"X{n}"), order(f"s{n}", SELL, 60 + n, owner=f"X{n}"))
    made = bench.to(T0 + 5 * S)
    assert set(crossed(bench.crosses())) == {"b1", "b2", "s1", "s2"}, "the largest meet"
    assert "TOO_MANY_PARTIES" in bench.reasons(made)


@pytest.mark.parametrize(
    ("buy_limit", "sell_limit", "qty"),
    [
        (MID, None, 100),
        (MID - 1, None, 0),
        (None, MID, 100),
        (None, MID + 1, 0),
        (MID + PX, MID - PX, 100),
    ],
)
def test_a_limit_is_kept(buy_limit: int | None, sell_limit: int | None, qty: int) -> None:
    bench = NettingBench()
    bench.feed(order("b", BUY, limit_px=buy_limit), order("s", SELL, limit_px=sell_limit))
    made = bench.to(T0 + 5 * S)
    assert sum(c.qty for c in bench.crosses()) == qty
    assert not bench.reasons(made), "no agreement on price is no refusal"


NOW = T0 + 5 * S


@pytest.mark.parametrize(
    ("market", "reason"),
    [
        ([status()], "MISSING"),
        ([status(), quote(NOW, bid=None)], "MISSING"),
        ([status(), quote(NOW, offer=None)], "MISSING"),
        ([quote(NOW)], "HALTED"),  # nothing says that any venue is open
        ([status(SessionState.HALTED), quote(NOW)], "HALTED"),
        ([status(), status(SessionState.HALTED, venue="XBOS"), quote(NOW)], "HALTED"),
        ([status(), status(SessionState.AUCTION, venue="XBOS"), quote(NOW)], "HALTED"),
        ([status(SessionState.CLOSED), quote(NOW)], "HALTED"),
        ([status(), status(SessionState.HALTED, NOW), quote(NOW)], "HALTED"),
        ([status(), quote(NOW - 60 * S - 1), status(event_ns=NOW)], "STALE"),
        ([status(), quote(NOW, bid=101 * PX, offer=100 * PX)], "CROSSED"),
        ([status(), quote(NOW, bid=100 * PX, offer=100 * PX)], "LOCKED"),
        ([status(), quote(NOW, bid=100 * PX, offer=112 * PX)], "TOO_WIDE"),
        ([status(), quote(NOW, bid_qty=9)], "TOO_SMALL"),
        ([status(), quote(NOW, offer_qty=9)], "TOO_SMALL"),
        ([status(), quote(T0), quote(NOW - S, 106 * PX, 106 * PX + 2)], "TOO_FAR_FROM_MEDIAN"),
        ([status(lower_band_px=MID + 1), quote(NOW)], "OUTSIDE_BANDS"),
        ([status(upper_band_px=MID - 1), quote(NOW)], "OUTSIDE_BANDS"),
        ([status(), quote(NOW), instrument(session_open_ns=NOW + 1)], "OUTSIDE_SESSION"),
        ([status(), quote(NOW), instrument(kind=ReferenceKind.REMOVE)], "OUTSIDE_SESSION"),
        # and what does not disturb
        ([status(), quote(NOW)], None),
        ([status(), status(SessionState.DOWN, venue="XBOS"), quote(NOW)], None),
        ([status(lower_band_px=MID, upper_band_px=MID), quote(NOW)], None),
        ([status(), quote(NOW), quote(NOW + S, bid=100 * PX, offer=100 * PX)], None),  # locked only later
        ([status(), quote(NOW), quote(NOW + 1, bid=100 * PX, offer=100 * PX)], None),
        ([status(), quote(T0), quote(NOW, 106 * PX, 106 * PX + 2), quote(NOW - S)], "TOO_FAR_FROM_MEDIAN"),  # late
    ],
)
def test_no_cross_without_a_sound_price(market: list[Any], reason: str | None) -> None:
    bench = NettingBench(rules=(rule(min_quote_qty=10),), market=False)
    bench.feed(order("b", BUY), order("s", SELL), *market)
    made = bench.tick(NOW)
    made += bench.tick(NOW + 2 * S) if not made else []  # without market data: the bounded wait
    assert bench.reasons(made) == ([] if reason is None else [reason])
    assert [c.qty for c in bench.crosses()] == ([100] if reason is None else [])
    assert len(bench.parents(ParentKind.NEW, made)) == (0 if reason is None else 2)


def test_the_evidence_has_the_last_sale_and_a_cancelled_print_is_none() -> None:
    def sale(print_id: str, kind: PrintKind, px: int, **more: Any) -> TradePrint:
        return TradePrint(
            kind=kind,
            instrument=SYM,
            venue="XNAS",
            print_id=print_id,
            event_ns=T0 + int(print_id) * S,
            received_ns=T0,
            px=px,
            qty=1,
            **more,
        )

    for after, expected in [
        ([], (MID + 2, T0 + 2 * S)),
        ([sale("3", PrintKind.TRADE, 1, eligible_last=False)], (MID + 2, T0 + 2 * S)),
        ([sale("3", PrintKind.CORRECT, MID + 5, ref_print_id="2")], (MID + 5, T0 + 2 * S)),
        ([sale("3", PrintKind.CANCEL, 0, ref_print_id="2")], (None, None)),
        ([sale("3", PrintKind.CANCEL, 0, ref_print_id="1")], (MID + 2, T0 + 2 * S)),
    ]:
        bench = NettingBench()
        bench.feed(sale("1", PrintKind.TRADE, MID + 1), sale("2", PrintKind.TRADE, MID + 2), *after)
        bench.feed(order("b", BUY), order("s", SELL))
        bench.to(T0 + 5 * S)
        (cross,) = bench.crosses()
        assert (cross.last_sale_px, cross.last_sale_ns) == expected


def test_a_cross_of_many_legs_is_written_as_several() -> None:
    bench = NettingBench(config=config(max_legs=10), swap_every=0)
    bench.feed(*(order(f"b{n}", BUY, 7) for n in range(30)), *(order(f"s{n}", SELL, 21) for n in range(10)))
    bench.to(T0 + 5 * S)
    crosses = bench.crosses()
    assert len(crosses) > 1
    for cross in crosses:
        assert len(cross.buys) + len(cross.sells) <= 10
        assert sum(leg.qty for leg in cross.buys) == cross.qty == sum(leg.qty for leg in cross.sells)
    assert crossed(crosses) == {f"b{n}": 7 for n in range(30)} | {f"s{n}": 21 for n in range(10)}
