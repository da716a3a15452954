"""Dates as numbers, yyyymmdd: what records hold, and the calendar's own days."""

from __future__ import annotations

from datetime import date


def date_of(trade_date: int) -> date:
    """The day of a yyyymmdd. Raises ValueError where there is no such day."""
    year, rest = divmod(trade_date, 10_000)
    if not date.min.year <= year <= date.max.year:
        raise ValueError(f"{trade_date} is no date")
    return date(year, rest // 100, rest % 100)


def as_trade_date(day: date) -> int:
    """The day as yyyymmdd."""
    return day.year * 10_000 + day.month * 100 + day.day


def is_date(trade_date: int) -> bool:
    """Whether a number is a date as yyyymmdd."""
    try:
        date_of(trade_date)
    except ValueError:
        return False
    return True
