"""Contracts on a real registry: strangers with nothing but confluent-kafka and the registry can write and read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from pipeline.domain.orders import OrderEventKind, OrderRequest, RequestKind, Side, SourceEvent
from pipeline.domain.record import Record
from pipeline.domain.rejections import DeadLetterReason
from pipeline.errors import Unreachable
from pipeline.runtime.contracts.checks import check, register
from pipeline.runtime.contracts.codec import Codec, Undecodable
from pipeline.runtime.contracts.registry import COMPATIBILITY, Incompatible, NotRegistered, Registry, RegistryIds
from pipeline.runtime.contracts.schemas import contract_text, schema_of, subject_of
from pipeline.runtime.embedded.broker import LocalKafka
from pipeline.runtime.embedded.platform import Platform
from pipeline.runtime.kafka import topic_admin
from pipeline.topics import ORDERS, TOPICS, Topic
from tests.golden.samples import sample

Unique = Callable[[str], str]
SOURCE = "alpha"
BY_TOPIC = {"subject.name.strategy": topic_subject_name_strategy}
"""Without it the client asks the registry for associations first, which Apicurio has none of and may never answer."""


@pytest.fixture(scope="module")
def registry(platform: Platform) -> Registry:
    registry = Registry(platform.registry_url)
    register(registry, [SOURCE], say=lambda _: None)
    return registry


@pytest.fixture
def codec(registry: Registry) -> Codec:
    return Codec(RegistryIds(registry))


@pytest.fixture
def stranger(platform: Platform, registry: Registry) -> SchemaRegistryClient:
    """Somebody with the registry's address and confluent-kafka, and nothing of ours."""
    return SchemaRegistryClient({"url": platform.registry_url, "timeout": 10})


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    with LocalKafka() as own:
        assert topic_admin.apply(own.bootstrap_servers, 2, [SOURCE], say=lambda _: None) == 0
        yield own.bootstrap_servers


def serializer_of(stranger: SchemaRegistryClient, topic_name: str, *, strict: bool) -> Any:
    """Strict, the client wants every field said, those with defaults too."""
    text = stranger.get_latest_version(subject_of(topic_name)).schema.schema_str
    assert text is not None
    return AvroSerializer(stranger, text, conf={"auto.register.schemas": False, "validate.strict": strict} | BY_TOPIC)


def plain(record: Record) -> dict[str, Any]:
    return dict(msgspec.to_builtins(record, builtin_types=(bytes,)))


def of_alpha(record: Record) -> Record:
    return msgspec.structs.replace(record, source=SOURCE) if isinstance(record, SourceEvent) else record


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_our_bytes_are_those_of_confluents_serializer(
    topic: Topic, codec: Codec, stranger: SchemaRegistryClient
) -> None:
    record = of_alpha(sample(topic.record))
    name = topic.name_for(record)
    context = SerializationContext(name, MessageField.VALUE)
    value = codec.encode(record)
    assert value == serializer_of(stranger, name, strict=True)(plain(record), context)
    assert AvroDeserializer(stranger, conf=BY_TOPIC)(value, context) == json_like(plain(record))
    assert codec.decode(name, value) == record


def json_like(value: Any) -> Any:
    """Tuples as lists, as a stranger sees them."""
    if isinstance(value, dict):
        return {key: json_like(part) for key, part in value.items()}
    return [json_like(part) for part in value] if isinstance(value, tuple | list) else value


def test_a_strangers_order_arrives(kafka: str, codec: Codec, stranger: SchemaRegistryClient) -> None:
    serialize = serializer_of(stranger, "orders-in", strict=False)
    # What is not said has the contract's defaults.
    order = {"kind": "NEW", "source": SOURCE, "cl_ord_id": "a-1", "instrument": "AMZN", "side": "BUY", "order_qty": 7}
    producer = Producer({"bootstrap.servers": kafka})
    value = serialize(order, SerializationContext("orders-in", MessageField.VALUE))
    producer.produce("orders-in", key=SOURCE, value=value)
    assert producer.flush(60) == 0
    message = read_one(kafka, "orders-in")
    assert codec.decode_key(message.key()) == SOURCE
    assert codec.decode("orders-in", message.value()) == OrderRequest(
        kind=RequestKind.NEW, source=SOURCE, cl_ord_id="a-1", instrument="AMZN", side=Side.BUY, order_qty=7
    )


def test_a_stranger_reads_what_became_of_it(kafka: str, codec: Codec, stranger: SchemaRegistryClient) -> None:
    event = SourceEvent(
        writer="publishing/0", seq=1, kind=OrderEventKind.ACCEPTED, source=SOURCE, order_id="O0-1", cl_ord_id="a-1"
    )
    name = f"source-events.{SOURCE}"
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(name, key=codec.encode_key("AMZN"), value=codec.encode(event))
    assert producer.flush(60) == 0
    read = AvroDeserializer(stranger, conf=BY_TOPIC)(
        read_one(kafka, name).value(), SerializationContext(name, MessageField.VALUE)
    )
    assert read == json_like(plain(event))
    assert read is not None
    assert read["kind"] == "ACCEPTED"


def test_a_stranger_who_leaves_out_a_required_field_is_told_at_home(stranger: SchemaRegistryClient) -> None:
    context = SerializationContext("orders-in", MessageField.VALUE)
    with pytest.raises(Exception, match="source"):
        serializer_of(stranger, "orders-in", strict=False)({"kind": "NEW"}, context)


