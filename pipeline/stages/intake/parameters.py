"""Parameters of intake. What binds orders (size, value, rate, collar, credit) is reference data, not here."""

from __future__ import annotations

from typing import Annotated

from pipeline.domain.units import NS_PER_S
from pipeline.parameters import Allowed, Parameters, count, nanos


class IntakeParameters(Parameters, frozen=True, kw_only=True):
    """Intake. What binds orders (size, value, rate, collar, credit) is reference data: topics `limits`, `credit`."""

    forget_per_tick: Annotated[
        int, count("Requests of past days forgotten at one tick: a bound on a tick's work, not a term of keeping.")
    ] = 1_000  # fmt: skip
    cancel_wait_ns: Annotated[
        int,
        nanos(
            "How long a cancel waits for its order, which it may have overtaken, before it is refused UNKNOWN_ORDER."
        ),
    ] = 5 * NS_PER_S
    cancels_waiting: Annotated[
        int, count("Cancels of one source that wait for their orders at a time; more are refused at once.", 0)
    ] = 1_000  # fmt: skip
    largest_order_qty: Annotated[
        int,
        Allowed(
            "Largest quantity of an order where no limit says less: so that sums of orders fit their records.",
            "units of the instrument",
            1,
        ),
    ] = 10**12
    longest_text: Annotated[
        int, count("Longest text in a request (an id, a name), in characters; and the most venues it may name.")
    ] = 256  # fmt: skip
    transact_ahead_ns: Annotated[
        int,
        nanos("How far transact_ns may lie after the broker's append time: what clocks differ by, wall time."),
    ] = 120 * NS_PER_S
    reference_ahead_ns: Annotated[
        int,
        nanos("How far a reference price may be stamped after the last tick. What is later is no reference."),
    ] = 5 * NS_PER_S
