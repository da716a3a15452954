"""F: what a newer contract says and we do not understand is refused by name, never taken for something else.

The tables are made from the record types: a field or enum that is added is tried by itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import fastavro
import msgspec
import pytest

from pipeline.domain.audit import DeadLetter
from pipeline.domain.controls import Alert, AlertKind, Control, ControlKind, ControlScope, CreditLease
from pipeline.domain.orders import (
    Order,
    OrderEvent,
    OrderEventKind,
    OrderKind,
    OrderRequest,
    OrderRerouted,
    OrdStatus,
    RequestKind,
    Side,
)
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Owned, Record
from pipeline.domain.rejections import DeadLetterReason
from pipeline.domain.rejections import RejectReason as R
from pipeline.domain.validators.table import VALIDATORS
from pipeline.runtime.auditing.replaying import MemoryLog, journal_of, replay_of
from pipeline.runtime.contracts.avro_resolve import Resolver
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.contracts.schemas import field_types, schema_of
from pipeline.runtime.memory.host import MemoryHost
from pipeline.stage import Meta, Stage
from pipeline.stages.intake.stage import IntakeStage
from pipeline.state import State, Task
from pipeline.topics import CONTROLS, ORDERS_IN, TOPICS, topic_of
from pipeline.topology import STAGES
from tests.future_contracts import TOMORROW, Tomorrow, kind_fields
from tests.golden.samples import sample
from tests.unit.stages.intake.intake_bench import (
    DAY,
    NOW,
    REFERENCE,
    accepted,
    bench,
    cancel,
    expect,
    new,
    only_event,
    send,
)

PARTITIONS: Final = 2
HOME: Final = partition_of("S1", PARTITIONS)


class House:
    """Intake in the memory host, fed with bytes as live."""

    def __init__(self) -> None:
        self.tomorrow = Tomorrow()
        self.codec = Codec(self.tomorrow)
        self.stage = IntakeStage()
        self.host = MemoryHost([self.stage], PARTITIONS, self.codec)
        for record in REFERENCE:
            self.host.publish(record, NOW)
        self.host.publish(CreditLease(account="A1", partition=1, lease_no=1, leased=None, effective_ns=DAY), NOW)
        self.host.run()

    def send(self, value: bytes, partition: int = HOME) -> list[Record]:
        """What a request causes: orders, events and dead letters."""
        before = len(self.host.records(Order)), len(self.host.records(OrderEvent)), len(self.host.records(DeadLetter))
        self.host.publish_raw(ORDERS_IN, b"S1", value, NOW, partition)
        self.host.run()
        return [
            *self.host.records(Order)[before[0] :],
            *self.host.records(OrderEvent)[before[1] :],
            *self.host.records(DeadLetter)[before[2] :],
        ]

    def answer(self, value: bytes, partition: int = HOME) -> OrderEvent:
        """The one event that a request causes."""
        (event,) = self.send(value, partition)
        assert isinstance(event, OrderEvent)
        return event

    def replay_findings(self) -> list[Any]:
        """What differs when the day is replayed from its journal."""
        self.host.commit()
        log = MemoryLog(self.host.topics)
        found: list[Any] = []
        for partition in range(PARTITIONS):
            codec = Codec(self.tomorrow)
            replay = replay_of(self.stage, partition, PARTITIONS, codec, [self.stage], log)
            found += replay.run(list(journal_of("intake", partition, log, codec)))
            assert replay.entries
        return found


STOP_PX: Final = {"name": "stop_px", "type": ["null", "long"], "default": None}
DISPLAY_QTY: Final = {"name": "display_qty", "type": "long", "default": 0}
TRIGGER: Final = {
    "name": "trigger",
    "type": {"type": "record", "name": "Trigger", "fields": [{"name": "px", "type": "long", "default": 0}]},
    "default": {"px": 0},
}
LEGS: Final = {"name": "legs", "type": {"type": "array", "items": "string"}, "default": []}
EITHER: Final = pytest.mark.parametrize("partition", [HOME, 1 - HOME], ids=["on its partition", "rerouted"])


@EITHER
def test_a_trailing_stop_of_a_newer_producer_is_refused_by_name_and_not_taken_for_a_market_order(
    partition: int,
) -> None:
    house = House()
    value = house.tomorrow.write(new(), symbols=("ord_type",))
    event = house.answer(value, partition)
    assert (event.kind, event.reason, event.fix_code) == (OrderEventKind.REFUSED, R.NOT_UNDERSTOOD, 11)
    assert (event.source, event.cl_ord_id, event.account, event.order_qty) == ("S1", "C1", "A1", 10)
    assert (event.ord_status, event.final, event.order_id) == (OrdStatus.REJECTED, True, "")
    assert "ord_type=TOMORROW" in (event.text or "")
    again = house.answer(value, 1 - partition)
    assert (again.kind, again.reason) == (OrderEventKind.REPEATED, R.NOT_UNDERSTOOD)
    assert house.answer(house.codec.encode(new())).reason is R.CONFLICTING_REPEAT, "what was not read is content too"
    assert house.replay_findings() == []


@pytest.mark.parametrize("name", kind_fields(OrderRequest))
@EITHER
def test_a_symbol_of_tomorrow_in_any_field_of_a_new_order_is_refused_by_name(name: str, partition: int) -> None:
    house = House()
    event = house.answer(house.tomorrow.write(new(), symbols=(name,)), partition)
    assert event.reason is (R.UNKNOWN_KIND if name == "kind" else R.NOT_UNDERSTOOD)
    assert f"{name}={TOMORROW}" in (event.text or "")
    assert house.host.records(Order) == []


@pytest.mark.parametrize("name", [name for name in kind_fields(OrderRequest) if name != "kind"])
def test_an_order_that_says_unknown_itself_is_refused_and_nothing_is_chosen_for_it(name: str) -> None:
    made = bench()
    unknown = field_types(OrderRequest)[name].of.UNKNOWN  # type: ignore[attr-defined]
    event = only_event(send(made, new(**{name: unknown})))
    expected = {
        "side": R.MISSING_SIDE,
        "ord_type": R.UNSUPPORTED_ORDER_TYPE,
        "time_in_force": R.UNSUPPORTED_TIME_IN_FORCE,
        "strategy": R.UNSUPPORTED_STRATEGY,
    }
    assert event.reason is expected.get(name, R.BAD_VALUE)
    assert name in (event.text or "")


@pytest.mark.parametrize("limit_px", [None, 100_000_000_000])
def test_an_order_that_does_not_say_its_type_is_refused_with_or_without_a_limit(limit_px: int | None) -> None:
    request = OrderRequest(
        kind=RequestKind.NEW, source="S1", cl_ord_id="C1", account="A1", instrument="AMZN", side=Side.BUY, order_qty=10,
        limit_px=limit_px,
    )  # fmt: skip
    event = only_event(send(bench(), request))
    assert event.reason is R.UNSUPPORTED_ORDER_TYPE
    assert event.text == "ord_type is missing: send MARKET or LIMIT"


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ({**STOP_PX, "value": 101_000_000_000}, "stop_px=101000000000"),
        ({**DISPLAY_QTY, "value": 5}, "display_qty=5"),
        ({**DISPLAY_QTY, "value": -5}, "display_qty=-5"),
        ({**TRIGGER, "value": {"px": 7}}, 'trigger={"px": 7}'),
        ({**LEGS, "value": ["A", "B"]}, 'legs=["A", "B"]'),
        ({"name": "iceberg", "type": "boolean", "default": False, "value": True}, "iceberg=true"),
        ({"name": "iceberg", "type": "boolean", "default": True, "value": False}, "iceberg=false"),
        ({"name": "peg", "type": {"type": "enum", "name": "Peg", "symbols": ["UNKNOWN", "MID"], "default": "UNKNOWN"},
          "default": "UNKNOWN", "value": "MID"}, "peg=MID"),
        ({"name": "second_side", "type": "Side", "default": "UNKNOWN", "value": "BUY"}, "second_side=BUY"),
        ({"name": "ratio", "type": "double", "default": 1.0, "value": 0.5}, "ratio=0.5"),
        ({"name": "key", "type": "bytes", "default": "\u00ff", "value": b"\x00"}, "key=\x00"),
        ({"name": "must_say", "type": "long", "value": 0}, "must_say=0"),
        ({"name": "t", "type": {"type": "map", "values": "long"}, "default": {}, "value": {"a": 1}}, 't={"a": 1}'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
@EITHER
def test_a_field_that_a_newer_contract_adds_is_refused_by_name_when_it_says_something(
    field: dict[str, Any], says: str, partition: int
) -> None:
    house = House()
    event = house.answer(house.tomorrow.write(new(), added=(field,)), partition)
    assert event.reason is R.NOT_UNDERSTOOD
    assert says in (event.text or "")
    assert house.host.records(Order) == []
    assert house.replay_findings() == []


@pytest.mark.parametrize(
    "field",
    [
        STOP_PX,
        DISPLAY_QTY,
        {**DISPLAY_QTY, "value": 0},
        TRIGGER,
        LEGS,
        {"name": "key", "type": "bytes", "default": "\u00ff", "value": b"\xff"},
        {"name": "desk_note", "type": "string", "default": "", "value": "hello", "informative": True},
    ],
    ids=lambda field: field["name"],
)
def test_a_field_that_says_nothing_or_only_informs_changes_nothing(field: dict[str, Any]) -> None:
    house = House()
    order, event = house.send(house.tomorrow.write(new(), added=(field,)))
    assert isinstance(order, Order) and order.request == new()
    assert isinstance(event, OrderEvent) and event.kind is OrderEventKind.ACCEPTED


def test_the_value_of_what_is_not_understood_belongs_to_the_content() -> None:
    house = House()
    first = house.answer(house.tomorrow.write(new(), added=({**STOP_PX, "value": 1},)))
    other = house.answer(house.tomorrow.write(new(), added=({**STOP_PX, "value": 2},)))
    long = {"name": "text", "type": "string", "default": ""}
    longer = [house.answer(house.tomorrow.write(new("C2"), added=({**long, "value": "x" * n},))) for n in (500, 501)]
    assert [event.reason for event in (first, other)] == [R.NOT_UNDERSTOOD, R.CONFLICTING_REPEAT]
    assert [event.reason for event in longer] == [R.NOT_UNDERSTOOD, R.CONFLICTING_REPEAT]
    assert all(len(event.text or "") < 300 for event in longer)


def test_a_cancel_passes_whatever_symbol_stands_in_a_field_it_does_not_use() -> None:
    for name in kind_fields(OrderRequest):
        if name == "kind":
            continue
        house = House()
        house.send(house.codec.encode(new()))
        (forwarded,) = house.send(house.tomorrow.write(cancel("X1", "C1"), symbols=(name,)))
        assert isinstance(forwarded, Order) and forwarded.kind is OrderKind.CANCEL


def test_a_cancel_of_a_part_is_not_taken_for_one_of_all() -> None:
    house = House()
    order, _ = house.send(house.codec.encode(new()))
    field = {"name": "cancel_qty", "type": ["null", "long"], "default": None, "value": 4}
    event = house.answer(house.tomorrow.write(cancel("X1", "C1"), added=(field,)))
    assert isinstance(order, Order)
    assert (event.kind, event.reason) == (OrderEventKind.CANCEL_REFUSED, R.NOT_UNDERSTOOD)
    assert (event.order_id, event.ord_status) == (order.order_id, OrdStatus.NEW)


def test_what_is_not_understood_in_an_unknown_source_is_answered_as_of_an_unknown_source() -> None:
    house = House()
    partition = partition_of("S9", PARTITIONS)
    event = house.answer(house.tomorrow.write(new(source="S9"), symbols=("side",)), partition)
    assert event.reason is R.UNKNOWN_SOURCE


def test_a_request_of_a_kind_of_tomorrow_is_answered_and_no_dead_letter() -> None:
    house = House()
    value = house.tomorrow.write(new(), symbols=("kind",))
    event = house.answer(value)
    assert (event.kind, event.reason) == (OrderEventKind.REFUSED, R.UNKNOWN_KIND)
    assert event.text == "kind is not one of NEW, CANCEL, REPLACE: kind=TOMORROW"
    assert house.answer(value).kind is OrderEventKind.REPEATED
    assert house.replay_findings() == []


# ---------------------------------------------------------------- controls


def control(kind: ControlKind, scope: ControlScope, scope_id: str = "") -> Control:
    return Control(
        writer="desk@1", seq=1, kind=kind, control_id="K1", scope=scope, scope_id=scope_id, who="a", why="b", at_ns=NOW
    )


def test_a_control_of_a_kind_of_tomorrow_is_set_aside_and_the_desk_is_told_what_it_said() -> None:
    house = House()
    value = house.tomorrow.write(control(ControlKind.PAUSE, ControlScope.ALL), symbols=("kind",))
    house.host.publish_raw(CONTROLS, b"K1", value, NOW, HOME)
    house.host.run()
    assert house.host.records(DeadLetter) == []
    (alert,) = house.host.records(Alert)
    assert (alert.kind, alert.subject_id, alert.reason) == (AlertKind.SET_ASIDE, "controls", "NOT_UNDERSTOOD")
    assert "kind=TOMORROW" in alert.text and "control_id K1" in alert.text


@pytest.mark.parametrize("scope", [ControlScope.UNKNOWN, ControlScope.CHILD])
def test_a_kill_of_a_scope_of_tomorrow_stops_everything(scope: ControlScope) -> None:
    made = bench(control(ControlKind.KILL, scope, "group 7"))
    expect(made, new(), R.KILLED)
    made.feed(control(ControlKind.RESUME, scope, "group 7"))
    expect(made, new("C2"), R.KILLED, "what lifts must name what it lifts")
    made.feed(control(ControlKind.RESUME, ControlScope.ALL))
    accepted(made, new("C3"))


# ---------------------------------------------------------------- at the codec, for every record


@pytest.mark.parametrize(
    ("record", "symbols", "path"),
    [
        (control(ControlKind.KILL, ControlScope.ALL), ("scope",), "scope=TOMORROW"),
        (new(), ("side", "urgency"), "side=TOMORROW"),
    ],
    ids=["control", "order"],
)
def test_whatever_is_lost_in_reading_is_named_beside_the_record(
    record: Record, symbols: tuple[str, ...], path: str
) -> None:
    tomorrow = Tomorrow()
    read, not_understood = Codec(tomorrow).read(topic_of(type(record)).name, tomorrow.write(record, symbols=symbols))
    assert type(read) is type(record)
    assert not_understood == tuple(f"{name}={TOMORROW}" for name in symbols)
    assert path in not_understood


def test_what_is_lost_in_a_part_of_a_record_is_named_with_its_path() -> None:
    order = accepted(bench(), new())
    schema = schema_of(Order)
    request = next(field["type"] for field in schema["fields"] if field["name"] == "request")
    request["fields"].append({"name": "stop_px", "type": ["null", "long"], "default": None})
    plain = msgspec.to_builtins(order)
    plain["request"]["stop_px"] = 7
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), plain)
    resolved = Resolver(json.dumps(schema), Order).decode(out.getvalue(), 0)
    assert resolved == (order, len(out.getvalue()), ("request.stop_px=7",))


# ---------------------------------------------------------------- among our own stages, while releases differ


class Reader(Stage[State]):
    """Reads one type of record and writes an alert for each that it is given."""

    name: ClassVar[str] = "reader"
    title: ClassVar[str] = "reads"
    writes: ClassVar[tuple[type[Owned], ...]] = (Alert,)

    def __init__(self, record_type: type[Record]) -> None:
        self.reads = (record_type,)  # type: ignore[misc]

    def new_state(self, task: Task) -> State:
        return State(task)

    def step(self, state: State, message: Record, meta: Meta) -> Iterator[Owned]:
        yield Alert(kind=AlertKind.BREAK, instrument="AMZN", subject_id="was read")


READ: Final = [
    topic.record
    for topic in TOPICS
    if topic.record is not OrderRequest
    and topic.record not in VALIDATORS
    and any(topic.record in stage.reads for stage in STAGES)
]


@pytest.mark.parametrize("record_type", READ, ids=lambda each: each.__name__)
def test_no_record_of_any_topic_is_acted_on_when_a_newer_contract_says_more_than_we_read(
    record_type: type[Record],
) -> None:
    """What is our own and comes through no door is a dead letter, whole; the numbers of its writer go on."""
    tomorrow = Tomorrow()
    first = msgspec.structs.replace(sample(record_type), writer="other/0", seq=1)
    second = msgspec.structs.replace(first, seq=2)
    topic = topic_of(record_type)
    host = MemoryHost([Reader(record_type)], 1, Codec(tomorrow))
    more = tomorrow.write(first, added=({**STOP_PX, "value": 7},))
    for value in (more, tomorrow.write(second, added=(STOP_PX,))):
        host.publish_raw(topic, topic.key(first).encode(), value, 0, 0)
    host.run()
    (letter,) = host.records(DeadLetter)
    assert (letter.reason, letter.value) == (DeadLetterReason.NOT_UNDERSTOOD, more)
    assert letter.detail == "not understood: stop_px=7"
    assert [alert.subject_id for alert in host.records(Alert)] == ["was read"], (
        "the second, which says no more than we read"
    )


@pytest.mark.parametrize("name", kind_fields(Order))
def test_no_order_of_a_newer_intake_is_worked_with_a_symbol_we_do_not_know(name: str) -> None:
    tomorrow = Tomorrow()
    order = accepted(bench(), new())
    order = msgspec.structs.replace(order, writer="other/0", seq=1)
    host = MemoryHost([Reader(Order)], 1, Codec(tomorrow))
    host.publish_raw(topic_of(Order), b"AMZN", tomorrow.write(order, symbols=(name,)), 0, 0)
    host.run()
    (letter,) = host.records(DeadLetter)
    due = DeadLetterReason.UNKNOWN_KIND if name == "kind" else DeadLetterReason.NOT_UNDERSTOOD
    assert letter.reason is due and f"{name}={TOMORROW}" in letter.detail
    assert host.records(Alert) == []


def test_a_request_that_a_newer_intake_forwards_is_answered_by_what_it_says() -> None:
    house = House()
    forwarded = OrderRerouted(writer="intake/0", seq=1, source="S1", append_ns=NOW, origin_partition=0, request=new())
    schema = schema_of(OrderRerouted)
    request = next(field["type"] for field in schema["fields"] if field["name"] == "request")
    request["fields"].append({"name": "stop_px", "type": ["null", "long"], "default": None})
    plain = msgspec.to_builtins(forwarded)
    plain["request"]["stop_px"] = 7
    value = house.tomorrow.written(schema, plain, "orders-rerouted")
    house.host.publish_raw(topic_of(OrderRerouted), b"S1", value, NOW, HOME)
    house.host.run()
    (event,) = house.host.records(OrderEvent)
    assert event.reason is R.NOT_UNDERSTOOD and "stop_px=7" in (event.text or "")
    assert house.host.records(Order) == []


def test_a_skip_of_which_a_part_is_not_understood_skips_nothing() -> None:
    house = House()
    skip = control(ControlKind.SKIP, ControlScope.ALL, f"orders-in/{HOME}/0")
    field = {"name": "stage", "type": "string", "default": "", "value": "netting"}
    house.host.publish_raw(CONTROLS, b"K1", house.tomorrow.write(skip, added=(field,)), NOW, HOME)
    house.host.run()
    order, event = house.send(house.codec.encode(new()))
    assert isinstance(order, Order) and isinstance(event, OrderEvent)
