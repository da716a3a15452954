"""Parameters: the numbers and names that shape decisions. One kind of class, one file, one line each in the journal.

A stage's parameters are a :class:`Parameters`, each field with its meaning, unit and range beside it::

    class NettingParameters(Parameters, frozen=True, kw_only=True):
        window_ns: Annotated[int, nanos("How long a window stays open after its first order.", 1)] = 15 * NS_PER_S

From that alone follow: what may stand in a TOML file (:func:`read`), what ``pipeline parameters show`` prints
(:func:`as_toml`), the reference page (:func:`as_markdown`), and what the journal's epoch records say of a task
(:func:`config_of`), which an audit compares. A field is a whole number, a text, a secret, a group (a class like the
one it is in), or groups by a name of the deployment's own. Defaults are what the code was written for.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from pipeline.domain.units import NS_PER_S, PPM_ONE
from pipeline.errors import WrongUse

DAY_NS: Final = 86_400 * NS_PER_S
_MOST: Final = 2**62
"""Nothing larger fits the messages that numbers end up in."""

Value = int | str | bool
"""What a parameter is in the journal."""


class Allowed(NamedTuple):
    """What a parameter means, and what it may be."""

    text: str
    unit: str = ""
    least: int = 0
    most: int = _MOST
    choices: tuple[str, ...] = ()
    """Of a text: what it may be; empty: anything but nothing."""


class Secret(NamedTuple):
    """A parameter that no file holds: it comes from an environment variable, and is shown as its SHA-256 only."""

    text: str
    variable: str
    least_bytes: int
    most_bytes: int


def nanos(text: str, least: int = 0, most: int = DAY_NS) -> Allowed:
    """A span of session time in nanoseconds, at most a day where nothing else is said."""
    return Allowed(text, "ns", least, most)


def count(text: str, least: int = 1, most: int = 1_000_000) -> Allowed:
    """How many of something."""
    return Allowed(text, "count", least, most)


def ppm(text: str, least: int = 0, most: int = PPM_ONE) -> Allowed:
    """A share in parts per million."""
    return Allowed(text, "ppm", least, most)


class Conflict(NamedTuple):
    """Values that are each allowed and make no sense together."""

    fields: tuple[str, ...]
    """Names in the class that says so, a group's field as ``gate.collar``."""
    text: str


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all parameters. Values are checked where a file is read, not here: a test may go beyond them."""

    def conflicts(self) -> Iterable[Conflict]:
        """Where one value makes another meaningless."""
        return ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in config_of(self).items())})"


P = TypeVar("P", bound=Parameters)


class FieldKind(Enum):
    """What a field holds."""

    NUMBER = auto()
    TEXT = auto()
    SECRET = auto()
    GROUP = auto()
    GROUPS = auto()
    """Groups by name."""


class Field(NamedTuple):
    """A field of a class of parameters."""

    name: str
    kind: FieldKind
    allowed: Allowed | Secret | None
    """None for groups."""
    default: Any
    optional: bool = False
    """It may be left unset, and is by default."""
    group: type[Parameters] = Parameters

    @property
    def range_text(self) -> str:
        """What is allowed, in words."""
        match self.allowed:
            case Allowed(least=least, most=most) if self.kind is FieldKind.NUMBER:
                return f"{least:_} to {most:_}" if most < _MOST else f"{least:_} or more"
            case Secret(_, variable, least, most):
                return f"{least} to {most} bytes, in {variable}"
            case Allowed(choices=choices) if choices:
                return "one of " + ", ".join(map(shown, choices))
            case _:
                return "a text, not empty"

    @property
    def unit(self) -> str:
        """Its unit, as documents show it; empty for a secret or a group."""
        return self.allowed.unit if isinstance(self.allowed, Allowed) else ""

    @property
    def text(self) -> str:
        """What it means; of a group the first line of its class."""
        return self.allowed.text if self.allowed is not None else title_of(self.group)


@cache
def fields_of(parameters: type[Parameters]) -> tuple[Field, ...]:
    """The fields of a class, in its order. Raises TypeError for one that is no parameter."""
    hints = get_type_hints(parameters, include_extras=True)
    return tuple(_field(parameters, each, hints[each.name]) for each in msgspec.structs.fields(parameters))


def _field(owner: type[Parameters], info: msgspec.structs.FieldInfo, hint: Any) -> Field:
    default = info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
    if isinstance(hint, type) and issubclass(hint, Parameters):
        return Field(info.name, FieldKind.GROUP, None, default, group=hint)
    if get_origin(hint) is dict:
        return Field(info.name, FieldKind.GROUPS, None, default, group=get_args(hint)[1])
    value, *said = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    allowed = next((each for each in said if isinstance(each, Allowed | Secret)), None)
    optional = isinstance(value, UnionType)
    kinds = {int: FieldKind.NUMBER, str: FieldKind.TEXT, bytes: FieldKind.SECRET}
    kind = kinds.get(get_args(value)[0] if optional else value)
    if kind is None or allowed is None or default is msgspec.NODEFAULT or (optional and default is not None):
        raise TypeError(f"{owner.__name__}.{info.name} is no parameter: it needs a type, Allowed, and a default")
    return Field(info.name, kind, allowed, default, optional)


def title_of(parameters: type[Parameters]) -> str:
    """The first paragraph of a class's docstring, as one line."""
    return " ".join((parameters.__doc__ or "").split("\n\n")[0].split())


