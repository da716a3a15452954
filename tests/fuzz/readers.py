"""What reads bytes from outside, as functions of bytes, each with the exceptions it documents: see decoders.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from pipeline.domain.orders import OrderRequest, RequestKind, Side
from pipeline.gateways import orders_file, reference_file
from pipeline.runtime.contracts.avro_resolve import Resolver
from pipeline.runtime.contracts.codec import Codec, LocalIds, Registered, Undecodable
from pipeline.runtime.contracts.schemas import contract_text
from pipeline.simulator.market import lobster
from pipeline.topics import TOPICS


class Target(NamedTuple):
    """A function of bytes, the exceptions it documents, and valid inputs to begin with."""

    read: Callable[[bytes], object]
    documented: tuple[type[Exception], ...]
    begin_with: tuple[bytes, ...]


class _Newer(LocalIds):
    """A registry in which every schema has a field before ours."""

    def lookup(self, schema_id: int) -> Registered | None:
        known = super().lookup(schema_id)
        if known is None:
            return None
        schema = json.loads(known.text)
        extra = {"name": "of_tomorrow", "type": {"type": "map", "values": ["null", "long", "double", "bytes"]}}
        schema["fields"] = [extra, *schema["fields"]]
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
        (contract_text(OrderRequest).encode() + b"\x00" + _BODY, b'{"type":"map","values":"long"}\x00\x00'),
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
