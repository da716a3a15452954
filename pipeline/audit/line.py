"""A line of the books of a day."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """One line of the books: two figures that must be equal, found in different places."""

    name: str
    left: int
    right: int
    parts: tuple[tuple[str, int], ...] = ()
    """What the right side is made of."""

    @property
    def holds(self) -> bool:
        """Whether both figures are equal."""
        return self.left == self.right

    def __str__(self) -> str:
        made_of = "" if not self.parts else " = " + " + ".join(f"{qty:,} {name}" for name, qty in self.parts)
        sign = "=" if self.holds else "≠"
        return f"{'ok ' if self.holds else 'OFF'}  {self.name}: {self.left:,} {sign} {self.right:,}{made_of}"
