"""A worker of the desk as a process: ``python -m tests.broker.desk_process BOOTSTRAP REGISTRY P STATE_DIR PORT``."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.desk.app import run_desk
from pipeline.runtime.settings import Settings


def main(bootstrap_servers: str, registry_url: str, partitions: str, state_dir: str, port: str) -> int:
    settings = Settings(bootstrap_servers, registry_url, int(partitions), (), Path(state_dir))
    return run_desk(settings, port=int(port), say=lambda text: print(text, flush=True))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
