"""Reference data from a file: read strictly, every bad line told at once, nothing of it sent then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline import cli
from pipeline.demo import reference_data
from pipeline.demo.reference_data import Listed, SessionDay
from pipeline.domain.orders import AccountClass
from pipeline.domain.record import Owned
from pipeline.domain.reference import Account, Instrument, Limit, LimitScope, ReferenceKind, Venue, VenueKind
from pipeline.errors import WrongUse
from pipeline.gateways.reference_file import BadRecord, check, examine, line_of, load

SET = ReferenceKind.SET
VENUE = Venue(
    kind=SET, venue="XNAS", effective_ns=0, venue_kind=VenueKind.LIT, maker_fee_px=-2_000_000, taker_fee_px=3_000_000,
    latency_ns=1, latency_jitter_ns=2,
)  # fmt: skip
OTHER = replace(VENUE, venue="XBAT")
INSTRUMENT = Instrument(
    kind=SET, instrument="XYZ", effective_ns=1_353_646_800_000_000_000, tick_px=2,
    session_open_ns=1_353_681_000_000_000_000, session_close_ns=1_353_693_600_000_000_000, reference_px=1,
    daily_volume_qty=1,
)  # fmt: skip
"""2012-11-23: 14:30 to 18:00 UTC, from midnight in New York."""
ACCOUNT = Account(
    kind=SET, account="A", effective_ns=0, source="S", account_class=AccountClass.CLIENT, owner="o", control_group="g",
)  # fmt: skip


def limit(scope: LimitScope, scope_id: str = "", effective_ns: int = 0) -> Limit:
    return Limit(kind=SET, scope=scope, scope_id=scope_id, effective_ns=effective_ns)


def faults(*lines: Owned | str | bytes) -> list[tuple[int, str, str]]:
    return [tuple(each) for each in examine([line_of(x) if isinstance(x, Owned) else x for x in lines]).faults]  # type: ignore[misc]


def test_what_is_written_is_read_back_with_its_line() -> None:
    examined = examine([line_of(VENUE), "", line_of(OTHER) + "\n"])
    assert examined == ([(1, VENUE), (3, OTHER)], [])


def test_the_demos_own_reference_data_are_as_they_must_be() -> None:
    day = SessionDay(20120621, 1_340_285_400_000_000_000, 1_340_308_800_000_000_000)
    records = list(reference_data.records(day, [Listed("SIMA", 10**11, 800_000)]))
    examined = examine(line_of(record) for record in records)
    assert examined.faults == [] and [record for _, record in examined.records] == records


@pytest.mark.parametrize(
    ("line", "record", "said"),
    [
        ("{", "", "no JSON: Expecting property name"),
        ("[]", "", "not an object"),
        ('{"topic": "orders"}', "", "topic is 'orders': it must be one of instruments, accounts, venues, limits"),
        ('{"topic": ["venues"]}', "", "it must be one of"),
        ("{}", "", "topic is None"),
        (line_of(VENUE).replace('"SET"', '"UNKNOWN"'), "venues XNAS", "kind is neither SET nor REMOVE"),
        (line_of(VENUE).replace('"SET"', '"PUT"'), "venues XNAS", 'kind is "PUT": Invalid enum value'),
        (line_of(VENUE).replace("3000000", "3000000.0"), "venues", "3000000.0: Expected `int`, got `float`"),
        (line_of(VENUE).replace("3000000", '"3"'), "venues", 'taker_fee_px is "3": Expected `int`'),
        (line_of(VENUE).replace("3000000", "NaN"), "", "NaN is no number"),
        (line_of(VENUE).replace("3000000", "9" * 30), "venues XNAS", "taker_fee_px is 999"),
        (line_of(VENUE).replace('"latency_ns":1,', ""), "venues", "latency_ns is missing"),
        (line_of(VENUE).replace('"venue":"XNAS"', '"venue":"XNAS","seq":4'), "venues XNAS", "there is no field seq"),
        (line_of(VENUE).replace('"XNAS"', '"XNAS","latency_ns":9'), "venues XNAS", "latency_ns is there twice"),
        (line_of(replace(VENUE, latency_jitter_ns=-1)), "venues XNAS", "latency_jitter_ns is -1: it must be from 0 to"),
        (line_of(replace(INSTRUMENT, tick_px=0)), "instruments XYZ", "tick_px is 0"),
        (line_of(replace(ACCOUNT, source="a b")), "accounts A", "part of a topic's name"),
        (b"\xff\xfe{}", "", "not UTF-8: invalid start byte at byte 1"),
    ],
)  # fmt: skip
def test_a_line_that_does_not_fit_is_named_with_what_is_wrong(line: str | bytes, record: str, said: str) -> None:
    ((number, named, text),) = faults(line)
    assert (number, named) == (1, record) and said in text


def test_every_bad_line_and_every_fault_of_it_is_told_at_once() -> None:
    worst = (
        line_of(VENUE)
        .replace('"latency_ns":1', '"latency_ms":1')
        .replace("3000000", "true")
        .replace("-2000000", "null")
    )
    assert faults(worst, line_of(OTHER), "nonsense", line_of(replace(VENUE, min_qty=0, latency_ns=-5))) == [
        (1, "venues", "there is no field latency_ms"),
        (1, "venues", "maker_fee_px is null: Expected `int`, got `null`"),
        (1, "venues", "taker_fee_px is true: Expected `int`, got `bool`"),
        (1, "venues", "latency_ns is missing"),
        (3, "", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        (4, "venues XNAS", "latency_ns is -5: it must be from 0 to 60000000000"),
        (4, "venues XNAS", "min_qty is 0: it must be from 1 to 1000000000000"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert faults(b"\xef\xbb\xbf" + line_of(VENUE).encode()) == []
    assert [text[:8] for _, _, text in faults(VENUE, b"\xef\xbb\xbf" + line_of(OTHER).encode())] == ["no JSON:"]


def test_a_key_has_one_version_for_each_moment() -> None:
    assert faults(VENUE, OTHER, replace(VENUE, effective_ns=1)) == []
    text = "a second version for effective_ns 0: the first is on line 1"
    assert faults(VENUE, OTHER, replace(VENUE, min_qty=5)) == [(3, "venues XNAS", text)]
    assert faults(limit(LimitScope.FIRM), limit(LimitScope.GATE), limit(LimitScope.FIRM)) == [(3, "limits FIRM/", text)]


def test_a_limit_names_what_the_file_sets_where_it_sets_any() -> None:
    scopes = (
        (LimitScope.ACCOUNT, "B"),
        (LimitScope.SOURCE, "T"),
        (LimitScope.INSTRUMENT, "ABC"),
        (LimitScope.GATE, "ABC"),
    )
    limits = [limit(scope, name) for scope, name in scopes]
    assert faults(*limits) == [], "a file of limits only says nothing of accounts"
    said = [(number, text) for number, _, text in faults(*limits, ACCOUNT, INSTRUMENT)]
    assert said == [
        (1, "scope_id is B, and no line of this file sets that account"),
        (2, "scope_id is T, and no line of this file sets that source"),
        (3, "scope_id is ABC, and no line of this file sets that instrument"),
        (4, "scope_id is ABC, and no line of this file sets that instrument"),
    ]
    right = (
        (LimitScope.ACCOUNT, "A"),
        (LimitScope.SOURCE, "S"),
        (LimitScope.INSTRUMENT, "XYZ"),
        (LimitScope.GATE, "XYZ"),
    )
    assert faults(ACCOUNT, INSTRUMENT, *(limit(scope, name) for scope, name in right), limit(LimitScope.GATE)) == []


def test_a_file_is_sent_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "reference.jsonl"
    path.write_text(line_of(VENUE) + "\n" + line_of(OTHER) + "\n")
    assert load(path) == [VENUE, OTHER]
    path.write_text(line_of(VENUE) + "\nnonsense\n" + line_of(replace(OTHER, min_qty=0)))
    with pytest.raises(WrongUse, match="nothing was sent, 2 lines are not as they must be") as said:
        load(path)
    assert "line 2: no JSON" in str(said.value) and "line 3, venues XBAT: min_qty is 0" in str(said.value)
    with pytest.raises(WrongUse, match="No such file"):
        load(tmp_path / "nowhere")
    with pytest.raises(WrongUse, match="Is a directory"):
        check(tmp_path)


def test_the_command_says_all_that_is_wrong_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reference.jsonl"
    path.write_text(line_of(VENUE) + "\n" + line_of(OTHER) + "\n")
    assert cli.main(["reference", "check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: 2 records, all of them as they must be\n"
    path.write_text(line_of(replace(VENUE, min_qty=0)) + "\n{}\n")
    assert cli.main(["reference", "check", str(path)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{path}: 2 lines are not as they must be:"
    assert said[1] == "  line 1, venues XNAS: min_qty is 0: it must be from 1 to 1000000000000" and len(said) == 3


def test_a_bad_line_reads_as_a_sentence() -> None:
    assert str(BadRecord(3, "venues X", "wrong")) == "line 3, venues X: wrong"
    assert str(BadRecord(3, "", "wrong")) == "line 3: wrong"


# ---------------------------------------------------------------------- against the calendar


def test_an_instrument_that_names_a_calendar_is_compared_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("exchange_calendars")
    path = tmp_path / "instruments.jsonl"
    path.write_text(line_of(replace(INSTRUMENT, session_open_ns=1, session_close_ns=2)) + "\n" + line_of(VENUE))
    command = ["reference", "sessions", str(path), "--trade-date", "20121123", "--calendar", "XNAS"]
    assert cli.main(command) == 0
    line = capsys.readouterr().out.strip()
    day = replace(
        INSTRUMENT, calendar="XNYS", trade_date=20121123, cash_settlement_date=20121123,
        next_day_settlement_date=20121126, regular_settlement_date=20121128,
    )  # fmt: skip
    assert json.loads(line) == json.loads(line_of(day)), "14:30 to 18:00 UTC: a half day"
    assert faults(line) == []
    assert faults(replace(day, session_close_ns=1_353_704_400_000_000_000)) == [
        (1, "instruments XYZ", "session_close_ns: it is 1353704400000000000 (21:00:00.000 UTC), on 20121123 XNYS has "
         "1353693600000000000 (18:00:00.000 UTC, an early close)"),
    ]  # fmt: skip
    assert faults(replace(day, calendar="XXXX"))[0][2].startswith("there is no exchange calendar 'XXXX'")


def test_sessions_of_a_day_are_asked_for_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("exchange_calendars")
    path = tmp_path / "instruments.jsonl"
    path.write_text(line_of(INSTRUMENT))
    for words, said in (
        ([], "which day?"),
        (["--trade-date", "20121123"], "line 1: XYZ names no calendar; say --calendar MIC"),
        (["--trade-date", "20121122", "--calendar", "XNYS"], "20121122 is no trading day of XNYS: XYZ has no session"),
        (["--trade-date", "20120230", "--calendar", "XNYS"], "it is written yyyymmdd"),
    ):
        assert cli.main(["reference", "sessions", str(path), *words]) == 2
        assert said in capsys.readouterr().err
    path.write_text(line_of(replace(INSTRUMENT, tick_px=0)) + "\n[]")
    assert cli.main(["reference", "sessions", str(path), "--trade-date", "20121123", "--calendar", "XNYS"]) == 2
    said = capsys.readouterr().err
    assert "line 1, instruments XYZ: tick_px is 0" in said and "line 2: not an object" in said
