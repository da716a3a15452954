"""`pipeline topics` on a real broker of its own: creates, sets, refuses, never deletes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not in the stubs
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from pipeline.errors import Unreachable
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.kafka.topic_admin import Drift, apply, plan
from pipeline.topics import TOPICS
from tests.waiting import GIVE_UP_S

TOPIC_COUNT = len(TOPICS) + 1  # one source's own, and one changelog beside the shared ones


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    with LocalKafka() as own:
        assert apply(own.bootstrap_servers, 2, ["alpha"], ["netting"], say=lambda _: None) == 0
        yield own.bootstrap_servers


def partitions_of(bootstrap_servers: str) -> dict[str, int]:
    topics = AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics(timeout=60).topics
    return {name: len(topic.partitions) for name, topic in topics.items()}


def set_config(bootstrap_servers: str, topic: str, setting: str, value: str) -> None:
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(60)
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        (described,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        if described.result(60)[setting].value == value:
            return
        time.sleep(0.05)
    raise AssertionError(f"{topic}: {setting} is not {value} after {GIVE_UP_S:.0f} s")


def test_what_was_applied_is_as_wanted_and_applying_again_does_nothing(kafka: str) -> None:
    made = plan(kafka, 2, ["alpha"], ["netting"])
    assert (made.create, made.change, made.refused, made.as_wanted) == ((), (), (), TOPIC_COUNT)
    said: list[str] = []
    assert apply(kafka, 2, ["alpha"], ["netting"], say=said.append) == 0
    assert said[-1].endswith("nothing to do")
    found = partitions_of(kafka)
    assert found["orders"] == found["clock"] == found["source-events.alpha"] == found["changelog.netting"] == 2
    assert found["schemas"] == 1


def test_another_number_of_partitions_is_refused_and_nothing_is_done(kafka: str) -> None:
    before = partitions_of(kafka)
    said: list[str] = []
    assert apply(kafka, 3, ["alpha", "beta"], ["netting"], say=said.append) == 1
    assert partitions_of(kafka) == before
    refusal = next(line for line in said[0].splitlines() if "REFUSED" in line)
    assert "2 partitions, not 3: orders-in, " in refusal
    assert "use the 2 there are" in refusal
    assert "schemas" not in refusal


def test_a_setting_that_drifted_is_shown_and_set_back(kafka: str) -> None:
    set_config(kafka, "orders", "retention.ms", "60000")
    set_config(kafka, "changelog.netting", "cleanup.policy", "delete")
    made = plan(kafka, 2, ["alpha"], ["netting"])
    assert made.change == (
        Drift("orders", "retention.ms", "60000", "-1"),
        Drift("changelog.netting", "cleanup.policy", "delete", "compact"),
    )
    assert "orders: retention.ms from 60000 to -1" in made.text()
    assert made.exit_code == 0
    assert apply(kafka, 2, ["alpha"], ["netting"], say=lambda _: None) == 0
    assert plan(kafka, 2, ["alpha"], ["netting"]).change == ()


def test_others_topics_and_sources_that_are_gone_are_left_alone(kafka: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic("somebody-elses", 5, 1)]).values():
        future.result(60)
    deadline = time.monotonic() + GIVE_UP_S
    while "somebody-elses" not in partitions_of(kafka) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert apply(kafka, 2, [], [], say=lambda _: None) == 0
    found = partitions_of(kafka)
    assert found["somebody-elses"] == 5
    assert "source-events.alpha" in found
    assert "changelog.netting" in found


def test_an_input_is_not_kept_shorter_than_the_journal(kafka: str) -> None:
    said: list[str] = []
    assert apply(kafka, 2, retention_ms={"fills": 60_000}, say=said.append) == 1
    assert "fills would be kept 60000 ms, the journal for ever" in said[0]
    assert plan(kafka, 2, ["alpha"], ["netting"]).change == ()


def test_more_copies_than_brokers_are_refused(kafka: str) -> None:
    made = plan(kafka, 2, ["beta"], replication=3)
    assert made.refused == ("3 replicas on 1 broker: start more, or ask for fewer",)


def test_a_broker_that_is_not_there_is_named_with_its_address() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        plan("127.0.0.1:9", 2, timeout_s=1)
