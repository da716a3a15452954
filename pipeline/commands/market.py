"""`pipeline market`: a recorded or a simulated market, with the clock that the stages live by."""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from pipeline.commands.grammar import Commands, command, settings_of
from pipeline.errors import EXIT_GOOD, WrongUse

if TYPE_CHECKING:
    from pipeline.runtime.settings import Settings
    from pipeline.simulator.market.market import Source


def add(commands: Commands) -> None:
    """Add `pipeline market` and its options to ``commands``."""
    parser = command(
        commands, "market", "a market and its clock: recorded or simulated",
        "market replay AMZN_2012-06-21.zip --seconds 600 --rate 10", "market simulate --instrument SIMX",
        handler=_market,
    )  # fmt: skip
    parser.add_argument("action", choices=["replay", "simulate"],
                        help="replay: a recorded day; simulate: a market that begins now")  # fmt: skip
    parser.add_argument("path", nargs="?", type=Path, help="replay: a LOBSTER zip, folder or csv file")
    parser.add_argument("--symbol", help="replay: which symbol of a folder")
    parser.add_argument("--from-s", type=int, default=34_200, metavar="SECONDS",
                        help="replay: start, seconds after midnight New York (default %(default)s: 9:30)")  # fmt: skip
    parser.add_argument("--instrument", default="SIMX", help="simulate: its symbol (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=23_400, metavar="SECONDS",
                        help="length of the window (default %(default)s)")  # fmt: skip
    parser.add_argument("--rate", type=int, default=1, metavar="TIMES",
                        help="how many times as fast as real time (default %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="simulate: another number, another market")


def _market(options: argparse.Namespace) -> int:
    if options.action == "replay" and options.path is None:
        raise WrongUse("which file? pipeline market replay PATH")
    if options.action == "replay":
        source = _recorded(options.path, options.symbol, options.from_s, options.seconds)
    else:
        source = _simulated(options.instrument, options.seconds, options.seed)
    return _publish(settings_of(options), source, options.rate)


def _recorded(path: Path, symbol: str | None, from_s: int, length_s: int) -> Source:
    """A window of a recorded day. Raises WrongUse when there is none."""
    from pipeline.gateways.lobster_files import find_day
    from pipeline.simulator.market.market import RecordedMarket

    return RecordedMarket(find_day(path, symbol), from_s, length_s)


def _simulated(instrument: str, seconds: int, seed: int) -> Source:
    """A simulated market that begins now."""
    from pipeline.simulator.market.synthetic import SimulatedMarket

    now_ns = time.time_ns()
    date = int(time.strftime("%Y%m%d", time.gmtime(now_ns // 1_000_000_000)))
    return SimulatedMarket(instrument, now_ns, now_ns + seconds * 1_000_000_000, date, seed=seed)


def _publish(settings: Settings, source: Source, rate: int) -> int:
    """Publish a market and its clock, `rate` times as fast as real time, until the end or Ctrl-C."""
    from pipeline.commands.deployment import edge
    from pipeline.gateways import clock
    from pipeline.simulator.market.market import market_records, window_of

    window = window_of(source)
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    writer = edge(settings, "market", print, lambda: stopping)
    said_at = time.monotonic()

    def progress(now_ns: int, count: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at > 5:
            said_at = time.monotonic()
            print(f"market time {(now_ns - window.start_ns) // 1_000_000_000} s, {count} records")

    pacer = clock.Pacer(window.start_ns, rate * 1_000_000, window.trade_date)
    print(f"{window.instrument}: from {window.start_ns} ns, {rate} times as fast as real time")
    count = clock.replay(
        market_records(source), writer, pacer, window.start_ns, window.end_ns, stop=lambda: stopping, told=progress
    )
    print(f"{count} market records published")
    return EXIT_GOOD
