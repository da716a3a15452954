"""A file of orders is read strictly: every line that is not exactly an order is reported, all at once."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.orders import OrderRequest, OrdType, RequestKind, Side
from pipeline.errors import WrongUse
from pipeline.gateways.orders_file import BadLine, parse_csv, parse_json_lines, read_orders
from pipeline.runtime.contracts.codec import Codec, LocalIds

HEADER: Final = "kind,source,cl_ord_id,account,instrument,side,order_qty,ord_type,limit_px,end_ns,allowed_venues,held"
GOOD: Final = "NEW,S1,C1,A1,AMZN,BUY,1000,LIMIT,223950000000,1,XNAS|XBAT,TRUE"
ORDER: Final = OrderRequest(
    kind=RequestKind.NEW, source="S1", cl_ord_id="C1", account="A1", instrument="AMZN", side=Side.BUY, order_qty=1000,
    ord_type=OrdType.LIMIT, limit_px=223_950_000_000, end_ns=1, allowed_venues=("XNAS", "XBAT"), held=True,
)  # fmt: skip


def rows(*lines: str, header: str = HEADER) -> list[OrderRequest | BadLine]:
    return list(parse_csv(io.StringIO("\n".join((header, *lines)) + "\n")))


def with_cell(name: str, text: str) -> str:
    cells = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | {name: text}
    return ",".join(cells.values())


def test_what_is_right_is_read_as_it_stands() -> None:
    assert rows(GOOD) == [ORDER]
    assert rows('NEW,S1,"C,""1""",A1,AMZN,BUY,1,MARKET,,,,') == [
        OrderRequest(
            kind=RequestKind.NEW, source="S1", cl_ord_id='C,"1"', account="A1", instrument="AMZN", side=Side.BUY,
            order_qty=1, ord_type=OrdType.MARKET,
        )
    ]  # fmt: skip


def test_empty_lines_and_windows_line_ends_and_a_byte_order_mark_say_nothing() -> None:
    text = "\ufeff" + HEADER + "\r\n\r\n" + GOOD + "\r\n\r\n"
    assert list(parse_csv(io.StringIO(text, newline=""))) == [ORDER]
    assert list(parse_csv(text.encode().split(b"\n"))) == [ORDER]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("NEW,S1,C1,A1,AMZN,BUY,1000", "7 cells, and 12 names in the header"),
        (GOOD + ",9", "13 cells, and 12 names in the header"),
        (GOOD + ",", "13 cells"),
        (",".join([""] * 12), "kind is missing: NEW, CANCEL or REPLACE; source is missing; cl_ord_id is missing"),
        ("   ", "1 cells"),
        (with_cell("order_qty", "1_0"), "order_qty: '1_0' is not a whole number in plain digits"),
        (with_cell("order_qty", "+5"), "order_qty: '+5'"),
        (with_cell("order_qty", " 5"), "order_qty: ' 5'"),
        (with_cell("order_qty", "5 "), "order_qty: '5 '"),
        (with_cell("order_qty", "１０"), "order_qty: '１０'"),
        (with_cell("order_qty", "05"), "order_qty: '05'"),
        (with_cell("order_qty", "-0"), "order_qty: '-0'"),
        (with_cell("order_qty", "1.0"), "order_qty: '1.0'"),
        (with_cell("order_qty", "1e3"), "order_qty: '1e3'"),
        (with_cell("order_qty", "0x10"), "order_qty: '0x10'"),
        (with_cell("order_qty", "1'000"), 'order_qty: "1\'000"'),
        (with_cell("order_qty", "nan"), "order_qty: 'nan'"),
        (with_cell("order_qty", str(2**63)), "order_qty: 9223372036854775808 does not fit 64 bits"),
        (with_cell("limit_px", str(-(2**63) - 1)), "limit_px: -9223372036854775809 does not fit 64 bits"),
        (with_cell("limit_px", "9" * 5000), "is not a whole number"),
        (with_cell("limit_px", "223.95"), "limit_px: '223.95' is not a whole number in plain digits (prices are in"),
        (with_cell("held", "yes"), "held: 'yes' is neither true nor false"),
        (with_cell("held", "1"), "held: '1'"),
        (with_cell("side", "buy"), "side: 'buy' is none of BUY, SELL, SELL_SHORT, SELL_SHORT_EXEMPT"),
        (with_cell("side", "UNKNOWN"), "side: 'UNKNOWN' is none of"),
        (with_cell("ord_type", "TRAILING_STOP"), "ord_type: 'TRAILING_STOP' is none of MARKET, LIMIT"),
        (with_cell("kind", "AMEND"), "kind: 'AMEND' is none of NEW, CANCEL, REPLACE"),
        (with_cell("kind", ""), "kind is missing"),
        (with_cell("source", ""), "source is missing"),
        (with_cell("cl_ord_id", ""), "cl_ord_id is missing"),
        (with_cell("cl_ord_id", " C1"), "cl_ord_id: ' C1' has blanks around it"),
        (with_cell("account", "A1 "), "account: 'A1 ' has blanks around it"),
        (with_cell("allowed_venues", "XNAS||XBAT"), "allowed_venues: an item is empty"),
        (with_cell("allowed_venues", "XNAS|XNAS"), "allowed_venues: an item twice"),
        (with_cell("allowed_venues", "XNAS| XBAT"), "allowed_venues: ' XBAT' has blanks around it"),
        (with_cell("account", "A\x001"), "cannot be printed: U+0000"),
        (with_cell("account", "A\t1"), "cannot be printed: U+0009"),
        (with_cell("account", "A\u200b1"), "cannot be printed: U+200B"),
        (with_cell("account", "A\u00a01"), "cannot be printed: U+00A0"),
        (with_cell("account", "A\ufeff1"), "cannot be printed: U+FEFF"),
        (with_cell("account", "A\r1"), "cannot be printed: U+000D"),
        (with_cell("account", '"A1'), "a quote that is not right"),
        (with_cell("account", 'A"1'), "a quote that is not right"),
        (with_cell("account", '"A"1'), "a quote that is not right"),
        (with_cell("account", "A" * 70_000), "bytes, 65536 are the most"),
        (GOOD.replace(",", ";"), "1 cells, and 12 names"),
    ],
)  # fmt: skip
def test_a_line_that_is_not_exactly_an_order_is_reported_with_its_number_and_reason(line: str, says: str) -> None:
    good, bad = rows(GOOD.replace("C1", "C0"), line)
    assert isinstance(good, OrderRequest)
    assert isinstance(bad, BadLine) and bad.number == 3
    assert says in bad.why


