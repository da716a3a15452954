"""Parameters of transaction cost analysis: how much is written and forgotten in one step."""

from __future__ import annotations

from typing import Annotated

from pipeline.domain.units import NS_PER_S
from pipeline.parameters import Parameters, count, nanos


class TCAParameters(Parameters, frozen=True, kw_only=True):
    """Transaction cost analysis: how much is written and forgotten in one step."""

    rows_per_tick: Annotated[int, count("Rows written at one tick.")] = 500
    rows_per_message: Annotated[
        int, count("Rows of those a tick left over that go out with each message after it.", 0)
    ] = 2  # fmt: skip
    forgotten_per_tick: Annotated[int, count("Subjects of past days forgotten at one tick.")] = 1_000
    quote_history_ns: Annotated[
        int, nanos("How far back midpoints are kept, for orders that are read some time after their receipt.", 1)
    ] = 30 * NS_PER_S
    quote_patience_ns: Annotated[
        int,
        nanos(
            "For how long the last midpoint is still a benchmark once quotes have none: they are crossed, or a side is "
            "missing."
        ),
    ] = 5 * NS_PER_S
