"""Promises of the worker on the simulated broker, one by one: each defect that the seeds found has a test here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.domain.record import Record
from tests.sample_stages import POISON, print_of
from tests.simulated.cluster import Trouble
from tests.simulated.run import Run, Slot
from tests.simulated.world import S


@pytest.fixture
def run() -> Iterator[Run]:
    """A quiet cluster; nothing happens in it but what the test does."""
    made = Run(1)
    yield made
    made.end()


def start(run: Run, *units: str) -> list[Slot]:
    run.units = units
    run.slots = [Slot(unit, 0) for unit in units]
    for slot in run.slots:
        run.start(slot)
    run.world.pause(1)
    return run.slots


def settle(run: Run) -> None:
    """All that was sent is done, by the books."""
    run.calm()
    run.converge()
    run.check()


def freeze(run: Run, slot: Slot, seconds: float) -> None:
    assert slot.process is not None
    slot.process.frozen_until_ns = run.world.now_ns + int(seconds * S)


def replace(run: Run, slot: Slot) -> None:
    """Another process takes the slot, while the old one may still be there."""
    assert slot.process is not None
    slot.replaced.append(slot.process)
    run.start(slot)


def test_a_sleeper_whose_slot_was_taken_ends_and_says_so(run: Run) -> None:
    (slot,) = start(run, "both")
    run.feed(10)
    sleeper = slot.process
    assert sleeper is not None
    freeze(run, slot, 3)
    replace(run, slot)
    run.feed(10)
    run.world.pause(3)
    for _ in range(8):
        run.feed(5)
        run.world.pause(3)  # it makes sure that the other is not its own ghost
    assert sleeper.ended and "another process has taken this slot" in str(sleeper.error)
    settle(run)


def test_what_a_sleeper_cannot_apply_is_no_poison() -> None:
    """In which order it finds the records when it wakes up is chance: a few seeds, and in some it meets them so."""
    met = 0
    for seed in range(20):
        told: list[str] = []
        run = Run(seed, told.append)
        adder, _ = start(run, "adder", "repeater")
        sleeper = adder.process
        run.world.pause(2.2)
        freeze(run, adder, 2.4)  # between two heartbeats: it does not hear at once that it is fenced
        replace(run, adder)
        run.world.pause(1)
        run.feed(10)
        run.world.pause(1)
        run.cluster.trouble = Trouble(slow_fetch=0.8)
        run.world.pause(8)
        met += any("dropped, for another worker has gone on from here meanwhile" in line for line in told)
        assert sleeper is not None and "cannot apply" not in str(sleeper.error)
        settle(run)
        run.end()
    assert met, "no seed shows what this test is about: choose others"


def test_a_worker_whose_producer_was_fenced_restores_and_goes_on(run: Run) -> None:
    (slot,) = start(run, "both")
    run.feed(10)
    run.world.pause(1)
    known = run.cluster.transactions
    known.init("both-0", 5000)  # as an operator's tool would, or a transaction that ran out of time
    run.feed(10)
    run.world.pause(1)
    assert slot.process is not None and not slot.process.ended
    settle(run)


@pytest.mark.parametrize("kind", ["indefinite", "hang", "abortable", "retriable", "unanswered", "late", "lost"])
def test_each_fault_alone_struck_again_and_again(run: Run, kind: str) -> None:
    start(run, "both")
    run.cluster.trouble = Trouble(**{kind: 0.3})
    for _ in range(20):
        run.feed(4)
        run.world.pause(0.7)
    assert run.cluster.faults[kind] > 2
    settle(run)


def test_a_restore_waits_for_markers_that_are_still_on_their_way() -> None:
    """Partitions go to another worker right after commits whose markers have not reached the changelog yet."""
    for seed in range(12):
        run = Run(seed)
        start(run, "both")
        run.cluster.transactions.marker_delay_ms_max = 5000
        run.slots.append(Slot("both", 1))
        run.start(run.slots[-1])
        for _ in range(60):
            run.feed(1)
            run.world.pause(0.1)
        run.look()
        settle(run)
        run.end()


def test_a_worker_put_out_of_its_group_while_it_slept_comes_back(run: Run) -> None:
    (slot,) = start(run, "both")
    run.feed(10)
    freeze(run, slot, 14)
    run.feed(10)
    run.world.pause(16)
    run.look()
    settle(run)


def test_workers_that_come_and_go_while_others_restore(run: Run) -> None:
    start(run, "both")
    for number in (1, 2):
        run.slots.append(Slot("both", number))
        run.feed(10)
        run.start(run.slots[-1])
        run.world.pause(0.05)
        run.feed(10)
    run.world.pause(4)
    for slot in run.slots:
        assert slot.process is not None
        slot.process.kill()
        run.world.pause(2)
        run.start(slot)
        run.look()
    settle(run)


def test_poison_is_still_poison(run: Run) -> None:
    (slot,) = start(run, "both")
    record: Record = print_of(POISON, 1)
    run.publish(record)
    run.world.pause(2)
    assert slot.process is not None and "cannot apply the record at prints/" in str(slot.process.error)
