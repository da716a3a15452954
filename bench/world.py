"""Made-up load: instruments, accounts, limits that refuse nothing, quotes, and any number of orders.

All of it is spread evenly over the partitions, and drawn from one seed. Session time is wall time.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from bench.stand import Stand
from pipeline.domain.controls import Tick, TickKind
from pipeline.domain.market import NBBO, QuoteKind, SessionState, VenueStatus
from pipeline.domain.orders import AccountClass, OrderRequest, OrdType, RequestKind, Side, Strategy
from pipeline.domain.partitioning import partition_of
from pipeline.domain.record import Owned
from pipeline.domain.reference import (
    Account,
    CrossingRule,
    Instrument,
    Limit,
    LimitScope,
    PriceRule,
    ReferenceKind,
    Venue,
    VenueKind,
)
from pipeline.domain.settlement import weekday_dates
from pipeline.domain.units import NS_PER_S, PX_ONE

CENT: Final = PX_ONE // 100
PX: Final = 50 * PX_ONE
VENUES: Final = (("XNAS", VenueKind.LIT), ("XBAT", VenueKind.LIT), ("XDRK", VenueKind.DARK))


class World:
    """The instruments, sources and accounts, and the orders on them. ``base_ns``: session time of the beginning."""

    def __init__(
        self, partitions: int, *, instruments: int = 100, sources: int = 8, base_ns: int = 0, seed: int = 1
    ) -> None:
        # Every account has a lease for each partition, copied to each: accounts times P squared records.
        self._accounts_a_source = 50 if partitions <= 4 else 5
        self.partitions = partitions
        self.base_ns = base_ns or time.time_ns()
        self.trade_date = int(time.strftime("%Y%m%d", time.gmtime(self.base_ns // NS_PER_S)))
        self.instruments = even("I", instruments, partitions)
        self.sources = even("oms-", max(sources, partitions), partitions)
        self._draw = random.Random(seed)
        self._count = 0
        self._quotes = 0

    # ------------------------------------------------------------------ before the first order

    def reference(self) -> Iterator[Owned]:
        """Reference data: every limit is set, and so high that none refuses an order."""
        since_ns = self.base_ns - 86_400 * NS_PER_S
        settles = weekday_dates(self.trade_date)
        for name in self.instruments:
            yield Instrument(
                kind=ReferenceKind.SET, instrument=name, effective_ns=since_ns, tick_px=CENT,
                session_open_ns=self.base_ns - 3_600 * NS_PER_S, session_close_ns=self.base_ns + 20_000 * NS_PER_S,
                reference_px=PX, daily_volume_qty=50_000_000, trade_date=self.trade_date,
                cash_settlement_date=settles.cash, next_day_settlement_date=settles.next_day,
                regular_settlement_date=settles.regular,
            )  # fmt: skip
        for name, kind in VENUES:
            yield Venue(
                kind=ReferenceKind.SET, venue=name, effective_ns=since_ns, venue_kind=kind, maker_fee_px=-CENT // 5,
                taker_fee_px=CENT * 3 // 10, latency_ns=300_000, latency_jitter_ns=150_000,
            )  # fmt: skip
        yield Limit(
            kind=ReferenceKind.SET, scope=LimitScope.FIRM, effective_ns=since_ns, max_order_qty=1_000_000,
            max_order_value=100_000_000 * PX_ONE, collar=500_000, max_reference_age_ns=20_000 * NS_PER_S,
            max_backlog_ns=20_000 * NS_PER_S,
        )  # fmt: skip
        for source in self.sources:
            for account in self._accounts(source):
                yield Account(
                    kind=ReferenceKind.SET, account=account, effective_ns=since_ns, source=source,
                    account_class=AccountClass.CLIENT, owner=f"owner-{account}", control_group=f"group-{account}",
                )  # fmt: skip
                yield Limit(
                    kind=ReferenceKind.SET, scope=LimitScope.ACCOUNT, scope_id=account, effective_ns=since_ns,
                    max_exposure=8_000_000_000 * PX_ONE,
                )  # fmt: skip
        yield CrossingRule(
            kind=ReferenceKind.SET, rule_id="client-client", effective_ns=since_ns, one_class=AccountClass.CLIENT,
            other_class=AccountClass.CLIENT, allowed=True, price_rule=PriceRule.MIDPOINT,
            max_quote_age_ns=20_000 * NS_PER_S, max_spread=500_000, max_move=500_000, authority="written consent",
        )  # fmt: skip

    def tick(self, now_ns: int, kind: TickKind = TickKind.TICK) -> Tick:
        """A tick whose session time and wall time are both ``now_ns``."""
        return Tick(kind=kind, now_ns=now_ns, wall_ns=now_ns, trade_date=self.trade_date)

    def open(self, now_ns: int) -> Iterator[Owned]:
        """A status record for each instrument and venue: open."""
        for instrument in self.instruments:
            for venue, _ in VENUES:
                yield VenueStatus(
                    instrument=instrument, venue=venue, event_ns=now_ns, received_ns=now_ns, state=SessionState.OPEN
                )

    def quotes(self, now_ns: int) -> Iterator[Owned]:
        """A quote for each instrument, a tick up or down from the last."""
        for instrument in self.instruments:
            self._quotes += 1
            px = PX + (self._draw.randrange(3) - 1) * CENT
            yield NBBO(
                kind=QuoteKind.NBBO, instrument=instrument, event_ns=now_ns, quote_no=self._quotes, bid_px=px - CENT,
                bid_qty=1_000, bid_venue="XNAS", offer_px=px + CENT, offer_qty=1_000, offer_venue="XNAS",
                feed="BENCH", received_ns=now_ns,
            )  # fmt: skip

    # ------------------------------------------------------------------ orders

    def order(
        self, *, end_ns: int | None = None, held: bool = False, largest_qty: int = 100, transact_ns: int | None = None
    ) -> OrderRequest:
        """The next small order: two thirds buys."""
        draw = self._draw
        self._count += 1
        source = self.sources[self._count % len(self.sources)]
        return OrderRequest(
            kind=RequestKind.NEW,
            source=source,
            cl_ord_id=f"C{self._count:09d}",
            list_id=f"PROG{self._count // 1000:06d}",
            account=f"{source}/{draw.randrange(self._accounts_a_source):03d}",
            instrument=self.instruments[int(draw.random() * len(self.instruments))],
            side=Side.BUY if draw.random() < 0.6 else Side.SELL,
            order_qty=1 + int(draw.random() * largest_qty),
            ord_type=OrdType.MARKET,
            held=held,
            strategy=Strategy.VWAP if draw.random() < 0.6 else Strategy.TWAP,
            end_ns=self.base_ns + 10_000 * NS_PER_S if end_ns is None else end_ns,
            crossing_consent=True,
            transact_ns=time.time_ns() if transact_ns is None else transact_ns,
        )

    def _accounts(self, source: str) -> list[str]:
        return [f"{source}/{number:03d}" for number in range(self._accounts_a_source)]

    def place_of(self, request: OrderRequest) -> tuple[int, bytes]:
        """Partition and key on `orders-in`."""
        return partition_of(request.source, self.partitions), request.source.encode()


def even(prefix: str, count: int, partitions: int) -> list[str]:
    """``count`` names, spread over the partitions as keys so that no partition gets more than one more than another."""
    by_partition: list[list[str]] = [[] for _ in range(partitions)]
    due = -(-count // partitions)
    number = 0
    while any(len(names) < due for names in by_partition):
        name = f"{prefix}{number:03d}"
        number += 1
        found = by_partition[partition_of(name, partitions)]
        if len(found) < due:
            found.append(name)
    return [names[place] for place in range(due) for names in by_partition][:count]


class Pulse:
    """The clock gateway and a market that only quotes: a tick every 100 ms, a quote for each instrument a second."""

    def __init__(self, stand: Stand, world: World, *, every_s: float = 0.1, quotes_every: int = 10) -> None:
        self._stand = stand
        self._world = world
        self._every_s = every_s
        self._quotes_every = quotes_every
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self.ticks: dict[int, int] = {}
        """Session time of each tick to the wall time when its transaction was committed."""

    def __enter__(self) -> Self:
        self._writer = self._stand.edge("market")
        now_ns = time.time_ns()
        self._writer.write([*self._world.open(now_ns), *self._world.quotes(now_ns)])
        self._writer.write([self._world.tick(now_ns, TickKind.DAY_START)])
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(30)
        if self._failure is not None and value is None:
            raise self._failure

    def _run(self) -> None:
        count = 0
        try:
            while not self._over.wait(self._every_s):
                count += 1
                now_ns = time.time_ns()
                quotes = [] if count % self._quotes_every else list(self._world.quotes(now_ns))
                self._writer.write([*quotes, self._world.tick(now_ns)])
                self.ticks[now_ns] = time.time_ns()
        except BaseException as error:
            self._failure = error
