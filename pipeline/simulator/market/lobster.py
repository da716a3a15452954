"""Parses lines of LOBSTER files into typed rows, exactly. `gateways/lobster_files.py` opens the files.

Format: the files' own ReadMe (LOBSTER, 2013). Message: seconds after midnight in New York, type, order id, size, price
× 10⁴, direction of the *resting* order. Book: ask price, ask size, bid price, bid size, level by level; row *i* is the
book after message *i*. Times were floats once, so their decimals are noise beyond 1e-9: they are read as decimals and
rounded to nanoseconds.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from enum import IntEnum
from typing import Final, NamedTuple

from pipeline.domain.orders import Side
from pipeline.domain.units import NS_PER_S

PX_PER_UNIT: Final = 100_000
"""LOBSTER prices are in 1e-4 currency units, ours in 1e-9."""
_EMPTY_LEVEL: Final = 9_999_999_999
_MESSAGE_COLUMNS: Final = 6
_TIME: Final = re.compile(r"(\d{1,5})(?:\.(\d+))?\Z")
_NAME: Final = re.compile(
    r"(?P<symbol>[A-Za-z.]+)_(?P<day>\d{4}-\d\d-\d\d)_\d+_\d+_(?P<what>message|orderbook)_(?P<levels>\d+)\.csv\Z"
)
_FIRST_YEAR: Final = 2007
_EPOCH: Final = date(1970, 1, 1)


class TapeError(ValueError):
    """A line or a file name that does not follow the format."""


class TapeType(IntEnum):
    """The second column of a message."""

    ADD = 1
    REDUCE = 2
    DELETE = 3
    EXECUTE = 4
    EXECUTE_HIDDEN = 5
    CROSS = 6
    HALT = 7


class TapeMessage(NamedTuple):
    """A row of a message file."""

    time_ns: int
    """Nanoseconds after midnight in New York."""
    type: TapeType
    order_id: str
    qty: int
    px: int
    """1e-9 currency units; of a HALT as in the file: -1 halted, 0 quoting, 1 trading again."""
    side: Side
    """Of the resting order."""


class TapeBook(NamedTuple):
    """A row of an order book file: (price in 1e-9, size) by level, best first; empty levels left out."""

    offers: tuple[tuple[int, int], ...]
    bids: tuple[tuple[int, int], ...]


class TapeName(NamedTuple):
    """The parts of a file's name: symbol, day, "message" or "orderbook", price levels per side."""

    symbol: str
    day: date
    what: str
    levels: int


def parse_name(name: str) -> TapeName:
    """Read ``AMZN_2012-06-21_34200000_57600000_message_5.csv``. Raises TapeError for other names."""
    match = _NAME.search(name)
    if match is None:
        raise TapeError(f"not the name of a LOBSTER file: {name!r}")
    return TapeName(match["symbol"], date.fromisoformat(match["day"]), match["what"], int(match["levels"]))


def parse_time(text: str) -> int:
    """Seconds with any number of decimals, as nanoseconds, rounded half up, without a float on the way.

    Raises TapeError for text that is no such number.
    """
    match = _TIME.match(text)
    if match is None:
        raise TapeError(f"not a time: {text!r}")
    decimals = (match[2] or "").ljust(10, "0")
    return int(match[1]) * NS_PER_S + (int(decimals[:10]) + 5) // 10


def parse_message(line: str) -> TapeMessage:
    """Read a line of a message file. Raises TapeError when it does not follow the format, saying where."""
    cells = line.strip().split(",")
    if len(cells) != _MESSAGE_COLUMNS:
        raise TapeError(f"a message has 6 columns, not {len(cells)}: {line.strip()[:80]!r}")
    try:
        kind, qty, px, direction = int(cells[1]), int(cells[3]), int(cells[4]), int(cells[5])
        tape_type = TapeType(kind)
    except ValueError as error:
        raise TapeError(f"{error}: {line.strip()[:80]!r}") from error
    if direction not in (1, -1) or (tape_type is not TapeType.HALT and (qty <= 0 or px <= 0)):
        raise TapeError(f"size and price must be above 0, direction 1 or -1: {line.strip()[:80]!r}")
    scaled = px if tape_type is TapeType.HALT else px * PX_PER_UNIT
    return TapeMessage(
        parse_time(cells[0]), tape_type, cells[2], qty, scaled, Side.BUY if direction == 1 else Side.SELL
    )


def parse_book(line: str) -> TapeBook:
    """Read a line of an order book file. Raises TapeError when it does not follow the format, saying where."""
    try:
        cells = [int(cell) for cell in line.strip().split(",")]
    except ValueError as error:
        raise TapeError(f"{error}: {line.strip()[:80]!r}") from error
    if len(cells) % 4 or not cells:
        raise TapeError(f"an order book row has four columns a level, not {len(cells)} in all: {line.strip()[:80]!r}")
    return TapeBook(_levels(cells[0::4], cells[1::4]), _levels(cells[2::4], cells[3::4]))


def _levels(prices: list[int], sizes: list[int]) -> tuple[tuple[int, int], ...]:
    pairs = zip(prices, sizes, strict=True)
    return tuple((px * PX_PER_UNIT, qty) for px, qty in pairs if abs(px) != _EMPTY_LEVEL)


def midnight_ns(day: date) -> int:
    """Midnight in New York at the start of ``day``, in ns since 1970 UTC; daylight saving by the rule of 2007.

    Computed, so that no time zone database is needed: EDT from the second Sunday of March to the first of November.
    Raises TapeError for earlier years (LOBSTER begins in June 2007).
    """
    if day.year < _FIRST_YEAR:
        raise TapeError(f"no recorded day before {_FIRST_YEAR}: {day}")
    summer = _sunday(day.year, 3, 2) < day <= _sunday(day.year, 11, 1)
    behind_s = 4 * 3_600 if summer else 5 * 3_600
    return ((day - _EPOCH).days * 86_400 + behind_s) * NS_PER_S


def _sunday(year: int, month: int, which: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (which - 1))
