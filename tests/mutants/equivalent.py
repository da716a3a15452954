"""Edits of the logic that change no decision, each with the reason: no test can find them, so they do not count.

An entry whose edit is no longer possible is told by `make mutants ARGS=--logic`; take it out.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Equivalent(NamedTuple):
    """``edit`` is a mutant's identity: file below `pipeline/`, function, what was and what it becomes."""

    edit: str
    why: str


EQUIVALENT: Final[tuple[Equivalent, ...]] = (
    Equivalent(
        "tca/crosses.py:_first_of: return min(seen)  ->  return max(seen)",
        "corrections that name one another in a circle: any one of them names their family, and none of them stands",
    ),
)
