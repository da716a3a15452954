"""Simulated sessions of earlier days and their prints, so that analytics can build a volume curve.

No earlier day of the demo's instruments is recorded. Three days of one print a minute follow the U shape of volume in
US equities (heavy at the opening and the close). They are made up, and each print's conditions say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from pipeline.demo.reference_data import Listed, SessionDay, instrument
from pipeline.domain.dates import as_trade_date, date_of
from pipeline.domain.market import PrintKind, TradePrint
from pipeline.domain.record import Owned
from pipeline.domain.units import NS_PER_S

DAYS: Final = 3
_DAY_NS: Final = 86_400 * NS_PER_S
_MINUTE_NS: Final = 60 * NS_PER_S


def earlier_sessions(day: SessionDay, listed: Sequence[Listed]) -> Iterator[Owned]:
    """The instruments' records of the DAYS before, by which the sessions of :func:`earlier_days` are known."""
    for back in range(DAYS, 0, -1):
        trade_date = as_trade_date(date_of(day.trade_date) - timedelta(days=back))
        earlier = SessionDay(trade_date, day.open_ns - back * _DAY_NS, day.close_ns - back * _DAY_NS)
        for each in listed:
            yield instrument(earlier, each)


def earlier_days(day: SessionDay, listed: Sequence[Listed], session_ns: int) -> Iterator[Owned]:
    """One print a minute and instrument over DAYS earlier sessions of ``session_ns`` each, in order of time."""
    minutes = session_ns // _MINUTE_NS
    # A parabola with its lowest point in the middle of the session: ends are four times as busy.
    weights = [minutes * minutes + 3 * (2 * minute - minutes) ** 2 for minute in range(minutes)]
    whole = sum(weights)
    for back in range(DAYS, 0, -1):
        open_ns = day.open_ns - back * _DAY_NS
        for minute, weight in enumerate(weights):
            at_ns = open_ns + minute * _MINUTE_NS + 30 * NS_PER_S
            for each in listed:
                yield TradePrint(
                    kind=PrintKind.TRADE,
                    instrument=each.symbol,
                    venue="HIST",
                    print_id=f"{back}-{minute}",
                    event_ns=at_ns,
                    received_ns=at_ns,
                    px=each.reference_px,
                    qty=max(1, each.daily_volume_qty * weight // whole),
                    conditions=("SIMULATED_HISTORY",),
                )
