"""Reference data of the demo: instruments, three sources with sixty accounts, three venues, limits, crossing rules.

Fees are those of 2012 in the United States as brokers passed them on (NASDAQ takes 0.0030 and gives 0.0020 a share,
BATS takes 0.0029 and gives 0.0025; a dark midpoint venue charges takers 0.0010). The legal grounds named in the
crossing rules shape the data; whether a desk may rely on them is for its compliance to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.domain.orders import AccountClass
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
from pipeline.domain.units import NS_PER_MS, NS_PER_S, PX_ONE

SOURCES: Final = ("rebalancer", "savings-plan", "strategy-desk")
CENT: Final = PX_ONE // 100


@dataclass(frozen=True)
class SessionDay:
    """The session of a demo: its trading date and hours in session time."""

    trade_date: int
    open_ns: int
    close_ns: int


@dataclass(frozen=True)
class Listed:
    """An instrument of the demo and what is known of it before the day: price in 1e-9 currency units, volume in
    units."""

    symbol: str
    reference_px: int
    daily_volume_qty: int
    restricted: bool = False
    hard_to_borrow: bool = False


RESTRICTED: Final = Listed("LOCKD", 50 * PX_ONE, 1_000_000, restricted=True)
"""On the restricted list: every order in it is refused."""


def account_names(source: str) -> list[str]:
    """The names of a source's twenty accounts."""
    return [f"{source[:3].upper()}-{number:02d}" for number in range(1, 21)]


def account_class(number: int) -> AccountClass:
    """The class of a source's account by its number: one in ten is a registered fund, one in ten a pension plan.

    They have crossing rules of their own.
    """
    if number % 10 == 9:
        return AccountClass.REGISTERED_FUND
    return AccountClass.PENSION if number % 10 == 0 else AccountClass.CLIENT


def records(day: SessionDay, listed: list[Listed], max_backlog_ns: int = 60 * NS_PER_S) -> Iterator[Owned]:
    """Everything on the reference topics, effective a day before the opening."""
    effective_ns = day.open_ns - 86_400 * NS_PER_S
    for each in [*listed, RESTRICTED]:
        yield instrument(day, each)
    for source in SOURCES:
        for number, name in enumerate(account_names(source), start=1):
            # Two accounts of an owner, four under one control group: such orders must not cross with each other.
            yield Account(
                kind=ReferenceKind.SET,
                account=name,
                effective_ns=effective_ns,
                source=source,
                account_class=account_class(number),
                owner=f"{source}-owner-{(number + 1) // 2}",
                control_group=f"{source}-group-{(number + 3) // 4}",
            )
    yield from _venues(effective_ns)
    yield from _limits(effective_ns, max_backlog_ns)
    yield from _crossing_rules(effective_ns)


def instrument(day: SessionDay, listed: Listed) -> Instrument:
    """The record of an instrument for one session, in effect from a day before it. The demo's exchange knows no
    holidays: its trades settle over weekdays."""
    settles = weekday_dates(day.trade_date)
    return Instrument(
        kind=ReferenceKind.SET,
        instrument=listed.symbol,
        effective_ns=day.open_ns - 86_400 * NS_PER_S,
        tick_px=CENT,
        session_open_ns=day.open_ns,
        session_close_ns=day.close_ns,
        reference_px=listed.reference_px,
        daily_volume_qty=listed.daily_volume_qty,
        restricted=listed.restricted,
        hard_to_borrow=listed.hard_to_borrow,
        trade_date=day.trade_date,
        cash_settlement_date=settles.cash,
        next_day_settlement_date=settles.next_day,
        regular_settlement_date=settles.regular,
    )


def _venues(effective_ns: int) -> Iterator[Owned]:
    lit = {"venue_kind": VenueKind.LIT}
    rows = (
        ("XNAS", lit, -CENT // 5, CENT * 3 // 10, 300_000, True),
        ("XBAT", lit, -CENT // 4, CENT * 29 // 100, 450_000, False),
        ("XDRK", {"venue_kind": VenueKind.DARK}, 0, CENT // 10, 600_000, True),
    )
    for venue, kind, maker, taker, latency_ns, checks_repeats in rows:
        yield Venue(
            kind=ReferenceKind.SET,
            venue=venue,
            effective_ns=effective_ns,
            venue_kind=kind["venue_kind"],
            maker_fee_px=maker,
            taker_fee_px=taker,
            latency_ns=latency_ns,
            latency_jitter_ns=latency_ns // 2,
            checks_repeats=checks_repeats,
        )


def _limits(effective_ns: int, max_backlog_ns: int) -> Iterator[Owned]:
    def limit(scope: LimitScope, scope_id: str = "", **limits: int) -> Limit:
        return Limit(kind=ReferenceKind.SET, scope=scope, scope_id=scope_id, effective_ns=effective_ns, **limits)  # type: ignore[arg-type]

    yield limit(
        LimitScope.FIRM,
        max_order_qty=5_000,
        max_order_value=1_000_000 * PX_ONE,
        collar=500_000,  # 5 %
        max_reference_age_ns=600 * NS_PER_S,
        max_backlog_ns=max_backlog_ns,
    )
    for source in SOURCES:
        yield limit(LimitScope.SOURCE, source, max_rate=500)
        for name in account_names(source):
            yield limit(LimitScope.ACCOUNT, name, max_exposure=2_000_000 * PX_ONE)
    yield limit(
        LimitScope.GATE,
        max_order_qty=2_000,
        max_order_value=500_000 * PX_ONE,
        collar=200_000,  # 2 %
        max_reference_age_ns=60 * NS_PER_S,
        max_exposure=20_000_000 * PX_ONE,
        max_rate=200,
    )


def _crossing_rules(effective_ns: int) -> Iterator[Owned]:
    def rule(one: AccountClass, other: AccountClass, allowed: bool, price_rule: PriceRule, authority: str) -> Owned:
        return CrossingRule(
            kind=ReferenceKind.SET,
            rule_id=f"{one.value.lower()}-{other.value.lower()}",
            effective_ns=effective_ns,
            one_class=one,
            other_class=other,
            allowed=allowed,
            price_rule=price_rule,
            max_quote_age_ns=5_000 * NS_PER_MS,
            max_spread=30_000,  # 30 bps
            max_move=50_000,  # 50 bps
            authority=authority,
        )

    client, fund, pension = AccountClass.CLIENT, AccountClass.REGISTERED_FUND, AccountClass.PENSION
    yield rule(client, client, True, PriceRule.MIDPOINT, "agency cross, written client consent")
    yield rule(fund, fund, False, PriceRule.LAST_SALE, "Investment Company Act rule 17a-7: last sale; not built")
    yield rule(client, fund, False, PriceRule.LAST_SALE, "Investment Company Act section 17(a): not allowed here")
    yield rule(client, pension, False, PriceRule.MIDPOINT, "ERISA section 406(b)(2): not allowed here")
    yield rule(pension, pension, False, PriceRule.CLOSE, "ERISA section 408(b)(19): own conditions; not built")
