"""What the books must be, from the committed inputs and the journal's order alone. Shares no code with the worker.

The two sample stages are written down here a second time, as arithmetic on plain numbers. Only the codec is shared: it
turns bytes into fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pipeline.domain.partitioning import partition_of
from pipeline.runtime.contracts.codec import Codec
from tests.simulated.cluster import Cluster
from tests.simulated.log import Stored

INPUTS: Final = {
    "adder": ("prints", "venue-scores", "reference-prices", "clock", "controls"),
    "repeater": ("bars", "clock", "controls"),
}
FIELDS: Final = {
    "bars": ("instrument", "revision", "volume_qty", "open_px", "vwap_money", "start_ns"),
    "venue-scores": ("instrument", "version", "sent_qty", "window_end_ns"),
    "reference-prices": ("instrument", "px", "quote_ns"),
    "alerts": ("kind", "instrument", "subject_id", "text"),
}
Out = tuple[str, int, tuple[Any, ...]]
"""Topic, partition, fields."""


class Wrong(AssertionError):
    """The books are not what they must be."""


def need(right: bool, told: str) -> None:
    if not right:
        raise Wrong(told)


@dataclass
class Model:
    """One task's state as plain numbers, and what a record does to it."""

    stage: str
    partition: int
    partitions: int
    rows: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    """Table and key: the entry's fields."""

    @property
    def now_ns(self) -> int:
        return int(self.rows.get(("clock", ""), [0])[0])

    def number(self, name: str) -> int:
        row = self.rows.setdefault(("counters", name), [0])
        row[0] += 1
        return int(row[0])

    def apply(self, topic: str, record: Any, append_ns: int) -> Iterator[Out]:
        if topic == "clock":
            if record.now_ns >= self.now_ns:
                self.rows["clock", ""] = [record.now_ns, record.wall_ns, record.rate, record.trade_date]
            if self.stage == "repeater":
                for (table, instrument), row in sorted(self.rows.items()):
                    if table == "last":
                        for partition in range(self.partitions):
                            yield "reference-prices", partition, (instrument, row[0], record.now_ns)
        elif topic == "controls":
            if self.stage == "repeater":
                self.number("controls")
        elif topic == "prints":
            row = self.rows.setdefault(("totals", record.instrument), [0, 0, 0])
            row[0] += record.qty
            row[1] += 1
            name = record.instrument
            yield "bars", self.partition, (name, row[1], row[0], record.px, self.now_ns, append_ns)
        elif topic == "venue-scores":
            row = self.rows["totals", record.instrument]
            row[2] += 1
            if row[2] % 3 == 0:
                told = f"{row[2]} of {row[1]}"
                where = partition_of(record.instrument, self.partitions)
                yield "alerts", where, ("BREAK", record.instrument, f"A{self.partition}-{self.number('A')}", told)
        elif topic == "reference-prices":
            self.number("references")
        elif topic == "bars":
            number = self.number("scores")
            self.rows["last", record.instrument] = [record.volume_qty, number, 0]
            yield "venue-scores", self.partition, (record.instrument, number, record.volume_qty, self.now_ns)

    def resumed(self, wall_ns: int) -> Iterator[Out]:
        if self.stage == "adder":
            yield "alerts", partition_of("", self.partitions), ("STALE_HOLD", "", str(wall_ns), "")

    def entries(self) -> dict[bytes, bytes]:
        """The state as changelog entries."""
        return {f"{table}/{key}".encode(): msgspec.msgpack.encode(row) for (table, key), row in self.rows.items()}

    def digest(self) -> str:
        digest = hashlib.sha256()
        for (table, row_key), row in sorted(self.rows.items()):
            key, value = f"{table}/{row_key}", msgspec.msgpack.encode(row)
            digest.update(f"{len(key)}:{key}:{len(value)}:".encode())
            digest.update(value)
        return digest.hexdigest()


