"""F: a control that is not understood stops too much rather than nothing, and lifts nothing rather than too much.

And K: a control that names what nobody knows is told to the desk, which believes that something was stopped.
"""

from __future__ import annotations

import pytest

from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, ControlScope
from pipeline.stages.intake.stage import IntakeStage
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


@pytest.mark.parametrize("kind", SWITCH_KINDS)
@pytest.mark.parametrize(
    "scope", [ControlScope.SOURCE, ControlScope.ACCOUNT, ControlScope.INSTRUMENT, ControlScope.VENUE]
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
