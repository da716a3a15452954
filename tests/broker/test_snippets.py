"""The producer and the consumers of docs/ work when pasted: strangers with confluent-kafka and the registry alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, Producer

from pipeline.domain.allocations import Allocation, AllocKind
from pipeline.domain.orders import OrderEventKind, OrderRequest, RequestKind, Side, SourceEvent, Strategy
from pipeline.runtime.contracts.checks import register
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.contracts.registry import Registry, RegistryIds
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.embedded.platform import KAFKA_VARIABLE, REGISTRY_VARIABLE, Platform
from pipeline.runtime.kafka import topic_admin
from tests.documents import snippet
from tests.golden.samples import sample
from tests.waiting import GIVE_UP_S


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    """A broker of its own: the snippets name the real topics."""
    with LocalKafka() as own:
        assert topic_admin.apply(own.bootstrap_servers, 2, ["rebalancer"], say=lambda _: None) == 0
        yield own.bootstrap_servers


@pytest.fixture(scope="module")
def codec(platform: Platform) -> Codec:
    registry = Registry(platform.registry_url)
    register(registry, ["rebalancer"], say=lambda _: None)
    return Codec(RegistryIds(registry))


def start(name: str, folder: Path, kafka: str, platform: Platform) -> subprocess.Popen[str]:
    """The snippet as a reader starts it, in a folder where nothing of ours is."""
    (folder / name).write_text(snippet(name), encoding="utf-8")
    env = {**os.environ, KAFKA_VARIABLE: kafka, REGISTRY_VARIABLE: platform.registry_url}
    env.pop("PYTHONPATH", None)
    return subprocess.Popen(
        [sys.executable, name], cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def test_the_producers_order_is_one(tmp_path: Path, kafka: str, platform: Platform, codec: Codec) -> None:
    before_ns = time.time_ns()
    said, _ = start("producer.py", tmp_path, kafka, platform).communicate(timeout=GIVE_UP_S)
    assert said == "not delivered: 0\n"
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "look", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders-in"])
    message = None
    deadline = time.monotonic() + GIVE_UP_S
    while message is None and time.monotonic() < deadline:
        message = consumer.poll(1)
    consumer.close()
    assert message is not None and message.error() is None and message.key() == b"rebalancer"
    order = codec.decode("orders-in", message.value())
    assert isinstance(order, OrderRequest)
    assert (order.kind, order.source, order.cl_ord_id) == (RequestKind.NEW, "rebalancer", "R-3")
    assert (order.side, order.order_qty, order.strategy) == (Side.BUY, 200, Strategy.TWAP)
    assert order.end_ns is not None and 0 <= order.end_ns - before_ns - 120 * 10**9 < 60 * 10**9


def test_the_consumer_shows_allocations_and_nothing_uncommitted(
    tmp_path: Path, kafka: str, platform: Platform, codec: Codec
) -> None:
    given = msgspec.structs.replace(sample(Allocation), kind=AllocKind.NEW)
    taken_back, kept = (
        codec.encode(msgspec.structs.replace(given, alloc_id=alloc_id)) for alloc_id in ("A-taken-back", "A-kept")
    )
    write(kafka, "allocations", taken_back, kept)
    assert first_line("consumer.py", tmp_path, kafka, platform).startswith("NEW A-kept ")


def test_the_answers_are_shown_and_nothing_uncommitted(
    tmp_path: Path, kafka: str, platform: Platform, codec: Codec
) -> None:
    given = msgspec.structs.replace(
        sample(SourceEvent), kind=OrderEventKind.ACCEPTED, source="rebalancer", cum_qty=0, leaves_qty=200
    )
    taken_back, kept = (
        codec.encode(msgspec.structs.replace(given, cl_ord_id=cl_ord_id)) for cl_ord_id in ("R-taken-back", "R-1")
    )
    write(kafka, "source-events.rebalancer", taken_back, kept)
    shown = first_line("answers.py", tmp_path, kafka, platform).split()
    assert shown[:2] == ["R-1", "ACCEPTED"] and shown[3:5] == ["0", "200"]


def write(kafka: str, topic: str, taken_back: bytes, kept: bytes) -> None:
    """Two records on a topic, each in a transaction: the first is aborted, the second committed."""
    writer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    writer.init_transactions(30)
    for value in (taken_back, kept):
        writer.begin_transaction()
        writer.produce(topic, value, b"SIMX", 1)
        assert writer.flush(30) == 0
        if value is kept:
            writer.commit_transaction(30)
        else:
            writer.abort_transaction(30)


def first_line(name: str, folder: Path, kafka: str, platform: Platform) -> str:
    """The first line that a snippet prints; it is ended then."""
    process = start(name, folder, kafka, platform)
    try:
        assert process.stdout is not None
        return process.stdout.readline()
    finally:
        process.kill()
        process.communicate()