# ---------------------------------------------------------------------- for the journal


def config_of(parameters: Parameters) -> dict[str, Value]:
    """Every value by dotted name, as the journal's epoch records hold it: ``none`` for unset, a secret's SHA-256."""
    return dict(_flat(parameters, ""))


def _flat(parameters: Parameters, prefix: str) -> Iterator[tuple[str, Value]]:
    for field in fields_of(type(parameters)):
        value, name = getattr(parameters, field.name), prefix + field.name
        match field.kind:
            case FieldKind.GROUP:
                yield from _flat(value, f"{name}.")
            case FieldKind.GROUPS:
                for each in sorted(value):
                    yield from _flat(value[each], f"{name}.{quoted(each)}.")
            case FieldKind.SECRET:
                yield f"{name}_sha256", hashlib.sha256(value).hexdigest()
            case _:
                yield name, "none" if value is None else value


class Difference(NamedTuple):
    """A parameter that two deployments have otherwise; ``absent`` where one does not have it."""

    name: str
    here: Value
    there: Value


def differences(here: Parameters, there: Parameters) -> list[Difference]:
    """What differs, in the order of the classes."""
    left, right = config_of(here), config_of(there)
    names = [*left, *(name for name in right if name not in left)]
    both = (Difference(name, left.get(name, "absent"), right.get(name, "absent")) for name in names)
    return [each for each in both if each.here != each.there]


# ---------------------------------------------------------------------- reading a file


