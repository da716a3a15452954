"""The stale hold: an outage starts it, a short gap does not, and only the desk's release ends it."""

from __future__ import annotations

from pipeline.domain.controls import Control, ControlKind, ControlScope, Resumed, Tick, TickKind
from pipeline.domain.reference import Limit, LimitScope, ReferenceKind
from pipeline.domain.units import NS_PER_S
from pipeline.stages.shared import reference_data
from pipeline.stages.shared.stale_hold import StaleHold
from pipeline.state import State, Task

S = NS_PER_S


class Some(State):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.limits = reference_data.limits(self)
        self.stale = StaleHold(self, self.limits, 30 * S)

    def tick(self, wall_s: int, now_s: int | None = None) -> bool:
        tick = Tick(
            kind=TickKind.TICK,
            now_ns=(wall_s if now_s is None else now_s) * S,
            wall_ns=wall_s * S,
            trade_date=20260105,
        )
        entered = self.stale.on_tick(tick)
        self.apply_tick(tick)
        return entered

    def resume(self, wall_s: int) -> bool:
        return self.stale.on_resumed(Resumed(wall_ns=wall_s * S))

    def limit(self, max_backlog_s: int | None, effective_s: int = 0, kind: ReferenceKind = ReferenceKind.SET) -> None:
        self.limits.put(
            Limit(
                kind=kind,
                scope=LimitScope.FIRM,
                effective_ns=effective_s * S,
                max_backlog_ns=None if max_backlog_s is None else max_backlog_s * S,
            ),
            self.now_ns,
        )

    def release(self, scope: ControlScope = ControlScope.ALL, scope_id: str = "") -> bool:
        return self.stale.release(
            Control(
                kind=ControlKind.RELEASE_STALE,
                control_id="C",
                scope=scope,
                scope_id=scope_id,
                who="desk",
                why="looked at it",
                at_ns=0,
            )
        )


def some() -> Some:
    return Some(Task("some", 0, 1))


def test_the_first_tick_ever_and_short_gaps_do_not_hold() -> None:
    state = some()
    assert not state.tick(1_000)
    assert not state.tick(1_030)  # exactly the limit is not beyond it
    assert not state.resume(1_060)
    assert not state.tick(1_060)
    assert not state.stale.holds("A")


def test_a_gap_between_ticks_holds_once_until_released() -> None:
    state = some()
    state.tick(1_000)
    assert state.tick(1_031)
    assert state.stale.holds("A") and state.stale.holds("B")
    assert not state.tick(1_100), "the alert is given once"
    assert state.release()
    assert not state.stale.holds("A")
    assert not state.tick(1_101)
    assert not state.release(), "nothing left to release"


def test_wall_time_counts_and_not_session_time() -> None:
    state = some()
    state.tick(1_000, now_s=50_000)
    assert not state.tick(1_001, now_s=59_000)  # a recorded day, far ahead
    assert state.tick(1_040, now_s=59_001)


def test_an_outage_that_ends_with_a_restart_holds_and_its_release_stands() -> None:
    state = some()
    state.tick(1_000)
    assert state.resume(1_400)
    assert state.stale.holds("A")
    assert state.release()  # the control overtakes the backlog
    for wall_s in (1_001, 1_200, 1_399, 1_400, 1_401):
        assert not state.tick(wall_s), wall_s
    assert not state.stale.holds("A")


def test_a_backlog_after_a_restart_holds_though_no_two_ticks_are_far_apart() -> None:
    state = some()
    assert not state.resume(1_400)  # a first start: no tick was ever applied
    assert state.tick(1_000)
    assert not state.tick(1_010)
    assert not state.tick(1_400)
    assert state.stale.holds("A"), "caught up is not released"
    assert state.release()
    assert not state.stale.holds("A")


def test_a_start_with_no_backlog_does_not_hold() -> None:
    state = some()
    assert not state.resume(1_400)
    assert not state.tick(1_399)
    assert not state.tick(1_410)
    assert not state.stale.holds("A")


def test_a_gap_after_a_restart_holds_too() -> None:
    state = some()
    state.tick(1_000)
    assert not state.resume(1_005)
    assert state.tick(1_050)


def test_one_instrument_can_be_released_alone() -> None:
    state = some()
    state.tick(1_000)
    state.resume(1_400)
    assert state.release(ControlScope.INSTRUMENT, "A")
    assert not state.stale.holds("A") and state.stale.holds("B")
    assert not state.tick(1_001), "still the same outage"
    assert not state.stale.holds("A")
    assert not state.release(ControlScope.INSTRUMENT, "A")
    state.tick(1_401)
    assert state.tick(1_500), "another outage holds the released instrument again"
    assert state.stale.holds("A")


def test_a_restart_after_another_outage_holds_what_was_released_of_the_first() -> None:
    state = some()
    state.tick(1_000)
    state.resume(1_400)
    state.release(ControlScope.INSTRUMENT, "A")
    state.tick(1_401)
    assert state.resume(1_600)
    assert state.stale.holds("A")


def test_the_limit_in_force_overrides_the_default() -> None:
    state = some()
    state.tick(1_000)
    state.limit(5)
    assert state.tick(1_010)


def test_without_a_firm_limit_on_the_backlog_the_default_holds() -> None:
    state = some()
    state.tick(1_000)
    state.limit(None)
    assert not state.tick(1_010)
    state.limit(5, effective_s=2_000)
    assert not state.tick(1_020), "a limit that is yet to come does not bind"
    state.limit(5, kind=ReferenceKind.REMOVE)
    assert not state.tick(1_030)
    assert state.tick(1_061)


def test_the_hold_survives_a_restore() -> None:
    state = some()
    state.tick(1_000)
    state.resume(1_400)
    state.release(ControlScope.INSTRUMENT, "A")
    restored = some()
    for key, value in dict(state.drain()).items():
        restored.load(key, value)
    assert restored.digest() == state.digest()
    assert not restored.stale.holds("A") and restored.stale.holds("B")
