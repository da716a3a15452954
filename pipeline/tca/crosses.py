"""Which crosses stand in the end: busts and corrections applied, in whatever order their records are read."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.domain.parents import Cross, CrossKind
from pipeline.domain.record import Record


def standing(records: Iterable[Record]) -> list[Cross]:
    """The crosses that were not busted, each as last corrected, by the id of the first; other records are ignored.

    A bust of a cross or of any correction of it takes the cross back. The correction that no other corrects holds; of
    several, the last one written; of a circle, none.
    """
    crosses = {record.cross_id: record for record in records if isinstance(record, Cross)}
    families: dict[str, list[Cross]] = {}
    for cross in crosses.values():
        if cross.kind is not CrossKind.UNKNOWN:
            families.setdefault(_first_of(cross, crosses), []).append(cross)
    found: list[Cross] = []
    for name in sorted(families):
        family = families[name]
        corrected = {cross.ref_cross_id for cross in family if cross.kind is CrossKind.CORRECT}
        if any(cross.kind is CrossKind.BUST for cross in family):
            continue
        last = [cross for cross in family if cross.cross_id not in corrected]
        found += sorted(last, key=lambda cross: (cross.seq, len(cross.cross_id), cross.cross_id))[-1:]
    return found


def _first_of(cross: Cross, crosses: dict[str, Cross]) -> str:
    """The id of the cross that a bust or correction goes back to, through corrections of corrections."""
    seen = {cross.cross_id}
    while cross.kind is not CrossKind.TRADE and cross.ref_cross_id:
        earlier = crosses.get(cross.ref_cross_id)
        if earlier is None:
            return cross.ref_cross_id
        if earlier.cross_id in seen:
            return min(seen)  # they correct one another in a circle
        seen.add(earlier.cross_id)
        cross = earlier
    return cross.cross_id
