"""Integers as people read them. Exact: no float on the way."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.domain.units import NS_PER_S, PX_ONE


def price(px: int | None) -> str:
    """A price in currency units, at least two decimals, as many as it has: 100.005."""
    return "none" if px is None else _decimal(px, 2)


def money(amount: int) -> str:
    """Money in currency units, as many decimals as it has, at least two."""
    return _decimal(amount, 2)


def moment(at_ns: int) -> str:
    """Time of day in UTC, milliseconds; the date is the day's."""
    if not at_ns:
        return "at no time"
    at = datetime.fromtimestamp(at_ns // NS_PER_S, tz=UTC)
    return f"{at:%H:%M:%S}.{at_ns % NS_PER_S // 1_000_000:03d}"


def _decimal(value: int, least: int) -> str:
    whole, rest = divmod(abs(value), PX_ONE)
    decimals = f"{rest:09d}".rstrip("0").ljust(least, "0")
    return f"{'-' if value < 0 else ''}{whole:,}.{decimals}"
