"""F: a control that is not understood stops too much rather than nothing, and lifts nothing rather than too much.

And K: a control that names what nobody knows is told to the desk, which believes that something was stopped.
"""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, ControlScope
from pipeline.stage import Stage
from pipeline.stages.allocation.stage import AllocationStage
from pipeline.stages.intake.stage import IntakeStage
from pipeline.stages.netting.stage import NettingStage
from pipeline.stages.routing.stage import RoutingStage
from pipeline.stages.shared.switches import SWITCH_KINDS, Switches
from pipeline.state import State, Task
from tests.stage_bench import Bench
from tests.unit.stages.intake.intake_bench import NOW, REFERENCE, bench, control


def switches(*given: tuple[ControlKind, ControlScope, str]) -> Switches:
    made = Switches(State(Task("any", 0, 1)))
    for kind, scope, scope_id in given:
        made.apply(control(kind, scope, scope_id))
    return made


@pytest.mark.parametrize("kind", [ControlKind.KILL, ControlKind.PAUSE])
@pytest.mark.parametrize("scope", list(ControlScope))
@pytest.mark.parametrize("scope_id", ["", "X"])
def test_a_stop_of_any_scope_stops_at_least_what_it_names(
    kind: ControlKind, scope: ControlScope, scope_id: str
) -> None:
    made = switches((kind, scope, scope_id))
    named = {"INSTRUMENT": "instrument", "SOURCE": "source", "ACCOUNT": "account", "PARENT": "parent", "VENUE": "venue"}
    looks = made.killed if kind is ControlKind.KILL else made.paused
    if scope.value in named and scope_id:
        assert looks(**{named[scope.value]: scope_id})
        assert not looks(instrument="other", source="other", account="other", parent="other", venue="other")
    else:
        assert looks(instrument="other"), "what it names is not clear: everything"


@pytest.mark.parametrize("scope", list(ControlScope))
@pytest.mark.parametrize("scope_id", ["", "XBAT"])
def test_a_block_that_names_no_venue_blocks_every_venue(scope: ControlScope, scope_id: str) -> None:
    made = switches((ControlKind.BLOCK_VENUE, scope, scope_id))
    assert made.venue_blocked("XBAT")
    is_named = scope_id != "" and scope in (ControlScope.VENUE, ControlScope.ALL)
    assert made.venue_blocked("XNAS") is not is_named


@pytest.mark.parametrize("scope", list(ControlScope))
@pytest.mark.parametrize("scope_id", ["", "XBAT"])
def test_what_lifts_lifts_what_it_names_and_nothing_else(scope: ControlScope, scope_id: str) -> None:
    made = switches(
        (ControlKind.KILL, ControlScope.ALL, ""),
        (ControlKind.KILL, ControlScope.VENUE, "XBAT"),
        (ControlKind.BLOCK_VENUE, ControlScope.VENUE, ""),
        (ControlKind.RESUME, scope, scope_id),
    )
    assert made.killed(instrument="other") is not (scope is ControlScope.ALL and scope_id == "")
    blocked = switches(
        (ControlKind.BLOCK_VENUE, ControlScope.VENUE, ""),
        (ControlKind.BLOCK_VENUE, ControlScope.VENUE, "XBAT"),
        (ControlKind.UNBLOCK_VENUE, scope, scope_id),
    )
    assert blocked.venue_blocked("XNAS") is not (scope is ControlScope.ALL and scope_id == "")
    assert blocked.venue_blocked("XBAT")


def test_a_block_of_every_venue_is_lifted_by_its_own_word_and_leaves_a_venues_own() -> None:
    made = switches(
        (ControlKind.BLOCK_VENUE, ControlScope.VENUE, ""),
        (ControlKind.BLOCK_VENUE, ControlScope.VENUE, "XBAT"),
        (ControlKind.UNBLOCK_VENUE, ControlScope.ALL, ""),
    )
    assert made.venue_blocked("XBAT") and not made.venue_blocked("XNAS")


# ---------------------------------------------------------------- names that nobody knows


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        (kind, scope)
        for kind in SWITCH_KINDS
        for scope in (ControlScope.SOURCE, ControlScope.ACCOUNT, ControlScope.INSTRUMENT, ControlScope.VENUE)
        if kind is not ControlKind.UNBLOCK_VENUE or scope is ControlScope.VENUE
    ],
)
def test_a_switch_of_what_nobody_knows_is_set_and_told_once(kind: ControlKind, scope: ControlScope) -> None:
    made = bench()
    (alert,) = made.feed(control(kind, scope, "NOBODY"))
    assert alert == Alert(
        kind=AlertKind.BREAK,
        instrument="NOBODY",
        subject_id="K1",
        reason="UNKNOWN_SCOPE_ID",
        text=f"{kind} by desk: no {scope} 'NOBODY' is known now. The switch is set, for when it comes; if the name is "
        "a slip, nothing was changed yet",
        at_ns=NOW,
    )
    other = Bench(IntakeStage(), 1, 2)
    other.feed(*REFERENCE)
    assert other.feed(control(kind, scope, "NOBODY")) == [], "one partition tells it for all"


