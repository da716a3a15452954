"""Faults of simulated venues, to test against: seeded, each with a rate of its own, all off by default."""

from __future__ import annotations

from typing import Annotated

from pipeline.domain.units import NS_PER_S
from pipeline.parameters import Parameters, nanos, ppm
from pipeline.simulator.venues.draws import happens


class Faults(Parameters, frozen=True, kw_only=True):
    """What simulated venues do wrong: rates per message concerned, and how long things are held up."""

    reject_ppm: Annotated[int, ppm("New orders that are rejected for no reason of ours.")] = 0
    duplicate_ppm: Annotated[int, ppm("Reports that are sent twice, the second time later.")] = 0
    late_ppm: Annotated[int, ppm("Reports that are held up; later ones overtake them.")] = 0
    late_by_ns: Annotated[
        int, nanos("How long a late report, or the second copy of a duplicate, is held up.")
    ] = 3 * NS_PER_S  # fmt: skip
    bust_ppm: Annotated[int, ppm("Executions that are busted afterwards.")] = 0
    bust_after_ns: Annotated[int, nanos("How long after the execution a bust comes.")] = 5 * NS_PER_S
    overfill_ppm: Annotated[int, ppm("Executions that complete an order and go beyond it by one unit.")] = 0

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
