"""Which schedule works a parent: one for every strategy there is."""

from __future__ import annotations

from typing import Final

from pipeline.domain.orders import Strategy
from pipeline.stages.slicing.schedule import Schedule
from pipeline.stages.slicing.schedules.twap import TWAPSchedule
from pipeline.stages.slicing.schedules.vwap import VWAPSchedule

SCHEDULES: Final[dict[Strategy, Schedule]] = {
    Strategy.TWAP: TWAPSchedule(),
    Strategy.VWAP: VWAPSchedule(),
    # First form: intake refuses these for now; a parent of theirs is worked evenly under its cap.
    Strategy.POV: TWAPSchedule(),
    Strategy.IS: TWAPSchedule(),
    Strategy.UNKNOWN: TWAPSchedule(),
}
