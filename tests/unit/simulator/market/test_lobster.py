from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.orders import Side
from pipeline.gateways.lobster_files import find_day
from pipeline.simulator.market.lobster import (
    TapeError,
    TapeMessage,
    TapeType,
    midnight_ns,
    parse_book,
    parse_message,
    parse_name,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("34200.017459617", 34_200_017_459_617),
        ("34200.18960767", 34_200_189_607_670),  # a trailing zero is not written
        ("57599", 57_599_000_000_000),
        ("34200.1896076699999", 34_200_189_607_670),  # float noise
        ("34200.1896076700001", 34_200_189_607_670),
        ("34200.9999999999", 34_201_000_000_000),  # rounding carries into the seconds
    ],
)
def test_times_are_exact_decimals(text: str, ns: int) -> None:
    assert parse_time(text) == ns


def test_a_message_is_read_in_our_units() -> None:
    assert parse_message("34200.18960767,1,11885113,21,2238100,1\n") == TapeMessage(
        34_200_189_607_670, TapeType.ADD, "11885113", 21, 223_810_000_000, Side.BUY
    )


def test_empty_levels_are_left_out() -> None:
    row = parse_book("2239500,100,2231800,7,9999999999,0,-9999999999,0")
    assert row.offers == ((223_950_000_000, 100),)
    assert row.bids == ((223_180_000_000, 7),)


@pytest.mark.parametrize(
    "line",
    [
        "34200.1,1,1,21,2238100",  # a column is missing
        "34200.1,9,1,21,2238100,1",  # no such type
        "34200.1,1,1,0,2238100,1",  # nothing
        "34200.1,1,1,21,-5,1",  # a negative price
        "34200.1,1,1,21,2238100,0",  # neither side
        "34200.1e3,1,1,21,2238100,1",  # a float's way of writing
        "34200.1,1,1,2.5,2238100,1",  # a broken size
    ],
)
def test_what_is_no_message_is_refused(line: str) -> None:
    with pytest.raises(TapeError):
        parse_message(line)


def test_a_halt_has_no_price() -> None:
    assert parse_message("36023,7,0,0,-1,-1").px == -1


def test_names_and_midnights() -> None:
    name = parse_name("AMZN_2012-06-21_34200000_57600000_message_5.csv")
    assert (name.symbol, name.day, name.what, name.levels) == ("AMZN", date(2012, 6, 21), "message", 5)
    # 09:30 in New York is 13:30 UTC in summer, 14:30 in winter.
    opening_ns = 34_200 * 10**9
    assert midnight_ns(date(2012, 6, 21)) + opening_ns == 1_340_285_400 * 10**9
    assert midnight_ns(date(2012, 1, 20)) + opening_ns == 1_327_069_800 * 10**9


def test_daylight_saving_changes_on_the_lawful_sundays() -> None:
    zoneinfo = pytest.importorskip("zoneinfo")
    from datetime import datetime, timedelta

    try:
        zone = zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zone database here")
    day = date(2007, 1, 1)
    while day.year < 2031:
        due = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 10**9
        assert midnight_ns(day) == due, day
        day += timedelta(days=1)


def test_a_recorded_day_adds_up_to_what_is_known_of_it(recorded_day: tuple[Path, dict[str, Any]]) -> None:
    path, expected = recorded_day
    rows, shares, money = Counter[str](), Counter[str](), 0
    last_ns = 0
    crossed = 0
    for message, book in find_day(path).rows():
        kind = str(int(message.type))
        rows[kind] += 1
        shares[kind] += message.qty
        if message.type in (TapeType.EXECUTE, TapeType.EXECUTE_HIDDEN):
            money += message.qty * message.px
        assert message.time_ns >= last_ns
        last_ns = message.time_ns
        crossed += bool(book.bids and book.offers and book.bids[0][0] >= book.offers[0][0])
    assert rows.total() == expected["message_rows"] == expected["book_rows"]
    assert dict(rows) == expected["events_by_type"]
    assert dict(shares) == expected["shares_by_type"]
    executed = shares["4"] + shares["5"]
    assert executed == expected["exec_shares"]
    assert round(money / executed / 1e9, 6) == expected["exec_vwap_usd"]
    assert crossed == expected["crossed_or_locked_rows"]
