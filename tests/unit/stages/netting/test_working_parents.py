"""Netting: cancels by recall and epoch, and crossing while parents work."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from pipeline.domain.audit import DeadLetter
from pipeline.domain.controls import Alert, AlertKind, ControlKind, ControlScope, Resumed, TickKind
from pipeline.domain.market import SessionState
from pipeline.domain.orders import (
    OrderKind,
    Side,
)
from pipeline.domain.parents import Cross, Lineage, LineageKind, ParentKind, ParentOrder, SliceKind
from pipeline.domain.reference import Limit, LimitScope, ReferenceKind
from pipeline.domain.rejections import RejectReason
from tests.unit.stages.netting.netting_bench import (
    MID,
    PX,
    SYM,
    T0,
    NettingBench,
    S,
    aside,
    cancel,
    closed,
    config,
    control,
    crossed,
    instrument,
    order,
    quote,
    slice_of,
    status,
)

BUY, SELL, SHORT = Side.BUY, Side.SELL, Side.SELL_SHORT


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


def working(*orders: Any) -> tuple[NettingBench, list[ParentOrder]]:
    """Parents at work: each order of its own bucket by its held mark."""
    bench = NettingBench()
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
    assert cross.cross_id == "X0-1", "looking what would cross uses no number"
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


def test_a_tick_asks_about_so_many_members_and_who_waits_longest_is_first() -> None:
    names = ("AA", "BB", "CC")
    bench = NettingBench(config=config(ask_members=3))
    for name in names:
        where: dict[str, Any] = {"instrument": name, "r_instrument": name}
        bench.feed(instrument(instrument=name), status(instrument=name), quote(instrument=name))
        bench.feed(order(f"b{name}", BUY, r_held=True, **where), order(f"s{name}", SELL, r_held=True, **where))

    def asked_at(now_ns: int) -> set[str]:
        for name in names:
            bench.feed(quote(now_ns, instrument=name))
        asks = bench.parents(ParentKind.CROSS_ASK, bench.tick(now_ns))
        bench.feed(*(aside(each, 0) for each in asks))
        return {each.instrument for each in asks}

    # Two members each, so one instrument a tick; the first two are due again before the third was ever asked.
    assert [asked_at(T0 + at * S) for at in (1, 2, 8, 9, 10, 11)] == [
        {"AA"}, {"BB"}, {"CC"}, {"AA"}, {"BB"}, set(),
    ]  # fmt: skip


def test_the_next_ask_is_for_what_is_still_open() -> None:
    bench, *_ = opposing()
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + S))
    bench.feed(aside(asks[0], 150), aside(asks[1], 200))
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + 6 * S))
    assert [a.ask_qty for a in asks] == [50, 50]


def test_no_ask_while_a_recall_is_open() -> None:
    bench, (parent,) = working(order("b1", BUY), order("b2", BUY))
    bench.feed(cancel("b1"), order("s", SELL, 50, r_held=True))
    assert not bench.to(T0 + 6 * S)
    bench.feed(closed(parent, {"b1": (0, 100), "b2": (0, 100)}))
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + 7 * S))
    assert [(a.epoch_no, a.ask_qty) for a in asks] == [(2, 50), (1, 50)]


def test_a_new_epoch_is_asked_for_what_it_has() -> None:
    bench, (parent,) = working(order("b1", BUY, 200), order("b2", BUY, 100))
    bench.feed(order("s", SELL, 200, r_held=True))
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + 6 * S))
    made = bench.feed(aside(asks[0], 150), aside(asks[1], 200))
    assert crossed(bench.all(Cross, made)) == {"b1": 100, "b2": 50, "s": 150}
    bench.feed(cancel("b2"), closed(parent, {"b1": (0, 100), "b2": (0, 50)}))
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + 11 * S))
    assert [(a.epoch_no, a.ask_qty) for a in asks] == [(2, 50), (1, 50)]


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
    done = [d for d in bench.parents(records=made) if d.kind is not ParentKind.RECALL]
    assert [(d.kind, d.crossed_qty) for d in done] == [(ParentKind.CROSS_DONE, 0)] * 2, why
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


def test_the_end_of_a_parent_whose_cancel_waited_for_an_ask_recalls_nothing() -> None:
    bench, buying, _ = opposing()
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + S))
    bench.feed(cancel("b"), aside(asks[1], 200))
    made = bench.feed(closed(buying, {"b": (300, 0)}, final=True))
    assert ParentKind.RECALL not in [p.kind for p in bench.parents(records=made)]
    assert [e.order_id for e in bench.lineage(LineageKind.CANCEL_REFUSED, made)] == ["b"]


def test_a_second_round_waits_for_the_first() -> None:
    bench, *_ = opposing()
    first = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + S))
    bench.feed(order("b2", BUY, r_held=True), order("s2", SELL, r_held=True))
    assert not bench.to(T0 + 20 * S)
    bench.feed(*(aside(ask, 0) for ask in first))
    assert len(bench.to(T0 + 21 * S)) == 4


def test_nothing_is_asked_as_the_day_ends() -> None:
    bench, *_ = opposing()
    assert not bench.tick(T0 + S, kind=TickKind.DAY_END)


def test_the_firms_limit_says_how_long_an_outage_may_be() -> None:
    bench = NettingBench()
    bench.feed(
        Limit(kind=ReferenceKind.SET, scope=LimitScope.FIRM, effective_ns=0, max_backlog_ns=200 * S),
        Limit(kind=ReferenceKind.SET, scope=LimitScope.GATE, effective_ns=0, max_backlog_ns=1),
        order("a"),
    )
    assert not bench.feed(Resumed(wall_ns=T0 + 200 * S))
    assert bench.feed(Resumed(wall_ns=T0 + 200 * S + 1))


def test_the_median_is_by_time_not_by_count() -> None:
    bench = NettingBench(market=False)
    market = bench.state.market
    assert market.median_px(SYM, T0) is None
    market.on_quote(quote(T0 - 100 * S, 10, 12))  # stood for nine of the last ten seconds, and long before
    assert market.median_px(SYM, T0 - 100 * S) == 11, "of no time yet, it is the only one"
    for n in range(50):
        market.on_quote(quote(T0 - S + n, 100, 102 + 2 * n, quote_no=n))
    assert market.median_px(SYM, T0) == 11
    for n in range(6):
        assert market.median_px(SYM, T0 + n * S) == (11 if n < 5 else 150), "what fell out of it counts no more"


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


# -------------------------------------------------------------------- who leaves or is held beside live children


def test_the_next_epoch_begins_beside_live_children_and_the_leaver_is_gone() -> None:
    bench, (parent,) = working(order("a"), order("b", qty=200))
    bench.feed(cancel("a"))
    made = bench.feed(closed(parent, {"a": (10, 90), "b": (20, 180)}, live_qty=180))
    (left,) = bench.lineage(LineageKind.LEFT, made)
    assert (left.order_id, left.left_qty, left.request_cl_ord_id, left.expired) == ("a", 90, "x-a", False)
    assert [(p.kind, p.epoch_no, p.order_qty, p.member_count) for p in bench.parents(records=made)] == [
        (ParentKind.EPOCH, 2, 180, 1)
    ]


def test_a_leaver_waits_while_more_is_live_than_the_others_have_room_for() -> None:
    bench, (parent,) = working(order("a"), order("b", qty=200))
    bench.feed(cancel("a"))
    made = bench.feed(closed(parent, {"a": (10, 90), "b": (20, 180)}, live_qty=181))
    assert bench.lineage(LineageKind.LEFT, made) == []
    epoch = bench.parents(ParentKind.EPOCH, made)[0]
    assert (epoch.order_qty, epoch.member_count, epoch.members_hash) == (
        180, 1, hashlib.sha256(b"b,180").hexdigest(),
    )  # fmt: skip
    assert not bench.feed(closed(parent, {"a": (10, 90), "b": (30, 170)}, live_qty=171)), "still one more than b has"
    (left,) = bench.feed(closed(parent, {"a": (11, 89), "b": (31, 169)}, live_qty=169))
    assert isinstance(left, Lineage)
    assert (left.order_id, left.left_qty, left.request_cl_ord_id) == ("a", 89, "x-a")
    assert bench.state.orders.keys() == ["b"]


def test_a_parent_of_leavers_alone_has_no_members_until_nothing_is_live() -> None:
    bench, (parent,) = working(order("a"))
    bench.feed(cancel("a"))
    made = bench.feed(closed(parent, {"a": (0, 100)}, live_qty=40))
    assert [(p.kind, p.epoch_no, p.order_qty, p.member_count) for p in bench.parents(records=made)] == [
        (ParentKind.EPOCH, 2, 0, 0)
    ]
    assert [e.reason for e in bench.lineage(LineageKind.CANCEL_REFUSED, bench.feed(cancel("a", "again")))] == [
        RejectReason.ALREADY_PENDING
    ]
    made = bench.feed(closed(parent, {"a": (40, 60)}, live_qty=0))
    assert [e.left_qty for e in bench.lineage(LineageKind.LEFT, made)] == [60]
    assert [p.kind for p in bench.parents(records=made)] == [ParentKind.DONE] and bench.live_rows() == 0


def test_a_waiting_leaver_that_is_filled_after_all_came_too_late() -> None:
    bench, (parent,) = working(order("a"))
    bench.feed(cancel("a"))
    bench.feed(closed(parent, {"a": (0, 100)}, live_qty=100))
    made = bench.feed(closed(parent, {"a": (100, 0)}, live_qty=0))
    assert [(e.kind, e.reason) for e in bench.all(Lineage, made)] == [
        (LineageKind.CANCEL_REFUSED, RejectReason.TOO_LATE_TO_CANCEL)
    ]
    assert [p.kind for p in bench.parents(records=made)] == [ParentKind.DONE] and bench.live_rows() == 0


def test_news_of_an_old_epoch_counts_with_its_last_chunk() -> None:
    bench, (parent,) = working(order("a"), order("b"))
    bench.feed(cancel("a"))
    bench.feed(closed(parent, {"a": (0, 100), "b": (0, 100)}, live_qty=150))
    assert not bench.feed(closed(parent, {"a": (20, 80)}, chunk=(1, 2), live_qty=0))
    made = bench.feed(closed(parent, {"b": (30, 70)}, chunk=(2, 2), live_qty=0))
    assert [(e.order_id, e.left_qty) for e in bench.lineage(LineageKind.LEFT, made)] == [("a", 80)]


STOPS = [
    (control(kind, scope, name), control(ControlKind.RESUME, scope, name))
    for kind in (ControlKind.KILL, ControlKind.PAUSE)
    for scope, name in ((ControlScope.ACCOUNT, "acc-a"), (ControlScope.SOURCE, "other"))
]


@pytest.mark.parametrize(("stop", "resume"), STOPS)
def test_a_stopped_member_is_held_outside_the_epoch_and_comes_back_when_resumed(stop: Any, resume: Any) -> None:
    bench, (parent,) = working(order("a", r_source="other"), order("b", qty=200))
    made = bench.feed(stop)
    assert [(p.kind, p.epoch_no) for p in bench.parents(records=made)] == [(ParentKind.RECALL, 1)] and len(made) == 1
    assert not bench.feed(stop), "told again it changes nothing"
    made = bench.feed(closed(parent, {"a": (10, 90), "b": (20, 180)}, live_qty=500))
    assert bench.lineage(LineageKind.LEFT, made) == []
    (epoch,) = bench.parents(ParentKind.EPOCH, made)
    assert (epoch.epoch_no, epoch.order_qty, epoch.member_count) == (2, 180, 1)
    row = bench.state.orders["a"]
    assert (row.outside, row.open_qty, row.contributed_qty, row.remaining_qty) == (True, 0, 0, 90)
    assert not bench.feed(closed(parent, {"a": (15, 85), "b": (25, 175)}, live_qty=0)), "it stays"
    made = bench.feed(resume)
    assert [(p.kind, p.epoch_no) for p in bench.parents(records=made)] == [(ParentKind.RECALL, 2)]
    made = bench.feed(closed(epoch, {"b": (100, 75)}))
    assert [(p.kind, p.epoch_no, p.order_qty, p.member_count) for p in bench.parents(records=made)] == [
        (ParentKind.EPOCH, 3, 160, 2)
    ]


def test_a_stop_of_somebody_else_or_of_everything_recalls_nothing() -> None:
    bench, (parent,) = working(order("a"), order("b"))
    for scope, name in ((ControlScope.ACCOUNT, "acc-z"), (ControlScope.SOURCE, "beta"), (ControlScope.ALL, "")):
        assert not bench.feed(control(ControlKind.KILL, scope, name))
    assert not bench.feed(control(ControlKind.KILL, ControlScope.PARENT, parent.parent_id))
    bench.feed(cancel("a"))
    made = bench.feed(closed(parent, {"a": (0, 100), "b": (0, 100)}))
    assert [(p.kind, p.member_count) for p in bench.parents(records=made)] == [(ParentKind.EPOCH, 1)], "b is not held"


def test_a_held_order_is_cancelled_by_its_owner_and_ends_with_its_parent() -> None:
    bench, (parent,) = working(order("a"), order("b"), order("c"))
    bench.feed(
        control(ControlKind.KILL, ControlScope.ACCOUNT, "acc-a"),
        control(ControlKind.KILL, ControlScope.ACCOUNT, "acc-b"),
    )
    (epoch,) = bench.parents(ParentKind.EPOCH, bench.feed(closed(parent, dict.fromkeys("abc", (0, 100)))))
    bench.feed(cancel("a"))
    made = bench.feed(closed(epoch, {"c": (40, 60)}))
    assert [(e.order_id, e.left_qty, e.expired) for e in bench.lineage(LineageKind.LEFT, made)] == [("a", 100, False)]
    (epoch,) = bench.parents(ParentKind.EPOCH, made)
    bench.feed(slice_of(epoch, SliceKind.FINISH))
    made = bench.feed(closed(epoch, {"c": (60, 0)}, final=True))
    assert [(e.kind, e.order_id, e.left_qty, e.expired) for e in bench.all(Lineage, made)] == [
        (LineageKind.LEFT, "b", 100, True)
    ]
    assert bench.live_rows() == 0


def test_the_desk_cancels_held_orders_with_their_parent() -> None:
    bench, (parent,) = working(order("a"))
    bench.feed(control(ControlKind.PAUSE, ControlScope.ACCOUNT, "acc-a"))
    (epoch,) = bench.parents(ParentKind.EPOCH, bench.feed(closed(parent, {"a": (0, 100)})))
    made = bench.feed(control(ControlKind.CANCEL_PARENT, ControlScope.PARENT, parent.parent_id))
    assert [p.kind for p in bench.parents(records=made)] == [ParentKind.RECALL]
    made = bench.feed(closed(epoch, {}))
    assert [(e.left_qty, e.expired, e.request_cl_ord_id) for e in bench.lineage(LineageKind.LEFT, made)] == [
        (100, False, None)
    ]
    assert [p.kind for p in bench.parents(records=made)] == [ParentKind.DONE] and bench.live_rows() == 0


def test_held_and_leaving_members_do_not_cross() -> None:
    bench = NettingBench()
    bench.feed(order("b1", BUY), order("b2", BUY))
    bench.to(T0 + 5 * S)
    (parent,) = bench.parents(ParentKind.NEW)
    bench.feed(control(ControlKind.PAUSE, ControlScope.ACCOUNT, "acc-b1"))
    bench.feed(closed(parent, {"b1": (0, 100), "b2": (0, 100)}), order("s", SELL, 200, r_held=True))
    asks = bench.parents(ParentKind.CROSS_ASK, bench.to(T0 + 6 * S))
    assert [(ask.side, ask.ask_qty) for ask in asks] == [(BUY, 100), (SELL, 100)]
    made = bench.feed(*(aside(ask, 100) for ask in asks))
    assert crossed(bench.all(Cross, made)) == {"b2": 100, "s": 100}


def test_cancels_of_a_parent_of_many_join_the_next_epoch_but_a_kill_waits_for_nothing() -> None:
    bench = NettingBench(config=config(epoch_members=2, epoch_interval_ns=3 * S))
    bench.feed(*(order(name) for name in "abcdef"))
    bench.to(T0 + 5 * S)
    (parent,) = bench.parents(ParentKind.NEW)
    left = dict.fromkeys("abcdef", (0, 100))
    assert [p.kind for p in bench.parents(records=bench.feed(cancel("a")))] == [ParentKind.RECALL]
    (epoch,) = bench.parents(ParentKind.EPOCH, bench.feed(closed(parent, left)))
    assert not bench.feed(cancel("b"), cancel("c")) and not bench.tick(T0 + 8 * S - 1)
    assert [(p.kind, p.epoch_no) for p in bench.parents(records=bench.tick(T0 + 8 * S))] == [(ParentKind.RECALL, 2)]
    made = bench.feed(closed(epoch, dict.fromkeys("bcdef", (0, 100))))
    assert [e.order_id for e in bench.lineage(LineageKind.LEFT, made)] == ["b", "c"]
    assert not bench.feed(cancel("d"))
    made = bench.feed(control(ControlKind.KILL, ControlScope.ACCOUNT, "acc-e"))
    assert [(p.kind, p.epoch_no) for p in bench.parents(records=made)] == [(ParentKind.RECALL, 3)]
    assert not bench.tick(T0 + 60 * S), "it served the cancel too"
