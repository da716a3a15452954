"""`pipeline demo`: the whole life of thousands of orders on a real broker, audited at the end."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pipeline import topics, topology
from pipeline.commands.deployment import DESK, codec_for, deployed_parameters, edge, environment
from pipeline.commands.schemas import register_schemas
from pipeline.commands.topics import apply_topics, plan_topics
from pipeline.demo import alone, summary
from pipeline.demo.live import Live
from pipeline.demo.monitor import Monitor
from pipeline.demo.reference_data import SOURCES
from pipeline.demo.scenario import Scenario, scenario
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, PipelineError, WrongUse
from pipeline.runtime.auditing.verify import audit, copy_of
from pipeline.runtime.embedded.platform import connect
from pipeline.runtime.extras import Extra, require
from pipeline.runtime.health import unit_is_healthy
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.settings import DEFAULT_PARTITIONS, Settings, parameters_file
from pipeline.runtime.supervisor import Supervisor
from pipeline.topology import AnyStage

_READY_S: Final = 180.0
_SETTLE_S: Final = 120.0
"""After the market's end, so long without a new record means that what is open will not finish; wall seconds."""


def demo(
    *,
    orders: int,
    seconds: int,
    rate: int,
    seed: int,
    max_backlog_s: float = 60.0,
    save: Path | None = None,
    kill: Sequence[str] = (),
    unit_per_stage: bool = False,
    parameters: Path | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Run the demo; returns 0 when the books balance and the audit verifies, else 1.

    ``seconds`` of market time, ``rate`` times as fast as real time; ``kill``: UNIT@SECOND (wall time) to end with
    kill -9; ``save``: a folder for report and logs. Raises WrongUse for an unknown unit, a broken
    MARKET or a cluster that is not empty, Unreachable when the broker or the registry does not answer.
    """
    chosen = topology.single_units_of(topology.STAGES) if unit_per_stage else topology.UNITS
    units = [unit.name for unit in chosen]
    kills = [_kill(text, units) for text in kill]
    named = parameters_file(parameters)
    stages = topology.flow(deployed_parameters(named))
    require(Extra.DESK)
    today = scenario(orders=orders, seconds=seconds, seed=seed, max_backlog_s=max_backlog_s)
    signal.signal(signal.SIGTERM, _stop)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pipeline-demo-") as folder, connect() as platform:
        work = Path(folder)
        settings = Settings(
            platform.bootstrap_servers,
            platform.registry_url,
            int(os.environ.get("PIPELINE_PARTITIONS") or DEFAULT_PARTITIONS),
            SOURCES,
            work / "state",
            named,
        )
        say(f"broker {settings.bootstrap_servers}, registry {settings.registry_url}"
            f"{' (embedded, gone when this ends)' if platform.owned else ''}")  # fmt: skip
        _require_unused(settings)
        set_up(settings, today, say)
        say(f"market: {today.title}")
        say(f"{len(today.sendings)} requests in {seconds} s of market time, {rate} times as fast as real time")
        with units_running(settings, work / "logs", say, units) as supervisor:
            requests = today.requests()
            with Monitor(settings.bootstrap_servers, settings.partitions, codec_for(settings)) as monitor:
                with Live(today, settings, rate, say, lambda: monitor.seen.all_finished(requests)) as live:
                    complete = watch(today, live, monitor, supervisor, kills, say)
                restarts = supervisor.restarts
            seen = monitor.seen
        if not complete:
            unanswered = len(today.requests() - seen.answered)
            say(f"the books did not close: {seen.open_orders} orders are open, {unanswered} requests not answered")
            return EXIT_FOUND
        return _judge(today, settings, stages, work, restarts, began, save, say)


def _judge(
    today: Scenario,
    settings: Settings,
    stages: Sequence[AnyStage],
    work: Path,
    restarts: dict[str, int],
    began: float,
    save: Path | None,
    say: Callable[[str], None],
) -> int:
    """From the recorded topics: replay every stage, add up the books, compare costs, and report."""
    # The comparison runs beside the audit: there are two cores.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        market = os.environ.get("MARKET")
        apart = pool.submit(alone.run_alone, today.asked, market, stages)
        recording = copy_of(settings, work, lambda text: None)
        say(
            f"{recording.records:,} records on {len(recording.topics)} topics; every stage is replayed twice from them:"
        )
        verified = audit(recording, stages, lambda text: say("  " + text), runs=2)
        books = summary.read_books(recording)
        lines = summary.lines(today, books, restarts)
        say("comparing with the same orders sent alone through the same market, in memory …")
        savings = apart.result()
    report = "\n".join([*lines, "", *summary.saved(books, savings), "", verified.text()])
    say("")
    say(report)
    good = verified.verified and summary.balanced(books)
    say("")
    say(f"{'The books balance and every decision is verified' if good else 'SOMETHING DOES NOT HOLD, see above'}; "
        f"{time.monotonic() - began:.0f} s in all.")  # fmt: skip
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        (save / "report.txt").write_text(report + "\n", encoding="utf-8")
        logs = save / "logs"
        shutil.copytree(work / "logs", logs, dirs_exist_ok=True)
        say(f"kept in {save}")
    return EXIT_GOOD if good else EXIT_FOUND


def set_up(settings: Settings, today: Scenario, say: Callable[[str], None]) -> None:
    """Make the topics, register the contracts, publish the reference data.

    Raises WrongUse when the cluster has topics that are not as the demo needs them.
    """
    quiet: Callable[[str], None] = lambda text: None  # noqa: E731 - the details are for `pipeline topics` and `schemas`
    if apply_topics(settings, quiet) != EXIT_GOOD:
        plan_topics(settings, say)
        raise WrongUse("the topics of this cluster are not as the demo needs them, see above")
    register_schemas(settings, quiet)
    writer = edge(settings, "reference", say)
    writer.write(today.reference())
    say(f"{len(topics.TOPICS)} topics, their contracts and the reference data are in place")


def _require_unused(settings: Settings) -> None:
    """The demo counts every record on the cluster: its books could not balance where another run has left some."""
    admin = Kafka(settings.bootstrap_servers).admin()
    if topics.JOURNAL.name in admin.list_topics(timeout=15).topics:
        raise WrongUse(
            f"Kafka at {settings.bootstrap_servers} has a journal already: the demo needs a cluster of its own. Unset "
            "KAFKA_BOOTSTRAP_SERVERS and SCHEMA_REGISTRY_URL, and it starts one; or point them to an empty one."
        )


@contextmanager
def units_running(
    settings: Settings, logs: Path, say: Callable[[str], None], units: Sequence[str] = ()
) -> Iterator[Supervisor]:
    """A context in which every unit and the desk run; entered once all units are ready.

    Raises PipelineError when a unit fails or is not ready within a minute.
    """
    env = {**os.environ, **environment(settings)}
    names = list(units) or [unit.name for unit in topology.UNITS]
    supervisor = Supervisor([*names, DESK], logs, env, say)
    supervisor.start()
    try:
        admin = Kafka(settings.bootstrap_servers).admin()
        waiting = names
        deadline = time.monotonic() + _READY_S
        while waiting:
            supervisor.look()
            if supervisor.failed or time.monotonic() > deadline:
                raise PipelineError(f"not ready: {', '.join(supervisor.failed or waiting)}; logs in {logs}")
            waiting = [name for name in waiting if not _is_ready(admin, name)]
            time.sleep(0.2)
        say(f"units {', '.join(names)} are running; the desk's page: {desk_url()}")
        yield supervisor
    finally:
        supervisor.stop()


def _is_ready(admin: AdminClient, unit: str) -> bool:
    try:
        return unit_is_healthy(admin, unit, here=None)
    except KafkaException:
        return False  # the group's coordinator is not ready itself: try again


def desk_url() -> str:
    """The address of the desk's page."""
    return f"http://127.0.0.1:{os.environ.get('PIPELINE_DESK_PORT') or 6066}/"


def watch(
    today: Scenario,
    live: Live,
    monitor: Monitor,
    supervisor: Supervisor,
    kills: list[tuple[str, float]],
    say: Callable[[str], None],
) -> bool:
    """Show progress and kill the units of ``kills`` in their seconds, until every order is finished.

    Returns False when after the market's end nothing happens for two minutes. Raises PipelineError when a unit fails.
    """
    started = time.monotonic()
    requests = today.requests()
    pending = sorted(kills, key=lambda each: each[1])
    shown_at, ended_at, still_at, records = 0.0, 0.0, 0.0, -1
    tty = sys.stdout.isatty()
    while True:
        time.sleep(0.1)
        now = time.monotonic() - started
        supervisor.look()
        if supervisor.failed:
            raise PipelineError(f"{', '.join(supervisor.failed)} failed: see above")
        if pending and now >= pending[0][1]:
            unit = pending.pop(0)[0]
            say(f"kill -9 {unit} (pid {supervisor.pid_of(unit)})")
            os.kill(supervisor.pid_of(unit), signal.SIGKILL)
        seen = monitor.seen
        if now - shown_at >= (0.5 if tty else 5):
            shown_at = now
            second = (live.now_ns - today.day.open_ns) // 1_000_000_000
            line = (
                f"{second:4d} s  orders {seen.accepted:5d} (open {seen.open_orders:5d})  parents {seen.parents:4d} "
                f"(done {seen.parents_done:4d})  children {seen.children:6d}  at venues {seen.exposure_qty:5d}  "
                f"fills {seen.fills:5d}  executed {seen.executed_qty:6d}  crossed {seen.crossed_qty:6d}"
            )
            print(f"\r{line}" if tty else line, end="" if tty else "\n", flush=True)
        if live.now_ns < today.end_ns or pending:
            continue
        ended_at = ended_at or now
        if seen.records != records:
            records, still_at = seen.records, now
        # Finished when every order is and no record has come for a while: reports and cost rows follow the last order.
        if live.over and seen.all_finished(requests) and now - still_at > 2:
            if tty:
                print()
            return True
        if now - max(ended_at, still_at) > _SETTLE_S:
            return False


def _kill(text: str, units: Sequence[str]) -> tuple[str, float]:
    unit, _, second = text.partition("@")
    if unit not in units or not second.replace(".", "", 1).isdigit():
        raise WrongUse(f"--kill {text}: UNIT@SECOND, where UNIT is one of {', '.join(units)}")
    return unit, float(second)


def _stop(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
