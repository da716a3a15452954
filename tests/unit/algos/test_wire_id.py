from collections import Counter
from itertools import pairwise

import pytest

from pipeline.algos.wire_id import (
    WIRE_ID_CHARS,
    child_number,
    decode_wire_id,
    encode_wire_id,
    split_child_number,
)

SECRET = b"a secret of a day, committed"
OTHER = b"another secret of another day"


def test_the_id_of_a_number_is_the_same_for_ever() -> None:
    # Frozen: an id on the wire must be readable after any restart.
    assert encode_wire_id(1, SECRET) == "8TF7TMV9NT7DG"


def test_ids_are_short_plain_and_different() -> None:
    ids = [encode_wire_id(n, SECRET) for n in range(5_000)]
    assert len(set(ids)) == 5_000
    assert all(len(i) == WIRE_ID_CHARS <= 20 and i.isascii() and i.isalnum() for i in ids)


def test_another_secret_gives_other_ids() -> None:
    assert all(encode_wire_id(n, SECRET) != encode_wire_id(n, OTHER) for n in range(100))


@pytest.mark.parametrize("chars", [1, 2])
@pytest.mark.parametrize("end", ["front", "back"])
def test_neighbours_share_no_more_than_chance(chars: int, end: str) -> None:
    """Children of one parent have neighbouring numbers: their ids must not look related."""
    count = 20_000
    ids = [encode_wire_id(n, SECRET) for n in range(count + 1)]
    part = slice(0, chars) if end == "front" else slice(-chars, None)
    shared = sum(a[part] == b[part] for a, b in pairwise(ids))
    # The first character carries 4 bits (64 = 4 + 12 x 5), each other one 5.
    chance = count / 2 ** (5 * chars - (1 if end == "front" else 0))
    assert abs(shared - chance) < 5 * chance**0.5


def test_ids_of_one_parent_fall_into_all_buckets_alike() -> None:
    """Chi-square over the first two characters of 10,240 consecutive ids, 512 cells."""
    cells = Counter(encode_wire_id(n, SECRET)[:2] for n in range(10_240))
    expected = 10_240 / 512
    chi_square = sum((cells.get(cell, 0) - expected) ** 2 / expected for cell in cells)
    chi_square += (512 - len(cells)) * expected
    assert 511 - 5 * (2 * 511) ** 0.5 < chi_square < 511 + 5 * (2 * 511) ** 0.5


def test_one_bit_of_the_number_changes_half_of_the_id() -> None:
    flips = [
        (_bits(encode_wire_id(n, SECRET)) ^ _bits(encode_wire_id(n ^ 1 << k, SECRET))).bit_count()
        for n in range(50)
        for k in range(0, 64, 4)
    ]
    assert 31 < sum(flips) / len(flips) < 33


def _bits(wire_id: str) -> int:
    # Read as text, not decoded: what an outsider sees.
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    value = 0
    for char in wire_id:
        value = value * 32 + alphabet.index(char)
    return value


def test_partition_and_counter_do_not_meet() -> None:
    assert split_child_number(child_number(3, 7)) == (3, 7)
    assert child_number(0, 2**48 - 1) + 1 == child_number(1, 0)
    with pytest.raises(ValueError, match="partition"):
        child_number(2**16, 0)
    with pytest.raises(ValueError, match="counter"):
        child_number(0, 2**48)


@pytest.mark.parametrize("text", ["", "0", "I" * 13, "Z" * 13, "0" * 14, "0" * 12 + "\u0661"])
def test_what_was_never_written_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a wire id"):
        decode_wire_id(text, SECRET)


def test_weak_secrets_and_large_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="secret"):
        encode_wire_id(1, b"short")
    with pytest.raises(ValueError, match="64 bits"):
        encode_wire_id(2**64, SECRET)
    with pytest.raises(ValueError, match="64 bits"):
        encode_wire_id(-1, SECRET)
