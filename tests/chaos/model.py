"""The sample stages' arithmetic, written a second time, from their description. Shares no code with them.

adder      adds up prints by instrument, a bar for each; hears its bars come back as scores and raises an alert at
           every third; counts references; a start is an alert.
repeater   answers each bar with a score; at a tick, a reference price for every instrument seen, in order of name, on
           every partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

Fields = dict[str, Any]


class Expected(NamedTuple):
    """A record a task must write; ``fields`` without its writer and number."""

    topic: str
    partition: int
    key: bytes
    fields: Fields


class Task:
    """A sample stage on one partition. ``reads``: the topics of which it must consume every record."""

    reads: tuple[str, ...] = ()

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition = partition
        self.partitions = partitions
        self.now_ns = 0

    def start(self, wall_ns: int) -> Iterator[Expected]:
        """What a start writes."""
        yield from ()

    def apply(self, topic: str, record: Fields, append_ns: int) -> Iterator[Expected]:
        """What one record causes."""
        raise NotImplementedError

    def _tick(self, record: Fields) -> None:
        self.now_ns = max(self.now_ns, record["now_ns"])

    def _by_key(self, topic: str, key: str, fields: Fields) -> Expected:
        return Expected(topic, (murmur2(key.encode()) & 0x7FFFFFFF) % self.partitions, key.encode(), fields)


class Adder(Task):
    reads = ("controls", "prints", "venue-scores", "reference-prices", "clock")

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self._qty: dict[str, int] = {}
        self._prints: dict[str, int] = {}
        self._echoes: dict[str, int] = {}
        self._alerts = 0

    def start(self, wall_ns: int) -> Iterator[Expected]:
        yield self._alert("STALE_HOLD", "", str(wall_ns), "", 0)

    def apply(self, topic: str, record: Fields, append_ns: int) -> Iterator[Expected]:
        if topic == "clock":
            self._tick(record)
        elif topic == "prints":
            name = record["instrument"]
            self._qty[name] = self._qty.get(name, 0) + record["qty"]
            self._prints[name] = self._prints.get(name, 0) + 1
            px, count, qty = record["px"], self._prints[name], self._qty[name]
            bar = {
                "instrument": name, "start_ns": append_ns, "revision": count, "trade_date": 20260105,
                "open_px": px, "high_px": px, "low_px": px, "close_px": px,
                "volume_qty": qty, "vwap_qty": qty, "vwap_money": self.now_ns, "print_count": count,
                "vwap_px": None,
            }  # fmt: skip
            yield self._by_key("bars", name, bar)
        elif topic == "venue-scores":
            name = record["instrument"]
            self._echoes[name] = self._echoes.get(name, 0) + 1
            if self._echoes[name] % 3 == 0:
                self._alerts += 1
                subject = f"A{self.partition}-{self._alerts}"
                text = f"{self._echoes[name]} of {self._prints[name]}"
                yield self._alert("BREAK", name, subject, text, self.now_ns)

    def _alert(self, kind: str, instrument: str, subject: str, text: str, at_ns: int) -> Expected:
        fields = {
            "kind": kind, "instrument": instrument, "subject_id": subject, "reason": "", "text": text, "at_ns": at_ns,
            "count": 0,
        }  # fmt: skip
        return self._by_key("alerts", instrument, fields)


class Repeater(Task):
    reads = ("controls", "bars", "clock")

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self._last_qty: dict[str, int] = {}
        self._scores = 0

    def apply(self, topic: str, record: Fields, append_ns: int) -> Iterator[Expected]:
        if topic == "clock":
            self._tick(record)
            for name in sorted(self._last_qty):
                price = {"instrument": name, "px": self._last_qty[name], "quote_ns": record["now_ns"]}
                for partition in range(self.partitions):
                    yield Expected("reference-prices", partition, name.encode(), price)
        elif topic == "bars":
            self._scores += 1
            name, qty = record["instrument"], record["volume_qty"]
            self._last_qty[name] = qty
            score = {
                "instrument": name, "venue": "V", "window_end_ns": self.now_ns, "version": self._scores, "children": 1,
                "sent_qty": qty, "filled_qty": qty, "filled_money": 0, "fees": 0, "slippage": 0, "time_to_fill_ns": 0,
                "untimed_qty": 0, "beyond_range": False,
            }  # fmt: skip
            yield self._by_key("venue-scores", name, score)


TASKS: dict[str, type[Task]] = {"adder": Adder, "repeater": Repeater}


def murmur2(key: bytes) -> int:
    """MurmurHash2 with Kafka's seed, 32 bits unsigned."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if whole < len(key):
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
