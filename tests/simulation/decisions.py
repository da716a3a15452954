"""Two runs of a day side by side: what was decided, and how the one's prices are turned into the other's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from pipeline import topology
from pipeline.demo.memory_run import published
from pipeline.demo.scenario import Scenario
from pipeline.domain.record import Record
from pipeline.runtime.memory.host import MemoryHost
from pipeline.topology import AnyStage
from tests.fuzz.records import fields_of

PARTITIONS: Final = 2
_OF_MONEY: Final = frozenset({"1e-9 currency units", "1e-9 currency units of money"})


def run(
    scenario: Scenario,
    stages: Sequence[AnyStage] | None = None,
    change: Callable[[Record], Record] = lambda record: record,
    before: Callable[[MemoryHost, int], None] = lambda host, at_ns: None,
) -> MemoryHost:
    """The day in memory, as objects. ``change`` turns every record from outside into the one that is published;
    ``before`` is called before each is applied, with its append time (ns since 1970), and may publish more."""
    stages = topology.flow() if stages is None else stages
    host = _Changed(stages, change)
    for at_ns in published(host, scenario, encode=False):
        before(host, at_ns)
        host.run()
    return host


class _Changed(MemoryHost):
    """Publishes what its function makes of each record."""

    def __init__(self, stages: Sequence[AnyStage], change: Callable[[Record], Record]) -> None:
        units = [[stage.name for stage in unit.stages] for unit in topology.units_of(stages)]
        super().__init__(stages, PARTITIONS, encode=False, units=units)
        self._change = change

    def publish(self, record: Record, append_ns: int, partition: int | None = None) -> None:
        """Publish the changed record."""
        super().publish(self._change(record), append_ns, partition)


def scaled(record: Record, factor: int) -> Record:
    """The record with every price and every amount of money times ``factor``, in its parts too."""
    changes: dict[str, object] = {}
    for field in fields_of(type(record)):
        value = getattr(record, field.name)
        if value is None:
            continue
        if issubclass(field.of, Record):
            changes[field.name] = (
                tuple(scaled(each, factor) for each in value) if field.listed else scaled(value, factor)
            )
        elif field.unit in _OF_MONEY:
            changes[field.name] = value * factor
    return msgspec.structs.replace(record, **changes)


def differences(one: Iterable[Record], other: Iterable[Record], without: Iterable[str] = ()) -> list[str]:
    """Where two lists of records differ, field by field; ``without``: fields that are not compared."""
    first, second, left_out = list(one), list(other), set(without)
    found = [f"{len(first)} records, and {len(second)}"] if len(first) != len(second) else []
    for number, (mine, theirs) in enumerate(zip(first, second, strict=False)):
        for field in fields_of(type(mine)):
            was, becomes = getattr(mine, field.name), getattr(theirs, field.name)
            if field.name not in left_out and was != becomes:
                found.append(f"{type(mine).__name__} {number}, {field.name}: {was!r}, and {becomes!r}")
    return found
