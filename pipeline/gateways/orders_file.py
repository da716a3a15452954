"""Orders from a file: JSON lines or CSV, each line checked against the contract of `orders-in` before anything is sent.

Nothing is guessed and nothing repaired: a line that is not exactly an order is reported with its number and all that is
wrong with it, every such line of the file at once. Then nothing at all is sent, unless the user asks to send the rest.

Field names are those of the schema. The text is UTF-8, a byte order mark at its beginning is left out. In CSV the first
line is the header and each line has as many cells; lists are separated by `|`; an empty cell is null (or the field's
default); booleans are true or false; a cell holds no line break. Numbers are plain digits. Texts have no blanks around
them and nothing in them that cannot be seen. A source and cl_ord_id stand in one line only.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from pipeline.domain.int64 import fits
from pipeline.domain.orders import OrderRequest
from pipeline.domain.record import Kind
from pipeline.errors import WrongUse
from pipeline.runtime.contracts.avro_code import compiled
from pipeline.runtime.contracts.codec import HEADER_BYTES, REQUEST_MAX_BYTES
from pipeline.runtime.contracts.schemas import FieldType, field_types

_FIELDS: Final = field_types(OrderRequest)
_NEEDED: Final = ("kind", "source", "cl_ord_id")
_WHOLE_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_QUOTED_RIGHT: Final = re.compile(r"""(?:"(?:[^"]|"")*"|[^",]*)(?:,(?:"(?:[^"]|"")*"|[^",]*))*""")


class BadLine(NamedTuple):
    """A line that is no order: its number, from 1, and what is wrong with it."""

    number: int
    why: str


def read_orders(path: Path) -> list[OrderRequest | BadLine]:
    """The orders of a file, line by line: `.csv` is CSV, any other name JSON lines. Raises WrongUse when it cannot be
    read."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise WrongUse(f"{path}: there is no such file") from error
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror or error}") from error
    return list(parse_csv(lines) if path.suffix.lower() == ".csv" else parse_json_lines(lines))


def parse_json_lines(lines: Iterable[str | bytes]) -> Iterator[OrderRequest | BadLine]:
    """Orders from one JSON object a line; empty lines are skipped."""
    seen: dict[tuple[str, str], int] = {}
    count = 0
    for number, line in _texts(lines):
        if not isinstance(line, BadLine) and not line.strip():
            continue
        count += 1
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            values = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            yield BadLine(number, f"not JSON: {error}")
            continue
        order = _order(number, values, seen) if isinstance(values, dict) else None
        if order is not None:
            yield order
        else:
            yield BadLine(number, "not a JSON object: an order a line is due, as {…}")
    if not count:
        yield BadLine(1, "there is no order in it")


def parse_csv(lines: Iterable[str | bytes]) -> Iterator[OrderRequest | BadLine]:
    """Orders from a header of field names, then an order a line; empty lines are skipped.

    Under a header that is not right no line is an order, since nobody knows what its cells are; what is wrong with the
    lines themselves is reported all the same.
    """
    seen: dict[tuple[str, str], int] = {}
    header: list[str] | None = None
    is_right = True
    count = 0
    for number, line in _texts(lines):
        cells = line if isinstance(line, BadLine) else _cells(number, line)
        if cells == []:
            continue
        if header is None:
            if isinstance(cells, BadLine):
                yield cells
                header, is_right = [], False
                continue
            header = cells
            wrong = list(_wrong_columns(header))
            if wrong:
                is_right = False
                yield BadLine(number, "; ".join(wrong))
            continue
        count += 1
        row = cells if isinstance(cells, BadLine) else _row(number, header, cells, seen, is_right=is_right)
        if row is not None:
            yield row
    if header is None:
        yield BadLine(1, "the file is empty: a header of field names is due, then an order a line")
    elif not count:
        yield BadLine(1, "there is no order under the header")


# ---------------------------------------------------------------------- lines


def _texts(lines: Iterable[str | bytes]) -> Iterator[tuple[int, str | BadLine]]:
    """The lines as text, with their numbers, without line ends and byte order mark."""
    for number, line in enumerate(lines, start=1):
        if isinstance(line, bytes):
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                bad = f"byte {error.start + 1} of the line, 0x{line[error.start]:02x}, is not UTF-8: save it as UTF-8"
                yield number, BadLine(number, bad)
                continue
        else:
            text = line
        text = text.removesuffix("\n").removesuffix("\r")
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def _cells(number: int, line: str) -> list[str] | BadLine:
    """The cells of a line; none of an empty one."""
    unseen = _unseen(line)
    if unseen:
        return BadLine(number, unseen)
    if '"' in line and not _QUOTED_RIGHT.fullmatch(line):
        return BadLine(number, "a quote that is not right: a cell with quotes is quoted whole, each within it twice")
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        return BadLine(number, f"not CSV: {error}")


def _wrong_columns(header: list[str]) -> Iterator[str]:
    unknown = [name for name in header if name not in _FIELDS]
    if unknown:
        yield f"no such field: {', '.join(map(repr, unknown))}; the fields are in schemas/orders-in.avsc"
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        yield f"a column twice: {', '.join(map(repr, twice))}"
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        yield f"no column {', '.join(missing)}"


