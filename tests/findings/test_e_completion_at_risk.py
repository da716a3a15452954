"""Finding E: every MUST order that ends unfilled had its COMPLETION_AT_RISK before, once, whatever the cause."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.controls import Alert, AlertKind, ControlKind, ControlScope, Resumed
from pipeline.domain.executions import FillKind
from pipeline.domain.market import NBBO, Depth, DepthKind, Level, SessionState, VenueStatus
from pipeline.domain.orders import Completion, Side, Strategy
from pipeline.domain.parents import ParentKind, ParentOrder, Slice, SliceKind
from pipeline.domain.record import Record
from pipeline.domain.units import PX_ONE
from tests.findings.slicing_bench import BOTH_SIDES, Desk, Told
from tests.unit.stages.slicing.test_stage import CENT, control, fill, parent, quote, s, status


def must(**changes: Any) -> ParentOrder:
    return parent(completion=Completion.MUST, **changes)


def one_sided(second: int, side: Side) -> NBBO:
    """Nobody shows what an order of ``side`` could take."""
    gone = {"offer_px": None, "offer_qty": 0} if side is Side.BUY else {"bid_px": None, "bid_qty": 0}
    return msgspec.structs.replace(quote(second), **gone)


CAUSES: dict[str, list[Record]] = {
    "halted": [status(SessionState.HALTED)],
    "in auction": [status(SessionState.AUCTION)],
    "venue down": [status(SessionState.DOWN)],
    "unknown state": [status(SessionState.UNKNOWN)],
    "killed": [control(ControlKind.KILL)],
    "instrument killed": [control(ControlKind.KILL, ControlScope.INSTRUMENT, "X")],
    "parent paused": [control(ControlKind.PAUSE, ControlScope.PARENT, "P1")],
    "venue blocked": [control(ControlKind.BLOCK_VENUE, ControlScope.VENUE, "V")],
    "stale": [Resumed(wall_ns=s(3_600))],
}


@pytest.mark.parametrize("cap", [0, 900_000], ids=["no cap", "cap"])
@pytest.mark.parametrize("cause", CAUSES)
def test_what_may_not_be_worked_all_day_is_told_before_its_end(cause: str, cap: int) -> None:
    desk = Desk()
    desk.feed(must(participation_cap=cap), *CAUSES[cause])
    desk.run(102)
    assert desk.done() == 0
    assert desk.told == [Told("NOT_WORKED", 25), Told("FINISH", 100)]


@pytest.mark.parametrize("side", BOTH_SIDES)
@pytest.mark.parametrize(
    ("second_quote", "changes", "reason"),
    [
        (quote(1, bid=10_001, offer=10_001), {}, "NO_SPREAD"),
        (quote(1, bid=10_002, offer=10_001), {}, "NO_SPREAD"),
        (None, {}, "NO_SPREAD"),
        (quote(1), {"limit": 500}, "OUT_OF_LIMIT"),
        (quote(1), {"allowed_venues": ("W",)}, "NOT_WORKED"),
    ],
    ids=["locked", "crossed", "one side", "out of limit", "venue not open"],
)
def test_what_nobody_trades_with_is_told_before_its_end(
    second_quote: NBBO | None, changes: dict[str, Any], reason: str, side: Side
) -> None:
    desk = Desk()
    limit_px = None
    if "limit" in changes:
        limit_px = (10_000 - side.sign * changes["limit"]) * CENT
        changes = {}
    desk.feed(must(side=side, limit_px=limit_px, **changes), second_quote or one_sided(1, side))
    desk.run(102, quotes=False)
    assert (desk.done(), desk.told) == (0, [Told(reason, 25), Told("FINISH", 100)])


def test_a_cap_with_no_volume_is_told_once_the_window_is_old_enough_to_tell() -> None:
    desk = Desk()
    desk.feed(must(participation_cap=250_000))  # 25,000 are expected under it
    desk.run(102)
    assert (desk.done(), desk.told) == (0, [Told("CAP_BELOW_NEED", 25), Told("FINISH", 100)])


def test_a_cap_with_a_tenth_of_the_volume_expected_is_told_too() -> None:
    desk = Desk()
    desk.feed(must(participation_cap=10_000, order_qty=700))  # about 1,000 at the usual 1,000 a second
    for second in range(1, 30):
        desk.run(second)
        desk.print(100)
    assert desk.told == [Told("CAP_BELOW_NEED", 25)]


def test_an_order_that_nobody_fills_is_told_in_its_last_moment() -> None:
    desk = Desk()
    desk.answers = False
    desk.feed(must(end_ns=s(600)))
    desk.run(602)
    assert desk.told == [Told("LITTLE_TIME", 594), Told("FINISH", 600)], "the last moment is 12 s, half of it is left"


def test_a_book_too_thin_for_what_is_left_is_told_as_the_last_moment_begins() -> None:
    desk = Desk()
    desk.answers = False
    desk.feed(must(end_ns=s(600)))
    for second in range(1, 590):
        desk.feed(quote(second, qty=50))
        desk.run(second, quotes=False)
    assert desk.told == [Told("DEPTH_BELOW_NEED", 588)]


def test_an_end_between_two_ticks_is_told_with_it() -> None:
    desk = Desk()
    desk.feed(must(end_ns=s(100)))
    desk.run(50)
    desk.feed(status(SessionState.HALTED))
    desk.run(150, every=100)
    assert desk.told == [Told("NOT_WORKED", 150), Told("FINISH", 150)]


def test_a_bust_after_all_was_done_is_told() -> None:
    bench = Desk().bench
    bench.feed(must(order_qty=20))
    told: list[Record] = []
    for second in (50, 92):
        (out,) = [r for r in bench.tick(s(second)) if isinstance(r, Slice)]
        told += bench.feed(fill(FillKind.TRADE, out.slice_no, out.qty), fill(FillKind.RETURNED, out.slice_no, 0))
    told += bench.feed(fill(FillKind.BUST, out.slice_no, 5), fill(FillKind.BUST, out.slice_no, 5))
    assert [str(getattr(r, "reason", getattr(r, "kind", ""))) for r in told] == [SliceKind.FINISH, "TAKEN_BACK"]


@pytest.mark.parametrize("strategy", [Strategy.TWAP, Strategy.VWAP])
@pytest.mark.parametrize("side", BOTH_SIDES)
def test_an_order_that_goes_well_is_never_told(side: Side, strategy: Strategy) -> None:
    desk = Desk()
    desk.feed(must(side=side, strategy=strategy, end_ns=s(300)))
    desk.run(300)
    assert (desk.done(), desk.alerts()) == (1_000, [])


def test_best_effort_is_never_told() -> None:
    desk = Desk()
    desk.feed(parent(), status(SessionState.HALTED))
    desk.run(102)
    assert desk.told == [Told("FINISH", 100)]


def test_the_alert_is_a_whole_record() -> None:
    desk = Desk()
    desk.feed(must(), status(SessionState.HALTED))
    desk.run(25)
    (told,) = desk.bench.all(Alert)
    assert told == Alert(
        kind=AlertKind.COMPLETION_AT_RISK,
        instrument="X",
        subject_id="P1",
        reason="NOT_WORKED",
        text="1000 of 1000 left: it may not be worked now: the session, a halt, the desk or a stale hold forbids it "
        "(NO_OPEN_VENUE)",
        at_ns=s(25),
    )


EVENTS = (
    "halt",
    "open",
    "pause",
    "resume",
    "lock",
    "quote",
    "thin",
    "refuse",
    "fill",
    "close",
    "recall",
    "bust",
    "print",
)


@settings(deadline=None, max_examples=60)
@given(
    cap=st.sampled_from([0, 50_000, 900_000]),
    side=st.sampled_from(BOTH_SIDES),
    events=st.lists(st.tuples(st.integers(1, 40), st.sampled_from(EVENTS)), max_size=12),
    end_s=st.integers(5, 60),
    seed=st.integers(0, 100),
)
def test_no_must_order_ends_unfilled_without_having_been_told_once(
    cap: int, side: Side, events: list[tuple[int, str]], end_s: int, seed: int
) -> None:
    desk, draw = Desk(), Random(seed)
    desk.feed(must(side=side, participation_cap=cap, end_ns=s(end_s), order_qty=draw.choice([30, 1_000, 30_000])))
    due = sorted(events)
    for second in range(1, end_s + 3):
        while due and due[0][0] <= second:
            _happen(desk, due.pop(0)[1], second, side)
        desk.run(second, quotes=False)
    alerts, ended = desk.alerts(), [each for each in desk.told if each.name == "FINISH"]
    assert len(alerts) <= 1
    parent_ = desk.bench.state.parents.get("P1")
    # What is busted once it is over is the books' business: it was done when it ended.
    if ended and parent_ is None and desk.done_when_over < _asked(desk):
        assert alerts and desk.told.index(alerts[0]) < desk.told.index(ended[0])


def _asked(desk: Desk) -> int:
    return desk.slices[0].parent_order_qty if desk.slices else 1


def _happen(desk: Desk, event: str, second: int, side: Side) -> None:
    match event:
        case "halt" | "open" | "close":
            state = {"halt": SessionState.HALTED, "open": SessionState.OPEN, "close": SessionState.CLOSED}[event]
            stamp = s(second)
            desk.feed(VenueStatus(venue="V", instrument="X", state=state, event_ns=stamp, received_ns=stamp))
        case "pause":
            desk.feed(control(ControlKind.PAUSE))
        case "resume":
            desk.feed(control(ControlKind.RESUME))
        case "lock":
            desk.feed(quote(second, bid=10_000, offer=10_000))
        case "quote":
            desk.feed(quote(second))
        case "thin":
            level = (Level(px=100 * PX_ONE, qty=3),)
            shown = {"offers": level} if side is Side.BUY else {"bids": level}
            stamp = s(second)
            desk.feed(
                Depth(
                    kind=DepthKind.SNAPSHOT,
                    venue="V",
                    instrument="X",
                    event_ns=stamp,
                    received_ns=stamp,
                    event_no=second,
                    **shown,  # type: ignore[arg-type]
                )
            )
        case "refuse":
            desk.answers = False
        case "fill":
            desk.answers = True
        case "print":
            desk.print(500)
        case "recall":
            if "P1" in desk.bench.state.parents:
                desk.feed(msgspec.structs.replace(desk.bench.state.parents["P1"].order, kind=ParentKind.RECALL))
        case _:
            if desk.executed.get("P1"):
                _, qty = desk.executed["P1"].pop()
                desk.feed(fill(FillKind.BUST, 1, qty, side=side))