def read_one(bootstrap_servers: str, topic_name: str) -> Any:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": topic_name, "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe([topic_name])
        for _ in range(480):
            message = consumer.poll(0.5)
            if message is not None:
                assert message.error() is None
                return message
        raise AssertionError(f"nothing on {topic_name} after 30 s")
    finally:
        consumer.close()


# ---------------------------------------------------------------- registration


def test_registering_again_changes_nothing(registry: Registry) -> None:
    said: list[str] = []
    first = register(registry, [SOURCE], said.append)
    assert register(registry, [SOURCE], said.append) == first
    assert len(first) == len(TOPICS)
    assert said[-1] == f"{len(TOPICS)} subjects at {registry.url}: 0 newly registered, {len(TOPICS)} as they were"
    assert {registry.compatibility(subject_of(name)) for name in first} == {COMPATIBILITY}
    assert check(registry, [SOURCE], said.append) == 0


def test_a_new_source_is_registered_and_said(registry: Registry, unique: Unique) -> None:
    source = unique("gamma")
    said: list[str] = []
    assert check(registry, [source], said.append) == 1
    assert any(f"source-events.{source}: is not registered" in line for line in said)
    said.clear()
    ids = register(registry, [source], said.append)
    assert said[0] == (
        f"source-events.{source}-value: registered as {ids[f'source-events.{source}']}, set to {COMPATIBILITY}"
    )


CHANGES: list[tuple[str, Callable[[Any], None], bool]] = [
    ("a field with a default comes", lambda s: s["fields"].append({"name": "x", "type": "long", "default": 0}), True),
    ("a field without comes", lambda s: s["fields"].append({"name": "x", "type": "long"}), False),
    ("a field without a default goes", lambda s: s["fields"].remove(field_of(s, "order_id")), False),
    ("a type changes", lambda s: field_of(s, "order_id").update(type="long"), False),
    ("a null is allowed", lambda s: field_of(s, "order_id").update(type=["null", "string"]), False),
    ("a kind is added", lambda s: field_of(s, "kind")["type"]["symbols"].append("SUSPEND"), True),
]


def field_of(schema: Any, name: str) -> Any:
    return next(field for field in schema["fields"] if field["name"] == name)


@pytest.mark.parametrize(("what", "change", "taken"), CHANGES, ids=[what for what, _, _ in CHANGES])
def test_the_registry_takes_only_what_everybody_can_read(
    registry: Registry, unique: Unique, what: str, change: Callable[[Any], None], taken: bool
) -> None:
    subject, schema = subject_of(unique("orders")), schema_of(ORDERS.record)
    assert registry.require_compatibility(subject)
    assert not registry.require_compatibility(subject)
    first = registry.register(subject, contract_text(ORDERS.record))
    change(schema)
    assert registry.is_compatible(subject, json.dumps(schema)) is taken
    if taken:
        assert registry.register(subject, json.dumps(schema)) != first
        assert [version.version for version in registry.versions(subject)] == [1, 2]
    else:
        with pytest.raises(Incompatible, match=subject):
            registry.register(subject, json.dumps(schema))
        assert [version.schema_id for version in registry.versions(subject)] == [first]


def test_a_newer_version_registered_by_somebody_else_is_read(
    platform: Platform, codec: Codec, stranger: SchemaRegistryClient, unique: Unique
) -> None:
    source = unique("delta")
    name = f"source-events.{source}"
    register(Registry(platform.registry_url), [source], say=lambda _: None)
    schema = schema_of(SourceEvent)
    schema["fields"].append({"name": "mood", "type": "string", "default": "calm", "doc": "Of a later version."})
    text = json.dumps(schema)
    newer = stranger.register_schema(subject_of(name), Schema(text, "AVRO"))
    event = SourceEvent(kind=OrderEventKind.ACCEPTED, source=source, order_id="O0-1", cl_ord_id="a-1")
    serialize = AvroSerializer(stranger, text, conf={"auto.register.schemas": False} | BY_TOPIC)
    value = serialize(plain(event) | {"mood": "hurried"}, SerializationContext(name, MessageField.VALUE))
    assert value is not None
    assert int.from_bytes(value[1:5], "big") == newer != codec.schema_id(name)
    assert codec.decode(name, value) == event


# ---------------------------------------------------------------- what can go wrong


def test_an_id_nobody_registered_and_an_id_of_another_subject_are_dead_letters(codec: Codec) -> None:
    body = codec.encode(sample(ORDERS.record))[5:]
    with pytest.raises(Undecodable) as caught:
        codec.decode("orders", b"\0\x7f\xff\xff\xff" + body)
    assert caught.value.reason is DeadLetterReason.UNKNOWN_SCHEMA_ID
    with pytest.raises(Undecodable) as caught:
        codec.decode("orders", b"\0" + codec.schema_id("fills").to_bytes(4, "big") + body)
    assert caught.value.reason is DeadLetterReason.WRONG_SCHEMA


def test_a_topic_whose_schema_is_not_registered_is_not_written(registry: Registry, unique: Unique) -> None:
    with pytest.raises(NotRegistered, match="run `pipeline schemas register`"):
        Codec(RegistryIds(registry)).schema_id(f"source-events.{unique('nobody')}")


def test_a_registry_that_is_not_there_is_named_with_its_address() -> None:
    address = "http://127.0.0.1:9/apis/ccompat/v7"
    with pytest.raises(Unreachable, match=address) as caught:
        Registry(address, timeout_s=1).id_of("orders-value", "{}")
    assert caught.value.component == "The schema registry"
