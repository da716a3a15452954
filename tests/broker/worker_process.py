"""A worker of the sample stages as a process: ``python -m tests.broker.worker_process BOOTSTRAP UNIT STATE_DIR``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.observability.endpoint import Listen
from pipeline.runtime.process import run_unit
from pipeline.runtime.worker.exclusivity import SESSION_S
from pipeline.runtime.worker.worker import Deployment
from tests.sample_stages import Adder, Repeater

FLOW = (Adder(), Repeater())
UNITS = {"both": ("adder", "repeater"), "adder": ("adder",), "repeater": ("repeater",)}


SESSION_VARIABLE = "PIPELINE_TESTS_SESSION_S"
"""How long the group waits for a silent member; default: as in production."""


def main(bootstrap_servers: str, unit: str, state_dir: str) -> int:
    stages = [stage for stage in FLOW if stage.name in UNITS[unit]]
    session_s = float(os.environ.get(SESSION_VARIABLE) or SESSION_S)
    deployment = Deployment(Kafka(bootstrap_servers), Path(state_dir), FLOW, UNITS, snapshots=True, session_s=session_s)
    return run_unit(unit, stages, deployment, Codec(LocalIds()), listen=Listen.read())


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
