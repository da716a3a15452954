"""Netting: windows, buckets, the desk, arrival, and cancels in the window."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from pipeline.domain.controls import Alert, AlertKind, ControlKind, ControlScope, Resumed, TickKind
from pipeline.domain.market import PrintKind, QuoteKind, TradePrint
from pipeline.domain.orders import (
    AccountClass,
    Capacity,
    Completion,
    SettlementType,
    Side,
    Strategy,
    Urgency,
)
from pipeline.domain.parents import Cross, Lineage, LineageKind, ParentKind, ParentOrder
from pipeline.domain.reference import PriceRule
from tests.unit.stages.netting.netting_bench import (
    DAY,
    END,
    MID,
    PX,
    SYM,
    T0,
    NettingBench,
    S,
    cancel,
    config,
    control,
    crossed,
    order,
    quote,
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
        ({"r_start_ns": T0 + S, "start_ns": T0 + S}, "benchmark window's start"),
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
    bench = NettingBench(config=config(max_members=3))
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


def test_a_tick_closes_so_many_orders_and_whose_time_came_first_is_first() -> None:
    bench = NettingBench(config=config(close_members=3))
    for seconds, name in enumerate(("CC", "BB", "AA")):  # each window opens, and closes, a second after the one before
        bench.tick(T0 + seconds * S)
        for number in (1, 2):
            bench.feed(order(f"{name}{number}", instrument=name, r_instrument=name))
    closed = [
        [parent.instrument for parent in bench.parents(ParentKind.NEW, bench.tick(T0 + 10 * S + at))] for at in range(4)
    ]
    assert closed == [["CC"], ["BB"], ["AA"], []]


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


def test_nobody_joins_those_who_stayed_behind() -> None:
    bench = NettingBench()
    bench.feed(order("a"), control(ControlKind.KILL, ControlScope.SOURCE, "alpha"))
    bench.feed(control(ControlKind.RELEASE_WINDOW), order("b", r_source="beta"))
    first, second = bench.lineage(LineageKind.JOINED)
    assert first.bucket_id != second.bucket_id and not bench.parents()


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
        bench.tick(T0 + second * S)
    assert [p.arrival_px for p in bench.parents()] == [MID]
    assert len(bench.state.market.of(SYM).blocks) < 10
    assert sum(key.startswith("quotes/") for key, _ in bench.state.dump()) < 10
