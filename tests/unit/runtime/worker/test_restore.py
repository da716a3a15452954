"""Reading changelogs: each is whole at its end, whatever is written while another one's end is awaited."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError

from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.restore import read_changelogs

A, B = ("changelog.a", 0), ("changelog.b", 0)


class Record:
    def __init__(self, place: tuple[str, int], offset: int, key: bytes = b"", code: int | None = None) -> None:
        self._place, self._offset, self._key, self._code = place, offset, key, code

    def error(self) -> KafkaError | None:
        return None if self._code is None else KafkaError(self._code)

    def topic(self) -> str:
        return self._place[0]

    def partition(self) -> int:
        return self._place[1]

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return b"1"


def at_end(place: tuple[str, int], offset: int) -> Record:
    return Record(place, offset, code=KafkaError._PARTITION_EOF)


class Script:
    """A cluster whose logs hold two records each, and a consumer that fetches what the script says."""

    def __init__(self, *batches: list[Record]) -> None:
        self._batches = list(batches)

    def consumer(self, settings: dict[str, Any]) -> Script:
        return self

    def monotonic(self) -> float:
        return 0.0

    def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
        return 0, 2

    def assign(self, places: list[Any]) -> None: ...

    def consume(self, count: int, timeout_s: float) -> list[Record]:
        return self._batches.pop(0)

    def close(self) -> None: ...


def test_a_log_that_grows_while_another_is_read_stands_at_its_end() -> None:
    script: Any = Script(
        [Record(A, 0, b"x"), Record(A, 1, b"y"), at_end(A, 2)],
        [Record(A, 2, b"half a transaction of somebody else"), Record(B, 0, b"z")],
        [Record(B, 1, b"z"), at_end(B, 2)],
    )
    found = read_changelogs([A, B], WorkerContext("test", print, script))
    assert {place: sorted(rows) for place, rows in found.items()} == {A: [b"x", b"y"], B: [b"z"]}
