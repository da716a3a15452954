"""Parameters of netting: windows, crossing, and how much of it is done in one step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from pipeline.domain.units import NS_PER_S
from pipeline.parameters import Conflict, Parameters, count, nanos, ppm


class MandateParameters(Parameters, frozen=True, kw_only=True):
    """Windows for the orders of one mandate (`mandate` in the order's request), in place of the stage's own.

    Orders of a mandate that stands here wait in buckets of their own, whose window opens with the first of them and
    closes by itself; what is left unset is as for everybody. A mandate that has no section shares buckets with all.
    """

    window_ns: Annotated[
        int | None, nanos("How long this mandate's window in an instrument stays open after its first order.")
    ] = None
    max_members: Annotated[int | None, count("Orders in one bucket that close this mandate's window.")] = None
    max_wait_ns: Annotated[
        int | None, nanos("How long after its close the window waits for the market data to get there.")
    ] = None
    wait_part: Annotated[
        int | None, count("An order waits at most this part of the time it has: 10 is a tenth.", most=1_000)
    ] = None


class NettingParameters(Parameters, frozen=True, kw_only=True):
    """Netting: windows, crossing, and how much of it is done in one step. Times are session time."""

    window_ns: Annotated[
        int, nanos("How long an instrument's window stays open after its first order.")
    ] = 15 * NS_PER_S  # fmt: skip
    max_members: Annotated[int, count("Orders in one bucket that close the instrument's window.")] = 2_000
    max_wait_ns: Annotated[
        int, nanos("How long after its close a window waits for the market data to get there.")
    ] = 2 * NS_PER_S  # fmt: skip
    wait_part: Annotated[
        int, count("An order waits in its window at most this part of the time it has: 10 is a tenth.", most=1_000)
    ] = 10  # fmt: skip
    cross_interval_ns: Annotated[
        int, nanos("Working parents of an instrument are asked at most this often whether they would cross.", 1)
    ] = 5 * NS_PER_S  # fmt: skip
    epoch_interval_ns: Annotated[
        int,
        nanos("Clients' cancels end an epoch of a parent of many members at most this often, as each costs a record "
              "per member: those that come sooner join the next one. A kill or pause waits for nothing."),
    ] = NS_PER_S  # fmt: skip
    epoch_members: Annotated[
        int, count("Members up to which a parent counts as one of few: a cancel ends its epoch at once.")
    ] = 100  # fmt: skip
    close_members: Annotated[
        int,
        count(
            "Orders whose windows close in one tick, one instrument at the least: the others' turn comes with the next "
            "ticks, whose time came first is first. A tick must not last the longer the more is open."
        ),
    ] = 1_500
    ask_members: Annotated[
        int, count("Members of working parents looked at in one tick for a cross, likewise.")
    ] = 1_000  # fmt: skip
    median_ns: Annotated[
        int,
        nanos("A midpoint is held against the median of the midpoints of this long, each weighted by its time.", 1),
    ] = 10 * NS_PER_S
    history_ns: Annotated[int, nanos("How far back midpoints are kept, to price receipt.", 1)] = 30 * NS_PER_S
    ahead_ns: Annotated[
        int,
        nanos("A sale or status stamped further ahead of the last tick than this gives way to whatever comes next."),
    ] = 5 * NS_PER_S
    sale_distance_ppm: Annotated[
        int, ppm("How far the midpoint of a cross may be from the last eligible sale.")
    ] = 20_000  # fmt: skip
    reference_distance_ppm: Annotated[
        int, ppm("The same from the instrument's reference price (the last close), before any sale.")
    ] = 100_000  # fmt: skip
    max_parties: Annotated[
        int, count("Parties of a side that are matched apart from the others, largest first.", most=1_000)
    ] = 48  # fmt: skip
    max_legs: Annotated[int, count("Legs of one cross; a larger one is written as several.", 2, 10_000)] = 2_000
    chunk_members: Annotated[
        int, count("Lines in one chunk of an allocation statement (topic `lineage`).", most=10_000)
    ] = 256  # fmt: skip
    max_backlog_ns: Annotated[
        int, nanos("After an outage longer than this nothing new begins until the desk releases it; wall time. The "
                   "FIRM limit's own `max_backlog_ns` goes first.", 1)
    ] = 30 * NS_PER_S  # fmt: skip
    mandate: dict[str, MandateParameters] = {}

    def of_mandate(self, name: str) -> NettingParameters:
        """These, with what a mandate has of its own; as they are for one without a section."""
        own = self.mandate.get(name)
        if own is None:
            return self
        said = {each: value for each, value in msgspec.structs.asdict(own).items() if value is not None}
        return msgspec.structs.replace(self, **said)

    def conflicts(self) -> Iterable[Conflict]:
        """The median looks back over quotes that are kept."""
        if self.median_ns > self.history_ns:
            text = "the median looks further back than quotes are kept: history_ns must be median_ns or more"
            yield Conflict(("median_ns", "history_ns"), text)
