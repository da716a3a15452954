"""Running a unit as a process: its slot, its signals, its log and metrics, its watchdog, its exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from pipeline.errors import EXIT_GOOD, PipelineError
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.observability.endpoint import Endpoint, Listen
from pipeline.runtime.observability.log import EventLog, wants_json, write_line
from pipeline.runtime.observability.telemetry import Telemetry
from pipeline.runtime.worker.gc_tuning import only_the_young
from pipeline.runtime.worker.observer import Event
from pipeline.runtime.worker.slots import Slot
from pipeline.runtime.worker.task_group import Poisoned
from pipeline.runtime.worker.wiring import AnyStage
from pipeline.runtime.worker.worker import Deployment, Worker

WATCHDOG_S: Final = 120.0
"""Every call to the broker is bounded, so the loop moves within seconds. Should one hang all the same (sending offsets
has been seen to, when the coordinator goes: librdkafka 5511), the process ends, and a new one restores what is
committed."""
EXIT_HUNG: Final = 70


def run_unit(
    name: str,
    stages: Sequence[AnyStage],
    deployment: Deployment,
    codec: Codec,
    *,
    slot: int | None = None,
    say: Callable[[str], None] = write_line,
    listen: Listen | None = None,
) -> int:
    """Work until SIGTERM or SIGINT; returns the exit code. Call from the main thread.

    ``say`` gets the log, a line an event. ``listen``: where metrics and readiness are served; None: nowhere.
    """
    log = EventLog(say, as_json=wants_json(), unit=name, pid=os.getpid())
    hanging = False
    code = EXIT_GOOD
    only_the_young()
    try:
        with contextlib.ExitStack() as stack:
            leased = stack.enter_context(Slot(name, deployment.state_dir, slot))
            log.ids["slot"] = leased.name
            telemetry = Telemetry(name, leased.name, log)
            worker = Worker(name, stages, deployment, codec, leased.name, observer=telemetry)
            telemetry.alive_at = lambda: worker.alive_at
            if listen is not None:
                endpoint = Endpoint(telemetry, listen, deployment.state_dir / f"{leased.name}.metrics")
                stack.enter_context(endpoint)
                log.event(Event.NOTE, f"serves {endpoint.address}/metrics, /health, /ready", address=endpoint.address)

            def stop(_signal: int, _frame: FrameType | None) -> None:
                worker.stop()

            before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
            threading.Thread(target=_watch, args=(worker, telemetry), daemon=True).start()
            try:
                worker.run()
            finally:
                hanging = worker.hanging
                for number, handler in before.items():
                    signal.signal(number, handler)
    except PipelineError as error:
        if isinstance(error, Poisoned):
            log.event(Event.POISONED, str(error), stage=error.stage, position=error.position)
        else:
            log.event(Event.FAILED, str(error), error=type(error).__name__)
        code = error.exit_code
    else:
        done = worker.committed
        log.event(Event.STOPPED, f"stopped in good order, {done} records committed", records=done)
    if hanging:
        sys.stdout.flush()
        os._exit(code)
    return code


def _watch(worker: Worker, telemetry: Telemetry) -> None:
    while True:
        time.sleep(5)
        still = time.monotonic() - worker.alive_at
        if still > WATCHDOG_S:
            text = f"no progress for {still:.0f} s: ending, so that another process can restore"
            telemetry.event(Event.HUNG, text, seconds=round(still))
            os._exit(EXIT_HUNG)
