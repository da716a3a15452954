"""Credit's promise: the leases of a limit sum to it exactly, each granted once and by one task."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.controls import CreditLease
from pipeline.domain.partitioning import partition_of
from pipeline.domain.reference import Limit, LimitScope, ReferenceKind
from pipeline.stages.credit import CreditStage
from tests.stage_bench import Bench

SET, REMOVE = ReferenceKind.SET, ReferenceKind.REMOVE


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=5)


def limit(max_exposure: int | None, account: str = "A", kind: ReferenceKind = SET) -> Limit:
    return Limit(
        kind=kind, scope=LimitScope.ACCOUNT, scope_id=account, effective_ns=5, max_exposure=max_exposure, max_rate=3
    )


def grants(partitions: int, *messages: Limit) -> list[CreditLease]:
    """What all tasks together grant."""
    leases = []
    for partition in range(partitions):
        bench = Bench(CreditStage(), partition, partitions)
        bench.feed(*messages)
        leases += bench.all(CreditLease)
    return leases


@given(whole=st.integers(0, 10**18), partitions=st.integers(1, 12), account=NAMES)
def test_leases_sum_to_the_limit_and_each_partition_has_one(whole: int, partitions: int, account: str) -> None:
    leases = grants(partitions, limit(whole, account))
    assert [lease.partition for lease in leases] == list(range(partitions))
    assert sum(lease.leased or 0 for lease in leases) == whole
    assert {(lease.account, lease.lease_no, lease.effective_ns) for lease in leases} == {(account, 1, 5)}


def test_only_the_task_of_the_account_grants() -> None:
    for partition in range(3):
        bench = Bench(CreditStage(), partition, 3)
        assert bool(bench.feed(limit(10))) == (partition == partition_of("A", 3))


@pytest.mark.parametrize(
    ("message", "leased", "because"),
    [
        (limit(None), [None, None], "no limit is no limit everywhere"),
        (limit(7, kind=REMOVE), [0, 0], "what was removed opens nothing more"),
        (limit(-1), [], "a limit below nothing is set aside: the one before it stays"),
        (limit(5), [3, 2], "the remainder goes to the lowest"),
    ],
)
def test_what_a_limit_becomes(message: Limit, leased: list[int | None], because: str) -> None:
    assert [lease.leased for lease in grants(2, message)] == leased, because


def test_a_new_limit_makes_new_leases_with_the_next_number() -> None:
    leases = grants(2, limit(5), limit(9))
    assert [(lease.lease_no, lease.leased) for lease in leases] == [(1, 3), (1, 2), (2, 5), (2, 4)]


def test_limits_of_others_than_accounts_grant_nothing() -> None:
    for scope in LimitScope:
        if scope is not LimitScope.ACCOUNT:
            assert grants(2, Limit(kind=SET, scope=scope, scope_id="A", effective_ns=5, max_exposure=7)) == []
