"""A stable draw between equals: a 64-bit hash of (parent, order).

Used where carried fractional balances are equal: docs/design-rules.md, Allocation. The
hash is BLAKE2b (RFC 7693), because Python's own `hash` changes with PYTHONHASHSEED.
"""

from hashlib import blake2b

_PURPOSE = b"tie-break"


def tie_break(parent_id: str, order_id: str) -> int:
    """Unsigned 64-bit integer, 0 <= n < 2**64; lower wins.

    Each part is preceded by its length, so ("a", "bc") and ("ab", "c") differ.
    """
    digest = blake2b(digest_size=8, person=_PURPOSE)
    for part in (parent_id, order_id):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return int.from_bytes(digest.digest(), "big")
