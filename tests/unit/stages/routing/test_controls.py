"""Routing when it is held back: recalls, the desk's controls, the gate, the day's end, and what it counts."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from pipeline.domain.controls import Alert, AlertKind, ControlKind, ControlScope, Resumed, Tick, TickKind
from pipeline.domain.executions import Fill, FillKind
from pipeline.domain.market import SessionState
from pipeline.domain.orders import Side
from pipeline.domain.parents import SliceKind, Style
from pipeline.domain.record import Owned
from pipeline.domain.reference import Limit, LimitScope, ReferenceKind
from pipeline.stages.routing.parameters import GateParameters
from pipeline.stages.routing.venue_scorecards import ScoreSums
from tests.unit.stages.routing.routing_bench import BID, DATE, OFFER, SECRET, RoutingBench, S, alerts, kinds

# ---------------------------------------------------------------------- taking back


def test_finish_cancels_all_children_of_the_parent_and_is_answered_when_none_is_live() -> None:
    bench = RoutingBench()
    one = bench.one_child(bench.slice(100))
    two = bench.one_child(bench.slice(50))
    other = bench.one_child(bench.slice(70, parent="P0-2"))
    out = bench.slice(kind=SliceKind.FINISH)
    assert {c.child_id for c in bench.cancels(out)} == {one.child_id, two.child_id}
    cancels = {c.child_id: c for c in bench.cancels(out)}
    assert kinds(bench.canceled(one, cancels[one.child_id])) == ["Fill:RETURNED"]
    out = bench.canceled(two, cancels[two.child_id])
    assert kinds(out) == ["Fill:RETURNED", "Fill:QUIET"]
    quiet = bench.fills(FillKind.QUIET)[0]
    assert (quiet.slice_no, quiet.epoch_no, quiet.final, quiet.parent_live_qty) == (4, 1, True, 0)
    assert not bench.cancels(out) and other.child_id not in cancels


def test_a_recall_is_answered_at_once_and_again_as_less_is_live_and_the_next_epoch_goes_on_beside() -> None:
    bench = RoutingBench()
    one = bench.one_child(bench.slice(100))
    two = bench.one_child(bench.slice(50))
    (cut,) = bench.slice(kind=SliceKind.RECALL)
    assert isinstance(cut, Fill)
    assert (cut.kind, cut.epoch_no, cut.slice_no, cut.last_qty, cut.parent_live_qty) == (FillKind.CUT, 1, 3, 150, 150)
    assert not bench.cancels(), "what is permitted has not changed"
    newer = bench.one_child(bench.slice(30, epoch_no=2))
    out = bench.canceled(one)
    assert kinds(out) == ["Fill:RETURNED", "Fill:CUT"]
    assert bench.fills(FillKind.CUT, out)[0].last_qty == 50
    out = bench.canceled(two)
    assert [(f.kind, f.last_qty, f.parent_live_qty) for f in bench.all(Fill, out)] == [
        (FillKind.RETURNED, 50, 30), (FillKind.QUIET, 0, 30),
    ]  # fmt: skip
    assert not bench.state.ledger.parents["P0-1"].asks
    assert kinds(bench.trade(newer, 30)) == ["Fill:TRADE", "Fill:RETURNED"]


def test_a_lower_permitted_quantity_takes_back_the_youngest_children_and_no_more_than_needed() -> None:
    bench = RoutingBench()
    one, two, three = (bench.one_child(bench.slice(qty)) for qty in (100, 50, 30))
    out = bench.slice(0, kind=SliceKind.PERMIT, permitted_qty=140)
    assert [c.child_id for c in bench.cancels(out)] == [three.child_id, two.child_id]
    assert not bench.slice(0, kind=SliceKind.PERMIT, permitted_qty=140), "they are on their way back"
    parent = bench.state.ledger.parents["P0-1"]
    assert (parent.permitted_qty, parent.unconfirmed_qty) == (140, 40)
    (late,) = bench.fills(FillKind.TRADE, bench.trade(two, 50))
    assert late.overfill_qty == 0, "not an over-fill: its cancel was not confirmed"
    assert parent.unconfirmed_qty == 40
    bench.canceled(three)
    assert bench.state.ledger.parents["P0-1"].unconfirmed_qty == 10
    assert [c.child_id for c in bench.cancels()] == [three.child_id, two.child_id, one.child_id]


def test_the_days_end_answers_a_finish_though_a_child_is_unknown() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    assert kinds(bench.slice(kind=SliceKind.FINISH)) == ["ChildOrder:CANCEL"]
    bench.after(10)
    out = bench.tick(bench.state.now_ns + S, kind=TickKind.DAY_END)
    assert kinds(out) == ["Fill:RETURNED", "Alert:BREAK", "Fill:QUIET"]
    (quiet,) = bench.fills(FillKind.QUIET, out)
    assert (quiet.final, quiet.parent_live_qty) == (True, 100)
    (alert,) = bench.all(Alert, out)
    assert (alert.reason, alert.subject_id) == ("CHILD_OPEN_AT_DAY_END", child.child_id)
    assert kinds(bench.slice(kind=SliceKind.FINISH, parent="P0-2")) == ["Fill:QUIET"], "as is one that comes after it"
    assert kinds(bench.trade(child, 100)) == ["Fill:TRADE", "Alert:LATE_FILL"]


def test_a_slice_that_comes_while_a_recall_is_open_is_returned() -> None:
    bench = RoutingBench()
    bench.slice(100)
    bench.slice(kind=SliceKind.RECALL)
    out = bench.slice(100)
    assert [(f.last_qty, f.reason) for f in bench.fills(FillKind.RETURNED, out)] == [(100, "RECALL")]
    assert not bench.sent(out) and not bench.fills(FillKind.QUIET)


def test_an_immediate_or_cancel_ends_by_itself_when_recalled() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, Style.CROSS))
    assert kinds(bench.slice(kind=SliceKind.RECALL)) == ["Fill:CUT"]
    assert kinds(bench.expired(child)) == ["Fill:RETURNED", "Fill:QUIET"]


def test_an_immediate_or_cancel_that_does_not_end_is_unknown_and_asked_after() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, Style.CROSS))
    bench.ack(child)
    assert kinds(bench.after(5)) == ["Alert:UNKNOWN_CHILD", "ChildOrder:CANCEL"]


def test_silence_is_measured_in_wall_time() -> None:
    bench = RoutingBench()
    bench.slice(100)
    now_ns = bench.state.now_ns

    def tick(seconds: int) -> list[Owned]:
        wall_ns = now_ns + seconds * S // 10
        return bench.feed(
            Tick(kind=TickKind.TICK, now_ns=now_ns + seconds * S, wall_ns=wall_ns, rate=10_000_000, trade_date=DATE)
        )

    assert tick(49) == []
    assert alerts(bench, tick(50)) == [AlertKind.UNKNOWN_CHILD]


def test_a_recall_of_a_parent_without_children_is_answered_at_once() -> None:
    bench = RoutingBench()
    (quiet,) = bench.all(Fill, bench.slice(kind=SliceKind.FINISH, parent="P0-9"))
    assert (quiet.kind, quiet.final, quiet.parent_cum_qty) == (FillKind.QUIET, True, 0)


def test_an_unknown_child_keeps_the_parent_from_being_quiet() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    bench.slice(kind=SliceKind.RECALL)
    bench.after(5)
    bench.after(20)
    assert not bench.fills(FillKind.QUIET)
    out = bench.control(ControlKind.DECLARE_DEAD, ControlScope.CHILD, child.child_id)
    assert kinds(out) == ["Fill:RETURNED", "Fill:QUIET"]


@pytest.mark.parametrize(
    ("scope", "scope_id"),
    [(ControlScope.ALL, ""), (ControlScope.INSTRUMENT, "A"), (ControlScope.PARENT, "P0-1")],
)
def test_kill_cancels_everything_in_scope_and_sends_nothing(scope: ControlScope, scope_id: str) -> None:
    bench = RoutingBench()
    resting = bench.one_child(bench.slice(100))
    taking = bench.one_child(bench.slice(10, Style.CROSS))
    out = bench.control(ControlKind.KILL, scope, scope_id)
    assert {c.child_id for c in bench.cancels(out)} == {resting.child_id, taking.child_id}
    out = bench.canceled(resting)
    assert [(f.last_qty, f.reason) for f in bench.fills(FillKind.RETURNED, out)] == [(100, "KILL")]
    out = bench.slice(100)
    assert [(f.last_qty, f.reason) for f in bench.fills(FillKind.RETURNED, out)] == [(100, "KILLED")]
    assert len(bench.sent()) == 2
    bench.control(ControlKind.RESUME, scope, scope_id)
    assert len(bench.sent(bench.slice(100))) == 1


def test_kill_of_a_venue_moves_the_slice_elsewhere() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    assert len(bench.cancels(bench.control(ControlKind.KILL, ControlScope.VENUE, "LITA"))) == 1
    following = bench.one_child(bench.canceled(child))
    assert following.venue == "LITB"
    assert [c.excluded for c in following.candidates if c.venue == "LITA"] == ["KILLED"]


def test_pause_sends_nothing_new_and_leaves_what_rests() -> None:
    bench = RoutingBench()
    bench.slice(100)
    assert bench.control(ControlKind.PAUSE) == []
    out = bench.slice(100)
    assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["PAUSED"]


def test_a_blocked_venue_gets_nothing_new() -> None:
    bench = RoutingBench()
    bench.control(ControlKind.BLOCK_VENUE, ControlScope.VENUE, "LITA")
    child = bench.one_child(bench.slice(100))
    assert child.venue == "LITB"
    assert [c.excluded for c in child.candidates if c.venue == "LITA"] == ["BLOCKED"]


def test_after_an_outage_nothing_is_sent_until_the_desk_releases_and_cancels_pass() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100, lasts_s=20))
    bench.ack(child)
    out = bench.feed(Resumed(wall_ns=1_100 * S))
    assert alerts(bench, out) == [AlertKind.STALE_HOLD]
    out = bench.slice(100)
    assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["STALE_HOLD"]
    assert len(bench.cancels(bench.tick(1_100 * S))) == 1
    bench.control(ControlKind.RELEASE_STALE)
    assert len(bench.sent(bench.slice(100))) == 1


# ---------------------------------------------------------------------- the gate, and the end of the day


def test_a_gate_refusal_returns_the_quantity_once() -> None:
    bench = RoutingBench()
    bench.feed(Limit(kind=ReferenceKind.SET, scope=LimitScope.GATE, scope_id="A", effective_ns=0, max_order_qty=50))
    out = bench.slice(100)
    assert kinds(out) == ["Alert:GATE_REFUSED", "Fill:RETURNED"]
    assert [(f.last_qty, f.reason) for f in bench.fills(FillKind.RETURNED)] == [(100, "GATE_CHILD_TOO_LARGE")]
    assert not bench.sent()


def test_own_orders_never_meet_at_a_venue() -> None:
    bench = RoutingBench()
    bench.slice(100)  # we bid 100.00 at LITA
    out = bench.slice(100, Style.CROSS, side=Side.SELL, parent="P0-2")
    assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["NO_VENUE"]
    bench.slice(100, Style.MIDPOINT, parent="P0-3", dark_allowed=True)  # we peg in the dark
    child = bench.one_child(bench.slice(50, Style.MIDPOINT, side=Side.SELL, parent="P0-2", dark_allowed=True))
    assert child.rule == "POST_INSIDE" and child.venue == "LITA"


def test_without_a_quote_nothing_is_sent() -> None:
    bench = RoutingBench()
    bench.quote(offer_px=None)
    out = bench.slice(100)
    assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["NO_QUOTE"]


def test_the_days_end_takes_all_back_and_forgets_what_is_over() -> None:
    bench = RoutingBench()
    for _ in range(5):
        bench.trade(bench.one_child(bench.slice(10)), 10)
    resting = bench.one_child(bench.slice(100))
    bench.ack(resting)
    out = bench.tick(2_000 * S, wall_ns=1_001 * S, kind=TickKind.DAY_END)
    assert [c.child_id for c in bench.cancels(out)] == [resting.child_id]
    bench.canceled(resting)
    bench.slice(kind=SliceKind.FINISH)
    assert len(bench.state.ledger.children) == 1 and len(bench.state.executions) == 5
    bench.feed(Tick(kind=TickKind.DAY_END, now_ns=90_000 * S, wall_ns=1_002 * S, trade_date=DATE + 1))
    assert len(bench.state.ledger.children) == 0 and len(bench.state.ledger.wires) == 0
    assert len(bench.state.executions) == 0 and len(bench.state.ledger.parents) == 0


def test_an_execution_repeated_after_midnight_is_still_known() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(10))
    report = bench.trade_report(child, 10, exec_id="E1")
    bench.feed(report)
    bench.tick(2_000 * S, wall_ns=1_001 * S, kind=TickKind.DAY_END)
    assert bench.feed(report) == []


def test_the_config_shows_no_secret() -> None:
    bench = RoutingBench()
    shown = str(bench.stage.config()) + repr(bench.state.parameters)
    assert SECRET.decode() not in shown and "wire_secret_sha256" in shown


def test_wire_ids_do_not_tell_the_next() -> None:
    bench = RoutingBench()
    ids = [bench.one_child(bench.slice(1)).wire_id for _ in range(20)]
    assert len(set(ids)) == 20
    assert sum(a[:3] == b[:3] for a, b in itertools.pairwise(ids)) == 0


def test_it_refuses_to_be_fed_what_it_does_not_read() -> None:
    bench = RoutingBench()
    bench.slice(0, kind=SliceKind.FINISH)
    with pytest.raises(TypeError, match="does not read"):
        bench.feed(bench.fills(FillKind.QUIET)[0])


# ---------------------------------------------------------------------- the gate's and the scorecards' own counting


def test_the_gate_counts_what_leaves_by_parent_and_refuses_the_next() -> None:
    bench = RoutingBench(gate=GateParameters(parent_rate=2))
    for _ in range(2):
        bench.one_child(bench.slice(1))
    out = bench.slice(1)
    assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["GATE_PARENT_RATE"]
    bench.one_child(bench.slice(1, parent="P0-2"))
    bench.after(1)
    bench.one_child(bench.slice(1))


def test_the_gate_counts_what_is_open_until_it_ends() -> None:
    bench = RoutingBench(gate=GateParameters(max_exposure=150 * BID))
    child = bench.one_child(bench.slice(100))
    out = bench.slice(100)
    assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["GATE_OPEN_EXPOSURE"]
    bench.trade(child, 60)
    second = bench.one_child(bench.slice(100))  # 40 of the first are open
    bench.trade(child, 40)
    bench.slice(kind=SliceKind.RECALL)
    bench.canceled(second)
    assert bench.state.gate_book.open_value("A") == 0


def test_the_same_execution_again_and_again_disables_the_parent_until_the_desk_looks() -> None:
    bench = RoutingBench(gate=GateParameters(max_repeats=3))
    for _ in range(3):
        bench.trade(bench.one_child(bench.slice(1)), 1)
    for _ in range(2):
        out = bench.slice(1)
        assert [f.reason for f in bench.fills(FillKind.RETURNED, out)] == ["GATE_REPEATED_EXECUTION"]
        bench.after(5)
    bench.control(ControlKind.RESUME, ControlScope.PARENT, "P0-1")
    bench.one_child(bench.slice(1))


def test_a_venue_that_does_not_fill_loses_its_place() -> None:
    bench = RoutingBench()
    first = bench.one_child(bench.slice(100))
    assert first.venue == "LITA"
    bench.trade(bench.one_child(bench.canceled(first)), 100)  # LITB fills what LITA did not
    child = bench.one_child(bench.slice(100))
    assert child.venue == "LITB" and child.scorecard_version == 1
    better, worse = child.candidates[:2]
    assert (better.venue, worse.venue) == ("LITB", "LITA")
    assert better.cost_px <= worse.cost_px and better.fill_rate > worse.fill_rate


def test_what_a_child_left_is_paid_for_where_it_was_finished() -> None:
    bench = RoutingBench()
    first = bench.one_child(bench.slice(100))
    bench.trade(first, 20)
    second = bench.one_child(bench.canceled(first, cum_qty=20))
    bench.trade(second, 80)
    scores = dict(bench.state.dump())
    finished = [value for key, value in scores.items() if key == "scores/A@LITA/POST"]
    score = msgspec.msgpack.decode(finished[0], type=ScoreSums)
    assert (score.sent_qty, score.filled_qty, score.finished_qty, score.fill_count) == (100, 20, 80, 1)
    assert score.finish_cost == 80 * (BID - OFFER) + 80_000 and score.fees == 20_000


def test_a_halt_at_one_venue_leaves_what_rests_at_another() -> None:
    bench = RoutingBench()
    child = bench.one_child(bench.slice(100))
    assert bench.status("LITB", SessionState.HALTED) == []
    assert bench.status("LITA", SessionState.AUCTION) == [], "what rests stays for the auction"
    assert [c.child_id for c in bench.cancels(bench.status("LITA", SessionState.CLOSED))] == [child.child_id]