def read(text: str, root: type[P], name: str) -> P:
    """The parameters of a TOML file's text; ``name`` is the file's, for messages. What is not there has its default.

    Raises WrongUse that lists everything wrong: file, line, field, value, what is allowed.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongUse(f"{name} is not TOML: {error}. Text stands in quotes, numbers without.") from error
    reading = _Reading(name, root, lines_of(text))
    found: P = reading.group(root(), document, ())
    if reading.wrong:
        lines = "\n".join(f"  {name}:{line}: {what}" for line, what in sorted(reading.wrong, key=lambda each: each[0]))
        count_text = "1 error" if len(reading.wrong) == 1 else f"{len(reading.wrong)} errors"
        raise WrongUse(
            f"{name}: {count_text}, nothing of it is used. All that is allowed: pipeline parameters show\n{lines}"
        )
    return found


_Path = tuple[str, ...]


class _Reading:
    """One file under way: values are taken, and what is wrong is noted with its line."""

    def __init__(self, name: str, root: type[Parameters], lines: Mapping[_Path, int]) -> None:
        self.wrong: list[tuple[int, str]] = []
        self._name = name
        self._root = root
        self._lines = lines

    def group(self, default: P, table: Mapping[str, Any], path: _Path) -> P:
        """``default`` with what the table sets."""
        fields = {field.name: field for field in fields_of(type(default))}
        before = len(self.wrong)
        values = {}
        for key, value in table.items():
            field = fields.get(key)
            if field is None:
                self._unknown(fields, key, value, path)
            else:
                values[key] = self._value(field, value, (*path, key), getattr(default, key))
        found = msgspec.structs.replace(default, **values)
        if len(self.wrong) == before:
            for conflict in found.conflicts():
                self._conflict(found, conflict, path)
        return found

    def _value(self, field: Field, value: Any, path: _Path, default: Any) -> Any:
        match field.kind:
            case FieldKind.GROUP | FieldKind.GROUPS if not isinstance(value, dict):
                self._note(path, value, f"it is a section of its own: write [{dotted(path)}] and its fields under it")
            case FieldKind.GROUP:
                return self.group(default, value, path)
            case FieldKind.GROUPS:
                return {each: self._named(field, value[each], (*path, each)) for each in value}
            case FieldKind.SECRET:
                assert isinstance(field.allowed, Secret)
                # The value is not repeated: it may be the real one, and errors end up in logs.
                line = f"{dotted(path)}: a secret belongs into the environment, not into a file"
                self.wrong.append((self._line(path), f"{line}: set {field.allowed.variable}"))
            case _ if not _fits(field, value):
                self._note(path, value, must_be(field, default))
            case _:
                return value
        return default

    def _named(self, field: Field, value: Any, path: _Path) -> Parameters:
        if isinstance(value, dict):
            return self.group(field.group(), value, path)
        self._note(path, value, f"it is a section of its own: write [{dotted(path)}] and its fields under it")
        return field.group()

    def _unknown(self, fields: Mapping[str, Field], key: str, value: Any, path: _Path) -> None:
        what = "section" if not path else "parameter"
        near = difflib.get_close_matches(key, fields, 1)
        elsewhere = [each for each in _paths(self._root) if each[-1] == key]
        hint = ""
        if near:
            hint = f" Did you mean {near[0]}?"
        elif elsewhere:
            hint = f" There is one in [{dotted(elsewhere[0][:-1])}]."
        where = f"in [{dotted(path)}]" if path else "in the file"
        self._note((*path, key), value, f"there is no such {what}.{hint} Allowed {where}: {', '.join(fields)}")

    def _conflict(self, found: Parameters, conflict: Conflict, path: _Path) -> None:
        flat = config_of(found)
        said = ", ".join(f"{dotted(path)}.{name} = {shown(flat[name])}" for name in conflict.fields)
        lines = [self._lines.get((*path, *name.split(".")), 0) for name in conflict.fields]
        self.wrong.append((max(lines), f"{said}: {conflict.text}"))

    def _note(self, path: _Path, value: Any, text: str) -> None:
        said = f"[{dotted(path)}]" if isinstance(value, dict) else f"{dotted(path)} = {shown(value)}"
        self.wrong.append((self._line(path), f"{said}: {text}"))

    def _line(self, path: _Path) -> int:
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def must_be(field: Field, default: Any) -> str:
    """What a value of this field has to be, in words."""
    unit = f" {field.unit}" if field.unit else ""
    kind = f"a whole number, {field.range_text}{unit}" if field.kind is FieldKind.NUMBER else field.range_text
    return f"it must be {kind} (default {_default(default)})"


def _fits(field: Field, value: Any) -> bool:
    allowed = field.allowed
    assert isinstance(allowed, Allowed)
    if field.kind is FieldKind.TEXT:
        return isinstance(value, str) and (value in allowed.choices if allowed.choices else value != "")
    return isinstance(value, int) and not isinstance(value, bool) and allowed.least <= value <= allowed.most


def _paths(root: type[Parameters], path: _Path = ()) -> Iterator[_Path]:
    for field in fields_of(root):
        if field.kind is FieldKind.GROUP:
            yield from _paths(field.group, (*path, field.name))
        elif field.kind is not FieldKind.GROUPS:
            yield (*path, field.name)


def lines_of(text: str) -> dict[_Path, int]:
    """Where in a TOML text each key and section stands: path to line, from 1. ``tomllib`` does not tell."""
    lines: dict[_Path, int] = {}
    section: _Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("["):
            section = _first_path(stripped) or section
            lines.setdefault(section, number)
            continue
        # A value over several lines does not stand alone: its key does.
        key, equals, _ = stripped.partition("=")
        for path in _all_paths(stripped) or (_all_paths(f"{key} = 0") if equals else []):
            lines.setdefault(section + path, number)
    return lines


def _all_paths(text: str) -> list[_Path]:
    try:
        return list(_walk(tomllib.loads(text), ()))
    except tomllib.TOMLDecodeError:
        return []


def _first_path(text: str) -> _Path:
    paths = _all_paths(text)
    return paths[-1] if paths else ()


def _walk(table: Mapping[str, Any], path: _Path) -> Iterator[_Path]:
    for key, value in table.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from _walk(value, (*path, key))


# ---------------------------------------------------------------------- showing


def shown(value: object) -> str:
    """A value as TOML has it: numbers with underscores, texts in quotes."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return f"{value:_}"
        case str():
            # JSON's escapes are TOML's, too.
            return msgspec.json.encode(value).decode()
        case _:
            return str(value)


