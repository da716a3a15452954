"""Contracts: written from the records, documented, and nothing changes in them that must not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Annotated, Any

import fastavro
import pytest

from pipeline.domain.orders import Order, OrderRequest
from pipeline.domain.record import INFORMATIVE, Kind, Owned, Record
from pipeline.domain.units import Px
from pipeline.runtime.contracts import checks, schemas
from pipeline.runtime.contracts.checks import findings, freeze, lint, unfrozen, unreadable
from pipeline.runtime.contracts.schemas import (
    ContractError,
    Schema,
    key_fields,
    render,
    render_map,
    schema_of,
)
from pipeline.topics import CLOCK, CROSSES, JOURNAL, LIMITS, ORDERS, ORDERS_IN, TOPICS

# ---------------------------------------------------------------- the real ones


def test_the_files_are_what_the_records_say_and_nothing_frozen_changed() -> None:
    """After a change of the domain: `python -m tests.golden.write`."""
    assert findings() == []


def test_there_is_one_file_for_each_topic() -> None:
    assert sorted(render()) == sorted(f"{topic.name}.avsc" for topic in TOPICS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_contract_is_avro_and_names_its_record(topic: Any) -> None:
    parsed: Any = fastavro.parse_schema(json.loads(schemas.contract_text(topic.record)))
    assert parsed["name"] == f"pipeline.{topic.record.__name__}"
    names = [field["name"] for field in parsed["fields"]]
    assert names == list(topic.record.__struct_fields__)
    assert names[:2] == ["writer", "seq"] or topic is ORDERS_IN


def test_a_field_says_what_it_is_in_which_unit_and_what_it_is_without_a_value() -> None:
    fields = {field["name"]: field for field in schema_of(OrderRequest)["fields"]}
    assert fields["limit_px"] == {
        "name": "limit_px",
        "type": ["null", "long"],
        "default": None,
        "doc": "FIX Price (44). Must stand on the tick.",
        "unit": "1e-9 currency units",
    }
    assert "default" not in fields["source"]
    assert fields["allowed_venues"]["default"] == []
    assert fields["time_in_force"]["default"] == "DAY"
    assert fields["time_in_force"]["type"]["default"] == "UNKNOWN"


def test_a_nested_type_is_written_once_and_then_named() -> None:
    fields = {field["name"]: field["type"] for field in schema_of(Order)["fields"]}
    assert fields["request"]["name"] == "OrderRequest"
    cross = {field["name"]: field["type"] for field in schema_of(CROSSES.record)["fields"]}
    assert cross["buys"]["items"]["name"] == "CrossLeg"
    assert cross["sells"]["items"] == "CrossLeg"


def test_the_map_names_what_each_key_is_made_of() -> None:
    assert key_fields(ORDERS) == "instrument"
    assert key_fields(LIMITS) == "scope / scope_id"
    assert key_fields(JOURNAL) == "stage / partition"
    assert key_fields(CLOCK) == '"clock"'


def test_a_readme_without_its_markers_is_not_touched() -> None:
    with pytest.raises(ValueError, match="lost its markers"):
        render_map("# The map\n")


# ---------------------------------------------------------------- types that are not for messages


class Undocumented(Record, frozen=True, kw_only=True):
    """One."""

    a: int


class Real(Record, frozen=True, kw_only=True):
    """One."""

    a: float
    """A."""


class Mapped(Record, frozen=True, kw_only=True):
    """One."""

    a: dict[str, int]
    """A."""


class Either(Record, frozen=True, kw_only=True):
    """One."""

    a: int | str
    """A."""


class NotNull(Record, frozen=True, kw_only=True):
    """One."""

    a: int | None = 3
    """A."""


class Pair(Record, frozen=True, kw_only=True):
    """One."""

    a: tuple[int, str]
    """A."""


class Backwards(Kind):
    """One."""

    NEW = "NEW"
    UNKNOWN = "UNKNOWN"


class WithBackwards(Record, frozen=True, kw_only=True):
    """One."""

    a: Backwards
    """A."""


class Nameless(Record, frozen=True, kw_only=True):
    a: int
    """A."""


@pytest.mark.parametrize(
    ("record_type", "says"),
    [
        (Undocumented, "Undocumented.a: has no docstring under it"),
        (Nameless, "Nameless: has no docstring"),
        (Real, "Real.a: .* is not a type for messages"),
        (Mapped, "Mapped.a: .* is not a type for messages"),
        (Either, "Either.a: the only union is with None"),
        (NotNull, "NotNull.a: a nullable field's default is null"),
        (Pair, "Pair.a: a tuple in a message is tuple"),
        (WithBackwards, "Backwards: its first symbol must be UNKNOWN"),
    ],
)
def test_a_record_that_is_not_for_messages_is_refused(record_type: type[Record], says: str) -> None:
    with pytest.raises(ContractError, match=says):
        schema_of(record_type)


class Noted(Owned, frozen=True, kw_only=True):
    """A record with a note."""

    note: Annotated[str, INFORMATIVE] = ""
    """For people."""


def test_a_field_that_changes_no_decision_says_so() -> None:
    assert schema_of(Noted)["fields"][2] == {
        "name": "note", "type": "string", "default": "", "doc": "For people.", "informative": True,
    }  # fmt: skip


class Documented(Owned, frozen=True, kw_only=True):
    """A record
    on two lines."""

    limit_px: Px
    """A price
    on two lines."""


def test_inherited_fields_come_first_with_their_docs() -> None:
    schema = schema_of(Documented)
    assert schema["doc"] == "A record on two lines."
    assert [field["name"] for field in schema["fields"]] == ["writer", "seq", "limit_px"]
    assert schema["fields"][0]["doc"].startswith("Who wrote this")
    assert schema["fields"][2]["doc"] == "A price on two lines."


# ---------------------------------------------------------------- what may change and what may not

V1: Schema = {
    "type": "record",
    "name": "Thing",
    "namespace": "pipeline",
    "doc": "D.",
    "fields": [
        {"name": "writer", "type": "string", "default": "", "doc": "D."},
        {"name": "seq", "type": "long", "default": 0, "doc": "D."},
        {
            "name": "kind",
            "type": {"type": "enum", "name": "K", "doc": "D.", "symbols": ["UNKNOWN", "A", "B"], "default": "UNKNOWN"},
            "doc": "D.",
        },
        {"name": "px", "type": ["null", "long"], "default": None, "doc": "D.", "unit": "1e-9"},
        {
            "name": "parts",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Part",
                    "doc": "D.",
                    "fields": [{"name": "qty", "type": "long", "doc": "D.", "unit": "units"}],
                },
            },
            "doc": "D.",
        },
    ],
}


def changed(how: str) -> Schema:
    schema = copy.deepcopy(V1)
    exec(how, {"s": schema, "f": schema["fields"], "k": schema["fields"][2]["type"], "px": schema["fields"][3]})
    return schema


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("del s['doc']", "the record has no doc"),
        ("del px['doc']", "px: has no doc"),
        ("del k['doc']", "the enum has no doc"),
        ("del px['unit']", "px: a number without a unit"),
        ("del f[4]['type']['items']['fields'][0]['unit']", "parts.qty: a number without a unit"),
        ("px['type'] = ['long', 'null']", "px: the only union"),
        ("px['type'] = ['null', 'long', 'string']", "px: the only union"),
        ("px['default'] = 3", "px: a nullable field's default is null"),
        ("px['type'] = {'type': 'map', 'values': 'long'}", "px: map is not a type"),
        ("px['type'] = 'double'", "px: double is not a type"),
        ("px['type'] = {'type': 'long', 'logicalType': 'timestamp-millis'}", "px: logical types"),
        ("k['symbols'] = ['A', 'UNKNOWN', 'B']", "first symbol and default must be UNKNOWN"),
        ("del k['default']", "first symbol and default must be UNKNOWN"),
        ("f.insert(0, f.pop(1))", "writer and seq must be its first fields"),
        ("f.insert(0, f.pop(3))", "writer and seq must be its first fields"),
        ("s['namespace'] = 'other'", "its namespace must be pipeline"),
    ],
)
def test_the_lint_names_what_is_against_the_rules(how: str, says: str) -> None:
    assert lint(ORDERS, V1) == []
    assert any(says in finding for finding in lint(ORDERS, changed(how)))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("px['unit'] = '1e-6'", "Thing.px: unit changed from '1e-9' to '1e-6'"),
        ("del px['unit']", "Thing.px: unit changed from '1e-9' to None"),
        ("f[1]['unit'] = 'count'", "Thing.seq: unit changed from None to 'count'"),
        ("f[4]['type']['items']['fields'][0]['unit'] = 'lots'", "Part.qty: unit changed"),
        ("f[1]['type'] = {'type': 'long', 'logicalType': 'timestamp-micros'}", "Thing.seq: logicalType changed"),
        ("px['type'] = ['null', {'type': 'long', 'logicalType': 'timestamp-micros'}]", "Thing.px: logicalType changed"),
        ("k['symbols'] = ['UNKNOWN', 'B', 'A']", "K: symbols may only be appended"),
        ("k['symbols'] = ['UNKNOWN', 'A']", "K: symbols may only be appended"),
        ("k['symbols'] = ['UNKNOWN', 'A', 'C', 'B']", "K: symbols may only be appended"),
        ("f.insert(3, f.pop(4))", "Thing: its fields changed their order"),
    ],
)
def test_what_no_registry_would_notice_is_frozen(how: str, says: str) -> None:
    found = unfrozen(V1, changed(how), "thing against v1")
    assert any(says in finding for finding in found), found


@pytest.mark.parametrize(
    "how",
    [
        "pass",
        "k['symbols'].append('C')",
        "f.append({'name': 'new', 'type': ['null', 'string'], 'default': None, 'doc': 'D.'})",
        "f.insert(2, {'name': 'new', 'type': 'string', 'default': '', 'doc': 'D.'})",
        "px['doc'] = 'Better words.'",
    ],
)
def test_what_may_change(how: str) -> None:
    now = changed(how)
    assert unfrozen(V1, now, "") == []
    assert unreadable(now, V1) == []
    assert unreadable(V1, now) == []
    assert lint(ORDERS, now) == []


@pytest.mark.parametrize(
    ("how", "now_reads_before", "before_reads_now"),
    [
        ("f.append({'name': 'new', 'type': 'string'})", False, True),
        ("f.pop(3)", True, True),  # had a default
        ("f.pop(2)", True, False),  # had none
        ("px['type'] = 'long'", False, True),
        ("f[1]['type'] = ['null', 'long']", True, False),
        ("f[1]['type'] = 'string'", False, False),
        ("f[0]['name'] = 'author'", True, True),  # one goes, one comes: both have defaults
        ("k['symbols'].append('C'); del k['default']", True, True),
        ("k['symbols'].remove('B'); del k['default']", False, True),
        ("k['name'] = 'Other'", False, False),
        ("f[4]['type']['items']['fields'].append({'name': 'x', 'type': 'long'})", False, True),
        ("f[4]['type'] = f[4]['type']['items']", False, False),
        ("s['name'] = 'Other'", False, False),
    ],
)
def test_who_can_read_whom(how: str, now_reads_before: bool, before_reads_now: bool) -> None:
    now = changed(how)
    assert (not unreadable(now, V1), not unreadable(V1, now)) == (now_reads_before, before_reads_now)


def test_a_changed_contract_is_found_until_it_is_rendered_and_kept(tmp_path: Path) -> None:
    directory, golden = tmp_path / "schemas", tmp_path / "golden"
    directory.mkdir()
    (directory / "README.md").write_text(f"{schemas.MAP_BEGIN}\n{schemas.MAP_END}\n")
    assert len(schemas.write(directory)) == len(TOPICS) + 1
    assert len(freeze(golden)) == len(TOPICS)
    assert findings(directory, golden) == []
    assert schemas.write(directory) == []
    assert freeze(golden) == []

    schema = json.loads((golden / "orders" / "v1.avsc").read_text())
    (cap,) = (field for field in schema["fields"] if field["name"] == "participation_cap")
    cap["unit"] = "percent"
    (golden / "orders" / "v1.avsc").write_text(json.dumps(schema))
    (directory / "orders.avsc").write_text("{}")
    (directory / "fills.avsc").unlink()
    (directory / "stray.avsc").write_text("{}")
    (directory / "README.md").write_text(f"{schemas.MAP_BEGIN}\nold\n{schemas.MAP_END}\n")
    found = "\n".join(findings(directory, golden))
    for due in (
        "schemas/orders.avsc is not what the records say",
        "schemas/fills.avsc is missing",
        "schemas/stray.avsc belongs to no topic",
        "schemas/README.md does not show",
        "orders against v1.avsc: Order.participation_cap: unit changed from 'percent' to 'parts per million'",
        "orders: v1.avsc is not its newest version",
    ):
        assert due in found
    assert freeze(golden) == ["orders/v2.avsc"]
    assert checks.check(say=lambda _: None) == 0
