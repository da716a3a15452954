"""A unit of the pipeline, or one stage of it, under the real worker: BOOTSTRAP UNIT STATE_DIR [SLOT].

Schema ids come from a local list instead of a registry, which a worker asks only once, at its start.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline import topology
from pipeline.runtime.contracts.codec import Codec, LocalIds
from pipeline.runtime.kafka.clients import Kafka
from pipeline.runtime.process import run_unit
from pipeline.runtime.worker.worker import Deployment


def main(bootstrap_servers: str, name: str, state_dir: str, slot: str = "") -> int:
    unit = topology.unit_named(name)
    known = (*topology.single_units_of(topology.STAGES), *topology.units_of(topology.STAGES))
    units = {each.name: tuple(stage.name for stage in each.stages) for each in known}
    deployment = Deployment(Kafka(bootstrap_servers), Path(state_dir), topology.STAGES, units)
    return run_unit(
        unit.name,
        unit.stages,
        deployment,
        Codec(LocalIds()),
        slot=int(slot) if slot else None,
        say=lambda text: print(text, flush=True),
    )


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
