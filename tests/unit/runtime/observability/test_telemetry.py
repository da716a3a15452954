"""What a worker's observer makes of its life: readiness, counts, quantiles; and what the endpoint answers."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import PortTaken, WrongUse
from pipeline.runtime import health
from pipeline.runtime.observability.endpoint import Endpoint, Listen, variables
from pipeline.runtime.observability.log import EventLog
from pipeline.runtime.observability.telemetry import LOOK_EVERY_S, STILL_S, WINDOW, Telemetry, percentile
from pipeline.runtime.worker.observer import Event, Sight, sight_of


class Watched:
    """A telemetry with a clock of its own."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.lines: list[str] = []
        self.telemetry = Telemetry("engine", "engine-0", EventLog(self.lines.append), lambda: self.now_s, process=False)
        self.telemetry.alive_at = lambda: 100.0

    def value(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(name, {"unit": "engine", "slot": "engine-0", **labels})

    def event(self, event: Event, **ids: Any) -> None:
        self.telemetry.event(event, f"it is {event}", **ids)

    def started(self, partitions: list[int]) -> None:
        self.event(Event.STARTED, cluster="c")
        self.event(Event.ASSIGNED, partitions=partitions)
        self.telemetry.dropped()  # adopting begins by forgetting

    def prepared(self) -> None:
        self.event(Event.READY, seconds=0.2)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_ready_means_restored_and_assigned(watched: Watched) -> None:
    ready = watched.telemetry.ready
    assert ready() == (False, "starting")
    watched.event(Event.WAITING)
    assert ready() == (False, "it is waiting")
    watched.started([0, 1])
    assert ready() == (False, "restoring partitions [0, 1]")
    assert watched.value("pipeline_ready") == 0
    watched.prepared()
    assert ready() == (True, "partitions [0, 1]")
    assert watched.value("pipeline_ready") == 1
    watched.event(Event.WAITING)  # Kafka is away: what is restored stays so
    assert ready().ready


@pytest.mark.parametrize("event", [Event.REVOKED, Event.LOST])
def test_without_its_partitions_it_is_not_ready_until_they_are_back(watched: Watched, event: Event) -> None:
    watched.started([0, 1])
    watched.prepared()
    watched.event(event, partitions=[0, 1])
    watched.telemetry.dropped()
    assert watched.telemetry.ready() == (False, f"it is {event}")
    watched.event(Event.ASSIGNED, partitions=[1])
    assert watched.telemetry.ready() == (False, "restoring partitions [1]")
    watched.prepared()
    assert watched.telemetry.ready() == (True, "partitions [1]")


@pytest.mark.parametrize("event", [Event.ABORTED, Event.INDEFINITE, Event.FENCED])
def test_after_a_transaction_that_did_not_end_well_it_restores_first(watched: Watched, event: Event) -> None:
    watched.started([0])
    watched.prepared()
    watched.telemetry.dropped()
    watched.event(event)
    assert watched.telemetry.ready() == (False, f"it is {event}")
    watched.prepared()
    assert watched.telemetry.ready().ready
    assert watched.value("pipeline_events_total", event=event) == 1


def test_a_member_whom_the_group_gave_nothing_is_ready_and_says_so(watched: Watched) -> None:
    watched.started([])
    assert watched.telemetry.ready() == (True, "no partition for this one: standing by")


def test_a_worker_that_stops_is_not_ready(watched: Watched) -> None:
    watched.started([0])
    watched.prepared()
    watched.event(Event.STOPPING)
    assert not watched.telemetry.ready().ready


def test_a_loop_that_stands_still_is_not_healthy(watched: Watched) -> None:
    assert watched.telemetry.healthy().ready
    watched.now_s += STILL_S
    assert not watched.telemetry.healthy().ready
    assert watched.value("pipeline_loop_still_seconds") == STILL_S


def test_transactions_are_counted_and_quantiles_forget(watched: Watched) -> None:
    assert watched.value("pipeline_transaction_p50_seconds") is None, "before the first there is none"
    for number in range(1, 101):
        watched.telemetry.committed(10, [("bars", 0), ("bars", 0), ("bars", 1)], number / 1000)
    assert watched.value("pipeline_records_total") == 1000
    assert watched.value("pipeline_rows_total") == 300
    assert watched.value("pipeline_batch_records_sum") == 1000
    assert watched.value("pipeline_transaction_seconds_count") == 100
    assert watched.value("pipeline_transaction_p50_seconds") == 0.050
    assert watched.value("pipeline_transaction_p99_seconds") == 0.099
    assert watched.value("pipeline_transaction_partitions_count") == 1, "one a second is looked at"
    assert watched.value("pipeline_transaction_partitions_sum") == 2, "bars/0 and bars/1"
    for _ in range(WINDOW):
        watched.telemetry.committed(1, [("bars", 0)], 0.001)
    assert watched.value("pipeline_transaction_p99_seconds") == 0.001


def test_a_quantile_is_the_nearest_rank() -> None:
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0], 50) == 1.0
    assert percentile([1.0, 2.0], 99) == 2.0
    assert percentile([float(n) for n in range(1, 1001)], 99) == 990.0


