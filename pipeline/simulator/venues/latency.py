"""How long a message takes to a simulated venue, or back: a base, and a draw for each message."""

from __future__ import annotations

from pipeline.domain.reference import Venue
from pipeline.simulator.venues.draws import below


def latency_ns(venue: Venue, seed: int, way: str, message_id: str) -> int:
    """Nanoseconds from us to ``venue`` or back, in [latency_ns, latency_ns + latency_jitter_ns].

    ``way`` is "out" or "back"; ``message_id`` a wire id or execution id: the draw depends on it alone, so the
    same message takes as long in every replay.
    """
    return venue.latency_ns + below(venue.latency_jitter_ns + 1, seed, "latency", venue.venue, way, message_id)
