"""Topics as code, without a cluster: what is wanted, what is refused."""

from __future__ import annotations

import pytest

from pipeline.runtime.contracts.codec import DEAD_LETTER_MAX_BYTES, MAX_BYTES
from pipeline.runtime.kafka import topic_admin
from pipeline.runtime.kafka.topic_admin import Drift, Plan, Wanted, wanted
from pipeline.topics import TOPICS, Keep, Spread


def test_every_topic_a_stage_reads_has_the_same_number_of_partitions_and_is_kept_whole() -> None:
    topics = {topic.name: topic for topic in wanted(12, ["alpha", "beta"], ["netting"], 3)}
    assert len(topics) == len(TOPICS) - 1 + 2 + 1
    for topic in TOPICS:
        names = [f"{topic.name}.alpha", f"{topic.name}.beta"] if topic.per_source else [topic.name]
        for name in names:
            assert topics[name].partitions == (1 if topic.spread is Spread.SINGLE else 12)
            assert topics[name].replication == 3
            if topic.keep is Keep.WHOLE:
                assert topics[name].config["retention.ms"] == "-1"
                assert topics[name].config["retention.bytes"] == "-1"
                assert topics[name].config["cleanup.policy"] == "delete"
            assert topics[name].config["message.timestamp.type"] == "LogAppendTime"
            assert topics[name].config["min.insync.replicas"] == "2"
    assert topics["changelog.netting"].config["cleanup.policy"] == "compact"
    assert topics["changelog.netting"].partitions == 12
    assert "retention.ms" not in topics["changelog.netting"].config


def test_whatever_the_codec_writes_fits_its_topic() -> None:
    by_name = {topic.name: int(topic.config["max.message.bytes"]) for topic in wanted(2, ["a"], ["s"], 1)}
    assert by_name.pop("dead-letters") > DEAD_LETTER_MAX_BYTES > topic_admin.MESSAGE_BYTES_MAX
    assert min(by_name.values()) > MAX_BYTES


@pytest.mark.parametrize(
    ("retention_ms", "says"),
    [
        ({"orders": 1000}, "orders would be kept 1000 ms, the journal for ever"),
        ({"orders": 1000, "journal": 2000}, "orders would be kept 1000 ms, the journal 2000 ms"),
        ({"nonsense": 1000}, "nonsense: there is no such topic"),
    ],
)
def test_nothing_is_kept_shorter_than_the_journal_speaks_of_it(retention_ms: dict[str, int], says: str) -> None:
    refused = topic_admin._retention_refusals(retention_ms)
    assert any(line.startswith(says) for line in refused)
    assert Plan(refused=tuple(refused)).exit_code == 1


@pytest.mark.parametrize("retention_ms", [{}, {"journal": 1000}, {"journal": 1000, "orders": 1000}])
def test_what_the_journal_speaks_of_may_be_kept_longer(retention_ms: dict[str, int]) -> None:
    assert topic_admin._retention_refusals(retention_ms) == []


def test_a_plan_reads_as_text() -> None:
    some = [Wanted(name, 2, 1, {"retention.ms": "-1"}) for name in ("orders", "fills")]
    text = Plan(
        create=tuple(some),
        change=(Drift("slices", "retention.ms", "5", "-1"),),
        refused=("3 partitions, not 2: parents",),
        notes=("a note",),
        as_wanted=7,
        bootstrap_servers="here:9092",
    ).text()
    assert text.splitlines() == [
        "topics at here:9092: 7 as they are to be",
        "  create  2 partitions, 1 replica, retention.ms=-1:",
        "          orders, fills",
        "  change  slices: retention.ms from 5 to -1",
        "  note    a note",
        "  REFUSED 3 partitions, not 2: parents",
        "nothing will be applied while anything is refused",
    ]
    assert Plan(as_wanted=7, bootstrap_servers="here:9092").text().endswith("nothing to do")
