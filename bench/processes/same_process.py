"""The peers' work under the real worker: BOOTSTRAP NAME each|batch STATE_DIR."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.same_stage import SameIds, SameWork, install, nets_topic
from pipeline.runtime.contracts.codec import Codec
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.process import run_unit
from pipeline.runtime.worker.worker import Deployment


def main(bootstrap_servers: str, name: str, form: str, state_dir: str) -> int:
    install(nets_topic(name))
    stage = SameWork(name, each=form == "each")
    deployment = Deployment(Kafka(bootstrap_servers), Path(state_dir), (stage,), {name: (name,)})
    return run_unit(name, [stage], deployment, Codec(SameIds()), say=lambda text: print(text, flush=True))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
