"""The door: every record from outside passes its validator before any stage decides on it.

What is not believed is *set aside* by name: it is counted in the state of each stage that reads it, and the first
reader of its topic tells the desk, at once and then at most once in a while for each topic, reason and instrument. What
stands in its place is said by the validator: a quote's bad side is unknown, a depth is a gap, a print is left out.

Stamps are checked here, too. A sender's own time may lie before the moment at which the broker had the record (it was
under way, or waited) and never after it, beyond what clocks differ by: nothing could have happened later than it was
told. A record handed on in memory, or read before the first tick, has no such moment and is not checked for it; so no
stage may take an age below zero for an age (see ``pipeline.domain.times``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pipeline.domain.controls import Alert, AlertKind, Tick
from pipeline.domain.record import Record
from pipeline.domain.units import NS_PER_S, PPM_ONE
from pipeline.domain.validators.faults import Checked, Fault, SetAsideReason
from pipeline.domain.validators.table import Validator
from pipeline.parameters import Parameters, nanos
from pipeline.state import SetAside, State

ELSEWHERE: Final = "*"
"""The instrument under which records are counted once :data:`_KEYS_MOST` names have been seen."""
_KEYS_MOST: Final = 1_000
"""Rows of counts a state keeps: names from outside are without end."""


class DoorParameters(Parameters, frozen=True, kw_only=True):
    """The door: what every stage believes of records from outside."""

    clock_tolerance_ns: Annotated[
        int,
        nanos("How far a sender's stamp may lie after the moment at which the broker had the record, wall time."),
    ] = NS_PER_S
    alert_every_ns: Annotated[
        int, nanos("Shortest time between two alerts of one topic, reason and instrument, session time.", 1)
    ] = 60 * NS_PER_S


def admit(
    record: Record,
    validator: Validator,
    state: State,
    append_ns: int,
    not_understood: tuple[str, ...],
    parameters: DoorParameters,
) -> Checked[Record]:
    """The record as far as it may be believed, and its faults. ``append_ns``: the broker's, 0 when there is none."""
    if not_understood and not validator.holds(record):
        fault = Fault(SetAsideReason.NOT_UNDERSTOOD, f"not understood: {', '.join(not_understood)}")
        return Checked(validator.unknown(record), (fault,))
    checked: Checked[Record] = validator.check(record)
    if not validator.stamp or not append_ns or checked.record is None:
        return checked
    stamp_ns: int = getattr(record, validator.stamp)
    latest_ns = _latest_ns(record, state, append_ns, parameters.clock_tolerance_ns)
    if latest_ns is None or stamp_ns <= latest_ns:
        return checked
    text = f"{validator.stamp} {stamp_ns} is {(stamp_ns - latest_ns) / NS_PER_S:.3f} s after the latest time possible"
    fault = Fault(SetAsideReason.FUTURE_STAMP, text)
    return Checked(validator.untimed(checked.record, latest_ns), (*checked.faults, fault))


def _latest_ns(record: Record, state: State, append_ns: int, tolerance_ns: int) -> int | None:
    """The latest that a stamp of this record can be: when the broker had it, and a tolerance. None before any tick."""
    if isinstance(record, Tick):
        return append_ns + tolerance_ns  # its stamp is in wall time
    clock = state.clock
    if clock.now_ns == 0:
        return None
    return max(clock.now_ns, state.session_ns(append_ns)) + tolerance_ns * clock.rate // PPM_ONE


# ---------------------------------------------------------------------- counting and telling


def note(
    fault: Fault, record: Record, validator: Validator, state: State, parameters: DoorParameters, *, front: bool
) -> Iterator[Alert]:
    """Count a fault; yield the alert for the desk, if it is due and this is the first reader of the topic."""
    topic = validator.topic
    key = f"{topic}/{fault.reason}/{getattr(record, 'instrument', '')}"
    if key not in state.set_aside and len(state.set_aside) >= _KEYS_MOST:
        key = f"{topic}/{fault.reason}/{ELSEWHERE}"
    row = state.set_aside.get(key) or SetAside()
    row.count += 1
    row.text = f"{fault.text} ({_identity(record)})"
    row.effect = validator.effect
    if front and (row.told == 0 or state.now_ns - row.told_ns >= parameters.alert_every_ns):
        yield _told(key, row, state)
    state.set_aside.put(key, row)


def due_alerts(state: State, parameters: DoorParameters) -> Iterator[Alert]:
    """At a tick: the alerts of what was set aside since the last one was told, where one is due again."""
    for key in state.set_aside.keys():
        row = state.set_aside[key]
        if 0 < row.told < row.count and state.now_ns - row.told_ns >= parameters.alert_every_ns:
            yield _told(key, row, state)
            state.set_aside.put(key, row)


def _told(key: str, row: SetAside, state: State) -> Alert:
    topic, reason, instrument = key.split("/", 2)
    more = row.count - row.told
    row.told, row.told_ns = row.count, state.now_ns
    return Alert(
        kind=AlertKind.SET_ASIDE,
        instrument=instrument or ELSEWHERE,
        subject_id=topic,
        reason=reason,
        text=f"{more} of {topic} set aside, {row.count} in all; the last one: {row.text}. Effect: {row.effect}.",
        at_ns=state.now_ns,
        count=row.count,
    )


_IDENTITY: Final = (
    "feed", "venue", "print_id", "quote_no", "event_no", "wire_id", "exec_id", "control_id", "account", "scope",
    "scope_id", "rule_id", "effective_ns", "event_ns",
)  # fmt: skip


def _identity(record: Record) -> str:
    """What a person finds the record by."""
    names = [name for name in _IDENTITY if hasattr(record, name)]
    return ", ".join(f"{name} {getattr(record, name)}" for name in names) or type(record).__name__
