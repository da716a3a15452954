"""A partition: records, control markers, open and aborted transactions, last stable offset.

What a reader of committed records sees follows from three things alone, as on a real broker: the last stable offset
(nothing at or after the first record of an open transaction), the aborted ranges, and that markers take offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import KafkaError


class Refused(Exception):
    """The broker's answer is an error code."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@dataclass(slots=True)
class Stored:
    """A record; ``pid`` -1: of no transaction. ``marker``: "commit" or "abort", of control records only."""

    offset: int
    append_ms: int
    key: bytes | None
    value: bytes | None
    pid: int = -1
    epoch: int = -1
    marker: str = ""
    aborted: bool = False


class Partition:
    """The log of a topic's partition."""

    def __init__(self, topic: str, number: int) -> None:
        self.place = topic, number
        self.records: list[Stored] = []
        self.start = 0
        self._open: dict[int, int] = {}
        """Producer id of each open transaction: its first offset here."""
        self._epochs: dict[int, int] = {}
        self._next_seq: dict[tuple[int, int], int] = {}

    @property
    def end(self) -> int:
        """The high watermark: there is one replica, everything is replicated at once."""
        return len(self.records)

    @property
    def stable_end(self) -> int:
        """The last stable offset."""
        return min(self._open.values(), default=self.end)

    def append(self, key: bytes | None, value: bytes | None, append_ms: int) -> int:
        """A record of somebody without transactions."""
        self.records.append(Stored(self.end, append_ms, key, value))
        return self.end - 1

    def append_in_transaction(
        self, pid: int, epoch: int, seq: int, rows: list[tuple[bytes | None, bytes | None]], append_ms: int
    ) -> None:
        """A produce request. Raises Refused; the same request a second time changes nothing."""
        if epoch < self._epochs.get(pid, -1):
            raise Refused(KafkaError.INVALID_PRODUCER_EPOCH)
        self._epochs[pid] = epoch
        want = self._next_seq.get((pid, epoch), 0)
        if seq < want:
            return
        if seq > want:
            raise Refused(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self._next_seq[pid, epoch] = seq + len(rows)
        self._open.setdefault(pid, self.end)
        for key, value in rows:
            self.records.append(Stored(self.end, append_ms, key, value, pid, epoch))

    def mark(self, pid: int, epoch: int, marker: str, append_ms: int) -> None:
        """The end of a transaction reaches this partition."""
        first = self._open.pop(pid, None)
        self._epochs[pid] = max(epoch, self._epochs.get(pid, -1))
        if first is not None and marker == "abort":
            for record in self.records[first:]:
                if record.pid == pid:
                    record.aborted = True
        self.records.append(Stored(self.end, append_ms, None, None, pid, epoch, marker))

    def fetch(self, offset: int, count: int, committed_only: bool) -> tuple[list[Stored], int, int]:
        """At most ``count`` records from ``offset`` on, the offset to go on at, and the end as this reader sees it."""
        end = self.stable_end if committed_only else self.end
        if offset > self.end or offset < self.start:
            raise Refused(KafkaError.OFFSET_OUT_OF_RANGE)
        found: list[Stored] = []
        while offset < end and len(found) < count:
            record = self.records[offset]
            offset += 1
            if not record.marker and not (committed_only and record.aborted):
                found.append(record)
        while offset < end and (self.records[offset].marker or (committed_only and self.records[offset].aborted)):
            offset += 1
        return found, offset, end

    def committed(self) -> list[Stored]:
        """For the oracle: every committed record. No transaction may be open."""
        assert not self._open, f"{self.place}: a transaction is still open"
        return [each for each in self.records if not each.marker and not each.aborted]
