"""Slots: which of a unit's workers this one is. A slot names its transactional id and its static group membership.

A slot is leased by a lock on a file, which the system releases when the process ends, however it ends: a worker that
is started again takes the same slot, so the group sees the same member come back and moves nothing.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Self

from pipeline.errors import WrongUse


class Slot:
    """A leased slot of ``unit``; the lowest free one, or ``number`` (a StatefulSet's ordinal). Raises WrongUse when
    it is taken."""

    def __init__(self, unit: str, folder: Path, number: int | None = None, slots_max: int = 64) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] | None = None
        for candidate in range(slots_max) if number is None else (number,):
            file = (folder / f"{unit}.{candidate}.lock").open("a+")
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
            self._file = file
            self.number = candidate
            self.name = f"{unit}-{candidate}"
            return
        raise WrongUse(f"slot {number if number is not None else 'any'} of unit {unit} is taken (locks in {folder})")

    def release(self) -> None:
        """Give the slot back; nothing when it was given back already."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()
