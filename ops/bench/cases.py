"""Every case, in the order of the issue."""

from __future__ import annotations

from typing import Final

from ops.bench import intake, same_work, stages
from ops.bench.case import Case

CASES: Final[dict[str, Case]] = {case.name: case for case in (same_work.CASE, intake.CASE, stages.CASE, stages.PROFILE)}
