"""The containers' health checks, against a real broker."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from pipeline.errors import Unreachable, WrongUse
from pipeline.runtime import health
from pipeline.runtime.embedded.platform import Platform
from tests.broker.test_platform import create_topic, produce
from tests.waiting import until

Unique = Callable[[str], str]


def test_a_unit_is_healthy_only_while_a_member_of_it_is_here(platform: Platform, unique: Unique) -> None:
    topic, unit = unique("input"), unique("unit")
    create_topic(platform.bootstrap_servers, topic)
    admin = AdminClient({"bootstrap.servers": platform.bootstrap_servers})
    consumer = Consumer({"bootstrap.servers": platform.bootstrap_servers, "group.id": unit})
    consumer.subscribe([topic])

    def assigned() -> bool:
        consumer.poll(0.1)
        return bool(consumer.assignment())

    until(assigned, "an assignment", every_s=0)
    assert health.unit_is_healthy(admin, unit, here=None)
    assert health.unit_is_healthy(admin, unit, here=frozenset({"127.0.0.1"}))
    assert not health.unit_is_healthy(admin, unit, here=frozenset({"10.9.9.9"}))
    consumer.close()
    assert not health.unit_is_healthy(admin, unit, here=None)


def test_a_topic_ages_from_its_newest_record(platform: Platform, unique: Unique) -> None:
    topic = unique("ticks")
    create_topic(platform.bootstrap_servers, topic)
    admin = AdminClient({"bootstrap.servers": platform.bootstrap_servers})
    assert health.topic_age_s(admin, topic, time.time()) is None
    before_s = time.time()
    produce(platform.bootstrap_servers, topic, b"tick")
    after_s = time.time()
    age_s = health.topic_age_s(admin, topic, after_s + 100)
    assert age_s is not None
    assert 99 < age_s < after_s - before_s + 101, "of the moment it was appended"


def test_the_command_answers_with_an_exit_code(
    platform: Platform, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", platform.bootstrap_servers)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", platform.registry_url)
    topic = unique("ticks")
    create_topic(platform.bootstrap_servers, topic)
    assert health.main(["platform"]) == 0
    assert health.main(["topic", topic, "30"]) == 1
    produce(platform.bootstrap_servers, topic, b"tick")
    assert health.main(["topic", topic, "600"]) == 0
    with pytest.raises(WrongUse):
        health.main(["weather"])
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        health.main(["topic", topic, "30"])
