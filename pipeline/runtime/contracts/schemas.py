"""The contracts: one Avro schema per topic, written from the domain's records and their docstrings.

Types say what a field is, docstrings what it means, a unit of :mod:`pipeline.domain.units` what it is measured in.
:func:`render` gives the files of ``schemas/``; ``checks.py`` says what may change in them.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

import fastavro
import fastavro.schema
import msgspec

from pipeline.domain.record import Informative, Kind, Owned, Record
from pipeline.domain.units import UnitOfMeasure
from pipeline.runtime.contracts.files import contracts_dir, require_checkout
from pipeline.topics import TOPICS, Topic

NAMESPACE: Final = "pipeline"
MAP_BEGIN: Final = "<!-- topics: written by `pipeline schemas render` -->"
MAP_END: Final = "<!-- end of topics -->"

Schema: TypeAlias = dict[str, Any]

_PRIMITIVES: Final[dict[type, str]] = {int: "long", str: "string", bool: "boolean", bytes: "bytes"}


class ContractError(Exception):
    """A record, or a record type, that no schema of ours can carry exactly: a bug in the code that made it."""


def subject_of(topic_name: str) -> str:
    """The registry's subject of a topic (TopicNameStrategy)."""
    return f"{topic_name}-value"


def schema_of(record_type: type[Record]) -> Schema:
    """The Avro schema of a record type. Raises ContractError for a type Avro cannot carry exactly.

    A named type is written out where it is first used, and by its name after that.
    """
    return _record(record_type, set(), NAMESPACE)


def text_of(schema: Schema) -> str:
    """A schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


@functools.cache
def contract_text(record_type: type[Record]) -> str:
    """The text of a record type's contract: what is registered, and what is in its file."""
    return text_of(schema_of(record_type))


def fingerprint_of(text: str) -> str:
    """SHA-256 in hex of a schema's parsing canonical form (Avro specification); equal ones write the same bytes.

    Raises ValueError for a text that is no JSON, and fastavro's errors for one that is no Avro schema.
    """
    schema: Any = json.loads(text)
    return fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(schema), "SHA-256")


def render() -> dict[str, str]:
    """Every topic's schema text by the name of its file."""
    return {f"{topic.schema}.avsc": contract_text(topic.record) for topic in TOPICS}


def render_map(readme: str, topics: tuple[Topic, ...] = TOPICS) -> str:
    """``readme`` with the table of topics between its markers written anew. Raises ValueError without markers."""
    head, begin, rest = readme.partition(MAP_BEGIN)
    _, end, tail = rest.partition(MAP_END)
    if not begin or not end:
        raise ValueError(f"schemas/README.md has lost its markers {MAP_BEGIN!r} … {MAP_END!r}")
    lines = ["| topic | record | key | spread | keep | what it is |", "|---|---|---|---|---|---|"]
    for topic in topics:
        name = f"{topic.name}.&lt;source&gt;" if topic.per_source else topic.name
        what = _first_sentence(str(schema_of(topic.record)["doc"]))
        lines.append(
            f"| [{name}]({topic.schema}.avsc) | `{topic.record.__name__}` | {key_fields(topic)} "
            f"| {topic.spread.value} | {topic.keep.value} | {what} |"
        )
    return head + MAP_BEGIN + "\n" + "\n".join(lines) + "\n" + MAP_END + tail


def write(directory: Path | None = None) -> list[str]:
    """Write the files that differ from what the records say; returns their names.

    Raises WrongUse outside a checkout.
    """
    if directory is None:
        require_checkout("schemas render")
        directory = contracts_dir()
    readme = directory / "README.md"
    files = render() | {readme.name: render_map(readme.read_text())}
    changed = [name for name, text in files.items() if _read(directory / name) != text]
    for name in changed:
        (directory / name).write_text(files[name])
    return changed


def key_fields(topic: Topic) -> str:
    """The field or fields a topic's key is made of, found by calling its key function with a probe."""
    asked: list[str] = []

    class Probe:
        def __getattr__(self, name: str) -> str:
            asked.append(name)
            return name

    fixed = topic.key(Probe())
    return " / ".join(asked) if asked else f'"{fixed}"'


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def _first_sentence(doc: str) -> str:
    return doc.partition(". ")[0].rstrip(".") + "."


# ---------------------------------------------------------------- from types to schemas


def _record(record_type: type[Record], seen: set[str], namespace: str | None = None) -> Schema:
    name = record_type.__name__
    seen.add(name)
    names = record_type.__struct_fields__
    if issubclass(record_type, Owned) and names[:2] != ("writer", "seq"):
        raise ContractError(f"{name}: writer and seq must be its first fields")
    schema: Schema = {"type": "record", "name": name}
    if namespace:
        schema["namespace"] = namespace
    schema["doc"] = _doc_of(record_type)
    hints = typing.get_type_hints(record_type, include_extras=True)
    docs = _field_docs(record_type)
    schema["fields"] = [
        _field(f"{name}.{field.name}", field, hints[field.name], docs, seen)
        for field in msgspec.structs.fields(record_type)
    ]
    return schema


