"""Reference data from a file: JSON lines, each naming its topic; every bad line is told at once, and none is sent then.

{"topic": "venues", "kind": "SET", "venue": "XNAS", "effective_ns": 0, …}

A line is read strictly (UTF-8; no field twice, missing or unknown; whole numbers), checked by the validator of its
record, which is also the one at the door of the stages, and compared with the other lines: a key may have one version
for each moment, and a limit names an account, source or instrument of the file, where the file brings any. An
instrument that names a calendar is compared with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from pipeline.domain.record import Owned
from pipeline.domain.reference import Account, CrossingRule, Instrument, Limit, LimitScope, ReferenceKind, Venue
from pipeline.domain.validators import reference
from pipeline.domain.validators.faults import Fault
from pipeline.errors import WrongUse
from pipeline.gateways import calendars
from pipeline.topics import topic_of

_RECORDS: Final[dict[str, type[Owned]]] = {
    topic_of(record).name: record for record in (Instrument, Account, Venue, Limit, CrossingRule)
}
_STAMPED: Final = ("writer", "seq")
"""Fields that the writer stamps; no file has them."""


class BadRecord(NamedTuple):
    """Something to be mended in a file: the line, the record as far as it can be named, and what is wrong with it."""

    number: int
    record: str
    text: str

    def __str__(self) -> str:
        return f"line {self.number}{f', {self.record}' if self.record else ''}: {self.text}"


class Examined(NamedTuple):
    """A file's good records, in its order, each with its line; and all that is wrong, by line."""

    records: list[tuple[int, Owned]]
    faults: list[BadRecord]


def load(path: Path) -> list[Owned]:
    """All records of a file, in its order, for the caller to send.

    Raises WrongUse when the file cannot be read, or with everything that is wrong in it.
    """
    examined = check(path)
    if examined.faults:
        raise WrongUse(f"{path}: nothing was sent, {as_text(examined.faults)}")
    return [record for _, record in examined.records]


def check(path: Path) -> Examined:
    """Examine a file whole. Raises WrongUse when it cannot be read."""
    try:
        with path.open("rb") as handle:
            return examine(handle)
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from error


