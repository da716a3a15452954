"""Netting: windows, buckets, crosses, parents with their statements, cancels by recall, crossing while working."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from pipeline.domain.audit import DeadLetter
from pipeline.domain.controls import Alert, AlertKind, ControlKind, ControlScope, Resumed, TickKind
from pipeline.domain.market import PrintKind, QuoteKind, SessionState, TradePrint
from pipeline.domain.orders import (
    AccountClass,
    Capacity,
    Completion,
    OrderKind,
    SettlementType,
    Side,
    Strategy,
    Urgency,
)
from pipeline.domain.parents import Cross, Lineage, LineageKind, ParentKind, ParentOrder, SliceKind
from pipeline.domain.reference import PriceRule, ReferenceKind
from pipeline.domain.rejections import RejectReason
from pipeline.stages.netting_state import NettingConfig
from tests.unit.stages.netting_bench import (
    DAY,
    END,
    MID,
    PX,
    SYM,
    T0,
    NettingBench,
    S,
    aside,
    cancel,
    closed,
    control,
    crossed,
    instrument,
    order,
    quote,
    rule,
    slice_of,
    status,
)

BUY, SELL, SHORT = Side.BUY, Side.SELL, Side.SELL_SHORT


# -------------------------------------------------------------------- the worked example


def test_500_to_buy_and_200_to_sell_cross_200_and_leave_a_parent_of_300() -> None:
    bench = NettingBench()
    bench.feed(order("B", BUY, 500, r_source="alpha"), order("A", SELL, 200, r_source="beta"))
    assert not bench.parents()
    made = bench.to(T0 + 5 * S)

    assert [type(record) for record in made] == [Cross, Lineage, ParentOrder]
    cross, statement, parent = made
    assert isinstance(cross, Cross) and isinstance(statement, Lineage) and isinstance(parent, ParentOrder)
    assert (cross.qty, cross.px, cross.price_rule, cross.rule_ids) == (200, MID, PriceRule.MIDPOINT, ("client-client",))
    assert [(leg.order_id, leg.qty, leg.parent_id, leg.source) for leg in cross.buys] == [("B", 200, None, "alpha")]
    assert [(leg.order_id, leg.qty, leg.parent_id, leg.source) for leg in cross.sells] == [("A", 200, None, "beta")]
    assert (cross.quote_kind, cross.bid_px, cross.offer_px) == (QuoteKind.BBO, 100 * PX, 100 * PX + PX // 10)
    assert (cross.quote_ns, cross.trade_date, cross.trade_report_owed) == (T0 + 5 * S, DAY, True)
    assert [(m.order_id, m.contributed_qty) for m in statement.members] == [("B", 300)]
    assert (parent.kind, parent.side, parent.order_qty) == (ParentKind.NEW, BUY, 300)
    assert (parent.gross_qty, parent.crossed_qty, parent.member_count, parent.epoch_no) == (500, 200, 1, 1)
    assert (parent.start_ns, parent.end_ns, parent.first_received_ns) == (T0 + 5 * S, END, T0)
    assert bench.state.orders.keys() == ["B"]


def test_a_thousand_orders_of_10_are_one_parent_of_10000_with_its_statement_in_chunks() -> None:
    bench = NettingBench(swap_every=200)
    for n in range(1_000):
        bench.feed(order(f"O{n}", BUY, 10))
    made = bench.to(T0 + 5 * S)
    (parent,) = bench.parents()
    chunks = bench.lineage(LineageKind.MEMBERS)
    assert (parent.order_qty, parent.gross_qty, parent.member_count) == (10_000, 10_000, 1_000)
    assert made[-1] is parent, "the statement is written before the parent"
    assert [(c.chunk_no, c.chunk_count, len(c.members)) for c in chunks] == [
        (1, 4, 256),
        (2, 4, 256),
        (3, 4, 256),
        (4, 4, 232),
    ]
    members = [m for c in chunks for m in c.members]
    assert [m.order_id for m in members] == [f"O{n}" for n in range(1_000)]
    text = "\n".join(f"{m.order_id},{m.contributed_qty}" for m in members)
    assert parent.members_hash == hashlib.sha256(text.encode()).hexdigest()


def test_each_side_shares_what_crossed_in_proportion() -> None:
    bench = NettingBench()
    bench.feed(order("B1", BUY, 100), order("B2", BUY, 300), order("B3", BUY, 200), order("A", SELL, 60))
    bench.to(T0 + 5 * S)
    assert crossed(bench.crosses()) == {"B1": 10, "B2": 30, "B3": 20, "A": 60}


# -------------------------------------------------------------------- buckets


@pytest.mark.parametrize(
    ("difference", "why"),
    [
        ({"r_side": SHORT}, "the short mark"),
        ({"r_capacity": Capacity.PRINCIPAL}, "capacity"),
        ({"currency": "EUR"}, "currency"),
        ({"r_settlement_type": SettlementType.CASH}, "settlement"),
        ({"r_held": True}, "held"),
        ({"r_strategy": Strategy.TWAP}, "strategy"),
        ({"r_urgency": Urgency.HIGH}, "urgency"),
        ({"r_completion": Completion.MUST}, "completion"),
        ({"r_risk_aversion": 7}, "risk aversion of the mandate"),
        ({"r_start_ns": T0, "start_ns": T0}, "benchmark window's start"),
        ({"end_ns": END - 1}, "benchmark window's end"),
        ({"limit_px": 99 * PX}, "limit"),
        ({"r_allowed_venues": ("XNAS",)}, "venues"),
        ({"r_dark_allowed": False}, "dark"),
        ({"r_min_qty": 5}, "minimum quantity"),
        ({"participation_cap": 100_000}, "participation cap"),
        ({"r_directed_broker": "XYZ"}, "directed broker"),
        ({"r_aggregation_consent": False}, "no consent to aggregate"),
        ({"account_class": AccountClass.OWN}, "own money never shares a parent with clients'"),
        ({"account_class": AccountClass.UNKNOWN}, "nor does who is not known"),
        ({"trade_date": DAY + 1}, "a parent lives one trading day"),
    ],
)
def test_orders_that_differ_in_one_term_never_share_a_parent(difference: dict[str, Any], why: str) -> None:
    bench = NettingBench(rules=())
    bench.feed(order("one", SELL), order("same", SELL), order("other", SELL, **difference))
    bench.to(T0 + 5 * S)
    together = [{m.order_id for m in c.members} for c in bench.lineage(LineageKind.MEMBERS)]
    assert sorted(together, key=len) == [{"other"}, {"one", "same"}], why


def test_venues_in_another_order_are_the_same_venues() -> None:
    bench = NettingBench()
    bench.feed(order("a", r_allowed_venues=("X", "Y")), order("b", r_allowed_venues=("Y", "X")))
    bench.to(T0 + 5 * S)
    assert [p.member_count for p in bench.parents()] == [2]


def test_no_consent_to_aggregate_is_a_parent_for_each_order() -> None:
    bench = NettingBench()
    bench.feed(order("a", r_aggregation_consent=False), order("b", r_aggregation_consent=False))
    bench.to(T0 + 5 * S)
    assert [p.member_count for p in bench.parents()] == [1, 1]


def test_received_at_other_moments_without_a_start_they_still_aggregate() -> None:
    bench = NettingBench()
    bench.feed(order("a", start_ns=T0, received_ns=T0))
    bench.tick(T0 + S)
    bench.feed(order("b", start_ns=T0 + S, received_ns=T0 + S))
    bench.to(T0 + 5 * S)
    (parent,) = bench.parents()
    assert (parent.member_count, parent.start_ns) == (2, T0 + 5 * S)


# -------------------------------------------------------------------- windows


def test_a_window_closes_when_market_data_has_come_as_far() -> None:
    bench = NettingBench()
    bench.feed(order("a"))
    assert not bench.tick(T0 + 5 * S), "the market has been seen up to T0 only"
    bench.feed(quote(T0 + 5 * S - 1))
    assert not bench.tick(T0 + 6 * S)
    bench.feed(quote(T0 + 5 * S))
    assert bench.parents(records=bench.tick(T0 + 6 * S + 1))


@pytest.mark.parametrize("seen", ["print", "status"])
def test_prints_and_status_move_the_watermark_too(seen: str) -> None:
    bench = NettingBench()
    bench.feed(order("a"))
    at = T0 + 5 * S
    bench.feed(
        status(event_ns=at)
        if seen == "status"
        else TradePrint(
            kind=PrintKind.TRADE,
            instrument=SYM,
            venue="XNAS",
            print_id="1",
            event_ns=at,
            received_ns=at,
            px=MID,
            qty=1,
        )
    )
    assert bench.parents(records=bench.tick(at))


def test_the_wait_for_market_data_is_bounded() -> None:
    bench = NettingBench()
    bench.feed(order("a"))
    assert not bench.tick(T0 + 7 * S - 1)
    assert bench.parents(records=bench.tick(T0 + 7 * S))


def test_an_order_after_the_close_opens_the_next_window() -> None:
    bench = NettingBench()
    bench.feed(order("a"))
    bench.tick(T0 + 5 * S)
    bench.feed(order("b"))
    bench.to(T0 + 6 * S)
    assert [p.member_count for p in bench.parents()] == [1]
    bench.to(T0 + 10 * S)
    assert [p.member_count for p in bench.parents()] == [1, 1], "later orders never join a working parent"


def test_size_closes_the_window_of_the_instrument_with_both_its_sides() -> None:
    bench = NettingBench(config=NettingConfig(max_members=3))
    bench.feed(order("s", SELL, 30), order("a", BUY, 10), order("b", BUY, 10))
    assert not bench.parents()
    bench.feed(order("c", BUY, 10))
    assert crossed(bench.crosses()) == {"a": 10, "b": 10, "c": 10, "s": 30}
    assert bench.live_rows() == 0


def test_a_held_order_is_never_parked() -> None:
    bench = NettingBench()
    made = bench.feed(order("a", r_held=True))
    assert [p.order_qty for p in bench.parents(ParentKind.NEW, made)] == [100]
    made = bench.feed(order("b", r_held=True))
    first, second = bench.parents(ParentKind.NEW)
    assert first.bucket_id != second.bucket_id


def test_a_window_closes_no_earlier_than_its_start() -> None:
    bench = NettingBench()
    bench.feed(order("a", r_start_ns=T0 + 60 * S, start_ns=T0 + 60 * S), order("s", SELL))
    bench.to(T0 + 5 * S)
    assert [p.side for p in bench.parents()] == [SELL] and not bench.crosses()
    bench.feed(control(ControlKind.RELEASE_WINDOW))
    assert len(bench.parents()) == 1, "the desk does not release what may not start"
    made = bench.to(T0 + 60 * S)
    assert [(p.side, p.start_ns) for p in bench.parents(ParentKind.NEW, made)] == [(BUY, T0 + 60 * S)]


def test_an_order_with_little_time_waits_a_tenth_of_it() -> None:
    bench = NettingBench()
    bench.feed(order("a", end_ns=T0 + 10 * S))
    assert bench.parents(records=bench.to(T0 + S))


def test_what_waits_past_its_end_expires() -> None:
    bench = NettingBench()
    bench.feed(control(ControlKind.PAUSE), order("a", end_ns=T0 + 10 * S, qty=70), order("b"))
    made = bench.to(T0 + 10 * S)
    (left,) = bench.lineage(LineageKind.LEFT, made)
    assert (left.order_id, left.left_qty, left.expired, left.request_cl_ord_id) == ("a", 70, True, None)
    assert bench.state.orders.keys() == ["b"]


def test_the_day_end_expires_all_that_waits() -> None:
    bench = NettingBench()
    bench.feed(order("a", BUY, 5), order("s", SELL, 6))
    made = bench.tick(T0 + 9 * S, kind=TickKind.DAY_END)
    assert [(e.order_id, e.left_qty, e.expired) for e in bench.lineage(LineageKind.LEFT, made)] == [
        ("a", 5, True),
        ("s", 6, True),
    ]
    assert len(made) == 2 and bench.live_rows() == 0


def test_before_the_first_tick_nothing_closes() -> None:
    bench = NettingBench()
    bench.state = bench.stage.new_state(bench.task)
    bench.changelog.clear()
    made = bench.feed(order("a", r_held=True))
    assert [type(record) for record in made] == [Lineage]
    assert bench.parents(records=bench.tick(T0))


# -------------------------------------------------------------------- the desk


@pytest.mark.parametrize("kind", [ControlKind.KILL, ControlKind.PAUSE])
@pytest.mark.parametrize("scope", [(ControlScope.ALL, ""), (ControlScope.INSTRUMENT, SYM)])
def test_killed_or_paused_no_cross_and_no_parent_until_resumed(
    kind: ControlKind, scope: tuple[ControlScope, str]
) -> None:
    bench = NettingBench()
    bench.feed(control(kind, *scope), order("a", BUY), order("s", SELL, 40), order("h", r_held=True))
    bench.feed(control(ControlKind.RELEASE_WINDOW))
    bench.to(T0 + 30 * S)
    assert not bench.parents() and not bench.crosses()
    assert bench.lineage(LineageKind.LEFT, bench.feed(cancel("h"))), "cancels always pass"
    bench.feed(control(ControlKind.RESUME, *scope))
    bench.to(T0 + 31 * S)
    assert [p.order_qty for p in bench.parents()] == [60] and [c.qty for c in bench.crosses()] == [40]


def test_a_stopped_source_stays_behind_and_delays_nobody() -> None:
    bench = NettingBench()
    bench.feed(order("a", r_source="alpha"), order("b", r_source="beta"))
    bench.feed(control(ControlKind.KILL, ControlScope.SOURCE, "alpha"))
    bench.to(T0 + 5 * S)
    assert [m.order_id for c in bench.lineage(LineageKind.MEMBERS) for m in c.members] == ["b"]
    bench.feed(order("c", r_source="beta"))
    bench.feed(control(ControlKind.RESUME, ControlScope.SOURCE, "alpha"))
    bench.to(T0 + 6 * S)
    assert [[m.order_id for m in c.members] for c in bench.lineage(LineageKind.MEMBERS)] == [["b"], ["a"]]


def test_the_desk_releases_a_window() -> None:
    bench = NettingBench()
    bench.feed(order("a", BUY, 50), order("s", SELL, 50))
    bench.feed(control(ControlKind.RELEASE_WINDOW, ControlScope.INSTRUMENT, "OTHER"))
    assert not bench.crosses()
    bench.feed(control(ControlKind.RELEASE_WINDOW, ControlScope.INSTRUMENT, SYM))
    assert [c.qty for c in bench.crosses()] == [50]


def test_after_an_outage_nothing_crosses_until_the_desk_releases_it() -> None:
    bench = NettingBench()
    bench.feed(order("a", BUY), order("s", SELL))
    made = bench.feed(Resumed(wall_ns=T0 + 100 * S))
    assert [a.kind for a in bench.all(Alert, made)] == [AlertKind.STALE_HOLD]
    bench.feed(quote(T0 + 101 * S))
    bench.tick(T0 + 101 * S)
    assert not bench.crosses() and not bench.parents()
    bench.feed(control(ControlKind.RELEASE_STALE))
    bench.tick(T0 + 102 * S)
    assert [c.qty for c in bench.crosses()] == [100]


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
        ({}, [rule(price_rule=PriceRule.UNKNOWN)], "PRICE_RULE_UNKNOWN"),
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
        ([status(), quote(NOW), instrument(session_close_ns=NOW)], "OUTSIDE_SESSION"),
        ([status(), quote(NOW), instrument(kind=ReferenceKind.REMOVE)], "OUTSIDE_SESSION"),
        # and what does not disturb
        ([status(), quote(NOW)], None),
        ([status(), status(SessionState.DOWN, venue="XBOS"), quote(NOW)], None),
        ([status(lower_band_px=MID, upper_band_px=MID), quote(NOW)], None),
        ([status(), quote(NOW), quote(NOW + S, bid=100 * PX, offer=100 * PX)], None),  # locked only later
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
    bench = NettingBench(config=NettingConfig(max_legs=10), swap_every=0)
    bench.feed(*(order(f"b{n}", BUY, 7) for n in range(30)), *(order(f"s{n}", SELL, 21) for n in range(10)))
    bench.to(T0 + 5 * S)
    crosses = bench.crosses()
    assert len(crosses) > 1
    for cross in crosses:
        assert len(cross.buys) + len(cross.sells) <= 10
        assert sum(leg.qty for leg in cross.buys) == cross.qty == sum(leg.qty for leg in cross.sells)
    assert crossed(crosses) == {f"b{n}": 7 for n in range(30)} | {f"s{n}": 21 for n in range(10)}


# -------------------------------------------------------------------- arrival


def test_arrival_is_the_midpoint_at_receipt_weighted_by_what_is_contributed() -> None:
    bench = NettingBench()
    bench.feed(quote(T0 + S, 102 * PX, 104 * PX), quote(T0 + 2 * S, 0, 2))
    bench.feed(
        order("a", BUY, 100, received_ns=T0 + S - 1),
        order("b", BUY, 200, received_ns=T0 + S),
        order("s", SELL, 1, r_crossing_consent=False),
    )
    bench.to(T0 + 5 * S)
    buy, sell = bench.parents()
    assert buy.arrival_px == (2 * (MID * 100 + 103 * PX * 200) + 300) // 600
    assert (buy.first_received_ns, sell.arrival_px) == (T0 + S - 1, MID)


def test_arrival_is_null_when_unknown_for_a_member() -> None:
    bench = NettingBench()
    bench.feed(order("a", received_ns=T0), order("b", received_ns=T0 - 1))
    bench.to(T0 + 5 * S)
    assert [p.arrival_px for p in bench.parents()] == [None]


def test_arrival_is_known_though_the_order_waited_longer_than_quotes_are_kept() -> None:
    bench = NettingBench()
    start = T0 + 300 * S
    bench.feed(order("a", r_start_ns=start, start_ns=start))
    for second in range(0, 301, 5):
        bench.feed(quote(T0 + second * S, 90 * PX + second, 90 * PX + second + 2))
    bench.tick(start)
    assert [p.arrival_px for p in bench.parents()] == [MID]
    assert len(bench.state.market.of(SYM).blocks) < 10


# -------------------------------------------------------------------- cancels


def test_a_cancel_in_the_window_takes_the_order_out_whole() -> None:
    bench = NettingBench()
    bench.feed(order("a", qty=10), order("b", qty=20))
    made = bench.feed(cancel("a"))
    (left,) = bench.lineage(LineageKind.LEFT, made)
    assert (left.order_id, left.left_qty, left.request_cl_ord_id, left.expired, left.parent_id) == (
        "a",
        10,
        "x-a",
        False,
        None,
    )
    bench.feed(cancel("b"))
    assert bench.live_rows() == 0
    assert not bench.to(T0 + 5 * S)


def test_a_cancel_of_what_is_done_or_unknown_is_too_late() -> None:
    bench = NettingBench()
    bench.feed(order("b", BUY), order("s", SELL))
    bench.to(T0 + 5 * S)
    assert [c.qty for c in bench.crosses()] == [100] and bench.live_rows() == 0
    (refused,) = bench.lineage(LineageKind.CANCEL_REFUSED, bench.feed(cancel("b")))
    assert (refused.order_id, refused.request_cl_ord_id, refused.reason) == (
        "b",
        "x-b",
        RejectReason.TOO_LATE_TO_CANCEL,
    )


def working(*orders: Any, config: NettingConfig | None = None) -> tuple[NettingBench, list[ParentOrder]]:
    """Parents at work: each order of its own bucket by its held mark."""
    bench = NettingBench(config=config or NettingConfig())
    bench.feed(*orders)
    bench.to(T0 + 5 * S)
    return bench, bench.parents(ParentKind.NEW)


def test_a_cancel_in_a_parent_is_a_recall_and_a_new_epoch_and_cancels_are_batched() -> None:
    bench, (parent,) = working(*(order(name, qty=100) for name in "abcd"))
    made = bench.feed(cancel("a"))
    assert [(p.kind, p.epoch_no) for p in bench.parents(records=made)] == [(ParentKind.RECALL, 1)] and len(made) == 1
    assert not bench.feed(cancel("b")), "it joins the recall that is out"
    (again,) = bench.lineage(LineageKind.CANCEL_REFUSED, bench.feed(cancel("a", "x-again")))
    assert (again.reason, again.request_cl_ord_id) == (RejectReason.ALREADY_PENDING, "x-again")

    shares = {"a": (30, 70), "b": (100, 0), "c": (40, 60), "d": (100, 0)}
    assert not bench.feed(closed(parent, dict(list(shares.items())[:2]), chunk=(1, 2))), "not all chunks are here"
    made = bench.feed(closed(parent, dict(list(shares.items())[2:]), chunk=(2, 2)))
    (left,) = bench.lineage(LineageKind.LEFT, made)
    assert (left.order_id, left.left_qty, left.request_cl_ord_id, left.parent_id) == ("a", 70, "x-a", parent.parent_id)
    (late,) = bench.lineage(LineageKind.CANCEL_REFUSED, made)
    assert (late.order_id, late.reason) == ("b", RejectReason.TOO_LATE_TO_CANCEL)
    (statement,) = bench.lineage(LineageKind.MEMBERS, made)
    assert (statement.epoch_no, [(m.order_id, m.contributed_qty) for m in statement.members]) == (2, [("c", 60)])
    epoch = made[-1]
    assert isinstance(epoch, ParentOrder)
    assert (epoch.kind, epoch.epoch_no, epoch.order_qty, epoch.member_count) == (ParentKind.EPOCH, 2, 60, 1)
    assert epoch.members_hash == hashlib.sha256(b"c,60").hexdigest()
    assert bench.state.orders.keys() == ["c"]

    made = bench.feed(cancel("c"))
    assert [(p.kind, p.epoch_no) for p in bench.parents(records=made)] == [(ParentKind.RECALL, 2)]
    assert not bench.feed(closed(parent, {"c": (60, 0)})), "epoch 1 is over already"
    made = bench.feed(closed(epoch, {"c": (10, 50)}))
    assert [e.left_qty for e in bench.lineage(LineageKind.LEFT, made)] == [50]
    assert [p.kind for p in bench.parents(records=made)] == [ParentKind.DONE]
    assert bench.live_rows() == 0
    assert not bench.feed(slice_of(parent, SliceKind.FINISH), closed(epoch, {}, final=True)), "the answer to DONE"


def test_an_epoch_closed_without_a_member_stays_recalled_and_says_so() -> None:
    bench, (parent,) = working(order("a"), order("b"))
    bench.feed(cancel("a"))
    made = bench.feed(closed(parent, {"a": (0, 100)}))
    assert [(a.kind, a.reason) for a in bench.all(Alert, made)] == [(AlertKind.BREAK, "MEMBERS_UNTOLD")]
    assert len(made) == 1 and bench.state.orders.keys() == ["a", "b"]


def test_at_the_end_the_parent_is_forgotten_and_a_waiting_cancel_came_too_late() -> None:
    bench, (parent,) = working(order("a"), order("b"))
    bench.feed(slice_of(parent, SliceKind.FINISH))
    assert not bench.feed(cancel("a")), "no recall once slicing has finished"
    made = bench.feed(closed(parent, {"a": (60, 40), "b": (60, 40)}, final=True))
    assert [(e.kind, e.order_id, e.reason) for e in bench.all(Lineage, made)] == [
        (LineageKind.CANCEL_REFUSED, "a", RejectReason.TOO_LATE_TO_CANCEL)
    ]
    assert len(made) == 1 and bench.live_rows() == 0


def test_the_end_may_overtake_a_recall() -> None:
    bench, (parent,) = working(order("a"))
    bench.feed(cancel("a"))
    made = bench.feed(closed(parent, {"a": (100, 0)}, final=True), slice_of(parent, SliceKind.FINISH))
    assert [e.kind for e in bench.all(Lineage, made)] == [LineageKind.CANCEL_REFUSED] and bench.live_rows() == 0


def test_the_desk_cancels_a_parent() -> None:
    bench, (parent,) = working(order("a"), order("b"))
    bench.feed(control(ControlKind.CANCEL_PARENT, ControlScope.PARENT, "P0-99"))
    made = bench.feed(control(ControlKind.CANCEL_PARENT, ControlScope.PARENT, parent.parent_id))
    assert [p.kind for p in bench.parents(records=made)] == [ParentKind.RECALL]
    assert not bench.feed(cancel("b")), "the client's cancel takes the desk's place"
    made = bench.feed(closed(parent, {"a": (30, 70), "b": (30, 70)}))
    assert [(e.order_id, e.left_qty, e.request_cl_ord_id) for e in bench.lineage(LineageKind.LEFT, made)] == [
        ("a", 70, None),
        ("b", 70, "x-b"),
    ]
    assert [p.kind for p in bench.parents(records=made)] == [ParentKind.DONE] and bench.live_rows() == 0


def test_replace_and_what_is_not_understood_are_answered() -> None:
    bench = NettingBench()
    bench.feed(order("a"))
    (refused,) = bench.lineage(LineageKind.CANCEL_REFUSED, bench.feed(order("a", kind=OrderKind.REPLACE)))
    assert refused.reason is RejectReason.REPLACE_NOT_SUPPORTED
    assert bench.reasons(bench.feed(order("a"))) == ["REPEATED_ORDER"]
    assert bench.reasons(bench.feed(order("n", qty=0))) == ["NO_QUANTITY"]
    assert bench.reasons(bench.feed(order("u", kind=OrderKind.UNKNOWN))) == ["UNKNOWN_KIND"]
    assert bench.state.orders.keys() == ["a"]
    with pytest.raises(TypeError, match="netting does not read DeadLetter"):
        bench.feed(DeadLetter(stage="", topic="", partition=0, offset=0, append_ns=0, detail="", key=None, value=None))


# -------------------------------------------------------------------- crossing while working


def opposing(buy: int = 300, sell: int = 200, **seller: Any) -> tuple[NettingBench, ParentOrder, ParentOrder]:
    """A held buy and a held sell, each at once a parent; the market stands."""
    bench = NettingBench()
    bench.feed(order("b", BUY, buy, r_held=True), order("s", SELL, sell, r_held=True, **seller))
    buying, selling = bench.parents(ParentKind.NEW)
    return bench, buying, selling


def test_opposing_parents_cross_what_slicing_sets_aside() -> None:
    bench, buying, selling = opposing()
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + S))
    assert [(a.parent_id, a.ask_qty) for a in asks] == [(buying.parent_id, 200), (selling.parent_id, 200)]
    assert not bench.to(T0 + 30 * S), "one ask at a time"
    assert not bench.feed(aside(asks[0], 150)), "the other has not answered"
    made = bench.feed(aside(asks[1], 200))
    (cross,) = bench.all(Cross, made)
    assert (cross.qty, cross.px, cross.quote_ns) == (150, MID, T0 + 30 * S), "at the conditions of the answer"
    assert [(leg.order_id, leg.parent_id) for leg in (*cross.buys, *cross.sells)] == [
        ("b", buying.parent_id),
        ("s", selling.parent_id),
    ]
    done = bench.parents(ParentKind.CROSS_DONE, made)
    assert [(d.parent_id, d.crossed_qty, d.ask_id) for d in done] == [
        (buying.parent_id, 150, asks[0].ask_id),
        (selling.parent_id, 150, asks[1].ask_id),
    ]
    assert made[0] is cross


def test_asks_keep_their_interval() -> None:
    bench, *_ = opposing()
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + S))
    made = bench.feed(*(aside(ask, 0) for ask in asks))
    assert [(d.kind, d.crossed_qty) for d in bench.parents(records=made)] == [(ParentKind.CROSS_DONE, 0)] * 2
    assert not bench.to(T0 + 6 * S - 1)
    assert len(bench.to(T0 + 6 * S)) == 2


@pytest.mark.parametrize(
    ("between", "why"),
    [
        ([control(ControlKind.KILL)], "killed"),
        ([control(ControlKind.PAUSE, ControlScope.INSTRUMENT, SYM)], "paused"),
        ([control(ControlKind.KILL, ControlScope.PARENT, "P0-1")], "the parent is killed"),
        ([control(ControlKind.KILL, ControlScope.ACCOUNT, "acc-s")], "the account is killed"),
        ([status(SessionState.HALTED, T0 + S)], "halted"),
        ([quote(T0 + S, 100 * PX, 100 * PX, quote_no=10**9)], "locked"),
    ],
)
def test_an_ask_that_came_to_nothing_is_done_with_zero(between: list[Any], why: str) -> None:
    bench, *_ = opposing()
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + S))
    bench.feed(*between)
    made = bench.feed(*(aside(ask, 200) for ask in asks))
    assert [(d.kind, d.crossed_qty) for d in bench.parents(records=made)] == [(ParentKind.CROSS_DONE, 0)] * 2, why
    assert not bench.crosses()


def test_parents_that_may_not_meet_are_not_asked_and_the_desk_is_told_once() -> None:
    bench, *_ = opposing(owner="owner-b")
    assert bench.reasons(bench.to(T0 + S)) == ["SAME_OWNER"]
    assert not bench.to(T0 + 6 * S) and not bench.to(T0 + 11 * S)


def test_a_recall_waits_for_the_ask_and_the_leaver_does_not_cross() -> None:
    bench = NettingBench()
    bench.feed(order("b1", BUY, 100), order("b2", BUY, 100))
    bench.to(T0 + 5 * S)
    bench.feed(order("s", SELL, 200, r_held=True))
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + 6 * S))
    assert len(asks) == 2
    assert not bench.feed(cancel("b1")), "an ask is open"
    made = bench.feed(*(aside(ask, 200) for ask in asks))
    assert crossed(bench.all(Cross, made)) == {"b2": 100, "s": 100}
    kinds = [(p.kind, p.side) for p in bench.parents(records=made)]
    assert kinds == [(ParentKind.CROSS_DONE, BUY), (ParentKind.RECALL, BUY), (ParentKind.CROSS_DONE, SELL)]
    assert not bench.to(T0 + 20 * S), "no ask while a recall is open"
    buying = asks[0]
    made = bench.feed(closed(buying, {"b1": (0, 100), "b2": (0, 0)}))
    assert [(e.order_id, e.left_qty) for e in bench.lineage(LineageKind.LEFT, made)] == [("b1", 100)]
    assert [p.kind for p in bench.parents(records=made)] == [ParentKind.DONE]


def test_a_member_crosses_its_part_of_what_was_set_aside_and_no_more() -> None:
    """60 of 200 are set aside: 140 are executed or out, 70 of them b2's; it may cross the other 30."""
    bench = NettingBench()
    bench.feed(order("b1", BUY, 100, r_crossing_consent=False), order("b2", BUY, 100))
    bench.to(T0 + 5 * S)
    bench.feed(order("s", SELL, 500, r_held=True))
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + 6 * S))
    assert [(a.side, a.ask_qty) for a in asks] == [(BUY, 200), (SELL, 100)], "for b2 to cross 100, all is set aside"
    made = bench.feed(aside(asks[0], 60), aside(asks[1], 100))
    assert crossed(bench.all(Cross, made)) == {"b2": 30, "s": 30}


