"""Before the first record: the cluster is there, its topics are as they must be, and nobody else runs our stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.errors import AccessRefused, PipelineError, PlatformError, WrongUse
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.restore import ASK_TIMEOUT_S, NotRestored
from pipeline.runtime.worker.wiring import Wiring, outputs_of
from pipeline.topics import Spread, changelog_of, topic_named

SESSION_S: Final = 10.0
"""Session timeout of our groups: a static member that has stopped stays in its group for so long."""


GIVE_UP_AFTER_S: Final = SESSION_S + 3
"""How long a unit waits for another one that has a stage of its own."""


class Surroundings(NamedTuple):
    """What was found."""

    partitions: int
    topics: frozenset[str]
    cluster_id: str
    schemas: str
    """Schema id and fingerprint of each contract, as JSON."""


def survey(admin: AdminClient, wiring: Wiring, codec: Codec, patience: WorkerContext) -> Surroundings:
    """Wait until broker and registry answer, then check.

    Raises WrongUse for missing topics and unequal partitions, AccessRefused when one of the two does not let us in.
    """
    while True:
        try:
            metadata = patience.kafka.metadata(admin, 5)
            ours = [topic for stage in wiring.stages for topic in outputs_of(stage)]
            schemas = codec.schemas_as_json([*ours, *wiring.outside])
            break
        except AccessRefused:
            raise
        except PlatformError as error:
            patience.say_now_and_then(f"{error} Waiting for it.")
        except KafkaException:
            patience.say_now_and_then(
                f"Kafka does not answer at {patience.kafka.bootstrap_servers}. Waiting for it; or correct the address."
            )
        patience.rest(0.5)
    needed = {topic.name for topic in wiring.outside} | wiring.inner
    for stage in wiring.stages:
        needed.add(changelog_of(stage.name))
        needed |= {topic.name for topic in outputs_of(stage) if not topic.per_source}
    missing = sorted(needed - set(metadata.topics))
    if missing:
        raise WrongUse(f"topics are missing: {', '.join(missing)}. Create them: pipeline topics apply")
    counts = {
        name: len(metadata.topics[name].partitions)
        for name in sorted(needed)
        if name.startswith("changelog.") or topic_named(name).spread is not Spread.SINGLE
    }
    if len(set(counts.values())) != 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise WrongUse(f"all topics of a unit have the same number of partitions; found {told}")
    partitions = next(iter(counts.values()))
    return Surroundings(partitions, frozenset(metadata.topics), str(metadata.cluster_id or ""), schemas)


def refuse_if_elsewhere(
    admin: AdminClient, wiring: Wiring, units: Mapping[str, tuple[str, ...]], patience: WorkerContext
) -> None:
    """No stage of ours may have members in another unit: two would write the same state. Raises WrongUse.

    Asked before joining, so that those who work are not disturbed; :class:`Rivals` asks again.
    """
    rivals = Rivals(admin, wiring, units, patience)
    while True:
        try:
            rivals.check(joined=False)
            return
        except NotRestored as waiting:
            patience.say_now_and_then(str(waiting))
            patience.rest(1.0)


class Rivals:
    """Other units that have a stage of ours.

    Of two that start in the same moment neither has seen the other before joining. So each asks again once it has
    joined, before it adopts: whoever joined later then sees the other. One that has seen nobody works on; one that has
    seen another waits until that is gone, and gives up after a while. Where both have seen each other, the name that
    comes later gives up at once.
    """

    def __init__(
        self, admin: AdminClient, wiring: Wiring, units: Mapping[str, tuple[str, ...]], patience: WorkerContext
    ) -> None:
        ours = {stage.name for stage in wiring.stages}
        shared = {name: sorted(ours & set(stages)) for name, stages in units.items() if name != wiring.unit}
        self._others: Final = {name: stages for name, stages in shared.items() if stages}
        self._unit: Final = wiring.unit
        self._admin = admin
        self._patience: Final = patience
        self._seen_since: float | None = None

    def check(self, joined: bool) -> None:
        """``joined``: whether we are a member of our own group already.

        Raises NotRestored (ask again) while another one has members, WrongUse when that goes on for too long.
        """
        if not self._others:
            return
        try:
            running = _with_members(self._admin, sorted(self._others))
        except (KafkaException, TimeoutError) as error:
            self._admin = self._patience.kafka.admin()  # the old one may go on asking a broker that is none any more
            raise NotRestored(f"waiting for Kafka's group coordinator ({error!r})") from error
        if not running:
            self._seen_since = None
            return
        told = "; ".join(f"{', '.join(self._others[name])} in unit {name}" for name in running)
        now = self._patience.kafka.monotonic()
        if self._seen_since is None:
            self._seen_since = now
        if now - self._seen_since > GIVE_UP_AFTER_S or (joined and self._unit > min(running)):
            raise WrongUse(f"{self._unit} cannot start: still running: {told}. Stop that first.")
        raise NotRestored(f"waiting for {told} to be gone")


def _with_members(admin: AdminClient, groups: list[str]) -> list[str]:
    found = []
    for name, future in admin.describe_consumer_groups(groups, request_timeout=ASK_TIMEOUT_S / 2).items():
        try:
            if future.result(ASK_TIMEOUT_S).members:
                found.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise
    return found


def refuse_if_replaced(group: str, slot_name: str, session_s: float, patience: WorkerContext) -> None:
    """After our membership was fenced: has another process taken the slot? Raises PipelineError when it has.

    The client library also fences itself: when the broker was away for longer than the session, it forgets its member
    id, and while the revocation waits for its turn it sends a heartbeat without one, which is refused on behalf of the
    member it was itself. Such a ghost leaves the group when its session has run out; a living process stays.
    """
    since: float | None = None  # from when on the coordinator has named a member of our name, without a pause
    answered = 0.0
    while True:
        try:
            # A client made for it: one that was told NOT_COORDINATOR may go on asking the same broker, for ever.
            admin = patience.kafka.admin()  # held: when it goes, its answer never comes
            found = admin.describe_consumer_groups([group], request_timeout=ASK_TIMEOUT_S / 2)
            described = found[group].result(ASK_TIMEOUT_S)
        except (KafkaException, TimeoutError) as error:
            patience.say_now_and_then(f"waiting for Kafka's group coordinator ({error!r})")
            since = None
        else:
            if all(member.group_instance_id != slot_name for member in described.members):
                return
            now = patience.kafka.monotonic()
            # Sessions begin anew when a coordinator comes back, and do not run out for those that wait in a rebalance.
            if since is None or now - answered > session_s or described.state is not ConsumerGroupState.STABLE:
                since = now
            answered = now
            if now - since > 1.5 * session_s + 1.0:
                raise PipelineError(f"{slot_name}: fenced: another process has taken this slot")
        patience.rest(0.5)
