"""A finding of an audit: one mismatch, where it is, and both values, short enough for a line."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

SHOWN_MAX: Final = 20
"""Findings kept of one task or topic partition; the others are only counted."""
_VALUE_MAX: Final = 100
"""Characters of a value that are shown."""


class FindingKind(StrEnum):
    """What is wrong, as the report says it."""

    CHAIN = "the journal's chain is broken"
    ENTRY = "the journal says otherwise"
    INPUT_MISSING = "an input is not there any more"
    INPUT_PASSED = "an input is there that the task never read"
    OUTPUT_DIFFERS = "a record is not what the stage decides"
    OUTPUT_MISSING = "a record the stage decides is not there"
    OUTPUT_UNEXPLAINED = "a record is there that no journal entry explains"
    RAISED = "the stage raises on what it applied live"
    FORGED = "a record is there that no stage can have written"
    ORDER = "a writer's records are not numbered one after the other"
    PARAMETERS = "recorded with other parameters"
    SCHEMA = "written under another schema"
    SEAL = "the log is not what was sealed"
    CUT_OFF = "the log ends before what was sealed"


class Finding(NamedTuple):
    """One mismatch, and where it is.

    ``writer``: the task, or for a seal's finding the seal's name. ``offset`` is -1 where none applies, ``entry_no`` (of
    the journal) 0 where none does.
    """

    kind: FindingKind
    writer: str
    entry_no: int
    topic: str
    partition: int
    offset: int
    field: str
    recorded: str
    replayed: str
    """What it should be: the value replayed, required by the contract, or sealed."""

    def __str__(self) -> str:
        where = f"{self.topic}/{self.partition}" + (f"/{self.offset}" if self.offset >= 0 else "")
        due = "sealed" if self.kind in (FindingKind.SEAL, FindingKind.CUT_OFF) else "replayed"
        if self.kind in (FindingKind.FORGED, FindingKind.ORDER, FindingKind.SCHEMA):
            due = "due"
        elif self.kind is FindingKind.PARAMETERS:
            due = "replayed with"
        entry = f", journal entry {self.entry_no}" if self.entry_no else ""
        by = f"seal {self.writer}" if due == "sealed" else f"task {self.writer}{entry}"
        return f"{self.kind.value}: {where}, field {self.field}: recorded {self.recorded}, {due} {self.replayed} ({by})"


class Findings:
    """The first findings, and how many there were."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Count ``finding``, and keep it while fewer than SHOWN_MAX are kept."""
        self.count += 1
        if len(self.kept) < SHOWN_MAX:
            self.kept.append(finding)


def shortened(was: object, now: object) -> tuple[str, str]:
    """Two values as text; of long ones the part around their first difference, and where in the text that is."""
    left, right = repr(was), repr(now)
    if len(left) <= _VALUE_MAX and len(right) <= _VALUE_MAX:
        return left, right
    shorter = min(len(left), len(right))
    at = next((i for i in range(shorter) if left[i] != right[i]), shorter)
    first = max(0, at - _VALUE_MAX // 4)
    return _window(left, first), _window(right, first)


def short_bytes(value: bytes) -> str:
    """Bytes as hexadecimal digits, the beginning of them."""
    text = value.hex()
    return text if len(text) <= 80 else f"{text[:77]}..."


def _window(text: str, first: int) -> str:
    part = text[first : first + _VALUE_MAX]
    return f"{'…' if first else ''}{part}{'…' if first + _VALUE_MAX < len(text) else ''}" + (
        f" (from character {first})" if first else ""
    )
