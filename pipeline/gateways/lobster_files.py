"""Opens a recorded day: a LOBSTER zip, a folder, or the message file beside its order book file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TextIO

from pipeline.errors import WrongUse
from pipeline.simulator.market.lobster import (
    TapeBook,
    TapeError,
    TapeMessage,
    TapeName,
    parse_book,
    parse_message,
    parse_name,
)


@dataclass(frozen=True)
class LobsterDay:
    """A pair of files of one symbol and day, found but not yet read."""

    path: Path
    """The zip or folder they are in."""
    message: str
    orderbook: str
    name: TapeName

    def rows(self) -> Iterator[tuple[TapeMessage, TapeBook]]:
        """Each message with the book after it. Raises WrongUse, with file and line, for a row that cannot be read."""
        with self._open(self.message) as messages, self._open(self.orderbook) as books:
            line_no = 0
            while True:
                line_no += 1
                message, book = messages.readline(), books.readline()
                if not message and not book:
                    return
                if not message or not book:
                    raise WrongUse(
                        f"{self.path}: {self.message if not message else self.orderbook} ends at line {line_no - 1}, "
                        f"the other file goes on. Both must have a row for each event: fetch the pair again."
                    )
                try:
                    yield parse_message(message), parse_book(book)
                except TapeError as error:
                    raise WrongUse(
                        f"{self.path}: line {line_no} of {self.message} or its order book: {error}"
                    ) from error

    @contextmanager
    def _open(self, member: str) -> Iterator[TextIO]:
        if self.path.is_dir():
            with (self.path / member).open(encoding="ascii", newline="") as plain:
                yield plain
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(member) as raw:
            yield io.TextIOWrapper(raw, encoding="ascii", newline="")


def find_day(path: Path, symbol: str | None = None) -> LobsterDay:
    """The recorded day at ``path``: a zip, a folder, or one csv file of a pair.

    A folder may hold several days or symbols: ``symbol`` chooses one, and its first day is taken. Raises WrongUse,
    saying what is missing, when there is no such file, no LOBSTER data or no complete pair.
    """
    if not path.exists():
        raise WrongUse(f"{path}: there is no such file or folder. MARKET wants a LOBSTER zip, folder or csv file.")
    if path.is_dir():
        place, members = path, sorted(entry.name for entry in path.iterdir())
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            place, members = path, sorted(archive.namelist())
    elif path.suffix == ".csv":
        place, members = path.parent, sorted(entry.name for entry in path.parent.iterdir())
        members = [name for name in members if _stem(name) == _stem(path.name)]
    else:
        raise WrongUse(f"{path} is neither a zip, a folder nor a csv file: it is no LOBSTER data.")
    named = {name: parsed for name in members if (parsed := _parsed(name)) is not None}
    for message, name in named.items():
        book = message.replace("_message_", "_orderbook_")
        if name.what == "message" and book in named and symbol in (None, name.symbol):
            return LobsterDay(place, message, book, name)
    wanted = f" of {symbol}" if symbol else ""
    raise WrongUse(
        f"{path}: no pair of LOBSTER files{wanted} here (…_message_N.csv and …_orderbook_N.csv of one symbol and day)."
    )


def _parsed(member: str) -> TapeName | None:
    try:
        return parse_name(PurePath(member).name)
    except TapeError:
        return None


def _stem(name: str) -> str:
    return name.replace("_message_", "_").replace("_orderbook_", "_")