def test_a_finish_answers_the_ask_and_ends_the_asking() -> None:
    bench, buying, _ = opposing()
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + S))
    assert not bench.feed(aside(asks[1], 200))
    made = bench.feed(slice_of(buying, SliceKind.FINISH))
    assert [(d.kind, d.crossed_qty) for d in bench.parents(records=made)] == [(ParentKind.CROSS_DONE, 0)] * 2
    assert not bench.to(T0 + 10 * S)


def test_the_end_of_a_parent_answers_its_ask() -> None:
    bench, buying, selling = opposing()
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + S))
    bench.feed(aside(asks[1], 200))
    made = bench.feed(closed(buying, {"b": (300, 0)}, final=True))
    assert [p.kind for p in bench.parents(records=made)] == [ParentKind.CROSS_DONE] * 2
    bench.feed(closed(selling, {"s": (0, 200)}, final=True))
    assert bench.live_rows() == 0


def test_an_answer_to_no_open_ask_is_given_back() -> None:
    bench, buying, _ = opposing()
    made = bench.feed(slice_of(buying, SliceKind.SET_ASIDE, 50, "A0-77"), slice_of(buying, SliceKind.SLICE, 50))
    assert [(p.kind, p.ask_id, p.crossed_qty) for p in bench.parents(records=made)] == [
        (ParentKind.CROSS_DONE, "A0-77", 0)
    ]


def test_all_crossed_out_of_a_parent_cannot_be_cancelled() -> None:
    bench, *_ = opposing(buy=200)
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + S))
    bench.feed(*(aside(ask, 200) for ask in asks))
    made = bench.feed(cancel("b"))
    assert [e.reason for e in bench.lineage(LineageKind.CANCEL_REFUSED, made)] == [RejectReason.TOO_LATE_TO_CANCEL]
    assert len(made) == 1
