"""The transaction coordinator: who may write under an id, and how a transaction ends on every partition it touched.

A decision (PREPARE) is one moment; its markers reach the partitions one by one, each after a time of its own. Until the
last has arrived the id's next transaction is told CONCURRENT_TRANSACTIONS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaError

from tests.simulated.log import Partition, Refused
from tests.simulated.world import MS, S, World

SCAN_NS: Final = S
"""How often a broker looks for transactions that have run out of time."""

Place = tuple[str, int]


@dataclass
class Transaction:
    """What the coordinator knows of one transactional id."""

    name: str
    pid: int
    epoch: int
    timeout_ms: int
    state: str = "empty"
    """empty, ongoing, prepare-commit, prepare-abort, complete-commit, complete-abort"""
    places: set[Place] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    started: int = 0
    """Counts its transactions, so that a timer knows its own."""


class Transactions:
    """The coordinator of all ids. ``settle_group(group, pid, commit)`` is a group's part of a marker."""

    def __init__(
        self,
        world: World,
        partitions: dict[Place, Partition],
        settle_group: Callable[[str, int, bool], None],
        available: Callable[[], bool],
    ) -> None:
        self.marker_delay_ms_max = 20.0
        self._world = world
        self._partitions = partitions
        self._settle_group = settle_group
        self._available = available
        self._ids: dict[str, Transaction] = {}
        self._pids = 0

    # ---------------------------------------------------------------- requests

    def init(self, name: str, timeout_ms: int) -> tuple[int, int]:
        """InitProducerId: producer id and epoch. What an earlier producer left open is taken back first."""
        known = self._ids.get(name)
        if known is None:
            self._pids += 1
            known = self._ids[name] = Transaction(name, self._pids, -1, timeout_ms)
        if known.state.startswith("prepare"):
            raise Refused(KafkaError.CONCURRENT_TRANSACTIONS)
        known.epoch += 1
        known.timeout_ms = timeout_ms
        if known.state == "ongoing":
            self._decide(known, "abort")
            raise Refused(KafkaError.CONCURRENT_TRANSACTIONS)
        known.state = "empty"
        return known.pid, known.epoch

    def add(self, name: str, epoch: int, places: Iterable[Place], groups: Iterable[str] = ()) -> None:
        """AddPartitionsToTxn, AddOffsetsToTxn."""
        known = self._of(name, epoch)
        if known.state.startswith("prepare"):
            raise Refused(KafkaError.CONCURRENT_TRANSACTIONS)
        if known.state != "ongoing":
            known.state = "ongoing"
            known.started += 1
            known.places.clear()
            known.groups.clear()
            self._start_timer(known, known.started)
        known.places.update(places)
        known.groups.update(groups)

    def end(self, name: str, epoch: int, result: str) -> None:
        """EndTxn; ``result``: commit or abort. Said twice it is done once."""
        known = self._of(name, epoch)
        if known.state == "ongoing":
            self._decide(known, result)
        elif known.state == f"prepare-{result}":
            raise Refused(KafkaError.CONCURRENT_TRANSACTIONS)
        elif known.state != f"complete-{result}":
            raise Refused(KafkaError.INVALID_TXN_STATE)

    def verify(self, name: str, epoch: int, place: Place | None = None, group: str = "") -> None:
        """What a partition (or group) asks before it takes the first record of a transaction."""
        known = self._of(name, epoch, KafkaError.INVALID_PRODUCER_EPOCH)
        there = group in known.groups if group else place in known.places
        if known.state != "ongoing" or not there:
            raise Refused(KafkaError.INVALID_TXN_STATE)

    def open(self) -> list[str]:
        """Ids with a transaction that is not over yet."""
        return [each.name for each in self._ids.values() if each.state == "ongoing" or each.state.startswith("prepare")]

    # ---------------------------------------------------------------- inside

    def _of(self, name: str, epoch: int, fenced: int = KafkaError.PRODUCER_FENCED) -> Transaction:
        known = self._ids[name]
        if epoch != known.epoch:
            raise Refused(fenced)
        return known

    def _decide(self, known: Transaction, result: str) -> None:
        known.state = f"prepare-{result}"
        self._world.note(f"coordinator: {known.name} epoch {known.epoch} {result}")
        left: set[Place | str] = {*known.places, *known.groups}
        where: list[Place | str] = [*sorted(known.places), *sorted(known.groups)]
        for each in where:
            self._send_marker(known, known.epoch, result, each, left)
        if not left:
            known.state = f"complete-{result}"

    def _send_marker(
        self, known: Transaction, epoch: int, result: str, where: Place | str, left: set[Place | str]
    ) -> None:
        def arrive() -> None:
            if not self._available():
                self._world.at(50 * MS, arrive)
                return
            if isinstance(where, str):
                self._settle_group(where, known.pid, result == "commit")
            else:
                self._partitions[where].mark(known.pid, epoch, result, self._world.now_ns // MS)
            left.discard(where)
            if not left:
                known.state = f"complete-{result}"

        delay_ms = self._world.chance.random() ** 3 * self.marker_delay_ms_max
        self._world.at(int(delay_ms * MS), arrive)

    def _start_timer(self, known: Transaction, number: int) -> None:
        def ring() -> None:
            if known.started != number or known.state != "ongoing":
                return
            if not self._available():
                self._world.at(SCAN_NS, ring)
                return
            self._world.note(f"coordinator: {known.name} ran out of time")
            known.epoch += 1
            self._decide(known, "abort")

        scan_ns = int(self._world.chance.random() * SCAN_NS)
        self._world.at(known.timeout_ms * MS + scan_ns, ring)