class Books:
    """Everything committed, and its check. ``units``: unit to its stages."""

    def __init__(self, cluster: Cluster, codec: Codec, units: dict[str, tuple[str, ...]], partitions: int) -> None:
        self.checked = 0
        self._last: dict[tuple[str, int], int] = {}
        """Last offset, where it is not that of the last record that counts."""
        self._cluster = cluster
        self._codec = codec
        self._units = units
        self._partitions = partitions
        self._logs: dict[tuple[str, int], list[Stored]] = {
            place: log.committed() for place, log in cluster.partitions.items()
        }
        self._records: dict[tuple[str, int], list[Any]] = {}
        for place, log in self._logs.items():
            if not place[0].startswith("changelog."):
                self._records[place] = [codec.decode(place[0], each.value) for each in log]
                if place[0] == "prints":
                    self._leave_out_repeated(place)

    def digest(self) -> str:
        """SHA-256 of everything that is committed."""
        digest = hashlib.sha256()
        for place, log in sorted(self._logs.items()):
            digest.update(f"{place}".encode())
            for each in log:
                digest.update(f"{each.offset}:{each.append_ms}:{each.key!r}:{each.value!r}".encode())
        return digest.hexdigest()

    def check(self) -> None:
        """Raises Wrong."""
        self._check_numbers()
        for stages in self._units.values():
            for stage in stages:
                for partition in range(self._partitions):
                    self._check_task(stage, partition, stages)

    def _leave_out_repeated(self, place: tuple[str, int]) -> None:
        """What a gateway has sent a second time counts once."""
        new, last = [], 0
        for at, record in enumerate(self._records[place]):
            if record.seq > last:
                last = record.seq
                new.append(at)
        self._last[place] = self._logs[place][-1].offset if self._logs[place] else -1
        self._logs[place] = [self._logs[place][at] for at in new]
        self._records[place] = [self._records[place][at] for at in new]

    def _check_numbers(self) -> None:
        for (topic, partition), records in self._records.items():
            seen: dict[str, int] = {}
            for record in records:
                writer, seq = getattr(record, "writer", ""), getattr(record, "seq", 0)
                if writer:
                    need(seq == seen.get(writer, 0) + 1, f"{topic}/{partition}: {writer} {seen.get(writer, 0)}, {seq}")
                    seen[writer] = seq

    def _check_task(self, stage: str, partition: int, unit: tuple[str, ...]) -> None:
        writer = f"{stage}/{partition}"
        model = Model(stage, partition, self._partitions)
        at = dict.fromkeys(INPUTS[stage], 0)
        expected: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
        entries = [each for each in self._records["journal", partition] if each.stage == stage]
        last_hash = ""
        for no, entry in enumerate(entries, 1):
            where = f"{writer} journal entry {no}"
            need(entry.no == no and entry.previous_hash == last_hash, f"{where}: the chain is broken")
            last_hash = entry.entry_hash
            firsts = {place: len(rows) for place, rows in expected.items()}
            outs = list(model.resumed(entry.wall_ns)) if entry.kind.value == "EPOCH" else []
            starts = {each.topic: each for each in entry.starts}
            for run in entry.runs:
                log, records = self._logs[run.topic, partition], self._records[run.topic, partition]
                first = at[run.topic]
                need(
                    first + run.count <= len(log), f"{where}: {run.count} of {run.topic} from {first} on are not there"
                )
                start = starts.pop(run.topic, None)
                if start is not None:
                    need(start.offset in (-1, log[first].offset), f"{where}: {run.topic} begins at {start.offset}")
                    need(
                        start.seq == getattr(records[first], "seq", 0), f"{where}: {run.topic} begins at no {start.seq}"
                    )
                for stored, record in zip(
                    log[first : first + run.count], records[first : first + run.count], strict=True
                ):
                    outs.extend(model.apply(run.topic, record, stored.append_ms * 1_000_000))
                    self.checked += 1
                at[run.topic] += run.count
            for topic, p, fields in outs:
                expected.setdefault((topic, p), []).append(fields)
            spans = {(each.topic, each.partition): (each.first_seq, each.count) for each in entry.outputs}
            grown = {
                place: (firsts.get(place, 0) + 1, len(rows) - firsts.get(place, 0))
                for place, rows in expected.items()
                if len(rows) > firsts.get(place, 0)
            }
            need(spans == grown, f"{where}: says it wrote {spans}, must have written {grown}")
            if entry.state_hash:
                need(entry.state_hash == model.digest(), f"{where}: state hash")
        for topic, count in at.items():
            total = len(self._logs[topic, partition])
            need(count == total, f"{writer}: applied {count} of {total} on {topic}")
        for topic, names in FIELDS.items():
            for p in range(self._partitions):
                got = [
                    tuple(str(getattr(record, name)) for name in names)
                    for record in self._records[topic, p]
                    if record.writer == writer
                ]
                want = [tuple(map(str, fields)) for fields in expected.get((topic, p), [])]
                need(got == want, f"{writer}: {topic}/{p}: {_difference(got, want)}")
        self._check_state(model, entries, unit)

    def _check_state(self, model: Model, entries: list[Any], unit: tuple[str, ...]) -> None:
        stage, partition = model.stage, model.partition
        where = f"{stage}/{partition}"
        state: dict[bytes, bytes] = {}
        for stored in self._logs[f"changelog.{stage}", partition]:
            assert stored.key is not None
            if stored.value is None:
                state.pop(stored.key, None)
            else:
                state[stored.key] = stored.value
        if not entries:
            need(not state, f"{where}: state without a journal")
            return
        need(b"_meta" in state, f"{where}: no _meta")
        meta = msgspec.msgpack.decode(state.pop(b"_meta"))
        want = model.entries()
        need(state == want, f"{where}: state is {_readable(state)}, must be {_readable(want)}")
        need(meta["no"] == len(entries), f"{where}: _meta says entry {meta['no']} of {len(entries)}")
        group = next(name for name, stages in self._units.items() if stages == unit)
        offsets = self._cluster.groups[group].offsets
        inner = {topic for each in unit for topic in INPUTS[each]} & set(FIELDS) if len(unit) > 1 else set()
        for topic, offset in meta["offsets"].items():
            if topic in inner - {"reference-prices"}:
                continue  # read from Kafka in an earlier deployment; handed on in memory since
            last = self._last.get((topic, partition), self._logs[topic, partition][-1].offset)
            need(offset == last + 1, f"{where}: _meta stands at {offset} of {topic}, must be {last + 1}")
            at = offsets.get((topic, partition))
            need(at == offset, f"{where}: the group stands at {at} of {topic}, _meta at {offset}")


def _difference(got: list[Any], want: list[Any]) -> str:
    for i, (one, other) in enumerate(zip(got, want, strict=False)):
        if one != other:
            return f"record {i + 1} is {one}, must be {other}"
    return f"{len(got)} records, must be {len(want)}"


def _readable(state: dict[bytes, bytes]) -> dict[str, Any]:
    return {key.decode(): msgspec.msgpack.decode(value) for key, value in sorted(state.items())}