def test_every_bad_line_is_reported_at_once_and_all_that_is_wrong_with_it() -> None:
    read = rows(
        "NEW,S1", GOOD, with_cell("order_qty", "1_0").replace("BUY", "buy"), "", GOOD.replace("C1", '"C2'), GOOD
    )
    assert [(each.number, each.why[:30]) if isinstance(each, BadLine) else each for each in read] == [
        (2, "2 cells, and 12 names in the h"),
        ORDER,
        (4, "order_qty: '1_0' is not a whol"),
        (6, "a quote that is not right: a c"),
        (7, "cl_ord_id 'C1' of S1 stands in"),
    ]
    third = read[2]
    assert isinstance(third, BadLine)
    assert "side: 'buy' is none of" in third.why and third.why.endswith("cl_ord_id 'C1' of S1 stands in line 3 already")


def test_a_quote_that_is_never_closed_hides_no_other_line() -> None:
    first, second = rows(with_cell("account", '"A1'), GOOD.replace("C1", "C2"))
    assert isinstance(first, BadLine) and isinstance(second, OrderRequest)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (HEADER.replace("limit_px", "limit"), "no such field: 'limit'; the fields are in schemas/orders-in.avsc"),
        (HEADER.replace("limit_px", "Limit_px"), "no such field: 'Limit_px'"),
        (HEADER.replace("limit_px", " limit_px"), "no such field: ' limit_px'"),
        (HEADER.replace("limit_px", ""), "no such field: ''"),
        (HEADER.replace("limit_px", "order_qty"), "a column twice: 'order_qty'"),
        (HEADER.replace("cl_ord_id", "list_id"), "no column cl_ord_id"),
        (HEADER.replace(",", ";"), "no column kind, source, cl_ord_id"),
        (GOOD, "no such field: 'NEW', 'S1'"),
        ('"kind', "a quote that is not right"),
        ("kind\x00" + HEADER[4:], "cannot be printed: U+0000"),
    ],
)
def test_under_a_header_that_is_not_right_no_line_is_an_order(header: str, says: str) -> None:
    read = rows(GOOD, GOOD.replace("C1", "C2"), header=header)
    assert not any(isinstance(each, OrderRequest) for each in read)
    first = read[0]
    assert isinstance(first, BadLine) and first.number == 1 and says in first.why


def test_a_column_that_is_not_there_is_said_once_and_not_line_by_line() -> None:
    read = rows(GOOD, GOOD.replace("C1", "C2"), header=HEADER.replace("cl_ord_id", "list_id"))
    assert read == [BadLine(1, "no column cl_ord_id")]


def test_under_such_a_header_what_is_wrong_with_the_lines_is_said_all_the_same() -> None:
    header = HEADER.replace("limit_px", "limit")
    read = rows("NEW,S1", with_cell("order_qty", "1_0"), GOOD.replace("C1", "C2"), header=header)
    assert [each.number for each in read if isinstance(each, BadLine)] == [1, 2, 3]


@pytest.mark.parametrize("text", ["", "\n", "\n\n", "\ufeff"])
def test_an_empty_file_is_said_to_be_one(text: str) -> None:
    assert list(parse_csv(io.StringIO(text))) == [
        BadLine(1, "the file is empty: a header of field names is due, then an order a line")
    ]
    assert list(parse_json_lines(io.StringIO(text))) == [BadLine(1, "there is no order in it")]


def test_a_header_without_orders_is_said_to_be_one() -> None:
    assert rows() == [BadLine(1, "there is no order under the header")]


