"""Slicing: what is released when, what comes back, and what must never be released."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, ControlScope, Resumed
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.market import NBBO, PrintKind, QuoteKind, SessionState, TradePrint, VenueStatus
from pipeline.domain.orders import Completion, Side, Strategy
from pipeline.domain.parents import ParentKind, ParentOrder, SliceKind, Style
from pipeline.domain.parents import Slice as SliceRecord
from pipeline.domain.reference import Instrument, Limit, LimitScope, ReferenceKind
from pipeline.domain.units import NS_PER_S, PX_ONE
from pipeline.stages.slicing.stage import SlicingStage
from pipeline.stages.slicing.state import SlicingState
from tests.stage_bench import Bench

T0 = 1_700_000_000 * NS_PER_S
"""Opening of the session in these tests."""
CENT = PX_ONE // 100


def s(seconds: float) -> int:
    return T0 + int(seconds * NS_PER_S)


def parent(**changes: Any) -> ParentOrder:
    fields: dict[str, Any] = {
        "kind": ParentKind.NEW,
        "parent_id": "P1",
        "instrument": "X",
        "bucket_id": "B1",
        "trade_date": 20260105,
        "epoch_no": 1,
        "side": Side.BUY,
        "order_qty": 1000,
        "strategy": Strategy.TWAP,
        "completion": Completion.BEST_EFFORT,
        "start_ns": s(0),
        "end_ns": s(100),
        "at_ns": s(0),
    }
    return ParentOrder(**{**fields, **changes})


def fill(kind: FillKind, slice_no: int, qty: int = 0, **changes: Any) -> Fill:
    fields: dict[str, Any] = {
        "kind": kind,
        "fill_id": "F",
        "parent_id": "P1",
        "epoch_no": 1,
        "slice_no": slice_no,
        "instrument": "X",
        "side": Side.BUY,
        "last_qty": qty,
        "last_px": 100 * PX_ONE if kind is FillKind.TRADE else None,
        "parent_cum_qty": 0,
        "parent_live_qty": 0,
        "trade_date": 20260105,
        "at_ns": s(0),
    }
    return Fill(**{**fields, **changes})


def quote(second: float, bid: int = 9_999, offer: int = 10_001, qty: int = 5_000) -> NBBO:
    return NBBO(
        kind=QuoteKind.NBBO,
        instrument="X",
        feed="test",
        event_ns=s(second),
        received_ns=s(second),
        quote_no=1,
        bid_px=bid * CENT,
        bid_qty=qty,
        offer_px=offer * CENT,
        offer_qty=qty,
    )


def trade(second: float, qty: int, no: int) -> TradePrint:
    return TradePrint(
        kind=PrintKind.TRADE,
        instrument="X",
        venue="V",
        print_id=str(no),
        event_ns=s(second),
        received_ns=s(second),
        px=100 * PX_ONE,
        qty=qty,
    )


def control(kind: ControlKind, scope: ControlScope = ControlScope.ALL, scope_id: str = "") -> Control:
    return Control(kind=kind, control_id="c", scope=scope, scope_id=scope_id, who="desk", why="test", at_ns=0)


def status(state: SessionState) -> VenueStatus:
    return VenueStatus(venue="V", instrument="X", state=state, event_ns=s(0), received_ns=s(0))


@pytest.fixture
def bench() -> Bench[SlicingState]:
    return opened(Bench(SlicingStage()))


def opened(bench: Bench[SlicingState]) -> Bench[SlicingState]:
    """An open market, quoted at 99.99 / 100.01, at the opening."""
    bench.feed(
        Instrument(
            kind=ReferenceKind.SET,
            instrument="X",
            effective_ns=0,
            tick_px=CENT,
            session_open_ns=s(0),
            session_close_ns=s(23_400),
            reference_px=100 * PX_ONE,
            daily_volume_qty=23_400_000,
        ),
        Limit(kind=ReferenceKind.SET, scope=LimitScope.FIRM, effective_ns=0, max_backlog_ns=60 * NS_PER_S),
        status(SessionState.OPEN),
        quote(0),
    )
    bench.tick(s(0))
    return bench


def slices(records: list[Any], kind: SliceKind = SliceKind.SLICE) -> list[SliceRecord]:
    return [r for r in records if isinstance(r, SliceRecord) and r.kind is kind]


def run(bench: Bench[SlicingState], until: int, answer: str = "fill") -> list[SliceRecord]:
    """Tick by the second; fill or return every slice at once, confirm a FINISH. Returns the slices."""
    seen: list[SliceRecord] = []
    second = (bench.state.now_ns - T0) // NS_PER_S
    while second < until:
        second += 1
        queue = [r for r in bench.tick(s(second)) if isinstance(r, SliceRecord)]
        while queue:
            out = queue.pop(0)
            seen.append(out)
            if out.kind is SliceKind.SLICE:
                answers = [fill(FillKind.RETURNED, out.slice_no, 0 if answer == "fill" else out.qty)]
                if answer == "fill":
                    answers.insert(0, fill(FillKind.TRADE, out.slice_no, out.qty))
                queue += [r for r in bench.feed(*answers) if isinstance(r, SliceRecord)]
            elif out.kind is SliceKind.FINISH:
                bench.feed(fill(FillKind.QUIET, out.slice_no, final=True))
    return seen


def test_the_first_slice_is_small_and_passive(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    (first,) = slices(bench.tick(s(30)))
    assert first.style is Style.PASSIVE
    assert first.qty == 20  # 2 % of the leaves: the water is tested
    assert first.why.startswith("FIRST_SLICE")


def test_what_is_due_at_once_does_not_wait_for_a_tick(bench: Bench[SlicingState]) -> None:
    (now,) = slices(bench.feed(parent(end_ns=s(5))))  # all of its life is the last moment
    assert now.why == "FIRST_SLICE: target 1000, done 0, out 0"
    assert not slices(bench.feed(parent(parent_id="P2")))  # of this one nothing is due yet


def test_all_is_done_by_the_end_and_nothing_more(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    out = run(bench, 101)
    assert sum(r.qty for r in slices(out)) == 1000
    assert len(slices(out, SliceKind.FINISH)) == 1
    assert len(bench.state.parents) == 0


def test_twap_keeps_pace_with_time(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    released = sum(r.qty for r in slices(run(bench, 50)))
    assert 400 <= released <= 500


def test_what_comes_back_is_released_again(bench: Bench[SlicingState]) -> None:
    bench.feed(parent(completion=Completion.MUST))
    out = slices(run(bench, 90, answer="return"))
    assert sum(r.qty for r in out) > 1000  # again and again
    state = bench.state.parents["P1"]
    assert state.executed_qty == 0 and state.unreleased_qty == 1000


def test_it_grows_urgent_as_it_falls_behind(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    out = slices(run(bench, 99, answer="return"))
    styles = [r.style for r in out]
    assert styles[0] is Style.PASSIVE and Style.CROSS in styles


def test_what_is_out_is_not_released_twice(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    released = 0
    for second in range(1, 100):
        released += sum(r.qty for r in slices(bench.tick(s(second))))
    assert released <= 1000


@pytest.mark.parametrize(
    "hold",
    [
        control(ControlKind.KILL),
        control(ControlKind.PAUSE),
        control(ControlKind.KILL, ControlScope.INSTRUMENT, "X"),
        control(ControlKind.PAUSE, ControlScope.PARENT, "P1"),
        status(SessionState.HALTED),
        status(SessionState.CLOSED),
        quote(0, bid=10_001, offer=10_001),  # locked
    ],
    ids=["killed", "paused", "instrument killed", "parent paused", "halted", "closed", "locked"],
)
def test_nothing_is_released_while(bench: Bench[SlicingState], hold: Any) -> None:
    bench.feed(parent(), hold)
    assert slices(bench.tick(s(50))) == []


def test_a_resume_lifts_the_hold(bench: Bench[SlicingState]) -> None:
    bench.feed(parent(), control(ControlKind.PAUSE))
    assert slices(bench.tick(s(50))) == []
    bench.feed(control(ControlKind.RESUME))
    assert slices(bench.tick(s(51)))


def test_before_its_start_and_after_its_end_nothing(bench: Bench[SlicingState]) -> None:
    bench.feed(parent(start_ns=s(60)))
    assert slices(bench.tick(s(59))) == []
    (finish,) = [r for r in bench.tick(s(100)) if isinstance(r, SliceRecord)]
    assert finish.kind is SliceKind.FINISH


def test_a_limit_behind_the_near_touch_means_pause(bench: Bench[SlicingState]) -> None:
    bench.feed(parent(limit_px=9_998 * CENT))  # the bid is 99.99
    assert slices(bench.tick(s(50))) == []
    bench.feed(quote(51, bid=9_996, offer=9_998))
    assert slices(bench.tick(s(51)))


@pytest.mark.parametrize("limit_px", [9_999 * CENT, 100 * PX_ONE])
def test_a_limit_at_the_near_touch_or_the_middle_is_worked_by_resting(
    bench: Bench[SlicingState], limit_px: int
) -> None:
    bench.feed(parent(limit_px=limit_px))  # 99.99 bid, 100.01 offered
    (out,) = slices(bench.tick(s(50)))
    assert (out.qty, out.style, out.limit_px) == (500, Style.MIDPOINT, limit_px)
    assert out.why.startswith("RESTS_BEHIND")


def test_an_ask_is_answered_with_what_is_not_out(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    (out,) = slices(bench.tick(s(50)))
    ask = msgspec.structs.replace(parent(), kind=ParentKind.CROSS_ASK, ask_id="A1", ask_qty=5000)
    (aside,) = slices(bench.feed(ask), SliceKind.SET_ASIDE)
    assert aside.qty == 1000 - out.qty and aside.ask_id == "A1"
    assert slices(bench.tick(s(60))) == []  # nothing left to release
    bench.feed(msgspec.structs.replace(ask, kind=ParentKind.CROSS_DONE, crossed_qty=100))
    working = bench.state.parents["P1"]
    assert working.unreleased_qty == 1000 - out.qty - 100
    assert working.permitted_qty == 900


def test_an_ask_for_what_is_over_gets_nothing(bench: Bench[SlicingState]) -> None:
    ask = msgspec.structs.replace(parent(), kind=ParentKind.CROSS_ASK, ask_id="A1", ask_qty=5)
    (aside,) = slices(bench.feed(ask), SliceKind.SET_ASIDE)
    assert aside.qty == 0


def test_a_recall_stops_it_and_a_new_epoch_goes_on(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    (out,) = slices(bench.tick(s(30)))
    recall = msgspec.structs.replace(parent(), kind=ParentKind.RECALL)
    assert len(slices(bench.feed(recall), SliceKind.RECALL)) == 1
    bench.feed(fill(FillKind.TRADE, out.slice_no, 5), fill(FillKind.RETURNED, out.slice_no, out.qty - 5))
    assert slices(bench.tick(s(50))) == []
    bench.feed(fill(FillKind.QUIET, 2))
    bench.feed(msgspec.structs.replace(parent(), kind=ParentKind.EPOCH, epoch_no=2, order_qty=600))
    working = bench.state.parents["P1"]
    assert (working.unreleased_qty, working.permitted_qty, working.earlier_qty) == (600, 605, 5)
    (again,) = slices(bench.tick(s(60)))
    assert again.epoch_no == 2


def test_a_late_fill_of_an_earlier_epoch_makes_the_rest_smaller(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    bench.feed(msgspec.structs.replace(parent(), kind=ParentKind.RECALL))
    bench.feed(msgspec.structs.replace(parent(), kind=ParentKind.EPOCH, epoch_no=2, order_qty=600))
    bench.feed(fill(FillKind.TRADE, 1, 50, epoch_no=1, late=True))
    working = bench.state.parents["P1"]
    assert (working.unreleased_qty, working.permitted_qty) == (550, 600)


def test_a_bust_gives_the_quantity_back_to_work(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    (out,) = slices(bench.tick(s(30)))
    bench.feed(fill(FillKind.TRADE, out.slice_no, out.qty), fill(FillKind.RETURNED, out.slice_no))
    bench.feed(fill(FillKind.BUST, out.slice_no, out.qty, last_px=100 * PX_ONE))
    assert bench.state.parents["P1"].unreleased_qty == 1000


def test_siblings_share_one_cap(bench: Bench[SlicingState]) -> None:
    cap = 100_000  # a tenth, own volume included
    bench.feed(parent(participation_cap=cap), parent(parent_id="P2", participation_cap=cap))
    bench.feed(trade(10, 900, 1))
    released = {"P1": 0, "P2": 0}
    for second in range(11, 100):
        for out in slices(bench.tick(s(second))):
            released[out.parent_id] += out.qty
    # 900 by others allow 100 of ours together: 100 / (900 + 100) is a tenth.
    assert sum(released.values()) == 100


def test_a_must_order_is_at_risk_the_moment_its_cap_cannot_give_it(bench: Bench[SlicingState]) -> None:
    # 100 s of 1,000 shares a second are expected; 1 % of that is about 1,010 shares.
    bench.feed(parent(completion=Completion.MUST, participation_cap=10_000, order_qty=1_011))
    alerts = [r for r in bench.tick(s(1)) if isinstance(r, Alert)]
    assert [a.kind for a in alerts] == [AlertKind.COMPLETION_AT_RISK]
    assert [r for r in bench.tick(s(2)) if isinstance(r, Alert)] == []  # said once


def test_after_an_outage_nothing_goes_out_until_the_desk_says_so(bench: Bench[SlicingState]) -> None:
    bench.feed(parent())
    alerts = [r for r in bench.feed(Resumed(wall_ns=s(0) + 61 * NS_PER_S)) if isinstance(r, Alert)]
    assert [a.kind for a in alerts] == [AlertKind.STALE_HOLD]
    assert slices(bench.tick(s(50))) == []
    bench.feed(control(ControlKind.RELEASE_STALE))
    assert slices(bench.tick(s(51)))


def test_vwap_without_a_curve_is_worked_evenly(bench: Bench[SlicingState]) -> None:
    bench.feed(parent(strategy=Strategy.VWAP))
    assert 400 <= sum(r.qty for r in slices(run(bench, 50))) <= 500


def test_the_siblings_totals_are_the_sums_over_all_parents() -> None:
    bench = opened(Bench(SlicingStage(), swap_every=4))
    bench.feed(parent(), parent(parent_id="P2"), parent(parent_id="P3", side=Side.SELL, order_qty=300))
    for second in range(1, 60):
        for out in slices(bench.tick(s(second))):
            traded = out.qty // 2 if second % 3 else 0
            of = {"parent_id": out.parent_id, "side": out.side}
            if traded:
                bench.feed(fill(FillKind.TRADE, out.slice_no, traded, **of))
            if second % 2:
                bench.feed(fill(FillKind.RETURNED, out.slice_no, out.qty - traded, **of))
        parents = [bench.state.parents[key] for key in bench.state.parents.keys()]
        for each in parents:
            own = [p for p in parents if p.order.side is each.order.side]
            totals = bench.state.siblings.of(each)
            assert totals == (sum(p.out_qty for p in own), sum(p.unexecuted_qty for p in own))
    assert {p.executed_qty > 0 for p in parents} == {True}
    bench.feed(fill(FillKind.QUIET, 0, parent_id="P2", final=True))
    left = bench.state.parents["P1"]
    assert bench.state.siblings.of(left) == (left.out_qty, left.unexecuted_qty), "who is over does not count"
