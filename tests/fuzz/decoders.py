"""Coverage-guided fuzzing of what reads bytes from outside: ``make fuzz-decoders``.

    python -m tests.fuzz.decoders [--seconds 60] [--target NAME]

Avro decoders, the resolver of other versions' records, CSV and JSON readers, recorded market files (`readers.py`). Each
target runs in a process of its own for so many seconds, from a few valid inputs; any exception but the documented ones
ends it, with the bytes in `.fuzz/`. Needs atheris: `make fuzz-decoders` puts it into `.fuzz/`, and nowhere else.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / ".fuzz"
UNLED: Final = ["pipeline.runtime.contracts.avro_code", "pipeline.runtime.contracts.avro_resolve"]
"""Run as they are: with them instrumented the process dies by a signal (seen with atheris 2.3 on Python 3.11). The same
inputs raise only what is documented when atheris is not there; so its part in it is supposed, not proved."""
NAMES: Final = (
    "avro", "avro-newer", "avro-header", "avro-schema", "orders-csv", "orders-json", "reference", "lobster",
)  # fmt: skip
"""The targets. Their code is imported by the process that fuzzes it, under atheris."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 1 when a target raised what it does not document."""
    parser = argparse.ArgumentParser(prog="make fuzz-decoders")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=2012)
    parser.add_argument("--target", choices=NAMES, help="this one alone")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.in_this_process:
        _fuzz(asked.target, asked.seconds, asked.seed)
    failing = []
    for name in [asked.target] if asked.target else NAMES:
        own = ["--target", name, "--seconds", str(asked.seconds), "--seed", str(asked.seed), "--in-this-process"]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.decoders", *own], cwd=ROOT, capture_output=True, text=True
        )
        said = (done.stdout + done.stderr).splitlines()
        runs = next((line for line in said if line.startswith("Done ")), f"ended with {done.returncode}")
        print(f"{name:<14} {runs}", flush=True)
        if done.returncode:
            failing.append(name)
            print("\n".join(line for line in said if not line.startswith(("#", "INFO")))[-3000:])
    print(f"{len(failing)} of {len(NAMES)} targets raise what they do not document: {', '.join(failing) or 'none'}")
    return 1 if failing else 0


def _fuzz(name: str, seconds: int, seed: int) -> None:
    """Runs the target; never returns. libFuzzer ends the process, with 77 after an exception."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["pipeline"], exclude=UNLED):
        target: Any = importlib.import_module("tests.fuzz.readers").TARGETS[name]
    corpus = FOLDER / "inputs" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.begin_with):
        (corpus / f"valid-{number}").write_bytes(data)

    def one(data: bytes) -> None:
        try:
            target.read(data)
        except target.documented:
            return

    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-artifact_prefix={FOLDER}/{name}-",
        "-rss_limit_mb=4096",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