def test_other_encodings_are_said_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "orders.CSV"
    lines = [HEADER.encode(), GOOD.encode(), GOOD.replace("A1", "Zürich").encode("latin-1")]
    path.write_bytes(b"\r\n".join(lines))
    assert read_orders(path) == [ORDER, BadLine(3, "byte 12 of the line, 0xfc, is not UTF-8: save it as UTF-8")]
    path.write_bytes("\r\n".join([HEADER, GOOD]).encode("utf-16"))
    assert not any(isinstance(each, OrderRequest) for each in read_orders(path))


def test_a_file_that_cannot_be_read_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="there is no such file"):
        read_orders(tmp_path / "none.csv")
    with pytest.raises(WrongUse, match="Is a directory"):
        read_orders(tmp_path)


# ---------------------------------------------------------------------- JSON lines


def lines(*values: Any) -> list[OrderRequest | BadLine]:
    return list(parse_json_lines(each if isinstance(each, str) else json.dumps(each) for each in values))


PLAIN: Final = {"kind": "NEW", "source": "S1", "cl_ord_id": "C1", "order_qty": 5}


def test_a_json_line_is_read_as_it_stands(tmp_path: Path) -> None:
    order = OrderRequest(kind=RequestKind.NEW, source="S1", cl_ord_id="C1", order_qty=5, allowed_venues=("X",))
    assert lines({**PLAIN, "allowed_venues": ["X"], "limit_px": None}) == [order]
    path = tmp_path / "orders.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({**PLAIN, "allowed_venues": ["X"]}).encode() + b"\r\n\r\n")
    assert read_orders(path) == [order]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("5", "not a JSON object"),
        ('{"kind": "NEW", "kind": "CANCEL"}', "not JSON: a field twice: kind"),
        ('{"order_qty": NaN}', "NaN is no number"),
        ('{"order_qty": Infinity}', "Infinity is no number"),
        ('{"order_qty": 1e999}', "order_qty: inf is not a whole number"),
        ('{"order_qty": ' + "9" * 5000 + "}", "not JSON"),
        ({**PLAIN, "order_qty": 5.0}, "order_qty: 5.0 is not a whole number"),
        ({**PLAIN, "order_qty": "5"}, "order_qty: '5' is not a whole number"),
        ({**PLAIN, "order_qty": True}, "order_qty: True is not a whole number"),
        ({**PLAIN, "order_qty": 2**63}, "order_qty: 9223372036854775808 does not fit 64 bits"),
        ({**PLAIN, "held": 1}, "held: 1 is neither true nor false"),
        ({**PLAIN, "held": None}, "held: None is neither true nor false"),
        ({**PLAIN, "account": None}, "account: a text is due, not None"),
        ({**PLAIN, "account": 7}, "account: a text is due, not 7"),
        ({**PLAIN, "account": "A\u0000"}, "account: character 2 cannot be printed: U+0000"),
        ('{"kind": "NEW", "source": "S1", "cl_ord_id": "C\\ud800"}', "cl_ord_id: character 2 cannot be printed: U+D8"),
        ({**PLAIN, "allowed_venues": "XNAS"}, "allowed_venues: a list is due, not 'XNAS'"),
        ({**PLAIN, "allowed_venues": [7]}, "allowed_venues: a text is due, not 7"),
        ({**PLAIN, "side": "UNKNOWN"}, "side: 'UNKNOWN' is none of BUY"),
        ({**PLAIN, "side": None}, "side: None is none of BUY"),
        ({**PLAIN, "stop_px": 1}, "no such field: 'stop_px'"),
        ({"kind": None, "source": "", "cl_ord_id": None}, "kind is missing: NEW, CANCEL or REPLACE; source is"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_a_json_line_that_is_not_exactly_an_order_is_reported(value: Any, says: str) -> None:
    (bad,) = lines(value)
    assert isinstance(bad, BadLine) and bad.number == 1
    assert says in bad.why


def test_an_id_stands_in_one_line_only_but_each_source_has_its_own() -> None:
    read = lines(PLAIN, {**PLAIN, "source": "S2"}, PLAIN, {**PLAIN, "order_qty": 6}, {**PLAIN, "cl_ord_id": "C2"})
    assert [each.why if isinstance(each, BadLine) else None for each in read] == [
        None,
        None,
        "cl_ord_id 'C1' of S1 stands in line 1 already",
        "cl_ord_id 'C1' of S1 stands in line 1 already",
        None,
    ]


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=300, deadline=None)
def test_whatever_a_file_holds_each_of_its_lines_is_an_order_that_can_be_sent_or_reported(
    data: bytes, under_a_header: bool
) -> None:
    codec = Codec(LocalIds())
    head = HEADER.encode() + b"\n" if under_a_header else b""
    for read in (parse_csv((head + data).split(b"\n")), parse_json_lines(data.split(b"\n"))):
        found = list(read)
        assert found
        for each in found:
            if isinstance(each, OrderRequest):
                codec.encode(each)
