"""A whole day in memory from one seed: every stage, two instruments, three sources, and all that goes wrong."""

from __future__ import annotations

import pytest

from pipeline import topology
from pipeline.audit.invariants import Books
from pipeline.demo.memory_run import run_in_memory
from pipeline.demo.scenario import scenario
from pipeline.domain.orders import OrderEvent, OrderEventKind
from pipeline.domain.parents import Cross, ParentKind, ParentOrder
from pipeline.domain.rejections import RejectReason
from pipeline.runtime.auditing.verify import verify_host
from pipeline.runtime.contracts.codec import LocalIds
from pipeline.runtime.memory.host import MemoryHost
from pipeline.topics import TOPICS

NO_DATA = {"PIPELINE_DATA": "/nonexistent"}
"""The simulated market: this runs on every machine."""


@pytest.fixture(scope="module")
def day() -> MemoryHost:
    return run_in_memory(scenario(NO_DATA, orders=700, seconds=180, seed=7))


def books_of(host: MemoryHost) -> Books:
    books = Books()
    for topic in TOPICS:
        for record in host.records(topic.record):
            books.add(record)
    return books


def test_the_books_balance(day: MemoryHost) -> None:
    lines = books_of(day).lines()
    assert len(lines) > 15
    assert [str(line) for line in lines if not line.holds] == []


def test_a_day_has_something_of_everything(day: MemoryHost) -> None:
    kinds = {event.kind for event in day.records(OrderEvent)}
    assert kinds >= {
        OrderEventKind.ACCEPTED,
        OrderEventKind.REFUSED,
        OrderEventKind.REPEATED,
        OrderEventKind.TRADE,
        OrderEventKind.CROSSED,
        OrderEventKind.FILLED,
        OrderEventKind.EXPIRED,
        OrderEventKind.CANCEL_REFUSED,
    }
    reasons = {event.reason for event in day.records(OrderEvent) if event.reason is not None}
    assert len(reasons) >= 25
    assert {RejectReason.CONFLICTING_REPEAT, RejectReason.PRICE_NOT_ON_TICK} <= reasons
    assert len(day.records(Cross)) > 10


def test_many_orders_become_few_parents(day: MemoryHost) -> None:
    parents = [parent for parent in day.records(ParentOrder) if parent.kind is ParentKind.NEW]
    accepted = [event for event in day.records(OrderEvent) if event.kind is OrderEventKind.ACCEPTED]
    assert 0 < len(parents) * 4 < len(accepted)


def test_every_decision_is_the_same_when_replayed_twice(day: MemoryHost) -> None:
    audit = verify_host(day, topology.STAGES, LocalIds(), runs=2)
    assert audit.verified, audit.text()


def test_the_same_seed_gives_the_same_day_and_another_seed_another() -> None:
    def digest(seed: int) -> str:
        return run_in_memory(scenario(NO_DATA, orders=120, seconds=60, seed=seed)).state_digest()

    assert digest(1) == digest(1) != digest(2)


def test_a_unit_per_stage_balances_too() -> None:
    today = scenario(NO_DATA, orders=200, seconds=90, seed=3)
    host = run_in_memory(today, stages=topology.STAGES, one_unit_per_stage=True)
    assert [str(line) for line in books_of(host).lines() if not line.holds] == []
