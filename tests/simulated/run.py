"""One seed: a small flow, faults of every kind for a while, then quiet; the books must come out right.

python -m tests.simulated.run --count 10000 --start 0 --jobs 2
python -m tests.simulated.run --seed 4711 --trace
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import patch

from pipeline.domain.controls import Control, ControlKind
from pipeline.domain.record import Record
from pipeline.errors import PipelineError, WrongUse
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.worker import assignment
from pipeline.runtime.worker.worker import Deployment, Worker
from pipeline.topics import changelog_of, partitions_for, topic_of
from tests.sample_stages import Adder, Repeater, print_of, tick_of
from tests.simulated.clients import SimKafka
from tests.simulated.cluster import Cluster, Trouble
from tests.simulated.oracle import Books, Wrong
from tests.simulated.world import Process, S, World

P: Final = 2
FLOW: Final = (Adder(), Repeater())
UNITS: Final = {"both": ("adder", "repeater"), "adder": ("adder",), "repeater": ("repeater",)}
TOPICS: Final = (
    "prints", "venue-scores", "reference-prices", "clock", "controls", "bars", "alerts", "dead-letters", "journal",
)  # fmt: skip
INSTRUMENTS: Final = ("I3", "I1", "I2", "I0")
CONVERGE_S: Final = 90.0
"""Virtual seconds within which all is done once the faults have stopped."""
_CODEC: Final = Codec(LocalIds())


@dataclass
class Result:
    """What one seed did."""

    seed: int
    digest: str
    faults: dict[str, int]
    checked: int
    """Inputs that the oracle applied."""
    virtual_s: float


class Failed(AssertionError):
    """A seed whose run or books went wrong."""


class Slot:
    """A unit's place for a worker: the process in it comes and goes."""

    def __init__(self, unit: str, number: int) -> None:
        self.unit = unit
        self.name = f"{unit}-{number}"
        self.process: Process | None = None
        self.worker: Worker | None = None
        self.replaced: list[Process] = []
        """Earlier processes, frozen when another took their place, that may still be there."""


