from pathlib import Path

import pytest

from pipeline.domain.reference import ReferenceKind, Venue, VenueKind
from pipeline.errors import WrongUse
from pipeline.gateways.reference_file import line_of, load, parse

VENUE = Venue(
    kind=ReferenceKind.SET, venue="XNAS", effective_ns=0, venue_kind=VenueKind.LIT, maker_fee_px=-2_000_000,
    taker_fee_px=3_000_000, latency_ns=1, latency_jitter_ns=2,
)  # fmt: skip


def test_what_is_written_is_read_back() -> None:
    assert list(parse([line_of(VENUE), "", line_of(VENUE)])) == [VENUE, VENUE]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1"),
        ("[]", "not an object"),
        ('{"topic": "orders"}', "must be one of"),
        (line_of(VENUE).replace('"SET"', '"UNKNOWN"'), "SET or REMOVE"),
        (line_of(VENUE).replace('"SET"', '"PUT"'), "PUT"),
        (line_of(VENUE).replace("3000000", "3000000.0"), "float"),
        (line_of(VENUE).replace('"latency_ns":1,', ""), "latency_ns"),
        (line_of(VENUE).replace('"latency_ns"', '"latency_ms"'), "latency_ms"),
        (line_of(VENUE).replace('"venue":"XNAS"', '"venue":"XNAS","seq":4'), "seq"),
    ],
)
def test_a_line_that_does_not_fit_is_named(line: str, said: str) -> None:
    with pytest.raises(WrongUse, match=said):
        list(parse([line]))


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "reference.jsonl"
    path.write_text(line_of(VENUE) + "\n" + line_of(VENUE) + "\n")
    assert load(path) == [VENUE, VENUE]
    path.write_text(line_of(VENUE) + "\nnonsense\n")
    with pytest.raises(WrongUse, match="line 2"):
        load(path)
    with pytest.raises(WrongUse, match="No such file"):
        load(tmp_path / "nowhere")
