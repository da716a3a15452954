"""Credit: each account's limit, cut into leases for the partitions of intake.

- Reads: limits (those of accounts), clock.
- Keeps: per account, the number of its last lease.
- Writes: credit, one lease per partition for each limit of an account whose key lives in this task's partition;
  alerts.
- Refuses: nothing; a removed limit becomes leases of 0, so that nothing more is opened.
- Conserves: the leases of one limit sum to it exactly, so open value <= leases <= limit, whatever the partitions of
  intake do at the same time.

A lower limit binds from its effective time on: orders already open above it stay open, but no new one is taken.

First form: shares are static and equal, the remainder going to the lowest partitions. A lease is not moved to where
it is needed, so an account whose source lives in one partition can use that partition's share alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pipeline.domain.controls import Alert, CreditLease, Tick
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Owned, Record
from pipeline.domain.reference import Limit, LimitScope, ReferenceKind
from pipeline.stage import Meta, Stage
from pipeline.stages.shared.partition_share import partition_share
from pipeline.state import Entry, State, Task


class Granted(Entry):
    """How many times an account's limit has been split into leases."""

    lease_no: int = 0


class CreditState(State):
    """Accounts that have ever had a limit."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.granted = self.table("granted", Granted)


class CreditStage(Stage[CreditState]):
    """Splits limits into leases. Task n does so for the accounts whose key lives in partition n."""

    name: ClassVar[str] = "credit"
    title: ClassVar[str] = "grants each intake partition its share of every account's limit"
    reads: ClassVar[tuple[type[Record], ...]] = (Limit, Tick)
    writes: ClassVar[tuple[type[Owned], ...]] = (CreditLease, Alert)

    def new_state(self, task: Task) -> CreditState:
        return CreditState(task)

    def step(self, state: CreditState, message: Record, meta: Meta) -> Iterator[Owned]:
        match message:
            case Tick():
                state.apply_tick(message)
            case Limit():
                yield from _grant(state, message)
            case _:
                raise TypeError(f"credit does not read {type(message).__name__}")


def _grant(state: CreditState, limit: Limit) -> Iterator[CreditLease]:
    account = limit.scope_id
    if limit.scope is not LimitScope.ACCOUNT or limit.kind is ReferenceKind.UNKNOWN:
        return
    partitions = state.task.partitions
    if partition_of(account, partitions) != state.task.partition:
        return
    granted = state.granted.get(account) or Granted()
    granted.lease_no += 1
    state.granted.put(account, granted)
    # Granted as soon as the limit is read, with the limit's own effective time. Intake keeps leases by effective time,
    # so no order falls into a gap between the time the limit takes effect and the next tick.
    whole = 0 if limit.kind is ReferenceKind.REMOVE else limit.max_exposure
    for partition in range(partitions):
        yield CreditLease(
            account=account,
            partition=partition,
            lease_no=granted.lease_no,
            leased=None if whole is None else partition_share(max(whole, 0), partition, partitions),
            effective_ns=limit.effective_ns,
        )
