"""A worker of the desk as a process: ``python -m tests.broker.desk_process BOOTSTRAP REGISTRY P STATE_DIR PORT``."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.desk import app
from pipeline.runtime.settings import Settings

STANDSTILL_S = 60.0
"""In production 10 s: a worker on a busy machine is not to be taken for one that has lost a record."""


def main(bootstrap_servers: str, registry_url: str, partitions: str, state_dir: str, port: str) -> int:
    settings = Settings(bootstrap_servers, registry_url, int(partitions), (), Path(state_dir))
    app.STANDSTILL_S = STANDSTILL_S  # type: ignore[misc]  # a constant in production
    return app.run_desk(settings, port=int(port), say=lambda text: print(text, flush=True))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
