"""A small day through every stage in memory, with garbage from outside among its records; and what must hold of it.

No stage raises; the books balance at the day's end; and nothing is dropped without a name: every record from outside
leaves a trace, in some stage's state or on a topic, and every request of a client is answered.

The garbage of a round follows from (seed, round, number) alone, whatever else is put in: so a failing one can be run
by itself.
"""

from __future__ import annotations

import os
import random
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from pipeline import topology
from pipeline.audit.invariants import Books
from pipeline.demo.memory_run import published, run_in_memory
from pipeline.demo.scenario import scenario
from pipeline.domain.audit import DeadLetter
from pipeline.domain.controls import Alert, AlertKind, Control, Tick
from pipeline.domain.executions import VenueReport
from pipeline.domain.market import NBBO
from pipeline.domain.orders import OrderEvent, OrderRequest
from pipeline.domain.record import Owned, Record
from pipeline.runtime.contracts.codec import Codec, LocalIds, Undecodable
from pipeline.runtime.memory.host import MemoryHost
from pipeline.runtime.worker.task_group import Poisoned
from pipeline.state import Table
from pipeline.topics import TOPICS, Topic, partitions_for, topic_of
from tests.fuzz.records import Generator, Vocabulary

PARTITIONS: Final = 2
DAYS: Final = 3
"""Different small days, by the seed of their orders and markets."""
RARE: Final[dict[type[Record], float]] = {Tick: 0.02, Control: 0.1}
"""A good tick moves time and a good kill stops the flow: with many of them there is nothing left to disturb."""
MOODS: Final = (0.0, 0.02, 1.0)
"""How much garbage of a type a day has, drawn for each type: a day without kills and with sound reference data goes
on to its fills, and shows what bad quotes and reports do to them."""
FORGED: Final = frozenset(
    {
        "executions the venues report, and booked",
        "quantity the venues report, and booked",
        "money the venues report, and booked, 1e-9",
        "executions booked otherwise than reported",
    }
)
"""Lines of the books that are off when garbage speaks for a venue: an execution that the door keeps out, or that is
told twice in two ways, is a difference between the venue and us, and is to be shown as one."""
PATIENCE_S: Final = 20.0
"""Processor time that one record and all it causes may take: thousands of times what it does."""
FROM_OUTSIDE: Final[tuple[type[Record], ...]] = (
    *(topic.record for topics in topology.EDGES.values() for topic in topics),
    VenueReport,
)
"""What comes from outside. Venue reports do on a real day; here the simulated venues write some, garbage the rest."""


class Input(NamedTuple):
    """One input of the day, as it is published: a record, or bytes on a topic."""

    append_ns: int
    record: Record | None
    topic: Topic
    value: bytes
    partition: int | None


class Day:
    """A small day: its inputs, and the vocabulary of a run without garbage."""

    def __init__(self, number: int) -> None:
        today = scenario({"PIPELINE_DATA": os.devnull}, orders=60, seconds=30, seed=number)
        self.inputs: list[Input] = []
        for _ in published(_Noted(self.inputs), today):
            pass
        clean = run_in_memory(today, partitions=PARTITIONS)
        # The venues' own reports are numbered by their writer; what is made of them here is nobody's.
        self.known = Vocabulary(unnumbered(record) for kind in FROM_OUTSIDE for record in clean.records(kind))
        self.first_tick = next(no for no, each in enumerate(self.inputs) if isinstance(each.record, Tick))


class _Noted(MemoryHost):
    """Writes down what is published, and runs nothing."""

    def __init__(self, inputs: list[Input]) -> None:
        super().__init__((), PARTITIONS)
        self._inputs = inputs

    def publish(self, record: Record, append_ns: int, partition: int | None = None) -> None:
        self._inputs.append(Input(append_ns, record, topic_of(type(record)), b"", partition))

    def publish_raw(self, topic: Topic, key: bytes | None, value: bytes | None, append_ns: int, partition: int) -> None:
        self._inputs.append(Input(append_ns, None, topic, value or b"", partition))


@cache
def day(number: int) -> Day:
    """The day of that number, made once."""
    return Day(number)


def unnumbered(record: Record) -> Record:
    """The record as nobody's: without its writer and number."""
    return msgspec.structs.replace(record, writer="", seq=0) if isinstance(record, Owned) else record


