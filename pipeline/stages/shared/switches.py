"""The desk's switches inside a stage's state: what is killed, what is paused, which venues are blocked.

Used by every stage that accepts or sends orders. Each stage checks the scopes that make sense to it; cancels are never
checked. A switch stays until the desk lifts it: none expires.
"""

from __future__ import annotations

from typing import Final

from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, ControlScope
from pipeline.state import Entry, State

SWITCH_KINDS: Final = (
    ControlKind.KILL,
    ControlKind.PAUSE,
    ControlKind.RESUME,
    ControlKind.BLOCK_VENUE,
    ControlKind.UNBLOCK_VENUE,
)


_EVERY_VENUE: Final = ""
"""In the place of a venue's name: the block of every venue, which UNBLOCK_VENUE of ALL lifts."""


class Switch(Entry):
    """The switches of one scope, and the control that last changed them."""

    killed: bool = False
    paused: bool = False
    blocked: bool = False
    control_id: str = ""


class Switches:
    """Kill, pause and block by scope. Make one in the constructor of a :class:`State`; it keeps a table there."""

    def __init__(self, state: State) -> None:
        self._table = state.table("switches", Switch)

    def apply(self, control: Control) -> bool:
        """Apply a control; True when it changed something. Controls that are not switches change nothing.

        Stopping too much can be undone, stopping nothing cannot. So a KILL or PAUSE whose scope is unknown or not named
        counts as ALL, and a BLOCK_VENUE that names no venue as every venue. What lifts them, RESUME and UNBLOCK_VENUE,
        lifts exactly what it names, and nothing when that is not clear.
        """
        match control.kind:
            case ControlKind.KILL:
                return self._set(_stop_key(control), control, killed=True)
            case ControlKind.PAUSE:
                return self._set(_stop_key(control), control, paused=True)
            case ControlKind.RESUME:
                if control.scope is ControlScope.ALL and control.scope_id:
                    return False
                return self._set(_key(control.scope, control.scope_id), control, killed=False, paused=False)
            case ControlKind.BLOCK_VENUE:
                venue = control.scope_id if _names_a_venue(control) else _EVERY_VENUE
                return self._set(_key(ControlScope.VENUE, venue), control, blocked=True)
            case ControlKind.UNBLOCK_VENUE:
                if not _names_a_venue(control) and control.scope is not ControlScope.ALL:
                    return False
                return self._set(_key(ControlScope.VENUE, control.scope_id), control, blocked=False)
            case _:
                return False

    def killed(
        self,
        *,
        instrument: str | None = None,
        source: str | None = None,
        account: str | None = None,
        parent: str | None = None,
        venue: str | None = None,
    ) -> bool:
        """Whether any of these, or everything, is killed."""
        return bool(len(self._table)) and any(
            switch.killed for switch in self._of(instrument, source, account, parent, venue)
        )

    def paused(
        self,
        *,
        instrument: str | None = None,
        source: str | None = None,
        account: str | None = None,
        parent: str | None = None,
        venue: str | None = None,
    ) -> bool:
        """Whether any of these, or everything, is paused. A kill does not count as a pause: check both."""
        return bool(len(self._table)) and any(
            switch.paused for switch in self._of(instrument, source, account, parent, venue)
        )

    def party_stopped(self, source: str, account: str) -> bool:
        """Whether this source or account itself is killed or paused; a stop of everything does not count here."""
        keys = (_key(ControlScope.SOURCE, source), _key(ControlScope.ACCOUNT, account)) if len(self._table) else ()
        return any(switch.killed or switch.paused for key in keys if (switch := self._table.get(key)) is not None)

    def venue_blocked(self, venue: str) -> bool:
        """Whether the desk has blocked this venue. A kill of the venue is a different switch: see :meth:`killed`."""
        if not len(self._table):
            return False
        blocks = (self._table.get(_key(ControlScope.VENUE, code)) for code in (venue, _EVERY_VENUE))
        return any(switch is not None and switch.blocked for switch in blocks)

    def _of(
        self, instrument: str | None, source: str | None, account: str | None, parent: str | None, venue: str | None
    ) -> list[Switch]:
        named = (
            (ControlScope.INSTRUMENT, instrument),
            (ControlScope.SOURCE, source),
            (ControlScope.ACCOUNT, account),
            (ControlScope.PARENT, parent),
            (ControlScope.VENUE, venue),
        )
        keys = [_key(ControlScope.ALL, "")] + [_key(scope, scope_id) for scope, scope_id in named if scope_id]
        return [switch for key in keys if (switch := self._table.get(key)) is not None]

    def _set(
        self,
        key: str,
        control: Control,
        *,
        killed: bool | None = None,
        paused: bool | None = None,
        blocked: bool | None = None,
    ) -> bool:
        old = self._table.get(key) or Switch()
        new = Switch(
            old.killed if killed is None else killed,
            old.paused if paused is None else paused,
            old.blocked if blocked is None else blocked,
            control.control_id,
        )
        if (new.killed, new.paused, new.blocked) == (old.killed, old.paused, old.blocked):
            return False
        if new.killed or new.paused or new.blocked:
            self._table.put(key, new)
        else:
            self._table.remove(key)
        return True


def _key(scope: ControlScope, scope_id: str) -> str:
    return scope.value if scope is ControlScope.ALL else f"{scope.value}/{scope_id}"


def _names_a_venue(control: Control) -> bool:
    """ALL is the scope of a sender who did not set it; the name of something else is no venue's name."""
    return control.scope_id != "" and control.scope in (ControlScope.VENUE, ControlScope.ALL)


def _stop_key(control: Control) -> str:
    understood = control.scope is not ControlScope.UNKNOWN and control.scope is not ControlScope.CHILD
    if not understood or not control.scope_id:
        return _key(ControlScope.ALL, "")
    return _key(control.scope, control.scope_id)


def not_known(control: Control, at_ns: int) -> Alert:
    """What the desk is told of a control that names a parent or child that is not there (any more)."""
    return Alert(
        kind=AlertKind.BREAK,
        instrument=control.scope_id,
        subject_id=control.control_id,
        reason="UNKNOWN_SCOPE_ID",
        text=f"{control.kind} by {control.who}: no {control.scope} {control.scope_id!r} is known, or it is over. "
        f"Nothing was done",
        at_ns=at_ns,
    )
