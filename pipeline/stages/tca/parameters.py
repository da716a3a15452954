"""Parameters of transaction cost analysis: how much is written and forgotten in one step."""

from __future__ import annotations

from typing import Annotated

from pipeline.parameters import Parameters, count


class TCAParameters(Parameters, frozen=True, kw_only=True):
    """Transaction cost analysis: how much is written and forgotten in one step."""

    rows_per_tick: Annotated[int, count("Rows written at one tick.")] = 500
    rows_per_message: Annotated[
        int, count("Rows of those a tick left over that go out with each message after it.", 0)
    ] = 2  # fmt: skip
    forgotten_per_tick: Annotated[int, count("Subjects of past days forgotten at one tick.")] = 1_000
    quotes_kept: Annotated[
        int, count("Midpoints of an instrument kept over a tick, for orders received a little before it.")
    ] = 64  # fmt: skip
