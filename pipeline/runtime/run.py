"""Running a unit as a process: its slot, its signals, its watchdog, its exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from pipeline.runtime.codec import Codec
from pipeline.runtime.errors import EXIT_GOOD, PipelineError
from pipeline.runtime.garbage import only_the_young
from pipeline.runtime.slots import Slot
from pipeline.runtime.wiring import AnyStage
from pipeline.runtime.worker import Deployment, Worker

WATCHDOG_S: Final = 120.0
"""Every call to the broker is bounded, so the loop moves within seconds. Sending offsets has been seen to hang when the
coordinator goes (librdkafka 5511): then the process ends, and a new one restores what is committed."""
EXIT_HUNG: Final = 70


def run_unit(
    name: str,
    stages: Sequence[AnyStage],
    deployment: Deployment,
    codec: Codec,
    *,
    slot: int | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Work until SIGTERM or SIGINT; returns the exit code. Call from the main thread."""
    hanging = False
    code = EXIT_GOOD
    only_the_young()
    try:
        with Slot(name, deployment.state_dir, slot) as leased:
            worker = Worker(name, stages, deployment, codec, leased.name, say)

            def stop(_signal: int, _frame: FrameType | None) -> None:
                worker.stop()

            before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
            threading.Thread(target=_watch, args=(worker, say), daemon=True).start()
            try:
                worker.run()
            finally:
                hanging = worker.hanging
                for number, handler in before.items():
                    signal.signal(number, handler)
    except PipelineError as error:
        say(f"{name}: {error}")
        code = error.exit_code
    else:
        say(f"{name}: stopped in good order, {worker.committed} records committed")
    if hanging:
        sys.stdout.flush()
        os._exit(code)
    return code


def _watch(worker: Worker, say: Callable[[str], None]) -> None:
    while True:
        time.sleep(5)
        still = time.monotonic() - worker.alive_at
        if still > WATCHDOG_S:
            say(f"{worker.name}: no progress for {still:.0f} s: ending, so that another process can restore")
            os._exit(EXIT_HUNG)
