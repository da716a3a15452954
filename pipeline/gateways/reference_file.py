"""Reference data from a file: JSON lines, each naming its topic, checked against the contract before anything is sent.

{"topic": "venues", "kind": "SET", "venue": "XNAS", "effective_ns": 0, …}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import orjson

from pipeline.domain.record import Owned
from pipeline.domain.reference import Account, CrossingRule, Instrument, Limit, ReferenceKind, Venue
from pipeline.errors import WrongUse
from pipeline.topics import topic_of

_RECORDS: Final[dict[str, type[Owned]]] = {
    topic_of(record).name: record for record in (Instrument, Account, Venue, Limit, CrossingRule)
}


def load(path: Path) -> list[Owned]:
    """All records of a file, in its order, for the caller to send.

    Raises WrongUse when the file cannot be read, or with the number of the first line that does not fit.
    """
    try:
        with path.open("rb") as handle:
            return list(parse(handle, str(path)))
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from error


def parse(lines: Iterable[bytes | str], name: str = "reference data") -> Iterator[Owned]:
    """The records of ``lines``; empty lines are skipped. Raises WrongUse, with ``name`` and line, where one does not
    fit."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _record(orjson.loads(line))
        except (orjson.JSONDecodeError, msgspec.ValidationError, ValueError) as error:
            raise WrongUse(f"{name}, line {number}: {error}") from error


def line_of(record: Owned) -> str:
    """The JSON line that :func:`parse` reads back as ``record``."""
    fields = msgspec.to_builtins(record)
    for stamped in ("writer", "seq"):
        fields.pop(stamped)
    return orjson.dumps({"topic": topic_of(type(record)).name, **fields}).decode()


def _record(fields: object) -> Owned:
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    topic = fields.pop("topic", None)
    record_type = _RECORDS.get(str(topic))
    if record_type is None:
        raise ValueError(f"topic is {topic!r}: it must be one of {', '.join(_RECORDS)}")
    known = {field.name for field in msgspec.structs.fields(record_type)} - {"writer", "seq"}
    strange = sorted(set(fields) - known)
    if strange:
        raise ValueError(f"{topic} have no field {', '.join(strange)}")
    record = msgspec.convert(fields, record_type, strict=True)
    if record.kind is ReferenceKind.UNKNOWN:  # type: ignore[attr-defined]
        raise ValueError("kind must be SET or REMOVE")
    return record
