"""Times an audit of what a cluster has recorded: BOOTSTRAP PARTITIONS. Prints one JSON line at its end."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from pipeline.runtime.auditing import verify
from pipeline.runtime.contracts.codec import LocalIds
from pipeline.runtime.settings import Settings


def main(bootstrap_servers: str, partitions: str) -> int:
    settings = Settings(bootstrap_servers, "none", int(partitions), (), Path("/nonexistent"))
    said: list[str] = []
    begun = time.monotonic()
    code = verify.verify(settings, said.append, schemas=LocalIds())
    seconds = time.monotonic() - begun
    kib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print("\n".join(said), flush=True)
    print(json.dumps({"seconds": seconds, "peak_mb": kib * 1024 / 1e6, "code": code}), flush=True)
    return code


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