def _row(
    number: int, header: list[str], cells: list[str], seen: dict[tuple[str, str], int], *, is_right: bool
) -> OrderRequest | BadLine | None:
    """None for a line that is right as far as one can know under a header that is not."""
    if not header:
        return None
    if len(cells) != len(header):
        return BadLine(number, f"{len(cells)} cells, and {len(header)} names in the header")
    values: dict[str, Any] = {}
    wrong = []
    for name, text in zip(header, cells, strict=True):
        if text == "" or name not in _FIELDS:
            continue
        try:
            values[name] = _value(name, _FIELDS[name], text)
        except ValueError as error:
            wrong.append(str(error))
    order = _order(number, values, seen, wrong, needed=[name for name in _NEEDED if name in header])
    return None if isinstance(order, OrderRequest) and not is_right else order


def _value(name: str, field: FieldType, text: str) -> Any:
    """A cell as JSON would have it. Raises ValueError for what is no such value."""
    if field.array:
        return text.split("|")
    if field.of is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name}: {text!r} is neither true nor false")
        return text.lower() == "true"
    if field.of is int:
        if not _WHOLE_NUMBER.fullmatch(text):
            raise ValueError(
                f"{name}: {text!r} is not a whole number in plain digits (prices are in 1e-9 currency units)"
            )
        return int(text)
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"a field twice: {', '.join(sorted({name for name in names if names.count(name) > 1}))}")
    return values


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


# ---------------------------------------------------------------------- orders


def _order(
    number: int,
    values: dict[str, Any],
    seen: dict[tuple[str, str], int],
    wrong: Iterable[str] = (),
    needed: Iterable[str] = _NEEDED,
) -> OrderRequest | BadLine | None:
    """The order of a line, or all that is wrong with it. ``seen``: the lines of sources and ids so far."""
    found = [*wrong, *_problems(values, needed)]
    source, cl_ord_id = values.get("source"), values.get("cl_ord_id")
    if isinstance(source, str) and isinstance(cl_ord_id, str):
        first = seen.setdefault((source, cl_ord_id), number)
        if first != number:
            found.append(f"cl_ord_id {cl_ord_id!r} of {source} stands in line {first} already")
    if found:
        return BadLine(number, "; ".join(found))
    if not all(name in values for name in _NEEDED):
        return None  # the header has no such column, which was said
    order = msgspec.convert(values, OrderRequest, strict=True)
    size = HEADER_BYTES + len(compiled(OrderRequest).encode(order))
    return order if size <= REQUEST_MAX_BYTES else BadLine(number, f"{size} bytes, {REQUEST_MAX_BYTES} are the most")


def _problems(values: dict[str, Any], needed: Iterable[str]) -> Iterator[str]:
    unknown = sorted(name for name in values if name not in _FIELDS)
    if unknown:
        yield f"no such field: {', '.join(map(repr, unknown))}; the fields are in schemas/orders-in.avsc"
    for name in needed:
        if not values.get(name):
            yield f"{name} is missing{': NEW, CANCEL or REPLACE' if name == 'kind' else ''}"
    for name, value in values.items():
        field = _FIELDS.get(name)
        if field is None or (value is None and (field.nullable or name in _NEEDED)):
            continue
        why = _unlike(field, value)
        if why:
            yield f"{name}: {why}"


def _unlike(field: FieldType, value: Any) -> str:
    """Why a value is none of a field's; empty when it is one."""
    if field.array:
        if type(value) is not list:
            return f"a list is due, not {value!r}"
        if len({*map(str, value)}) < len(value):
            return "an item twice"
        return next((why for item in value if (why := _unlike(FieldType(field.of), item) or _empty(item))), "")
    if issubclass(field.of, Kind):
        known = [member.value for member in field.of if member.value != "UNKNOWN"]
        return "" if value in known else f"{value!r} is none of {', '.join(known)}"
    if field.of is bool:
        return "" if type(value) is bool else f"{value!r} is neither true nor false"
    if field.of is int:
        if type(value) is not int:
            return f"{value!r} is not a whole number (prices are in 1e-9 currency units)"
        return "" if fits(value) else f"{value} does not fit 64 bits"
    if type(value) is not str:
        return f"a text is due, not {value!r}"
    return _unseen(value) or ("" if value == value.strip() else f"{value!r} has blanks around it")


def _empty(item: str) -> str:
    return "" if item else "an item is empty"


def _unseen(text: str) -> str:
    """What of a text cannot be seen or written; empty when all can."""
    if text.isprintable():
        return ""
    at, character = next((at, each) for at, each in enumerate(text, start=1) if not each.isprintable())
    return f"character {at} cannot be printed: U+{ord(character):04X}"


def send(
    orders: list[OrderRequest],
    publish: Callable[[OrderRequest], None],
    progress: Callable[[int, int], None],
) -> None:
    """Publish the orders in their sequence; ``progress`` is called with done and total every hundred, and at the
    end."""
    for number, order in enumerate(orders, start=1):
        publish(order)
        if number % 100 == 0 or number == len(orders):
            progress(number, len(orders))
