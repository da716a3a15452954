"""A worker's log, metrics and readiness, all made from what it reports to its observer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.runtime import build_info
from pipeline.runtime.observability.log import EventLog
from pipeline.runtime.worker.observer import Event, Place, Sight

WINDOW: Final = 1000
"""Transactions over which p50 and p99 are taken: half a minute under load."""
LOOK_EVERY_S: Final = 1.0
STILL_S: Final = 60.0
"""Seconds after which a loop that has not moved is unhealthy; at twice that the watchdog ends the process."""
_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
_RESTORE_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)
_RECORDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_PARTITIONS: Final = (5, 10, 20, 40, 80, 160, 320)


disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` series beside each one, of no use


class Ready(NamedTuple):
    """Whether a worker is ready (or healthy), with the reason or what it works on."""

    ready: bool
    why: str


class Telemetry(Collector):
    """The observer of the worker in ``slot`` of ``unit``. Other threads read it: what they read is replaced whole."""

    def __init__(
        self,
        unit: str,
        slot: str,
        log: EventLog,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        process: bool = True,
    ) -> None:
        self.registry = CollectorRegistry()
        self.alive_at: Callable[[], float] = monotonic
        """When the worker's loop last moved (monotonic seconds)."""
        self._own = {"unit": unit, "slot": slot}
        self._log = log
        self._monotonic = monotonic
        self._assigned: tuple[int, ...] | None = None
        self._restored = False
        self._why_not = "starting"
        self._cluster_id = ""
        self._sight: Sight | None = None
        self._looked_at = self._sampled_at = -LOOK_EVERY_S
        self._window: deque[float] = deque(maxlen=WINDOW)
        labels = tuple(self._own)
        self._events = Counter(
            "pipeline_events",
            "Turns in the worker's life since its start, as in its log.",
            (*labels, "event"),
            registry=self.registry,
        )
        for event in Event:
            self._events.labels(**self._own, event=event)  # from 0, so that the first one is an increase
        self._records = Counter(
            "pipeline_records",
            "Outside records whose transaction is committed, since the start.",
            labels,
            registry=self.registry,
        ).labels(**self._own)
        self._rows = Counter(
            "pipeline_rows",
            "Records written and committed since the start: outputs, journal, changelog.",
            labels,
            registry=self.registry,
        ).labels(**self._own)

        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, labels, registry=self.registry, buckets=buckets).labels(**self._own)

        self._seconds = histogram(
            "pipeline_transaction_seconds", "Committed transactions, from begin to the answer to commit.", _SECONDS
        )
        self._batch = histogram("pipeline_batch_records", "Outside records in a committed transaction.", _RECORDS)
        self._touched = histogram(
            "pipeline_transaction_partitions",
            "Partitions written to in a committed transaction; a sample, at most one a second.",
            _PARTITIONS,
        )
        self._restores = histogram(
            "pipeline_restore_seconds", "From the beginning of a restore to the worker being ready.", _RESTORE_SECONDS
        )
        self.registry.register(self)
        if process:
            ProcessCollector(registry=self.registry)
        self._info = Gauge(
            "pipeline_worker_info", "What runs; always 1.", (*labels, "commit", "python", "cluster"),
            registry=self.registry,
        )  # fmt: skip

    # ------------------------------------------------------------------ the worker's thread

    def event(self, event: Event, text: str, **ids: Any) -> None:
        self._log.event(event, text, **ids)
        self._events.labels(**self._own, event=event).inc()
        match event:
            case Event.STARTED:
                self._log.ids["cluster"] = ids["cluster"]
                self._info.labels(
                    **self._own, commit=build_info.commit(), python=build_info.python(), cluster=ids["cluster"]
                ).set(1)
                self._why_not = "waiting for the group to assign partitions"
            case Event.ASSIGNED:
                self._assigned = tuple(ids["partitions"])
                self._why_not = f"restoring partitions {list(self._assigned)}"
            case Event.REVOKED | Event.LOST | Event.STOPPING:
                self._assigned = None
                self._why_not = text
            case Event.READY:
                self._restored = True
                self._restores.observe(ids["seconds"])
            case Event.ABORTED | Event.INDEFINITE | Event.FENCED:
                self._why_not = text
            case Event.WAITING if not self.ready().ready:
                self._why_not = text

    def dropped(self) -> None:
        self._restored = False
        self._sight = None
        self._looked_at = -LOOK_EVERY_S

    def committed(self, records: int, rows: Sequence[tuple[Any, ...]], seconds: float) -> None:
        self._records.inc(records)
        self._rows.inc(len(rows))
        self._seconds.observe(seconds)
        self._batch.observe(records)
        self._window.append(seconds)
        now = self._monotonic()
        if now - self._sampled_at >= LOOK_EVERY_S:  # it costs a little for every row
            self._sampled_at = now
            self._touched.observe(len({row[:2] for row in rows}))

    def wants_sight(self, now_s: float) -> bool:
        return now_s - self._looked_at >= LOOK_EVERY_S

    def saw(self, sight: Sight) -> None:
        self._looked_at = self._monotonic()
        self._sight = sight

    # ------------------------------------------------------------------ other threads

    def ready(self) -> Ready:
        """Ready: the group has assigned partitions, and their state is restored; it may have assigned none."""
        assigned = self._assigned
        if assigned is None or (assigned and not self._restored):
            return Ready(False, self._why_not)
        return Ready(True, f"partitions {list(assigned)}" if assigned else "no partition for this one: standing by")

    def healthy(self) -> Ready:
        """Healthy: the loop moves, also while it waits for something."""
        still = self._monotonic() - self.alive_at()
        return Ready(still < STILL_S, f"the loop moved {still:.1f} s ago")

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Gauges, made at each scrape (the interface of prometheus_client's collectors)."""
        ready, window, sight = self.ready().ready, sorted(self._window), self._sight
        assigned = self._assigned or ()
        yield self._gauge("ready", "1: partitions are assigned and restored, or the group gave none.", [((), ready)])
        yield self._gauge(
            "assigned_partitions", "Partitions that the group gave to this worker.", [((), len(assigned))]
        )
        yield self._gauge(
            "loop_still_seconds", "Since the loop last moved.", [((), max(0.0, self._monotonic() - self.alive_at()))]
        )
        over = f"of the last {WINDOW} committed transactions, begin to commit; none before the first."
        for share in (50, 99):
            values = [((), percentile(window, share))] if window else []
            yield self._gauge(f"transaction_p{share}_seconds", f"{share} in 100 took at most this long, {over}", values)
        yield self._gauge(
            "lag_records",
            "Offsets between what is in the books and the end of the log as of the last fetch, at most a second ago. "
            "Counts transaction markers too; 0 when all is applied. An input that is paused is not fetched.",
            [] if sight is None else [(place, lag) for place, lag in sorted(sight.lag.items())],
            ("topic", "partition"),
        )
        yield self._gauge(
            "state_entries",
            "Entries of a stage's state in this worker, at most a second ago.",
            [] if sight is None else [((stage,), count) for stage, count in sorted(sight.entries.items())],
            ("stage",),
        )
        yield self._gauge(
            "dead_letters",
            "Dead letters that a stage has written from this worker's partitions, whoever ran it, since the topics "
            "were made. It moves with the partitions: sum it over a unit's workers.",
            [] if sight is None else [((stage,), count) for stage, count in sorted(sight.dead_letters.items())],
            ("stage",),
        )
        yield self._gauge(
            "buffered_records",
            "Fetched and not applied yet, at most a second ago.",
            [] if sight is None else [((), sight.buffered)],
        )
        yield self._gauge(
            "paused_inputs",
            "Inputs not fetched because they come faster than they are merged.",
            [] if sight is None else [((), sight.paused)],
        )

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """No metric is announced beforehand; otherwise the registry would call :meth:`collect` to find their names."""
        return ()

    def _gauge(
        self,
        name: str,
        text: str,
        values: Iterable[tuple[tuple[()] | tuple[str] | Place, float]],
        labels: tuple[str, ...] = (),
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"pipeline_{name}", text, labels=(*self._own, *labels))
        for own, value in values:
            family.add_metric([*self._own.values(), *map(str, own)], value)
        return family


def percentile(ordered: Sequence[float], share: int) -> float:
    """The smallest of ``ordered`` values that ``share`` in 100 of them do not exceed (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
