"""What may change in a contract, and what may not: the checks of `pipeline schemas check`, and registration.

A registry checks that records can be read. It does not see units, logical types, the order of fields or of an enum's
symbols: these are frozen here, against every earlier version kept as ``<topic>/v<n>.avsc`` (files.py says where).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pipeline.domain.record import Owned
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, PipelineError
from pipeline.runtime.contracts.files import contracts_dir, require_checkout, versions_dir
from pipeline.runtime.contracts.registry import COMPATIBILITY, Registry
from pipeline.runtime.contracts.schemas import (
    NAMESPACE,
    Schema,
    contract_text,
    render,
    render_map,
    subject_of,
)
from pipeline.topics import TOPICS, Topic

_PRIMITIVES: Final = frozenset({"long", "string", "boolean", "bytes"})
_FROZEN: Final = ("unit", "logicalType", "scale", "precision")
_ORDINAL_SUFFIXES: Final = ("_no", "_count", "_id", "_code", "_version")
_ORDINALS: Final = frozenset(
    {"no", "version", "seq", "partition", "origin_partition", "partitions", "offset", "first_seq"}
)
"""Numbers that count or name something, and so have no unit."""

Say = Callable[[str], object]


# ---------------------------------------------------------------- the rules


def lint(topic: Topic, schema: Schema) -> list[str]:
    """Where a schema breaks our rules; each finding names the field."""
    findings = list(_lint(schema, topic.schema))
    names = [field["name"] for field in schema["fields"]]
    if issubclass(topic.record, Owned) and names[:2] != ["writer", "seq"]:
        findings.append(f"{topic.schema}: writer and seq must be its first fields")
    if schema.get("namespace") != NAMESPACE:
        findings.append(f"{topic.schema}: its namespace must be {NAMESPACE}")
    return findings


def _lint(schema: Any, where: str) -> Iterator[str]:
    if isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null":
            yield f'{where}: the only union is ["null", T]'
        else:
            yield from _lint(schema[1], where)
        return
    if isinstance(schema, str):
        if schema not in _PRIMITIVES and not schema[:1].isupper():
            yield f"{where}: {schema} is not a type for messages"
        return
    if "logicalType" in schema:
        yield f"{where}: logical types are outside every compatibility check; say it in `unit`"
    match schema["type"]:
        case "record":
            if not schema.get("doc"):
                yield f"{where}: the record has no doc"
            for field in schema["fields"]:
                yield from _lint_field(field, f"{where}.{field['name']}")
        case "enum":
            if not schema.get("doc"):
                yield f"{where}: the enum has no doc"
            if schema["symbols"][0] != "UNKNOWN" or schema.get("default") != "UNKNOWN":
                yield f"{where}: the enum's first symbol and default must be UNKNOWN"
        case "array":
            yield from _lint(schema["items"], where)
        case other:
            yield f"{where}: {other} is not a type for messages"


def _lint_field(field: Schema, where: str) -> Iterator[str]:
    name, kind = str(field["name"]), field["type"]
    if not field.get("doc"):
        yield f"{where}: has no doc"
    if isinstance(kind, list) and field.get("default") is not None:
        yield f"{where}: a nullable field's default is null"
    if _is_number(kind) and "unit" not in field and not name.endswith(_ORDINAL_SUFFIXES) and name not in _ORDINALS:
        yield f"{where}: a number without a unit"
    yield from _lint(kind, where)


def _is_number(kind: Any) -> bool:
    if isinstance(kind, list):
        return _is_number(kind[-1])
    if isinstance(kind, dict):
        return kind["type"] == "array" and _is_number(kind["items"])
    return bool(kind == "long")


def unfrozen(before: Schema, now: Schema, where: str) -> list[str]:
    """What changed between two versions that no registry would notice: units, order of fields, order of symbols."""
    names_before, names_now = _named(before), _named(now)
    return [
        finding
        for name, old in names_before.items()
        if name in names_now
        for finding in _unfrozen(old, names_now[name], f"{where}: {name}")
    ]


def _unfrozen(before: Schema, now: Schema, where: str) -> Iterator[str]:
    if before["type"] == "enum":
        symbols = list(before["symbols"])
        if now.get("symbols", [])[: len(symbols)] != symbols:
            yield f"{where}: symbols may only be appended"
        return
    fields_before = {field["name"]: field for field in before["fields"]}
    fields_now = {field["name"]: field for field in now.get("fields", [])}
    common = [name for name in fields_before if name in fields_now]
    if common != [name for name in fields_now if name in fields_before]:
        yield f"{where}: its fields changed their order"
    for name in common:
        for attribute in _FROZEN:
            old, new = _attribute(fields_before[name], attribute), _attribute(fields_now[name], attribute)
            if old != new:
                yield f"{where}.{name}: {attribute} changed from {old!r} to {new!r}"


def _attribute(field: Schema, attribute: str) -> Any:
    kind = field["type"]
    inner = kind[-1] if isinstance(kind, list) else kind
    return field.get(attribute, inner.get(attribute) if isinstance(inner, dict) else None)


def _named(schema: Any) -> dict[str, Schema]:
    """Every record and enum in a schema by its name, in order."""
    found: dict[str, Schema] = {}

    def visit(part: Any) -> None:
        if isinstance(part, list):
            for branch in part:
                visit(branch)
        elif isinstance(part, dict):
            if part["type"] in ("record", "enum"):
                found[part["name"]] = part
            for field in part.get("fields", ()):
                visit(field["type"])
            if part["type"] == "array":
                visit(part["items"])

    visit(schema)
    return found


# ---------------------------------------------------------------- compatibility, without a registry


def unreadable(reader: Schema, writer: Schema) -> list[str]:
    """Why a reader's schema cannot read what was written under a writer's; empty when it can (Avro's resolution)."""
    return list(_Resolution(_named(reader), _named(writer)).problems(reader, writer, str(reader["name"])))


class _Resolution:
    def __init__(self, reader_names: dict[str, Schema], writer_names: dict[str, Schema]) -> None:
        self._reader_names = reader_names
        self._writer_names = writer_names
        self._open: set[tuple[str, str]] = set()

    def problems(self, reader: Any, writer: Any, where: str) -> Iterator[str]:
        if isinstance(writer, list):
            for branch in writer:
                yield from self.problems(reader, branch, where)
            return
        if isinstance(reader, list):
            if all(list(self.problems(branch, writer, where)) for branch in reader):
                yield f"{where}: {_name(writer)} does not fit {' or '.join(map(_name, reader))}"
            return
        reader, writer = self._resolved(reader, self._reader_names), self._resolved(writer, self._writer_names)
        if isinstance(reader, str) or isinstance(writer, str):
            if reader != writer:
                yield f"{where}: {_name(writer)} was written, {_name(reader)} is read"
            return
        if reader["type"] != writer["type"] or reader.get("name") != writer.get("name"):
            yield f"{where}: {_name(writer)} was written, {_name(reader)} is read"
        elif reader["type"] == "array":
            yield from self.problems(reader["items"], writer["items"], where)
        elif reader["type"] == "enum":
            missing = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
            if missing and "default" not in reader:
                yield f"{where}: symbols {', '.join(missing)} are not read, and there is no default"
        elif (pair := (reader["name"], writer["name"])) not in self._open:
            self._open.add(pair)
            written = {field["name"]: field for field in writer["fields"]}
            for field in reader["fields"]:
                if field["name"] in written:
                    yield from self.problems(field["type"], written[field["name"]]["type"], f"{where}.{field['name']}")
                elif "default" not in field:
                    yield f"{where}.{field['name']}: was not written, and has no default"

    @staticmethod
    def _resolved(schema: Any, names: dict[str, Schema]) -> Any:
        if isinstance(schema, str):
            return names.get(schema.removeprefix(f"{NAMESPACE}."), schema)
        return schema


def _name(schema: Any) -> str:
    return schema if isinstance(schema, str) else str(schema.get("name", schema["type"]))


# ---------------------------------------------------------------- what the command line calls


def earlier_versions(topic: Topic, golden: Path | None = None) -> list[tuple[str, Schema]]:
    """The kept versions of a topic's contract, oldest first, with their file names."""
    files = sorted(((golden or versions_dir()) / topic.schema).glob("v*.avsc"), key=lambda path: int(path.stem[1:]))
    return [(path.name, json.loads(path.read_text())) for path in files]


def findings(directory: Path | None = None, golden: Path | None = None) -> list[str]:
    """Everything that is wrong with the contracts, without a registry."""
    directory, golden = directory or contracts_dir(), golden or versions_dir()
    found = []
    files = render()
    for name, text in files.items():
        path = directory / name
        if not path.exists():
            found.append(f"schemas/{name} is missing: run `pipeline schemas render`")
        elif path.read_text() != text:
            found.append(f"schemas/{name} is not what the records say: run `pipeline schemas render`")
    found += [
        f"schemas/{path.name} belongs to no topic"
        for path in sorted(directory.glob("*.avsc"))
        if path.name not in files
    ]
    readme = directory / "README.md"
    if not readme.exists() or render_map(readme.read_text()) != readme.read_text():
        found.append("schemas/README.md does not show the topics as they are: run `pipeline schemas render`")
    for topic in TOPICS:
        found += _topic_findings(topic, golden)
    return found


def _topic_findings(topic: Topic, golden: Path) -> Iterator[str]:
    now = json.loads(contract_text(topic.record))
    yield from lint(topic, now)
    versions = earlier_versions(topic, golden)
    if not versions:
        yield f"{topic.schema}: no version of it is kept under {golden.name}/{topic.schema}"
    for name, before in versions:
        where = f"{topic.schema} against {name}"
        yield from unfrozen(before, now, where)
        yield from (f"{where}: cannot read it: {why}" for why in unreadable(now, before))
        yield from (f"{where}: cannot be read by it: {why}" for why in unreadable(before, now))
    if versions and versions[-1][1] != now:
        yield f"{topic.schema}: {versions[-1][0]} is not its newest version: keep it with `pipeline schemas freeze`"


def check(registry: Registry | None = None, sources: Iterable[str] = (), say: Say = print) -> int:
    """`schemas check`: says what is wrong; 0 when nothing is, else 1. With a registry, asks that too."""
    found = findings()
    if registry is not None:
        for name, topic in topic_names(sources):
            if not registry.is_compatible(subject_of(name), contract_text(topic.record)):
                found.append(f"{name}: the registry at {registry.url} would refuse it as not {COMPATIBILITY}")
            elif registry.id_of(subject_of(name), contract_text(topic.record)) is None:
                found.append(f"{name}: is not registered at {registry.url}: run `pipeline schemas register`")
    for line in found:
        say(line)
    asked = "" if registry is None else f", and the registry at {registry.url} agrees"
    if not found:
        say(f"{len(TOPICS)} contracts: rendered, documented, compatible with every kept version{asked}")
    return EXIT_FOUND if found else EXIT_GOOD


def freeze(golden: Path | None = None, *, released: bool = True) -> list[str]:
    """Keep today's contracts as versions; returns the files written. Raises WrongUse outside a checkout.

    With ``released``, a contract that changed gets its next number. Without, its newest version is written anew:
    right only while nothing has been written under it anywhere that matters.
    """
    if golden is None:
        require_checkout("schemas freeze")
        golden = versions_dir()
    written = []
    for topic in TOPICS:
        versions = earlier_versions(topic, golden)
        text = contract_text(topic.record)
        if versions and versions[-1][1] == json.loads(text):
            continue
        number = len(versions) + (1 if released or not versions else 0)
        path = golden / topic.schema / f"v{number}.avsc"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(f"{topic.schema}/{path.name}")
    return written


def register(registry: Registry, sources: Iterable[str] = (), say: Say = print) -> dict[str, int]:
    """`schemas register`: FULL_TRANSITIVE on every subject, then its schema; idempotent. Topic → schema id.

    Raises Incompatible when the registry refuses one, PipelineError when our own rules do (nothing is sent then).
    """
    found = [finding for topic in TOPICS for finding in lint(topic, json.loads(contract_text(topic.record)))]
    if found:
        raise PipelineError("nothing was registered, the contracts are against the rules:\n" + "\n".join(found))
    ids: dict[str, int] = {}
    new = 0
    for name, topic in topic_names(sources):
        subject, text = subject_of(name), contract_text(topic.record)
        ruled = registry.require_compatibility(subject)
        known = registry.id_of(subject, text)
        ids[name] = registry.register(subject, text) if known is None else known
        new += known is None
        if known is None or ruled:
            said = [f"registered as {ids[name]}"] if known is None else []
            say(f"{subject}: " + ", ".join(said + ([f"set to {COMPATIBILITY}"] if ruled else [])))
    say(f"{len(ids)} subjects at {registry.url}: {new} newly registered, {len(ids) - new} as they were")
    return ids


def topic_names(sources: Iterable[str]) -> Iterator[tuple[str, Topic]]:
    """Every topic's name on the cluster, a source's own one for each of ``sources``."""
    sources = tuple(sources)
    for topic in TOPICS:
        if topic.per_source:
            yield from ((f"{topic.name}.{source}", topic) for source in sources)
        else:
            yield topic.name, topic
