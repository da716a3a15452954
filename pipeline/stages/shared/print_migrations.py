"""How a tape of state version 1 becomes version 2's: prints are known by their day, and kept when they are corrected.

Entries as older code wrote them need no copy here: only `places` is gone, and is not decoded.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipeline.stages.shared.print_identity import print_key
from pipeline.stages.shared.print_tape import PrintChunk

_encode = msgspec.msgpack.encode


def tape_to_2(key: str, value: bytes) -> Iterable[tuple[str, bytes]]:
    """Turn an entry of the tape into version 2's; entries of other tables stay as they are.

    What version 1 did not keep, that a print was cancelled or corrected, is not known of prints before the change.
    """
    table, _, row = key.partition("/")
    match table:
        case "places":
            return
        case "chunks":
            yield key, value
            instrument = row.rsplit("@", 2)[0]
            for kept in msgspec.msgpack.decode(value, type=PrintChunk).prints:
                venue, _, print_id = kept.print_id.partition("@")
                yield f"prints/{print_key(kept.event_ns, instrument, venue, print_id)}", _encode(kept)
        case _:
            yield key, value
