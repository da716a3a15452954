"""Coverage-guided fuzzing of what reads bytes from outside: ``make fuzz-decoders``.

    python -m tests.fuzz.decoders [--seconds 60] [--target NAME]

Avro decoders, the resolver of other versions' records, CSV and JSON readers, recorded market files. Each target runs in
a process of its own for so many seconds, from a few valid inputs; any exception but the documented ones ends it, with
the bytes in `.fuzz/`. Needs atheris: `make fuzz-decoders` puts it into `.fuzz/`, beside nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.domain.orders import OrderRequest, RequestKind, Side
from pipeline.gateways import orders_file, reference_file
from pipeline.runtime.contracts.avro_resolve import Resolver
from pipeline.runtime.contracts.codec import Codec, LocalIds, Registered, Undecodable
from pipeline.runtime.contracts.schemas import contract_text
from pipeline.simulator.market import lobster
from pipeline.topics import TOPICS

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / ".fuzz"


class Target(NamedTuple):
    """A function of bytes, the exceptions it documents, and valid inputs to begin with."""

    read: Callable[[bytes], object]
    documented: tuple[type[Exception], ...]
    begin_with: tuple[bytes, ...]


class _Newer(LocalIds):
    """A registry in which every schema has a field more than ours, and its fields in another order."""

    def lookup(self, schema_id: int) -> Registered | None:
        known = super().lookup(schema_id)
        if known is None:
            return None
        schema = json.loads(known.text)
        extra = {"name": "of_tomorrow", "type": {"type": "map", "values": ["null", "long", "double", "bytes"]}}
        schema["fields"] = [extra, *reversed(schema["fields"])]
        return Registered(json.dumps(schema), known.subjects)


def _decode(codec: Codec) -> Callable[[bytes], object]:
    """The first byte chooses a topic, the rest is the body of its record."""

    def read(data: bytes) -> object:
        number = data[0] % len(TOPICS) if data else 0
        header = b"\x00" + (number + 1).to_bytes(4, "big")
        return codec.decode(TOPICS[number].name, header + data[1:])

    return read


def _whole(data: bytes) -> object:
    return Codec(LocalIds()).decode("orders-in", data)


def _schema(data: bytes) -> object:
    """A writer's schema, a zero byte, and a record of it."""
    text, _, body = data.partition(b"\x00")
    return Resolver(text.decode("utf-8", "replace"), OrderRequest).decode(body, 0)


def _lobster(data: bytes) -> object:
    line = data.decode("utf-8", "replace")
    try:
        return lobster.parse_message(line)
    except lobster.TapeError:
        return lobster.parse_book(line)


_ORDER: Final = OrderRequest(
    kind=RequestKind.NEW, source="s", cl_ord_id="1", account="a", instrument="I", side=Side.BUY, order_qty=5
)  # fmt: skip
_BODY: Final = Codec(LocalIds()).encode_body(_ORDER)
_JSON: Final = msgspec.json.encode(_ORDER)

TARGETS: Final[dict[str, Target]] = {
    "avro": Target(_decode(Codec(LocalIds())), (Undecodable,), (b"\x00" + _BODY,)),
    "avro-newer": Target(_decode(Codec(_Newer())), (Undecodable,), (b"\x00\x00" + _BODY,)),
    "avro-header": Target(_whole, (Undecodable,), (b"\x00\x00\x00\x00\x01" + _BODY,)),
    "avro-schema": Target(
        _schema,
        # What the codec takes for a schema, or a record, that cannot be read.
        (ValueError, LookupError, TypeError, RecursionError, msgspec.ValidationError),
        (contract_text(OrderRequest).encode() + b"\x00" + _BODY, b'{"type":"map","values":"long"}\x00\x02\x02a\x02'),
    ),
    "orders-csv": Target(
        lambda data: list(orders_file.parse_csv(data.splitlines(keepends=True))),
        (),
        (b"kind,source,cl_ord_id,side,order_qty\nNEW,s,1,BUY,5\n", b'kind,source\n"NEW","a""b"\n'),
    ),
    "orders-json": Target(
        lambda data: list(orders_file.parse_json_lines(data.splitlines(keepends=True))), (), (_JSON + b"\n",)
    ),
    "reference": Target(
        lambda data: reference_file.examine(data.splitlines(keepends=True)),
        (),
        (b'{"topic":"accounts","kind":"SET","account":"A","effective_ns":0,"source":"s","owner":"o","control_group":"g"}',),
    ),
    "lobster": Target(_lobster, (lobster.TapeError,), (b"34200.1,1,5,100,2200000,-1\n", b"10,1,9,2,11,1,8,2\n")),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 1 when a target raised what it does not document."""
    parser = argparse.ArgumentParser(prog="make fuzz-decoders")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=2012)
    parser.add_argument("--target", choices=sorted(TARGETS), help="this one alone")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.in_this_process:
        _fuzz(asked.target, asked.seconds, asked.seed)
    failing = []
    for name in [asked.target] if asked.target else TARGETS:
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
    print(f"{len(failing)} of {len(TARGETS)} targets raise what they do not document: {', '.join(failing) or 'none'}")
    return 1 if failing else 0


def _fuzz(name: str, seconds: int, seed: int) -> None:
    """Runs the target; never returns. libFuzzer ends the process, with 77 after an exception."""
    atheris: Any = importlib.import_module("atheris")
    target, corpus = TARGETS[name], FOLDER / "inputs" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.begin_with):
        (corpus / f"valid-{number}").write_bytes(data)

    def one(data: bytes) -> None:
        try:
            target.read(data)
        except target.documented:
            return

    atheris.instrument_all()
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
