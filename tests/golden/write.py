"""Write what is kept of the contracts: `python -m tests.golden.write`, after a change of the domain's records.

Before the first release a changed contract rewrites its version 1; with ``--released`` it gets its next version.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.runtime.contracts import checks, schemas
from pipeline.runtime.contracts.avro_code import compiled
from pipeline.topics import TOPICS
from tests.golden.samples import sample

BYTES_DIR = Path(__file__).parent / "bytes"


def main(*arguments: str) -> None:
    print("rendered:", schemas.write())
    print("kept:", checks.freeze(released="--released" in arguments))
    for topic in TOPICS:
        number = len(checks.earlier_versions(topic))
        path = BYTES_DIR / f"{topic.schema}.v{number}.hex"
        text = compiled(topic.record).encode(sample(topic.record)).hex() + "\n"
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print("bytes:", path.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
