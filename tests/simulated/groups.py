"""The group coordinator: static members, generations, the range assignor, offsets in and out of transactions.

The classic protocol with eager rebalances, as librdkafka speaks it. The leader's part (dividing the partitions) is done
here: it is the same computation whoever does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaError

from tests.simulated.log import Refused
from tests.simulated.world import MS, World

REBALANCE_TIMEOUT_MS: Final = 300_000
Place = tuple[str, int]
Answer = Callable[["Refused | Joined"], None]


@dataclass
class Joined:
    """The answer to a join: the member's new place in the group."""

    member_id: str
    generation: int
    places: list[Place]


@dataclass
class Member:
    instance: str
    member_id: str
    topics: list[str]
    session_ms: int
    heard_ns: int = 0
    waiting: Answer | None = None
    """It has (re)joined and waits for the others."""


@dataclass
class Group:
    name: str
    state: str = "empty"
    """empty, preparing (members rejoin), completing (the leader divides), stable"""
    generation: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    """By instance id."""
    assignment: dict[str, list[Place]] = field(default_factory=dict)
    offsets: dict[Place, int] = field(default_factory=dict)
    pending: dict[int, dict[Place, int]] = field(default_factory=dict)
    """Producer id: offsets that wait for its transaction's end."""


class Groups:
    """The coordinator of all groups."""

    def __init__(self, world: World, partitions_of: Callable[[str], int], available: Callable[[], bool]) -> None:
        self._world = world
        self._partitions_of = partitions_of
        self._available = available
        self._groups: dict[str, Group] = {}
        self._member_numbers = 0

    def __getitem__(self, name: str) -> Group:
        return self._groups.setdefault(name, Group(name))

    # ---------------------------------------------------------------- membership

    def join(self, group: Group, instance: str, member_id: str, topics: list[str], session_ms: int, answer: Answer
             ) -> None:  # fmt: skip
        """JoinGroup and SyncGroup in one: ``answer`` is called when the group has settled."""
        member = group.members.get(instance)
        if member is None:
            if member_id:
                answer(Refused(KafkaError.UNKNOWN_MEMBER_ID))
                return
            member = group.members[instance] = Member(instance, self._new_id(instance), topics, session_ms)
            self._hear(group, member)
            member.waiting = answer
            self._rebalance(group)
            return
        if member_id and member_id != member.member_id:
            answer(Refused(KafkaError.FENCED_INSTANCE_ID))
            return
        if not member_id:
            # The same static member, started anew: it takes the place of what it was, which is fenced from now on.
            member.member_id = self._new_id(instance)
            if member.waiting is not None:
                member.waiting(Refused(KafkaError.FENCED_INSTANCE_ID))
                member.waiting = None
            self._hear(group, member)
            if group.state == "stable":
                answer(Joined(member.member_id, group.generation, group.assignment[instance]))
                return
        self._hear(group, member)
        member.waiting = answer
        self._rebalance(group)

    def heartbeat(self, group: Group, instance: str, member_id: str, generation: int) -> None:
        """Raises Refused, REBALANCE_IN_PROGRESS among others."""
        member = self._member(group, instance, member_id)
        self._hear(group, member)
        if generation != group.generation:
            raise Refused(KafkaError.ILLEGAL_GENERATION)
        if group.state == "preparing":
            raise Refused(KafkaError.REBALANCE_IN_PROGRESS)

    def _member(self, group: Group, instance: str, member_id: str) -> Member:
        member = group.members.get(instance)
        if member is None:
            raise Refused(KafkaError.UNKNOWN_MEMBER_ID)
        if member.member_id != member_id:
            raise Refused(KafkaError.FENCED_INSTANCE_ID)
        return member

    def _new_id(self, instance: str) -> str:
        self._member_numbers += 1
        return f"{instance}-{self._member_numbers}"

    def _hear(self, group: Group, member: Member) -> None:
        heard_ns = member.heard_ns = self._world.now_ns

        def expire() -> None:
            if group.members.get(member.instance) is not member or member.heard_ns != heard_ns:
                return
            if not self._available() or (member.waiting is not None and group.state == "preparing"):
                # A coordinator that comes back gives everybody a session's time; who waits in a join is not counted.
                self._hear(group, member)
                return
            self._world.note(f"group {group.name}: {member.instance} has left: its session is over")
            del group.members[member.instance]
            if member.waiting is not None:
                member.waiting(Refused(KafkaError.UNKNOWN_MEMBER_ID))
            self._rebalance(group)

        self._world.at(member.session_ms * MS, expire)

    def _rebalance(self, group: Group) -> None:
        if not group.members:
            group.state = "empty"
            group.generation += 1
            group.assignment.clear()
            return
        group.state = "preparing"
        if all(member.waiting is not None for member in group.members.values()):
            self._divide(group)

    def _divide(self, group: Group) -> None:
        group.generation += 1
        group.state = "completing"
        group.assignment = self.range(
            {name: member.topics for name, member in group.members.items()}, self._partitions_of
        )
        generation = group.generation
        told = ", ".join(f"{name}={places}" for name, places in sorted(group.assignment.items()))
        self._world.note(f"group {group.name}: generation {generation}: {told}")

        def sync() -> None:
            if group.generation != generation or group.state != "completing":
                return
            group.state = "stable"
            for member in group.members.values():
                answer, member.waiting = member.waiting, None
                self._hear(group, member)
                if answer is not None:
                    answer(Joined(member.member_id, generation, group.assignment[member.instance]))

        self._world.at(int(self._world.latency() * 1e9), sync)

    @staticmethod
    def range(subscriptions: dict[str, list[str]], partitions_of: Callable[[str], int]) -> dict[str, list[Place]]:
        """The range assignor; static members in the order of their instance ids."""
        found: dict[str, list[Place]] = {name: [] for name in subscriptions}
        for topic in sorted({topic for topics in subscriptions.values() for topic in topics}):
            names = sorted(name for name, topics in subscriptions.items() if topic in topics)
            share, more = divmod(partitions_of(topic), len(names))
            first = 0
            for i, name in enumerate(names):
                count = share + (i < more)
                found[name].extend((topic, p) for p in range(first, first + count))
                first += count
        return found

    # ---------------------------------------------------------------- offsets

    def commit_in_transaction(
        self, group: Group, pid: int, instance: str, member_id: str, generation: int, offsets: dict[Place, int]
    ) -> None:
        """TxnOffsetCommit: fenced by member and generation, never by who owns the partition."""
        if not (generation < 0 and group.state == "empty"):
            self._member(group, instance, member_id)
            if generation != group.generation:
                raise Refused(KafkaError.ILLEGAL_GENERATION)
        group.pending.setdefault(pid, {}).update(offsets)

    def settle(self, name: str, pid: int, commit: bool) -> None:
        """A transaction's marker has come."""
        group = self[name]
        offsets = group.pending.pop(pid, {})
        if commit:
            group.offsets.update(offsets)

    def stable_offsets(self, group: Group, places: Iterable[Place]) -> dict[Place, int]:
        """Raises UNSTABLE_OFFSET_COMMIT while a transaction that moves one of them is open."""
        places = list(places)
        if any(place in offsets for offsets in group.pending.values() for place in places):
            raise Refused(KafkaError.UNSTABLE_OFFSET_COMMIT)
        return {place: group.offsets[place] for place in places if place in group.offsets}
