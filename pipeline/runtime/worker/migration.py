"""State of an older version, brought to this one's: each entry on its own, all of them before the first record.

The worker writes what has changed in one transaction together with the new epoch record: until that is committed, the
changelog is the old version's, and an older worker can still go back to it.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.errors import PipelineError
from pipeline.runtime.worker.wiring import AnyStage

Rows = dict[bytes, bytes]


class StateMismatch(PipelineError):
    """The restored state is not this task's or not of this version."""


class Migrated(NamedTuple):
    """Rows in the stage's own version, and the changelog records that bring the changelog to it."""

    rows: Rows
    changes: list[tuple[bytes, bytes | None]]


def migrated(stage: AnyStage, version: int, rows: Rows) -> Migrated:
    """``rows`` of state version ``version`` as rows of ``stage``'s version. Raises StateMismatch when it is newer, or a
    migration is missing or makes one key twice."""
    if version > stage.state_version:
        raise StateMismatch(
            f"{stage.name}: the changelog was written by a newer version: state version {version}, this code has "
            f"{stage.state_version}. Run the newer code. Nothing was written."
        )
    for step in range(version, stage.state_version):
        if step not in stage.migrations:
            raise StateMismatch(
                f"{stage.name}: the changelog is of state version {version}, this code has {stage.state_version} and "
                f"no migration from {step} to {step + 1}. Run the code that wrote it, or give the stage that "
                f"migration. Nothing was written."
            )
    before = rows
    for step in range(version, stage.state_version):
        rows = _one_version_on(stage, step, rows)
    changes: list[tuple[bytes, bytes | None]] = [(key, None) for key in sorted(before) if key not in rows]
    changes += [(key, rows[key]) for key in sorted(rows) if before.get(key) != rows[key]]
    return Migrated(rows, changes)


def _one_version_on(stage: AnyStage, version: int, rows: Rows) -> Rows:
    migrate = stage.migrations[version]
    made: Rows = {}
    for key, value in rows.items():
        for new_key, new_value in migrate(key.decode(), value):
            raw = new_key.encode()
            if raw in made:
                raise StateMismatch(
                    f"{stage.name}: the migration from state version {version} makes two entries {new_key!r}. "
                    f"Nothing was written."
                )
            made[raw] = new_value
    return made
