"""Opaque ids for the wire: a keyed permutation of the child's number.

A venue that sees many of them must not learn which children belong to one parent
(docs/design-rules.md, Routing). Construction: Luby and Rackoff (1988), How to construct
pseudorandom permutations from pseudorandom functions, SIAM J. Computing 17(2): a balanced
Feistel network on 64 bits, eight rounds, whose round function is keyed BLAKE2b (RFC 7693).
A permutation cannot collide, unlike a shortened hash, and its owner can invert it after a
crash.

Text: 13 characters of Crockford's base 32 (no I, L, O, U), safe for a FIX ClOrdID (tag 11).
"""

from hashlib import blake2b

WIRE_ID_CHARS = 13
SECRET_BYTES_MIN = 16
COUNTER_BITS = 48
PARTITION_BITS = 16

_ROUNDS = 8
_HALF_BITS = 32
_HALF_MASK = (1 << _HALF_BITS) - 1
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGITS = {char: value for value, char in enumerate(_ALPHABET)}


def child_number(partition: int, counter: int) -> int:
    """One number for a child of any partition: 16 bits of partition, 48 of its counter.

    Raises ValueError when either does not fit. The counter must never start again.
    """
    if not 0 <= partition < 1 << PARTITION_BITS:
        raise ValueError(f"partition does not fit {PARTITION_BITS} bits: {partition}")
    if not 0 <= counter < 1 << COUNTER_BITS:
        raise ValueError(f"counter does not fit {COUNTER_BITS} bits: {counter}")
    return partition << COUNTER_BITS | counter


def split_child_number(number: int) -> tuple[int, int]:
    """(partition, counter) of a `child_number`; any number below 2**64 has one."""
    return number >> COUNTER_BITS, number & (1 << COUNTER_BITS) - 1


def encode_wire_id(number: int, secret: bytes) -> str:
    """The 13-character wire id of a child number (0 <= number < 2**64).

    `secret` is 16 to 64 bytes; who has it can invert. Raises ValueError otherwise.
    """
    _require_secret(secret)
    if not 0 <= number < 1 << 2 * _HALF_BITS:
        raise ValueError(f"child number does not fit 64 bits: {number}")
    left, right = number >> _HALF_BITS, number & _HALF_MASK
    for round_no in range(_ROUNDS):
        left, right = right, left ^ _round(right, round_no, secret)
    value = left << _HALF_BITS | right
    return "".join(_ALPHABET[value >> 5 * k & 31] for k in reversed(range(WIRE_ID_CHARS)))


def decode_wire_id(wire_id: str, secret: bytes) -> int:
    """The child number behind a wire id; the exact inverse of `encode_wire_id`.

    Raises ValueError for text that `encode_wire_id` cannot have written. Text it could
    have written under another secret gives a number: look that up before believing it.
    """
    _require_secret(secret)
    value = 0
    for char in wire_id:
        if char not in _DIGITS:
            raise ValueError(f"not a wire id: {wire_id!r}")
        value = value << 5 | _DIGITS[char]
    if len(wire_id) != WIRE_ID_CHARS or value >> 2 * _HALF_BITS:
        raise ValueError(f"not a wire id: {wire_id!r}")
    left, right = value >> _HALF_BITS, value & _HALF_MASK
    for round_no in reversed(range(_ROUNDS)):
        left, right = right ^ _round(left, round_no, secret), left
    return left << _HALF_BITS | right


def _round(half: int, round_no: int, secret: bytes) -> int:
    message = round_no.to_bytes(1, "big") + half.to_bytes(4, "big")
    digest = blake2b(message, digest_size=4, key=secret, person=b"wire-id").digest()
    return int.from_bytes(digest, "big")


def _require_secret(secret: bytes) -> None:
    if not SECRET_BYTES_MIN <= len(secret) <= blake2b.MAX_KEY_SIZE:
        raise ValueError(f"secret must be 16..64 bytes, not {len(secret)}")
