"""One writer for each stage's state: no other unit that has the stage runs, no other process holds the slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.errors import PipelineError, WrongUse
from pipeline.runtime.worker.context import WorkerContext
from pipeline.runtime.worker.restore import ASK_TIMEOUT_S, NotRestored
from pipeline.runtime.worker.wiring import Wiring

SESSION_S: Final = 10.0
"""Session timeout of our groups: a static member that has stopped stays in its group for so long."""
GIVE_UP_AFTER_S: Final = SESSION_S + 3
"""How long a unit waits for another one that has a stage of its own."""


def refuse_if_elsewhere(
    admin: AdminClient, wiring: Wiring, units: Mapping[str, tuple[str, ...]], context: WorkerContext
) -> None:
    """No stage of ours may have members in another unit: two would write the same state. Raises WrongUse.

    Asked before joining, so that those who work are not disturbed; :class:`Rivals` asks again.
    """
    rivals = Rivals(admin, wiring, units, context)
    while True:
        try:
            rivals.check(joined=False)
            return
        except NotRestored as waiting:
            context.say_now_and_then(str(waiting))
            context.rest(1.0)


class Rivals:
    """Other units that have a stage of ours.

    Of two that start at the same moment neither sees the other before joining its group. So each checks again once it
    has joined, before it restores state: the one that joined later then sees the other. A unit that sees none works
    on; one that sees another waits until that has gone, and gives up after a while. When both see each other, the one
    whose name comes later in the alphabet gives up at once.
    """

    def __init__(
        self, admin: AdminClient, wiring: Wiring, units: Mapping[str, tuple[str, ...]], context: WorkerContext
    ) -> None:
        ours = {stage.name for stage in wiring.stages}
        shared = {name: sorted(ours & set(stages)) for name, stages in units.items() if name != wiring.unit}
        self._others: Final = {name: stages for name, stages in shared.items() if stages}
        self._unit: Final = wiring.unit
        self._admin = admin
        self._context: Final = context
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
            self._admin = self._context.kafka.admin()  # the old one may go on asking a broker that has gone
            raise NotRestored(f"waiting for Kafka's group coordinator ({error!r})") from error
        if not running:
            self._seen_since = None
            return
        found = "; ".join(f"{', '.join(self._others[name])} in unit {name}" for name in running)
        now = self._context.kafka.monotonic()
        if self._seen_since is None:
            self._seen_since = now
        if now - self._seen_since > GIVE_UP_AFTER_S or (joined and self._unit > min(running)):
            raise WrongUse(f"{self._unit} cannot start: still running: {found}. Stop that first.")
        raise NotRestored(f"waiting for {found} to be gone")


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


def refuse_if_replaced(group: str, slot_name: str, session_s: float, context: WorkerContext) -> None:
    """After our membership was fenced: has another process taken the slot? Raises PipelineError when it has.

    The client library also fences itself: when the broker was away for longer than the session, it forgets its member
    id, and before the revocation is handled it sends a heartbeat without one, which the coordinator refuses because of
    the member that the client itself was. That stale member leaves the group when its session runs out; a living
    process stays. So the coordinator is asked until either is clear.
    """
    since: float | None = None  # from when on, without interruption, the group has had a member of our name
    answered = 0.0
    while True:
        try:
            # A new client: one that was answered NOT_COORDINATOR may go on asking the same broker for ever.
            admin = context.kafka.admin()  # kept in a variable: if it were freed, its answer would never come
            found = admin.describe_consumer_groups([group], request_timeout=ASK_TIMEOUT_S / 2)
            described = found[group].result(ASK_TIMEOUT_S)
        except (KafkaException, TimeoutError) as error:
            context.say_now_and_then(f"waiting for Kafka's group coordinator ({error!r})")
            since = None
        else:
            if all(member.group_instance_id != slot_name for member in described.members):
                return
            now = context.kafka.monotonic()
            # Sessions begin anew when a coordinator comes back, and do not run out for those that wait in a rebalance.
            if since is None or now - answered > session_s or described.state is not ConsumerGroupState.STABLE:
                since = now
            answered = now
            if now - since > 1.5 * session_s + 1.0:
                raise PipelineError(f"{slot_name}: fenced: another process has taken this slot")
        context.rest(0.5)
