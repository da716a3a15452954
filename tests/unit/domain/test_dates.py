"""Dates as numbers: those that are days, and those that are none."""

from __future__ import annotations

from datetime import date

import pytest

from pipeline.domain.dates import as_trade_date, date_of, is_date


@pytest.mark.parametrize("day", [date.min, date(2012, 6, 21), date(2024, 2, 29), date.max])
def test_a_day_and_its_number_are_each_others(day: date) -> None:
    number = as_trade_date(day)
    assert (date_of(number), is_date(number)) == (day, True)


@pytest.mark.parametrize("number", [0, -1, 10_100, 20120631, 20230229, 20120600, 20121301, 2**63 - 1, -(2**63), 10**30])
def test_what_is_no_day_is_said_so(number: int) -> None:
    assert not is_date(number)
    with pytest.raises(ValueError):
        date_of(number)
