"""Switches: what the desk stops is stopped, in its scope and nowhere else, and over a restore."""

from __future__ import annotations

import pytest

from pipeline.domain.controls import Control, ControlKind, ControlScope
from pipeline.stages.shared.switches import Switches
from pipeline.state import State, Task


class Some(State):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.switches = Switches(self)


def some() -> Some:
    return Some(Task("some", 0, 1))


def control(kind: ControlKind, scope: ControlScope = ControlScope.ALL, scope_id: str = "") -> Control:
    return Control(kind=kind, control_id="C1", scope=scope, scope_id=scope_id, who="desk", why="test", at_ns=1)


K, S = ControlKind, ControlScope


@pytest.mark.parametrize(
    ("scope", "scope_id", "asked", "killed"),
    [
        (S.ALL, "", {}, True),
        (S.ALL, "", {"instrument": "A"}, True),
        (S.INSTRUMENT, "A", {"instrument": "A"}, True),
        (S.INSTRUMENT, "A", {"instrument": "B"}, False),
        (S.INSTRUMENT, "A", {}, False),
        (S.INSTRUMENT, "A", {"source": "A"}, False),  # scopes do not share names
        (S.SOURCE, "s", {"source": "s", "account": "x"}, True),
        (S.ACCOUNT, "x", {"source": "s", "account": "x"}, True),
        (S.PARENT, "P0-1", {"parent": "P0-1", "instrument": "A"}, True),
        (S.VENUE, "V", {"venue": "V"}, True),
        (S.UNKNOWN, "?", {"instrument": "A"}, True),  # not understood: stop too much rather than nothing
        (S.INSTRUMENT, "", {"instrument": "A"}, True),  # unnamed: the same
    ],
)
def test_a_kill_and_a_pause_stop_their_scope(
    scope: ControlScope, scope_id: str, asked: dict[str, str], killed: bool
) -> None:
    state = some()
    assert state.switches.apply(control(K.KILL, scope, scope_id))
    assert state.switches.killed(**asked) is killed
    assert not state.switches.paused(**asked)
    state = some()
    assert state.switches.apply(control(K.PAUSE, scope, scope_id))
    assert state.switches.paused(**asked) is killed
    assert not state.switches.killed(**asked)


def test_resume_lifts_kill_and_pause_of_its_own_scope_only() -> None:
    state = some()
    for kind in (K.KILL, K.PAUSE):
        state.switches.apply(control(kind, S.INSTRUMENT, "A"))
    assert not state.switches.apply(control(K.RESUME, S.ALL))
    assert state.switches.killed(instrument="A") and state.switches.paused(instrument="A")
    assert state.switches.apply(control(K.RESUME, S.INSTRUMENT, "A"))
    assert not state.switches.killed(instrument="A") and not state.switches.paused(instrument="A")


def test_resume_of_one_instrument_does_not_lift_a_kill_of_all() -> None:
    state = some()
    state.switches.apply(control(K.KILL))
    state.switches.apply(control(K.RESUME, S.INSTRUMENT, "A"))
    assert state.switches.killed(instrument="A")


def test_a_blocked_venue_stays_blocked_when_its_kill_is_resumed() -> None:
    state = some()
    assert state.switches.apply(control(K.BLOCK_VENUE, S.VENUE, "V"))
    assert not state.switches.apply(control(K.BLOCK_VENUE, S.VENUE, "V"))  # nothing new
    state.switches.apply(control(K.KILL, S.VENUE, "V"))
    state.switches.apply(control(K.RESUME, S.VENUE, "V"))
    assert state.switches.venue_blocked("V") and not state.switches.venue_blocked("W")
    assert state.switches.apply(control(K.UNBLOCK_VENUE, S.VENUE, "V"))
    assert not state.switches.venue_blocked("V")


def test_other_controls_are_no_switches() -> None:
    state = some()
    assert not state.switches.apply(control(K.RELEASE_STALE))
    assert len(state) == 0


def test_switches_survive_a_restore() -> None:
    state = some()
    state.switches.apply(control(K.KILL, S.INSTRUMENT, "A"))
    state.switches.apply(control(K.BLOCK_VENUE, S.VENUE, "V"))
    state.switches.apply(control(K.PAUSE))
    state.switches.apply(control(K.RESUME))
    changelog = dict(state.drain())
    restored = some()
    for key, value in changelog.items():
        restored.load(key, value)
    assert restored.switches.killed(instrument="A")
    assert restored.switches.venue_blocked("V")
    assert not restored.switches.paused(instrument="A")
    assert restored.digest() == state.digest()
