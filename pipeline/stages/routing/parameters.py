"""Parameters of routing: how long it waits for venues, what it believes of them, what the last gate lets through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from pipeline.domain.units import MILLI_BPS_ONE, NS_PER_MS, NS_PER_S, PPM_ONE, PX_ONE
from pipeline.parameters import Allowed, Conflict, Parameters, Secret, count, nanos, ppm
from pipeline.stages.routing.second_opinion import SecondOpinionParameters

DEMO_WIRE_SECRET: Final = b"a demo has no secrets, a desk sets its own"
"""Key of the opaque ids at venues where a deployment sets none (PIPELINE_WIRE_SECRET): the simulated venues only."""


class GateParameters(Parameters, frozen=True, kw_only=True):
    """The last gate's own limits. A Limit of scope GATE, by instrument or for all, can only make them tighter."""

    max_child_qty: Annotated[int, Allowed("Largest quantity of one child.", "units", 1)] = 1_000_000
    max_child_value: Annotated[int, Allowed("Largest value of one child.", "1e-9 currency", 1)] = 5_000_000 * PX_ONE
    collar: Annotated[
        int, Allowed("How far a limit may stand beyond the far touch.", "1e-3 bps", 0, MILLI_BPS_ONE)
    ] = 500_000  # fmt: skip
    reference_collar: Annotated[
        int, Allowed("How far a price may stand from the recent middles of the market, or a last close.", "1e-3 bps", 0,
                     MILLI_BPS_ONE)
    ] = 500_000  # fmt: skip
    max_quote_age_ns: Annotated[
        int | None, nanos("Oldest quote a child may be held against; unset while quotes only come as they change.", 1)
    ] = None
    quote_ahead_ns: Annotated[
        int, nanos("How far after the last tick the time of a quote may lie: later is no time, and the quote refused.")
    ] = 60 * NS_PER_S  # fmt: skip
    child_to_parent_ppm: Annotated[
        int, ppm("Largest share of the parent's quantity in one child.", 1)
    ] = PPM_ONE  # fmt: skip
    max_exposure: Annotated[
        int, Allowed("Most value open in an instrument, both sides together.", "1e-9 currency", 1)
    ] = 100_000_000 * PX_ONE  # fmt: skip
    parent_rate: Annotated[int, Allowed("Children of one parent.", "per second of session time", 1)] = 50
    instrument_rate: Annotated[int, Allowed("Children in one instrument.", "per second of session time", 1)] = 200
    venue_rate: Annotated[
        int, Allowed("Children to one venue, in each task apart.", "per second of session time", 1)
    ] = 1_000  # fmt: skip
    max_repeats: Annotated[
        int, count("Executed children of a parent, each the same as the one before, until the desk must look.")
    ] = 20  # fmt: skip
    repeat_ns: Annotated[
        int, nanos("A child is a repeat of the one before when it comes within this of it.", 1)
    ] = NS_PER_S  # fmt: skip

    def conflicts(self) -> Iterable[Conflict]:
        """A wider limit inside a narrower one never binds."""
        if self.max_child_value > self.max_exposure:
            text = "one child may be more than all that may be open: the limit of a child never binds"
            yield Conflict(("max_child_value", "max_exposure"), text)
        if self.parent_rate > self.instrument_rate:
            text = "one parent may send more than its whole instrument: the limit of a parent never binds"
            yield Conflict(("parent_rate", "instrument_rate"), text)


class PriorParameters(Parameters, frozen=True, kw_only=True):
    """What is believed of every venue before experience, for one kind of order, and how firmly."""

    fill_rate_ppm: Annotated[int, ppm("Share of the quantity asked that is filled.")] = 300_000
    fill_time_ns: Annotated[int, nanos("Time from sending to a fill.")] = 5 * NS_PER_S
    weight_qty: Annotated[int, Allowed("The belief in the rate counts as so much asked.", "units", 1)] = 500
    weight_fills: Annotated[int, count("The belief in the time counts as so many fills.")] = 5


class PriorsParameters(Parameters, frozen=True, kw_only=True):
    """What is believed of venues before our own experience with them, by kind of order."""

    post: PriorParameters = PriorParameters()
    midpoint: PriorParameters = PriorParameters(fill_rate_ppm=200_000)
    take: PriorParameters = PriorParameters(fill_rate_ppm=900_000, fill_time_ns=10 * NS_PER_MS)


class RoutingParameters(Parameters, frozen=True, kw_only=True):
    """Routing: how long it waits for venues, what it believes of them, what the last gate lets through.

    Silence is measured as the venue keeps it, in wall time: where a recorded day runs at ten times its pace, five
    seconds are fifty of session time.
    """

    router: Annotated[
        str, Allowed("How a slice's children follow each other.", choices=("SEQUENTIAL",))
    ] = "SEQUENTIAL"  # fmt: skip
    ack_timeout_ns: Annotated[
        int, nanos("An order without an answer, or an immediate-or-cancel without an end, is unknown after this; wall "
                   "time.", 1)
    ] = 5 * NS_PER_S  # fmt: skip
    cancel_timeout_ns: Annotated[
        int, nanos("A cancel without an answer makes the child unknown after this; wall time.", 1)
    ] = 5 * NS_PER_S  # fmt: skip
    cancel_retry_ns: Annotated[
        int, nanos("A cancel that was rejected while the child lives is tried again after this; wall time.", 1)
    ] = NS_PER_S  # fmt: skip
    ask_again_ns: Annotated[
        int, nanos("A venue that says something else than we have booked, or is silent about an order, is asked how "
                   "the order stands, and again after this; wall time.", 1)
    ] = 30 * NS_PER_S  # fmt: skip
    believed_times: Annotated[
        int, count("An execution, count or fee that is more than so many times the gate's largest child is a slip of "
                   "the venue: not booked, answered with DontKnow.", 1)
    ] = 10  # fmt: skip
    probe_least_ns: Annotated[
        int, nanos("A slice that lives shorter than this goes straight to the lit venues: a dark probe costs a way "
                   "there and back.")
    ] = 8 * NS_PER_S  # fmt: skip
    sweep_reach_mbps: Annotated[
        int, Allowed("How far beyond the far touch a sweep without a limit may reach.", "1e-3 bps", 0, MILLI_BPS_ONE)
    ] = 50_000  # fmt: skip
    max_backlog_ns: Annotated[
        int, nanos("After an outage longer than this nothing new is sent until the desk releases it; wall time. The "
                   "FIRM limit's own `max_backlog_ns` goes first.", 1)
    ] = 30 * NS_PER_S  # fmt: skip
    ahead_ns: Annotated[
        int, nanos("How far after the last tick the time of a quote, depth or venue status may lie and be believed.")
    ] = 60 * NS_PER_S  # fmt: skip
    wire_secret: Annotated[
        bytes, Secret("Key of the opaque ids that venues see.", "PIPELINE_WIRE_SECRET", 16, 64)
    ] = DEMO_WIRE_SECRET  # fmt: skip
    gate: GateParameters = GateParameters()
    second_opinion: SecondOpinionParameters = SecondOpinionParameters()
    prior: PriorsParameters = PriorsParameters()

    def conflicts(self) -> Iterable[Conflict]:
        """A sweep stays inside the gate's collar."""
        if self.sweep_reach_mbps > self.gate.collar:
            text = "a sweep would reach beyond the gate's collar, and be refused there"
            yield Conflict(("sweep_reach_mbps", "gate.collar"), text)