def day_lines(path: Path, trade_date: int, calendar: str | None) -> list[str]:
    """The file's instruments as they are on ``trade_date`` (yyyymmdd), a JSON line each, ready to be loaded.

    ``calendar``: for instruments that name none. What is wrong in a line's session or dates does not matter: these are
    replaced. Raises WrongUse for anything else that is wrong, and on a day without a session.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from error
    found: list[str] = []
    wrong: list[BadRecord] = []
    for number, line in enumerate(lines, start=1):
        text = _text(line, first=number == 1)
        if isinstance(text, BadRecord) or not text.strip():
            wrong += [BadRecord(number, "", text.text)] if isinstance(text, BadRecord) else []
            continue
        record, faults = _read(text)
        if record is None:
            wrong += [BadRecord(number, what, each) for what, each in faults]
        elif isinstance(record, Instrument) and record.kind is ReferenceKind.SET:
            name = record.calendar or calendar
            if not name:
                raise WrongUse(f"{path}, line {number}: {record.instrument} names no calendar; say --calendar MIC")
            session = calendars.day_of(name, trade_date)
            if session is None:
                raise WrongUse(f"{trade_date} is no trading day of {name}: {record.instrument} has no session on it")
            made = calendars.applied(record, session)
            wrong += [BadRecord(number, name_of(made), fault.text) for fault in _faults(made)]
            found.append(line_of(made))
    if wrong:
        raise WrongUse(f"{path}: {as_text(wrong)}")
    return found


def as_text(faults: list[BadRecord]) -> str:
    """What is wrong, for a person: how much, then line by line."""
    lines = len({fault.number for fault in faults})
    count = "1 line is" if lines == 1 else f"{lines} lines are"
    return f"{count} not as they must be:\n" + "\n".join(f"  {fault}" for fault in faults)


def examine(lines: Iterable[bytes | str]) -> Examined:
    """The good records of ``lines`` and every fault. Empty lines are skipped; a byte order mark before the first is
    allowed."""
    records: list[tuple[int, Owned]] = []
    faults: list[BadRecord] = []
    for number, line in enumerate(lines, start=1):
        text = _text(line, first=number == 1)
        if isinstance(text, BadRecord):
            faults.append(BadRecord(number, "", text.text))
        elif text.strip():
            record, wrong = _read(text)
            named = "" if record is None else name_of(record)
            faults.extend(BadRecord(number, named or what, each) for what, each in wrong)
            if record is not None and not wrong:
                records.append((number, record))
    faults.extend(_across(records))
    return Examined(records, sorted(faults, key=lambda fault: fault.number))


def line_of(record: Owned) -> str:
    """The JSON line that :func:`examine` reads back as ``record``."""
    fields = msgspec.to_builtins(record)
    for stamped in _STAMPED:
        fields.pop(stamped)
    return orjson.dumps({"topic": topic_of(type(record)).name, **fields}).decode()


def name_of(record: Owned) -> str:
    """How a person finds a record: its topic and key."""
    topic = topic_of(type(record))
    return f"{topic.name} {topic.key(record)}"


# ---------------------------------------------------------------------- one line


def _text(line: bytes | str, first: bool) -> str | BadRecord:
    try:
        text = line.decode("utf-8") if isinstance(line, bytes) else line
    except UnicodeDecodeError as error:
        return BadRecord(0, "", f"not UTF-8: {error.reason} at byte {error.start + 1}. Save the file as UTF-8")
    return text.removeprefix("\ufeff") if first else text


def _read(text: str) -> tuple[Owned | None, list[tuple[str, str]]]:
    """The record of a line, None where it has none; what is wrong, each with the line's topic as far as it is known."""
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return dict(pairs)

    try:
        fields = json.loads(text, object_pairs_hook=once, parse_constant=_no_number)
    except ValueError as error:
        return None, [("", f"no JSON: {error}")]
    if not isinstance(fields, dict):
        return None, [("", 'not an object: one line is {"topic": …, …}')]
    topic = fields.pop("topic", None)
    record_type = _RECORDS.get(topic) if isinstance(topic, str) else None
    if record_type is None:
        return None, [("", f"topic is {topic!r}: it must be one of {', '.join(_RECORDS)}")]
    wrong = [(str(topic), f"{name} is there twice") for name in twice]
    known = {field.name: field for field in msgspec.structs.fields(record_type) if field.name not in _STAMPED}
    wrong += [(str(topic), f"there is no field {name}") for name in sorted(fields.keys() - known.keys())]
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name not in fields:
            if field.required:
                wrong.append((str(topic), f"{name} is missing"))
            continue
        try:
            values[name] = msgspec.convert(fields[name], field.type, strict=True)
        except msgspec.ValidationError as error:
            wrong.append((str(topic), f"{name} is {json.dumps(fields[name])}: {error}"))
    if any(name not in values for name, field in known.items() if field.required):
        return None, wrong
    record = record_type(**values)
    # A field that could not be read has its default now, of which nothing need be said.
    unread = {name for name in fields.keys() & known.keys() if name not in values}
    told = [fault.text for fault in _faults(record) if fault.text.partition(" ")[0] not in unread]
    return record, wrong + [("", text) for text in told]


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _faults(record: Owned) -> Iterator[Fault]:
    match record:
        case Instrument():
            yield from reference.check_instrument(record).faults
        case Account():
            yield from reference.check_account(record).faults
        case Venue():
            yield from reference.check_venue(record).faults
        case Limit():
            yield from reference.check_limit(record).faults
        case CrossingRule():
            yield from reference.check_crossing_rule(record).faults
        case _:
            raise TypeError(f"{type(record).__name__} is no reference data")


# ---------------------------------------------------------------------- the lines together


def _across(records: list[tuple[int, Owned]]) -> Iterator[BadRecord]:
    first: dict[tuple[str, int], int] = {}
    for number, record in records:
        key = name_of(record), int(getattr(record, "effective_ns", 0))
        if key in first:
            yield BadRecord(
                number, key[0], f"a second version for effective_ns {key[1]}: the first is on line {first[key]}"
            )
        else:
            first[key] = number
    known = _named(records)
    for number, record in records:
        match record:
            case Limit(kind=ReferenceKind.SET, scope_id=name) if name:
                there = known[record.scope] if record.scope in known else set[str]()
                if there and name not in there:
                    what = "INSTRUMENT" if record.scope is LimitScope.GATE else record.scope.value
                    yield BadRecord(
                        number,
                        name_of(record),
                        f"scope_id is {name}, and no line of this file sets that {what.lower()}",
                    )
            case Instrument(kind=ReferenceKind.SET) if record.calendar:
                try:
                    found = calendars.differences(record)
                except WrongUse as error:
                    found = [str(error)]
                yield from (BadRecord(number, name_of(record), text) for text in found)
            case _:
                pass


def _named(records: list[tuple[int, Owned]]) -> dict[LimitScope, set[str]]:
    """The names that the file itself sets, by the scope that limits name them in; empty where it sets none."""
    accounts = [each for _, each in records if isinstance(each, Account) and each.kind is ReferenceKind.SET]
    instruments = [each for _, each in records if isinstance(each, Instrument) and each.kind is ReferenceKind.SET]
    symbols = {each.instrument for each in instruments}
    return {
        LimitScope.ACCOUNT: {each.account for each in accounts},
        LimitScope.SOURCE: {each.source for each in accounts},
        LimitScope.INSTRUMENT: symbols,
        LimitScope.GATE: symbols,
    }
