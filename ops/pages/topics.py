"""`docs/reference/topics.md`: every topic with its fields, types, units and meanings, from the contracts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ops.pages.text import item, wrapped
from pipeline import topology
from pipeline.runtime.contracts.schemas import Schema, key_fields, schema_of
from pipeline.topics import TOPICS, Topic

INTRO: Final = (
    "For everybody who reads or writes a topic. Each has one record type; the map, the wire format and what may change "
    "are in [schemas/README.md](../../schemas/README.md), the words in the [glossary](../glossary.md). A field with a "
    "default may be left out by a writer. Prices are integers in 1e-9 currency units: 223.95 is 223950000000."
)


def page() -> str:
    """The whole page."""
    parts: dict[str, Schema] = {}
    for topic in TOPICS:
        for named in _named_types(schema_of(topic.record)):
            parts.setdefault(named["name"], named)
    homes = {topic.record.__name__: topic.name for topic in TOPICS}
    parts = {name: parts[name] for name in sorted(parts) if name not in homes}
    records = [schema for schema in parts.values() if schema["type"] == "record"]
    enums = [schema for schema in parts.values() if schema["type"] == "enum"]
    names = ", ".join(f"[{topic.name}](#{topic.name})" for topic in TOPICS)
    lines = ["# Topics and fields", "", *wrapped(INTRO), "", *wrapped(f"Topics: {names}."), ""]
    for topic in TOPICS:
        lines += [*_topic(topic, homes), ""]
    lines += ["## Records inside records", ""]
    for schema in records:
        lines += [f"### {schema['name']}", "", *wrapped(schema["doc"]), "", *_fields(schema, homes), ""]
    lines += ["## Enums", "", "The first symbol, `UNKNOWN`, is what a symbol of a later version reads as.", ""]
    for schema in enums:
        symbols = ", ".join(f"`{symbol}`" for symbol in schema["symbols"] if symbol != "UNKNOWN")
        lines += [f"### {schema['name']}", "", *wrapped(schema["doc"]), "", *wrapped(symbols), ""]
    return "\n".join(lines).rstrip()


def _topic(topic: Topic, homes: dict[str, str]) -> Iterator[str]:
    schema = schema_of(topic.record)
    yield f"## {topic.name}"
    yield ""
    yield from wrapped(schema["doc"])
    yield ""
    yield f"- record `{topic.record.__name__}`, [{topic.schema}.avsc](../../schemas/{topic.schema}.avsc)"
    if topic.per_source:
        yield f"- one topic for each source: `{topic.name}.<source>`"
    yield f"- key: {key_fields(topic)}; partitions: {topic.spread.value}; {topic.keep.value}"
    writers = topology.writers_of(topic) or ["the runtime, for each stage"]
    yield from item(f"written by: {', '.join(writers)}")
    yield from item(f"read by: {', '.join(topology.readers_of(topic)) or 'no stage'}")
    yield ""
    yield from _fields(schema, homes)


def _fields(schema: Schema, homes: dict[str, str]) -> Iterator[str]:
    yield "| field | type | unit | meaning |"
    yield "|---|---|---|---|"
    for field in schema["fields"]:
        default = f", default {_default(field['default'])}" if "default" in field else ""
        cells = (f"`{field['name']}`", _type(field["type"], homes) + default, field.get("unit", ""), field["doc"])
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(of: Any, homes: dict[str, str]) -> str:
    match of:
        case ["null", some]:
            return f"{_type(some, homes)} or null"
        case {"type": "array", "items": items}:
            return f"array of {_type(items, homes)}"
        case {"name": str(name)}:
            return _type(name, homes)
        case str(name) if name[0].isupper():
            return f"[{name}](#{homes.get(name, name.lower())})"
        case _:
            return str(of)


def _default(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"`{value}`" if value else "empty"
        case []:
            return "none"
        case _:
            return str(value)


def _named_types(of: Any) -> Iterator[Schema]:
    """Every record and enum that is written out inside a schema, itself too."""
    match of:
        case {"type": "record", "fields": fields}:
            yield of
            for field in fields:
                yield from _named_types(field["type"])
        case {"type": "enum"}:
            yield of
        case {"type": "array", "items": items}:
            yield from _named_types(items)
        case list():
            for each in of:
                yield from _named_types(each)
        case _:
            pass
