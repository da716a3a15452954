"""The benchmark's cases, in the order of the report."""

from __future__ import annotations

from typing import Final

from bench.case import Case
from bench.cases import (
    intake,
    latency,
    open_orders,
    restoring,
    same_work,
    scale_out,
    stages,
    transactions,
    whole_life,
)

CASES: Final[dict[str, Case]] = {
    case.name: case
    for case in (
        same_work.CASE,
        intake.CASE,
        stages.CASE,
        stages.PROFILE,
        whole_life.CASE,
        latency.CASE,
        transactions.CASE,
        open_orders.CASE,
        restoring.CASE,
        scale_out.CASE,
    )
}
