"""Looks whether the desk was told of every kind of record that no stage can have believed.

By the same validators as the door's, but of the records alone: what a stage's clock or a newer contract makes of one is
not judged here. The first fault of each topic, reason and instrument is told at once, so there must be an alert of it.
"""

from __future__ import annotations

from pipeline.audit.line import Line
from pipeline.domain.audit import DeadLetter
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.record import Record
from pipeline.domain.validators.table import VALIDATORS
from pipeline.door import ELSEWHERE

_Fault = tuple[str, str, str]
"""Topic, reason and instrument of a fault."""


class AsideBooks:
    """A few names for each kind of fault."""

    def __init__(self) -> None:
        self._found: dict[_Fault, None] = {}
        self._told: dict[_Fault, None] = {}
        self._letters: dict[tuple[str, str], None] = {}
        """Topic and key of what became a dead letter: no stage was given it."""

    def on_record(self, record: Record) -> None:
        """Enter any record; those that do not come from outside are ignored."""
        validator = VALIDATORS.get(type(record))
        if validator is None:
            return
        for fault in validator.check(record).faults:
            instrument = getattr(record, "instrument", "") or ELSEWHERE
            self._found[validator.topic, str(fault.reason), instrument] = None

    def on_alert(self, alert: Alert) -> None:
        """Enter an alert; SET_ASIDE names a topic, a reason and an instrument."""
        if alert.kind is AlertKind.SET_ASIDE:
            self._told[alert.subject_id, alert.reason, alert.instrument] = None

    def on_letter(self, letter: DeadLetter) -> None:
        """Enter a dead letter: a record on a partition that is not its key's, or that the desk had skipped, passes no
        door; the letter tells of it, whatever else is wrong with it."""
        self._letters[letter.topic, (letter.key or b"").decode(errors="replace") or ELSEWHERE] = None

    def line(self) -> Line:
        """Kinds of faults found, and those of them that the desk was told of."""
        told = sum(
            (topic, reason, instrument) in self._told
            or (topic, reason, ELSEWHERE) in self._told
            or (topic, instrument) in self._letters
            for topic, reason, instrument in self._found
        )
        return Line("kinds of faults in records from outside, and told to the desk", len(self._found), told)
