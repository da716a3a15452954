"""Schemas of an audit: our copies on the topic first, the registry for the rest, nothing of anybody else's."""

from __future__ import annotations

import pytest

from pipeline.domain.audit import SchemaCopy
from pipeline.domain.orders import Side
from pipeline.domain.parents import Slice, SliceKind
from pipeline.runtime.contracts.codec import Codec, LocalIds, Registered
from pipeline.runtime.contracts.recorded_schemas import recorded_schemas
from pipeline.runtime.contracts.schemas import contract_text, fingerprint_of, subject_of
from pipeline.topics import FILLS, SLICES

SLICE_TEXT, FILL_TEXT = contract_text(SLICES.record), contract_text(FILLS.record)


class Nobody:
    """A registry that does not answer."""

    def id_of(self, topic_name: str, text: str) -> int:
        raise AssertionError("asked")

    def lookup(self, schema_id: int) -> Registered | None:
        raise AssertionError("asked")


def copy_of(topic_name: str, schema_id: int, text: str, fingerprint: str = "") -> bytes:
    copy = SchemaCopy(
        subject=subject_of(topic_name), schema_id=schema_id, version=1, text=text,
        fingerprint=fingerprint or fingerprint_of(text),
    )  # fmt: skip
    return Codec(LocalIds()).encode(copy)


def slice_() -> Slice:
    return Slice(
        kind=SliceKind.SLICE, parent_id="P", slice_no=1, epoch_no=1, instrument="I", side=Side.BUY, qty=1,
        permitted_qty=1, at_ns=1,
    )  # fmt: skip


def test_with_our_copies_the_registry_is_not_asked() -> None:
    schemas = recorded_schemas([copy_of("slices", 70, SLICE_TEXT)], {("slices", 70)}, Nobody())
    codec = Codec(schemas)
    value = codec.encode(slice_())
    assert int.from_bytes(value[1:5], "big") == 70
    assert codec.decode("slices", value) == slice_()


def test_what_has_no_copy_is_asked_for_once_and_an_unknown_id_stays_unknown() -> None:
    class Some(Nobody):
        asked: list[int] = []

        def lookup(self, schema_id: int) -> Registered | None:
            self.asked.append(schema_id)
            return Registered(FILL_TEXT, frozenset({"fills-value"})) if schema_id == 7 else None

    registry = Some()
    schemas = recorded_schemas([], {("fills", 7), ("orders-in", 999)}, registry)
    assert schemas.ids == {"fills": 7} and registry.asked == [7, 999]
    assert schemas.lookup(999) is None


@pytest.mark.parametrize("bad", [b"", b"\x00\x00\x00\x00\x01junk", copy_of("slices", 70, SLICE_TEXT, "0" * 64)])
def test_a_copy_that_is_none_or_not_of_its_fingerprint_is_not_believed(bad: bytes) -> None:
    with pytest.raises(AssertionError, match="asked"):
        recorded_schemas([bad], {("slices", 70)}, Nobody())


def test_a_contract_that_stands_in_no_record_can_still_be_written_and_read_for_comparison() -> None:
    codec = Codec(recorded_schemas([], set(), Nobody()))
    assert codec.decode("slices", codec.encode(slice_())) == slice_()
