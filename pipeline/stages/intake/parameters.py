"""Parameters of intake. What binds orders (size, value, rate, collar, credit) is reference data, not here."""

from __future__ import annotations

from typing import Annotated

from pipeline.parameters import Parameters, count


class IntakeParameters(Parameters, frozen=True, kw_only=True):
    """Intake. What binds orders (size, value, rate, collar, credit) is reference data: topics `limits`, `credit`."""

    forget_per_tick: Annotated[
        int, count("Requests of past days forgotten at one tick: a bound on a tick's work, not a term of keeping.")
    ] = 1_000  # fmt: skip
