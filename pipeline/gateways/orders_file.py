"""Orders from a file: JSON lines or CSV, each line checked against the contract of `orders-in` before anything is sent.

A line that does not fit is reported with its number and what is wrong; then nothing at all is sent, unless the user
asks to send the rest. Field names are those of the schema. In CSV, lists are separated by `|`, an empty cell is null
(or the field's default), booleans are true or false.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from pipeline.domain.orders import OrderRequest, RequestKind

_LISTS: Final = frozenset({"allowed_venues"})
_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(OrderRequest)}


class BadLine(NamedTuple):
    """A line that is no order: its number, from 1, and what is wrong with it."""

    number: int
    why: str


def read_orders(path: Path) -> Iterator[OrderRequest | BadLine]:
    """The orders of a file, line by line: `.csv` is CSV, any other name JSON lines. `-` (stdin) is for the caller to
    open."""
    with path.open(encoding="utf-8", newline="") as handle:
        yield from parse_csv(handle) if path.suffix.lower() == ".csv" else parse_json_lines(handle)


def parse_json_lines(lines: io.TextIOBase | Any) -> Iterator[OrderRequest | BadLine]:
    """Orders from one JSON object a line; empty lines are skipped."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield BadLine(number, f"not JSON: {error}")
            continue
        yield _order(number, value)


def parse_csv(lines: io.TextIOBase | Any) -> Iterator[OrderRequest | BadLine]:
    """Orders from a header of field names, then an order a line."""
    reader = csv.DictReader(lines)
    for row in reader:
        number = reader.line_num
        if None in row:
            yield BadLine(number, "more cells than the header has names")
            continue
        try:
            value = {name: _cell(name, text) for name, text in row.items() if text not in (None, "")}
        except ValueError as error:
            yield BadLine(number, str(error))
            continue
        yield _order(number, value)


def _cell(name: str, text: str) -> Any:
    if name in _LISTS:
        return text.split("|")
    if name not in _FIELDS:
        return text
    hint = str(_FIELDS[name].type)
    if "bool" in hint:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name}: {text!r} is neither true nor false")
        return text.lower() == "true"
    if "int" in hint:
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{name}: {text!r} is not a whole number (prices are in 1e-9 currency units)") from None
    return text


def _order(number: int, value: Any) -> OrderRequest | BadLine:
    if isinstance(value, dict):
        unknown = sorted(set(value) - set(_FIELDS))
        if unknown:
            return BadLine(number, f"no such field: {', '.join(unknown)}; the fields are in schemas/orders-in.avsc")
    try:
        order = msgspec.convert(value, OrderRequest, strict=True)
    except msgspec.ValidationError as error:
        return BadLine(number, str(error))
    if order.kind is RequestKind.UNKNOWN:
        return BadLine(number, "kind is missing: NEW, CANCEL or REPLACE")
    return order


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