@pytest.mark.parametrize(
    ("scope", "scope_id"),
    [
        (ControlScope.SOURCE, "S1"),
        (ControlScope.ACCOUNT, "A1"),
        (ControlScope.INSTRUMENT, "AMZN"),
        (ControlScope.VENUE, "XNAS"),
        (ControlScope.ALL, ""),
        (ControlScope.PARENT, "intake knows no parents"),
    ],
)
def test_a_switch_of_what_is_known_is_no_news(scope: ControlScope, scope_id: str) -> None:
    made = bench()
    assert made.feed(control(ControlKind.KILL, scope, scope_id)) == []


def test_what_is_no_switch_is_not_looked_at() -> None:
    made = bench()
    release = Control(
        kind=ControlKind.RELEASE_WINDOW, control_id="K2", scope=ControlScope.INSTRUMENT, scope_id="NOBODY", who="ann",
        why="x", at_ns=NOW,
    )  # fmt: skip
    assert made.feed(release) == []


# ---------------------------------------------------------------- nothing is dropped without a name


@pytest.mark.parametrize(
    ("kind", "scope", "scope_id", "reason"),
    [
        (ControlKind.RESUME, ControlScope.UNKNOWN, "x", "CONTRADICTION"),
        (ControlKind.RESUME, ControlScope.SOURCE, "", "MISSING_NAME"),
        (ControlKind.RESUME, ControlScope.ALL, "S1", "CONTRADICTION"),
        (ControlKind.UNBLOCK_VENUE, ControlScope.SOURCE, "S1", "CONTRADICTION"),
        (ControlKind.UNBLOCK_VENUE, ControlScope.VENUE, "", "MISSING_NAME"),
        (ControlKind.CANCEL_PARENT, ControlScope.UNKNOWN, "P0-1", "CONTRADICTION"),
        (ControlKind.CANCEL_PARENT, ControlScope.CHILD, "P0-1", "CONTRADICTION"),
        (ControlKind.CANCEL_PARENT, ControlScope.PARENT, "", "MISSING_NAME"),
        (ControlKind.RELEASE_STALE, ControlScope.SOURCE, "S1", "CONTRADICTION"),
        (ControlKind.RELEASE_WINDOW, ControlScope.PARENT, "P0-1", "CONTRADICTION"),
        (ControlKind.DECLARE_DEAD, ControlScope.PARENT, "P0-1", "CONTRADICTION"),
        (ControlKind.DECLARE_FILLED, ControlScope.CHILD, "", "MISSING_NAME"),
        (ControlKind.BREAK_ALLOCATION, ControlScope.ALL, "", "CONTRADICTION"),
        (ControlKind.SKIP, ControlScope.ALL, "", "MISSING_NAME"),
    ],
)
def test_a_control_that_can_do_nothing_is_set_aside_by_name(
    kind: ControlKind, scope: ControlScope, scope_id: str, reason: str
) -> None:
    (alert,) = bench().feed(control(kind, scope, scope_id))
    assert isinstance(alert, Alert)
    assert (alert.kind, alert.subject_id, alert.reason) == (AlertKind.SET_ASIDE, "controls", reason)


def told(stage: Stage[Any], partition: int, record: Control) -> list[tuple[str, str]]:
    made: Bench[Any] = Bench(stage, partition, 3)
    return [(alert.reason, alert.subject_id) for alert in made.feed(record) if isinstance(alert, Alert)]


@pytest.mark.parametrize(
    ("stage", "kind", "scope"),
    [
        (NettingStage(), ControlKind.CANCEL_PARENT, ControlScope.PARENT),
        (RoutingStage(), ControlKind.DECLARE_DEAD, ControlScope.CHILD),
        (AllocationStage(), ControlKind.BREAK_ALLOCATION, ControlScope.PARENT),
    ],
)
@pytest.mark.parametrize(
    ("scope_id", "answers"),
    [("P2-17", 2), ("P2-17/3.1", 2), ("P0-1", 0), ("P9-1", 0), ("rubbish", 0), ("P\u0662-1", 0)],
)
def test_a_control_of_a_parent_or_child_that_is_not_there_is_answered_by_one_task(
    stage: Stage[Any], kind: ControlKind, scope: ControlScope, scope_id: str, answers: int
) -> None:
    asked = control(kind, scope, scope_id)
    assert [told(stage, partition, asked) for partition in range(3)] == [
        [("UNKNOWN_SCOPE_ID", "K1")] if partition == answers else [] for partition in range(3)
    ]


def test_changing_a_parent_is_not_built_and_the_desk_is_told_so() -> None:
    asked = control(ControlKind.CHANGE_PARENT, ControlScope.PARENT, "P2-17")
    assert [told(IntakeStage(), partition, asked) for partition in range(3)] == [
        [("CHANGE_PARENT_NOT_BUILT", "K1")], [], [],
    ]  # fmt: skip
