"""`docs/reference/metrics.md`: every series that a worker serves, from the registry of a worker that has just lived."""

from __future__ import annotations

from typing import Final

from prometheus_client import Metric

from ops.pages.text import item, wrapped
from pipeline.runtime.observability.log import EventLog
from pipeline.runtime.observability.telemetry import Telemetry
from pipeline.runtime.worker.observer import Event, Sight

INTRO: Final = (
    "For operators: every series on a worker's `/metrics`, for Prometheus. Alarms to begin with are in the "
    "[runbook](../../ops/runbook.md#metrics). Each has the labels `unit` and `slot`; others are named. A process also "
    "serves the client library's own `process_cpu_seconds_total`, `process_resident_memory_bytes` and their like."
)
_OWN: Final = ("unit", "slot")


def families() -> list[Metric]:
    """All families of a worker that has said and seen everything once, so that each has a sample with its labels."""
    telemetry = Telemetry("engine", "engine-0", EventLog(lambda _: None), lambda: 0.0, process=False)
    telemetry.event(Event.STARTED, "started", cluster="a cluster")
    telemetry.event(Event.ASSIGNED, "assigned", partitions=[0])
    telemetry.event(Event.READY, "ready", seconds=0.0)
    telemetry.committed(1, [("orders", 0)], 0.001)
    telemetry.saw(Sight({("orders", 0): 0}, {"netting": 0}, {"netting": 0}, 0, 0))
    return sorted(telemetry.registry.collect(), key=lambda family: family.name)


def page() -> str:
    """The whole page."""
    lines = ["# Metrics", "", *wrapped(INTRO), ""]
    for family in families():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        extra = sorted({label for sample in family.samples for label in sample.labels} - {*_OWN, "le"})
        labels = "".join(f", `{label}`" for label in extra)
        lines += item(f"`{name}` ({family.type}{labels}): {family.documentation}")
    events = ", ".join(f"`{event}`" for event in Event)
    text = f"Values of `event` in `pipeline_events_total`, and the second word of each line of the log: {events}."
    return "\n".join([*lines, "", "## Events", "", *wrapped(text)])
