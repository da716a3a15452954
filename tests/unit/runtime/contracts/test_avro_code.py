"""Varints and arrays: the parts of Avro that the compiled code leans on."""

from __future__ import annotations

import io

import fastavro
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.runtime.contracts.avro_code import long, read_array, read_date, read_long, read_ns, read_px
from tests.golden.samples import LONGS


def by_fastavro(value: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", value)
    return out.getvalue()


@settings(deadline=None)
@given(LONGS, st.binary(max_size=12), st.binary(max_size=12))
@example(1_340_285_400_000_000_123, b"", b"")  # nanoseconds, nine bytes
@example((1 << 63) - 1, b"", b"")
@example(-(1 << 63), b"", b"")
def test_a_number_has_fastavros_bytes_and_is_itself_again(value: int, before: bytes, after: bytes) -> None:
    encoded = long(value)
    assert encoded == by_fastavro(value)
    for read in (read_long, read_date, read_px, read_ns):
        assert read(before + encoded + after, len(before)) == (value, len(before) + len(encoded))


@settings(deadline=None)
@given(st.integers(min_value=1 << 63) | st.integers(max_value=-(1 << 63) - 1))
@example(1 << 63)
@example(-(1 << 63) - 1)
@example(1 << 64)
@example(1 << 70)
def test_a_number_beyond_64_bits_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit 64 bits"):
        long(value)


@pytest.mark.parametrize(
    "octets",
    [
        b"\xff" * 9 + b"\x02",  # 65 bits
        b"\x80" * 10 + b"\x00",  # eleven bytes
        b"\xff" * 20,
    ],
)
def test_a_number_beyond_64_bits_is_not_read(octets: bytes) -> None:
    for read in (read_long, read_date, read_px, read_ns):
        with pytest.raises(ValueError, match=r"64 bits|ten bytes"):
            read(octets, 0)


@settings(deadline=None)
@given(octets=st.binary(max_size=14))
def test_the_quick_reader_agrees_with_the_plain_one_on_any_bytes(octets: bytes) -> None:
    results = []
    for read in (read_long, read_date, read_px, read_ns):
        try:
            results.append(str(read(octets, 0)))
        except (ValueError, IndexError) as error:
            results.append(type(error).__name__)
    assert results[0] == results[1]


def test_an_array_may_come_in_blocks_with_their_size_as_java_may_write_it() -> None:
    blocks = long(2) + long(5) + long(6) + long(-1) + long(1) + long(7) + long(0)
    assert read_array(read_long, blocks, 0) == ((5, 6, 7), len(blocks))


def test_an_array_that_claims_more_items_than_there_are_bytes_is_refused_at_once() -> None:
    for count in (1 << 40, -(1 << 40), 25):
        with pytest.raises(ValueError, match="items in"):
            read_array(read_long, long(count) + long(1) + b"\0" * 20, 0)