# ---------------------------------------------------------------------- garbage


class Garbage(NamedTuple):
    """A record from outside that nobody should have sent. ``before``: the number of the day's input it comes before."""

    number: int
    before: int
    record: Record
    astray: bool
    """Sent to a partition that is not its key's."""


def garbage(seed: int, round_no: int, number: int) -> Garbage:
    """The garbage of that number: it follows from the three alone."""
    today = day(round_no % DAYS)
    draw = random.Random(f"{seed}/{round_no}/{number}")
    kind = draw.choices(FROM_OUTSIDE, _mood(seed, round_no))[0]
    # Before the first tick lie only reference data and the prints of earlier days.
    before = draw.randrange(0 if draw.random() < 0.05 else today.first_tick, len(today.inputs))
    made = Generator(draw, today.known, today.inputs[before].append_ns).like(kind)
    if isinstance(made, OrderRequest) and draw.random() < 0.8:
        made = msgspec.structs.replace(made, cl_ord_id=f"G{number}")  # not one of the day's, whose place it would take
    return Garbage(number, before, unnumbered(made), draw.random() < 0.02)


@cache
def _mood(seed: int, round_no: int) -> tuple[float, ...]:
    """The weight of each type from outside on this day; there is some of market data always."""
    draw = random.Random(f"{seed}/{round_no}")
    return tuple(
        RARE.get(kind, 1.0) * (draw.choice(MOODS) or (0.001 if kind is NBBO else 0.0)) for kind in FROM_OUTSIDE
    )


# ---------------------------------------------------------------------- a round


class Failure(NamedTuple):
    """What must not be. ``key`` names the kind, so that the same defect is shown once."""

    key: str
    detail: str
    number: int | None
    """Of the garbage at which it was seen; None for the day as a whole."""


@dataclass
class Round:
    """What a day with garbage has shown."""

    garbage: int = 0
    records: int = 0
    failures: list[Failure] = field(default_factory=list)
    without_trace: Counter[str] = field(default_factory=Counter)
    """Record types, each with how many left no trace at all."""
    examples: dict[str, Garbage] = field(default_factory=dict)
    alerts: Counter[str] = field(default_factory=Counter)
    """Kind and reason of the alerts, with the topic of what was set aside."""
    dead_letters: Counter[str] = field(default_factory=Counter)
    asked: list[Garbage] = field(default_factory=list)
    """Requests that could be decoded: each must be answered by the day's end."""


def play(
    seed: int, round_no: int, count: int, *, without: Collection[int] = (), only: Collection[int] | None = None
) -> Round:
    """The day of this round with ``count`` pieces of garbage (those of ``only``, if it is given, none of ``without``).

    It ends at the first exception: what comes after it would be decided by a state that is not whole.
    """
    today, outcome = day(round_no % DAYS), Round()
    numbers = [number for number in (range(count) if only is None else sorted(only)) if number not in without]
    waiting = sorted(
        (garbage(seed, round_no, number) for number in numbers), key=lambda each: (each.before, each.number)
    )
    waiting.reverse()
    units = [[stage.name for stage in unit.stages] for unit in topology.units_of(topology.STAGES)]
    codec = Codec(LocalIds())
    host = MemoryHost(topology.flow(), PARTITIONS, codec, units=units)
    with _traces() as traces, _patience() as be_patient:
        at: Garbage | None = None
        try:
            for number, each in enumerate(today.inputs):
                while waiting and waiting[-1].before == number:
                    at = waiting.pop()
                    be_patient()
                    _put_in(host, codec, at, each.append_ns, outcome, traces)
                at = None
                be_patient()
                _publish(host, each)
                host.run()
                outcome.records += 1
            host.commit()
        except Exception as error:
            outcome.failures.append(_raised(error, at))
            return outcome
    _look_at(host, codec, outcome)
    return outcome


def _publish(host: MemoryHost, each: Input) -> None:
    if each.record is not None:
        host.publish(each.record, each.append_ns, each.partition)
    else:
        host.publish_raw(each.topic, b"", each.value, each.append_ns, each.partition or 0)


