"""The desk's tables: totals, and one window per minute of session time, of one partition of one topic. Pure.

A :class:`PartitionTables` depends only on how far its partition's committed records were read, not on who read them,
how often, or from where. It skips what it has counted (by offset, and by each writer's sequence); it notices what it
misses (a gap in a writer's sequence) and asks to be rebuilt from the topic's beginning. Each worker has the tables of
its partitions; :mod:`pipeline.desk.board` adds up those of all workers.

Windows are plain tables keyed by (minute of the event, cell): late records go where they belong, and nothing expires by
a clock.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any, Final, NamedTuple

from pipeline.desk.measures import Amounts, Cell, Memory, changes_of
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.record import Owned, Record
from pipeline.topics import ALERTS, BARS, CROSSES, FILLS, ORDER_EVENTS, ORDERS, VENUE_REPORTS, Topic

TOPICS: Final[tuple[Topic, ...]] = (ORDERS, ORDER_EVENTS, FILLS, CROSSES, VENUE_REPORTS, BARS, ALERTS)
"""The topics that the desk counts."""

MINUTE_NS: Final = 60_000_000_000
MINUTES_KEPT: Final = 1_000
"""Windows kept per partition: more than two trading days. Older ones are dropped; the totals still contain them."""
ALERTS_KEPT: Final = 200


class RecordOutcome(Enum):
    """What was done with a record."""

    APPLIED = "applied"
    SKIPPED = "had it"
    GAP = "something before it is missing"


class Hole(NamedTuple):
    """Records of a writer that were missing when a later one of it came."""

    writer: str
    first_seq: int
    last_seq: int
    offset: int
    """The offset of that later one."""


class PartitionTables:
    """The tables of one partition of one topic."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.rebuilds = 0
        self._suspects: set[Hole] = set()
        self._resume_at_or_below: int | None = None
        self._clear()

    def _clear(self) -> None:
        self.next_offset = 0
        """One beyond the last record applied."""
        self.records = 0
        self.unreadable = 0
        self.repeats = 0
        """Records whose sequence number their writer had used before: 0, if exactly-once holds."""
        self.newest_append_ms = 0
        self.holes: list[Hole] = []
        """Gaps found again after a rebuild, so they are in the topic itself."""
        self.totals: dict[Cell, Amounts] = {}
        self.minutes: dict[int, dict[Cell, Amounts]] = {}
        self.alerts: deque[Alert] = deque(maxlen=ALERTS_KEPT)
        self.set_aside: dict[tuple[str, str, str, str], Alert] = {}
        """The last alert of each topic, reason, instrument and writer: it says how many in all."""
        self.memory = Memory()
        self._seqs: dict[str, int] = {}

    def apply(self, offset: int, append_ms: int, record: Record | None) -> RecordOutcome:
        """Count a record, unless it was counted before; None stands for one that cannot be decoded.

        ``append_ms``: the broker's append time. After GAP nothing has changed: call :meth:`rebuild` and read again.
        """
        if self._resume_at_or_below is not None:
            if offset > self._resume_at_or_below:
                return RecordOutcome.SKIPPED  # fetched before the rebuild: it will come again, in its place
            self._resume_at_or_below = None
        if offset < self.next_offset:
            return RecordOutcome.SKIPPED
        fresh = True
        if isinstance(record, Owned) and record.writer:
            known = self._seqs.get(record.writer, 0)
            if record.seq > known + 1:
                hole = Hole(record.writer, known + 1, record.seq - 1, offset)
                if hole not in self._suspects:
                    self._suspects.add(hole)
                    return RecordOutcome.GAP
                self.holes.append(hole)
            fresh = record.seq > known
            if fresh:
                self._seqs[record.writer] = record.seq
        self.next_offset = offset + 1
        self.records += 1
        self.newest_append_ms = max(self.newest_append_ms, append_ms)
        if not fresh:
            self.repeats += 1
            return RecordOutcome.SKIPPED
        if record is None:
            self.unreadable += 1
        else:
            self._count(record)
        return RecordOutcome.APPLIED

    def rebuild(self, seen_offset: int | None = None) -> None:
        """Forget the tables; the next record applied is the partition's first.

        ``seen_offset``: the highest offset the reader has delivered (None: the last one applied). Higher offsets that
        still come were fetched before the reader went back; they are skipped until that offset or a lower one comes.
        """
        met = self.next_offset - 1 if seen_offset is None else seen_offset
        if seen_offset is None:
            self._suspects.clear()
        self._clear()
        self.rebuilds += 1
        self._resume_at_or_below = met if met >= 0 else None

    def _count(self, record: Record) -> None:
        if isinstance(record, Alert):
            self.alerts.append(record)
            if record.kind is AlertKind.SET_ASIDE:
                self.set_aside[record.subject_id, record.reason, record.instrument, record.writer] = record
        for change in changes_of(self.memory, record):
            minute_ns = change.event_ns // MINUTE_NS * MINUTE_NS
            window = self._window(minute_ns) if minute_ns > 0 else None
            for cell in change.cells:
                _add(self.totals.setdefault(cell, {}), change.amounts)
                if window is not None:
                    _add(window.setdefault(cell, {}), change.amounts)

    def _window(self, minute_ns: int) -> dict[Cell, Amounts] | None:
        window = self.minutes.get(minute_ns)
        if window is None:
            if len(self.minutes) >= MINUTES_KEPT:
                oldest = min(self.minutes)
                if minute_ns < oldest:
                    return None
                del self.minutes[oldest]
            window = self.minutes[minute_ns] = {}
        return window

    def as_json(self, minutes_max: int) -> dict[str, Any]:
        """The tables as JSON, with the newest ``minutes_max`` windows; rows in a fixed order."""
        shown = sorted(self.minutes)[-minutes_max:] if minutes_max else []
        return {
            "topic": self.topic,
            "partition": self.partition,
            "next_offset": self.next_offset,
            "records": self.records,
            "unreadable": self.unreadable,
            "repeats": self.repeats,
            "rebuilds": self.rebuilds,
            "holes": [list(hole) for hole in self.holes],
            "newest_append_ms": self.newest_append_ms,
            "totals": [[*cell, self.totals[cell]] for cell in sorted(self.totals)],
            "minutes": [[m, *cell, self.minutes[m][cell]] for m in shown for cell in sorted(self.minutes[m])],
            "closes": [[name, *self.memory.closes[name]] for name in sorted(self.memory.closes)],
            "alerts": [
                {
                    "kind": alert.kind.value,
                    "instrument": alert.instrument,
                    "subject_id": alert.subject_id,
                    "reason": alert.reason,
                    "text": alert.text,
                    "at_ns": alert.at_ns,
                    "writer": alert.writer,
                }
                for alert in self.alerts
            ],
            "set_aside": [
                [*key, self.set_aside[key].count, self.set_aside[key].text, self.set_aside[key].at_ns]
                for key in sorted(self.set_aside)
            ],
        }


def _add(to: Amounts, amounts: Amounts) -> None:
    for measure, amount in amounts.items():
        to[measure] = to.get(measure, 0) + amount
