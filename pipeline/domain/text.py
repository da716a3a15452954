"""Prices, money and times as text for people. Exact: no float on the way."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.domain.units import NS_PER_S, PX_ONE


def price(px: int | None) -> str:
    """A price (1e-9 currency units) in currency units, with all its decimals but at least two: 100.005; None:
    "none"."""
    return "none" if px is None else _decimal(px, 2)


def money(amount: int) -> str:
    """Money (1e-9 currency units) in currency units, with all its decimals but at least two."""
    return _decimal(amount, 2)


def moment(at_ns: int) -> str:
    """The time of day in UTC with milliseconds, without the date, of ns since 1970; 0 is "at no time"."""
    if not at_ns:
        return "at no time"
    at = datetime.fromtimestamp(at_ns // NS_PER_S, tz=UTC)
    return f"{at:%H:%M:%S}.{at_ns % NS_PER_S // 1_000_000:03d}"


def _decimal(value: int, least: int) -> str:
    whole, rest = divmod(abs(value), PX_ONE)
    decimals = f"{rest:09d}".rstrip("0").ljust(least, "0")
    return f"{'-' if value < 0 else ''}{whole:,}.{decimals}"