def _put_in(
    host: MemoryHost, codec: Codec, each: Garbage, append_ns: int, outcome: Round, traces: Callable[[], int]
) -> None:
    record, topic = each.record, topic_of(type(each.record))
    key = topic.key(record)
    where = list(partitions_for(topic, key, 0, PARTITIONS))
    if each.astray:
        where = [(where[0] + 1) % PARTITIONS]
    header = b"\x00" + codec.schema_id(topic.name).to_bytes(4, "big")
    before, ends = traces(), {place: len(log) for place, log in host.topics.items()}
    for partition in where:
        host.publish_raw(topic, key.encode(), header + codec.encode_body(record), append_ns, partition)
    host.run()
    outcome.garbage += 1
    outcome.records += 1
    caused = [
        stored.record
        for place, log in host.topics.items()
        for stored in log[ends.get(place, 0) :]
        if stored.record is not None
    ]
    if not caused and traces() == before:
        name = type(record).__name__
        outcome.without_trace[name] += 1
        outcome.examples.setdefault(name, each)
    if isinstance(record, OrderRequest) and not any(isinstance(other, DeadLetter) for other in caused):
        outcome.asked.append(each)


@contextmanager
def _traces() -> Iterator[Callable[[], int]]:
    """How often any entry of any state was put or removed so far."""
    put, remove = Table.put, Table.remove
    count = 0

    def counted_put(self: Table[Any], key: str, value: Any) -> None:
        nonlocal count
        count += 1
        put(self, key, value)

    def counted_remove(self: Table[Any], key: str) -> None:
        nonlocal count
        count += 1
        remove(self, key)

    Table.put, Table.remove = counted_put, counted_remove  # type: ignore[method-assign]
    try:
        yield lambda: count
    finally:
        Table.put, Table.remove = put, remove  # type: ignore[method-assign]


class Hangs(Exception):
    """A record takes longer than any should."""


@contextmanager
def _patience() -> Iterator[Callable[[], None]]:
    """A function to call before each record: when the next call does not come in time, Hangs is raised where it is."""

    def too_long(*_: object) -> None:
        raise Hangs(f"more than {PATIENCE_S:.0f} s of processor time for one record")

    before = signal.signal(signal.SIGVTALRM, too_long)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE_S) and None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _raised(error: Exception, at: Garbage | None) -> Failure:
    cause = error.__cause__ if isinstance(error, Poisoned) and error.__cause__ is not None else error
    part = "/pipeline/stages/" if isinstance(cause, Hangs) else "/pipeline/"
    frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if part in frame.filename]
    last = frames[0 if isinstance(cause, Hangs) else -1] if frames else None
    place = f"{last.filename.partition('/pipeline/')[2]}:{last.lineno} {last.name}" if last else "?"
    stage = error.stage if isinstance(error, Poisoned) else "the host"
    detail = "".join(traceback.format_exception_only(cause)).strip()
    return Failure(f"{stage} raises {type(cause).__name__} at {place}", detail, None if at is None else at.number)


def _look_at(host: MemoryHost, codec: Codec, outcome: Round) -> None:
    """What must hold of the day as a whole."""
    answered = {(event.source, event.cl_ord_id) for event in host.records(OrderEvent)}
    for each in outcome.asked:
        assert isinstance(each.record, OrderRequest)
        if (each.record.source, each.record.cl_ord_id) not in answered:
            outcome.failures.append(Failure("a request is not answered", repr(each.record), each.number))
    books = Books()
    for topic in TOPICS:
        for record in _decoded(host, codec, topic):
            books.add(record)
            if isinstance(record, DeadLetter):
                outcome.dead_letters[f"{record.topic} {record.reason}"] += 1
            elif isinstance(record, Alert):
                topic_name = f" {record.subject_id}" if record.kind is AlertKind.SET_ASIDE else ""
                outcome.alerts[f"{record.kind} {record.reason}{topic_name}"] += 1
    for line in books.lines():
        if not line.holds and line.name not in FORGED:
            outcome.failures.append(Failure(f"books: {line.name}", str(line), None))


def _decoded(host: MemoryHost, codec: Codec, topic: Topic) -> Iterator[Record]:
    for place in sorted(host.topics):
        if place[0] != topic.name and not (topic.per_source and place[0].startswith(f"{topic.name}.")):
            continue
        for stored in host.topics[place]:
            if stored.record is not None:
                yield stored.record
                continue
            try:
                yield codec.decode(place[0], stored.value)
            except Undecodable:
                continue
