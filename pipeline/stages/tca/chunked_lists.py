"""Lists of names that grow, kept in entries of a bounded size: adding one name rewrites one small entry.

A list in a single entry is written whole to the changelog whenever it changes: n names cost n² / 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.state import Entry, State

_CHUNK: Final = 64


class NameChunk(Entry):
    """Some names of a list, in order."""

    names: list[str]


class NameList:
    """Lists of a table, told apart by a key. Who uses one keeps its count."""

    def __init__(self, state: State, table: str) -> None:
        self._chunks = state.table(table, NameChunk)

    def append(self, key: str, index: int, name: str) -> None:
        """Add ``name`` as number ``index``, which is how many there were."""
        chunk_key = _chunk_key(key, index)
        chunk = self._chunks.get(chunk_key) or NameChunk([])
        chunk.names.append(name)
        self._chunks.put(chunk_key, chunk)

    def __call__(self, key: str, count: int) -> Iterator[str]:
        """The first ``count`` names of a list."""
        return (self.at(key, index) for index in range(count))

    def at(self, key: str, index: int) -> str:
        """Name number ``index``."""
        return self._chunks[_chunk_key(key, index)].names[index % _CHUNK]

    def taken(self, key: str, index: int) -> None:
        """Names up to ``index`` are not needed any more: their entries go."""
        if index % _CHUNK == _CHUNK - 1:
            self._chunks.remove(_chunk_key(key, index))

    def forget(self, key: str, count: int) -> None:
        """The whole list of ``count`` names goes."""
        for index in range(0, count, _CHUNK):
            self._chunks.remove(_chunk_key(key, index))


class ListPlace(Entry):
    """How many names were put in, which may be taken out, and how many were."""

    put: int = 0
    ready: int = 0
    taken: int = 0
    aged: int = 0
    """How many had been put in when the queue last aged."""


class NameQueue:
    """First in, first out; what is put in may be taken after :meth:`all_ready`, or after :meth:`age` twice."""

    def __init__(self, state: State, table: str) -> None:
        self._names = NameList(state, table)
        self._places = state.table(f"{table}-place", ListPlace)

    def put(self, name: str) -> None:
        place = self._places.get("") or ListPlace()
        self._names.append("", place.put, name)
        place.put += 1
        self._places.put("", place)

    def all_ready(self) -> None:
        """What is in it now may be taken."""
        place = self._places.get("")
        if place is not None and place.ready != place.put:
            place.ready = place.put
            self._places.put("", place)

    def age(self) -> None:
        """What was in it the last time this was said may be taken."""
        place = self._places.get("") or ListPlace()
        place.ready, place.aged = place.aged, place.put
        self._places.put("", place)

    def take(self, most: int) -> list[str]:
        """At most ``most`` of the names that may be taken."""
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
