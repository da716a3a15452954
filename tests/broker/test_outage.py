"""The broker goes away in the middle: everything waits, nothing is lost, and nothing stale is sent."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from pipeline import topics, topology
from pipeline.commands.controls import send_control
from pipeline.commands.deployment import codec_for
from pipeline.demo.live import Live
from pipeline.demo.monitor import Monitor
from pipeline.demo.reference_data import SOURCES
from pipeline.demo.run import set_up, units_running
from pipeline.demo.scenario import scenario
from pipeline.demo.summary import balanced, read_books
from pipeline.domain.controls import Alert, AlertKind
from pipeline.domain.executions import ChildKind, ChildOrder
from pipeline.domain.record import Record
from pipeline.domain.units import NS_PER_S
from pipeline.runtime.auditing.verify import audit, copy_of
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.embedded.broker import LocalPlatform
from pipeline.runtime.settings import Settings
from tests.waiting import GIVE_UP_S, until


def committed(settings: Settings, topic: str, codec: Codec) -> list[Record]:
    """Every committed record of a topic, now."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": "test-outage",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, p, 0) for p in range(settings.partitions)])
        records, ends = [], 0
        while ends < settings.partitions:
            message = consumer.poll(GIVE_UP_S)
            assert message is not None, f"{topic} cannot be read to its end"
            if message.error() is not None:
                ends += 1
                continue
            value = message.value()
            records.append(codec.decode(topic, value if isinstance(value, bytes) else None))
        return records
    finally:
        consumer.close()


@pytest.mark.slow
def test_after_an_outage_nothing_is_sent_until_the_desk_releases_it(tmp_path: Path) -> None:
    today = scenario({"PIPELINE_DATA": "/nonexistent"}, orders=500, seconds=600, max_backlog_s=4)
    platform = LocalPlatform(tmp_path / "data", storage="file")
    platform.start()
    said: list[str] = []
    os.environ["PIPELINE_DESK_PORT"] = "0"
    try:
        settings = Settings(platform.bootstrap_servers, platform.registry_url, 2, SOURCES, tmp_path / "state")
        codec = codec_for(settings)

        def children() -> int:
            records = committed(settings, topics.CHILD_ORDERS.name, codec)
            return sum(isinstance(r, ChildOrder) and r.kind is ChildKind.NEW for r in records)

        def held() -> bool:
            alerts = committed(settings, topics.ALERTS.name, codec)
            return any(isinstance(alert, Alert) and alert.kind is AlertKind.STALE_HOLD for alert in alerts)

        set_up(settings, today, said.append)
        with (
            units_running(settings, tmp_path / "logs", said.append) as supervisor,
            Monitor(settings.bootstrap_servers, settings.partitions, codec_for(settings)) as monitor,
            Live(today, settings, 10, said.append, lambda: monitor.seen.open_orders == 0) as live,
        ):
            until(lambda: monitor.seen.children > 3, "the first children")
            platform.kafka.kill()
            time.sleep(6)
            platform.kafka.start()
            stopped_ns = live.now_ns
            until(held, "the alert that says it holds")
            # The clock may come back later than the stages: its own gap begins the hold anew, so release after it.
            until(lambda: live.now_ns > stopped_ns + 10 * NS_PER_S, "the clock goes on")
            sent, accepted = children(), monitor.seen.accepted
            until(lambda: monitor.seen.accepted > accepted, "orders go on being taken in")
            time.sleep(3)
            assert children() == sent, "something was sent after the outage"
            send_control(settings, said.append, kind="release-stale", who="test", why="looked at it")
            until(lambda: children() > sent, "children again after the release")
            until(lambda: live.over and monitor.seen.open_orders == 0, "the day's end")
            time.sleep(3)
            assert supervisor.failed == []
        recording = copy_of(settings, tmp_path, said.append)
        assert audit(recording, topology.STAGES, said.append).verified
        books = read_books(recording)
        assert balanced(books), [str(line) for line in books.books.lines() if not line.holds]
        assert any("not reachable" in line or "answers again" in line for line in said) or any(
            "does not answer" in path.read_text() for path in (tmp_path / "logs").glob("*.log")
        )
    finally:
        platform.stop()
