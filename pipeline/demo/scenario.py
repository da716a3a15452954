"""The demo's day: its markets and orders. All of it follows from the recorded data that is found, and one seed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.demo import history, reference_data
from pipeline.demo.orders import Flow, Sending, sendings
from pipeline.demo.reference_data import CENT, Listed, SessionDay
from pipeline.domain.market import NBBO
from pipeline.domain.record import Owned, Record
from pipeline.domain.units import NS_PER_S, PX_ONE
from pipeline.errors import WrongUse
from pipeline.gateways.lobster_files import find_day
from pipeline.simulator.market.market import RecordedMarket, Source, Window, market_records, window_of
from pipeline.simulator.market.synthetic import SimulatedMarket

SESSION_NS: Final = 23_400 * NS_PER_S
"""09:30 to 16:00."""
_SECOND: Final = "SIMX"
_RECORDED_DAY: Final = "LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"
_SIMULATED_OPEN_NS: Final = 1_340_285_400 * NS_PER_S
"""The opening of a simulated day, used where none is recorded: 2012-06-21 13:30 UTC."""


@dataclass(frozen=True)
class Asked:
    """The arguments that make a scenario, beside the data found: orders, seconds of market time, seed."""

    orders: int
    seconds: int
    seed: int
    max_backlog_s: float = 60.0
    """After an outage longer than this (wall time) nothing new is sent until the desk releases it."""


@dataclass(frozen=True)
class Scenario:
    """A day to run: markets, instruments, orders; ``length_ns`` is the market's window from the opening."""

    title: str
    asked: Asked
    day: SessionDay
    length_ns: int
    sources: tuple[Source, ...]
    listed: tuple[Listed, ...]
    sendings: tuple[Sending, ...]
    recorded: bool

    @property
    def end_ns(self) -> int:
        """The end of the market's window, ns since 1970."""
        return self.day.open_ns + self.length_ns

    def requests(self) -> Set[tuple[str, str]]:
        """Source and ClOrdID of every request that can be decoded and names both: each must be answered."""
        asked = (sending.request for sending in self.sendings)
        return {(each.source, each.cl_ord_id) for each in asked if each is not None and each.source and each.cl_ord_id}

    def reference(self) -> Iterator[Owned]:
        """The reference data of the day's instruments, accounts and venues, and the sessions of the days before."""
        yield from history.earlier_sessions(self.day, self.listed)
        yield from reference_data.records(self.day, list(self.listed), int(self.asked.max_backlog_s * NS_PER_S))

    def earlier(self) -> Iterator[Owned]:
        """Simulated prints of earlier days, for the volume curves."""
        return history.earlier_days(self.day, self.listed, SESSION_NS)

    def market_window(self) -> Iterator[tuple[int, Record]]:
        """Event time (ns since 1970) and record of both markets, in order of time."""
        return market_records(*self.sources)


def scenario(
    env: Mapping[str, str] | None = None,
    *,
    orders: int = 5_000,
    seconds: int = 600,
    seed: int = 2012,
    max_backlog_s: float = 60.0,
) -> Scenario:
    """The demo's day: MARKET=path, else the recorded day beside the checkout, else a simulated one.

    Raises WrongUse when MARKET names no LOBSTER day, or one without a quote in the first ``seconds``.
    """
    env = os.environ if env is None else env
    path = _market_path(env)
    recorded = path is not None
    if path is not None:
        market: Source = RecordedMarket(find_day(path), length_s=seconds, seed=seed)
        window = window_of(market)
    else:
        window = Window("SIMA", _SIMULATED_OPEN_NS, _SIMULATED_OPEN_NS + seconds * NS_PER_S, 20120621)
        market = _simulated(window, seed + 1, "SIMA", 220 * PX_ONE)
    second = _simulated(window, seed, _SECOND, 50 * PX_ONE)
    day = SessionDay(window.trade_date, window.start_ns, window.start_ns + SESSION_NS)
    first_listed = Listed(window.instrument, _opening_px(market), 800_000)
    second_listed = Listed(_SECOND, 50 * PX_ONE, 8_000_000)
    half = orders // 2
    flows = [Flow(first_listed, half, 14), Flow(second_listed, orders - half, 20)]
    title = (
        f"{window.instrument}, recorded ({path.name if path else ''}), and {_SECOND}, simulated"
        if recorded
        else f"{window.instrument} and {_SECOND}, both simulated: no recorded day was found"
    )
    return Scenario(
        title,
        Asked(orders, seconds, seed, max_backlog_s),
        day,
        seconds * NS_PER_S,
        (market, second),
        (first_listed, second_listed),
        tuple(sendings(day, flows, seed, seconds * NS_PER_S)),
        recorded,
    )


def _market_path(env: Mapping[str, str]) -> Path | None:
    named = env.get("MARKET")
    if named:
        path = Path(named).expanduser()
        if not path.exists():
            raise WrongUse(f"MARKET={named}: there is no such file or folder. Give a LOBSTER zip, folder or csv file.")
        return path
    beside = Path(env.get("PIPELINE_DATA") or Path(__file__).resolve().parents[2].parent / "shared" / "data")
    path = beside / "lobster" / _RECORDED_DAY
    return path if path.exists() else None


def _simulated(window: Window, seed: int, symbol: str, open_px: int) -> SimulatedMarket:
    return SimulatedMarket(symbol, window.start_ns, window.end_ns, window.trade_date, seed=seed, open_px=open_px)


def _opening_px(market: Source) -> int:
    """The first midpoint, on a tick. It is used as the last close, which a sample file does not contain."""
    for _, record in market_records(market):
        if isinstance(record, NBBO) and record.midpoint_px is not None:
            return record.midpoint_px // CENT * CENT
    raise WrongUse("the market has no quote in the chosen window")
