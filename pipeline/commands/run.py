"""`pipeline run`: one unit in this process, or several, each in a process of its own."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Final

from pipeline.commands.grammar import Commands, command, settings_of, takes_parameters
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, WrongUse

if TYPE_CHECKING:
    from pipeline.runtime.settings import Settings

DESK_HOST_VARIABLE: Final = "PIPELINE_DESK_HOST"
DESK_PORT_VARIABLE: Final = "PIPELINE_DESK_PORT"
"""Where the desk serves its pages; default: 6066, on the loopback interface alone."""


def add(commands: Commands) -> None:
    """Add `pipeline run` and its options to ``commands``."""
    parser = command(
        commands, "run", "run units or stages until Ctrl-C", "run engine", "run netting slicing", "run --all",
        "run desk", "run --all --parameters today.toml",
        more="The units and their stages: pipeline topology. Topics, schemas and reference data come first "
        "(topics apply, schemas register, reference load).",
        handler=_run,
    )  # fmt: skip
    parser.add_argument("unit", nargs="*", help="a unit, or a stage as a unit of its own; several: a process each")
    parser.add_argument("--all", action="store_true", help="every unit and the desk, a process each")
    parser.add_argument(
        "--slot", type=int, metavar="NUMBER", help="this worker's slot in its unit; default: the first that is free"
    )
    takes_parameters(parser)
    parser.add_argument(
        "--metrics-port",
        metavar="PORT",
        help="serve /metrics, /health, /ready here (several units: here and on the ports that follow); "
        "0: any free port, which the log names (default); off",
    )


def _run(options: argparse.Namespace) -> int:
    from pipeline import topology
    from pipeline.commands.deployment import DESK

    names = list(options.unit)
    known = unit_names()
    if options.all == bool(names):
        raise WrongUse(f"name units or stages ({', '.join(known)}), or say --all")
    unknown = [name for name in names if name not in known]
    settings = settings_of(options)
    if unknown:
        raise WrongUse(f"there is no unit or stage {', '.join(unknown)}: one of {', '.join(known)}")
    if options.all:
        names = [unit.name for unit in topology.UNITS] + [DESK]
    if len(names) > 1:
        return _supervise(settings, names, options.metrics_port)
    if names[0] == DESK:
        return _run_desk(settings)
    return _run_unit(settings, names[0], options.slot, options.metrics_port)


def unit_names() -> list[str]:
    """What can be named after `run`: units, then stages as units of their own, then the desk."""
    from pipeline import topology
    from pipeline.commands.deployment import DESK

    units = [unit.name for unit in topology.UNITS]
    return [*units, *(unit.name for unit in topology.single_units_of(topology.STAGES) if unit.name not in units), DESK]


def _run_unit(settings: Settings, name: str, slot: int | None, metrics_port: str | None) -> int:
    """One unit, here; its log goes to standard output."""
    from pipeline import topology
    from pipeline.commands.deployment import codec_for, deployed_flow
    from pipeline.runtime.kafka.clients import Kafka
    from pipeline.runtime.observability.endpoint import Listen
    from pipeline.runtime.process import run_unit
    from pipeline.runtime.worker.worker import Deployment

    flow = deployed_flow(settings)
    unit = topology.unit_named(name, flow)
    known = (*topology.single_units_of(flow), *topology.units_of(flow))
    units = {each.name: tuple(stage.name for stage in each.stages) for each in known}
    deployment = Deployment(Kafka(settings.bootstrap_servers), settings.state_dir, flow, units, snapshots=True)
    listen = Listen.read(metrics_port)
    return run_unit(unit.name, unit.stages, deployment, codec_for(settings), slot=slot, listen=listen)


def _run_desk(settings: Settings) -> int:
    """The desk's display, here."""
    from pipeline.runtime.extras import Extra, needs

    with needs(Extra.DESK):
        from pipeline.desk.app import DEFAULT_PORT, run_desk

    port = os.environ.get(DESK_PORT_VARIABLE) or str(DEFAULT_PORT)
    if not (port.isascii() and port.isdigit() and len(port) <= 5) or int(port) > 65_535:
        raise WrongUse(f"{DESK_PORT_VARIABLE} is {port!r}: it must be a port, 0 for any free one")
    return run_desk(settings, host=os.environ.get(DESK_HOST_VARIABLE) or "127.0.0.1", port=int(port))


def _supervise(settings: Settings, names: Sequence[str], metrics_port: str | None) -> int:
    """A process per unit until SIGTERM or SIGINT; 1 when one of them failed for good."""
    from pipeline.commands.deployment import DESK, deployed_flow, environment
    from pipeline.runtime.extras import Extra, require
    from pipeline.runtime.observability.endpoint import Listen, variables
    from pipeline.runtime.observability.log import wants_json
    from pipeline.runtime.supervisor import Supervisor

    # What cannot be is refused here, not by each unit in its log.
    if DESK in names:
        require(Extra.DESK)
    wants_json()
    deployed_flow(settings)
    listen = Listen.read(metrics_port)
    logs = settings.state_dir / "logs"
    workers = [name for name in names if name != DESK]
    own = {name: variables(listen and listen.of_unit(number)) for number, name in enumerate(workers)}
    supervisor = Supervisor(names, logs, {**os.environ, **environment(settings)}, print, own)
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    supervisor.start()
    print(f"{', '.join(names)}: started, logs in {logs}. End with Ctrl-C.")
    if listen and listen.port:
        ports = ", ".join(f"{name} {listen.port + number}" for number, name in enumerate(workers))
        print(f"metrics on {listen.host}: {ports}")
    elif listen:
        print(f"addresses of /metrics, /health and /ready: {settings.state_dir}/*.metrics")
    try:
        while not stopping.is_set() and not supervisor.failed:
            supervisor.look()
            time.sleep(0.2)
    finally:
        with contextlib.suppress(KeyboardInterrupt):
            supervisor.stop()
    return EXIT_FOUND if supervisor.failed else EXIT_GOOD