class Run:
    """One seed."""

    def __init__(self, seed: int, echo: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.world = World(seed, echo)
        self.chance = self.world.chance
        topics = dict.fromkeys((*TOPICS, *(changelog_of(stage.name) for stage in FLOW)), P)
        self.cluster = Cluster(self.world, topics)
        self.units: tuple[str, ...] = ("both",) if self.chance.random() < 0.6 else ("adder", "repeater")
        self.slots: list[Slot] = []
        self.echo = echo
        self._numbers: dict[int, int] = {}
        self._sent = 0
        self._processes: list[Process] = []
        self._starts: Counter[str] = Counter()
        self._gone: list[Slot] = []
        """Slots of units that were moved away from."""
        # Looking for garbage at every restore takes 100 ms, and has nothing to do with what is tried here.
        self._without_collector = patch.object(assignment, "while_restoring", contextlib.nullcontext)
        self._without_collector.start()

    # ---------------------------------------------------------------- the whole

    def go(self) -> Result:
        """Raises Failed."""
        try:
            self._safety()
            self.calm()
            self.converge()
            books = self.check()
        except AssertionError as error:
            raise Failed(f"seed {self.seed}: {type(error).__name__}: {error}") from error
        finally:
            self.end()
        self.world.note(f"books {books.digest()}")
        return Result(self.seed, self.world.digest(), self.cluster.faults, books.checked, self.world.now_ns / S)

    def check(self) -> Books:
        """Raises Wrong."""
        books = Books(self.cluster, _CODEC, {unit: UNITS[unit] for unit in self.units}, P)
        books.check()
        return books

    def _safety(self) -> None:
        chance = self.chance
        self.staff()
        self._choose_trouble()
        faults = chance.randint(1, 6)
        for _ in range(faults):
            self.feed(chance.randint(2, 10))
            self.world.pause(chance.choice((0.02, 0.3, 2.0)) * chance.random())
            self._strike()
            self.world.pause(chance.choice((0.02, 0.5, 3.0)) * chance.random())
            self.look()
        self.feed(chance.randint(1, 8))

    def staff(self) -> None:
        chance = self.chance
        counts = {"both": chance.choice((1, 1, 2, 3)), "adder": chance.choice((1, 2)), "repeater": 1}
        for unit in self.units:
            for number in range(counts[unit]):
                self.slots.append(Slot(unit, number))
                self.start(self.slots[-1])

    def _choose_trouble(self) -> None:
        """A few kinds at once, more or less likely: with all of them always, the rare orders never come about."""
        chance, trouble = self.chance, self.cluster.trouble
        for each in fields(Trouble):
            if chance.random() < 0.3:
                rare = each.name in (
                    "abortable",
                    "indefinite",
                    "retriable",
                    "hang",
                )  # once a transaction at most
                setattr(trouble, each.name, chance.choice((0.02, 0.1, 0.3) if rare else (0.005, 0.02, 0.08)))
        self.cluster.transactions.marker_delay_ms_max = chance.choice((1.0, 20.0, 20.0, 300.0, 3000.0))

    def calm(self) -> None:
        """All faults stop; everybody who is to be there is there."""
        self.world.note("calm")
        self.cluster.trouble = Trouble()
        self.cluster.transactions.marker_delay_ms_max = 5.0
        self.cluster.down_until_ns = 0
        for process in self._processes:
            process.cut_off_until_ns = 0
            if process.frozen_until_ns > self.world.now_ns:
                process.frozen_until_ns = 0
                process.wake()
        for slot in self.slots:
            if slot.process is None or slot.process.ended or slot.process.killed:
                self.start(slot)

    def converge(self) -> None:
        deadline_ns = self.world.now_ns + int(CONVERGE_S * S)
        while not self._settled():
            if self.world.now_ns > deadline_ns:
                raise Wrong(f"not done {CONVERGE_S:.0f} s after the last fault: {self._left()}")
            self.world.pause(0.5)
            self.look()
            for slot in self.slots:
                if slot.process is None or slot.process.ended:
                    self.start(slot)

    def _left(self) -> list[str]:
        found = [f"transaction of {name} open" for name in self.cluster.transactions.open()]
        for unit in self.units:
            group = self.cluster.groups[unit]
            found.extend(f"{unit}: offsets pending" for _ in group.pending)
            for topic in _outside(unit):
                for p in range(P):
                    at = group.offsets.get((topic, p), 0)
                    log = self.cluster.partitions[topic, p]
                    left = [each for each in log.records[at:] if not each.marker and not each.aborted]
                    if left:
                        found.append(f"{unit}: {len(left)} on {topic}/{p} from {at}")
        return found

    def _settled(self) -> bool:
        return not self._left()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
        with contextlib.suppress(AssertionError):
            self.world.main.pause(0.001)
        for process in self._processes:
            process.join()
        self._without_collector.stop()

    # ---------------------------------------------------------------- workers

    def start(self, slot: Slot) -> None:
        self._starts[slot.name] += 1
        process = Process(self.world, f"{slot.name}.{self._starts[slot.name]}")
        self._processes.append(process)
        kafka = cast(Kafka, SimKafka(self.cluster, process))
        stages = [stage for stage in FLOW if stage.name in UNITS[slot.unit]]
        deployment = Deployment(kafka, Path("/nowhere"), FLOW, UNITS)
        slot.process = process

        def say(text: str) -> None:
            self.world.note(f"{process.name} says: {text}")

        def main() -> None:
            slot.worker = Worker(slot.unit, stages, deployment, _CODEC, slot.name, say)
            slot.worker.run()

        self.world.note(f"start {process.name}")
        process.start(main)

    def look(self) -> None:
        """Whether a process has ended as none should. A replaced one may: its successor has fenced it."""
        for slot in (*self.slots, *self._gone):
            for process in [*slot.replaced, *([slot.process] if slot.process is not None else [])]:
                error, process.error = process.error, None
                if error is None:
                    continue
                self.world.note(f"{process.name} ended: {type(error).__name__}: {error}")
                fenced = isinstance(error, PipelineError) and "another process has taken this slot" in str(error)
                waited = isinstance(error, WrongUse) and "still running" in str(error)
                if not (fenced and self._starts[slot.name] > 1) and not waited:
                    raise Wrong(f"{process.name} ended: {type(error).__name__}: {error}") from error

    # ---------------------------------------------------------------- faults

    def _strike(self) -> None:
        chance = self.chance
        kinds: list[Callable[[Slot], None]] = [
            self.kill, self.kill, self._freeze, self._cut_off, self._bounce, self._replace, self._add, self._remove,
            self._restart, self._move,
        ]  # fmt: skip
        chance.choice(kinds)(chance.choice(self.slots))

    def _struck(self, kind: str, slot: Slot) -> None:
        self.cluster.struck(kind, slot.name)

    def kill(self, slot: Slot) -> None:
        if slot.process is not None and not slot.process.ended:
            self._struck("kill", slot)
            slot.process.kill()
            self._start_later(slot, self.chance.choice((0.0, 0.5, 14.0)) * self.chance.random())

    def _start_later(self, slot: Slot, seconds: float) -> None:
        def start() -> None:
            if slot in self.slots and (slot.process is None or slot.process.ended or slot.process.killed):
                self.start(slot)

        self.world.at(int(seconds * S), start)

    def _freeze(self, slot: Slot) -> None:
        if slot.process is not None:
            self._struck("freeze", slot)
            slot.process.frozen_until_ns = self.world.now_ns + int(self._a_while() * S)

    def _cut_off(self, slot: Slot) -> None:
        if slot.process is not None:
            self._struck("cut off", slot)
            slot.process.cut_off_until_ns = self.world.now_ns + int(self._a_while() * S)

    def _bounce(self, slot: Slot) -> None:
        self._struck("broker away", slot)
        self.cluster.down_until_ns = self.world.now_ns + int(self._a_while() / 2 * S)

    def _replace(self, slot: Slot) -> None:
        """The old process is taken for dead and another is started under its name; then the old one wakes up."""
        if slot.process is not None and not slot.process.ended:
            self._struck("replace", slot)
            slot.process.frozen_until_ns = self.world.now_ns + int(self._a_while() * S)
            slot.replaced.append(slot.process)
            self.start(slot)

    def _add(self, slot: Slot) -> None:
        if len(self.slots) < 3:
            numbers = {each.name for each in self.slots}
            number = next(n for n in range(4) if f"{slot.unit}-{n}" not in numbers)
            self.slots.append(Slot(slot.unit, number))
            self._struck("add", self.slots[-1])
            self.start(self.slots[-1])

    def _remove(self, slot: Slot) -> None:
        if sum(each.unit == slot.unit for each in self.slots) > 1:
            self._struck("remove", slot)
            self.slots.remove(slot)
            self._stop(slot)
            for process in slot.replaced:
                process.kill()

    def _restart(self, slot: Slot) -> None:
        self._struck("restart", slot)
        self._stop(slot)
        self._start_later(slot, 0.5 + self.chance.random() * 2)

    def _move(self, slot: Slot) -> None:
        """From one unit for both stages to one for each, or back. Nobody may stay behind who would join again."""
        self._struck("move", slot)
        self.units = ("adder", "repeater") if self.units == ("both",) else ("both",)
        for each in self.slots:
            for process in each.replaced:
                process.kill()
            if each.worker is not None and self.chance.random() < 0.5:
                self._stop(each)
            elif each.process is not None:
                each.process.kill()
        self._gone.extend(self.slots)
        self.slots = []
        self.staff()

    def _stop(self, slot: Slot) -> None:
        if slot.worker is not None:
            slot.worker.stop()

    def _a_while(self) -> float:
        return self.chance.choice((0.2, 4.0, 20.0)) * self.chance.random()

    # ---------------------------------------------------------------- inputs

    def feed(self, count: int) -> None:
        chance = self.chance
        for _ in range(count):
            self._sent += 1
            number, roll = self._sent, chance.random()
            if roll < 0.15:
                self.publish(tick_of(number * 1000))
            elif roll < 0.22:
                self.publish(
                    Control(kind=ControlKind.RESUME, control_id=f"c{number}", scope_id="", who="a", why="b", at_ns=1)
                )
            else:
                self._publish_print(number, chance.choice(INSTRUMENTS))
            if chance.random() < 0.3:
                self.world.pause(0.01 * chance.random())

    def _publish_print(self, number: int, instrument: str) -> None:
        unnumbered = print_of(instrument, number, qty=number)
        (partition,) = partitions_for(topic_of(type(unnumbered)), instrument, 0, P)
        seq = self._numbers[partition] = self._numbers.get(partition, 0) + 1
        record = print_of(instrument, number, qty=number, seq=seq)
        self.publish(record)
        if self.chance.random() < 0.05:  # a gateway that was killed between sending and knowing
            self.publish(record)

    def publish(self, record: Record) -> None:
        topic = topic_of(type(record))
        key: Any = topic.key(record)
        value = _CODEC.encode(record)
        for partition in partitions_for(topic, key, 0, P):
            self.cluster.publish(topic.name, partition, key.encode(), value)


def _outside(unit: str) -> tuple[str, ...]:
    return {
        "both": ("prints", "reference-prices", "clock", "controls"),
        "adder": ("prints", "venue-scores", "reference-prices", "clock", "controls"),
        "repeater": ("bars", "clock", "controls"),
    }[unit]


def run_seed(seed: int, echo: Callable[[str], None] | None = None) -> Result:
    """Raises Failed."""
    return Run(seed, echo).go()