def _field(where: str, field: msgspec.structs.FieldInfo, hint: Any, docs: dict[str, str], seen: set[str]) -> Schema:
    if field.name not in docs:
        raise ContractError(f"{where}: has no docstring under it")
    units = set(_units(hint))
    if len(units) > 1:
        raise ContractError(f"{where}: has more than one unit: {sorted(units)}")
    schema: Schema = {"name": field.name, "type": _type(where, hint, seen)}
    if field.default is not msgspec.NODEFAULT:
        schema["default"] = _default(where, field.default)
    elif field.default_factory is not msgspec.NODEFAULT:
        schema["default"] = _default(where, field.default_factory())
    if isinstance(schema["type"], list) and schema.get("default", None) is not None:
        raise ContractError(f"{where}: a nullable field's default is null")
    schema["doc"] = docs[field.name]
    if units:
        schema["unit"] = units.pop()
    if any(isinstance(mark, Informative) for mark in getattr(hint, "__metadata__", ())):
        schema["informative"] = True
    return schema


def _type(where: str, hint: Any, seen: set[str]) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _type(where, args[0], seen)
    if origin in (typing.Union, types.UnionType):
        some = [arg for arg in args if arg is not type(None)]
        if len(some) != 1 or len(args) != 2:
            raise ContractError(f"{where}: the only union is with None")
        return ["null", _type(where, some[0], seen)]
    if origin is tuple:
        if len(args) != 2 or args[1] is not ...:
            raise ContractError(f"{where}: a tuple in a message is tuple[X, ...]")
        return {"type": "array", "items": _type(where, args[0], seen)}
    if isinstance(hint, type):
        if hint in _PRIMITIVES:
            return _PRIMITIVES[hint]
        if issubclass(hint, Kind | Record):
            if hint.__name__ in seen:
                return hint.__name__
            return _enum(hint, seen) if issubclass(hint, Kind) else _record(hint, seen)
    raise ContractError(f"{where}: {hint!r} is not a type for messages")


def _enum(kind: type[Kind], seen: set[str]) -> Schema:
    seen.add(kind.__name__)
    symbols = [member.value for member in kind]
    if symbols[0] != "UNKNOWN":
        raise ContractError(f"{kind.__name__}: its first symbol must be UNKNOWN")
    return {"type": "enum", "name": kind.__name__, "doc": _doc_of(kind), "symbols": symbols, "default": "UNKNOWN"}


def _default(where: str, value: Any) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, StrEnum):
        return value.value
    if value == ():
        return []
    raise ContractError(f"{where}: {value!r} is not a default for messages")


def _units(hint: Any) -> Iterator[str]:
    if typing.get_origin(hint) is typing.Annotated:
        yield from (mark.text for mark in hint.__metadata__ if isinstance(mark, UnitOfMeasure))
    for arg in typing.get_args(hint):
        yield from _units(arg)


class FieldType(typing.NamedTuple):
    """What a field holds: an ``of``; or None too, when ``nullable``; or a tuple of them, when ``array``."""

    of: type
    nullable: bool = False
    array: bool = False


def field_types(record_type: type[Record]) -> dict[str, FieldType]:
    """Every field's type, in the schema's order. Raises ContractError for what is not for messages."""
    hints = typing.get_type_hints(record_type)
    return {name: _field_type(f"{record_type.__name__}.{name}", hints[name]) for name in record_type.__struct_fields__}


def _field_type(where: str, hint: Any) -> FieldType:
    args = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and len(args) == 2 and args[1] is type(None):
        return _field_type(where, args[0])._replace(nullable=True)
    if typing.get_origin(hint) is tuple and len(args) == 2 and args[1] is ...:
        return _field_type(where, args[0])._replace(array=True)
    if isinstance(hint, type) and (hint in _PRIMITIVES or issubclass(hint, Kind | Record)):
        return FieldType(hint)
    raise ContractError(f"{where}: {hint!r} is not a type for messages")


# ---------------------------------------------------------------- docstrings, from the source


def _doc_of(owner: type) -> str:
    doc = owner.__dict__.get("__doc__")
    if not doc:
        raise ContractError(f"{owner.__name__}: has no docstring")
    return " ".join(str(doc).split())


def _field_docs(record_type: type[Record]) -> dict[str, str]:
    """The docstring under each field, inherited fields' too."""
    docs: dict[str, str] = {}
    for base in reversed(record_type.__mro__):
        if issubclass(base, Record) and base is not Record:
            docs |= _module_docs(base.__module__).get(base.__qualname__, {})
    return docs


@functools.cache
def _module_docs(module: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_class_docs(node)) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def _class_docs(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                yield name, " ".join(doc.split())
