"""Parameters of the simulated venues; fees, latency and rules of each venue are reference data."""

from __future__ import annotations

from typing import Annotated

from pipeline.parameters import Allowed, Parameters
from pipeline.simulator.venues.dark import HiddenInterest
from pipeline.simulator.venues.faults import Faults


class VenuesParameters(Parameters, frozen=True, kw_only=True):
    """Simulated venues: seed and behaviour of all of them. Fees, latency and rules of each are reference data."""

    seed: Annotated[int, Allowed("What every draw depends on: latency, hidden interest, faults.", "number")] = 20120621
    hidden: HiddenInterest = HiddenInterest()
    faults: Faults = Faults()
