"""Running units: one here, or all of them, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from pipeline import topology
from pipeline.commands.setup import codec_for
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, WrongUse
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.observability.endpoint import Listen, variables
from pipeline.runtime.observability.log import wants_json, write_line
from pipeline.runtime.process import run_unit
from pipeline.runtime.settings import Settings
from pipeline.runtime.supervisor import Supervisor
from pipeline.runtime.worker.worker import Deployment
from pipeline.topology import AnyStage

Say = Callable[[str], None]
DESK: Final = "desk"
SECRET_VARIABLE: Final = "PIPELINE_WIRE_SECRET"
DESK_HOST_VARIABLE: Final = "PIPELINE_DESK_HOST"
DESK_PORT_VARIABLE: Final = "PIPELINE_DESK_PORT"
"""Where the desk serves its pages; default: 6066, on the loopback interface alone."""


def deployed_flow() -> tuple[AnyStage, ...]:
    """All stages, with the deployment's own wire secret when it has one. Raises WrongUse for one that is too short."""
    secret = os.environ.get(SECRET_VARIABLE)
    if not secret:
        return topology.STAGES
    if not 16 <= len(secret.encode()) <= 64:
        raise WrongUse(f"{SECRET_VARIABLE} must be 16 to 64 bytes long, not {len(secret.encode())}")
    return topology.flow(secret.encode())


def unit_names() -> list[str]:
    """What can be named after `run`: units, then stages as units of their own, then the desk."""
    units = [unit.name for unit in topology.UNITS]
    return [*units, *(unit.name for unit in topology.single_units_of(topology.STAGES) if unit.name not in units), DESK]


def run(
    settings: Settings,
    names: Sequence[str],
    say: Say = write_line,
    slot: int | None = None,
    metrics_port: str | None = None,
) -> int:
    """Run one unit in this process, or several in a process each."""
    unknown = [name for name in names if name not in unit_names()]
    if unknown:
        raise WrongUse(f"there is no unit or stage {', '.join(unknown)}: one of {', '.join(unit_names())}")
    if len(names) > 1:
        return supervise(settings, names, say, metrics_port=metrics_port)
    if names[0] == DESK:
        from pipeline.desk.app import DEFAULT_PORT, run_desk

        port = os.environ.get(DESK_PORT_VARIABLE) or str(DEFAULT_PORT)
        if not port.isdigit() or int(port) > 65_535:
            raise WrongUse(f"{DESK_PORT_VARIABLE} is {port!r}: it must be a port, 0 for any free one")
        return run_desk(settings, host=os.environ.get(DESK_HOST_VARIABLE) or "127.0.0.1", port=int(port))
    flow = deployed_flow()
    unit = topology.unit_named(names[0], flow)
    known = (*topology.single_units_of(flow), *topology.units_of(flow))
    units = {each.name: tuple(stage.name for stage in each.stages) for each in known}
    deployment = Deployment(Kafka(settings.bootstrap_servers), settings.state_dir, flow, units, snapshots=True)
    listen = Listen.read(metrics_port)
    return run_unit(unit.name, unit.stages, deployment, codec_for(settings), slot=slot, say=say, listen=listen)


def supervise(
    settings: Settings,
    names: Sequence[str],
    say: Say = print,
    log_dir: Path | None = None,
    metrics_port: str | None = None,
) -> int:
    """A process per unit until SIGTERM or SIGINT; 1 when one of them failed for good."""
    logs = log_dir or settings.state_dir / "logs"
    listen = Listen.read(metrics_port)
    wants_json()  # what cannot be is refused here, not by each unit in its log
    workers = [name for name in names if name != DESK]
    own = {name: variables(listen and listen.of_unit(number)) for number, name in enumerate(workers)}
    supervisor = Supervisor(names, logs, {**os.environ, **environment(settings)}, say, own)
    over = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    supervisor.start()
    say(f"{', '.join(names)}: started, logs in {logs}. End with Ctrl-C.")
    if listen and listen.port:
        ports = ", ".join(f"{name} {listen.port + number}" for number, name in enumerate(workers))
        say(f"metrics on {listen.host}: {ports}")
    elif listen:
        say(f"addresses of /metrics, /health and /ready: {settings.state_dir}/*.metrics")
    try:
        while not over.is_set() and not supervisor.failed:
            supervisor.look()
            time.sleep(0.2)
    finally:
        with contextlib.suppress(KeyboardInterrupt):
            supervisor.stop()
    return EXIT_FOUND if supervisor.failed else EXIT_GOOD


def environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process the same settings."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "SCHEMA_REGISTRY_URL": settings.registry_url,
        "PIPELINE_PARTITIONS": str(settings.partitions),
        "PIPELINE_SOURCES": ",".join(settings.sources),
        "PIPELINE_STATE_DIR": str(settings.state_dir),
    }
