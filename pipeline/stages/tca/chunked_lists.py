"""Lists of names that grow, kept in entries of a bounded size: adding one name rewrites one small entry.

A list in a single entry is written whole to the changelog whenever it changes: n names cost n² / 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.state import Entry, State

_CHUNK: Final = 64


class NameChunk(Entry):
    """Up to 64 consecutive names of a list."""

    names: list[str]


class NameList:
    """Growing lists of names in one table of ``state``, each under a key. The caller keeps each list's length."""

    def __init__(self, state: State, table: str) -> None:
        self._chunks = state.table(table, NameChunk)

    def append(self, key: str, index: int, name: str) -> None:
        """Append ``name`` to the list ``key``; ``index`` is the list's length so far."""
        chunk_key = _chunk_key(key, index)
        chunk = self._chunks.get(chunk_key) or NameChunk([])
        chunk.names.append(name)
        self._chunks.put(chunk_key, chunk)

    def __call__(self, key: str, count: int) -> Iterator[str]:
        """The first ``count`` names of the list ``key``."""
        return (self.at(key, index) for index in range(count))

    def at(self, key: str, index: int) -> str:
        """The name at ``index`` (from 0) of the list ``key``."""
        return self._chunks[_chunk_key(key, index)].names[index % _CHUNK]

    def taken(self, key: str, index: int) -> None:
        """Say that the names up to and with ``index`` are not needed any more; removes an entry once it is used up.

        To be called for each index in turn.
        """
        if index % _CHUNK == _CHUNK - 1:
            self._chunks.remove(_chunk_key(key, index))

    def forget(self, key: str, count: int) -> None:
        """Remove the list ``key``, which has ``count`` names."""
        for index in range(0, count, _CHUNK):
            self._chunks.remove(_chunk_key(key, index))


class ListPlace(Entry):
    """Counts of a queue since its beginning: names put in, names released to be taken, names taken."""

    put: int = 0
    ready: int = 0
    taken: int = 0
    aged: int = 0
    """How many had been put in when the queue last aged."""


class NameQueue:
    """A first-in, first-out queue of names in tables of ``state``.

    A name may be taken only once it is released: by :meth:`all_ready`, or by the second :meth:`age` after it was put.
    """

    def __init__(self, state: State, table: str) -> None:
        self._names = NameList(state, table)
        self._places = state.table(f"{table}-place", ListPlace)

    def put(self, name: str) -> None:
        """Add ``name`` at the end."""
        place = self._places.get("") or ListPlace()
        self._names.append("", place.put, name)
        place.put += 1
        self._places.put("", place)

    def all_ready(self) -> None:
        """Release all names that are in the queue now."""
        place = self._places.get("")
        if place is not None and place.ready != place.put:
            place.ready = place.put
            self._places.put("", place)

    def age(self) -> None:
        """Release the names that were in the queue at the last call."""
        place = self._places.get("") or ListPlace()
        place.ready, place.aged = place.aged, place.put
        self._places.put("", place)

    def take(self, most: int) -> list[str]:
        """Remove and return up to ``most`` released names, oldest first."""
        place = self._places.get("")
        if place is None or place.taken == place.ready:
            return []
        until = min(place.ready, place.taken + most)
        names = []
        for index in range(place.taken, until):
            names.append(self._names.at("", index))
            self._names.taken("", index)
        place.taken = until
        self._places.put("", place)
        return names


def _chunk_key(key: str, index: int) -> str:
    return f"{key}|{index // _CHUNK:07d}"
