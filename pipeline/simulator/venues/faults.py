"""Faults of simulated venues, to test against: seeded, each with a rate of its own, all off by default."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.simulator.venues.draws import happens


@dataclass(frozen=True)
class Faults:
    """Rates in parts per million of the messages concerned, and delays in nanoseconds."""

    reject_ppm: int = 0
    """New orders that are rejected although nothing is wrong with them."""
    duplicate_ppm: int = 0
    """Reports that are sent twice, the second time later."""
    late_ppm: int = 0
    """Reports that are delayed, so that later ones overtake them."""
    late_by_ns: int = 3_000_000_000
    """How long a late report, or the second copy of a duplicate, is delayed."""
    bust_ppm: int = 0
    """Executions that are busted afterwards."""
    bust_after_ns: int = 5_000_000_000
    """How long after the execution."""
    overfill_ppm: int = 0
    """Executions that complete an order and go beyond it by one unit."""

    def rejects(self, seed: int, wire_id: str) -> bool:
        """Whether the new order with this wire id is rejected."""
        return happens(self.reject_ppm, seed, "reject", wire_id)

    def duplicates(self, seed: int, exec_id: str) -> bool:
        """Whether the report of this execution is sent twice."""
        return happens(self.duplicate_ppm, seed, "duplicate", exec_id)

    def holds_up(self, seed: int, exec_id: str) -> bool:
        """Whether the report of this execution is delayed."""
        return happens(self.late_ppm, seed, "late", exec_id)

    def busts(self, seed: int, exec_id: str) -> bool:
        """Whether this execution is busted later."""
        return happens(self.bust_ppm, seed, "bust", exec_id)

    def overfills(self, seed: int, exec_id: str) -> bool:
        """Whether this execution, if it completes its order, is one unit too large."""
        return happens(self.overfill_ppm, seed, "overfill", exec_id)
