"""The codec: encoded bytes that never change, exact types when decoded, a named reason for what cannot be."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.domain.audit import DeadLetter, SchemaCopy
from pipeline.domain.controls import Alert, AlertKind, Tick, TickKind
from pipeline.domain.orders import (
    Capacity,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderKind,
    OrderRequest,
    RequestKind,
    Side,
    SourceEvent,
)
from pipeline.domain.parents import Cross
from pipeline.domain.record import Owned, Record
from pipeline.domain.rejections import DeadLetterReason
from pipeline.runtime.contracts.checks import earlier_versions
from pipeline.runtime.contracts.codec import MAX_BYTES, Codec, ContractError, LocalIds, Registered, Undecodable
from pipeline.runtime.contracts.files import versions_dir
from pipeline.runtime.contracts.schemas import contract_text, schema_of, subject_of
from pipeline.topics import TOPICS, Topic, topic_named, topic_of
from tests.golden.samples import records, sample

GOLDEN_DIR = versions_dir()
BYTES_DIR = GOLDEN_DIR.parent / "bytes"
EACH_TOPIC = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)

REQUEST = OrderRequest(kind=RequestKind.NEW, source="alpha", cl_ord_id="a-1", instrument="AMZN", order_qty=12)
ORDER = Order(
    writer="intake/0",
    seq=7,
    kind=OrderKind.NEW,
    order_id="O0-7",
    instrument="AMZN",
    trade_date=20120621,
    append_ns=1,
    received_ns=2,
    accepted_ns=3,
    request=REQUEST,
)


@pytest.fixture
def codec() -> Codec:
    return Codec(LocalIds())


def by_fastavro(record: Record, schema: Any = None) -> bytes:
    out = io.BytesIO()
    plain = msgspec.to_builtins(record, builtin_types=(bytes,))
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema or schema_of(type(record))), plain)
    return out.getvalue()


def name_of(topic: Topic, record: Any) -> str:
    return topic.name_for(record)


# ---------------------------------------------------------------- bytes


@EACH_TOPIC
def test_the_bytes_of_the_newest_version_are_the_kept_ones(topic: Topic, codec: Codec) -> None:
    version = len(earlier_versions(topic))
    kept = bytes.fromhex((BYTES_DIR / f"{topic.schema}.v{version}.hex").read_text())
    assert codec.encode_body(sample(topic.record)) == kept


@pytest.mark.parametrize("path", sorted(BYTES_DIR.glob("*.hex")), ids=lambda path: path.stem)
def test_what_was_written_under_any_kept_version_is_read_today(path: Path) -> None:
    name, version = path.stem.rsplit(".", 1)
    topic, body = topic_named(name), bytes.fromhex(path.read_text())
    text = (GOLDEN_DIR / name / f"{version}.avsc").read_text()
    codec = Codec(OneSchema(text, name))
    record = codec.decode(name, OneSchema.HEADER + body)
    assert type(record) is topic.record
    assert by_fastavro(record, json.loads(text)) == body


@EACH_TOPIC
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_record_has_fastavros_bytes_and_is_itself_again(topic: Topic, data: st.DataObject) -> None:
    record = data.draw(records(topic.record))
    codec = Codec(LocalIds())
    value = codec.encode(record)
    assert value[0] == 0
    assert struct.unpack(">I", value[1:5]) == (TOPICS.index(topic) + 1,)
    assert value[5:] == by_fastavro(record)
    again = codec.decode(name_of(topic, record), value)
    assert again == record
    assert type(again) is type(record)


def test_the_requests_bytes_stand_whole_within_the_orders_so_that_they_can_be_copied(codec: Codec) -> None:
    assert codec.encode(REQUEST)[5:] in codec.encode(ORDER)


# ---------------------------------------------------------------- exact types on write


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seq": 1.7}, "Order.seq: a whole number was expected, not 1.7"),  # fastavro writes 1
        ({"seq": 1.0}, "Order.seq: a whole number was expected, not 1.0"),
        ({"seq": True}, "Order.seq: a whole number was expected, not True"),  # fastavro writes 1
        ({"seq": "1"}, "Order.seq: a whole number was expected, not '1'"),
        ({"seq": None}, "Order.seq: a whole number was expected, not None"),
        ({"limit_px": False}, "Order.limit_px: a whole number was expected, not False"),
        ({"append_ns": 1 << 63}, "Order.append_ns: 9223372036854775808 does not fit 64 bits"),
        ({"append_ns": -(1 << 63) - 1}, "Order.append_ns: -9223372036854775809 does not fit 64 bits"),
        ({"order_id": 7}, "Order.order_id: text was expected, not 7"),
        ({"order_id": b"O"}, "Order.order_id: text was expected, not b'O'"),
        ({"order_id": Side.BUY}, "Order.order_id: text was expected, not <Side.BUY: 'BUY'>"),
        ({"order_id": "\ud800"}, "Order.order_id: 'utf-8' codec can't encode"),
        ({"kind": "NEW"}, "Order.kind: OrderKind was expected, not 'NEW'"),
        ({"kind": RequestKind.NEW}, "Order.kind: OrderKind was expected, not <RequestKind.NEW: 'NEW'>"),
        ({"kind": OrderKind.UNKNOWN}, "Order.kind: is UNKNOWN"),
        ({"request": None}, "Order.request: OrderRequest was expected, not None"),
        ({"request": replace(REQUEST, side=Capacity.AGENCY)}, "Order.request: OrderRequest.side: Side"),
        ({"request": replace(REQUEST, held=1)}, "Order.request: OrderRequest.held: true or false"),
        ({"request": replace(REQUEST, allowed_venues=["X"])}, "allowed_venues: a tuple was expected"),
        (
            {"request": replace(REQUEST, allowed_venues=(1,))},
            "allowed_venues: text was expected, not 1",
        ),
    ],
    ids=str,
)
def test_what_the_schema_cannot_carry_exactly_is_not_written(codec: Codec, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ContractError) as caught:
        codec.encode(replace(ORDER, **change))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("good", "alike"),
    [
        ({"trade_date": 1}, {"trade_date": True}),
        ({"trade_date": 1}, {"trade_date": 1.0}),
        ({"limit_px": 1}, {"limit_px": True}),
        ({"instrument": "BUY"}, {"instrument": Side.BUY}),
    ],
    ids=str,
)
def test_what_a_dict_takes_for_a_value_it_knows_is_not_written_either(
    codec: Codec, good: dict[str, Any], alike: dict[str, Any]
) -> None:
    codec.encode(replace(ORDER, **good))
    with pytest.raises(ContractError, match="was expected, not"):
        codec.encode(replace(ORDER, **alike))


def test_a_nested_request_goes_out_in_the_bytes_it_came_in(codec: Codec) -> None:
    # Java may write an array in blocks of negative count, followed by their size: other bytes, the same request.
    request = replace(REQUEST, allowed_venues=("XNAS",))
    ours = codec.encode(request)
    theirs = ours.replace(b"\x02\x08XNAS\x00", b"\x01\x0a\x08XNAS\x00")
    assert theirs != ours
    read = codec.decode("orders-in", theirs)
    assert read == request
    written = codec.encode(replace(ORDER, request=read))
    assert theirs[5:] in written
    assert codec.decode("orders", written) == replace(ORDER, request=request)


def test_a_changed_request_does_not_keep_the_bytes_it_came_in(codec: Codec) -> None:
    read = codec.decode("orders-in", codec.encode(REQUEST))
    changed = replace(read, order_qty=13)
    assert codec.encode(changed)[5:] in codec.encode(replace(ORDER, request=changed))


def test_bytes_are_exact_too(codec: Codec) -> None:
    with pytest.raises(ContractError, match=r"DeadLetter.value: bytes were expected, not 'x'"):
        codec.encode(replace(sample(DeadLetter), value="x"))


def test_a_clients_request_of_unknown_kind_can_be_written_for_intake_to_refuse(codec: Codec) -> None:
    request = OrderRequest(source="alpha", cl_ord_id="a-1")
    assert codec.decode("orders-in", codec.encode(request)) == request


def test_a_record_on_no_topic_is_not_written(codec: Codec) -> None:
    class Stray(Record, frozen=True, kw_only=True):
        pass

    with pytest.raises(ContractError, match="Stray is on no topic"):
        codec.encode(Stray())


def test_a_value_beyond_the_bound_is_not_written_but_a_dead_letter_can_hold_one(codec: Codec) -> None:
    big = "x" * MAX_BYTES
    with pytest.raises(ContractError, match="more than 1000000"):
        codec.encode(replace(sample(SchemaCopy), text=big))
    letter = replace(sample(DeadLetter), value=big.encode())
    assert codec.decode("dead-letters", codec.encode(letter)) == letter


# ---------------------------------------------------------------- reasons on read

GOOD = Codec(LocalIds()).encode(ORDER)
BODY = GOOD[5:]


def with_body(body: bytes) -> bytes:
    return GOOD[:5] + body


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, DeadLetterReason.NO_VALUE),
        (b"", DeadLetterReason.NO_SCHEMA_ID),
        (b"\0\0\0\0", DeadLetterReason.NO_SCHEMA_ID),  # too short for an id
        (b'{"order_id": "O0-7"}', DeadLetterReason.NO_SCHEMA_ID),  # JSON
        (b"\0\0\0\x27\x0f" + BODY, DeadLetterReason.UNKNOWN_SCHEMA_ID),
        (Codec(LocalIds()).encode(REQUEST), DeadLetterReason.WRONG_SCHEMA),  # another topic's record
        (GOOD[:5], DeadLetterReason.UNDECODABLE),  # nothing after the id
        (GOOD[:-1], DeadLetterReason.UNDECODABLE),  # cut short
        (with_body(b"\x01" + BODY[1:]), DeadLetterReason.UNDECODABLE),  # text of length -1
        (with_body(b"\xff" * 12), DeadLetterReason.UNDECODABLE),  # a number that does not end
        (with_body(b"\x02\xff" + BODY[18:]), DeadLetterReason.UNDECODABLE),  # not UTF-8
        (with_body(BODY.replace(b"\x0e\x02", b"\x0e\x7e", 1)), DeadLetterReason.UNDECODABLE),  # symbol 63 of 4
        (GOOD + b"\0", DeadLetterReason.TRAILING_BYTES),
        (GOOD + GOOD, DeadLetterReason.TRAILING_BYTES),
        (GOOD + b"\0" * MAX_BYTES, DeadLetterReason.TOO_LARGE),
        (with_body(BODY.replace(b"\x0e\x02", b"\x0e\x00", 1)), DeadLetterReason.UNKNOWN_KIND),
    ],
    ids=lambda part: str(part)[:30],
)
def test_what_cannot_be_read_has_a_named_reason(codec: Codec, value: bytes | None, reason: DeadLetterReason) -> None:
    with pytest.raises(Undecodable) as caught:
        codec.decode("orders", value)
    assert caught.value.reason is reason
    assert caught.value.detail


@settings(deadline=None)
@given(at=st.integers(5, len(GOOD) - 1), byte=st.integers(0, 255), cut=st.integers(0, len(GOOD)))
def test_damaged_bytes_are_a_record_or_a_dead_letter_and_nothing_else(at: int, byte: int, cut: int) -> None:
    codec = Codec(LocalIds())
    damaged = (GOOD[:at] + bytes((byte,)) + GOOD[at + 1 :])[: max(cut, 5)]
    for reader, value in ((codec, damaged), (_added(), OneSchema.HEADER + b"\0" + damaged[5:])):
        try:
            record = reader.decode("orders", value)
        except Undecodable:
            continue
        assert type(record) is Order
        codec.encode(record)


def test_a_length_below_zero_is_not_an_empty_text(codec: Codec) -> None:
    value = codec.encode(Tick(kind=TickKind.TICK, now_ns=1, wall_ns=1, trade_date=1))
    assert value[5] == 0  # the length of `writer`
    with pytest.raises(Undecodable) as caught:
        codec.decode("clock", value[:5] + b"\x01" + value[6:])
    assert caught.value.reason is DeadLetterReason.UNDECODABLE


def test_a_key_is_text(codec: Codec) -> None:
    assert codec.decode_key(codec.encode_key("AMZN é")) == "AMZN é"
    for bad in (None, b"\xff"):
        with pytest.raises(Undecodable) as caught:
            codec.decode_key(bad)
        assert caught.value.reason is DeadLetterReason.BAD_VALUE


# ---------------------------------------------------------------- schemas of other versions and other people


class OneSchema:
    """A registry with one schema, under id 77, that counts how often it is asked."""

    HEADER = b"\0" + struct.pack(">I", 77)

    def __init__(self, text: str, topic_name: str) -> None:
        self.known = Registered(text, frozenset((subject_of(topic_name),)))
        self.asked: list[int] = []

    def id_of(self, topic_name: str, text: str) -> int:
        return 77

    def lookup(self, schema_id: int) -> Registered | None:
        self.asked.append(schema_id)
        return self.known if schema_id == 77 else None


def _with_field(name: str, **more: Any) -> str:
    schema = schema_of(Order)
    field = {"name": name, "type": ["null", "string"], "default": None, "doc": "From a later version."} | more
    return json.dumps(schema | {"fields": [field, *schema["fields"]]})


def test_a_newer_writers_additional_field_is_read_past() -> None:
    text = _with_field("added")
    out = io.BytesIO()
    plain = msgspec.to_builtins(ORDER) | {"added": "new"}
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(text)), plain)
    assert Codec(OneSchema(text, "orders")).decode("orders", OneSchema.HEADER + out.getvalue()) == ORDER


def test_an_older_writers_missing_fields_have_our_defaults() -> None:
    schema = schema_of(Tick)
    older = schema | {"fields": [field for field in schema["fields"] if field["name"] != "rate"]}
    tick = Tick(kind=TickKind.TICK, now_ns=5, wall_ns=6, trade_date=20120621)
    body = by_fastavro(tick, older)
    assert Codec(OneSchema(json.dumps(older), "clock")).decode("clock", OneSchema.HEADER + body) == tick
    assert tick.rate == 1_000_000


def _of_kind(record: Owned, symbol: str) -> tuple[Codec, bytes]:
    """A record as a newer contract writes it, with a kind that we do not have; and a codec that knows that contract."""
    schema = schema_of(type(record))
    kind = next(field for field in schema["fields"] if field["name"] == "kind")
    kind["type"]["symbols"] = [*kind["type"]["symbols"], symbol]
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), msgspec.to_builtins(record) | {"kind": symbol})
    return Codec(OneSchema(json.dumps(schema), topic_of(type(record)).name)), OneSchema.HEADER + out.getvalue()


def test_a_newer_writers_kind_is_a_dead_letter_and_nothing_worse() -> None:
    alert = Alert(kind=AlertKind.BREAK, instrument="X", subject_id="S")
    reader, value = _of_kind(alert, "TOMORROW")
    with pytest.raises(Undecodable) as caught:
        reader.decode("alerts", value)
    assert caught.value.reason is DeadLetterReason.UNKNOWN_KIND
    assert "kind=TOMORROW" in caught.value.detail


def test_a_newer_kind_from_outside_is_left_to_the_door_so_that_a_gap_stays_visible() -> None:
    tick = Tick(kind=TickKind.TICK, now_ns=5, wall_ns=6, trade_date=20120621)
    reader, value = _of_kind(tick, "WEEK_END")
    assert reader.read("clock", value) == (replace(tick, kind=TickKind.UNKNOWN), ("kind=WEEK_END",))


def test_a_number_beyond_64_bits_is_not_cut_down_to_what_fits() -> None:
    for reader, header, before in ((Codec(LocalIds()), GOOD[:5], b""), (_added(), OneSchema.HEADER, b"\0")):
        value = header + before + BODY[:9] + b"\xfe" * 9 + b"\x7f" + BODY[10:]  # seq; fastavro reads -1 here
        assert BODY[9] == ORDER.seq * 2
        with pytest.raises(Undecodable) as caught:
            reader.decode("orders", value)
        assert caught.value.reason is DeadLetterReason.UNDECODABLE
        assert "64 bits" in caught.value.detail


def _added() -> Codec:
    return Codec(OneSchema(_with_field("added"), "orders"))


def test_a_value_that_is_not_of_our_type_is_named() -> None:
    schema = schema_of(Tick)
    for field in schema["fields"]:
        if field["name"] == "now_ns":
            field["type"] = "double"
    plain = {"writer": "", "seq": 1, "kind": "TICK", "now_ns": 5.0, "wall_ns": 6, "rate": 1, "trade_date": 20120621}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), plain)
    with pytest.raises(Undecodable) as caught:
        Codec(OneSchema(json.dumps(schema), "clock")).decode("clock", OneSchema.HEADER + out.getvalue())
    assert caught.value.reason is DeadLetterReason.BAD_VALUE
    assert "$.now_ns" in caught.value.detail


@settings(deadline=None)
@given(
    record=records(Cross), more=st.none() | st.text(max_size=9), reals=st.dictionaries(st.text(max_size=3), st.floats())
)
def test_whatever_else_a_newer_writer_adds_is_read_past(
    record: Cross, more: str | None, reals: dict[str, float]
) -> None:
    schema = schema_of(Cross)
    extra = [
        {"name": "more", "type": ["null", "string"], "default": None},
        {"name": "reals", "type": {"type": "map", "values": "double"}, "default": {}},
        {"name": "own", "type": {"type": "record", "name": "Own", "fields": [{"name": "x", "type": "float"}]}},
        {"name": "owns", "type": {"type": "array", "items": "Own"}},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 3}},
    ]
    schema["fields"] = [*extra[:3], *schema["fields"], *extra[3:]]
    plain = msgspec.to_builtins(record) | {
        "more": more, "reals": reals, "own": {"x": 1.5}, "owns": [{"x": 0.5}] * 2, "hash": b"abc",
    }  # fmt: skip
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), plain)
    reader = Codec(OneSchema(json.dumps(schema), "crosses"))
    assert reader.decode("crosses", OneSchema.HEADER + out.getvalue()) == record


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        (contract_text(Order), "elsewhere"),  # our record, but registered under another subject
        (contract_text(OrderRequest), "orders"),  # the subject, but another record
        ('"string"', "orders"),
        ('syntax = "proto3";', "orders"),
        ('{"type": "record", "name": "pipeline.Order", "fields": [{"name": "a", "type": "nonsense"}]}', "orders"),
    ],
    ids=lambda part: part[:25],
)
def test_an_id_of_another_contract_is_a_dead_letter(text: str, subject: str) -> None:
    codec = Codec(OneSchema(text, subject))
    with pytest.raises(Undecodable) as caught:
        codec.decode("orders", OneSchema.HEADER + BODY)
    assert caught.value.reason is DeadLetterReason.WRONG_SCHEMA


def test_the_registry_is_asked_once_per_id_also_for_one_it_does_not_know() -> None:
    source = OneSchema(contract_text(Order), "orders")
    codec = Codec(source)
    for _ in range(3):
        assert codec.decode("orders", OneSchema.HEADER + BODY) == ORDER
        with pytest.raises(Undecodable):
            codec.decode("orders", b"\0\0\0\0\x09" + BODY)
    assert source.asked == [77, 9]


def test_bad_ids_do_not_fill_the_memory() -> None:
    codec = Codec(OneSchema(contract_text(Order), "orders"))
    for schema_id in range(100, 3_000):
        with pytest.raises(Undecodable):
            codec.decode("orders", b"\0" + struct.pack(">I", schema_id) + BODY)
    assert len(codec._refused) <= 1_000


def test_each_source_has_its_own_topic(codec: Codec) -> None:
    event = SourceEvent(kind=OrderEventKind.ACCEPTED, source="alpha", order_id="O0-1", cl_ord_id="a-1")
    assert codec.decode("source-events.alpha", codec.encode(event)) == event
    inner = OrderEvent(**{name: getattr(event, name) for name in event.__struct_fields__})
    with pytest.raises(Undecodable) as caught:
        codec.decode("source-events.alpha", codec.encode(inner))
    assert caught.value.reason is DeadLetterReason.WRONG_SCHEMA


def test_the_journals_list_of_schemas_names_each_topic(codec: Codec) -> None:
    listed = json.loads(codec.schemas_as_json())
    assert listed["orders"][0] == codec.schema_id("orders")
    assert sorted(listed) == sorted(topic.name for topic in TOPICS if not topic.per_source)
    assert all(len(fingerprint) == 64 for _, fingerprint in listed.values())
