"""The stale hold: after an outage nothing new is sent until the desk releases it.

No order is lost in an outage, but orders that were due during it must not all go out at once, into a market that has
moved. Wall times are compared, never session times: a recorded day may run at any pace. Times come from ticks and from
the host's :class:`Resumed`; a stage has no clock of its own. Cancels, and whatever else only reduces exposure, pass.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.domain.controls import Control, ControlKind, ControlScope, Resumed, Tick
from pipeline.domain.reference import Limit, LimitScope
from pipeline.stages.shared.reference_data import Effective, limit_key
from pipeline.state import Entry, State

_KEY: Final = ""


class Stale(Entry):
    """Whether the hold is on, and the wall times it is judged by."""

    held: bool = False
    resumed_wall_ns: int = 0
    """Wall time of the host's latest (re)start."""
    catching_up: bool = False
    """Since the last restart the ticks have not caught up with it, nor has the desk released ALL: they are backlog."""
    released: list[str] = msgspec.field(default_factory=list)
    """Instruments released one by one during this hold, sorted."""


class StaleHold:
    """The hold of a task. Make one in the constructor of a :class:`State`; it keeps a table there.

    How old a backlog may be, wall time, is what the FIRM limit in force says (``limits``: the state's own), else
    ``default_max_backlog_ns``. Call :meth:`on_tick` **before** ``state.apply_tick``: it compares with the last applied
    tick.
    """

    def __init__(self, state: State, limits: Effective[Limit], default_max_backlog_ns: int) -> None:
        self._state = state
        self._limits = limits
        self._table = state.table("stale", Stale)
        self._default_max_backlog_ns = default_max_backlog_ns

    def max_backlog_ns(self) -> int:
        """How old a backlog may be at the moment, wall time."""
        firm = self._limits.get(limit_key(LimitScope.FIRM), self._state.now_ns)
        most_ns = None if firm is None else firm.max_backlog_ns
        return self._default_max_backlog_ns if most_ns is None else most_ns

    def on_tick(self, tick: Tick) -> bool:
        """True when this tick begins a hold (alert once); False when none begins or one is already on."""
        most_ns = self.max_backlog_ns()
        stale = self._table.get(_KEY) or Stale()
        last_wall_ns = self._state.clock.wall_ns
        # An outage that ended with a Resumed was judged there: counting its gap here again would undo a release.
        known_ns = max(last_wall_ns, stale.resumed_wall_ns)
        gap = last_wall_ns > 0 and tick.wall_ns - known_ns > most_ns
        behind = stale.catching_up and tick.wall_ns < stale.resumed_wall_ns - most_ns
        if stale.catching_up and not behind:
            stale.catching_up = False
            self._table.put(_KEY, stale)
        return self._enter(stale, anew=gap) if gap or behind else False

    def on_resumed(self, resumed: Resumed) -> bool:
        """True when this (re)start begins a hold: the last tick applied is too old."""
        stale = self._table.get(_KEY) or Stale()
        last_wall_ns = self._state.clock.wall_ns
        gap = last_wall_ns > 0 and resumed.wall_ns - last_wall_ns > self.max_backlog_ns()
        stale.resumed_wall_ns = resumed.wall_ns
        stale.catching_up = True
        self._table.put(_KEY, stale)
        return self._enter(stale, anew=True) if gap else False

    def release(self, control: Control) -> bool:
        """The desk's RELEASE_STALE for ALL or for an INSTRUMENT; True when it released something."""
        if control.kind is not ControlKind.RELEASE_STALE:
            return False
        stale = self._table.get(_KEY)
        if stale is None or not stale.held:
            return False
        if control.scope is ControlScope.ALL:
            stale.held = False
            stale.catching_up = False
            stale.released = []
        elif control.scope is ControlScope.INSTRUMENT and control.scope_id and control.scope_id not in stale.released:
            stale.released = sorted([*stale.released, control.scope_id])
        else:
            return False
        self._table.put(_KEY, stale)
        return True

    def holds(self, instrument: str) -> bool:
        """Whether the hold is on for ``instrument``: nothing new may be sent."""
        stale = self._table.get(_KEY)
        return stale is not None and stale.held and instrument not in stale.released

    def _enter(self, stale: Stale, *, anew: bool) -> bool:
        if stale.held and not (anew and stale.released):
            return False  # on already; or the same outage, in which instruments the desk released stay released
        stale.held = True
        stale.released = []
        self._table.put(_KEY, stale)
        return True
