"""A day shifted in UTC, as a change of the clock or another longitude shifts it, is decided as it was.

Metamorphic: the same market and the same orders at another hour, against the same history. All that stages write must
be the same records, with their times shifted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

import msgspec
import pytest

from pipeline import topics, topology
from pipeline.demo import history, reference_data
from pipeline.demo import scenario as scenarios
from pipeline.demo.memory_run import run_in_memory
from pipeline.demo.reference_data import SessionDay
from pipeline.demo.scenario import Scenario, scenario
from pipeline.domain.analytics import VolumeCurve
from pipeline.domain.executions import ChildOrder, Fill
from pipeline.domain.record import Owned, Record
from pipeline.domain.units import NS_PER_S
from pipeline.runtime.memory.host import MemoryHost
from pipeline.simulator.venues.dark import HiddenInterest
from pipeline.stages.netting import windows
from pipeline.stages.netting.windows import key_of as windows_key_of
from pipeline.stages.simulated_venues.parameters import VenuesParameters
from pipeline.state import Entry
from pipeline.topics import Topic

HOUR: Final = 3_600 * NS_PER_S
NO_DATA: Final = {"PIPELINE_DATA": "/nonexistent"}
NO_HIDDEN_INTEREST: Final = topology.FlowParameters(venues=VenuesParameters(hidden=HiddenInterest(presence_ppm=0)))
"""Hidden interest is a draw by the hour of the day: nature, not a decision."""
_MOMENT: Final = re.compile(r"\b1\d{18}\b")
"""A moment in a text: nanoseconds since 1970."""
TO_MIDNIGHT: Final = (10 * 60 + 29) * 60 * NS_PER_S
"""From 13:30 UTC to a minute before midnight."""

DECIDED: Final = (
    topics.ORDERS, topics.ORDER_EVENTS, topics.LINEAGE, topics.PARENTS, topics.CROSSES, topics.EPOCHS, topics.SLICES,
    topics.CHILD_ORDERS, topics.FILLS, topics.ALLOCATIONS, topics.RECONCILIATIONS, topics.TRADE_REPORTS, topics.TCA,
    topics.VOLUME_CURVES, topics.VENUE_SCORES, topics.REFERENCE_PRICES, topics.ALERTS,
)  # fmt: skip


@dataclass(frozen=True)
class AfterClockChange(Scenario):
    """A day whose earlier days were as many nanoseconds earlier in UTC as the clock was changed by since."""

    changed_ns: int = 0

    @property
    def _before(self) -> SessionDay:
        day = self.day
        return SessionDay(day.trade_date, day.open_ns - self.changed_ns, day.close_ns - self.changed_ns)

    def reference(self) -> Iterator[Owned]:
        yield from history.earlier_sessions(self._before, self.listed)
        yield from reference_data.records(self.day, list(self.listed))

    def earlier(self) -> Iterator[Owned]:
        return history.earlier_days(self._before, self.listed, scenarios.SESSION_NS)


@cache
def day_at(shift_ns: int, changed_ns: int) -> MemoryHost:
    """Eighty seconds of the demo, ``shift_ns`` later in UTC than it is; the clock was changed by ``changed_ns`` before
    it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenarios, "_SIMULATED_OPEN_NS", scenarios._SIMULATED_OPEN_NS + shift_ns)
        # A bucket's name is a hash of its terms, the moment of its end among them: here as it would be unshifted, or
        # buckets that close together would be taken in another order.
        patch.setattr(windows, "key_of", lambda terms, mandate="": windows_key_of(_back(terms, shift_ns), mandate))
        today = scenario(NO_DATA, orders=120, seconds=80)
        shifted = AfterClockChange(**{f.name: getattr(today, f.name) for f in fields(today)}, changed_ns=changed_ns)
        return run_in_memory(shifted, partitions=1, stages=topology.flow(NO_HIDDEN_INTEREST))


def decided(host: MemoryHost, topic: Topic, shift_ns: int) -> list[Any]:
    return [_back(record, shift_ns) for record in host.records(topic.record)]


def _back(value: Any, shift_ns: int) -> Any:
    """The record with every moment of today shifted back."""
    if isinstance(value, Record | Entry):
        return msgspec.structs.replace(
            value,
            **{
                name: each - shift_ns if name.endswith("_ns") and _is_moment(each) else _back(each, shift_ns)
                for name in value.__struct_fields__
                if (each := getattr(value, name)) is not None
            },
        )
    if isinstance(value, str):
        return _MOMENT.sub(lambda found: str(int(found[0]) - shift_ns), value)
    return tuple(_back(each, shift_ns) for each in value) if isinstance(value, tuple) else value


def _is_moment(value: Any) -> bool:
    return isinstance(value, int) and value > 10**18


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shift_ns", "changed_ns"),
    [(HOUR, HOUR), (HOUR, 0), (TO_MIDNIGHT, 0)],
    ids=["the clock was changed by an hour last night", "an hour later", "across midnight UTC"],
)
def test_a_day_shifted_by_a_clock_change_is_decided_as_it_was(shift_ns: int, changed_ns: int) -> None:
    usual, shifted = day_at(0, 0), day_at(shift_ns, changed_ns)
    assert len(usual.records(ChildOrder)) > 50 and len(usual.records(Fill)) > 50, "there is something to compare"
    assert {curve.day_count for curve in usual.records(VolumeCurve)} == {0, history.DAYS}, "none of the restricted one"
    for topic in DECIDED:
        assert decided(shifted, topic, shift_ns) == decided(usual, topic, 0), topic.name
