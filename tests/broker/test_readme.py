"""The README's producer and consumer work when pasted: strangers with confluent-kafka and the registry alone."""

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
from pipeline.domain.orders import OrderRequest, RequestKind, Side, Strategy
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
    assert (order.kind, order.source, order.cl_ord_id) == (RequestKind.NEW, "rebalancer", "R-1")
    assert (order.side, order.order_qty, order.strategy) == (Side.BUY, 200, Strategy.TWAP)
    assert order.end_ns is not None and 0 <= order.end_ns - before_ns - 120 * 10**9 < 60 * 10**9


def test_the_consumer_shows_allocations_and_nothing_uncommitted(
    tmp_path: Path, kafka: str, platform: Platform, codec: Codec
) -> None:
    writer = Producer({"bootstrap.servers": kafka, "transactional.id": "allocation"})
    writer.init_transactions(30)
    for alloc_id, commit in (("A-taken-back", False), ("A-kept", True)):
        writer.begin_transaction()
        value = codec.encode(msgspec.structs.replace(sample(Allocation), kind=AllocKind.NEW, alloc_id=alloc_id))
        writer.produce("allocations", value, b"SIMX", 1)
        assert writer.flush(30) == 0
        if commit:
            writer.commit_transaction(30)
        else:
            writer.abort_transaction(30)
    process = start("consumer.py", tmp_path, kafka, platform)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
    finally:
        process.kill()
        process.communicate()
    assert line.startswith("NEW A-kept "), line