def test_what_it_holds_is_shown_until_it_is_dropped(watched: Watched) -> None:
    assert watched.telemetry.wants_sight(watched.now_s)
    watched.telemetry.saw(Sight({("orders", 1): 7}, {"netting": 5}, {"netting": 2}, buffered=3, paused=1))
    assert not watched.telemetry.wants_sight(watched.now_s + LOOK_EVERY_S / 2)
    assert watched.telemetry.wants_sight(watched.now_s + LOOK_EVERY_S)
    shown = {
        "lag_records": {"topic": "orders", "partition": "1"},
        "state_entries": {"stage": "netting"},
        "dead_letters": {"stage": "netting"},
        "buffered_records": {},
        "paused_inputs": {},
    }
    assert [watched.value(f"pipeline_{name}", **labels) for name, labels in shown.items()] == [7, 5, 2, 3, 1]
    watched.telemetry.dropped()
    assert [watched.value(f"pipeline_{name}", **labels) for name, labels in shown.items()] == [None] * 5


class Ends:
    """A consumer that knows the ends of logs."""

    def __init__(self, high: int) -> None:
        self.high = high

    def get_watermark_offsets(self, _place: TopicPartition, *, cached: bool) -> tuple[int, int]:
        assert cached, "nobody is asked"
        return 0, self.high


class Waiting:
    def __init__(self, count: int) -> None:
        self.buffered = count

    def size(self, _name: str) -> int:
        return self.buffered


class Quiet:
    touched = False
    tasks = ()


@pytest.mark.parametrize(
    ("high", "sent", "eof", "waits", "lag", "why"),
    [
        (10, 4, 0, 6, 6, "six records are not in the books"),
        (10, 9, 10, 0, 0, "the last offset is a transaction's marker: all is applied"),
        (10, 4, 10, 6, 6, "fetched to the end, and still not applied"),
        (12, 9, 10, 0, 2, "something came after the end that was met"),
        (10, 12, 0, 0, 0, "the end was fetched before"),
        (-1001, 4, 0, 0, None, "nothing was fetched yet"),
        (10, -1, 0, 0, None, "restored, nothing sent yet"),
    ],
)
def test_lag_is_what_is_not_in_the_books(high: int, sent: int, eof: int, waits: int, lag: int | None, why: str) -> None:
    place = ("orders", 0)
    sight = sight_of(Ends(high), {0: Quiet()}, {0: Waiting(waits)}, (), {place: sent}, {place: eof})  # type: ignore[arg-type, dict-item]
    assert sight.lag.get(place) == lag, why
    assert sight.buffered == waits


# ---------------------------------------------------------------------- the endpoint


def get(address: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_the_endpoint_answers_says_where_and_leaves_nothing(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_STATE_DIR", str(tmp_path))
    file = tmp_path / "engine-0.metrics"
    with Endpoint(watched.telemetry, Listen(), file) as endpoint:
        address, port = endpoint.address, endpoint.address.rpartition(":")[2]
        assert file.read_text() == f"{address}\n"
        assert get(f"{address}/ready")[::2] == (503, "starting\n")
        assert health.main(["ready", "engine-0"]) == health.main(["ready", port]) == 1
        assert capsys.readouterr().err == "starting\n" * 2
        watched.started([0, 1])
        watched.prepared()
        assert get(f"{address}/ready")[::2] == (200, "partitions [0, 1]\n")
        assert health.main(["ready", "engine-0"]) == health.main(["ready", port]) == 0
        assert get(f"{address}/health")[0] == 200
        watched.now_s += STILL_S
        assert get(f"{address}/health")[0] == 503
        assert get(f"{address}/else")[0] == 404
        status, kind, text = get(f"{address}/metrics?name=all")
        assert status == 200
        assert kind.startswith("text/plain; version=")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert families["pipeline_ready"].samples[0].value == 1
        assert all(family.documentation.endswith((".", "1.")) for family in families.values())
        with pytest.raises(PortTaken, match=port):
            Endpoint(watched.telemetry, Listen(int(port)), tmp_path / "other.metrics")
    assert not file.exists()
    assert health.main(["ready", "engine-0"]) == health.main(["ready", port]) == 1


def test_a_port_is_a_port_or_off() -> None:
    assert Listen.read(env={}) == Listen(0, "127.0.0.1"), "any free one, on the loopback"
    assert Listen.read("9464", {"PIPELINE_METRICS_PORT": "1"}) == Listen(9464)
    assert Listen.read(env={"PIPELINE_METRICS_PORT": "1", "PIPELINE_METRICS_HOST": "0.0.0.0"}) == Listen(1, "0.0.0.0")
    assert Listen.read(env={"PIPELINE_METRICS_PORT": "off"}) is None
    for wrong in ("http", "65536", "-1"):
        with pytest.raises(WrongUse, match=wrong):
            Listen.read(wrong, {})


def test_units_of_one_start_get_ports_in_a_row() -> None:
    assert [Listen(9464).of_unit(number).port for number in range(3)] == [9464, 9465, 9466]
    assert Listen(0).of_unit(2).port == 0
    for listen in (Listen(9465, "0.0.0.0"), Listen(), None):
        assert Listen.read(env=variables(listen)) == listen