_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def _default(value: object) -> str:
    return "unset" if value is None else shown(value)


def quoted(key: str) -> str:
    """A key as it stands in a dotted name."""
    return key if _BARE.fullmatch(key) else msgspec.json.encode(key).decode()


def dotted(path: Iterable[str]) -> str:
    """A path as TOML writes it."""
    return ".".join(map(quoted, path))


def as_toml(parameters: Parameters) -> str:
    """A complete file of these parameters: every field with its meaning, unit, range and default as comments.

    ``read(as_toml(x), type(x), "")`` gives x, secrets apart.
    """
    return "\n".join(_section(parameters, type(parameters)(), ())).strip() + "\n"


_WIDTH: Final = 110


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def _section(parameters: Parameters, defaults: Parameters, path: _Path) -> Iterator[str]:
    groups: list[Field] = []
    if path:
        yield from ("", *_comment(title_of(type(parameters))), f"[{dotted(path)}]")
    for field in fields_of(type(parameters)):
        if field.kind in (FieldKind.GROUP, FieldKind.GROUPS):
            groups.append(field)  # TOML: a section's own fields come before the sections inside it
            continue
        yield from ("", *_comment(field.text))
        value = getattr(parameters, field.name)
        if isinstance(field.allowed, Secret):
            yield from _comment(f"{field.name} is not in any file: {field.range_text}")
            continue
        unit = f"{field.unit}, " if field.unit else ""
        yield f"# {unit}{field.range_text}; default {_default(getattr(defaults, field.name))}"
        yield f"# {field.name} is unset" if value is None else f"{field.name} = {shown(value)}"
    for field in groups:
        value = getattr(parameters, field.name)
        if field.kind is FieldKind.GROUP:
            yield from _section(value, getattr(defaults, field.name), (*path, field.name))
        elif value:
            for each in sorted(value):
                yield from _section(value[each], field.group(), (*path, field.name, each))
        else:
            example = dotted((*path, field.name, "NAME"))
            yield from ("", *_comment(f"{field.text} Write [{example}], with any of these fields; none is there now:"))
            yield from _comment(", ".join(each.name for each in fields_of(field.group)))


def as_markdown(root: type[Parameters]) -> str:
    """The reference: a heading and a table for each section, and for each group inside it."""
    return "\n".join(_tables(root(), ())).strip() + "\n"


def _tables(defaults: Parameters, path: _Path) -> Iterator[str]:
    fields = fields_of(type(defaults))
    single = [field for field in fields if field.kind not in (FieldKind.GROUP, FieldKind.GROUPS)]
    if path:
        yield from (
            "",
            f"{'#' * (len(path) + 1)} `[{'.'.join(path)}]`",
            "",
            *textwrap.wrap(title_of(type(defaults)), 120),
        )
    if single:
        yield from ("", "| parameter | meaning | unit | allowed | default |", "|---|---|---|---|---|")
    for field in single:
        value = _default(getattr(defaults, field.name))
        default = "the demo's public one" if field.kind is FieldKind.SECRET else f"`{value}`"
        yield f"| `{field.name}` | {field.text} | {field.unit} | {field.range_text} | {default} |"
    for field in fields:
        if field.kind is FieldKind.GROUP:
            yield from _tables(getattr(defaults, field.name), (*path, field.name))
        elif field.kind is FieldKind.GROUPS:
            yield from _tables(field.group(), (*path, field.name, '"NAME"'))
