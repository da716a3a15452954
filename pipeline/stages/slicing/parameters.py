"""Parameters of slicing: how large slices are, how long they rest, how often they come, how hard they try."""

from __future__ import annotations

from typing import Annotated, Final

from pipeline.algos.trilemma import TrilemmaParameters
from pipeline.domain.units import NS_PER_S
from pipeline.parameters import Allowed, Parameters, count, nanos, ppm

ON_TAPE: Final = "ON_TAPE"
NOT_ON_TAPE: Final = "NOT_ON_TAPE"


class SlicingParameters(Parameters, frozen=True, kw_only=True):
    """Slicing: how large slices are, how long they rest, how often they come, how hard they try."""

    passive_ns: Annotated[
        int, nanos("How long a passive slice may rest before it is taken back and looked at again.", 1)
    ] = 15 * NS_PER_S  # fmt: skip
    midpoint_ns: Annotated[int, nanos("The same for a midpoint slice.", 1)] = 8 * NS_PER_S
    taking_ns: Annotated[int, nanos("The same for a crossing or sweeping slice.", 1)] = 10 * NS_PER_S
    interval_ns: Annotated[
        int, nanos("Least time between two slices of one parent, the last moment excepted.", 1)
    ] = NS_PER_S  # fmt: skip
    interval_doublings_max: Annotated[
        int, count("How often that time doubles while slices come back unexecuted.", 0, 20)
    ] = 3  # fmt: skip
    last_moment_ns: Annotated[
        int, nanos("The last moment is never shorter than this: the way to a venue and back, several times.")
    ] = 10 * NS_PER_S  # fmt: skip
    min_slice_qty: Annotated[
        int,
        Allowed("Smallest slice; smaller ones accumulate until they are all that is left, or the last moment.",
                "units", 1),
    ] = 5  # fmt: skip
    min_slice_ppm: Annotated[
        int, ppm("The same as a share of the parent's quantity; the larger of the two holds.")
    ] = 20_000  # fmt: skip
    risk_budget_spreads: Annotated[
        int, count("MEDIUM urgency bears this many median spreads of remaining risk, LOW urgency any.", 0, 10_000)
    ] = 4  # fmt: skip
    high_urgency_part: Annotated[
        int, count("HIGH urgency bears this part of what MEDIUM bears: 4 is a quarter.", 1, 1_000)
    ] = 4  # fmt: skip
    sample_ns: Annotated[
        int, nanos("Time between two samples of the quote: the spread's median and the volatility are of these.", 1)
    ] = NS_PER_S  # fmt: skip
    sample_count: Annotated[int, count("How many of the last samples that is.", 2, 10_000)] = 61
    ahead_ns: Annotated[
        int, nanos("How far after the last tick the time of a quote, depth or venue status may lie and be believed.")
    ] = 60 * NS_PER_S  # fmt: skip
    own_prints: Annotated[
        str,
        Allowed("Whether the market's prints contain our own executions, as they do at real venues: a participation "
                "cap takes them off. A recorded day does not contain them; to say that it does holds us back a little.",
                choices=(ON_TAPE, NOT_ON_TAPE)),
    ] = ON_TAPE  # fmt: skip
    volume_learned_ppm: Annotated[
        int, ppm("MUST under a cap: once this part of the window has passed, a market that trades less than expected "
                 "is expected to go on so.")
    ] = 250_000  # fmt: skip
    at_risk_behind_ppm: Annotated[
        int, ppm("MUST, and it cannot be traded now: at risk when the part left to do exceeds the part of the window "
                 "left by this.", 1)
    ] = 250_000  # fmt: skip
    at_risk_ppm: Annotated[
        int, ppm("MUST: whatever is not executed when this part of the last moment is left is at risk.")
    ] = 500_000  # fmt: skip
    max_backlog_ns: Annotated[
        int, nanos("After an outage longer than this nothing is released until the desk says so; wall time. The FIRM "
                   "limit's own `max_backlog_ns` goes first.", 1)
    ] = 30 * NS_PER_S  # fmt: skip
    trilemma: TrilemmaParameters = TrilemmaParameters()
